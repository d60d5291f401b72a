//! The sockets of a shard's datagram listeners, and sending through them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::Waker;

use core_model::{ShardId, Timestamp};

use crate::acceptor::{LOG_PAUSE_MS, Listener};
use crate::events::HostEvent;
use crate::links::{Links, discard, reclaim};
use crate::paths::{Path, PathKind, Paths};
use crate::reactor::{DatagramSocket, Reception, Socket};
use crate::sources::Strays;
use crate::{HostCounters, Output};

/// A shard's part of one datagram listener.
#[derive(Debug)]
pub(crate) struct Port {
    socket: DatagramSocket,
    waker: Waker,
    pub(crate) listener: Arc<Listener>,
    /// The place of the link for what is nobody's.
    pub(crate) commons: Option<u32>,
    /// How much comes that is of no link.
    pub(crate) strays: Strays,
    /// Whether something may have come.
    ready: bool,
    /// While it rests since reading failed.
    resume_at: Option<Timestamp>,
    logged_at: Option<Timestamp>,
    /// Links that wait for the socket to take output.
    blocked: Vec<u32>,
    /// Links of this shard that send through it.
    links: usize,
    /// Whether it is only there for the farewells of its links.
    retired: bool,
}

impl Port {
    /// For the datagrams that come to `socket`.
    pub(crate) fn new(socket: DatagramSocket, waker: Waker, listener: Arc<Listener>) -> Self {
        Port {
            socket,
            waker,
            listener,
            commons: None,
            strays: Strays::default(),
            ready: true,
            resume_at: None,
            logged_at: None,
            blocked: Vec::new(),
            links: 0,
            retired: false,
        }
    }

    /// Sends and receives through another socket from now on.
    pub(crate) fn rebind(&mut self, socket: DatagramSocket) {
        (self.socket, self.ready, self.resume_at) = (socket, true, None);
    }

    /// Whether [`Self::receive`] has something to do at `now`.
    pub(crate) fn is_ready(&self, now: Timestamp) -> bool {
        self.ready && !self.retired && self.resume_at.is_none_or(|at| at <= now)
    }

    /// When it has to be looked at although nothing was reported.
    pub(crate) fn resume_at(&self) -> Option<Timestamp> {
        self.resume_at.filter(|_| !self.retired)
    }

    /// Receives a batch; whether there was one. The port rests for `pause_ms` after a failure.
    pub(crate) fn receive(
        &mut self,
        into: &mut Reception,
        (now, pause_ms): (Timestamp, u64),
        counters: &mut HostCounters,
    ) -> bool {
        self.resume_at = None;
        match self.socket.receive(&self.waker, into) {
            Ok(more) => {
                self.ready = more;
                !into.is_empty()
            }
            // An answer to something that was sent; the next call reads again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => false,
            Err(error) => {
                counters.accept_pauses += 1;
                self.resume_at = Some(now.plus_millis(pause_ms));
                if self.logged_at.is_none_or(|at| at.plus_millis(LOG_PAUSE_MS) <= now) {
                    self.logged_at = Some(now);
                    let listener = &self.listener.facts.name;
                    HostEvent::AcceptPaused { listener, error: &error }.emit();
                }
                false
            }
        }
    }

    /// Sends one datagram; `false` when the socket takes none now.
    pub(crate) fn send(
        &self,
        to: SocketAddr,
        local: Option<IpAddr>,
        bytes: &[u8],
        counters: &mut HostCounters,
    ) -> bool {
        match self.socket.send(&self.waker, to, local, bytes) {
            Ok(true) => counters.datagrams_sent += 1,
            Ok(false) => return false,
            // Nobody waits for it: what matters is repeated by whoever misses the answer.
            Err(_) => counters.datagrams_unsent += 1,
        }
        true
    }
}

/// The datagram listeners of a shard, and the paths of its peers.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) list: Vec<Port>,
    pub(crate) paths: Paths,
    /// What a machine says to others than the peer of its link, for the length of a call.
    pub(crate) aside: Output,
    /// Links that are nobody's.
    pub(crate) commons: usize,
}

impl Ports {
    /// None yet, of `shard`.
    pub(crate) fn new(shard: ShardId) -> Self {
        let (list, paths) = (Vec::new(), Paths::new(shard));
        Ports { list, paths, aside: Output::for_datagrams(), commons: 0 }
    }

    /// That of a listener, also while it is only there for farewells.
    pub(crate) fn of(&mut self, number: u16) -> Option<&mut Port> {
        self.list.iter_mut().find(|port| port.listener.number == number)
    }

    /// Whether one of them has something to read.
    pub(crate) fn is_ready(&self, now: Timestamp) -> bool {
        self.list.iter().any(|port| port.is_ready(now))
    }

    /// Paths that there may be: one for each link.
    pub(crate) fn paths_max(&self) -> usize {
        self.list.iter().fold(0, |sum, port| sum.saturating_add(port.listener.max_connections))
    }

    /// A link with this path is there.
    pub(crate) fn link_opened(&mut self, number: u16, path: &Path) {
        self.commons += usize::from(path.kind == PathKind::Commons);
        if let Some(port) = self.of(number) {
            port.links += 1;
        }
    }

    /// A link with this path is gone.
    pub(crate) fn link_gone(&mut self, number: u16, index: u32, path: &Path) {
        self.commons -= usize::from(path.kind == PathKind::Commons);
        let Some(port) = self.of(number) else { return };
        port.links = port.links.saturating_sub(1);
        if port.commons == Some(index) {
            port.commons = None;
        }
        self.drop_retired();
    }

    /// Reads no more for a listener; its socket stays until the links are gone.
    pub(crate) fn retire(&mut self, number: u16) {
        if let Some(port) = self.of(number) {
            port.retired = true;
        }
        self.drop_retired();
    }

    fn drop_retired(&mut self) {
        let gone = self.list.iter().position(|port| port.retired && port.links == 0);
        if let Some(place) = gone {
            let port = self.list.swap_remove(place);
            self.paths.forget_listener(port.listener.number);
        }
    }
}

/// Writing to datagram links.
impl Links {
    /// A port's socket can be read or written.
    pub(crate) fn wake_port(&mut self, number: u16) {
        let Some(port) = self.ports.of(number) else { return };
        port.ready = true;
        for index in std::mem::take(&mut port.blocked) {
            if let Some(link) = self.at(index) {
                link.blocked = false;
                self.touch(index);
            }
        }
    }

    /// Sends the frames that wait on a datagram link until the socket takes no more.
    pub(crate) fn write_datagrams(&mut self, index: u32) {
        let Some(link) = self.table.at_mut(index) else { return };
        let Socket::Datagram(path) = &link.socket else { return };
        let Some(port) = self.ports.list.iter_mut().find(|p| p.listener.number == link.listener)
        else {
            return discard(&mut link.output, &mut self.pool);
        };
        let (mut taken, mut bytes) = (0, 0);
        for frame in link.output.frames_from(0) {
            let to = match path.kind {
                PathKind::Commons => frame.to,
                PathKind::Peer | PathKind::Relay => Some(frame.to.unwrap_or(path.destination())),
            };
            let local = path.local.filter(|_| frame.to.is_none());
            if let Some(to) = to {
                if !port.send(to, local, frame.bytes, &mut self.counters) {
                    link.blocked = true;
                    link.stalled_since.get_or_insert(self.now);
                    port.blocked.push(index);
                    break;
                }
                bytes += frame.bytes.len();
            }
            taken += frame.size;
        }
        if taken > 0 {
            link.stalled_since = None;
            link.traffic.bytes_written += bytes as u64;
            self.counters.writes += 1;
            self.counters.bytes_written += bytes as u64;
            self.per_listener.at(link.listener).bytes_written += bytes as u64;
            reclaim(&mut link.output, taken, &mut self.pool);
        }
    }

    /// Sends what a machine has said aside, through the port of listener `number`: to `to`, unless a
    /// frame has its own destination, and at most so many bytes to there.
    pub(crate) fn send_aside(
        &mut self,
        number: u16,
        to: SocketAddr,
        local: Option<IpAddr>,
        bytes_max: &mut usize,
    ) {
        let Links { ports: Ports { list, aside, .. }, counters, per_listener, .. } = self;
        if let Some(port) = list.iter().find(|port| port.listener.number == number) {
            for frame in aside.frames_from(0) {
                let len = frame.bytes.len();
                let sent = match frame.to {
                    Some(to) => port.send(to, None, frame.bytes, counters),
                    None if len > *bytes_max => {
                        counters.datagrams_withheld += 1;
                        continue;
                    }
                    None => {
                        *bytes_max -= len;
                        port.send(to, local, frame.bytes, counters)
                    }
                };
                if sent {
                    counters.bytes_written += len as u64;
                    per_listener.at(number).bytes_written += len as u64;
                } else {
                    counters.datagrams_unsent += 1;
                }
            }
        }
        discard(aside, &mut self.pool);
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use core_model::{Event, GatewayId, LinkId, Reason};
    use tokio::runtime::{Builder, Runtime};

    use super::*;
    use crate::links::{LooseLink, Traffic};
    use crate::reactor::{ReadyList, Token};
    use crate::unread::Unread;
    use crate::{
        Bind, Context, Gateway, HostLimits, Link, LinkFacts, ListenerConfig, ListenerFacts,
        Progress,
    };

    struct Mute;

    impl Gateway for Mute {
        fn name(&self) -> &'static str {
            "mute"
        }

        fn id(&self) -> GatewayId {
            GatewayId(1)
        }

        fn open(&self, _link: &LinkFacts, _now: Timestamp) -> Box<dyn Link> {
            Box::new(Mute)
        }
    }

    impl Link for Mute {
        fn on_input<'a>(&mut self, input: &'a [u8], _context: &mut Context<'a, '_>) -> Progress {
            Progress::Frame(input.len())
        }

        fn on_event(&mut self, _slot: u32, _event: Event<'_>, _cx: &mut Context<'static, '_>) {}

        fn on_deadline(&mut self, _context: &mut Context<'static, '_>) {}

        fn on_close(&mut self, _reason: Reason, _context: &mut Context<'static, '_>) {}

        fn on_backpressure(&mut self, _blocked: bool, _context: &mut Context<'static, '_>) {}

        fn version(&self) -> Option<&'static str> {
            None
        }

        fn quiet_until(&self) -> Option<Timestamp> {
            None
        }

        fn next_deadline(&self) -> Option<Timestamp> {
            None
        }

        fn is_ready(&self) -> bool {
            true
        }
    }

    /// A port with one link, on a reactor that has not looked at the socket yet: it counts as one
    /// that takes nothing until then.
    struct Scene {
        runtime: Runtime,
        ready: Arc<ReadyList>,
        links: Links,
        link: LinkId,
        peer: UdpSocket,
    }

    impl Scene {
        fn new() -> Scene {
            let runtime = Builder::new_current_thread().enable_io().build().unwrap();
            let ready = Arc::new(ReadyList::default());
            let now = Timestamp::from_millis(1_000_000);
            let mut links = Links::new(ShardId(0), now, HostLimits::default(), Arc::clone(&ready));
            let facts = Arc::new(ListenerFacts::default());
            let any = "127.0.0.1:0".parse().unwrap();
            let config = ListenerConfig::new(facts, Bind::Udp(any), Arc::new(Mute));
            let listener = Listener::new(3, &config);
            let peer = UdpSocket::bind(any).unwrap();
            peer.set_nonblocking(true).unwrap();
            let socket = UdpSocket::bind(any).unwrap();
            let socket = {
                let _reactor = runtime.enter();
                DatagramSocket::register(socket).unwrap()
            };
            let waker = ready.waker(Token::Datagrams(3));
            links.ports.list.push(Port::new(socket, waker, Arc::clone(&listener)));
            let path = Path {
                peer: peer.local_addr().unwrap(),
                via: None,
                local: None,
                arrival: ShardId(0),
                kind: PathKind::Peer,
                identity: 0,
            };
            let loose = LooseLink {
                machine: Box::new(Mute),
                permit: listener.admit_peer(path.peer, now).unwrap(),
                output: Output::for_datagrams(),
                unread: Unread::Nothing,
                wire: None,
                pace: None,
                traffic: Traffic::new(now),
                may_move: false,
            };
            let link = links.insert(Socket::Datagram(Box::new(path)), loose);
            links.take_path(link.index);
            Scene { runtime, ready, links, link, peer }
        }

        fn say(&mut self, texts: &[&str]) {
            let link = self.links.at(self.link.index).unwrap();
            for text in texts {
                link.output.frame_with(|out| out.extend_from_slice(text.as_bytes()));
            }
            self.links.touch(self.link.index);
            self.links.finish();
        }

        /// Lets the reactor look at the socket, and the shard hear of it.
        fn look(&mut self) {
            self.runtime.block_on(async {
                while self.ready.is_empty() {
                    tokio::task::yield_now().await;
                }
            });
            let mut tokens = Vec::new();
            self.ready.take(&mut tokens);
            assert!(tokens.contains(&Token::Datagrams(3)), "{tokens:?}");
            self.links.wake_port(3);
            self.links.finish();
        }

        fn heard(&self) -> Vec<String> {
            let mut buffer = [0; 100];
            let mut heard = Vec::new();
            while heard.len() < 3 {
                match self.peer.recv(&mut buffer) {
                    Ok(len) => heard.push(String::from_utf8(buffer[..len].to_vec()).unwrap()),
                    Err(_) => std::thread::yield_now(),
                }
            }
            heard
        }
    }

    #[test]
    fn what_the_socket_does_not_take_waits_in_order() {
        let mut scene = Scene::new();
        scene.say(&["one", "two"]);
        scene.say(&["three"]);
        let link = scene.links.at(scene.link.index).unwrap();
        assert!(link.blocked && link.stalled_since.is_some());
        assert_eq!(link.output.datagrams().count(), 3);
        assert_eq!(scene.links.counters.datagrams_sent, 0);
        scene.look();
        assert_eq!(scene.heard(), ["one", "two", "three"]);
        let link = scene.links.at(scene.link.index).unwrap();
        assert!(!link.blocked && link.stalled_since.is_none() && link.output.is_empty());
        assert_eq!((link.traffic.bytes_written, scene.links.counters.datagrams_sent), (11, 3));
    }

    #[test]
    fn a_link_whose_socket_takes_nothing_is_closed_after_a_while() {
        let mut scene = Scene::new();
        scene.say(&["one"]);
        scene.links.now = scene.links.now.plus_seconds(scene.links.limits.write_stall_timeout_s);
        scene.links.on_timer(scene.link.index);
        scene.links.finish();
        assert!(scene.links.at(scene.link.index).is_none());
        assert_eq!((scene.links.counters.links_stalled, scene.links.len()), (1, 0));
        let port = scene.links.ports.of(3).unwrap();
        assert_eq!((port.links, port.listener.connections()), (0, 0));
        // The socket that is writable at last finds nobody.
        scene.look();
    }

    #[test]
    fn a_port_stays_for_the_farewells_of_its_links() {
        let mut scene = Scene::new();
        scene.links.ports.retire(3);
        assert!(!scene.links.ports.is_ready(scene.links.now));
        scene.links.close(scene.link.index, crate::Close::Flush(Reason::SERVER_SHUTTING_DOWN));
        scene.say(&["one", "two", "three"]);
        assert!(scene.links.ports.of(3).is_some());
        scene.look();
        assert_eq!(scene.heard(), ["one", "two", "three"]);
        assert!(scene.links.ports.of(3).is_none());
    }
}
