//! Who may talk to the server: requests that name it by an address or a name of its own, so that no other
//! site's name can be pointed at it (DNS rebinding), and pages of its own origin. Knows headers only.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::limits::Refusal;

/// By which names the server may be called.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    address: SocketAddr,
    /// Whether any address will do: the server is not for this machine alone.
    public: bool,
    /// Names beside.
    names: Vec<String>,
}

impl Guard {
    /// For a server that listens at `address`.
    pub(super) fn new(address: SocketAddr, public: bool, names: Vec<String>) -> Self {
        Self { address, public, names }
    }

    /// Refuses a request by its headers `Host` and `Origin`.
    pub(super) fn check(&self, host: Option<&str>, origin: Option<&str>) -> Result<(), Refusal> {
        let Some(host) = host.filter(|host| self.is_own(host)) else {
            return Err(Refusal::forbidden(format!(
                "the request is for the host `{}`, which is not this server's; open http://{}/, or name \
                 the host with --allow-host",
                host.unwrap_or_default(),
                self.address
            )));
        };
        match origin {
            Some(origin) if !is_origin_of(origin, host) => Err(Refusal::forbidden(format!(
                "the request comes from the page of `{origin}`, not from this server's own"
            ))),
            _ => Ok(()),
        }
    }

    fn is_own(&self, host: &str) -> bool {
        let Some((name, port)) = split(host) else { return false };
        // A named host may stand before another port, such as a tunnel's.
        if self.names.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            return true;
        }
        if port.unwrap_or(80) != self.address.port() {
            return false;
        }
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let bare = name.strip_prefix('[').and_then(|own| own.strip_suffix(']'));
        let address: Option<IpAddr> = match bare {
            Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => name.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        };
        address.is_some_and(|own| own.is_loopback() || self.public || own == self.address.ip())
    }
}

/// A name and its port.
fn split(host: &str) -> Option<(&str, Option<u16>)> {
    let colon = match host.rfind(']') {
        Some(end) => host[end..].find(':').map(|at| at + end),
        None => host.find(':'),
    };
    match colon {
        Some(at) => Some((&host[..at], Some(host[at + 1..].parse().ok()?))),
        None => Some((host, None)),
    }
}

fn is_origin_of(origin: &str, host: &str) -> bool {
    let rest = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    rest.is_some_and(|own| own.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(address: &str, public: bool) -> Guard {
        Guard::new(address.parse().unwrap(), public, vec!["demo.example".to_owned()])
    }

    #[test]
    fn only_own_names_are_answered() {
        let own = guard("127.0.0.1:7860", false);
        for host in [
            "127.0.0.1:7860",
            "localhost:7860",
            "LOCALHOST:7860",
            "[::1]:7860",
            "demo.example",
            "Demo.Example:443",
        ] {
            assert!(own.check(Some(host), None).is_ok(), "{host}");
        }
        for host in [
            "",
            "evil.example:7860",
            "127.0.0.1",
            "127.0.0.1:80",
            "localhost:7861",
            "192.0.2.1:7860",
            "localhost.evil.example:7860",
            "127.0.0.1.evil.example:7860",
            "localhost:7860:1",
            "[::1",
            "[::1]7860",
            "demo.example.evil",
            "localhost:",
        ] {
            assert_eq!(own.check(Some(host), None).unwrap_err().status, 403, "{host}");
        }
        assert!(own.check(None, None).is_err());
        let public = guard("0.0.0.0:80", true);
        assert!(public.check(Some("192.0.2.1"), None).is_ok(), "an address is nobody else's name");
        assert!(public.check(Some("evil.example"), None).is_err());
    }

    #[test]
    fn pages_of_others_are_refused() {
        let own = guard("127.0.0.1:7860", false);
        let check = |origin| own.check(Some("localhost:7860"), Some(origin)).is_ok();
        assert!(check("http://localhost:7860"));
        for origin in [
            "http://evil.example",
            "null",
            "http://127.0.0.1:7860",
            "http://localhost:7860.evil",
            "localhost:7860",
        ] {
            assert!(!check(origin), "{origin}");
        }
    }
}
