//! Servers: started on pipes or without, fed, signalled, reaped; refusals say why.

use std::process::Command;

use crate::common::{Host, Init, is_alive, session, wait_for};
use tool_init::frame::{ExitStatus, Refusal, Stage, ToHost, ToInit};
use tool_init::host::SessionPipes;

fn refused(host: &Host, id: u32, stage: Stage, errno: i32) {
    host.expect(ToHost::Err {
        session: Some(session(id)),
        refusal: Refusal { stage, errno },
    });
}

#[test]
fn a_server_talks_on_the_pipes_it_was_given() {
    let init = Init::start(&[], &[]);
    let (host, running) = init.connect();
    assert_eq!(running, []);
    let mut cat = host.stdio(1, &["cat"], &[]);
    cat.write(b"hello\n");
    assert_eq!(cat.line(), "hello");
    drop(cat.stdin.take());
    assert_eq!(cat.byte(), None, "nobody else holds the pipe's other end");
    host.expect(ToHost::Exit {
        session: session(1),
        status: ExitStatus::Code(0),
    });
}

#[test]
fn sessions_are_processes_of_their_own() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    let (mut a, mut b) = (host.stdio(1, &["cat"], &[]), host.stdio(2, &["cat"], &[]));
    assert_ne!(a.pid, b.pid);
    a.write(b"to a\n");
    b.write(b"to b\n");
    assert_eq!((a.line(), b.line()), ("to a".to_owned(), "to b".to_owned()));
    drop(a.stdin.take());
    host.expect(ToHost::Exit {
        session: session(1),
        status: ExitStatus::Code(0),
    });
    b.write(b"still\n");
    assert_eq!(b.line(), "still");
}

#[test]
fn without_arguments_the_images_command_runs() {
    let init = Init::start(&[], &["sh", "-c", "echo from the image; cat"]);
    let (host, _) = init.connect();
    let mut server = host.stdio(1, &[], &[]);
    assert_eq!(server.line(), "from the image");
}

#[test]
fn an_http_server_reads_nothing_and_writes_to_the_containers_log() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    host.http(1, &["sh", "-c", "cat; echo out; echo err >&2; exit 3"]);
    host.expect(ToHost::Exit {
        session: session(1),
        status: ExitStatus::Code(3),
    });
    assert_eq!(
        (
            init.output("stdout").as_str(),
            init.output("stderr").as_str()
        ),
        ("out\n", "err\n")
    );
}

#[test]
fn standard_error_goes_to_the_log_or_to_a_third_pipe() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    let mut logged = host.stdio(1, &["sh", "-c", "echo log >&2; echo done"], &[]);
    assert_eq!(logged.line(), "done");
    assert_eq!(init.output("stderr"), "log\n");
    host.expect(ToHost::Exit {
        session: session(1),
        status: ExitStatus::Code(0),
    });

    let own = SessionPipes::new(None).unwrap();
    let other = SessionPipes::new(None).unwrap();
    let [stdin, stdout] = own.tool.fds();
    host.spawn(
        2,
        &["sh", "-c", "echo piped >&2"],
        &[],
        &[stdin, stdout, other.tool.fds()[1]],
    );
    let pid = host.spawned(2);
    let mut stderr = crate::common::Server {
        pid,
        stdin: None,
        stdout: other.stdout.into(),
    };
    assert_eq!(stderr.line(), "piped");
    assert_eq!(init.output("stderr"), "log\n");
}

#[test]
fn a_server_gets_a_clean_process() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    // SIGPIPE is ignored and signals are blocked in tool-init; neither may be passed on.
    let script = "grep -E '^Sig(Blk|Ign):' /proc/self/status; ls /proc/self/fd | wc -l; \
                  ps -o pgid= -p $$ | tr -d ' '; cat /proc/self/oom_score_adj; readlink /proc/self/cwd";
    let mut server = host.stdio(1, &["sh", "-c", script], &[]);
    assert_eq!(server.line(), "SigBlk:\t0000000000000000");
    assert_eq!(server.line(), "SigIgn:\t0000000000000000");
    assert_eq!(server.line(), "4", "0, 1, 2 and the directory being listed");
    assert_eq!(
        server.line(),
        server.pid.to_string(),
        "leads its own process group"
    );
    assert_eq!(server.line(), "500");
    assert_eq!(
        server.line(),
        std::env::current_dir().unwrap().to_str().unwrap()
    );
}

#[test]
fn exits_tell_code_or_signal() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    host.http(1, &["sh", "-c", "exit 42"]);
    host.expect(ToHost::Exit {
        session: session(1),
        status: ExitStatus::Code(42),
    });
    host.http(1, &["sh", "-c", "kill -SEGV $$"]);
    host.expect(ToHost::Exit {
        session: session(1),
        status: ExitStatus::Signal(11),
    });
}

#[test]
fn a_signal_reaches_the_whole_group() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    // The leader must outlive the signal, from before the other is ready: what is left of its group goes
    // when it ends. A shell cannot catch what it was told to ignore, so the other is started without that.
    let script = "trap '' USR1; env --default-signal=USR1 \
                  sh -c 'trap \"echo got; exit\" USR1; echo ready; while :; do sleep 0.01; done' & \
                  exec cat";
    let mut server = host.stdio(1, &["sh", "-c", script], &[]);
    assert_eq!(server.line(), "ready");
    host.send(&ToInit::Signal {
        session: session(1),
        signal: 10,
    });
    assert_eq!(server.line(), "got");
}

#[test]
fn what_a_server_leaves_behind_in_its_group_goes_with_it() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    let mut server = host.stdio(1, &["sh", "-c", "sleep 1000 & echo $!"], &[]);
    let left: u32 = server.line().parse().unwrap();
    host.expect(ToHost::Exit {
        session: session(1),
        status: ExitStatus::Code(0),
    });
    host.expect_orphan(left);
    assert!(!is_alive(left));
}

#[test]
fn orphans_that_left_their_group_are_reaped() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    let script = "(setsid sh -c 'echo $$; exec sleep 0.05' &); cat";
    let mut server = host.stdio(1, &["sh", "-c", script], &[]);
    let orphan: u32 = server.line().parse().unwrap();
    host.expect_orphan(orphan);
    wait_for("the orphan is gone", || {
        !std::path::Path::new(&format!("/proc/{orphan}")).exists()
    });
    assert!(is_alive(server.pid));
}

#[test]
fn what_cannot_be_started_is_refused_with_the_reason() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    host.spawn(1, &["/no/such/program"], &[], &[]);
    refused(&host, 1, Stage::Exec, libc::ENOENT);
    host.spawn(1, &["no-such-program"], &[], &[]);
    refused(&host, 1, Stage::Exec, libc::ENOENT);
    crate::common::touch(&init.path("not-executable"));
    host.spawn(
        1,
        &[init.path("not-executable").to_str().unwrap()],
        &[],
        &[],
    );
    refused(&host, 1, Stage::Exec, libc::EACCES);
    host.spawn(1, &[], &[], &[]);
    refused(&host, 1, Stage::Exec, libc::EINVAL);
    // The id is free for the next attempt.
    host.http(1, &["true"]);
    host.expect(ToHost::Exit {
        session: session(1),
        status: ExitStatus::Code(0),
    });
}

#[test]
fn too_large_an_environment_for_the_kernel_is_refused() {
    // Arguments and environment may take a quarter of the stack's limit, but always 128 KiB.
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -s 256; exec \"$0\" \"$@\"",
        env!("CARGO_BIN_EXE_tool-init"),
    ]);
    let init = Init::start_from(command, &[], &[]);
    let (host, _) = init.connect();
    let names: Vec<String> = (0..12_000).map(|n| format!("V{n}")).collect();
    let env: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    host.spawn(1, &["true"], &env, &[]);
    refused(&host, 1, Stage::Exec, libc::E2BIG);
}

#[test]
fn a_session_id_is_used_once_at_a_time() {
    let init = Init::start(&[], &[]);
    let (host, _) = init.connect();
    host.send(&ToInit::Signal {
        session: session(1),
        signal: 15,
    });
    refused(&host, 1, Stage::Session, libc::ESRCH);
    let _server = host.stdio(1, &["cat"], &[]);
    host.spawn(1, &["cat"], &[], &[]);
    refused(&host, 1, Stage::Session, libc::EEXIST);
}

#[test]
fn a_missing_working_directory_is_told_apart() {
    use tool_init::frame::{Spawn, Strings, StringsBuf};
    let init = Init::start(&[], &["pwd"]);
    let (host, _) = init.connect();
    for (cwd, errno) in [("/no/such/directory", Some(libc::ENOENT)), ("/usr", None)] {
        let cwd = StringsBuf::from_args([cwd]).unwrap();
        let none = Strings::default();
        let request = Spawn {
            session: session(1),
            inherit_env: true,
            cwd: cwd.as_strings(),
            argv: none,
            env: none,
        };
        host.send(&ToInit::Spawn(request));
        match errno {
            Some(errno) => refused(&host, 1, Stage::Cwd, errno),
            None => {
                host.spawned(1);
                host.expect(ToHost::Exit {
                    session: session(1),
                    status: ExitStatus::Code(0),
                });
                assert_eq!(init.output("stdout"), "/usr\n");
            }
        }
    }
}
