use agentopia_domain::verification::Outcome;
use agentopia_dtma_api::to_control_plane::ProgramOffer;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

#[test]
fn clocks_differ_only_by_what_their_reading_cannot_explain() {
    let difference =
        |clock, before, after| difference(at(clock), at(before), at(after)).num_seconds();
    assert_eq!(difference(0, 0, 0), 0);
    // It was read at some time within these nine seconds, and may show up to one less.
    assert_eq!(difference(5, 0, 9), 0);
    assert_eq!(difference(-1, 0, 9), 0);
    assert_eq!(difference(-31, 0, 9), -30);
    assert_eq!(difference(39, 0, 9), 30);
}

#[test]
fn a_clock_that_is_wrong_is_told_with_how_much_and_in_which_direction() {
    let of = |seconds: i64| clock(Some(TimeDelta::seconds(seconds)));
    assert_eq!(of(-9).outcome, Outcome::Ok);
    let behind = of(-75);
    assert_eq!(behind.outcome, Outcome::Warning);
    assert!(behind.detail.contains("75 s behind"), "{}", behind.detail);
    let ahead = of(360);
    assert_eq!(ahead.outcome, Outcome::Failed);
    assert!(ahead.detail.contains("6 min ahead of"), "{}", ahead.detail);
    assert_eq!(clock(None).outcome, Outcome::Skipped);
}

#[test]
fn the_agent_is_the_one_of_this_server_or_on_its_way_to_be() {
    let offer = |sha256: &str| DtmaOffer {
        dtma: ProgramOffer {
            sha256: sha256.to_owned(),
            bytes: 1,
        },
        tool_init: None,
        spread_seconds: 0,
    };
    let info = |version: &str, sha256: Option<&str>| Info {
        protocol: PROTOCOL,
        machine: MachineFacts {
            dtma_version: version.to_owned(),
            dtma_sha256: sha256.map(str::to_owned),
            boot_id: String::new(),
            port: 1,
            machine_id: None,
            runtime: "docker".to_owned(),
            versions: Default::default(),
            capacity: Default::default(),
        },
        instances: Vec::new(),
    };
    let own = env!("CARGO_PKG_VERSION");
    let outcome = |info: &Info, offer: Option<&DtmaOffer>| version(info, offer).outcome;
    assert_eq!(
        outcome(&info(own, Some("ab")), Some(&offer("ab"))),
        Outcome::Ok
    );
    assert_eq!(
        outcome(&info(own, Some("ab")), Some(&offer("cd"))),
        Outcome::Warning
    );
    assert_eq!(outcome(&info("0.0.1", Some("ab")), None), Outcome::Ok);
    assert_eq!(outcome(&info(own, None), Some(&offer("cd"))), Outcome::Ok);
    let stuck = version(&info("0.0.1", None), Some(&offer("cd")));
    assert_eq!(stuck.outcome, Outcome::Warning);
    assert!(
        stuck.detail.contains("0.0.1") && stuck.detail.contains("image"),
        "{}",
        stuck.detail
    );
    let mut older = info("0.0.1", Some("ab"));
    older.protocol = 0;
    assert!(version(&older, None).detail.contains("speaks version 0"));
}
