//! Which listeners there are, and how that changes while the node runs.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use core_model::{Event, Reason, ShardId};
use gateway_transport::SocketFile;

use crate::acceptor::{Acceptor, Listener};
use crate::events::HostEvent;
use crate::links::Phase;
use crate::reactor::{ListenSocket, Token};
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
    /// Its transport as the configuration names it: `tcp`, `tls`, `ws`, `wss` or `unix`.
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
    /// The shard that accepts.
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
    /// The same as its acceptor's, so that another listener can take the address over.
    socket: ListenSocket,
    /// Where it really listens.
    bind: Bind,
    /// The file of a Unix socket, removed when nobody has it any more.
    file: Option<Arc<SocketFile>>,
}

impl Place {
    fn listen(bind: &Bind, backlog: u32) -> io::Result<Self> {
        match bind {
            Bind::Tcp(address) => {
                let socket = gateway_transport::listen(*address, backlog)?;
                let bind = Bind::Tcp(socket.local_addr()?);
                Ok(Place { socket: ListenSocket::Tcp(socket), bind, file: None })
            }
            Bind::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
            Bind::Unix { path, mode } => {
                let socket = gateway_transport::listen_unix(path, *mode, backlog)?;
                let (socket, bind) = (ListenSocket::Unix(socket), bind.clone());
                let file = Some(Arc::new(SocketFile::new(path)?));
                Ok(Place { socket, bind, file })
            }
        }
    }

    fn try_clone(&self) -> io::Result<Self> {
        let socket = self.socket.try_clone()?;
        Ok(Place { socket, bind: self.bind.clone(), file: self.file.clone() })
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
        let steps = registry.prepare(wanted)?;
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
                for open in built.iter().take(done) {
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
        let socket = match stays {
            true => None,
            false => Some(open.place.socket.try_clone().map_err(error)?),
        };
        let job = move |shard: &mut ShardLoop| match socket {
            Some(socket) => shard.adopt(socket, listener),
            None => {
                shard.renew(listener);
                Ok(())
            }
        };
        let answer = self.shared.ask(open.owner, job);
        answer.map_err(|failure| error(io::Error::other(failure)))?.map_err(error)
    }

    /// Puts back what was there before `open` was adopted.
    fn undo(&self, registry: &Registry, open: &Open) {
        let number = open.listener.number;
        // Nothing is left to be done about a shard that does not answer.
        let _ = match registry.by_number(number) {
            Some(old) => self.adopt(&Registry::default(), old).map_err(drop),
            None => self.shared.ask(open.owner, move |shard| shard.retire(number)).map_err(drop),
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
    fn prepare(&self, wanted: Vec<ListenerConfig>) -> Result<Vec<Step>, StartError> {
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
                None => find_place(&config, &left, &steps),
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
fn find_place(config: &ListenerConfig, left: &[&Open], steps: &[Step]) -> io::Result<Place> {
    let wanted = &config.bind;
    let is_taken = steps.iter().any(|step| is_same_place(&step.place.bind, wanted));
    let leaving = left.iter().find(|open| is_same_place(&open.place.bind, wanted));
    match leaving {
        Some(open) if !is_taken => open.place.try_clone(),
        _ => Place::listen(wanted, config.backlog),
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

    /// Gives a listener new settings.
    pub(crate) fn renew(&mut self, listener: Arc<Listener>) {
        let number = listener.number;
        if let Some(acceptor) = self.acceptors.iter_mut().find(|a| a.number() == number) {
            acceptor.renew(listener);
        }
    }

    /// Accepts no more for a listener.
    pub(crate) fn retire(&mut self, number: u16) {
        self.acceptors.retain(|acceptor| acceptor.number() != number);
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
