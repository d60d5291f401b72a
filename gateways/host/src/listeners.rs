//! Which listeners there are, and how that changes while the node runs.

use std::fs::{self, Permissions};
use std::io;
use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use core_model::{Event, Reason, ShardId};
use gateway_transport::SocketFile;

use crate::acceptor::{Acceptor, Listener};
use crate::events::HostEvent;
use crate::links::Phase;
use crate::ports::Port;
use crate::reactor::{DatagramSocket, ListenSocket, Token};
use crate::shard_loop::ShardLoop;
use crate::shared::{NodeShared, lock};
use crate::{Bind, Close, ListenerConfig, ListenerCounters, NodeCounters, StartError};

/// Places of the table of links that a sweep looks at in one turn.
const SWEEP_PLACES: u32 = 1_024;

/// What a change of the listeners comes to, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerChanges {
    /// New ones.
    pub opened: Vec<Box<str>>,
    /// Those that are gone, with the number of connections that end with them.
    pub closed: Vec<(Box<str>, usize)>,
    /// Those that listen elsewhere now; their connections stay.
    pub moved: Vec<Box<str>>,
    /// Those that are where they were; their settings count for new connections.
    pub kept: Vec<Box<str>>,
}

impl ListenerChanges {
    /// Connections that end.
    #[must_use]
    pub fn connections_closed(&self) -> usize {
        self.closed.iter().map(|(_, connections)| connections).sum()
    }
}

/// One listener as it is now.
#[derive(Clone, Debug)]
pub struct ListenerStatus {
    /// Its number on this node.
    pub number: u16,
    /// Its name.
    pub name: Box<str>,
    /// Name of its gateway.
    pub gateway: &'static str,
    /// Its transport as the configuration names it: `tcp`, `tls`, `ws`, `wss`, `unix` or `udp`.
    pub transport: &'static str,
    /// Where it listens, with the port that the system chose.
    pub bind: Bind,
    /// Connections now.
    pub connections: usize,
    /// Connections that it may have.
    pub max_connections: usize,
    /// Connections that were refused for their source.
    pub refused_by_source: u64,
    /// What its links have done, no older than the interval at which counters are shown.
    pub counters: ListenerCounters,
}

/// All listeners of a node. A change is made by one thread at a time.
#[derive(Debug)]
pub(crate) struct Listeners {
    shared: Arc<NodeShared>,
    registry: Mutex<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    open: Vec<Open>,
    next_number: u16,
    ended: bool,
}

/// An open listener.
#[derive(Debug)]
struct Open {
    listener: Arc<Listener>,
    /// Where it was to listen.
    wanted: Bind,
    place: Place,
    /// The shard that accepts connections.
    owner: ShardId,
}

impl Open {
    fn name(&self) -> &str {
        &self.listener.facts.name
    }
}

/// A socket that listens. Clones are the same socket.
#[derive(Debug)]
struct Place {
    /// The same as those of the shards, so that another listener can take the address over.
    sockets: Sockets,
    /// Where it really listens.
    bind: Bind,
    /// The file of a Unix socket, removed when nobody has it any more.
    file: Option<Arc<SocketFile>>,
}

/// The sockets of a place.
#[derive(Debug)]
enum Sockets {
    /// One, from which connections are accepted.
    Stream(ListenSocket),
    /// One for each shard, which share an address.
    Datagram(Vec<UdpSocket>),
}

impl Sockets {
    fn try_clone(&self) -> io::Result<Self> {
        match self {
            Sockets::Stream(socket) => socket.try_clone().map(Sockets::Stream),
            Sockets::Datagram(sockets) => {
                let clones: io::Result<_> = sockets.iter().map(UdpSocket::try_clone).collect();
                clones.map(Sockets::Datagram)
            }
        }
    }
}

impl Place {
    fn listen(config: &ListenerConfig, shards: u16) -> io::Result<Self> {
        let (bind, backlog) = (&config.bind, config.backlog);
        match bind {
            Bind::Tcp(address) => {
                let socket = gateway_transport::listen(*address, backlog)?;
                let bind = Bind::Tcp(socket.local_addr()?);
                let sockets = Sockets::Stream(ListenSocket::Tcp(socket));
                Ok(Place { sockets, bind, file: None })
            }
            Bind::Udp(address) => {
                let buffer_bytes = config.datagrams.receive_buffer_bytes;
                let shards = usize::from(shards.max(1));
                let sockets = gateway_transport::bind_udp(*address, shards, buffer_bytes)?;
                let first = sockets.first().ok_or(io::ErrorKind::NotFound)?;
                let bind = Bind::Udp(first.local_addr()?);
                Ok(Place { sockets: Sockets::Datagram(sockets), bind, file: None })
            }
            Bind::Unix { path, mode } => {
                let socket = gateway_transport::listen_unix(path, *mode, backlog)?;
                let sockets = Sockets::Stream(ListenSocket::Unix(socket));
                let file = Some(Arc::new(SocketFile::new(path)?));
                Ok(Place { sockets, bind: bind.clone(), file })
            }
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        let sockets = self.sockets.try_clone()?;
        Ok(Place { sockets, bind: self.bind.clone(), file: self.file.clone() })
    }

    /// Gives the file the permissions that `wanted` asks for, if they are others than before.
    fn set_mode(&mut self, wanted: &Bind) -> io::Result<()> {
        let Bind::Unix { path, mode: Some(mode) } = wanted else { return Ok(()) };
        if self.bind != *wanted {
            fs::set_permissions(path, Permissions::from_mode(*mode))?;
            self.bind = wanted.clone();
        }
        Ok(())
    }
}

/// What becomes of one listener of a new configuration.
struct Step {
    config: ListenerConfig,
    /// The open listener of this name.
    old: Option<usize>,
    place: Place,
}

impl Listeners {
    /// None yet.
    pub(crate) fn new(shared: Arc<NodeShared>) -> Self {
        Listeners { shared, registry: Mutex::default() }
    }

    /// Names and addresses.
    pub(crate) fn addresses(&self) -> Vec<(Box<str>, Bind)> {
        let registry = lock(&self.registry);
        registry.open.iter().map(|open| (open.name().into(), open.place.bind.clone())).collect()
    }

    /// All listeners; `counters` are the node's.
    pub(crate) fn status(&self, counters: &NodeCounters) -> Vec<ListenerStatus> {
        let registry = lock(&self.registry);
        let statuses = registry.open.iter().map(|open| ListenerStatus {
            number: open.listener.number,
            name: open.name().into(),
            gateway: open.listener.gateway.name(),
            transport: open.listener.transport,
            bind: open.place.bind.clone(),
            connections: open.listener.connections(),
            max_connections: open.listener.max_connections,
            refused_by_source: open.listener.refused_by_source(),
            counters: counters.listeners.of(open.listener.number),
        });
        statuses.collect()
    }

    /// What [`Self::apply`] would do.
    pub(crate) fn plan(&self, wanted: &[ListenerConfig]) -> ListenerChanges {
        lock(&self.registry).plan(wanted)
    }

    /// Makes the listeners those of `wanted`, or leaves everything as it is.
    pub(crate) fn apply(&self, wanted: Vec<ListenerConfig>) -> Result<ListenerChanges, StartError> {
        let mut registry = lock(&self.registry);
        if registry.ended {
            return Err(StartError::Ending);
        }
        let changes = registry.plan(&wanted);
        let steps = registry.prepare(wanted, self.shared.shards)?;
        let new = steps.iter().filter(|step| step.old.is_none()).count();
        if usize::from(registry.next_number) + new > usize::from(u16::MAX) {
            return Err(StartError::TooManyListeners);
        }
        let built = registry.build(steps, self.shared.shards);
        self.adopt_all(&registry, &built)?;
        self.retire_all(&registry, &built);
        registry.open = built;
        registry.log(&changes);
        Ok(changes)
    }

    /// Lets all sockets go, for good; the shards do the same with theirs.
    pub(crate) fn close(&self) {
        let mut registry = lock(&self.registry);
        registry.ended = true;
        registry.open.clear();
    }

    /// Has the shards accept at all sockets of `built`. When one cannot, it is as before.
    fn adopt_all(&self, registry: &Registry, built: &[Open]) -> Result<(), StartError> {
        for (done, open) in built.iter().enumerate() {
            if let Err(error) = self.adopt(registry, open) {
                // A part of the shards may have taken the one that failed.
                for open in built.iter().take(done + 1) {
                    self.undo(registry, open);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    fn adopt(&self, registry: &Registry, open: &Open) -> Result<(), StartError> {
        let listener = Arc::clone(&open.listener);
        let error = |source| StartError::Listen {
            name: open.name().into(),
            bind: open.wanted.clone(),
            source,
        };
        let old = registry.by_number(listener.number);
        let stays = old.is_some_and(|old| is_same_place(&old.place.bind, &open.place.bind));
        if stays {
            let answer = self.shared.ask_all(move |shard| shard.renew(&listener));
            return answer.map(drop).map_err(|failure| error(io::Error::other(failure)));
        }
        match open.place.sockets.try_clone().map_err(error)? {
            Sockets::Stream(socket) => {
                let job = move |shard: &mut ShardLoop| shard.adopt(socket, listener);
                let answer = self.shared.ask(open.owner, job);
                answer.map_err(|failure| error(io::Error::other(failure)))?.map_err(error)
            }
            Sockets::Datagram(sockets) => {
                for (socket, to) in sockets.into_iter().zip(self.shared.mesh.shards()) {
                    let listener = Arc::clone(&listener);
                    let job = move |shard: &mut ShardLoop| shard.adopt_port(socket, listener);
                    let answer = self.shared.ask(to, job);
                    let answer = answer.map_err(|failure| error(io::Error::other(failure)));
                    answer?.map_err(error)?;
                }
                Ok(())
            }
        }
    }

    /// Puts back what was there before `open` was adopted.
    fn undo(&self, registry: &Registry, open: &Open) {
        let number = open.listener.number;
        // Nothing is left to be done about a shard that does not answer.
        let _ = match registry.by_number(number) {
            Some(old) => self.adopt(&Registry::default(), old).map_err(drop),
            None => self.shared.ask_all(move |shard| shard.abandon(number)).map(drop).map_err(drop),
        };
    }

    /// Closes the listeners that `built` does not have any more, and their links.
    fn retire_all(&self, registry: &Registry, built: &[Open]) {
        for gone in &registry.open {
            let number = gone.listener.number;
            let stays = built.iter().any(|open| open.listener.number == number);
            if !stays {
                gone.listener.close();
                // A shard that does not answer has failed, and its links with it.
                let _ = self.shared.ask_all(move |shard| {
                    shard.retire(number);
                    shard.sweeps.push(Sweep::of_listener(number));
                });
            }
        }
    }
}

impl Registry {
    fn by_number(&self, number: u16) -> Option<&Open> {
        self.open.iter().find(|open| open.listener.number == number)
    }

    fn by_name(&self, name: &str) -> Option<usize> {
        self.open.iter().position(|open| open.name() == name)
    }

    fn plan(&self, wanted: &[ListenerConfig]) -> ListenerChanges {
        let mut changes = ListenerChanges::default();
        for config in wanted {
            let name = config.facts.name.clone();
            let old = self.by_name(&name).and_then(|place| self.open.get(place));
            match old {
                None => changes.opened.push(name),
                Some(old) if is_same_place(&old.wanted, &config.bind) => changes.kept.push(name),
                Some(_) => changes.moved.push(name),
            }
        }
        for open in &self.open {
            if !wanted.iter().any(|config| *config.facts.name == *open.name()) {
                changes.closed.push((open.name().into(), open.listener.connections()));
            }
        }
        changes
    }

    /// Opens the sockets that are missing.
    fn prepare(&self, wanted: Vec<ListenerConfig>, shards: u16) -> Result<Vec<Step>, StartError> {
        let stays = |open: &&Open| {
            wanted.iter().any(|config| {
                *config.facts.name == *open.name() && is_same_place(&open.wanted, &config.bind)
            })
        };
        let (kept, left): (Vec<&Open>, Vec<&Open>) = self.open.iter().partition(stays);
        let mut steps: Vec<Step> = Vec::new();
        for config in wanted {
            let name = &config.facts.name;
            if steps.iter().any(|step| step.config.facts.name == *name) {
                return Err(StartError::SameName { name: name.clone() });
            }
            let old = self.by_name(name);
            let place = match kept.iter().find(|open| *open.name() == **name) {
                Some(kept) => kept.place.try_clone(),
                None => find_place(&config, &left, &steps, shards),
            };
            let place = place.map_err(|source| cannot_listen(&config, source))?;
            steps.push(Step { config, old, place });
        }
        for step in &mut steps {
            let done = step.place.set_mode(&step.config.bind);
            done.map_err(|source| cannot_listen(&step.config, source))?;
        }
        Ok(steps)
    }

    /// The listeners as they are to be.
    fn build(&mut self, steps: Vec<Step>, shards: u16) -> Vec<Open> {
        let mut built = Vec::new();
        for Step { config, old, place } in steps {
            let old = old.and_then(|place| self.open.get(place));
            let (listener, owner) = match old {
                Some(old) => (old.listener.renewed(&config), old.owner),
                None => {
                    let number = self.next_number;
                    self.next_number += 1;
                    (Listener::new(number, &config), ShardId(number % shards.max(1)))
                }
            };
            built.push(Open { listener, wanted: config.bind, place, owner });
        }
        built
    }

    fn log(&self, changes: &ListenerChanges) {
        for open in &self.open {
            let (listener, gateway) = (open.name(), open.listener.gateway.name());
            let mut new = changes.opened.iter().chain(&changes.moved);
            if new.any(|name| **name == *listener) {
                HostEvent::ListenerOpened { listener, gateway, bind: &open.place.bind }.emit();
            }
        }
        for (listener, links) in &changes.closed {
            HostEvent::ListenerClosed { listener, links: *links }.emit();
        }
    }
}

/// Whether two binds mean the same socket.
fn is_same_place(one: &Bind, other: &Bind) -> bool {
    match (one, other) {
        (Bind::Unix { path: one, .. }, Bind::Unix { path: other, .. }) => one == other,
        (one, other) => one == other,
    }
}

/// A place for a listener: that of one which leaves it and whose socket no other step has taken, or
/// a new one.
fn find_place(
    config: &ListenerConfig,
    left: &[&Open],
    steps: &[Step],
    shards: u16,
) -> io::Result<Place> {
    let wanted = &config.bind;
    let is_taken = steps.iter().any(|step| is_same_place(&step.place.bind, wanted));
    let leaving = left.iter().find(|open| is_same_place(&open.place.bind, wanted));
    match leaving {
        Some(open) if !is_taken => open.place.try_clone(),
        _ => Place::listen(config, shards),
    }
}

fn cannot_listen(config: &ListenerConfig, source: io::Error) -> StartError {
    StartError::Listen { name: config.facts.name.clone(), bind: config.bind.clone(), source }
}

/// A walk over the links of a shard that closes some of them, a part in each turn.
#[derive(Debug)]
pub(crate) struct Sweep {
    next: u32,
    /// The number of the listener whose links are closed; `None` for all links, when the node ends.
    listener: Option<u16>,
}

impl Sweep {
    /// Over the links of one listener.
    pub(crate) fn of_listener(number: u16) -> Self {
        Sweep { next: 0, listener: Some(number) }
    }

    /// Over all links.
    pub(crate) fn of_drain() -> Self {
        Sweep { next: 0, listener: None }
    }
}

impl ShardLoop {
    /// Accepts connections at `socket`, and no longer at the one that the listener had.
    pub(crate) fn adopt(
        &mut self,
        socket: ListenSocket,
        listener: Arc<Listener>,
    ) -> io::Result<()> {
        if self.is_draining() {
            return Ok(());
        }
        let number = listener.number;
        let waker = self.ready.waker(Token::Listener(number));
        let acceptor = Acceptor::new(socket, waker, listener)?;
        self.retire(number);
        self.acceptors.push(acceptor);
        Ok(())
    }

    /// Receives datagrams at `socket`, and no longer at the one that the listener had.
    pub(crate) fn adopt_port(
        &mut self,
        socket: UdpSocket,
        listener: Arc<Listener>,
    ) -> io::Result<()> {
        if self.is_draining() {
            return Ok(());
        }
        let socket = DatagramSocket::register(socket)?;
        if let Some(port) = self.links.ports.of(listener.number) {
            port.rebind(socket);
            // The old socket wakes nobody any more.
            self.links.wake_port(listener.number);
            self.renew(&listener);
        } else {
            let waker = self.ready.waker(Token::Datagrams(listener.number));
            self.links.ports.list.push(Port::new(socket, waker, Arc::clone(&listener)));
            self.open_commons(&listener);
        }
        Ok(())
    }

    /// Gives a listener new settings.
    pub(crate) fn renew(&mut self, listener: &Arc<Listener>) {
        let number = listener.number;
        if let Some(acceptor) = self.acceptors.iter_mut().find(|a| a.number() == number) {
            acceptor.renew(Arc::clone(listener));
        }
        if let Some(port) = self.links.ports.of(number) {
            port.listener = Arc::clone(listener);
            // The link for what is nobody's has no settings of its own time.
            if let Some(commons) = port.commons.take() {
                self.links.close(commons, Close::Now(Reason::UNSPECIFIED));
                self.apply_pending();
            }
            self.open_commons(listener);
        }
    }

    /// Accepts and reads no more for a listener.
    pub(crate) fn retire(&mut self, number: u16) {
        self.acceptors.retain(|acceptor| acceptor.number() != number);
        self.links.ports.retire(number);
    }

    /// The same for one that has just been opened in vain, with links that it may have already.
    pub(crate) fn abandon(&mut self, number: u16) {
        self.retire(number);
        self.sweeps.push(Sweep::of_listener(number));
    }

    /// Goes on with all sweeps.
    pub(crate) fn sweep(&mut self) {
        if self.sweeps.is_empty() {
            return;
        }
        for mut sweep in std::mem::take(&mut self.sweeps) {
            // First the core tells all its slots, of which a link may have several.
            if sweep.listener.is_none() && self.shard.has_work() {
                self.sweeps.push(sweep);
                continue;
            }
            let end = self.links.table.end();
            let stop = end.min(sweep.next.saturating_add(SWEEP_PLACES));
            for index in sweep.next..stop {
                self.sweep_link(index, sweep.listener);
            }
            sweep.next = stop;
            if stop < end {
                self.sweeps.push(sweep);
            }
        }
    }

    fn sweep_link(&mut self, index: u32, listener: Option<u16>) {
        let Some(link) = self.links.at(index) else { return };
        let concerned = listener.is_none_or(|number| link.listener == number);
        if !concerned || !matches!(link.phase, Phase::Open(_)) {
            return;
        }
        if link.connected {
            self.links.call(index, |machine, context| {
                machine.on_event(0, Event::Draining, context);
            });
            self.apply_pending();
        }
        // Has no effect on a link whose machine is through with it.
        self.links.close(index, Close::Flush(Reason::SERVER_SHUTTING_DOWN));
        self.apply_pending();
    }
}
