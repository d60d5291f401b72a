//! The commands that ask a running server: what is printed.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::operation::{Operation, find_data_dir};
use super::table::{self, Column, Form, Table};
use super::{Exit, complain, put};
use crate::Registration;
use crate::operate::{Answered, Answers, AskError, Request, ask};

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

/// Both of these end early when nobody reads any more, as behind `| head`.
fn show_json(mut answers: Answers, request: &Request) -> Result<(), AskError> {
    loop {
        match answers.next()? {
            Answered::Item(item) => {
                if !put(&format!("{item}\n")) {
                    return Ok(());
                }
            }
            Answered::End(summary) => {
                if !is_list(request) {
                    put(&format!("{summary}\n"));
                }
                return Ok(());
            }
        }
    }
}

fn show(mut answers: Answers, request: &Request) -> Result<(), AskError> {
    let mut table = Table::new(columns(request));
    loop {
        match answers.next()? {
            Answered::Item(item) => {
                let text = match request {
                    Request::Trace(_) => trace_line(&item),
                    _ => table.row(&item),
                };
                if !put(&text) {
                    return Ok(());
                }
            }
            Answered::End(summary) => {
                put(&(table.rest() + &end_text(request, &summary)));
                return Ok(());
            }
        }
    }
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

fn clients(count: u64) -> String {
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
    for warning in list("warnings") {
        text += &format!("warning: {warning}\n");
    }
    let end = if is_applied { "applied" } else { "not applied: this was a dry run" };
    text + end + "\n"
}

/// One traced event as a line.
fn trace_line(item: &Json) -> String {
    let Json::Object(fields) = item else { return String::new() };
    let text = |key: &str| fields.get(key).and_then(Json::as_str).map(table::printable);
    let what = text("what").unwrap_or_default();
    let Some(at) = fields.get("at_ms").and_then(Json::as_u64) else { return what + "\n" };
    let direction = match fields.get("direction").and_then(Json::as_str) {
        Some("received") => "->",
        Some("sent") => "<-",
        _ => "--",
    };
    let who = text("client").or_else(|| text("address")).unwrap_or_else(|| "?".into());
    let mut line = format!("{} {who} {direction} {what}", table::time_of_day(at));
    const SHOWN: [&str; 7] =
        ["what", "at_ms", "direction", "client", "address", "gateway", "listener"];
    for (key, value) in fields.iter().filter(|(key, _)| !SHOWN.contains(&key.as_str())) {
        match value {
            Json::Object(_) => line += &format!(" {value}"),
            _ => line += &format!(" {key}={value}"),
        }
    }
    line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        let json = json!({ "applied": true, "changes": {}, "warnings": ["a", "b"] });
        let expected = "nothing has changed\nwarning: a\nwarning: b\napplied\n";
        assert_eq!(reload_text(&json), expected);
    }

    #[test]
    fn a_traced_event_is_a_line() {
        let json = json!({
            "at_ms": 1_700_000_000_123_u64,
            "client": "one\n",
            "listener": "a",
            "direction": "sent",
            "what": "PINGRESP",
            "frame": { "packet": "PINGRESP" },
        });
        let expected = "22:13:20.123 one\\n <- PINGRESP {\"packet\":\"PINGRESP\"}\n";
        assert_eq!(trace_line(&json), expected);
        let json = json!({ "at_ms": 0, "address": "[::1]:1", "what": "dropped", "events": 3 });
        assert_eq!(trace_line(&json), "00:00:00.000 [::1]:1 -- dropped events=3\n");
        assert_eq!(trace_line(&json!({ "what": "trace begins" })), "trace begins\n");
    }
}
