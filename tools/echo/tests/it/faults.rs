//! The faults do what they say, as what runs servers is tested with them.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::process::{Echo, modern};

#[test]
fn exit_at_once() {
    let mut echo = Echo::start(&["--fault", "exit-at-once"], &[]);
    assert_eq!(echo.process.wait().unwrap().code(), Some(3));
    assert!(echo.logged().contains("exiting at once"));
    assert_eq!(echo.stdout.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn garbage_on_stdout_comes_before_each_message() {
    let mut echo = Echo::start(&["--fault", "garbage-on-stdout"], &[]);
    echo.request("tools/list", modern(json!({})));
    drop(echo.stdin.take());
    let mut output = Vec::new();
    echo.stdout.read_to_end(&mut output).unwrap();
    let is_message =
        |line: &&[u8]| serde_json::from_slice::<Value>(line).is_ok_and(|value| value["id"] == 1);
    let lines: Vec<&[u8]> = output.split(|byte| *byte == b'\n').collect();
    assert_eq!(lines.iter().filter(|line| is_message(line)).count(), 1);
    assert_eq!(
        lines
            .iter()
            .filter(|line| std::str::from_utf8(line).is_err())
            .count(),
        2
    );
}

#[test]
fn ignore_sigterm_serves_and_stays() {
    let mut echo = Echo::start(&["--fault", "ignore-sigterm"], &[]);
    echo.ask("tools/list", modern(json!({})));
    kill(
        Pid::from_raw(echo.process.id().cast_signed()),
        Signal::SIGTERM,
    )
    .unwrap();
    echo.ask("tools/list", modern(json!({})));
    drop(echo.stdin.take());
    while !echo.logged().contains("staying") {}
    assert!(echo.process.try_wait().unwrap().is_none());
}

#[test]
fn flood_stderr_serves_as_well() {
    let mut echo = Echo::start(&["--fault", "flood-stderr"], &[]);
    // Taken away until the end, as its own first line stands in the same queue.
    let stderr = echo.stderr.take().unwrap();
    let (flooded, is_flooded) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for (count, _) in stderr.map_while(Result::ok).enumerate() {
            if count == 10_000 {
                flooded.send(()).unwrap();
            }
        }
    });
    echo.ask("tools/list", modern(json!({})));
    is_flooded.recv().unwrap();
}

#[test]
fn hang_at_start_answers_nothing() {
    let mut echo = Echo::start(&["--fault", "hang-at-start"], &[]);
    assert!(echo.logged().contains("hanging"));
    echo.request("tools/list", modern(json!({})));
    assert!(echo.process.try_wait().unwrap().is_none());
    kill(
        Pid::from_raw(echo.process.id().cast_signed()),
        Signal::SIGTERM,
    )
    .unwrap();
    assert_eq!(echo.stdout.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn eat_memory_takes_what_it_can_get() {
    let script = "ulimit -v 300000; exec \"$0\" --fault eat-memory";
    let status = std::process::Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_agentopia-echo")])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .and_then(|mut process| {
            // Kept open: the end of input would end it.
            let _stdin = process.stdin.take();
            process.wait()
        })
        .unwrap();
    assert_eq!(status.signal(), Some(6), "out of memory aborts: {status}");
}

#[test]
fn an_unknown_fault_is_a_mistake() {
    let mut echo = Echo::start(&["--fault", "nonsense"], &[]);
    assert_eq!(echo.process.wait().unwrap().code(), Some(2));
}
