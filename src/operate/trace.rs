//! Traces: frames of single clients as they pass, decoded.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use core_model::Filter;
use gateway_host::{TraceEvent, TraceFilter, TraceItem};
use serde_json::{Map, Value as Json, json};

use super::Operator;
use super::request::{self, End, Items, Refusal};
use crate::Registration;

/// Events that wait for a reader that is slower; more are dropped and counted.
const EVENTS_MAX: usize = 1024;
/// Traces at once: fewer than connections to the control socket, so that somebody can still kick.
const TRACES_MAX: usize = 8;
/// How often a trace without events looks whether its reader is still there.
const LOOK_AFTER: Duration = Duration::from_millis(200);

impl Operator {
    /// Hands over what happens until the time is over or the reader is gone.
    pub(super) fn trace(
        &self,
        request: &request::Trace,
        items: &mut dyn Items,
    ) -> Result<Json, End> {
        let filter = trace_filter(request)?;
        let _turn = Turn::take(&self.traces)?;
        let end = request.seconds.and_then(|s| Instant::now().checked_add(Duration::from_secs(s)));
        tracing::info!(?filter, "trace begins");
        let stream = self.control.trace(filter, EVENTS_MAX);
        let mut stream = stream.map_err(|error| Refusal::refused(error.to_string()))?;
        items.item(json!({ "what": "trace begins" }))?;
        let mut count = 0_u64;
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) || self.is_draining.load(Ordering::Relaxed) {
                return Ok(json!({ "count": count }));
            }
            let Some(event) = stream.next(left.map_or(LOOK_AFTER, |left| left.min(LOOK_AFTER)))
            else {
                if items.is_gone() {
                    return Err(End::Gone);
                }
                continue;
            };
            for item in event_items(&event, &self.gateways) {
                items.item(item)?;
                count += 1;
            }
        }
    }
}

/// One of the traces that may run at once.
struct Turn<'t>(&'t AtomicUsize);

impl<'t> Turn<'t> {
    fn take(traces: &'t AtomicUsize) -> Result<Self, Refusal> {
        let turn = Turn(traces);
        match traces.fetch_add(1, Ordering::Relaxed) < TRACES_MAX {
            true => Ok(turn),
            false => Err(Refusal::refused(format!("{TRACES_MAX} traces run already"))),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn trace_filter(request: &request::Trace) -> Result<TraceFilter, Refusal> {
    let request::Trace { client, address, topic, seconds: _ } = request;
    match (client, address, topic) {
        (Some(client), None, None) => Ok(TraceFilter::Client(client.as_str().into())),
        (None, Some(address), None) => Ok(TraceFilter::Address(request::parse_net(address)?)),
        (None, None, Some(topic)) => Filter::parse(topic)
            .map(TraceFilter::Topic)
            .map_err(|error| Refusal::bad_request(format!("topic: {error}"))),
        _ => Err(Refusal::bad_request("give exactly one of client, address, topic")),
    }
}

/// An event as items: one for each frame in it.
fn event_items(event: &TraceEvent, gateways: &[Registration]) -> Vec<Json> {
    let base = || -> Map<String, Json> {
        let mut base = Map::new();
        base.insert("at_ms".into(), event.at.as_millis().into());
        let address = event.peer.map(|peer| peer.to_string());
        let texts = [
            ("gateway", Some(event.gateway)),
            ("listener", Some(&*event.listener)),
            ("client", event.client_id.as_deref()),
            ("address", address.as_deref()),
        ];
        for (key, text) in texts {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                base.insert(key.into(), text.into());
            }
        }
        base
    };
    let with = |more: Json| {
        let mut item = base();
        if let Json::Object(more) = more {
            item.extend(more);
        }
        Json::Object(item)
    };
    match &event.item {
        TraceItem::Opened => vec![with(json!({ "what": "opened" }))],
        TraceItem::Received { bytes, len } => {
            let frames = frames(event, bytes, *len, gateways);
            frames.into_iter().map(|frame| with(directed(frame, "received"))).collect()
        }
        TraceItem::Sent { bytes, len } => {
            let frames = frames(event, bytes, *len, gateways);
            frames.into_iter().map(|frame| with(directed(frame, "sent"))).collect()
        }
        TraceItem::Hidden { len, received } => {
            let direction = if *received { "received" } else { "sent" };
            vec![with(json!({ "what": "hidden", "direction": direction, "bytes": len }))]
        }
        TraceItem::Published { topic, payload, len, qos, retain } => vec![with(json!({
            "what": "message",
            "direction": "received",
            "message": {
                "topic": topic,
                "qos": *qos as u8,
                "retain": retain,
                "payload_bytes": len,
                "payload": request::payload_json(payload),
            },
        }))],
        TraceItem::Closed { reason } => {
            vec![with(json!({ "what": "closed", "reason": reason.name() }))]
        }
        TraceItem::Dropped { events } => {
            vec![with(json!({ "what": "dropped", "events": events }))]
        }
    }
}

fn directed(mut frame: Json, direction: &str) -> Json {
    if let Json::Object(object) = &mut frame {
        object.insert("direction".into(), direction.into());
    }
    frame
}

/// The frames in the bytes of one event.
fn frames(event: &TraceEvent, bytes: &[u8], len: usize, gateways: &[Registration]) -> Vec<Json> {
    let known = gateways.iter().find(|known| known.name == event.gateway);
    let Some(decoder) = known.and_then(|known| known.decoder) else {
        return vec![json!({ "what": "bytes", "bytes": len })];
    };
    let mut decoded = (decoder.decode)(bytes, event.version);
    if decoded.frames.is_empty() {
        // What opens a link says its version itself.
        decoded = (decoder.decode)(bytes, None);
    }
    let mut items: Vec<_> = decoded
        .frames
        .into_iter()
        .map(|frame| {
            let frame = frame.json;
            let what = frame.get("packet").and_then(Json::as_str).unwrap_or("frame").to_owned();
            json!({ "what": what, "frame": frame })
        })
        .collect();
    if bytes.len() < len {
        let shown = bytes.len();
        items.push(json!({ "what": "cut", "bytes": len, "shown_bytes": shown }));
    } else if let Some(error) = decoded.error {
        items.push(json!({ "what": "bad", "bytes": len, "error": error.get("error") }));
    }
    items
}

#[cfg(test)]
mod tests {
    use core_model::Timestamp;

    use super::*;

    #[test]
    fn so_many_traces_run_at_once() {
        let running = AtomicUsize::new(0);
        let turns: Vec<_> = (0..TRACES_MAX).map(|_| Turn::take(&running).ok().unwrap()).collect();
        assert!(Turn::take(&running).is_err());
        drop(turns);
        assert!(Turn::take(&running).is_ok());
    }

    #[test]
    fn each_frame_of_an_event_is_an_item_and_what_is_no_frame_is_told() {
        let event = |bytes: &[u8], len| TraceEvent {
            at: Timestamp::from_millis(5),
            gateway: "mqtt",
            version: Some("5"),
            listener: "a".into(),
            peer: None,
            client_id: Some("one".into()),
            item: TraceItem::Sent { bytes: bytes.into(), len },
        };
        let whats = |bytes: &[u8], len| -> Vec<Json> {
            let items = event_items(&event(bytes, len), crate::gateways());
            assert!(items.iter().all(|item| item["at_ms"] == 5 && item["client"] == "one"));
            items.iter().map(|item| item["what"].clone()).collect()
        };
        assert_eq!(whats(&[0xC0, 0, 0xD0, 0], 4), ["PINGREQ", "PINGRESP"]);
        assert_eq!(whats(&[0xD0, 0, 0x30, 9, 0], 11), ["PINGRESP", "cut"]);
        assert_eq!(whats(&[0xC1, 0], 2), ["bad"]);
    }
}
