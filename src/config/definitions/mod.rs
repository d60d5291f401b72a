//! What an operator can set: one line for each key.

mod access;
mod listener;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::settings::{
    FileMode, FilePath, Handshakes, Lapse, Limits, Named, Never, Optional, OwnLimits, Unset,
};
use crate::{choice, settings};

pub use access::{
    AclAction, AclCertificate, AclRule, Authentication, CertificateField, CertificateUsers,
    ClientIds, FileUsers, Flapping, Hashing, HttpEncoding, HttpMethod, HttpUsers, JwtAlgorithm,
    JwtUsers, Listed, OnTrouble, ScramUsers, TokenFrom, UnknownUser, UserFrom,
};
pub use listener::{
    ClientAuth, ListenerSources, ListenerTable, ListenerTls, ListenerUdp, ListenerWebSocket,
    ProxyProtocol, Rebind, SniCertificate, TlsVersion,
};

settings! {
    /// The node.
    pub struct Node {
        /// Folder for what the server keeps: the store, `listeners.json` with the addresses in use,
        /// and a lock against a second server in the same folder. It is created if missing.
        data_dir: PathBuf = "manifold-data".into();
        /// Threads that own links and sessions; 0 for as many as there are CPUs that the process
        /// may use.
        shards: u16 = 0, 0..=1024;
        /// How long the server waits at its end for its clients to take their last bytes.
        drain_timeout: Lapse = Lapse::seconds(10), 0..=3_600_000;
        /// Time between two updates of the `$SYS` topics.
        sys_interval: Never<Lapse> = Never(Some(Lapse::seconds(10))), 1_000..=86_400_000;
        /// A file with more rules, which come after those of `[[acl]]`. One without any rule allows
        /// nothing.
        acl_file: Unset<FilePath> = Unset(None);
        /// Sessions, queued and retained messages.
        store: Store = Store::default();
        /// What the server says about itself.
        log: Log = Log::default();
        /// The socket in `data_dir` through which the server is asked and told.
        control: Control = Control::default();
        /// Metrics and health for other programs.
        http: Optional<Http> = Optional(None);
        /// Bounds. Those of the whole node are divided evenly among the shards.
        limits: Limits = Limits::default();
        /// Connections that are not established yet.
        handshakes: Handshakes = Handshakes::default();
        /// Sets of limits that listeners refer to by their `zone`: for each key the listener's own
        /// `[listener.limits]` count first, then its zone, then `[limits]`.
        zone: Named<OwnLimits> = Named::default();
        /// Ways to find out who a client is, which listeners list in their `authentication`. Each
        /// says yes, no, or that it does not know the client; then the next one is asked.
        authentication: Named<Authentication> = Named::default();
        /// The work of hashing passwords.
        hashing: Hashing = Hashing::default();
        /// Rules on what clients may do. The first one that fits counts. With no rule here and no
        /// `acl_file`, whoever is connected may do everything; with rules, what none of them fits
        /// is denied.
        acl: settings::Listed<AclRule> = settings::Listed::default();
        /// Bans clients that come and go too often.
        flapping: Optional<Flapping> = Optional(None);
    }
    later ["cluster"]
}

settings! {
    /// Sessions, queued and retained messages.
    pub struct Store {
        /// What an acknowledgement promises. In this version all state is in memory and ends with
        /// the process, whatever is written here; the server says so when it starts.
        durability: Durability = Durability::Sync;
    }
    later ["path"]
}

choice! {
    /// What an acknowledgement promises.
    pub enum Durability {
        /// The message is on the disk.
        Sync = "sync",
        /// The message will soon be on the disk.
        Async = "async",
        /// Nothing beyond the process.
        Off = "off",
    }
}

settings! {
    /// What the server says about itself, on standard error. Whoever reads it too slowly gets the first
    /// 10 000 lines that wait, and loses those that follow.
    pub struct Log {
        /// The least severe lines that are written. The environment variable `RUST_LOG` overrules
        /// it and can choose by module, as in `warn,gateway_host=debug`.
        level: Level = Level::Info;
        /// Form of the lines: with the time, or without for a collector that adds its own.
        format: Format = Format::Text;
    }
}

choice! {
    /// Severity of a line.
    pub enum Level {
        /// The operator has to act.
        Error = "error",
        /// Something went wrong and was put right.
        Warn = "warn",
        /// Life cycle of the server.
        Info = "info",
        /// Life cycle of links.
        Debug = "debug",
        /// Every frame.
        Trace = "trace",
    }
    later ["off"]
}

choice! {
    /// Form of a line.
    pub enum Format {
        /// Time, level, module, message and fields.
        Text = "text",
        /// The same without the time.
        Journal = "journal",
        /// One JSON object with all of it.
        Json = "json",
    }
}

settings! {
    /// The socket `control.sock` in `data_dir` through which the commands of `manifold` ask and tell
    /// a running server. Whoever may open it may do everything.
    pub struct Control {
        /// Permissions of the socket.
        mode: FileMode = FileMode(0o600);
    }
}

settings! {
    /// An HTTP server for other programs: `/metrics` (Prometheus), `/healthz`, `/readyz`. Without
    /// this table there is none.
    pub struct Http {
        /// Address and port.
        bind: SocketAddr = SocketAddr::from((Ipv4Addr::LOCALHOST, 9_883));
        /// A file with a token, without which nobody is served:
        /// `Authorization: Bearer TOKEN`. Has to be set on any address but loopback.
        token_file: Unset<FilePath> = Unset(None);
    }
    later ["certificate", "key"]
}
