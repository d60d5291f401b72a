//! The built server against clients that other people wrote, one module for each, and against
//! peers that mean harm.
//!
//! Every test starts a server of its own on a free port, in a folder of its own. In the
//! environment:
//! - `MANIFOLD_BIN`: the server (default: the one in cargo's target folder),
//! - `MANIFOLD_SHARDS`: its number of shards (default 1),
//! - `MANIFOLD_VENV`, `MANIFOLD_NPM`: where `cargo xtask test setup` installed the clients,
//! - `MANIFOLD_TEST_TARGET`: `host:port` of a running server to test instead, ours or not.

// All of it is test code, helpers too: a surprise ends the test.
#![allow(clippy::indexing_slicing, clippy::print_stderr)]

mod access;
mod aiomqtt;
mod daemon;
mod datagrams;
mod gmqtt;
mod hostile;
mod limits;
mod memory;
mod mosquitto;
mod mqttjs;
mod mqttools;
mod mqttsn;
mod mqttsn_discovery;
mod observation;
mod operation;
mod paho;
mod pki;
mod process;
mod proxied;
mod reconfiguration;
mod reload;
mod roads;
mod rumqttc;
mod rumqttc_v5;
mod server;
mod tls;
mod websocket;
mod wire;
