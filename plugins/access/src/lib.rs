//! Who may connect and what it may do: authenticators, rules on topics, bans.
//!
//! Everything here is a plug-in of the core behind the traits of `core-model`. What takes time is a
//! [`core_model::Lookup`] that runs beside the shards.
#![deny(missing_docs)]

mod acl;
mod bans;
mod flapping;
mod http;
mod jwt;
mod placeholder;

pub use acl::{
    AclFileError, AclRule, AclRules, CertificateText, RuleError, RuleText, parse_rules, read_rules,
};
pub use bans::{Ban, BanError, BanList, BanTarget};
pub use flapping::{Flapping, FlappingConfig};
pub use http::HttpClientError;
pub use jwt::{JwksUrl, Jwt, JwtAlgorithm, JwtConfig, JwtError, JwtKeys, TokenFrom};
