//! Why an HTTP server does not answer, by what it listens on: the usual mistakes of those who package one. Pure.

use std::net::{IpAddr, SocketAddr};

/// What is wrong and what to do; `None` where it listens as it should. `port` is what the catalog entry says.
pub(crate) fn explain(port: u16, listeners: &[SocketAddr]) -> Option<String> {
    let on_port = |it: &&SocketAddr| it.port() == port;
    if listeners.iter().filter(on_port).any(is_reached) {
        return None;
    }
    if let Some(own) = listeners.iter().find(on_port) {
        return Some(format!(
            "it listens on {own} alone, which is reached from inside of its container only: have it listen on 0.0.0.0 \
             (often a setting or an argument such as HOST, --host or BIND_ADDRESS)"
        ));
    }
    if listeners.is_empty() {
        return Some(format!(
            "nothing in it listens on port {port} or any other: if it is a stdio server its catalog entry's transport \
             has to be `stdio`, and if it needs an argument to serve HTTP its version has to give that"
        ));
    }
    let others: Vec<String> = listeners.iter().map(ToString::to_string).collect();
    Some(format!(
        "it listens on {}, and its catalog entry says port {port}: correct the port of the entry's transport, or have \
         it listen there",
        others.join(" and ")
    ))
}

/// Whether others than the container itself reach it.
fn is_reached(address: &SocketAddr) -> bool {
    match address.ip() {
        IpAddr::V4(ip) => !ip.is_loopback(),
        IpAddr::V6(ip) => !ip.to_canonical().is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(listeners: &[&str]) -> Option<String> {
        let listeners: Vec<SocketAddr> = listeners.iter().map(|it| it.parse().unwrap()).collect();
        explain(8080, &listeners)
    }

    #[test]
    fn who_listens_where_they_should_is_not_accused() {
        assert_eq!(explained(&["0.0.0.0:8080"]), None);
        assert_eq!(explained(&["[::]:8080", "127.0.0.1:9000"]), None);
        assert_eq!(explained(&["127.0.0.1:8080", "172.17.0.2:8080"]), None);
    }

    #[test]
    fn the_usual_mistakes_are_named() {
        for (listeners, part) in [
            (&["127.0.0.1:8080"][..], "127.0.0.1:8080 alone"),
            (&["[::1]:8080"], "listen on 0.0.0.0"),
            (&["[::ffff:127.0.0.1]:8080"], "alone"),
            (
                &["0.0.0.0:3000"],
                "0.0.0.0:3000, and its catalog entry says port 8080",
            ),
            (
                &["127.0.0.1:3000", "[::]:3001"],
                "127.0.0.1:3000 and [::]:3001",
            ),
            (&[], "`stdio`"),
        ] {
            let said = explained(listeners).unwrap_or_default();
            assert!(said.contains(part), "{listeners:?}: {said}");
        }
    }
}
