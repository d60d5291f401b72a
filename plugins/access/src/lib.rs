//! Who may connect and what it may do: authenticators, rules on topics, bans.
//!
//! Everything here is a plug-in of the core behind the traits of `core-model`. What takes time is a
//! [`core_model::Lookup`] that runs beside the shards.
#![deny(missing_docs)]

mod acl;
mod bans;
mod certificate;
mod client_ids;
mod error;
mod flapping;
pub mod hash;
mod hashing;
mod http;
pub mod import;
mod jwt;
mod nobody;
mod placeholder;
mod recent;
mod scram;
pub mod users;

pub use acl::{AclRule, AclRules, CertificateText, RuleError, RuleText, parse_rules, read_rules};
pub use bans::{Ban, BanError, BanList, BanTarget};
pub use certificate::{CertificateSettings, CertificateUsers};
pub use client_ids::{ClientIds, Listed};
pub use error::AccessError;
pub use flapping::{Flapping, FlappingConfig};
pub use hash::PasswordHash;
pub use hashing::{Hashing, HashingCounters, HashingLimits};
pub use http::{Http, HttpConfig, HttpEncoding, HttpMethod, OnTrouble};
pub use jwt::{JwksUrl, Jwt, JwtAlgorithm, JwtConfig, JwtKeys, TokenFrom};
pub use nobody::Nobody;
pub use scram::Scram;
pub use users::{UnknownUser, UserFrom, Users, UsersFile, UsersFileSettings};
