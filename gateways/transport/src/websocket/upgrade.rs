use std::io::Write as _;

use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::handshake::machine::TryParse;
use tungstenite::handshake::server::{Request, create_response, write_response};
use tungstenite::http::{HeaderName, HeaderValue, StatusCode, header};
use tungstenite::{Error, http};

use super::WebSocketRules;

/// The longest head of a request, its last empty line included.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Reads the HTTP request of one connection.
#[derive(Debug, Default)]
pub(crate) struct Upgrade {
    buffer: Vec<u8>,
}

/// Why a request is refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    pub(crate) text: &'static str,
}

impl Upgrade {
    /// Takes bytes until the request is complete, appends the answer to `out`, and returns the
    /// bytes after the request.
    pub(crate) fn input(
        &mut self,
        rules: &WebSocketRules,
        wire: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let result = self.read(rules, wire, out);
        if let Err(refusal) = &result {
            refusal.push(out);
        }
        result
    }

    fn read(
        &mut self,
        rules: &WebSocketRules,
        wire: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Vec<u8>>, Refusal> {
        let seen = self.buffer.len().saturating_sub(3);
        self.buffer.extend_from_slice(wire);
        if self.buffer.first().is_some_and(|byte| !byte.is_ascii_alphabetic()) {
            return Err(bad_request("not a request"));
        }
        // Parsed once it is complete: a parser that begins anew with each byte can be kept busy.
        let after_seen = self.buffer.get(seen..).unwrap_or_default();
        let end = after_seen.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let Some(end) = end.map(|at| seen + at + 4) else {
            if self.buffer.len() >= HEAD_BYTES_MAX {
                return Err(too_large());
            }
            return Ok(None);
        };
        if end > HEAD_BYTES_MAX {
            return Err(too_large());
        }
        let head = self.buffer.get(..end).unwrap_or_default();
        let (used, request) = Request::try_parse(head)
            .map_err(|error| refusal_of(&error))?
            .ok_or(bad_request("not a request"))?;
        answer(rules, &request, out)?;
        let rest = self.buffer.split_off(used);
        self.buffer = Vec::new();
        Ok(Some(rest))
    }
}

fn answer(rules: &WebSocketRules, request: &Request, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let path = request.uri().path();
    if !rules.paths.iter().any(|allowed| **allowed == *path) {
        return Err(Refusal { status: StatusCode::NOT_FOUND, text: "nothing is at this path" });
    }
    check_headers(request)?;
    check_origin(rules, request)?;
    let mut response = create_response(request).map_err(|error| refusal_of(&error))?;
    if !rules.protocols.is_empty() {
        //= mqtt5:6.0.0-3
        //= mqtt311:6.0.0-3
        let protocol = choose_protocol(rules, request)
            .ok_or(bad_request("none of the subprotocols that are spoken here is offered"))?;
        //= mqtt5:6.0.0-4
        //= mqtt311:6.0.0-4
        let name = HeaderValue::from_str(protocol)
            .map_err(|_| bad_request("a subprotocol that is no token"))?;
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, name);
    }
    write_response(&mut *out, &response).map_err(|error| refusal_of(&error))
}

/// Checks what would be ambiguous, or what would make the client's frames something else.
fn check_headers(request: &Request) -> Result<(), Refusal> {
    let headers = request.headers();
    let count = |name: HeaderName| headers.get_all(name).iter().count();
    if count(header::HOST) != 1 {
        return Err(bad_request("not exactly one Host"));
    }
    for name in [header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION, header::ORIGIN] {
        if count(name) > 1 {
            return Err(bad_request("a header that must be there once is there twice"));
        }
    }
    let has_length = headers.get_all(header::CONTENT_LENGTH).iter().any(|length| length != "0");
    if has_length || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(bad_request("an upgrade has no body"));
    }
    Ok(())
}

/// Only browsers say where their page is from, and only there it protects somebody: the user whose
/// browser it is.
fn check_origin(rules: &WebSocketRules, request: &Request) -> Result<(), Refusal> {
    let Some(origin) = request.headers().get(header::ORIGIN) else { return Ok(()) };
    let is_allowed = |allowed: &str| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
    if rules.origins.is_empty() || rules.origins.iter().any(|allowed| is_allowed(allowed)) {
        return Ok(());
    }
    Err(Refusal { status: StatusCode::FORBIDDEN, text: "pages of this origin may not enter" })
}

/// The client's first offer that is spoken here.
fn choose_protocol<'a>(rules: &'a WebSocketRules, request: &Request) -> Option<&'a str> {
    let offers = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    offers
        .iter()
        .filter_map(|offers| offers.to_str().ok())
        .flat_map(|offers| offers.split(','))
        .find_map(|offer| rules.protocols.iter().find(|spoken| ***spoken == *offer.trim()))
        .map(|spoken| &**spoken)
}

impl Refusal {
    fn push(&self, out: &mut Vec<u8>) {
        let status = self.status;
        let _ = write!(out, "HTTP/1.1 {} {}\r\n", status.as_u16(), reason(status));
        if status == StatusCode::METHOD_NOT_ALLOWED {
            out.extend_from_slice(b"Allow: GET\r\n");
        }
        if status == StatusCode::UPGRADE_REQUIRED {
            out.extend_from_slice(b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
        }
        let connection = match status {
            StatusCode::UPGRADE_REQUIRED => "Upgrade, close",
            _ => "close",
        };
        let _ = write!(
            out,
            "Connection: {connection}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{}\n",
            self.text.len() + 1,
            self.text
        );
    }
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or_default()
}

fn refusal_of(error: &Error) -> Refusal {
    let upgrade = |text| Refusal { status: StatusCode::UPGRADE_REQUIRED, text };
    match error {
        Error::Protocol(ProtocolError::WrongHttpMethod) => {
            Refusal { status: StatusCode::METHOD_NOT_ALLOWED, text: "only GET is upgraded" }
        }
        Error::Protocol(ProtocolError::WrongHttpVersion) => bad_request("not HTTP/1.1"),
        Error::Protocol(
            ProtocolError::MissingConnectionUpgradeHeader
            | ProtocolError::MissingUpgradeWebSocketHeader,
        ) => upgrade("this is a WebSocket"),
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => {
            upgrade("only version 13 of WebSocket is spoken")
        }
        Error::Protocol(
            ProtocolError::MissingSecWebSocketKey | ProtocolError::InvalidSecWebSocketKey,
        ) => bad_request("no proper Sec-WebSocket-Key"),
        Error::Capacity(CapacityError::TooManyHeaders) => too_large(),
        _ => bad_request("not a request"),
    }
}

fn bad_request(text: &'static str) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, text }
}

fn too_large() -> Refusal {
    Refusal {
        status: http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        text: "a request with a head of more than 8 KiB or too many lines",
    }
}
