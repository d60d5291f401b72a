//! The shard loop over real sockets, with a toy protocol.

mod closing;
mod descriptors;
mod io;
mod node;
mod routing;
mod toy;
