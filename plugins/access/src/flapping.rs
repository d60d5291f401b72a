use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use core_model::{BrokerEvent, ClientKey, Observer, Reason, Timestamp};

use crate::bans::{Ban, BanList, BanTarget};

/// What makes a client one that comes and goes too often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlappingConfig {
    /// Disconnections within the window that are allowed; one more and the client is banned.
    pub disconnects_max: u32,
    /// Milliseconds from the first counted disconnection in which the others count.
    pub window_ms: u64,
    /// Milliseconds for which it is banned; `None` for good.
    pub ban_ms: Option<u64>,
    /// Clients that are counted at once; others are not while there are so many.
    pub clients_max: usize,
}

impl Default for FlappingConfig {
    fn default() -> Self {
        FlappingConfig {
            disconnects_max: 15,
            window_ms: 60_000,
            ban_ms: Some(300_000),
            clients_max: 100_000,
        }
    }
}

/// Bans clients, by their identifier, that connect and disconnect too often. What the server does
/// to a client does not count: take-over, an administrator's kick, shutting down. Such a ban is in
/// memory; it reaches the file of bans when that is next written.
#[derive(Debug)]
pub struct Flapping {
    config: FlappingConfig,
    bans: Arc<BanList>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    clients: HashMap<ClientKey, u32>,
    /// Where the windows began, ascending.
    windows: VecDeque<(Timestamp, ClientKey)>,
}

impl Flapping {
    /// Counts for `bans`.
    #[must_use]
    pub fn new(config: FlappingConfig, bans: Arc<BanList>) -> Self {
        Flapping { config, bans, counts: Mutex::default() }
    }

    /// Whether this disconnection of the client is one too many.
    fn is_too_often(&self, now: Timestamp, client: &ClientKey) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.forget(now, self.config.window_ms);
        if let Some(count) = counts.clients.get_mut(client) {
            *count = count.saturating_add(1);
            return *count > self.config.disconnects_max;
        }
        if counts.clients.len() < self.config.clients_max {
            counts.clients.insert(client.clone(), 1);
            counts.windows.push_back((now, client.clone()));
        }
        self.config.disconnects_max == 0
    }
}

impl Counts {
    /// Ends the windows that are over.
    fn forget(&mut self, now: Timestamp, window_ms: u64) {
        while let Some((began, _)) = self.windows.front() {
            if began.plus_millis(window_ms) > now {
                return;
            }
            if let Some((_, client)) = self.windows.pop_front() {
                self.clients.remove(&client);
            }
        }
    }
}

impl Observer for Flapping {
    fn on_event(&self, now: Timestamp, event: &BrokerEvent<'_>) {
        let BrokerEvent::Disconnected { client, reason, .. } = event else { return };
        let by_server = [
            Reason::SESSION_TAKEN_OVER,
            Reason::ADMINISTRATIVE_ACTION,
            Reason::SERVER_SHUTTING_DOWN,
            Reason::SERVER_MOVED,
            Reason::USE_ANOTHER_SERVER,
        ];
        if by_server.contains(reason) || !self.is_too_often(now, client) {
            return;
        }
        let ban = Ban {
            target: BanTarget::ClientId(client.client_id.clone()),
            reason: "comes and goes too often".into(),
            by: "flapping detection".into(),
            until: self.config.ban_ms.map(|ms| now.plus_millis(ms)),
        };
        match self.bans.hold(now, ban) {
            Ok(()) => tracing::debug!(client_id = &*client.client_id, "client banned: flapping"),
            Err(error) => tracing::debug!(%error, "client not banned for flapping"),
        }
    }
}
