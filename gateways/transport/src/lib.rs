//! Sockets: TCP listeners and streams.
