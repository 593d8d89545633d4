//! Tries `tool-init` as the real PID 1 of a Docker container, by hand:
//!
//! ```text
//! cargo run -p tool-init --example docker -- UID:GID PATH/tool-init IMAGE ENTRYPOINT [ARG…]
//! ```
//! Starts the image with everything taken away that a tool container goes without, opens a stdio
//! session, bridges it to our own standard input and output until the input ends, prints what was
//! measured, and removes the container. The system tests do the same through the DTMA.

#![expect(clippy::print_stderr, reason = "a tool for a person at a terminal")]

use std::error::Error;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use tool_init::frame::{Spawn, Strings, StringsBuf, ToHost, ToInit};
use tool_init::host::{Control, ExpectedPeer, HostSocket, Owner, SessionPipes};
use tool_init::protocol::SessionId;

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [user, init, image, entrypoint @ ..] = args.as_slice() else {
        return Err("usage: UID:GID PATH/tool-init IMAGE ENTRYPOINT [ARG…]".into());
    };
    let (uid, gid) = user.split_once(':').ok_or("give UID:GID")?;
    let owner = Owner {
        uid: uid.parse()?,
        gid: gid.parse()?,
    };
    let directory = tempfile::tempdir()?;
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755))?;
    let listener = HostSocket::bind(&directory.path().join("init.sock"), Some(owner))?;

    let start = Instant::now();
    let container = docker(
        Command::new("docker")
            .args([
                "run",
                "-d",
                "--network=none",
                "--read-only",
                "--cap-drop=ALL",
            ])
            .args([
                "--security-opt=no-new-privileges",
                "--pids-limit=32",
                "--user",
                user,
            ])
            .arg(format!(
                "--volume={}:/run/dtma:ro",
                directory.path().display()
            ))
            .arg(format!("--volume={init}:/.tool-init:ro"))
            .args(["--entrypoint=/.tool-init", image, "--"])
            .args(entrypoint),
    )?;
    let result = session(&container, &listener, owner, start);
    docker(Command::new("docker").args(["rm", "-f", &container]))?;
    result
}

fn session(container: &str, listener: &HostSocket, owner: Owner, start: Instant) -> Outcome<()> {
    let pid = docker(Command::new("docker").args(["inspect", "-f", "{{.State.Pid}}", container]))?;
    let pid = pid.parse()?;
    wait(listener.as_fd())?;
    let control = listener.accept(ExpectedPeer {
        pid,
        uid: owner.uid,
    })?;
    let Some(ToHost::Hello { min, max, .. }) = receive(&control)? else {
        return Err("no HELLO".into());
    };
    control.welcome(min, max)?.ok_or("no common version")?;
    eprintln!("connected {:?} after docker run began", start.elapsed());

    let mut env = StringsBuf::new();
    env.push_env(b"ECHO_SECRET", b"abc")?;
    let id = SessionId::new(1).ok_or("no session")?;
    let none = Strings::default();
    let request = Spawn {
        session: id,
        inherit_env: true,
        cwd: none,
        argv: none,
        env: env.as_strings(),
    };
    let SessionPipes {
        stdin,
        stdout,
        tool,
    } = SessionPipes::new(Some(owner))?;
    let opened = Instant::now();
    control.try_send(&ToInit::Spawn(request).encode()?, &tool.fds())?;
    drop(tool);
    match receive(&control)? {
        Some(ToHost::Spawned { pid, .. }) => {
            eprintln!("started as process {pid} in {:?}", opened.elapsed());
        }
        Some(ToHost::Err { refusal, .. }) => return Err(refusal.into()),
        other => return Err(format!("unexpected {other:?}").into()),
    }
    print_memory(pid)?;
    let (stdin, stdout) = (File::from(stdin), File::from(stdout));
    let input = std::thread::spawn(move || io::copy(&mut io::stdin(), &mut { stdin }));
    loop {
        wait(stdout.as_fd())?;
        if io::copy(&mut &stdout, &mut io::stdout()).is_ok() {
            break;
        }
    }
    input.join().map_err(|_| "the input broke")??;
    eprintln!("{:?}", receive(&control)?);
    control.try_send_plain(&ToInit::Shutdown { grace_ms: 1000 })?;
    eprintln!(
        "exit code {}",
        docker(Command::new("docker").args(["wait", container]))?
    );
    Ok(())
}

fn print_memory(pid: u32) -> Outcome<()> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    for line in rollup.lines().filter(|line| {
        ["Rss:", "Pss:", "Private_Dirty:", "Private_Clean:"]
            .iter()
            .any(|name| line.starts_with(name))
    }) {
        eprintln!("tool-init {line}");
    }
    Ok(())
}

fn receive(control: &Control) -> Outcome<Option<ToHost>> {
    wait(control.as_fd())?;
    Ok(control.try_recv()?)
}

fn wait(fd: std::os::fd::BorrowedFd<'_>) -> Outcome<()> {
    let limit = PollTimeout::from(10_000u16);
    match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], limit)? {
        0 => Err("nothing came for ten seconds".into()),
        _ => Ok(()),
    }
}

fn docker(command: &mut Command) -> Outcome<String> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
