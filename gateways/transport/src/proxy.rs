use ipnet::IpNet;

/// Which proxies may say who the client is.
///
/// A source within `trusted` (and any peer of a Unix socket) has to send a header of the version;
/// any other must not send one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyRules {
    /// Which header is spoken.
    pub version: ProxyVersion,
    /// Where headers may come from.
    pub trusted: Vec<IpNet>,
}

/// Version of the PROXY protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyVersion {
    /// None: there is no header.
    #[default]
    Off,
    /// Version 1, a line of text.
    V1,
    /// Version 2, binary with extensions.
    V2,
    /// Version 1 or 2, as the proxy likes.
    Any,
}
