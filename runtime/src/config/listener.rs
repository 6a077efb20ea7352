//! Where the web server listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::value::Expected;

/// An IP address or a host name to listen on. Default `127.0.0.1`: only this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(String);

/// A TCP port to listen on; 0 takes a free one. Default 8080.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(u16);

impl Host {
    pub(super) fn parse(text: &str) -> Result<Host, Expected> {
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if bare.parse::<IpAddr>().is_ok() || is_host_name(bare) {
            return Ok(Host(bare.to_owned()));
        }
        Err(Expected::new("an IP address or a host name, such as 127.0.0.1, 0.0.0.0 or localhost"))
    }

    /// The address or name, without brackets.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Host {
    fn default() -> Host {
        Host(Ipv4Addr::LOCALHOST.to_string())
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Port {
    pub(super) fn parse(text: &str) -> Result<Port, Expected> {
        text.trim().parse().map(Port).map_err(|_| Expected::new("a whole number from 0 to 65535"))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Port {
    fn default() -> Port {
        Port(8080)
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Labels of letters, digits and hyphens (RFC 1123). A name of digits and dots alone would be a broken address.
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label) && text.contains(|c: char| c.is_ascii_alphabetic())
}
