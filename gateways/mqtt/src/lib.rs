//! MQTT: the state machine between packets and core operations.
