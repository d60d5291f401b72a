use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use super::values::{SIZE_UNITS, number_with_unit};
use super::{Found, List, Refusal, Value};

type Range = RangeInclusive<u64>;

/// Where to send: an address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub SocketAddr);

impl Default for Address {
    /// Nowhere.
    fn default() -> Self {
        Address(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0))
    }
}

impl Value for Address {
    fn read(&mut self, found: Found<'_>, _: &Range) -> Result<(), Refusal> {
        let Found::Text(text) = found else { return Err(Refusal::NotAllowed) };
        let address: SocketAddr = text.parse().map_err(|_| Refusal::NotAllowed)?;
        if address.ip().is_unspecified() || address.port() == 0 {
            return Err(Refusal::NotAllowed);
        }
        self.0 = address;
        Ok(())
    }

    fn allowed(&self, _: &Range) -> String {
        "an address and a port, such as \"192.0.2.255:1884\", \"[ff02::1]:1884\"".into()
    }

    fn toml(&self) -> Option<String> {
        Some(format!("\"{}\"", self.0))
    }

    fn example(&self) -> String {
        "\"192.0.2.255:1884\"".into()
    }
}

/// Where to listen: an address and a port, or the file of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// Address and port.
    Address(SocketAddr),
    /// A Unix socket's file. A relative path starts at the folder of the configuration file.
    Unix(PathBuf),
}

impl Bind {
    /// Whether only programs of this machine can connect.
    pub fn is_local(&self) -> bool {
        match self {
            Bind::Address(address) => address.ip().is_loopback(),
            Bind::Unix(_) => true,
        }
    }

    /// The same with a Unix socket's file as seen from anywhere, when the configuration file is in
    /// `folder`.
    pub fn in_folder(&self, folder: &Path) -> Bind {
        match self {
            Bind::Address(address) => Bind::Address(*address),
            Bind::Unix(path) => Bind::Unix(folder.join(path)),
        }
    }
}

impl Default for Bind {
    fn default() -> Self {
        Bind::Address(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Address(address) => address.fmt(f),
            Bind::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Value for Bind {
    fn read(&mut self, found: Found<'_>, _: &Range) -> Result<(), Refusal> {
        let Found::Text(text) = found else { return Err(Refusal::NotAllowed) };
        *self = match text.strip_prefix("unix:") {
            Some("") => return Err(Refusal::NotAllowed),
            Some(path) => Bind::Unix(path.into()),
            None => Bind::Address(text.parse().map_err(|_| Refusal::NotAllowed)?),
        };
        Ok(())
    }

    fn allowed(&self, _: &Range) -> String {
        "an address and a port, such as \"127.0.0.1:1883\", \"0.0.0.0:1883\", \"[::]:1883\", or \
         \"unix:PATH\""
            .into()
    }

    fn toml(&self) -> Option<String> {
        Some(toml::Value::from(self.to_string()).to_string())
    }

    fn example(&self) -> String {
        "\"127.0.0.1:8080\"".into()
    }
}

/// Addresses that begin alike, as in `"10.0.0.0/8"`; one address alone is such a range as well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Net(pub IpNet);

impl Net {
    /// Where programs of this machine connect from.
    pub fn loopback() -> List<Net> {
        let (v4, v6) = (Ipv4Addr::new(127, 0, 0, 0), Ipv6Addr::LOCALHOST);
        let nets = [IpNet::new_assert(v4.into(), 8), IpNet::from(IpAddr::from(v6))];
        List(nets.map(Net).into())
    }
}

impl Value for Net {
    fn read(&mut self, found: Found<'_>, _: &Range) -> Result<(), Refusal> {
        let Found::Text(text) = found else { return Err(Refusal::NotAllowed) };
        let one = || text.parse::<IpAddr>().map(IpNet::from);
        let net = text.parse::<IpNet>().or_else(|_| one()).map_err(|_| Refusal::NotAllowed)?;
        if net.trunc() != net {
            let why = format!("bits are set behind the prefix; it would be {}", net.trunc());
            return Err(Refusal::Because(why));
        }
        self.0 = net;
        Ok(())
    }

    fn allowed(&self, _: &Range) -> String {
        "addresses such as \"10.0.0.0/8\", \"192.0.2.7\", \"2001:db8::/32\"".into()
    }

    fn toml(&self) -> Option<String> {
        Some(format!("\"{}\"", self.0))
    }

    fn example(&self) -> String {
        "\"10.0.0.0/8\"".into()
    }
}

/// How much there may be in the long run, and how much at once: `"100/s"`, `"6000/min"`, `"1MiB/s"`,
/// `"100/s, burst 200"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Units that come back each second.
    pub per_second: u32,
    /// Units that may be used at once after a pause.
    pub burst: u32,
}

/// Seconds of each unit of time.
const RATE_UNITS: [(&str, u64); 3] = [("s", 1), ("min", 60), ("h", 3_600)];

impl Rate {
    fn parse(text: &str) -> Result<Rate, Refusal> {
        let (rate, burst) = match text.split_once(',') {
            Some((rate, burst)) => {
                (rate, Some(burst.trim().strip_prefix("burst").ok_or(Refusal::NotAllowed)?))
            }
            None => (text, None),
        };
        let (count, unit) = rate.split_once('/').ok_or(Refusal::NotAllowed)?;
        let unit = RATE_UNITS.iter().find(|(name, _)| *name == unit.trim());
        let (count, (_, seconds)) = (amount(count)?, unit.ok_or(Refusal::NotAllowed)?);
        // A remainder would make the rate another one than the file says.
        if count == 0 || !count.is_multiple_of(*seconds) {
            return Err(Refusal::Because("a rate is a whole number each second, 1 or more".into()));
        }
        let per_second = count / seconds;
        let burst = burst.map_or(Ok(per_second), amount)?;
        let within = |number| u32::try_from(number).ok().filter(|number| *number > 0);
        let (per_second, burst) = (within(per_second), within(burst));
        Ok(Rate {
            per_second: per_second.ok_or(Refusal::NotAllowed)?,
            burst: burst.ok_or(Refusal::NotAllowed)?,
        })
    }
}

/// A number, or a number of bytes with its unit.
fn amount(text: &str) -> Result<u64, Refusal> {
    let text = text.trim();
    let number = text.parse().ok().or_else(|| number_with_unit(text, &SIZE_UNITS));
    number.ok_or(Refusal::NotAllowed)
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.per_second)?;
        if self.burst != self.per_second {
            write!(f, ", burst {}", self.burst)?;
        }
        Ok(())
    }
}

/// A rate, or none as `"unlimited"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit(pub Option<Rate>);

impl Value for RateLimit {
    fn read(&mut self, found: Found<'_>, _: &Range) -> Result<(), Refusal> {
        let Found::Text(text) = found else { return Err(Refusal::NotAllowed) };
        self.0 = if text == "unlimited" { None } else { Some(Rate::parse(text)?) };
        Ok(())
    }

    fn allowed(&self, _: &Range) -> String {
        "a rate such as \"100/s\", \"6000/min\", \"1MiB/s\" or \"100/s, burst 200\", or \
         \"unlimited\""
            .into()
    }

    fn toml(&self) -> Option<String> {
        Some(self.0.map_or("\"unlimited\"".into(), |rate| format!("\"{rate}\"")))
    }

    fn example(&self) -> String {
        "\"100/s\"".into()
    }
}

/// Permissions of a file, in octal digits: `"660"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl Default for FileMode {
    fn default() -> Self {
        FileMode(0o660)
    }
}

impl Value for FileMode {
    fn read(&mut self, found: Found<'_>, _: &Range) -> Result<(), Refusal> {
        let Found::Text(text) = found else { return Err(Refusal::NotAllowed) };
        let is_octal = (3..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
        self.0 = mode.ok_or(Refusal::NotAllowed)?;
        Ok(())
    }

    fn allowed(&self, _: &Range) -> String {
        "permissions in octal digits, such as \"600\", \"660\", \"666\"".into()
    }

    fn toml(&self) -> Option<String> {
        Some(format!("\"{:03o}\"", self.0))
    }

    fn example(&self) -> String {
        "\"660\"".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Range = 0..=u64::MAX;

    fn read<T: Value + Default>(text: &str) -> Result<T, Refusal> {
        let mut value = T::default();
        value.read(Found::Text(text), &ANY).map(|()| value)
    }

    #[test]
    fn rates_are_whole_numbers_each_second() {
        let rate = |text| read::<RateLimit>(text).map(|limit| limit.0);
        let of = |per_second, burst| Ok(Some(Rate { per_second, burst }));
        assert_eq!(rate("100/s"), of(100, 100));
        assert_eq!(rate("6000/min"), of(100, 100));
        assert_eq!(rate("1MiB/s, burst 4MiB"), of(1 << 20, 4 << 20));
        assert_eq!(rate("100 / s , burst 200"), of(100, 200));
        assert_eq!(rate("unlimited"), Ok(None));
        for wrong in ["", "100", "/s", "100/day", "-1/s", "1/s, 2", "1/s, burst 0", "5GiB/s"] {
            assert_eq!(rate(wrong), Err(Refusal::NotAllowed), "{wrong}");
        }
        for uneven in ["0/s", "100/min", "30/min"] {
            assert!(matches!(rate(uneven), Err(Refusal::Because(_))), "{uneven}");
        }
        for text in ["100/s", "100/s, burst 200", "unlimited"] {
            let toml = read::<RateLimit>(text).unwrap().toml();
            assert_eq!(toml, Some(format!("\"{text}\"")));
        }
    }

    #[test]
    fn a_bind_is_an_address_or_a_path() {
        assert_eq!(read("unix:a/b"), Ok(Bind::Unix("a/b".into())));
        assert_eq!(read("127.0.0.1:7"), Ok(Bind::Address("127.0.0.1:7".parse().unwrap())));
        assert!(read::<Bind>("unix:").is_err() && read::<Bind>("localhost:1").is_err());
        let below: Bind = read("unix:a").unwrap();
        assert_eq!(below.in_folder(Path::new("/x")), Bind::Unix("/x/a".into()));
        assert!(below.is_local());
    }

    #[test]
    fn nothing_is_sent_nowhere() {
        let to = "192.0.2.255:1884".parse().unwrap();
        assert_eq!(read("192.0.2.255:1884"), Ok(Address(to)));
        for wrong in ["192.0.2.255", "0.0.0.0:1884", "[::]:1884", "192.0.2.255:0", "gateway:1884"] {
            assert_eq!(read::<Address>(wrong), Err(Refusal::NotAllowed), "{wrong}");
        }
    }

    #[test]
    fn networks_have_no_bits_behind_their_prefix() {
        let net = |text| read::<Net>(text).map(|net| net.0.to_string());
        assert_eq!(net("10.0.0.0/8"), Ok("10.0.0.0/8".into()));
        assert_eq!(net("::1"), Ok("::1/128".into()));
        assert!(matches!(net("10.0.0.1/8"), Err(Refusal::Because(_))));
        assert_eq!(net("10.0.0.0/33"), Err(Refusal::NotAllowed));
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(read("660"), Ok(FileMode(0o660)));
        assert_eq!(read("0600"), Ok(FileMode(0o600)));
        for wrong in ["6", "678", "1777", "+60", "rw-"] {
            assert_eq!(read::<FileMode>(wrong), Err(Refusal::NotAllowed), "{wrong}");
        }
    }
}
