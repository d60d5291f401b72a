//! The commands that ask a running server.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value as Json;

use super::table::{self, Column, Form, Table};
use super::{Exit, complain, print, read_config};
use crate::Registration;
use crate::config::Node;
use crate::operate::{Answered, Answers, AskError, Request, ask, requests};
use crate::settings::{Found, Lapse, Value as _};

#[derive(Subcommand)]
pub(super) enum Operation {
    /// List clients: those that are connected, and the sessions of those that are away
    Clients(ClientsArgs),
    /// Show everything about one client
    Show(ShowArgs),
    /// Disconnect clients; they may come back
    Kick(KickArgs),
    /// Keep clients out, and disconnect those that are there
    Ban(BanArgs),
    /// Let those that were banned in again
    Unban(UnbanArgs),
    /// List what is banned
    Bans(ServerArgs),
    /// List the listeners
    Listeners(ServerArgs),
    /// List subscriptions
    Subscriptions(SubscriptionsArgs),
    /// List retained messages
    Retained(RetainedArgs),
    /// Show what the server counts
    Stats(ServerArgs),
    /// Read the configuration file again and apply what has changed
    Reload(ReloadArgs),
    /// Show what clients and the server say to each other, as it happens
    Trace(TraceArgs),
}

/// Which server is asked, and for whom.
#[derive(Args)]
pub(super) struct ServerArgs {
    /// The server's data directory; without it the configuration's, or else the default
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The server's configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON for programs, one object on each line
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub(super) struct ClientsArgs {
    /// Only those that are connected
    #[arg(long, conflicts_with = "away")]
    connected: bool,
    /// Only sessions whose client is away
    #[arg(long)]
    away: bool,
    /// Only those of a user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// Only those of a listener
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// Only those from an address or network, such as 10.1.0.0/16
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Only those whose client id begins like this
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// At most so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct ShowArgs {
    /// Client id
    client: String,
    /// Its gateway, if clients of several have this id
    #[arg(long, value_name = "NAME")]
    gateway: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
#[group(id = "whom", required = true, multiple = false, args = ["client", "id", "user", "address", "listener"])]
pub(super) struct KickArgs {
    /// Client id
    #[arg(value_name = "CLIENT")]
    id: Option<String>,
    /// The same
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// All clients of a user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// All clients from an address or network
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// All clients of a listener
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
#[group(id = "whom", required = true, multiple = false, args = ["client", "id", "user", "address"])]
pub(super) struct BanArgs {
    /// Client id
    #[arg(value_name = "CLIENT")]
    id: Option<String>,
    /// The same
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// All clients of a user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// All clients from an address or network
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// How long, such as 10m, 2h, 1d; for good without it
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    lapse: Option<Lapse>,
    /// Why, for whoever reads the list
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
#[group(id = "whom", required = true, multiple = false, args = ["client", "id", "user", "address"])]
pub(super) struct UnbanArgs {
    /// Client id
    #[arg(value_name = "CLIENT")]
    id: Option<String>,
    /// The same
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// A user
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// An address or network, as it was banned
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct SubscriptionsArgs {
    /// Only those of a client
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// Only those that match a topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// At most so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct RetainedArgs {
    /// Only topics that match this filter
    filter: Option<String>,
    /// Show the payloads too
    #[arg(long)]
    payload: bool,
    /// At most so many
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
pub(super) struct ReloadArgs {
    /// Only say what would change, and who would be disconnected
    #[arg(long)]
    dry_run: bool,
    /// Apply it even if clients are disconnected by it
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args)]
#[group(id = "what", required = true, multiple = false, args = ["client", "address", "topic"])]
pub(super) struct TraceArgs {
    /// A client
    #[arg(long, value_name = "CLIENT")]
    client: Option<String>,
    /// All connections from an address or network
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// Messages published to topics that match a filter
    #[arg(long, value_name = "FILTER")]
    topic: Option<String>,
    /// How long, such as 60s; until it is interrupted without it
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    lapse: Option<Lapse>,
    #[command(flatten)]
    server: ServerArgs,
}

/// A length of time as in the configuration file; `m` is as good as `min`.
fn parse_time(text: &str) -> Result<Lapse, String> {
    let whole =
        text.strip_suffix('m').filter(|number| number.ends_with(|c: char| c.is_ascii_digit()));
    let text = whole.map_or(text.to_owned(), |number| format!("{number}min"));
    let mut lapse = Lapse::default();
    let range = 1_000..=315_360_000_000;
    lapse.read(Found::Text(&text), &range).map_err(|_| lapse.allowed(&range))?;
    Ok(lapse)
}

impl Operation {
    fn parts(self) -> (Request, ServerArgs) {
        match self {
            Operation::Clients(args) => {
                let connected = (args.connected || args.away).then_some(args.connected);
                let ClientsArgs { user, listener, address, prefix, limit, server, .. } = args;
                let clients =
                    requests::Clients { connected, user, listener, address, prefix, limit };
                (Request::Clients(clients), server)
            }
            Operation::Show(ShowArgs { client, gateway, server }) => {
                (Request::Show(requests::Show { client, gateway }), server)
            }
            Operation::Kick(KickArgs { id, client, user, address, listener, server }) => {
                let kick = requests::Kick { client: client.or(id), user, address, listener };
                (Request::Kick(kick), server)
            }
            Operation::Ban(BanArgs { id, client, user, address, lapse, reason, server }) => {
                let seconds = lapse.map(|lapse| lapse.ms.div_ceil(1000));
                let client = client.or(id);
                (Request::Ban(requests::Ban { client, user, address, seconds, reason }), server)
            }
            Operation::Unban(UnbanArgs { id, client, user, address, server }) => {
                (Request::Unban(requests::Unban { client: client.or(id), user, address }), server)
            }
            Operation::Bans(server) => (Request::Bans(requests::Nothing {}), server),
            Operation::Listeners(server) => (Request::Listeners(requests::Nothing {}), server),
            Operation::Subscriptions(SubscriptionsArgs { client, topic, limit, server }) => {
                (Request::Subscriptions(requests::Subscriptions { client, topic, limit }), server)
            }
            Operation::Retained(RetainedArgs { filter, payload, limit, server }) => {
                (Request::Retained(requests::Retained { filter, limit, payload }), server)
            }
            Operation::Stats(server) => (Request::Stats(requests::Nothing {}), server),
            Operation::Reload(ReloadArgs { dry_run, yes, server }) => {
                (Request::Reload(requests::Reload { dry_run, disconnect: yes }), server)
            }
            Operation::Trace(TraceArgs { client, address, topic, lapse, server }) => {
                let seconds = lapse.map(|lapse| lapse.ms.div_ceil(1000));
                (Request::Trace(requests::Trace { client, address, topic, seconds }), server)
            }
        }
    }
}

/// Asks the server and prints its answer.
pub(super) fn operate(operation: Operation, gateways: &[Registration]) -> Exit {
    let (request, server) = operation.parts();
    let data_dir = match find_data_dir(&server, gateways) {
        Ok(data_dir) => data_dir,
        Err(error) => return complain(&error),
    };
    let answers = ask(&data_dir, &request);
    let shown = answers.and_then(|answers| match server.json {
        true => show_json(answers, &request),
        false => show(answers, &request),
    });
    match shown {
        Ok(()) => Exit::Done,
        Err(error @ AskError::NoServer(_)) => {
            complain(&error.to_string());
            Exit::CannotStart
        }
        Err(error) => complain(&error.to_string()),
    }
}

/// The data directory of the server. Nothing more is taken from its configuration file, which may
/// be bad just now.
fn find_data_dir(server: &ServerArgs, gateways: &[Registration]) -> Result<PathBuf, String> {
    if let Some(data_dir) = &server.data_dir {
        return Ok(data_dir.clone());
    }
    let Some(file) = &server.config else { return Ok(Node::default().data_dir) };
    let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    match text.parse::<toml::Table>() {
        Ok(table) => Ok(match table.get("data_dir").and_then(toml::Value::as_str) {
            Some(data_dir) => data_dir.into(),
            None => Node::default().data_dir,
        }),
        // Says better what is wrong with it.
        Err(_) => read_config(file, gateways).map(|config| config.node.data_dir),
    }
}

/// Whether the answer is a list of items; otherwise only its end counts.
fn is_list(request: &Request) -> bool {
    match request {
        Request::Clients(_)
        | Request::Bans(_)
        | Request::Listeners(_)
        | Request::Subscriptions(_)
        | Request::Retained(_)
        | Request::Trace(_) => true,
        Request::Show(_)
        | Request::Kick(_)
        | Request::Ban(_)
        | Request::Unban(_)
        | Request::Stats(_)
        | Request::Reload(_) => false,
    }
}

fn show_json(mut answers: Answers, request: &Request) -> Result<(), AskError> {
    loop {
        match answers.next()? {
            Answered::Item(item) => print(&format!("{item}\n")),
            Answered::End(summary) if !is_list(request) => print(&format!("{summary}\n")),
            Answered::End(_) => return Ok(()),
        };
        if !is_list(request) {
            return Ok(());
        }
    }
}

fn show(mut answers: Answers, request: &Request) -> Result<(), AskError> {
    let mut table = Table::new(columns(request));
    let summary = loop {
        match answers.next()? {
            Answered::Item(item) => match request {
                Request::Trace(_) => print(&trace_line(&item)),
                _ => print(&table.row(&item)),
            },
            Answered::End(summary) => break summary,
        };
    };
    print(&table.rest());
    print(&end_text(request, &summary));
    Ok(())
}

fn columns(request: &Request) -> &'static [Column] {
    match request {
        Request::Clients(_) => CLIENT_COLUMNS,
        Request::Bans(_) => BAN_COLUMNS,
        Request::Listeners(_) => LISTENER_COLUMNS,
        Request::Subscriptions(_) => SUBSCRIPTION_COLUMNS,
        Request::Retained(retained) if retained.payload => RETAINED_COLUMNS,
        Request::Retained(_) => RETAINED_COLUMNS.split_last().map_or(&[], |(_, without)| without),
        _ => &[],
    }
}

const fn column(title: &'static str, path: &'static str, form: Form) -> Column {
    Column { title, path, form }
}

const CLIENT_COLUMNS: &[Column] = &[
    column("CLIENT", "client", Form::Text),
    column("GATEWAY", "gateway", Form::Text),
    column("CONNECTED", "connected", Form::YesNo),
    column("SINCE", "changed_at_ms", Form::Moment),
    column("USER", "user", Form::Text),
    column("LISTENER", "listener", Form::Text),
    column("ADDRESS", "address", Form::Text),
    column("SUBSCRIPTIONS", "subscriptions", Form::Number),
    column("QUEUED", "queued", Form::Number),
    column("IN FLIGHT", "inflight", Form::Number),
];

const BAN_COLUMNS: &[Column] = &[
    column("WHAT", "kind", Form::Text),
    column("VALUE", "value", Form::Text),
    column("LEFT", "remaining_ms", Form::Time),
    column("REASON", "reason", Form::Text),
];

const LISTENER_COLUMNS: &[Column] = &[
    column("LISTENER", "name", Form::Text),
    column("GATEWAY", "gateway", Form::Text),
    column("TRANSPORT", "transport", Form::Text),
    column("ADDRESS", "address", Form::Text),
    column("CONNECTIONS", "connections", Form::Number),
    column("MAXIMUM", "max_connections", Form::Number),
    column("REFUSED", "refused", Form::Number),
    column("READ", "read_bytes", Form::Bytes),
    column("WRITTEN", "written_bytes", Form::Bytes),
];

const SUBSCRIPTION_COLUMNS: &[Column] = &[
    column("CLIENT", "client", Form::Text),
    column("GATEWAY", "gateway", Form::Text),
    column("FILTER", "filter", Form::Text),
    column("SHARE", "share", Form::Text),
    column("QOS", "qos", Form::Number),
];

const RETAINED_COLUMNS: &[Column] = &[
    column("TOPIC", "topic", Form::Text),
    column("QOS", "qos", Form::Number),
    column("SIZE", "payload_bytes", Form::Bytes),
    column("PAYLOAD", "payload", Form::Text),
];

/// What is said at the end of an answer.
fn end_text(request: &Request, summary: &Json) -> String {
    let number = |key: &str| summary.get(key).and_then(Json::as_u64).unwrap_or(0);
    match request {
        Request::Show(_) | Request::Stats(_) => details(summary, 0),
        Request::Kick(_) => format!("{} disconnected\n", clients(number("kicked"))),
        Request::Ban(_) => format!("banned; {} disconnected\n", clients(number("kicked"))),
        Request::Unban(_) => "no longer banned\n".into(),
        Request::Reload(_) => reload_text(summary),
        _ if summary.get("more").and_then(Json::as_bool) == Some(true) => {
            format!("there are more than these {}\n", number("count"))
        }
        Request::Clients(_) if number("count") == 0 => "no clients\n".into(),
        Request::Bans(_) if number("count") == 0 => "nothing is banned\n".into(),
        Request::Subscriptions(_) if number("count") == 0 => "no subscriptions\n".into(),
        Request::Retained(_) if number("count") == 0 => "no retained messages\n".into(),
        _ => String::new(),
    }
}

pub(super) fn clients(count: u64) -> String {
    match count {
        1 => "1 client".into(),
        _ => format!("{count} clients"),
    }
}

/// An object as lines of keys and values, those below it indented.
fn details(json: &Json, depth: usize) -> String {
    let Json::Object(object) = json else { return String::new() };
    let width = object.keys().map(|key| label(key).0.len()).max().unwrap_or(0);
    let mut text = String::new();
    let space = "  ".repeat(depth);
    for (key, value) in object {
        let (label, form) = label(key);
        let mut lines = String::new();
        match value {
            Json::Object(_) => lines = details(value, depth + 1),
            Json::Array(list) if list.first().is_some_and(Json::is_object) => {
                for entry in list {
                    lines += &details(entry, depth + 1);
                }
            }
            _ => {}
        }
        let written = match lines.is_empty() {
            true => writeln!(text, "{space}{label:width$}  {}", form.show(Some(value))),
            false => write!(text, "{space}{label}\n{lines}"),
        };
        written.expect("a string takes everything");
    }
    text
}

/// A key as people read it, and the form of its value, which its end tells.
fn label(key: &str) -> (String, Form) {
    let ends: [(&str, Form); 3] =
        [("_at_ms", Form::Moment), ("_ms", Form::Time), ("_s", Form::Seconds)];
    let end = ends.iter().find_map(|(end, form)| Some((key.strip_suffix(end)?, *form)));
    let (name, form) = match end {
        Some(found) => found,
        None if key.ends_with("_bytes") || key == "bytes" => (key, Form::Bytes),
        None => (key, Form::YesNo),
    };
    (name.replace('_', " "), form)
}

/// What a reload has changed, or would change.
fn reload_text(summary: &Json) -> String {
    let is_applied = summary.get("applied").and_then(Json::as_bool).unwrap_or(false);
    let mut text = String::new();
    let list = |path: &str| -> Vec<String> {
        let list = table::find(summary, path).and_then(Json::as_array).into_iter().flatten();
        list.map(|entry| match entry.as_str() {
            Some(name) => table::printable(name),
            None => {
                let name = entry.get("name").and_then(Json::as_str).unwrap_or_default();
                let count = entry.get("connections").and_then(Json::as_u64).unwrap_or(0);
                format!("{} ({} disconnected)", table::printable(name), clients(count))
            }
        })
        .collect()
    };
    for (path, what) in [
        ("changes.settings", "settings changed"),
        ("changes.files", "files changed"),
        ("changes.listeners.opened", "listeners opened"),
        ("changes.listeners.moved", "listeners moved"),
        ("changes.listeners.closed", "listeners closed"),
        ("changes.needs_restart", "only after a restart"),
    ] {
        let names = list(path);
        if !names.is_empty() {
            text += &format!("{what}: {}\n", names.join(", "));
        }
    }
    if text.is_empty() {
        text += "nothing has changed\n";
    }
    let end = if is_applied { "applied" } else { "not applied: this was a dry run" };
    text + end + "\n"
}

/// One traced event as a line.
fn trace_line(item: &Json) -> String {
    let text = |key: &str| item.get(key).and_then(Json::as_str).map(table::printable);
    let at = item.get("at_ms").and_then(Json::as_u64).unwrap_or(0);
    let direction = match item.get("direction").and_then(Json::as_str) {
        Some("received") => "->",
        Some("sent") => "<-",
        _ => "--",
    };
    let who = text("client").or_else(|| text("address")).unwrap_or_else(|| "?".into());
    let what = text("what").unwrap_or_default();
    let mut line = format!("{} {who} {direction} {what}", table::time_of_day(at));
    for key in ["frame", "error"] {
        if let Some(json) = item.get(key) {
            line += &format!(" {json}");
        }
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_time("10m"), Ok(Lapse::seconds(600)));
        assert_eq!(parse_time("10min"), Ok(Lapse::seconds(600)));
        assert_eq!(parse_time("2h"), Ok(Lapse::seconds(7200)));
        assert!(parse_time("10").unwrap_err().contains("a duration"));
        assert!(parse_time("m").is_err());
        assert!(parse_time("100ms").is_err());
    }

    #[test]
    fn an_object_is_shown_as_lines() {
        let json = json!({ "a_ms": 61_000, "b": { "read_bytes": 2048, "on": true }, "c": null });
        assert_eq!(
            details(&json, 0),
            "a  1min 1s\nb\n  on          yes\n  read bytes  2.0 KiB\nc  -\n"
        );
    }

    #[test]
    fn a_reload_is_summed_up() {
        let json = json!({
            "applied": false,
            "disconnects": 2,
            "changes": {
                "settings": ["limits.max_sessions"],
                "listeners": { "closed": [{ "name": "west", "connections": 2 }], "opened": [] },
            },
        });
        let text = reload_text(&json);
        let expected = "\
settings changed: limits.max_sessions
listeners closed: west (2 clients disconnected)
not applied: this was a dry run
";
        assert_eq!(text, expected);
    }
}
