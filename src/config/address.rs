//! A listening address as people write it: `host:port`.
//!
//! Not here: binding, which the doors do. Must always hold: what `Display` prints, `FromStr` reads back.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// A host (a name or an IP address) and a port; port 0 takes a free one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// A host name or an IP address, an IPv6 one without brackets.
    pub host: String,
    /// The port; 0 takes a free one when it is bound.
    pub port: u16,
}

impl Address {
    /// The address of `port` on `host`.
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        Self { host: host.into(), port }
    }

    /// Whether only this machine can reach it. A name other than `localhost` counts as reachable from outside.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }

    /// Whether it stands for every address of the machine (`0.0.0.0`, `::`).
    pub fn is_unspecified(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.parse::<Ipv6Addr>().is_ok() {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains("://") {
            return Err("an address is host:port, without a scheme");
        }
        let (host, port) =
            text.rsplit_once(':').ok_or("an address is host:port, for example 127.0.0.1:9000")?;
        let port = port.parse().map_err(|_| "the port is a number from 0 to 65535")?;
        let host = match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
            Some(v6) if v6.parse::<Ipv6Addr>().is_ok() => v6,
            Some(_) => return Err("between [ and ] stands an IPv6 address"),
            None if host.contains(':') => return Err("an IPv6 address stands between [ and ]"),
            None => host,
        };
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c == '/') {
            return Err("the host is missing or has characters that no host has");
        }
        Ok(Self::new(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read_back() {
        for text in ["127.0.0.1:9000", "[::1]:0", "localhost:1", "nas.lan:65535", "0.0.0.0:9000"] {
            assert_eq!(text.parse::<Address>().map(|a| a.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn malformed_addresses_are_refused() {
        for text in
            ["", "9000", ":9000", "a b:1", "host:", "host:65536", "::1:9000", "[x]:1", "http://h:1", "h/x:1"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_told_from_the_rest() {
        let loopback = |t: &str| t.parse::<Address>().unwrap().is_loopback();
        assert!(loopback("127.8.9.1:1") && loopback("[::1]:1") && loopback("LOCALHOST:1"));
        assert!(!loopback("0.0.0.0:1") && !loopback("[::]:1") && !loopback("nas.lan:1"));
    }
}
