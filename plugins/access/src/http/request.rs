use core_model::Evidence;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, RequestBuilder, Url};
use ring::hmac;
use serde_json::{Map, Value};

use super::client::check_url;
use super::template::{NoText, Placeholder, Template, percent_encode};
use super::{HttpConfig, HttpEncoding, HttpMethod};
use crate::error::AccessError;

/// How a server is asked about a client. It may hold secrets.
pub(super) struct RequestTemplate {
    method: HttpMethod,
    url: Template,
    headers: Vec<(HeaderName, Template)>,
    encoding: HttpEncoding,
    fields: Vec<(Box<str>, Template)>,
    /// Whether the server sees the user name that the client claims.
    pub(super) has_user: bool,
}

/// What a server is asked about one client. It may hold a password.
pub(super) struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl RequestTemplate {
    /// Reads the templates of a configuration. Returns the URL for the client's settings too.
    pub(super) fn parse(config: &HttpConfig) -> Result<(Self, Url), AccessError> {
        let template = |setting: &'static str, text: &str| {
            Template::parse(text).map_err(|what| AccessError::setting(setting, what))
        };
        let url = template("url", &config.url)?;
        let sample = url.url("x", &Evidence::default());
        if has_dot_segment(&sample) || sample.contains('#') {
            let what = "has \"#\", or \".\" or \"..\" in its path";
            return Err(AccessError::setting("url", what));
        }
        let sample = check_url(&sample)?;
        let origin_end = config.url.find("://").map_or(0, |at| at + "://".len());
        let host = config.url.get(origin_end..).unwrap_or("");
        let origin_end = origin_end + host.find(['/', '?', '#']).unwrap_or(host.len());
        if url.first_placeholder().is_some_and(|at| at <= origin_end) {
            return Err(AccessError::setting("url", "has a placeholder before its path"));
        }
        let mut headers = Vec::new();
        for (name, value) in &config.headers {
            let known = HeaderName::from_bytes(name.as_bytes());
            let known = known.map_err(|_| {
                AccessError::setting("headers", format!("{name:?} is not the name of a header"))
            })?;
            headers.push((known, template("headers", value)?));
        }
        let mut fields = Vec::new();
        for (name, value) in &config.fields {
            fields.push((name.clone(), template("fields", value)?));
        }
        let mut all = fields.iter().map(|(_, value)| value);
        let has_user = url.has(Placeholder::Username)
            || all.any(|value| value.has(Placeholder::Username))
            || headers.iter().any(|(_, value)| value.has(Placeholder::Username));
        let (method, encoding) = (config.method, config.encoding);
        Ok((RequestTemplate { method, url, headers, encoding, fields, has_user }, sample))
    }

    /// The request about one client; `None` if it cannot be made of what the client sent: a value
    /// that would lead to another path, or that no header or JSON text can hold.
    pub(super) fn fill(&self, client_id: &str, evidence: &Evidence) -> Option<Request> {
        let mut url = self.url.url(client_id, evidence);
        if has_dot_segment(&url) {
            return None;
        }
        let mut headers = HeaderMap::new();
        for (name, template) in &self.headers {
            let mut value = HeaderValue::from_bytes(&template.bytes(client_id, evidence)).ok()?;
            value.set_sensitive(true);
            headers.append(name.clone(), value);
        }
        let mut body = Vec::new();
        let method = match self.method {
            HttpMethod::Get => {
                if !self.fields.is_empty() {
                    url.push(if url.contains('?') { '&' } else { '?' });
                    url.push_str(&self.form(client_id, evidence));
                }
                Method::GET
            }
            HttpMethod::Post => {
                let kind = match self.encoding {
                    HttpEncoding::Json => {
                        body = self.json(client_id, evidence).ok()?;
                        "application/json"
                    }
                    HttpEncoding::Form => {
                        body = self.form(client_id, evidence).into_bytes();
                        "application/x-www-form-urlencoded"
                    }
                };
                headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
                Method::POST
            }
        };
        Some(Request { method, url: Url::parse(&url).ok()?, headers, body })
    }

    fn form(&self, client_id: &str, evidence: &Evidence) -> String {
        let mut form = String::new();
        for (name, value) in &self.fields {
            if !form.is_empty() {
                form.push('&');
            }
            percent_encode(name.as_bytes(), &mut form);
            form.push('=');
            percent_encode(&value.bytes(client_id, evidence), &mut form);
        }
        form
    }

    fn json(&self, client_id: &str, evidence: &Evidence) -> Result<Vec<u8>, NoText> {
        let mut object = Map::new();
        for (name, value) in &self.fields {
            let text = value.text(client_id, evidence)?;
            object.insert((&**name).into(), text.map_or(Value::Null, Value::String));
        }
        Ok(Value::Object(object).to_string().into_bytes())
    }
}

impl Request {
    /// A keyed hash that is the same for the same question.
    pub(super) fn digest(&self, key: &hmac::Key) -> [u8; 32] {
        let mut hash = hmac::Context::with_key(key);
        let mut add = |part: &[u8]| {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        };
        add(self.method.as_str().as_bytes());
        add(self.url.as_str().as_bytes());
        for (name, value) in &self.headers {
            add(name.as_str().as_bytes());
            add(value.as_bytes());
        }
        add(&self.body);
        let mut digest = [0; 32];
        for (to, from) in digest.iter_mut().zip(hash.sign().as_ref()) {
            *to = *from;
        }
        digest
    }

    pub(super) fn with(self, client: &Client) -> RequestBuilder {
        client.request(self.method, self.url).headers(self.headers).body(self.body)
    }
}

/// Whether the path has a segment that leads elsewhere when the URL is read.
fn has_dot_segment(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or("");
    path.split(['/', '\\']).any(|segment| {
        let dots = segment.to_ascii_lowercase().replace("%2e", ".");
        dots == "." || dots == ".."
    })
}
