//! The environment reaches the server and stays nowhere else.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;

use crate::common::Init;

/// Whether `needle` is in the readable memory of a process.
fn in_memory(pid: u32, needle: &[u8]) -> bool {
    let maps = BufReader::new(File::open(format!("/proc/{pid}/maps")).unwrap());
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    maps.lines().map(Result::unwrap).any(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next().unwrap().split_once('-').unwrap();
        let (start, end) = (
            u64::from_str_radix(start, 16).unwrap(),
            u64::from_str_radix(end, 16).unwrap(),
        );
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // Some special mappings cannot be read.
        fields.next().unwrap().starts_with('r')
            && memory.read_exact_at(&mut bytes, start).is_ok()
            && bytes.windows(needle.len()).any(|window| window == needle)
    })
}

#[test]
fn a_secret_reaches_the_server_and_leaves_no_trace_in_tool_init() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    // Put together here, so that it stands in no binary.
    let secret = ["canary", "5e1f"].join("-").repeat(3);
    let script = "printf '%s\\n' \"$SECRET\"; cat";
    let mut server = host.stdio(1, &["sh", "-c", script], &[("SECRET", &secret)]);
    assert_eq!(server.line(), secret);

    let (init_pid, needle) = (init.pid(), secret.as_bytes());
    if nix::unistd::geteuid().is_root() {
        assert!(
            in_memory(server.pid, needle),
            "the search must be able to find it"
        );
        assert!(!in_memory(init_pid, needle));
        let environ = std::fs::read(format!("/proc/{init_pid}/environ")).unwrap();
        assert!(!environ.windows(needle.len()).any(|window| window == needle));
    } else {
        // The same user cannot even look.
        assert!(File::open(format!("/proc/{init_pid}/mem")).is_err());
        assert!(File::open(format!("/proc/{init_pid}/environ")).is_err());
    }
    let arguments = std::fs::read(format!("/proc/{init_pid}/cmdline")).unwrap();
    assert!(
        !arguments
            .windows(needle.len())
            .any(|window| window == needle)
    );
}

#[test]
fn one_sessions_environment_is_not_the_nexts() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    let _first = host.stdio(1, &["cat"], &[("SECRET", "of the first")]);
    let script = "echo \"${SECRET-unset} ${OTHER-unset}\"";
    let mut second = host.stdio(2, &["sh", "-c", script], &[("OTHER", "mine")]);
    assert_eq!(second.line(), "unset mine");
}

#[test]
fn the_images_environment_is_below_the_one_sent() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_tool-init"));
    command.env("FROM_IMAGE", "image").env("BOTH", "image");
    let init = Init::start_from(command, &[], &[]);
    let (host, _) = init.connect();
    let mut server = host.stdio(
        1,
        &["sh", "-c", "echo $FROM_IMAGE $BOTH"],
        &[("BOTH", "sent")],
    );
    assert_eq!(server.line(), "image sent");
}
