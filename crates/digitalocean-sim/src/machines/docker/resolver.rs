//! The machines' `/etc/resolv.conf`: the host's, as far as it means anything elsewhere.

use std::net::IpAddr;

use super::disk::file;
use super::error::HostError;

/// Where hosts keep theirs; systemd-resolved's own one names what stands behind its loopback address.
const PLACES: [&str; 2] = ["/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"];

/// The text for the machines.
///
/// # Errors
/// When the host has none that a machine could use.
pub(super) fn resolver() -> Result<String, HostError> {
    let mut texts = PLACES
        .iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    texts
        .find_map(|text| usable(&text))
        .ok_or(HostError::NoResolver(PLACES[0]))
}

/// Without comments and name servers on loopback; none where no other is left.
fn usable(text: &str) -> Option<String> {
    let elsewhere = |line: &&str| {
        let server = line.strip_prefix("nameserver").map(str::trim);
        let server = server.and_then(|server| server.parse::<IpAddr>().ok());
        server.is_none_or(|server| !server.is_loopback())
    };
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
        .filter(elsewhere)
        .collect();
    let any = lines.iter().any(|line| line.starts_with("nameserver"));
    any.then(|| lines.join("\n") + "\n")
}

/// Writes it where machines can mount it.
///
/// # Errors
/// As [`resolver`], and when it can't be written.
pub(super) fn write(path: &std::path::Path) -> Result<(), HostError> {
    std::fs::write(path, resolver()?).map_err(file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_server_on_loopback_is_nobodys_but_the_hosts() {
        let text = "# by somebody\nnameserver 127.0.0.53\nnameserver 10.0.0.2\noptions edns0\n";
        assert_eq!(
            usable(text).unwrap(),
            "nameserver 10.0.0.2\noptions edns0\n"
        );
        assert_eq!(usable("nameserver 127.0.0.53\nsearch lan\n"), None);
    }
}
