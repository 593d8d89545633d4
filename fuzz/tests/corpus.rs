//! Everything in `fuzz/corpus`: the seeds, and what fuzzers once broke something with.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let data = std::fs::read(&path).unwrap();
        let ran = std::panic::catch_unwind(|| run(&data));
        assert!(ran.is_ok(), "{} breaks it again", path.display());
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}

#[test]
fn messages_stay_what_they_are() {
    replay("envelope", agentopia_fuzz::envelope);
}

#[test]
fn events_are_the_same_however_they_are_cut() {
    replay("sse", agentopia_fuzz::sse);
}

#[test]
fn lines_are_the_same_however_they_are_cut() {
    replay("stdio", agentopia_fuzz::stdio);
}

#[test]
fn headers_survive_their_encoding() {
    replay("headers", agentopia_fuzz::headers);
}

#[test]
fn http_is_the_same_however_it_is_cut() {
    replay("http1", agentopia_fuzz::http1);
}

#[test]
fn requests_are_answered_whatever_they_are() {
    replay("request", agentopia_fuzz::request);
}

#[test]
fn calls_are_answered_once_whatever_the_server_says() {
    replay("answer", agentopia_fuzz::answer);
}
