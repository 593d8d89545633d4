//! The control connection comes late, never, breaks, comes back; and the ordered end.

use std::os::fd::{AsFd, AsRawFd};

use crate::common::{Init, is_alive, session, touch, wait_for, wait_readable};
use nix::sys::signal::Signal;
use tool_init::frame::{ExitStatus, Refusal, Running, ServerKind, Stage, ToHost, ToInit};
use tool_init::protocol::{EXIT_NO_HOST, EXIT_VERSION};

#[test]
fn a_host_that_never_comes_ends_it_with_124() {
    let mut init = Init::start(&["--wait-ms", "50"], &[]);
    assert_eq!(init.wait().code(), Some(EXIT_NO_HOST.into()));
    assert!(init.output("stderr").contains("did not answer"));
}

#[test]
fn a_host_that_accepts_but_says_nothing_ends_it_with_124() {
    let mut init = Init::start(&["--wait-ms", "300"], &[]);
    let (_silent, _) = init.greeted(&init.listen());
    assert_eq!(init.wait().code(), Some(EXIT_NO_HOST.into()));
}

#[test]
fn a_host_that_closes_before_welcome_is_tried_again() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.greeted(&init.listen());
    drop(host);
    let (host, _) = init.connect();
    host.send(&ToInit::Ping { nonce: 1 });
    host.expect(ToHost::Pong { nonce: 1 });
}

#[test]
fn no_common_version_ends_it_with_125() {
    for version in [0, 9] {
        let mut init = Init::start(&[], &[]);
        let (host, _) = init.greeted(&init.listen());
        host.send(&ToInit::Welcome { version });
        assert_eq!(
            init.wait().code(),
            Some(EXIT_VERSION.into()),
            "version {version}"
        );
    }
}

#[test]
fn the_host_finds_that_no_version_suits() {
    let mut init = Init::start(&[], &[]);
    let (host, _) = init.greeted(&init.listen());
    assert_eq!(host.0.welcome(7, 9).unwrap(), None);
    assert_eq!(init.wait().code(), Some(EXIT_VERSION.into()));
}

#[test]
fn a_request_before_welcome_is_not_served() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.greeted(&init.listen());
    host.spawn(1, &["true"], &[], &[]);
    assert_eq!(host.receive(), None, "the connection is closed instead");
    let (_, running) = init.connect();
    assert_eq!(running, []);
}

#[test]
fn bad_options_end_it_with_125() {
    let mut init = Init::start(&["--nonsense"], &[]);
    assert_eq!(init.wait().code(), Some(EXIT_VERSION.into()));
    assert!(init.output("stderr").contains("usage:"));
}

#[test]
fn an_http_server_outlives_the_host_and_is_told_of_afterwards() {
    let init = Init::start(&["--wait-ms", "1000"], &[]);
    let (host, _) = init.connect();
    let pid = host.http(5, &["sleep", "1000"]);
    drop(host);
    let (host, running) = init.connect();
    assert_eq!(
        running,
        [Running {
            session: session(5),
            pid,
            kind: ServerKind::Http
        }]
    );
    assert!(is_alive(pid));
    host.send(&ToInit::Signal {
        session: session(5),
        signal: 15,
    });
    host.expect(ToHost::Exit {
        session: session(5),
        status: ExitStatus::Signal(15),
    });
}

#[test]
fn the_wait_of_the_start_does_not_apply_later() {
    let init = Init::start(&["--wait-ms", "200"], &[]);
    let start = std::time::Instant::now();
    let (host, _) = init.connect();
    let pid = host.http(1, &["sleep", "1000"]);
    drop(host);
    wait_for("the wait is over", || start.elapsed().as_millis() > 600);
    assert!(is_alive(pid));
    let (_, running) = init.connect();
    assert_eq!(running.len(), 1);
}

#[test]
fn an_exit_while_the_host_is_away_is_told_later() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    let go = init.path("go");
    let script = "while [ ! -e \"$0\" ]; do sleep 0.01; done; exit 7";
    let pid = host.http(2, &["sh", "-c", script, go.to_str().unwrap()]);
    drop(host);
    touch(&go);
    wait_for("the server has ended", || !is_alive(pid));
    let (host, running) = init.connect();
    assert_eq!(running, []);
    host.expect(ToHost::Exit {
        session: session(2),
        status: ExitStatus::Code(7),
    });
}

#[test]
fn sessions_on_pipes_end_as_the_pipes_close_with_the_host() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    let server = host.stdio(3, &["cat"], &[]);
    let pid = server.pid;
    drop((host, server));
    wait_for("the session has ended", || !is_alive(pid));
    let (host, _) = init.connect();
    host.expect(ToHost::Exit {
        session: session(3),
        status: ExitStatus::Code(0),
    });
}

#[test]
fn shutdown_ends_servers_tells_so_and_exits_0() {
    let mut init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    host.http(1, &["sleep", "1000"]);
    host.send(&ToInit::Shutdown { grace_ms: 60_000 });
    host.expect(ToHost::Exit {
        session: session(1),
        status: ExitStatus::Signal(15),
    });
    assert_eq!(host.receive(), None);
    assert_eq!(init.wait().code(), Some(0));
}

#[test]
fn a_server_that_ignores_sigterm_is_killed_after_the_grace() {
    let mut init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    let mut server = host.stdio(
        1,
        &[
            "sh",
            "-c",
            "trap '' TERM; echo ready; while :; do sleep 1; done",
        ],
        &[],
    );
    assert_eq!(server.line(), "ready");
    host.send(&ToInit::Shutdown { grace_ms: 100 });
    // Its `sleep` dies of SIGTERM, it does not.
    loop {
        match host.receive() {
            Some(ToHost::Orphans { .. }) => {}
            other => {
                let status = ExitStatus::Signal(9);
                assert_eq!(
                    other,
                    Some(ToHost::Exit {
                        session: session(1),
                        status
                    })
                );
                break;
            }
        }
    }
    assert_eq!(init.wait().code(), Some(0));
}

#[test]
fn nothing_is_started_during_shutdown() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    let mut server = host.stdio(1, &["sh", "-c", "trap '' TERM; echo ready; cat"], &[]);
    assert_eq!(server.line(), "ready");
    host.send(&ToInit::Shutdown { grace_ms: 60_000 });
    host.spawn(2, &["true"], &[], &[]);
    let refusal = Refusal {
        stage: Stage::Session,
        errno: libc::ESHUTDOWN,
    };
    host.expect(ToHost::Err {
        session: Some(session(2)),
        refusal,
    });
}

#[test]
fn sigterm_is_an_ordered_shutdown_even_without_a_host() {
    let mut init = Init::start(&["--grace-ms", "60000"], &[]);
    let (host, _) = init.connect();
    let pid = host.http(1, &["sleep", "1000"]);
    drop(host);
    init.signal(Signal::SIGTERM);
    assert_eq!(init.wait().code(), Some(0));
    assert!(!is_alive(pid));
}

#[test]
fn an_orphan_that_left_its_group_is_ended_at_shutdown() {
    let mut init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    let script = "(setsid sh -c 'trap \"\" TERM; echo $$; exec sleep 1000' &); cat";
    let mut server = host.stdio(1, &["sh", "-c", script], &[]);
    let orphan: u32 = server.line().parse().unwrap();
    host.send(&ToInit::Shutdown { grace_ms: 100 });
    assert_eq!(init.wait().code(), Some(0));
    assert!(!is_alive(orphan));
}

#[test]
fn frames_cut_short_and_nonsense_are_refused_and_change_nothing() {
    use nix::sys::socket::{MsgFlags, send};
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    let raw = host.0.as_raw_fd();
    let refused = |errno| {
        let refusal = Refusal {
            stage: Stage::Message,
            errno,
        };
        match host.receive() {
            Some(ToHost::Err { refusal: got, .. }) => assert_eq!(got, refusal),
            other => panic!("expected ERR, got {other:?}"),
        }
    };
    send(
        raw,
        &vec![3; tool_init::protocol::MAX_MESSAGE + 1],
        MsgFlags::empty(),
    )
    .unwrap();
    refused(libc::EMSGSIZE);
    for nonsense in [&b"x"[..], &[255; 8], &[3, 0, 0, 0, 1, 0, 0, 0], &[0; 100]] {
        send(raw, nonsense, MsgFlags::empty()).unwrap();
        refused(libc::EBADMSG);
    }
    host.send(&ToInit::Ping { nonce: 7 });
    host.expect(ToHost::Pong { nonce: 7 });
}

#[test]
fn wrong_descriptors_are_refused_and_closed() {
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    let init = Init::start(&[], &["cat"]);
    let (host, _) = init.connect();
    let (reader, writer) = std::io::pipe().unwrap();
    let fd = writer.as_raw_fd();
    let ping = ToInit::Ping { nonce: 1 }.encode().unwrap();
    let no_strings = [&[3, 0, 0, 0, 1, 0, 0, 0][..], &[0; 12]].concat();
    for (message, count) in [
        (ping.as_slice(), 1),
        (&no_strings, 1),
        (&no_strings, 4),
        (&no_strings, 40),
    ] {
        let fds = vec![fd; count];
        let iov = [std::io::IoSlice::new(message)];
        let control = [ControlMessage::ScmRights(&fds)];
        sendmsg::<()>(host.0.as_raw_fd(), &iov, &control, MsgFlags::empty(), None).unwrap();
        match host.receive() {
            Some(ToHost::Err { refusal, .. }) => assert_eq!(refusal.stage, Stage::Message),
            other => panic!("expected ERR, got {other:?}"),
        }
    }
    drop(writer);
    wait_readable(reader.as_fd());
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut { reader }, &mut rest).unwrap();
    assert_eq!(rest, b"", "end of file: tool-init kept none of them");
}
