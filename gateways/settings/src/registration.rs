use std::sync::Arc;

use gateway_host::Gateway;
use serde_json::Value as Json;

use crate::{FilePath, ListenerLimits, Settings, Transport};

/// A gateway as the daemon knows it: all that `manifold::run` needs to offer its protocol.
#[derive(Clone, Copy, Debug)]
pub struct Registration {
    /// Its name: the value of `gateway` in a listener, the listener's table of its own settings
    /// (`[listener.NAME]`), and the argument of `manifold decode`.
    pub name: &'static str,
    /// What can carry its protocol.
    pub transports: &'static [Transport],
    /// Its own settings with their defaults.
    pub settings: fn() -> Box<dyn GatewaySettings>,
    /// Its frames as JSON for people, if it can do that.
    pub decoder: Option<Decoder>,
}

/// A gateway's own settings, from which it is made.
pub trait GatewaySettings: Settings {
    /// The gateway of one listener. Its number stands in session keys: no two protocols may share
    /// one, and it must never change. Gateways outside this project take theirs from 128 on.
    ///
    /// # Errors
    /// Settings do not go together, in words for the operator. Called to check a file as well, so
    /// it must not touch anything outside the process.
    fn open(&self, limits: &ListenerLimits) -> Result<Arc<dyn Gateway>, String>;

    /// The same with what is in the files that the settings name: the gateway that listeners get.
    /// `None` if something is wrong there, which is complained about. Settings that name no files
    /// leave it as it is.
    fn open_with_files(
        &self,
        limits: &ListenerLimits,
        files: &mut dyn Files,
    ) -> Option<Arc<dyn Gateway>> {
        self.open(limits).map_err(|what| files.complain("", &what)).ok()
    }

    /// Bytes that the gateway keeps for one connection at most, beside its input and output.
    fn connection_bytes(&self, limits: &ListenerLimits) -> u64;
}

/// Reads the files that a gateway's settings name. Keys are those of its table.
pub trait Files {
    /// The text of the file at `key`; `None` if it cannot be read, which is complained about.
    fn read(&mut self, key: &str, file: &FilePath) -> Option<String>;

    /// The same of a file with secrets. The operator is warned if everybody can read it.
    fn read_secret(&mut self, key: &str, file: &FilePath) -> Option<String>;

    /// Tells the operator what is wrong at `key`; with an empty key, in the whole table.
    fn complain(&mut self, key: &str, what: &str);
}

/// Says which two gateways cannot be offered together, since they share a name or a number: their
/// settings or sessions would be mixed up.
pub fn find_conflict(gateways: &[Registration]) -> Option<String> {
    let limits = ListenerLimits::default();
    let id = |known: &Registration| (known.settings)().open(&limits).ok().map(|open| open.id());
    for (index, one) in gateways.iter().enumerate() {
        for other in gateways.iter().take(index) {
            if one.name == other.name {
                return Some(format!("two gateways have the name {}", one.name));
            }
            if id(one).is_some() && id(one) == id(other) {
                return Some(format!("gateways {} and {} have the same id", other.name, one.name));
            }
        }
    }
    None
}

/// Shows frames of a protocol.
#[derive(Clone, Copy, Debug)]
pub struct Decoder {
    /// Versions that can be asked for.
    pub versions: &'static [&'static str],
    /// Decodes bytes, in the version asked for or else the one that the bytes tell.
    pub decode: fn(bytes: &[u8], version: Option<&str>) -> DecodedFrames,
}

/// What bytes turned out to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecodedFrames {
    /// The frames, in order.
    pub frames: Vec<DecodedFrame>,
    /// Why decoding ended before the end of the bytes.
    pub error: Option<Json>,
    /// The version that the bytes themselves told, in the decoder's words.
    pub version: Option<&'static str>,
}

/// One frame among bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedFrame {
    /// Where it begins, counted from 0.
    pub at: usize,
    /// How many bytes it has.
    pub len: usize,
    /// What it says.
    pub json: Json,
}
