//! The configuration of the daemon: definitions, reading and what they mean for the core.

mod check;
mod core_limits;
mod definitions;
mod manual;

use std::path::Path;
use std::sync::Arc;
use std::thread;

use gateway_host::Gateway;

pub use definitions::{
    Durability, Format, Level, Limits, Links, ListenerLimits, ListenerTable, Log, Node, Overflow,
    Shared, Store, Strategy, Transport,
};
pub use manual::{default_file, markdown};

use check::ListenerPlaces;

use crate::settings::{Complaints, TableReader, read_document};
use crate::{GatewaySettings, Registration};

/// A checked configuration.
pub struct Config {
    /// The top of the file and its tables.
    pub node: Node,
    /// The listeners, at least one.
    pub listeners: Vec<Listener>,
}

/// A checked listener.
pub struct Listener {
    /// What all listeners have.
    pub table: ListenerTable,
    /// The gateway that it names.
    pub registration: Registration,
    /// The gateway's own settings.
    pub own: Box<dyn GatewaySettings>,
    /// The gateway, made from these settings.
    pub gateway: Arc<dyn Gateway>,
}

impl Listener {
    /// Whether clients without credentials are let in.
    pub fn allows_anonymous(&self) -> bool {
        self.table.allow_anonymous.0.unwrap_or(self.table.bind.ip().is_loopback())
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
                if let Some(listener) = read_listener(reader, gateways) {
                    places.push(ListenerPlaces {
                        table: reader.place(),
                        name: reader.place_of("name"),
                        bind: reader.place_of("bind"),
                    });
                    listeners.push(listener);
                }
            });
            if !top.has(LISTENER) {
                listeners.extend(default_listener(gateways));
            }
            check::check(top, &listeners, &places);
            Config { node, listeners }
        })
    }
}

fn default_listener(gateways: &[Registration]) -> Option<Listener> {
    let table = ListenerTable::default();
    let registration = *gateways.iter().find(|known| known.name == table.gateway)?;
    let own = (registration.settings)();
    let gateway = own.open(&table.limits).ok()?;
    Some(Listener { table, registration, own, gateway })
}

/// A listener, if its gateway is known. What else is wrong with it is complained about.
fn read_listener(reader: &mut TableReader<'_, '_>, gateways: &[Registration]) -> Option<Listener> {
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
    check::check_listener(reader, &table, &registration, &own_tables);
    match own.open(&table.limits) {
        Ok(gateway) => Some(Listener { table, registration, own, gateway }),
        Err(what) => {
            let place = reader.place_of(registration.name);
            reader.complain(&place, &what, None, None);
            None
        }
    }
}
