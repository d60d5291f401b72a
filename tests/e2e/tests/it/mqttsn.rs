//! MQTT-SN 1.2 over UDP, seen by `py/mqttsn_client.py`, a client that was written from the
//! specification alone.

use crate::process::{python, run};

#[test]
fn the_client_reads_and_writes_the_packets_of_the_specification() {
    run(&mut python("mqttsn_vectors.py"));
}
