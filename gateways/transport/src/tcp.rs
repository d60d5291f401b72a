use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

/// Opens a non-blocking listener at `bind` whose streams know no Nagle's delay, with at most
/// `backlog` connections that nobody has accepted yet. Port 0 lets the system choose; `[::]` also
/// serves IPv4 where the system's default says so.
///
/// # Errors
/// What the system says: address in use, not ours, no permission, out of descriptors.
pub fn listen(bind: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(bind), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Accepted sockets inherit it, which saves a system call for each of them.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&bind.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    Ok(socket.into())
}

/// Whom a failed accept is to be blamed on, and so what to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptFault {
    /// The connection that was to be accepted is gone; the next one may be fine.
    Peer,
    /// The process or the system is out of descriptors or memory: try again later.
    Exhausted,
    /// Something else is wrong with the listener.
    Listener,
}

/// Sorts the errors of accept other than [`io::ErrorKind::WouldBlock`].
#[must_use]
pub fn accept_fault(error: &io::Error) -> AcceptFault {
    // accept(2): Linux passes pending network errors of the new socket on as errors of accept.
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM) => AcceptFault::Exhausted,
        Some(
            libc::ECONNABORTED
            | libc::ECONNRESET
            | libc::EPERM
            | libc::EPROTO
            | libc::ENOPROTOOPT
            | libc::ENETDOWN
            | libc::ENETUNREACH
            | libc::EHOSTDOWN
            | libc::EHOSTUNREACH
            | libc::EOPNOTSUPP
            | libc::ETIMEDOUT,
        ) => AcceptFault::Peer,
        _ => AcceptFault::Listener,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use super::*;

    fn accept_soon(listener: &TcpListener) -> TcpStream {
        listener.set_nonblocking(false).unwrap();
        let (stream, _) = listener.accept().unwrap();
        listener.set_nonblocking(true).unwrap();
        stream
    }

    #[test]
    fn a_listener_does_not_block_and_its_streams_send_at_once() {
        let listener = listen("127.0.0.1:0".parse().unwrap(), 1024).unwrap();
        let address = listener.local_addr().unwrap();
        assert_ne!(address.port(), 0);
        assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let _client = TcpStream::connect(address).unwrap();
        assert!(accept_soon(&listener).nodelay().unwrap());
    }

    #[test]
    fn the_address_can_be_taken_again_while_old_connections_linger() {
        let first = listen("127.0.0.1:0".parse().unwrap(), 8).unwrap();
        let address = first.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let server = accept_soon(&first);
        drop((server, first));
        listen(address, 8).unwrap();
        drop(client);
    }

    #[test]
    fn an_address_in_use_is_refused() {
        let first = listen("127.0.0.1:0".parse().unwrap(), 8).unwrap();
        let error = listen(first.local_addr().unwrap(), 8).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn faults_are_sorted() {
        let fault = |code| accept_fault(&io::Error::from_raw_os_error(code));
        assert_eq!(fault(libc::EMFILE), AcceptFault::Exhausted);
        assert_eq!(fault(libc::ENFILE), AcceptFault::Exhausted);
        assert_eq!(fault(libc::ECONNABORTED), AcceptFault::Peer);
        assert_eq!(fault(libc::EBADF), AcceptFault::Listener);
    }
}
