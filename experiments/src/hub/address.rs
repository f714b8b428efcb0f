//! Addresses: where a redirect leads, which addresses are of one server, what of one may be said.
//! Sends nothing.

use anyhow::{Result, bail};
use ureq::http::Uri;

/// A name as a part of an address.
pub(super) fn escaped(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    name.bytes().map(byte).collect()
}

/// The address to which `location` leads from `url`.
pub(super) fn joined(url: &str, location: &str) -> Result<String> {
    let base: Uri = url.parse().unwrap_or_default();
    let (Some(scheme), Some(authority)) = (base.scheme_str(), base.authority()) else {
        bail!("{} is no address; check HF_ENDPOINT", host(url));
    };
    if ["http://", "https://"].iter().any(|scheme| location.starts_with(scheme)) {
        return Ok(location.to_owned());
    }
    if let Some(rest) = location.strip_prefix("//") {
        return Ok(format!("{scheme}://{rest}"));
    }
    if location.starts_with('/') {
        return Ok(format!("{scheme}://{authority}{location}"));
    }
    let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
    Ok(format!("{scheme}://{authority}{folder}/{location}"))
}

/// Whether two addresses are of one server: the same scheme, host and port.
pub(super) fn is_same_origin(left: &str, right: &str) -> bool {
    let origin = |url: &str| {
        let url: Uri = url.parse().ok()?;
        let scheme = url.scheme_str()?.to_owned();
        let usual = if scheme == "http" { 80 } else { 443 };
        Some((url.host()?.to_lowercase(), url.port_u16().unwrap_or(usual), scheme))
    };
    origin(left).is_some_and(|left| Some(left) == origin(right))
}

/// The part of an address that can be said: a signed address holds secrets behind its host.
pub(super) fn host(url: &str) -> &str {
    let end = url.find("://").map_or(0, |at| at + 3);
    url[end..].find('/').map_or(url, |at| &url[..end + at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let from = "https://hub.example/a/b?x=1";
        let cases = [
            ("https://cdn.example/y?z", "https://cdn.example/y?z"),
            ("//cdn.example/y", "https://cdn.example/y"),
            ("/c/d?e=http://x/y", "https://hub.example/c/d?e=http://x/y"),
            ("d", "https://hub.example/a/d"),
        ];
        for (location, url) in cases {
            assert_eq!(joined(from, location).unwrap(), url);
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let hub = "https://hub.example";
        assert!(is_same_origin("https://HUB.example:443/a/b", hub));
        for other in ["http://hub.example/", "https://hub.example:8443/", "https://cdn.example"] {
            assert!(!is_same_origin(other, hub), "{other}");
        }
    }

    #[test]
    fn names_are_escaped_and_hosts_are_all_that_is_said() {
        assert_eq!(escaped("a b/ü#.json"), "a%20b/%C3%BC%23.json");
        assert_eq!(host("https://cdn.example/x?signature=secret"), "https://cdn.example");
        assert_eq!(host("https://cdn.example"), "https://cdn.example");
    }
}
