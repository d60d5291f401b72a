use std::io;
use std::net::{SocketAddr, UdpSocket};

#[cfg(target_os = "linux")]
use socket2::SockFilter;
use socket2::{Domain, Protocol, Socket, Type};

/// Linux's `PACKET_HOST`: how a packet is marked that is for this host.
#[cfg(target_os = "linux")]
const FOR_HOST: u32 = libc::PACKET_HOST as u32;

/// Opens `sockets` non-blocking sockets (at least one) that share the address `bind`, between which
/// the system spreads the senders: all datagrams of one of them come to the same socket. Port 0 lets
/// the system choose; `[::]` also serves IPv4 where the system's default says so. They may
/// broadcast. What is for everybody in a network (a broadcast, a multicast) comes to the first one
/// only, as far as it does come from a network. The system keeps `receive_buffer_bytes` for each of them until they are read, or less
/// if it does not allow so many; 0 for its default.
///
/// # Errors
/// What the system says: address in use (also by somebody who would share it), not ours, no
/// permission, out of descriptors.
pub fn bind_udp(
    bind: SocketAddr,
    sockets: usize,
    receive_buffer_bytes: usize,
) -> io::Result<Vec<UdpSocket>> {
    let first = open(bind, receive_buffer_bytes)?;
    // Exclusively: with the option set before, it would join whoever has the address already.
    first.bind(&bind.into())?;
    let mut bound = vec![first];
    if let Some(first) = bound.first().filter(|_| sockets > 1) {
        first.set_reuse_port(true)?;
        let shared = first.local_addr()?;
        for _ in 1..sockets {
            let socket = open(bind, receive_buffer_bytes)?;
            socket.set_reuse_port(true)?;
            take_own_only(&socket);
            socket.bind(&shared)?;
            bound.push(socket);
        }
    }
    Ok(bound.into_iter().map(UdpSocket::from).collect())
}

fn open(bind: SocketAddr, receive_buffer_bytes: usize) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(bind), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_broadcast(true)?;
    if receive_buffer_bytes > 0 {
        socket.set_recv_buffer_size(receive_buffer_bytes)?;
    }
    Ok(socket)
}

/// Has the system drop what is not for this host alone, of which every socket would get a copy.
#[cfg(target_os = "linux")]
fn take_own_only(socket: &Socket) {
    let of = |code: u32| u16::try_from(code).expect("codes of instructions are small");
    let kind = (libc::SKF_AD_OFF + libc::SKF_AD_PKTTYPE).cast_unsigned();
    let filter = [
        SockFilter::new(of(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS), 0, 0, kind),
        SockFilter::new(of(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K), 0, 1, FOR_HOST),
        SockFilter::new(of(libc::BPF_RET | libc::BPF_K), 0, 0, u32::MAX),
        SockFilter::new(of(libc::BPF_RET | libc::BPF_K), 0, 0, 0),
    ];
    // Where filters are not allowed, copies come to all.
    let _ = socket.attach_filter(&filter);
}

#[cfg(not(target_os = "linux"))]
fn take_own_only(_socket: &Socket) {}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::{Duration, Instant};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn any(ip: &str) -> SocketAddr {
        SocketAddr::new(ip.parse().unwrap(), 0)
    }

    #[test]
    fn sockets_share_one_address_and_none_blocks() {
        for ip in ["127.0.0.1", "::1"] {
            let sockets = bind_udp(any(ip), 4, 0).unwrap();
            let address = sockets[0].local_addr().unwrap();
            assert_ne!(address.port(), 0);
            for socket in &sockets {
                assert_eq!(socket.local_addr().unwrap(), address);
                assert_eq!(socket.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
                assert!(socket.broadcast().unwrap());
            }
        }
    }

    #[test]
    fn all_datagrams_of_a_sender_come_to_one_socket_and_all_sockets_are_used() {
        let sockets = bind_udp(any("127.0.0.1"), 4, 0).unwrap();
        let address = sockets[0].local_addr().unwrap();
        let senders: Vec<UdpSocket> =
            (0..64).map(|_| UdpSocket::bind(any("127.0.0.1")).unwrap()).collect();
        for _ in 0..2 {
            for sender in &senders {
                sender.send_to(b"x", address).unwrap();
            }
        }
        let (mut got, start) = (Vec::new(), Instant::now());
        while got.len() < 128 {
            for (number, socket) in sockets.iter().enumerate() {
                while let Ok((_, from)) = socket.recv_from(&mut [0]) {
                    got.push((from.port(), number));
                }
            }
            assert!(start.elapsed() < PATIENCE, "{} came", got.len());
        }
        let mut used: Vec<usize> = got.iter().map(|(_, number)| *number).collect();
        got.sort_unstable();
        got.dedup();
        assert_eq!(got.len(), 64, "a sender came to two sockets");
        used.sort_unstable();
        used.dedup();
        assert_eq!(used, [0, 1, 2, 3]);
    }

    #[test]
    fn an_address_in_use_is_refused_also_if_it_could_be_shared() {
        for sockets in [1, 2] {
            let first = bind_udp(any("127.0.0.1"), sockets, 0).unwrap();
            let address = first[0].local_addr().unwrap();
            let error = bind_udp(address, sockets, 0).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AddrInUse);
            drop(first);
            bind_udp(address, sockets, 0).unwrap();
        }
    }

    #[test]
    fn the_receive_buffer_is_as_asked_for() {
        let size = |bytes| {
            let sockets = bind_udp(any("127.0.0.1"), 1, bytes).unwrap();
            socket2::SockRef::from(&sockets[0]).recv_buffer_size().unwrap()
        };
        // Linux doubles the number, for its own needs.
        assert!(size(8_192) >= 8_192);
        assert!(size(8_192) < size(100_000));
    }
}
