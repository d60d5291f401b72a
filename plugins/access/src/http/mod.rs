//! An HTTP server that is asked about each client.

pub(crate) mod client;

pub use self::client::HttpClientError;
