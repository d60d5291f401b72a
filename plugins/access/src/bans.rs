use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use core_model::{Evidence, Gate, Identity, Reason, Timestamp};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longest reason and longest name of who banned, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

/// Milliseconds between two searches for bans that have ended, on behalf of clients.
const ROOM_PAUSE_MS: u64 = 1_000;

/// Largest file of bans, in bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Whom a ban keeps out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BanTarget {
    /// Clients with this identifier, whatever their gateway.
    ClientId(Box<str>),
    /// Clients that prove to be this user.
    User(Box<str>),
    /// Clients from these addresses: a network, or one address as its narrowest network.
    Address(IpNet),
}

impl BanTarget {
    /// The word for its kind: `client`, `user`, `address`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            BanTarget::ClientId(_) => "client",
            BanTarget::User(_) => "user",
            BanTarget::Address(_) => "address",
        }
    }

    /// An address or a network, such as `10.0.0.0/8`; bits behind the prefix are cleared. An IPv4
    /// address written as an IPv6 one is the IPv4 address, as in what is known of a client.
    ///
    /// # Errors
    /// When `text` is neither.
    pub fn parse_address(text: &str) -> Result<Self, BanError> {
        let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
        let network = address.or_else(|_| text.parse());
        let network: IpNet = network.map_err(|_| BanError::Address(text.into()))?;
        Ok(BanTarget::Address(network.trunc()))
    }
}

impl fmt::Display for BanTarget {
    /// The value without its kind.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BanTarget::ClientId(name) | BanTarget::User(name) => f.write_str(name),
            BanTarget::Address(net) if net.prefix_len() == net.max_prefix_len() => {
                net.addr().fmt(f)
            }
            BanTarget::Address(net) => net.fmt(f),
        }
    }
}

/// Keeps somebody out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// Whom.
    pub target: BanTarget,
    /// Why, for whoever reads the list; at most 1 024 bytes.
    pub reason: Box<str>,
    /// Who banned: an administrator or a part of the server; at most 1 024 bytes.
    pub by: Box<str>,
    /// When it ends; `None` for never.
    pub until: Option<Timestamp>,
}

/// Why the list of bans could not be used or changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BanError {
    /// The file cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file is not one of bans.
    #[error("{}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong where.
        problem: String,
    },
    /// The change is in force, but not written to the file: it is lost with the process.
    #[error("{}: cannot be written, the change is lost with the process: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There are as many bans as there may be.
    #[error("there are {0} bans already")]
    Full(usize),
    /// Neither an address nor a network.
    #[error("{0:?} is not an address or a network such as \"10.0.0.0/8\"")]
    Address(Box<str>),
    /// The reason, or the name of who banned, is too long.
    #[error("the reason or the name of who banned is longer than {TEXT_BYTES_MAX} bytes")]
    TooLong,
}

/// Who is kept out of the node, whatever he proves to be. Shared by all shards, which take its lock
/// once for a connect, and not at all while nobody is banned.
#[derive(Debug)]
pub struct BanList {
    path: Option<PathBuf>,
    bans_max: usize,
    /// How many bans there are, those that have ended included.
    count: AtomicUsize,
    bans: RwLock<Bans>,
    /// Taken by one writer of the file at a time, before `bans`.
    file: Mutex<()>,
}

#[derive(Debug, Default)]
struct Bans {
    clients: HashMap<Box<str>, Note>,
    users: HashMap<Box<str>, Note>,
    networks: HashMap<IpNet, Note>,
    /// How many networks there are of each length, for IPv4 and IPv6 (`true`).
    lengths: BTreeMap<(bool, u8), usize>,
    /// When those that had ended were last forgotten.
    expired_at: Option<Timestamp>,
}

#[derive(Debug)]
struct Note {
    reason: Box<str>,
    by: Box<str>,
    until: Option<Timestamp>,
}

impl Note {
    fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl BanList {
    /// The bans that the file at `path` has kept; none if there is no file yet. Without a path they
    /// are in memory only. There may be `bans_max` at once.
    ///
    /// # Errors
    /// When the file is there and cannot be read or understood.
    pub fn open(path: Option<PathBuf>, bans_max: usize) -> Result<Self, BanError> {
        let mut bans = Bans::default();
        if let Some(path) = &path {
            for ban in read(path)? {
                bans.put(ban);
            }
        }
        let count = AtomicUsize::new(bans.len());
        Ok(BanList { path, bans_max, count, bans: RwLock::new(bans), file: Mutex::default() })
    }

    /// Bans somebody, or changes his ban, and writes the file: not for a shard.
    ///
    /// # Errors
    /// When there are too many bans; when a text is too long; when the file cannot be written, the
    /// ban being in force then.
    pub fn add(&self, now: Timestamp, ban: Ban) -> Result<(), BanError> {
        let _writer = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        self.put(now, ban, self.bans_max, 0)?;
        self.write(now)
    }

    /// Bans somebody, or changes his ban, in memory; the file has it when it is next written. For
    /// bans that clients bring on themselves, of which there are as many as they like: half of the
    /// places are kept for [`Self::add`], and a shard does not look for room more than once a second.
    ///
    /// # Errors
    /// When there are too many bans, or a text is too long.
    pub fn hold(&self, now: Timestamp, ban: Ban) -> Result<(), BanError> {
        self.put(now, ban, self.bans_max / 2, ROOM_PAUSE_MS)
    }

    fn put(&self, now: Timestamp, ban: Ban, max: usize, pause_ms: u64) -> Result<(), BanError> {
        if ban.reason.len() > TEXT_BYTES_MAX || ban.by.len() > TEXT_BYTES_MAX {
            return Err(BanError::TooLong);
        }
        let mut bans = self.change();
        if bans.len() >= max && !bans.has(&ban.target) {
            if bans.expired_at.is_none_or(|at| at.plus_millis(pause_ms) <= now) {
                bans.expire(now);
            }
            if bans.len() >= max {
                return Err(BanError::Full(max));
            }
        }
        bans.put(ban);
        self.count.store(bans.len(), Ordering::Release);
        Ok(())
    }

    /// Lets somebody in again and writes the file: not for a shard. Says whether he was banned.
    ///
    /// # Errors
    /// When the file cannot be written; he is let in nevertheless.
    pub fn remove(&self, now: Timestamp, target: &BanTarget) -> Result<bool, BanError> {
        let _writer = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bans = self.change();
        let Some(note) = bans.take(target) else { return Ok(false) };
        self.count.store(bans.len(), Ordering::Release);
        drop(bans);
        self.write(now)?;
        Ok(note.holds(now))
    }

    /// The bans in force, by kind and value.
    #[must_use]
    pub fn list(&self, now: Timestamp) -> Vec<Ban> {
        let mut list = self.look().list(now);
        list.sort_unstable_by(|a, b| a.target.cmp(&b.target));
        list
    }

    /// Forgets the bans that have ended; says how many.
    pub fn expire(&self, now: Timestamp) -> usize {
        let mut bans = self.change();
        let before = bans.len();
        bans.expire(now);
        self.count.store(bans.len(), Ordering::Release);
        before - bans.len()
    }

    /// How many bans there are, those included that have ended and are not forgotten yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether nobody is banned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn look(&self) -> RwLockReadGuard<'_, Bans> {
        self.bans.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, Bans> {
        self.bans.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, now: Timestamp) -> Result<(), BanError> {
        let Some(path) = &self.path else { return Ok(()) };
        let bans = self.list(now).into_iter().map(BanText::from).collect();
        write(path, &BanFile { bans })
            .map_err(|source| BanError::Write { path: path.clone(), source })
    }
}

impl Gate for BanList {
    fn admit(
        &self,
        now: Timestamp,
        client_id: &str,
        evidence: &Evidence,
        identity: Option<&Identity>,
    ) -> Result<(), Reason> {
        if self.is_empty() {
            return Ok(());
        }
        let user = identity.and_then(|identity| identity.user.as_deref());
        let address = evidence.peer.map(|peer| peer.ip().to_canonical());
        let bans = self.look();
        let is_banned = bans.clients.get(client_id).is_some_and(|note| note.holds(now))
            || user.and_then(|user| bans.users.get(user)).is_some_and(|note| note.holds(now))
            || address.is_some_and(|address| bans.keep_out(now, address));
        if is_banned { Err(Reason::BANNED) } else { Ok(()) }
    }
}

impl Bans {
    fn len(&self) -> usize {
        self.clients.len() + self.users.len() + self.networks.len()
    }

    fn has(&self, target: &BanTarget) -> bool {
        match target {
            BanTarget::ClientId(name) => self.clients.contains_key(name),
            BanTarget::User(name) => self.users.contains_key(name),
            BanTarget::Address(net) => self.networks.contains_key(net),
        }
    }

    fn put(&mut self, ban: Ban) {
        let Ban { target, reason, by, until } = ban;
        let note = Note { reason, by, until };
        match target {
            BanTarget::ClientId(name) => self.clients.insert(name, note),
            BanTarget::User(name) => self.users.insert(name, note),
            BanTarget::Address(net) => {
                let before = self.networks.insert(net, note);
                if before.is_none() {
                    *self.lengths.entry(length(net)).or_default() += 1;
                }
                before
            }
        };
    }

    fn take(&mut self, target: &BanTarget) -> Option<Note> {
        match target {
            BanTarget::ClientId(name) => self.clients.remove(name),
            BanTarget::User(name) => self.users.remove(name),
            BanTarget::Address(net) => {
                let note = self.networks.remove(net)?;
                let length = length(*net);
                if let Some(count) = self.lengths.get_mut(&length) {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&length);
                    }
                }
                Some(note)
            }
        }
    }

    fn expire(&mut self, now: Timestamp) {
        self.expired_at = Some(now);
        self.clients.retain(|_, note| note.holds(now));
        self.users.retain(|_, note| note.holds(now));
        self.networks.retain(|_, note| note.holds(now));
        self.lengths.clear();
        for net in self.networks.keys() {
            *self.lengths.entry(length(*net)).or_default() += 1;
        }
    }

    fn keep_out(&self, now: Timestamp, address: IpAddr) -> bool {
        let of_family = (address.is_ipv6(), 0)..=(address.is_ipv6(), u8::MAX);
        self.lengths.range(of_family).any(|((_, length), _)| {
            let net = IpNet::new(address, *length).map(|net| net.trunc());
            let note = net.ok().and_then(|net| self.networks.get(&net));
            note.is_some_and(|note| note.holds(now))
        })
    }

    fn list(&self, now: Timestamp) -> Vec<Ban> {
        let ban = |target, note: &Note| Ban {
            target,
            reason: note.reason.clone(),
            by: note.by.clone(),
            until: note.until,
        };
        let clients =
            self.clients.iter().map(|(name, note)| ban(BanTarget::ClientId(name.clone()), note));
        let users = self.users.iter().map(|(name, note)| ban(BanTarget::User(name.clone()), note));
        let networks = self.networks.iter().map(|(net, note)| ban(BanTarget::Address(*net), note));
        let holds = |ban: &Ban| ban.until.is_none_or(|until| now < until);
        clients.chain(users).chain(networks).filter(holds).collect()
    }
}

fn length(net: IpNet) -> (bool, u8) {
    (net.addr().is_ipv6(), net.prefix_len())
}

/// A ban in the file: exactly one of `client`, `user` and `address` is there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BanText {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<Box<str>>,
    #[serde(default)]
    reason: Box<str>,
    #[serde(default)]
    by: Box<str>,
    /// Milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BanFile {
    bans: Vec<BanText>,
}

impl From<Ban> for BanText {
    fn from(ban: Ban) -> Self {
        let value: Box<str> = ban.target.to_string().into();
        let (client, user, address) = match ban.target {
            BanTarget::ClientId(_) => (Some(value), None, None),
            BanTarget::User(_) => (None, Some(value), None),
            BanTarget::Address(_) => (None, None, Some(value)),
        };
        let until_ms = ban.until.map(Timestamp::as_millis);
        BanText { client, user, address, reason: ban.reason, by: ban.by, until_ms }
    }
}

impl BanText {
    fn parse(self) -> Result<Ban, String> {
        let target = match (self.client, self.user, self.address) {
            (Some(name), None, None) => BanTarget::ClientId(name),
            (None, Some(name), None) => BanTarget::User(name),
            (None, None, Some(text)) => {
                BanTarget::parse_address(&text).map_err(|error| error.to_string())?
            }
            _ => return Err("needs one of \"client\", \"user\", \"address\"".into()),
        };
        let until = self.until_ms.map(Timestamp::from_millis);
        Ok(Ban { target, reason: self.reason, by: self.by, until })
    }
}

fn read(path: &Path) -> Result<Vec<Ban>, BanError> {
    let unread = |source| BanError::Read { path: path.to_owned(), source };
    let syntax = |problem| BanError::Syntax { path: path.to_owned(), problem };
    match fs::metadata(path) {
        Ok(facts) if facts.len() > FILE_BYTES_MAX => {
            return Err(syntax(format!("is larger than {FILE_BYTES_MAX} bytes")));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unread(error)),
    }
    let text = fs::read(path).map_err(unread)?;
    let file: BanFile = serde_json::from_slice(&text).map_err(|error| syntax(error.to_string()))?;
    let ban = |(ban, number): (BanText, usize)| {
        ban.parse().map_err(|problem| syntax(format!("ban {number}: {problem}")))
    };
    file.bans.into_iter().zip(1..).map(ban).collect()
}

/// Replaces the file as a whole; only the server's user can read it.
fn write(path: &Path, file: &BanFile) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    new.write_all(&serde_json::to_vec_pretty(file)?)?;
    new.sync_all()?;
    fs::rename(&unfinished, path)?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
