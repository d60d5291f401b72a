//! From a checked configuration to the parts of a node: listeners, plug-ins, limits. Starting and
//! reloading go through here alike, so that a server that was reloaded is what a restarted one would
//! be.
//!
//! This is where the files are read that a configuration names.

mod access;
mod authentication;
mod listeners;

use std::error::Error;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::{fmt, fs};

use core_model::{BrokerLimits, Plugins, Secret};
use core_store::MemoryStore;
use gateway_host::{HostLimits, ListenerConfig, NodeConfig};
use plugin_access::{BanList, HashingCounters};

use access::Access;

use crate::config::Config;
use crate::operate::read_token;

/// What a configuration comes to.
pub(crate) struct Wired {
    /// Where clients connect.
    pub(crate) listeners: Vec<ListenerConfig>,
    /// Authenticators, rules, bans, as the core takes them.
    pub(crate) plugins: Arc<Plugins>,
    /// The same as they are made.
    access: Access,
    /// Who is kept out: one list for the life of the server.
    pub(crate) bans: Arc<BanList>,
    /// Bounds of each shard's core.
    pub(crate) broker_limits: Arc<BrokerLimits>,
    /// Bounds of each shard's links.
    pub(crate) host_limits: HostLimits,
    /// What is allowed but most likely not meant, for the operator.
    pub(crate) warnings: Vec<String>,
}

/// What is wrong with a file that the configuration names, or with the configuration in its light.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The key, such as `listener[0].tls.certificate`.
    pub(crate) key: String,
    /// The file and what is wrong with it.
    pub(crate) what: String,
}

/// Everything that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Faults {
    /// The configuration file.
    file: String,
    /// At least one.
    pub(crate) list: Vec<Fault>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.list.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}: {}: {}", self.file, fault.key, fault.what)?;
        }
        Ok(())
    }
}

/// What building goes on with: the configuration, and what was found wrong so far.
struct Building<'c> {
    config: &'c Config,
    data_dir: Option<&'c Path>,
    faults: Vec<Fault>,
    warnings: Vec<String>,
}

impl Building<'_> {
    /// Takes down what is wrong at a key.
    fn fault(&mut self, key: impl Into<String>, what: impl fmt::Display) {
        self.faults.push(Fault { key: key.into(), what: what.to_string() });
    }

    /// The result, or else takes down at which key it went wrong.
    fn keep<T, E: Error>(&mut self, key: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.fault(key, with_causes(&error))).ok()
    }

    /// The token in a file.
    fn read_token(&mut self, key: &str, file: &Path) -> Option<Secret> {
        self.warn_if_readable_by_others(key, file);
        read_token(file).map_err(|error| self.fault(key, error)).ok()
    }

    /// Warns of a file with a secret that any user of the machine can read.
    fn warn_if_readable_by_others(&mut self, key: &str, file: &Path) {
        // A file that cannot be looked at is complained about by whoever reads it.
        let mode = fs::metadata(file).map_or(0, |facts| facts.permissions().mode());
        if mode & 0o004 != 0 {
            let what = format!("{key}: {}: everybody on this machine can read it", file.display());
            self.warnings.push(what);
        }
    }
}

/// An error and its causes, each of them once.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let what = error.to_string();
        if !text.ends_with(&what) {
            text += &format!(": {what}");
        }
        cause = error.source();
    }
    text
}

/// Reads all files that the configuration names and builds the parts of a node. What should outlive
/// a reload, such as bans and remembered answers, is taken over from `previous`.
///
/// # Errors
/// All files that cannot be read or hold what they should not.
pub(crate) fn build(config: &Config, previous: Option<&Wired>) -> Result<Wired, Faults> {
    build_for(config, previous, Some(&config.node.data_dir))
}

/// As [`build`]; without a data directory nothing of it is read.
fn build_for(
    config: &Config,
    previous: Option<&Wired>,
    data_dir: Option<&Path>,
) -> Result<Wired, Faults> {
    let warnings = config.warnings.clone();
    let mut building = Building { config, data_dir, faults: Vec::new(), warnings };
    let listeners = listeners::build(&mut building);
    if let Some(file) = config.node.http.0.as_ref().and_then(|http| http.token_file.0.as_ref()) {
        building.read_token("http.token_file", &file.in_folder(config.folder()));
    }
    let access = access::build(&mut building, previous.map(|previous| &previous.access));
    let (Some(access), true) = (access, building.faults.is_empty()) else {
        let file = config.file.display().to_string();
        return Err(Faults { file, list: building.faults });
    };
    let shards = config.shards();
    let node = &config.node;
    Ok(Wired {
        listeners,
        plugins: Arc::new(access.plugins(config)),
        bans: Arc::clone(&access.bans),
        access,
        broker_limits: Arc::new(node.broker_limits(shards)),
        host_limits: node.host_limits(shards),
        warnings: building.warnings,
    })
}

/// Whether everything that a configuration names is there and good, with warnings. Nothing outside
/// is touched but to read it.
///
/// # Errors
/// As [`build`].
pub(crate) fn check(config: &Config) -> Result<Vec<String>, Faults> {
    build_for(config, None, None).map(|wired| wired.warnings)
}

impl Wired {
    /// What hashing passwords has come to.
    pub(crate) fn hashing_counters(&self) -> HashingCounters {
        self.access.hashing_counters()
    }

    /// What a node starts with.
    pub(crate) fn node_config(&self, config: &Config) -> NodeConfig {
        NodeConfig {
            shards: config.shards(),
            limits: self.host_limits.clone(),
            broker_limits: Arc::clone(&self.broker_limits),
            plugins: Arc::clone(&self.plugins),
            store: Arc::new(|_| Box::new(MemoryStore::immediate())),
            sys_interval_s: config.node.sys_interval.0.map_or(0, |every| every.whole_seconds()),
            version: concat!("manifold ", env!("CARGO_PKG_VERSION")).into(),
            listeners: self.listeners.clone(),
            ..NodeConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core_model::{Action, ClientKey, Evidence, GatewayId, Identity, Principal, QoS, Verdict};
    use gateway_host::{Bind, Rebind};
    use std::path::PathBuf;

    fn config(folder: &Path, text: &str) -> Config {
        let file = folder.join("city.toml");
        let mut config =
            Config::read(&file, text, crate::gateways()).unwrap_or_else(|c| panic!("{c}"));
        config.node.data_dir = folder.join("data");
        config
    }

    fn wired(text: &str) -> Wired {
        let folder = tempfile::tempdir().unwrap();
        build(&config(folder.path(), text), None).unwrap_or_else(|faults| panic!("{faults}"))
    }

    #[test]
    fn a_listener_is_what_its_table_and_its_zone_say() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[zone.a]\nmessage_rate = \"3/s, burst 4\"\nmax_subscriptions = 7\n\
                    [[listener]]\nname = \"u\"\ntransport = \"unix\"\nbind = \"unix:u.sock\"\n\
                    mode = \"660\"\nzone = \"a\"\nmax_connections = 5\n\
                    [listener.sources]\nmax_connections = 2\n\
                    [[listener]]\nname = \"plain\"\n";
        let wired = build(&config(folder.path(), text), None).unwrap();
        let [unix, plain] = &wired.listeners[..] else { panic!("two listeners") };
        let path = folder.path().join("u.sock");
        assert_eq!(unix.bind, Bind::Unix { path, mode: Some(0o660) });
        let rate = unix.rates.message.unwrap();
        assert_eq!((rate.per_second, rate.burst, unix.max_connections), (3, 4, 5));
        assert_eq!(unix.rates.source.connections, Some(2));
        let limits = unix.facts.session_limits.as_ref().unwrap();
        assert_eq!(limits.subscriptions_max, 7);
        assert!(plain.facts.session_limits.is_none() && plain.entrance.is_none());
        assert!(plain.facts.allow_anonymous && wired.plugins.authorizer.is_none());
    }

    #[test]
    fn what_stands_before_a_listener_is_what_its_table_says() {
        let text = "[[listener]]\ntransport = \"ws\"\nproxy_protocol = \"v2\"\n\
                    proxy_protocol_from = [\"10.0.0.0/8\"]\n\
                    [listener.websocket]\npath = \"/city\"\norigins = [\"https://a.example\"]\n";
        let wired = wired(text);
        let entrance = wired.listeners[0].entrance.as_ref().unwrap();
        let rules = entrance.websocket.as_ref().unwrap();
        assert_eq!(rules.paths, ["/city".into()]);
        assert_eq!(rules.origins, ["https://a.example".into()]);
        assert_eq!(rules.protocols, ["mqtt".into(), "mqttv3.1".into()]);
        assert_eq!(entrance.proxy.as_ref().unwrap().trusted, ["10.0.0.0/8".parse().unwrap()]);
        assert!(entrance.tls.is_none());
    }

    #[test]
    fn datagrams_are_taken_as_the_table_says() {
        let mut datagrams = crate::gateways()[0];
        datagrams.transports = &[crate::settings::Transport::Udp];
        let built = |rest: &str| {
            let text = format!("[[listener]]\ntransport = \"udp\"\n{rest}");
            let config = Config::read(Path::new("a.toml"), &text, &[datagrams]);
            let config = config.unwrap_or_else(|complaints| panic!("{complaints}"));
            build_for(&config, None, None).unwrap().listeners.remove(0)
        };
        let plain = built("");
        assert_eq!(plain.bind, Bind::Udp("127.0.0.1:1883".parse().unwrap()));
        assert_eq!((plain.transport(), plain.facts.rebind), ("udp", Rebind::SameIp));
        assert_eq!(plain.datagrams, gateway_host::DatagramRules::default());
        assert!(plain.entrance.is_none() && plain.rates.source.stray.is_none());
        let own = built(
            "proxy_protocol = \"v2\"\nproxy_protocol_from = [\"::1\"]\n\
             [listener.sources]\nstray_rate = \"7/s\"\n\
             [listener.udp]\nidle_timeout = \"1500ms\"\nrebind = \"trust\"\n\
             receive_buffer = \"1MiB\"\nhealth_request = \"hex:00\"\nhealth_answer = \"ok\"\n",
        );
        assert_eq!(own.facts.rebind, Rebind::Trust);
        assert_eq!(own.rates.source.stray.unwrap().per_second, 7);
        let rules = own.datagrams;
        assert_eq!((rules.idle_timeout_s, rules.receive_buffer_bytes), (2, 1 << 20));
        assert_eq!(rules.health_check, Some((Box::from(*b"\0"), Box::from(*b"ok"))));
        assert!(own.entrance.unwrap().proxy.is_some());
        let never = built("[listener.udp]\nrebind = \"dtls-only\"\n");
        assert_eq!(never.facts.rebind, Rebind::DtlsOnly);
    }

    #[test]
    fn each_listener_has_its_chain_and_no_other() {
        let text = "[authentication.a]\ntype = \"client-ids\"\nids = [\"a*\"]\n\
                    [authentication.b]\ntype = \"certificate\"\n\
                    [[listener]]\nname = \"one\"\nauthentication = [\"b\", \"a\"]\n\
                    [[listener]]\nname = \"none\"\nbind = \"127.0.0.1:0\"\n";
        let wired = wired(text);
        // At its end is who lets nobody else in.
        assert_eq!(wired.plugins.chain("one").len(), 3);
        assert!(wired.plugins.chain("none").is_empty());
        let refuses = |listener: &str| {
            let last = wired.plugins.chain(listener).last().unwrap();
            matches!(last.authenticate("c", &Evidence::default()), Verdict::Refuse(_))
        };
        assert!(refuses("one") && refuses("a listener that is gone"));
    }

    #[test]
    fn a_gateway_gets_the_files_that_its_settings_name() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[[listener]]\ngateway = \"mqtt-sn\"\ntransport = \"udp\"\n\
                    [listener.mqtt-sn]\npredefined_file = \"ids\"\n\
                    credentials_file = \"logins\"\n";
        let faults = || check(&config(folder.path(), text)).map_err(|faults| faults.to_string());
        assert!(faults().unwrap_err().contains("listener[0].mqtt-sn.predefined_file: "));
        std::fs::write(folder.path().join("ids"), "*, city/time, 1\n").unwrap();
        let logins = folder.path().join("logins");
        std::fs::write(&logins, "hunter2\n").unwrap();
        let text = faults().unwrap_err();
        assert!(text.contains("listener[0].mqtt-sn.credentials_file: line 1: "), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
        std::fs::write(&logins, "sn1:ann:hunter2\n").unwrap();
        std::fs::set_permissions(&logins, fs::Permissions::from_mode(0o604)).unwrap();
        let warnings = faults().unwrap();
        let warned = warnings.iter().any(|warning| warning.contains("mqtt-sn.credentials_file"));
        assert!(warned, "{warnings:?}");
    }

    #[test]
    fn a_file_of_rules_without_a_rule_allows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("rules.toml"), "").unwrap();
        let file = config(folder.path(), "acl_file = \"rules.toml\"\n");
        let wired = build(&file, None).unwrap();
        let client = Principal {
            client: ClientKey { gateway: GatewayId(0), client_id: "c".into() },
            gateway: "mqtt",
            listener: "mqtt".into(),
            peer: None,
            transport: None,
            identity: Identity::default(),
        };
        let rules = wired.plugins.authorizer.as_ref().unwrap().compile(&client);
        assert!(!rules.permits(Action::Subscribe { qos: QoS::AtMostOnce }, "a"));
    }

    #[test]
    fn a_reload_keeps_what_it_should_not_cost() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[flapping]\n[hashing]\nthreads = 1\n[authentication.a]\ntype = \"http\"\n\
                    url = \"http://127.0.0.1:1/\"\n[[listener]]\nauthentication = [\"a\"]\n";
        let first = build(&config(folder.path(), text), None).unwrap();
        let same = build(&config(folder.path(), text), Some(&first)).unwrap();
        let is_kept = |wired: &Wired| {
            let (a, b) = (&first.plugins, &wired.plugins);
            [
                Arc::ptr_eq(&first.bans, &wired.bans),
                Arc::ptr_eq(&a.chain("mqtt")[0], &b.chain("mqtt")[0]),
                Arc::ptr_eq(&a.observers[1], &b.observers[1]),
            ]
        };
        assert_eq!(is_kept(&same), [true; 3]);
        let other = text.replace(":1/", ":2/").replace("[flapping]", "[flapping]\nwindow = \"1s\"");
        let other = build(&config(folder.path(), &other), Some(&first)).unwrap();
        assert_eq!(is_kept(&other), [true, false, false]);
    }

    #[test]
    fn a_check_looks_at_nothing_in_the_data_directory() {
        let folder = tempfile::tempdir().unwrap();
        let data: PathBuf = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("bans.json"), "broken").unwrap();
        let config = config(folder.path(), "");
        assert_eq!(check(&config), Ok(Vec::new()));
        let faults = build(&config, None).err().unwrap();
        assert!(faults.to_string().contains("bans.json"), "{faults}");
    }
}
