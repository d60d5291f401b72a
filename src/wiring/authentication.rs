//! Authenticators: one for each `[authentication.NAME]`, in chains for each listener.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use core_model::{Authenticator, Secret};
use plugin_access::{
    CertificateSettings, ClientIds, Hashing, HashingCounters, HashingLimits, Http, HttpConfig,
    HttpEncoding, HttpMethod, JwksUrl, Jwt, JwtAlgorithm, JwtConfig, JwtKeys, Listed, Nobody,
    OnTrouble, Scram, TokenFrom, UnknownUser, UserFrom, Users, UsersFile, UsersFileSettings,
};

use super::Building;
use super::listeners::certificate_field;
use crate::config::{self, Authentication, HttpUsers, JwtUsers};
use crate::settings::{ByName, FilePath};

/// All authenticators, and what outlives a reload of theirs.
pub(super) struct Authenticators {
    by_name: HashMap<String, Arc<dyn Authenticator>>,
    jwts: HashMap<String, Arc<Jwt>>,
    https: HashMap<String, AskedByHttp>,
    hashing: Arc<Hashing>,
}

/// The authenticators; nothing if one of them is at fault.
pub(super) fn build(
    building: &mut Building<'_>,
    previous: Option<&Authenticators>,
) -> Option<Authenticators> {
    let limits = hashing_limits(building.config);
    let hashing = match previous {
        // What it remembers is what a reload should not cost.
        Some(previous) if previous.hashing.limits() == limits => Arc::clone(&previous.hashing),
        _ => Arc::new(building.keep("hashing", Hashing::new(limits))?),
    };
    let mut all = Authenticators {
        by_name: HashMap::new(),
        jwts: HashMap::new(),
        https: HashMap::new(),
        hashing,
    };
    let mut files = UserFiles::default();
    for (name, authentication) in &building.config.node.authentication.list {
        let made = all.build_one(building, previous, &mut files, name, authentication);
        all.by_name.extend(made.map(|made| (name.clone(), made)));
    }
    Some(all)
}

fn hashing_limits(config: &config::Config) -> HashingLimits {
    let own = &config.node.hashing;
    HashingLimits {
        threads: own.thread_count(),
        queue: config::to_usize(own.queue.into()),
        cache: config::to_usize(own.cache_entries.into()),
        cache_time: own.cache_ttl.duration(),
    }
}

impl Authenticators {
    /// What hashing passwords has come to.
    pub(super) fn hashing_counters(&self) -> HashingCounters {
        self.hashing.counters()
    }

    /// Those that a listener names, in its order. Where nobody may be anonymous the chain says so
    /// at its end: a connection that was there before a reload knows only what was allowed then.
    pub(super) fn chain(&self, listener: &config::Listener) -> Vec<Arc<dyn Authenticator>> {
        let names = listener.table.authentication.0.iter();
        let named = names.filter_map(|name| self.by_name.get(name).cloned());
        let end = (!listener.allows_anonymous()).then(|| Arc::new(Nobody) as _);
        named.chain(end).collect()
    }

    fn build_one(
        &mut self,
        building: &mut Building<'_>,
        previous: Option<&Authenticators>,
        files: &mut UserFiles,
        name: &str,
        authentication: &Authentication,
    ) -> Option<Arc<dyn Authenticator>> {
        let key = format!("authentication.{name}");
        match authentication {
            Authentication::File(own) => {
                let users = files.read(building, &format!("{key}.path"), &own.path)?;
                let settings = UsersFileSettings {
                    name: name.into(),
                    user_from: match own.user_from {
                        config::UserFrom::User => UserFrom::UserName,
                        config::UserFrom::ClientId => UserFrom::ClientId,
                    },
                    unknown: match own.unknown_user {
                        config::UnknownUser::Next => UnknownUser::GoOn,
                        config::UnknownUser::Refuse => UnknownUser::Refuse,
                    },
                };
                Some(Arc::new(UsersFile::new(settings, users, Arc::clone(&self.hashing))))
            }
            Authentication::Scram(own) => {
                let users = files.read(building, &format!("{key}.path"), &own.path)?;
                Some(Arc::new(Scram::new(name, users)))
            }
            Authentication::Certificate(own) => {
                let settings = CertificateSettings {
                    name: name.into(),
                    user: certificate_field(own.user),
                    allow: own.allow.0.clone(),
                    client_id: own.client_id.0.map(certificate_field),
                    from_proxy: own.from_proxy,
                };
                Some(Arc::new(plugin_access::CertificateUsers::new(settings)))
            }
            Authentication::ClientIds(own) => {
                let mut list = ClientIds::new(
                    name,
                    match own.listed {
                        config::Listed::Next => Listed::GoOn,
                        config::Listed::Accept => Listed::Accept,
                    },
                );
                own.ids.0.iter().for_each(|id| list.add(id));
                if let Some(path) = &own.path.0 {
                    let path = path.in_folder(building.config.folder());
                    building.keep(&format!("{key}.path"), list.add_file(&path))?;
                }
                Some(Arc::new(list))
            }
            Authentication::Jwt(own) => {
                let config = jwt_config(building, &key, name, own)?;
                let before = previous.and_then(|previous| previous.jwts.get(name));
                let made = Jwt::new(config, before.map(Arc::as_ref));
                let jwt = Arc::new(building.keep(&key, made)?);
                self.jwts.insert(name.to_owned(), Arc::clone(&jwt));
                Some(jwt)
            }
            Authentication::Http(own) => {
                let kept = previous.and_then(|previous| previous.https.get(name));
                let http = AskedByHttp::new(building, kept, &key, name, own)?;
                let made = Arc::clone(&http.made);
                self.https.insert(name.to_owned(), http);
                Some(made)
            }
        }
    }
}

/// Files of users, each of which is read once, whatever names it.
#[derive(Default)]
struct UserFiles(HashMap<PathBuf, Arc<Users>>);

impl UserFiles {
    fn read(
        &mut self,
        building: &mut Building<'_>,
        key: &str,
        path: &FilePath,
    ) -> Option<Arc<Users>> {
        let path = path.in_folder(building.config.folder());
        if let Some(users) = self.0.get(&path) {
            return Some(Arc::clone(users));
        }
        let users = Arc::new(building.keep(key, Users::read(&path))?);
        building.warn_if_readable_by_others(key, &path);
        self.0.insert(path, Arc::clone(&users));
        Some(users)
    }
}

/// An HTTP server, with what it was made from.
struct AskedByHttp {
    settings: HttpUsers,
    token: Option<Secret>,
    made: Arc<Http>,
}

impl AskedByHttp {
    /// The one before if nothing has changed, with the answers that it remembers.
    fn new(
        building: &mut Building<'_>,
        before: Option<&AskedByHttp>,
        key: &str,
        name: &str,
        own: &HttpUsers,
    ) -> Option<Self> {
        let folder = building.config.folder();
        let token = match &own.token_file.0 {
            Some(file) => {
                let key = format!("{key}.token_file");
                Some(building.read_token(&key, &file.in_folder(folder))?)
            }
            None => None,
        };
        let made = match before {
            // The file of authorities may hold others now.
            Some(before)
                if before.settings == *own && before.token == token && own.ca_file.0.is_none() =>
            {
                Arc::clone(&before.made)
            }
            _ => {
                let config = http_config(building, name, own, token.as_ref());
                Arc::new(building.keep(key, Http::new(config))?)
            }
        };
        Some(AskedByHttp { settings: own.clone(), token, made })
    }
}

fn http_config(
    building: &Building<'_>,
    name: &str,
    own: &HttpUsers,
    token: Option<&Secret>,
) -> HttpConfig {
    let usual = HttpConfig::new(name, &own.url);
    let mut headers = texts(&own.headers);
    if let Some(token) = token {
        let token = String::from_utf8_lossy(token.expose());
        headers.push(("Authorization".into(), format!("Bearer {token}").into()));
    }
    HttpConfig {
        method: match own.method {
            config::HttpMethod::Post => HttpMethod::Post,
            config::HttpMethod::Get => HttpMethod::Get,
        },
        encoding: match own.encoding {
            config::HttpEncoding::Json => HttpEncoding::Json,
            config::HttpEncoding::Form => HttpEncoding::Form,
        },
        headers,
        fields: if own.fields.list.is_empty() { usual.fields } else { texts(&own.fields) },
        ca_file: own.ca_file.0.as_ref().map(|file| file.in_folder(building.config.folder())),
        timeout_ms: own.timeout.ms,
        on_trouble: match own.on_trouble {
            config::OnTrouble::Refuse => OnTrouble::Refuse,
            config::OnTrouble::Next => OnTrouble::Next,
        },
        pause_ms: own.pause.ms,
        concurrency_max: config::to_usize(own.max_questions.into()),
        allowed_ttl_ms: own.allowed_ttl.ms,
        denied_ttl_ms: own.denied_ttl.ms,
        answers_max: config::to_usize(own.cache_entries.into()),
        ..usual
    }
}

fn texts(map: &ByName<String>) -> Vec<(Box<str>, Box<str>)> {
    map.list.iter().map(|(name, text)| (name.as_str().into(), text.as_str().into())).collect()
}

fn jwt_config(
    building: &mut Building<'_>,
    key: &str,
    name: &str,
    own: &JwtUsers,
) -> Option<JwtConfig> {
    let folder = building.config.folder();
    let file = |path: &FilePath| path.in_folder(folder);
    let keys = if let Some(path) = &own.secret_file.0 {
        building.warn_if_readable_by_others(&format!("{key}.secret_file"), &file(path));
        JwtKeys::SecretFile { path: file(path), is_base64: own.secret_base64 }
    } else if let Some(path) = &own.public_key_file.0 {
        JwtKeys::PublicKeyFile(file(path))
    } else if let Some(path) = &own.jwks_file.0 {
        JwtKeys::JwksFile(file(path))
    } else {
        JwtKeys::JwksUrl(JwksUrl {
            // The check of the configuration has seen to it that one of them is set.
            url: own.jwks_url.0.clone()?,
            ca_file: own.jwks_ca_file.0.as_ref().map(file),
            refresh_ms: own.jwks_refresh.ms,
            retry_ms: own.jwks_retry.ms,
            timeout_ms: own.jwks_timeout.ms,
        })
    };
    let algorithms = own.algorithms.iter().map(|algorithm| jwt_algorithm(*algorithm)).collect();
    let text = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
    Some(JwtConfig {
        from: match own.from {
            config::TokenFrom::Password => TokenFrom::Password,
            config::TokenFrom::User => TokenFrom::User,
        },
        claims: texts(&own.claims),
        user_claim: own.user_claim.as_str().into(),
        superuser_claim: own.superuser_claim.0.as_deref().and_then(text),
        acl_claim: text(&own.acl_claim),
        expiry_required: own.expiry_required,
        leeway_s: own.leeway.whole_seconds(),
        ..JwtConfig::new(name, algorithms, keys)
    })
}

fn jwt_algorithm(algorithm: config::JwtAlgorithm) -> JwtAlgorithm {
    use config::JwtAlgorithm as Own;
    match algorithm {
        Own::Hs256 => JwtAlgorithm::Hs256,
        Own::Hs384 => JwtAlgorithm::Hs384,
        Own::Hs512 => JwtAlgorithm::Hs512,
        Own::Rs256 => JwtAlgorithm::Rs256,
        Own::Rs384 => JwtAlgorithm::Rs384,
        Own::Rs512 => JwtAlgorithm::Rs512,
        Own::Ps256 => JwtAlgorithm::Ps256,
        Own::Ps384 => JwtAlgorithm::Ps384,
        Own::Ps512 => JwtAlgorithm::Ps512,
        Own::Es256 => JwtAlgorithm::Es256,
        Own::Es384 => JwtAlgorithm::Es384,
        Own::EdDsa => JwtAlgorithm::EdDsa,
    }
}
