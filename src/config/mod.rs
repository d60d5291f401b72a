//! The configuration of the daemon: definitions, reading and what they mean for the core.

mod check;
mod check_node;
mod core_limits;
mod definitions;
mod manual;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use gateway_host::Gateway;

pub use definitions::*;
pub use gateway_settings::{
    Handshakes, Limits, Links, ListenerLimits, Overflow, OwnLimits, Shared, Strategy, Transport,
};
pub use manual::{default_file, markdown};

pub(crate) use gateway_settings::to_usize;

use check::ListenerPlaces;

use crate::settings::{Complaints, TableReader, read_document};
use crate::{GatewaySettings, Registration};

/// A checked configuration.
pub struct Config {
    /// The top of the file and its tables.
    pub node: Node,
    /// The listeners, at least one.
    pub listeners: Vec<Listener>,
    /// The file, for messages.
    pub file: PathBuf,
    /// What is allowed but most likely not meant.
    pub warnings: Vec<String>,
}

/// A checked listener.
pub struct Listener {
    /// What all listeners have.
    pub table: ListenerTable,
    /// The gateway that it names.
    pub registration: Registration,
    /// The gateway's own settings.
    pub own: Box<dyn GatewaySettings>,
    /// The limits that hold for its clients.
    pub limits: ListenerLimits,
    /// The gateway, made from these settings.
    pub gateway: Arc<dyn Gateway>,
}

impl Listener {
    /// Whether clients without credentials are let in.
    pub fn allows_anonymous(&self) -> bool {
        let is_open = self.table.authentication.0.is_empty() && self.table.bind.is_local();
        self.table.allow_anonymous.0.unwrap_or(is_open)
    }
}

/// Key of the list of listeners, which is read apart from [`Node`] since its tables depend on the
/// gateway.
const LISTENER: &str = "listener";

impl Config {
    /// How many shards there are to be: as configured, or as many as this process has CPUs.
    pub fn shards(&self) -> u16 {
        match self.node.shards {
            0 => thread::available_parallelism().map_or(1, |cpus| cpus.get().min(1024) as u16),
            shards => shards,
        }
    }

    /// The folder from which relative paths in the file start.
    pub fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// The configuration without a file: one listener for MQTT on the loopback address.
    pub fn without_file(gateways: &[Registration]) -> Result<Config, Complaints> {
        Config::read(Path::new("default"), "", gateways)
    }

    /// Reads the text of a configuration file; `file` is its name in complaints.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn read(file: &Path, text: &str, gateways: &[Registration]) -> Result<Config, Complaints> {
        read_document(file, text, |top| {
            let mut node = Node::default();
            top.read(&mut node, &[LISTENER]);
            let mut listeners = Vec::new();
            let mut places = Vec::new();
            top.for_each_table(LISTENER, |reader| {
                if let Some(listener) = read_listener(reader, &node, gateways) {
                    places.push(ListenerPlaces {
                        table: reader.place(),
                        name: reader.place_of("name"),
                        bind: reader.place_of("bind"),
                    });
                    listeners.push(listener);
                }
            });
            if !top.has(LISTENER) {
                listeners.extend(default_listener(&node, gateways));
            }
            check::check_listeners(top, &listeners, &places);
            check_node::check_node(top, &node, &listeners);
            let warnings = check_node::warnings(&node, &listeners);
            Config { node, listeners, file: file.to_owned(), warnings }
        })
    }
}

fn default_listener(node: &Node, gateways: &[Registration]) -> Option<Listener> {
    let table = ListenerTable::default();
    let registration = *gateways.iter().find(|known| known.name == table.gateway)?;
    let own = (registration.settings)();
    let limits = ListenerLimits::new(&[], &node.limits);
    let gateway = own.open(&limits).ok()?;
    Some(Listener { table, registration, own, limits, gateway })
}

/// A listener, if its gateway is known. What else is wrong with it is complained about.
fn read_listener(
    reader: &mut TableReader<'_, '_>,
    node: &Node,
    gateways: &[Registration],
) -> Option<Listener> {
    let mut table = ListenerTable::default();
    let name = reader.peek_text("gateway").unwrap_or(&table.gateway).to_owned();
    let registration = gateways.iter().find(|known| known.name == name).copied();
    // The tables of all gateways are known keys here, so that the wrong one gets a better answer.
    let own_tables: Vec<_> = gateways.iter().map(|known| known.name).collect();
    reader.read(&mut table, &own_tables);
    let Some(registration) = registration else {
        let place = reader.place_of("gateway");
        check::refuse_gateway(reader, &place, &name, &own_tables);
        return None;
    };
    let mut own = (registration.settings)();
    reader.read_table(registration.name, own.as_mut());
    check::check_listener(reader, &table, node, &registration, &own_tables);
    let zone = table.zone.0.as_ref().and_then(|name| node.zone.find(name));
    let levels: Vec<_> = [Some(&table.limits), zone].into_iter().flatten().collect();
    let limits = ListenerLimits::new(&levels, &node.limits);
    check::check_limits(reader, &limits);
    match own.open(&limits) {
        Ok(gateway) => Some(Listener { table, registration, own, limits, gateway }),
        Err(what) => {
            let place = reader.place_of(registration.name);
            reader.complain(&place, &what, None, None);
            None
        }
    }
}
