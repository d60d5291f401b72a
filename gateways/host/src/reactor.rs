//! How a shard meets the asynchronous runtime, and the only place that knows the runtime's sockets.
//!
//! A shard is one future on a single-threaded runtime, and the runtime is used to wait for sockets,
//! for one timer and for other threads, and for nothing else. There is no task per link: the waker
//! of a link's socket puts a [`Token`] on the shard's [`ReadyList`].

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{self, IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use rustix::net::sockopt::{Ipv4PathMtuDiscovery, set_ip_mtu_discover};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};

use crate::Output;
use crate::paths::Path;

/// Parts of an output that one system call takes.
const SLICES_MAX: usize = 64;
/// Bytes of one buffer for datagrams, which holds the largest of them, and as many of one sender as
/// the system hands over as one.
const DATAGRAM_BYTES: usize = 64 * 1024;

/// What became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// The socket of the link at this place of the shard's table.
    Link(u32),
    /// The shard's listener of this number.
    Listener(u16),
    /// The shard's socket for the datagrams of the listener of this number.
    Datagrams(u16),
}

/// What became ready since the last turn. The reactor runs on the shard's own thread, so the lock
/// is never contended.
#[derive(Debug, Default)]
pub(crate) struct ReadyList(Mutex<Ready>);

#[derive(Debug, Default)]
struct Ready {
    tokens: Vec<Token>,
    shard: Option<Waker>,
}

#[derive(Debug)]
struct TokenWaker {
    token: Token,
    list: Arc<ReadyList>,
}

impl ReadyList {
    /// A waker that puts `token` on the list.
    pub(crate) fn waker(self: &Arc<Self>, token: Token) -> Waker {
        Waker::from(Arc::new(TokenWaker { token, list: Arc::clone(self) }))
    }

    /// Swaps the list with the empty list `tokens`.
    pub(crate) fn take(&self, tokens: &mut Vec<Token>) {
        debug_assert!(tokens.is_empty());
        std::mem::swap(&mut self.lock().tokens, tokens);
    }

    /// Whether nothing became ready.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().tokens.is_empty()
    }

    fn push(&self, token: Token) {
        let mut ready = self.lock();
        ready.tokens.push(token);
        if ready.tokens.len() == 1
            && let Some(shard) = &ready.shard
        {
            shard.wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ready> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for TokenWaker {
    fn wake(self: Arc<Self>) {
        self.list.push(self.token);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.list.push(self.token);
    }
}

/// When a shard wants its next turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// At once, after a look at the sockets.
    Again,
    /// When something is ready, or at this time.
    Wait(Option<Instant>),
    /// Never.
    Stop,
}

/// What the reactor drives.
pub(crate) trait Turn {
    /// Does everything that can be done now.
    fn turn(&mut self) -> Next;
}

/// Runs what `build` makes until it wants to stop, and returns it. `build` gets the shard's ready
/// list and the waker by which other threads end its sleep.
///
/// # Errors
/// The system has no descriptors or memory for a reactor, or `build` fails.
pub(crate) fn run<T: Turn>(
    build: impl FnOnce(Arc<ReadyList>, &Waker) -> io::Result<T>,
) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .event_interval(1024)
        .max_io_events_per_tick(4096)
        .build()?;
    // The cooperative budget would stop a turn after 128 sockets.
    runtime.block_on(tokio::task::unconstrained(async {
        let list = Arc::new(ReadyList::default());
        let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
        list.lock().shard = Some(waker.clone());
        let mut shard = build(list, &waker)?;
        let mut alarm = Alarm::new();
        poll_fn(|context| match shard.turn() {
            Next::Stop => Poll::Ready(()),
            Next::Again => look_again(context),
            Next::Wait(at) => match alarm.set(at, context) {
                Poll::Ready(()) => look_again(context),
                Poll::Pending => Poll::Pending,
            },
        })
        .await;
        Ok(shard)
    }))
}

/// Has the future polled again after the runtime has looked at the sockets; waking it directly
/// would have it polled without.
fn look_again(context: &mut Context<'_>) -> Poll<()> {
    pin!(tokio::task::yield_now()).poll(context)
}

/// The one timer of a shard. It is lazy: a later time than the one that it is set for leaves it as
/// it is, which costs a turn with nothing to do.
struct Alarm {
    sleep: Pin<Box<tokio::time::Sleep>>,
    set_for: Option<Instant>,
}

impl Alarm {
    fn new() -> Self {
        Alarm { sleep: Box::pin(tokio::time::sleep(Duration::ZERO)), set_for: None }
    }

    fn set(&mut self, at: Option<Instant>, context: &mut Context<'_>) -> Poll<()> {
        if self.sleep.is_elapsed() {
            self.set_for = None;
        }
        let Some(at) = at else { return Poll::Pending };
        if self.set_for.is_some_and(|set_for| set_for <= at) {
            return Poll::Pending;
        }
        self.set_for = Some(at);
        self.sleep.as_mut().reset(at.into());
        self.sleep.as_mut().poll(context)
    }
}

/// A connected stream of no reactor, on its way to one.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(net::TcpStream),
    Unix(unix::net::UnixStream),
}

/// What a link is reached through: a connected stream, registered with the reactor of the current
/// thread, or its path.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpStream),
    /// Boxed, so that the tag finds a place within the other kind, of which there are many more.
    Unix(Box<UnixStream>),
    /// The peer of a datagram link has no socket of its own, so nothing can be read or written here.
    Datagram(Box<Path>),
}

impl Socket {
    /// Registers a non-blocking stream.
    ///
    /// # Errors
    /// The system has no memory for one more.
    pub(crate) fn register(stream: Stream) -> io::Result<Self> {
        match stream {
            Stream::Tcp(stream) => TcpStream::from_std(stream).map(Socket::Tcp),
            Stream::Unix(stream) => UnixStream::from_std(stream).map(Box::new).map(Socket::Unix),
        }
    }

    /// Takes the stream from the reactor, to register it on another thread.
    ///
    /// # Errors
    /// What the system says; the stream is closed then.
    pub(crate) fn release(self) -> io::Result<Stream> {
        match self {
            Socket::Tcp(stream) => stream.into_std().map(Stream::Tcp),
            Socket::Unix(stream) => stream.into_std().map(Stream::Unix),
            Socket::Datagram(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Reads once. `Ok(None)` when nothing is there: `waker` is woken when there is; `Ok(Some(0))`
    /// when the peer sends no more.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline]
    pub(crate) fn read(&mut self, waker: &Waker, into: &mut [u8]) -> io::Result<Option<usize>> {
        let context = &mut Context::from_waker(waker);
        let mut buffer = ReadBuf::new(into);
        let read = match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_read(context, &mut buffer),
            Socket::Unix(stream) => Pin::new(&mut **stream).poll_read(context, &mut buffer),
            Socket::Datagram(_) => Poll::Pending,
        };
        match read {
            Poll::Pending => Ok(None),
            Poll::Ready(Ok(())) => Ok(Some(buffer.filled().len())),
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    /// Has `waker` woken when there is something to read; returns `true` when there is already.
    /// After a read that did not fill its buffer this asks the reactor only, not the system.
    #[inline]
    pub(crate) fn watch(&mut self, waker: &Waker) -> bool {
        let context = &mut Context::from_waker(waker);
        match self {
            Socket::Tcp(stream) => stream.poll_read_ready(context).is_ready(),
            Socket::Unix(stream) => stream.poll_read_ready(context).is_ready(),
            Socket::Datagram(_) => false,
        }
    }

    /// Writes once as much of `output` as the system takes. `Ok(None)` when it takes nothing:
    /// `waker` is woken when it does again.
    ///
    /// # Errors
    /// The connection is broken.
    #[inline]
    pub(crate) fn write(&mut self, waker: &Waker, output: &Output) -> io::Result<Option<usize>> {
        let context = &mut Context::from_waker(waker);
        let written = match self {
            Socket::Tcp(stream) => poll_write(Pin::new(stream), context, output),
            Socket::Unix(stream) => poll_write(Pin::new(&mut **stream), context, output),
            Socket::Datagram(_) => Poll::Pending,
        };
        match written {
            Poll::Pending => Ok(None),
            Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(Ok(count)) => Ok(Some(count)),
            Poll::Ready(Err(error)) => Err(error),
        }
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn end_output(&mut self, waker: &Waker) {
        let context = &mut Context::from_waker(waker);
        // A connection that is broken already needs no farewell, and this never waits for TCP.
        let _ = match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Socket::Unix(stream) => Pin::new(stream).poll_shutdown(context),
            Socket::Datagram(_) => return,
        };
    }
}

#[inline]
fn poll_write(
    stream: Pin<&mut impl AsyncWrite>,
    context: &mut Context<'_>,
    output: &Output,
) -> Poll<io::Result<usize>> {
    match output.contiguous() {
        Some(bytes) => stream.poll_write(context, bytes),
        None => {
            let mut slices: Vec<IoSlice<'_>> = Vec::with_capacity(SLICES_MAX);
            output.slices(&mut slices, SLICES_MAX);
            stream.poll_write_vectored(context, &slices)
        }
    }
}

/// A socket for the datagrams of many peers, registered with the reactor of the current thread.
#[derive(Debug)]
pub(crate) struct DatagramSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    /// Whether it has several addresses of ours.
    is_wildcard: bool,
}

impl DatagramSocket {
    /// Registers a non-blocking socket.
    ///
    /// # Errors
    /// The system has no memory for one more, or does not know what is asked of the socket.
    pub(crate) fn register(socket: net::UdpSocket) -> io::Result<Self> {
        let state = UdpSocketState::new((&socket).into())?;
        allow_fragments(&socket);
        let is_wildcard = socket.local_addr()?.ip().is_unspecified();
        Ok(DatagramSocket { socket: UdpSocket::from_std(socket)?, state, is_wildcard })
    }

    /// Receives a batch of datagrams, which may be empty. `false` when there are no more: `waker` is
    /// woken when there are.
    ///
    /// # Errors
    /// What the system says; it may concern something sent before.
    pub(crate) fn receive(&self, waker: &Waker, into: &mut Reception) -> io::Result<bool> {
        let context = &mut Context::from_waker(waker);
        (into.count, into.is_wildcard) = (0, self.is_wildcard);
        loop {
            let received = self.socket.try_io(Interest::READABLE, || {
                into.fill(|buffers, metas| self.state.recv((&self.socket).into(), buffers, metas))?;
                // A batch that is not full has left nothing, so the system is not asked again.
                if into.is_full() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
            });
            match received {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let more = self.socket.poll_recv_ready(context)?.is_ready();
            if !more || into.count > 0 {
                return Ok(more);
            }
        }
        Ok(true)
    }

    /// Sends one datagram from our address `local`, or from the one that the system chooses.
    /// `false` when the system takes none: `waker` is woken when it does again.
    ///
    /// # Errors
    /// It cannot be sent.
    pub(crate) fn send(
        &self,
        waker: &Waker,
        to: SocketAddr,
        local: Option<IpAddr>,
        bytes: &[u8],
    ) -> io::Result<bool> {
        let context = &mut Context::from_waker(waker);
        let transmit = |src_ip| Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: None,
            src_ip,
        };
        loop {
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                let socket = || (&self.socket).into();
                match self.state.try_send(socket(), &transmit(local)) {
                    // A broadcast has come to an address that nothing can be sent from.
                    Err(error) if is_refused(&error) && local.is_some() => {
                        self.state.try_send(socket(), &transmit(None))
                    }
                    sent => sent,
                }
            });
            match sent {
                Ok(()) => return Ok(true),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            if self.socket.poll_send_ready(context)?.is_pending() {
                return Ok(false);
            }
        }
    }
}

/// Has the system cut datagrams in pieces that are too long for a network, as it does of itself; the
/// state of a socket is made for those who find out how much fits. Over IPv6 that cannot be undone:
/// there a datagram that does not fit is not sent.
fn allow_fragments(socket: &net::UdpSocket) {
    // A system that does not know it cuts anyway.
    let _ = set_ip_mtu_discover(socket, Ipv4PathMtuDiscovery::WANT);
}

/// Whether the system does not send what it was given, whoever would get it.
fn is_refused(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::AddrNotAvailable)
}

/// Memory that all datagrams of a shard are received into, a batch at a time.
#[derive(Debug, Default)]
pub(crate) struct Reception {
    /// No size before the first batch.
    memory: Vec<u8>,
    metas: Vec<RecvMeta>,
    count: usize,
    is_wildcard: bool,
}

/// A datagram as it was received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Received<'d> {
    /// Where it comes from.
    pub(crate) from: SocketAddr,
    /// The address of ours that it was sent to, where the socket has several.
    pub(crate) local: Option<IpAddr>,
    /// Whether it was sent to everybody, and so has come to the sockets of all shards.
    pub(crate) is_for_all: bool,
    pub(crate) bytes: &'d [u8],
}

impl Reception {
    fn fill(
        &mut self,
        receive: impl FnOnce(&mut [IoSliceMut<'_>], &mut [RecvMeta]) -> io::Result<usize>,
    ) -> io::Result<()> {
        // The system only touches as much of it as datagrams are long.
        self.memory.resize(BATCH_SIZE * DATAGRAM_BYTES, 0);
        self.metas.resize(BATCH_SIZE, RecvMeta::default());
        let mut rest = self.memory.chunks_exact_mut(DATAGRAM_BYTES);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(rest.next().unwrap_or_default()));
        self.count = receive(&mut buffers, &mut self.metas)?;
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.count == BATCH_SIZE
    }

    /// Whether nothing was received.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The datagrams of the batch.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = Received<'_>> {
        let buffers = self.memory.chunks_exact(DATAGRAM_BYTES).zip(&self.metas).take(self.count);
        buffers.flat_map(|(buffer, meta)| {
            let is_for_all = meta.dst_ip.is_some_and(is_for_all);
            let local = meta.dst_ip.filter(|_| self.is_wildcard && !is_for_all);
            let mut rest = buffer.get(..meta.len).unwrap_or(buffer);
            // An empty one is one too.
            let pieces = rest.len().div_ceil(meta.stride.max(1)).max(1);
            (0..pieces).map(move |_| {
                let (bytes, behind) = rest.split_at(rest.len().min(meta.stride));
                rest = behind;
                Received { from: meta.addr, local, is_for_all, bytes }
            })
        })
    }
}

/// Whether an address means everybody. Broadcasts of networks cannot be told from others by their
/// address; they come to one socket only (`bind_udp`), except those that never leave the host.
fn is_for_all(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_multicast() || ip.is_broadcast() || ip == Ipv4Addr::new(127, 255, 255, 255)
        }
        IpAddr::V6(ip) => ip.is_multicast(),
    }
}

/// A listening socket of no reactor.
#[derive(Debug)]
pub(crate) enum ListenSocket {
    Tcp(net::TcpListener),
    Unix(unix::net::UnixListener),
}

impl ListenSocket {
    /// The same socket once more.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        match self {
            ListenSocket::Tcp(socket) => socket.try_clone().map(ListenSocket::Tcp),
            ListenSocket::Unix(socket) => socket.try_clone().map(ListenSocket::Unix),
        }
    }
}

/// A listener, registered with the reactor of the current thread.
#[derive(Debug)]
pub(crate) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listening {
    /// Registers a non-blocking listener.
    ///
    /// # Errors
    /// The system has no memory for one more.
    pub(crate) fn register(socket: ListenSocket) -> io::Result<Self> {
        match socket {
            ListenSocket::Tcp(socket) => TcpListener::from_std(socket).map(Listening::Tcp),
            ListenSocket::Unix(socket) => UnixListener::from_std(socket).map(Listening::Unix),
        }
    }

    /// Accepts once; the connection is registered with this thread's reactor. The address is
    /// `None` at a Unix socket. `Ok(None)` when nobody waits: `waker` is woken when somebody does.
    ///
    /// # Errors
    /// See [`gateway_transport::accept_fault`].
    pub(crate) fn accept(&self, waker: &Waker) -> io::Result<Option<(Socket, Option<SocketAddr>)>> {
        let context = &mut Context::from_waker(waker);
        let accepted = match self {
            Listening::Tcp(listener) => listener
                .poll_accept(context)
                .map_ok(|(stream, peer)| (Socket::Tcp(stream), Some(peer))),
            Listening::Unix(listener) => listener
                .poll_accept(context)
                .map_ok(|(stream, _)| (Socket::Unix(Box::new(stream)), None)),
        };
        match accepted {
            Poll::Pending => Ok(None),
            Poll::Ready(accepted) => accepted.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_datagrams_are_cut_and_not_lost() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _reactor = runtime.enter();
        for address in ["127.0.0.1:0", "[::]:0"] {
            let socket = net::UdpSocket::bind(address).unwrap();
            let socket = DatagramSocket::register(socket).unwrap();
            let rule = rustix::net::sockopt::ip_mtu_discover(&socket.socket).unwrap();
            assert_eq!(rule, Ipv4PathMtuDiscovery::WANT);
        }
    }

    #[test]
    fn a_socket_is_no_larger_than_the_runtimes() {
        assert_eq!(size_of::<Socket>(), size_of::<TcpStream>());
    }
}
