//! The configuration, read again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use core_model::Plugins;
use gateway_host::ListenerChanges;
use plugin_access::{BanList, HashingCounters};
use serde_json::{Value as Json, json};

use super::difference::{Difference, Outline};
use super::http::HttpConfig;
use super::request::{self, End, Refusal, RefusalKind};
use super::{Operator, error_text};
use crate::Registration;
use crate::config::Config;
use crate::wiring::{self, Wired};

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its file, if there is one.
    pub(crate) file: Option<PathBuf>,
    /// The data directory of the command line, which counts instead of the file's.
    pub(crate) data_dir: Option<PathBuf>,
    /// The gateways that it may name.
    pub(crate) gateways: Vec<Registration>,
}

/// A configuration that was read.
pub(crate) struct Loaded {
    /// What it says.
    pub(crate) config: Config,
    outline: Outline,
}

impl Source {
    /// Reads it.
    ///
    /// # Errors
    /// Everything that is wrong with it, for people.
    pub(crate) fn load(&self) -> Result<Loaded, String> {
        let (config, text) = match &self.file {
            Some(file) => read_config(file, &self.gateways)?,
            None => {
                let config = Config::without_file(&self.gateways);
                (config.map_err(|complaints| complaints.to_string())?, String::new())
            }
        };
        let folder = self.file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        let mut loaded = Loaded { config, outline: Outline::new(&text, folder) };
        if let Some(data_dir) = &self.data_dir {
            loaded.config.node.data_dir.clone_from(data_dir);
        }
        Ok(loaded)
    }
}

/// Reads a configuration file, and returns its text as well.
///
/// # Errors
/// Everything that is wrong with it, for people.
pub(crate) fn read_config(
    file: &Path,
    gateways: &[Registration],
) -> Result<(Config, String), String> {
    let text = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let text = String::from_utf8(text).map_err(|error| format!("{}: {error}", file.display()))?;
    match Config::read(file, &text, gateways) {
        Ok(config) => Ok((config, text)),
        Err(complaints) => {
            let count = complaints.list().len();
            let plural = if count == 1 { "" } else { "s" };
            Err(format!("{complaints}\n{}: {count} error{plural}", file.display()))
        }
    }
}

/// What the server runs with now.
pub(crate) struct Running {
    source: Source,
    loaded: Loaded,
    wired: Wired,
}

impl Running {
    /// At the start, with what the node was started with.
    pub(crate) fn new(source: Source, loaded: Loaded, wired: Wired) -> Self {
        Running { source, loaded, wired }
    }

    /// Who is kept out. The list stays the same one from reload to reload.
    pub(super) fn bans(&self) -> &Arc<BanList> {
        &self.wired.bans
    }

    /// What hashing passwords has come to.
    pub(super) fn hashing_counters(&self) -> HashingCounters {
        self.wired.hashing_counters()
    }

    /// What the configuration says.
    pub(super) fn config(&self) -> &Config {
        &self.loaded.config
    }

    /// The gateways that there are.
    pub(super) fn gateways(&self) -> &[Registration] {
        &self.source.gateways
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Operator {
    /// Reads the configuration again and applies what has changed, also when it disconnects clients:
    /// what SIGHUP asks for. Everything is said in the log.
    pub(crate) fn reload_now(&self) {
        // The outcome is in the log.
        let _ = self.reload(&request::Reload { dry_run: false, disconnect: true });
    }

    /// How long clients may take for their last bytes at the end.
    pub(crate) fn drain_timeout(&self) -> Duration {
        self.running().loaded.config.node.drain_timeout.duration()
    }

    /// What the server runs with. A reload holds it until it is done.
    pub(super) fn running(&self) -> MutexGuard<'_, Running> {
        // What is in it is replaced as a whole, so a panic leaves nothing half done.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn reload(&self, request: &request::Reload) -> Result<Json, End> {
        let mut running = self.running();
        let result = self.try_reload(&mut running, request);
        match &result {
            _ if request.dry_run => {}
            Ok(_) => {
                self.reloads_applied.fetch_add(1, Ordering::Relaxed);
            }
            // The operator is asked, so nothing has gone wrong.
            Err(Refusal { kind: RefusalKind::WouldDisconnect, .. }) => {}
            Err(refusal) => {
                self.reloads_refused.fetch_add(1, Ordering::Relaxed);
                let error = refusal.message.as_str();
                tracing::error!(error, "reload refused, the configuration stays as it was");
            }
        }
        result.map_err(End::Refused)
    }

    fn try_reload(
        &self,
        running: &mut Running,
        request: &request::Reload,
    ) -> Result<Json, Refusal> {
        let loaded = running.source.load().map_err(Refusal::refused)?;
        let wired = wiring::build(&loaded.config, Some(&running.wired))
            .map_err(|faults| Refusal::refused(faults.to_string()))?;
        let http = HttpConfig::of(&loaded.config).map_err(Refusal::refused)?;
        let plan = self.control.plan_listeners(&wired.listeners);
        let difference = running.loaded.outline.difference(&loaded.outline);
        let warnings = wired.warnings.clone();
        let summary = |is_applied: bool| {
            json!({
                "applied": is_applied,
                "disconnects": plan.connections_closed(),
                "changes": difference.json(changes_json(&plan)),
                "warnings": warnings,
            })
        };
        if request.dry_run {
            return Ok(summary(false));
        }
        if plan.connections_closed() > 0 && !request.disconnect {
            return Err(Refusal::would_disconnect(would_disconnect(&plan)));
        }
        log_plan(&difference, &plan);
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let http = self.plan_http(http).map_err(Refusal::refused)?;
        self.apply(running, wired, &plan)?;
        self.apply_http(http);
        running.loaded = loaded;
        tracing::info!("reload applied");
        Ok(summary(true))
    }

    /// Makes the node what `new` says, or leaves it as it is.
    fn apply(
        &self,
        running: &mut Running,
        new: Wired,
        plan: &ListenerChanges,
    ) -> Result<(), Refusal> {
        let failed = |error: &dyn std::error::Error| Refusal::refused(error_text(error));
        let elsewhere: Vec<&str> =
            plan.opened.iter().chain(&plan.moved).map(|name| &**name).collect();
        if !elsewhere.is_empty() {
            // A new address must not have clients before its authenticators are there.
            let bridge = Arc::new(with_chains_of(&running.wired.plugins, &new.plugins, &elsewhere));
            self.control.set_plugins(bridge).map_err(|error| failed(&error))?;
        }
        if let Err(error) = self.control.apply_listeners(new.listeners.clone()) {
            // As it was before the bridge; a shard that does not answer now has failed for good.
            let _ = self.control.set_plugins(Arc::clone(&running.wired.plugins));
            return Err(failed(&error));
        }
        if let Err(error) = self.write_listeners() {
            tracing::warn!(%error, "listeners.json cannot be written");
        }
        running.wired = new;
        let new = &running.wired;
        self.control.set_plugins(Arc::clone(&new.plugins)).map_err(|error| failed(&error))?;
        self.control
            .set_limits(&new.broker_limits, &new.host_limits)
            .map_err(|error| failed(&error))?;
        Ok(())
    }
}

/// The plug-ins of `old`, and of `new` what these listeners need.
fn with_chains_of(old: &Plugins, new: &Plugins, listeners: &[&str]) -> Plugins {
    let mut bridge = old.clone();
    for name in listeners.iter().copied() {
        bridge.chains.insert(name.into(), new.chain(name).to_vec());
    }
    bridge
}

fn would_disconnect(plan: &ListenerChanges) -> String {
    let closed: Vec<_> = plan
        .closed
        .iter()
        .filter(|(_, connections)| *connections > 0)
        .map(|(name, connections)| format!("listener {name} with {connections}"))
        .collect();
    format!(
        "this would disconnect {} client{}: {} would be closed; `manifold reload --yes` goes on",
        plan.connections_closed(),
        if plan.connections_closed() == 1 { "" } else { "s" },
        closed.join(", ")
    )
}

fn log_plan(difference: &Difference, plan: &ListenerChanges) {
    let names = |list: &[Box<str>]| list.join(" ");
    let closed: Vec<_> = plan.closed.iter().map(|(name, _)| name.as_ref()).collect();
    tracing::info!(
        settings = difference.settings.join(" "),
        files = difference.files.join(" "),
        listeners_opened = names(&plan.opened),
        listeners_moved = names(&plan.moved),
        listeners_closed = closed.join(" "),
        disconnects = plan.connections_closed(),
        "configuration is reloaded"
    );
    if !difference.needs_restart.is_empty() {
        let settings = difference.needs_restart.join(" ");
        tracing::warn!(settings, "these settings count from the next start on only");
    }
}

fn changes_json(plan: &ListenerChanges) -> Json {
    let closed: Vec<_> = plan
        .closed
        .iter()
        .map(|(name, connections)| json!({ "name": name, "connections": connections }))
        .collect();
    json!({ "opened": plan.opened, "closed": closed, "moved": plan.moved, "kept": plan.kept })
}
