//! What people write, what it means, and what is refused.

use super::*;

fn allow(lines: &[&str]) -> Egress {
    Egress::Allow {
        to: Destinations::parse(lines).unwrap(),
    }
}

fn problem(line: &str) -> String {
    Destinations::parse([line]).unwrap_err().to_string()
}

#[test]
fn a_policy_is_written_in_one_way_only() {
    let written = r#"{"type":"allow","to":["API.Example.com.:443","*.example.com:443","10.0.0.7:53/udp","10.20.0.0/16:5432/tcp","10.0.0.7/32:53/udp"]}"#;
    let policy: Egress = serde_json::from_str(written).unwrap();
    assert_eq!(
        serde_json::to_string(&policy).unwrap(),
        r#"{"type":"allow","to":["api.example.com:443","*.example.com:443","10.0.0.7:53/udp","10.20.0.0/16:5432"]}"#
    );
    assert_eq!(
        policy.to_string(),
        "api.example.com:443, *.example.com:443, 10.0.0.7:53/udp, 10.20.0.0/16:5432"
    );
    for (text, policy) in [
        (r#"{"type":"open"}"#, Egress::Open),
        (r#"{"type":"none"}"#, Egress::None),
    ] {
        assert_eq!(serde_json::from_str::<Egress>(text).unwrap(), policy);
        assert_eq!(serde_json::to_string(&policy).unwrap(), text);
    }
}

#[test]
fn what_is_no_policy_is_refused() {
    for text in [
        r#"{"type":"allow","to":[]}"#,
        r#"{"type":"allow"}"#,
        r#"{"type":"some"}"#,
        r#"{"type":"none","to":["a.example:1"]}"#,
        r#""open""#,
        "null",
    ] {
        assert!(serde_json::from_str::<Egress>(text).is_err(), "{text}");
    }
    let many: Vec<String> = (0..=MOST_DESTINATIONS)
        .map(|n| format!("h{n}.example:1"))
        .collect();
    assert_eq!(
        Destinations::parse(&many),
        Err(DestinationsProblem::TooMany(65))
    );
}

#[test]
fn what_is_no_destination_says_what_to_write() {
    for (line, says) in [
        ("", "no port"),
        ("api.example.com", "no port"),
        ("api.example.com:0", "no port"),
        ("api.example.com:65536", "no port"),
        ("api.example.com:+80", "no port"),
        ("api.example.com:https", "no port"),
        (":443", "no host"),
        ("https://api.example.com:443", "no host"),
        ("api.example.com/path:443", "no host"),
        ("api example.com:443", "no host"),
        ("api.example.com;id:443", "no host"),
        ("-d.example.com:443", "no host"),
        ("bücher.example:443", "no host"),
        ("a..example:443", "no host"),
        ("a.*.example:443", "no host"),
        ("1.2.3:80", "no host"),
        ("1.2.3.4.5:80", "no host"),
        ("256.1.1.1:80", "no host"),
        ("0x7f.0x1:80", "no host"),
        ("10.0.0.0/33:80", "no host"),
        ("*:443", "too wide"),
        ("*.com:443", "too wide"),
        ("10.20.0.1/16:80", "10.20.0.0/16"),
        ("[2001:db8::1]:443", "no IPv6"),
        ("2001:db8::1", "no IPv6"),
        ("2001:db8::/32:443", "no IPv6"),
        ("127.0.0.1:80", "never reaches"),
        ("localhost:80", "never reaches"),
        ("169.254.169.254:80", "never reaches"),
        ("169.254.0.0/16:80", "never reaches"),
        ("0.0.0.0:80", "never reaches"),
        ("255.255.255.255:67/udp", "never reaches"),
    ] {
        let said = problem(line);
        assert!(said.contains(says), "{line}: {said}");
    }
    let long = format!("{}.example:443", "x".repeat(64));
    assert!(problem(&long).contains("no host"));
    assert!(problem(&"a".repeat(1 << 20)).len() < 400);
}

#[test]
fn names_lead_to_their_ports_and_no_others() {
    let policy = allow(&[
        "api.example.com:443",
        "*.example.com:80",
        "api.example.com:53/udp",
        "10.0.0.0/8:22",
    ]);
    let ports = |name: &str| Vec::from_iter(policy.ports_of(name));
    use PortProtocol::{Tcp, Udp};
    assert_eq!(ports("api.example.com"), [(Tcp, 80), (Tcp, 443), (Udp, 53)]);
    assert_eq!(ports("deep.er.example.com"), [(Tcp, 80)]);
    for no in [
        "example.com",
        "badexample.com",
        ".example.com",
        "example.com.evil",
        "10.0.0.1",
        "",
    ] {
        assert_eq!(ports(no), [], "{no}");
    }
    assert!(
        policy.names_address([10, 1, 2, 3].into()) && !policy.names_address([11, 1, 2, 3].into())
    );
    assert!(Egress::Open.ports_of("api.example.com").is_empty());
}

#[test]
fn less_is_within_and_more_is_named() {
    let wide = allow(&["*.example.com:443", "10.0.0.0/8:5432", "one.test:1/udp"]);
    for within in [
        Egress::None,
        wide.clone(),
        allow(&["a.example.com:443", "*.b.example.com:443"]),
        allow(&["10.2.0.0/16:5432", "one.test:1/udp"]),
    ] {
        assert_eq!(within.beyond(&wide), None, "{within}");
        assert_eq!(within.beyond(&Egress::Open), None);
    }
    for (more, what) in [
        (Egress::Open, "everything"),
        (allow(&["example.com:443"]), "example.com:443"),
        (
            allow(&["a.example.com:443", "a.example.com:80"]),
            "a.example.com:80",
        ),
        (allow(&["0.0.0.0/0:5432"]), "0.0.0.0/0:5432"),
        (allow(&["one.test:1"]), "one.test:1"),
        (allow(&["10.0.0.1:443"]), "10.0.0.1:443"),
    ] {
        assert_eq!(more.beyond(&wide).as_deref(), Some(what));
        assert!(more.beyond(&Egress::None).is_some());
    }
}
