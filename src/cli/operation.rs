//! The commands that ask a running server: what stands on the command line.

use std::fs;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::read_config;
use crate::Registration;
use crate::config::Node;
use crate::operate::{Request, requests};
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
    pub(super) json: bool,
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
    /// What is asked, and whom.
    pub(super) fn parts(self) -> (Request, ServerArgs) {
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

/// The data directory of the server. Nothing more is taken from its configuration file, which may
/// be bad just now.
pub(super) fn find_data_dir(
    server: &ServerArgs,
    gateways: &[Registration],
) -> Result<PathBuf, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_time("10m"), Ok(Lapse::seconds(600)));
        assert_eq!(parse_time("10min"), Ok(Lapse::seconds(600)));
        assert_eq!(parse_time("2h"), Ok(Lapse::seconds(7200)));
        assert!(parse_time("10").unwrap_err().contains("a duration"));
        assert!(parse_time("m").is_err());
        assert!(parse_time("100ms").is_err());
    }
}
