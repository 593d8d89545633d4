//! The real `tool-init`, as an ordinary process, with the host library at the other end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tool_init::frame::{Running, Spawn, Strings, StringsBuf, ToHost, ToInit};
use tool_init::host::{Control, ExpectedPeer, HostSocket, SessionPipes};
use tool_init::protocol::SessionId;

/// Nothing here takes longer unless it is broken.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn session(id: u32) -> SessionId {
    SessionId::new(id).unwrap()
}

pub(crate) fn wait_readable(fd: BorrowedFd<'_>) {
    let timeout = PollTimeout::try_from(LIMIT).unwrap();
    let ready = poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout).unwrap();
    assert_eq!(ready, 1, "nothing came within {LIMIT:?}");
}

/// Waits for a condition that no descriptor announces.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Whether a process is there and not a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap()
            .trim_start()
            .starts_with('Z')
    })
}

/// A `tool-init` process; killed when dropped, with what it runs.
pub(crate) struct Init {
    pub(crate) directory: tempfile::TempDir,
    process: Child,
}

impl Init {
    /// Starts it with more options and an image command.
    pub(crate) fn start(options: &[&str], image: &[&str]) -> Self {
        Self::start_from(
            Command::new(env!("CARGO_BIN_EXE_tool-init")),
            options,
            image,
        )
    }

    /// The same, by way of a command that executes its arguments.
    pub(crate) fn start_from(mut command: Command, options: &[&str], image: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let process = command
            .arg("--socket")
            .arg(directory.path().join("init.sock"))
            .args(options)
            .arg("--")
            .args(image)
            .stdin(Stdio::null())
            .stdout(File::create(directory.path().join("stdout")).unwrap())
            .stderr(File::create(directory.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        Self { directory, process }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("init.sock")
    }

    pub(crate) fn listen(&self) -> HostSocket {
        HostSocket::bind(&self.socket(), None).unwrap()
    }

    pub(crate) fn expected(&self) -> ExpectedPeer {
        ExpectedPeer {
            pid: self.pid(),
            uid: nix::unistd::getuid().as_raw(),
        }
    }

    /// Waits for the connection and its HELLO, without answering.
    pub(crate) fn greeted(&self, listener: &HostSocket) -> (Host, Vec<Running>) {
        wait_readable(listener.as_fd());
        let host = Host(listener.accept(self.expected()).unwrap());
        match host.receive() {
            Some(ToHost::Hello {
                min: 1,
                max: 1,
                running,
            }) => (host, running),
            other => panic!("expected HELLO, got {other:?}"),
        }
    }

    /// Listens, waits and answers with WELCOME.
    pub(crate) fn connect(&self) -> (Host, Vec<Running>) {
        let (host, running) = self.greeted(&self.listen());
        assert_eq!(host.0.welcome(1, 1).unwrap(), Some(1));
        (host, running)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid().cast_signed()), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_for("tool-init exits", || {
            status = self.process.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    pub(crate) fn output(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        // Ends its servers too: they ask the kernel to die with it.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The host's end, blocking.
pub(crate) struct Host(pub(crate) Control);

impl Host {
    pub(crate) fn receive(&self) -> Option<ToHost> {
        wait_readable(self.0.as_fd());
        self.0.try_recv().unwrap()
    }

    pub(crate) fn send(&self, message: &ToInit<'_>) {
        self.0.try_send_plain(message).unwrap();
    }

    /// A SPAWN with the image's environment (PATH) and this one.
    pub(crate) fn spawn(
        &self,
        id: u32,
        argv: &[&str],
        env: &[(&str, &str)],
        fds: &[BorrowedFd<'_>],
    ) {
        let argv = StringsBuf::from_args(argv).unwrap();
        let mut variables = StringsBuf::new();
        for (name, value) in env {
            variables
                .push_env(name.as_bytes(), value.as_bytes())
                .unwrap();
        }
        let request = Spawn {
            session: session(id),
            inherit_env: true,
            cwd: Strings::default(),
            argv: argv.as_strings(),
            env: variables.as_strings(),
        };
        self.0
            .try_send(&ToInit::Spawn(request).encode().unwrap(), fds)
            .unwrap();
    }

    /// A server on pipes, running.
    pub(crate) fn stdio(&self, id: u32, argv: &[&str], env: &[(&str, &str)]) -> Server {
        let SessionPipes {
            stdin,
            stdout,
            tool,
        } = SessionPipes::new(None).unwrap();
        self.spawn(id, argv, env, &tool.fds());
        let pid = self.spawned(id);
        Server {
            pid,
            stdin: Some(stdin.into()),
            stdout: stdout.into(),
        }
    }

    /// A server without pipes, running; gives its pid.
    pub(crate) fn http(&self, id: u32, argv: &[&str]) -> u32 {
        self.spawn(id, argv, &[], &[]);
        self.spawned(id)
    }

    pub(crate) fn spawned(&self, id: u32) -> u32 {
        match self.receive() {
            Some(ToHost::Spawned { session: s, pid }) if s == session(id) => pid,
            other => panic!("expected SPAWNED, got {other:?}"),
        }
    }

    pub(crate) fn expect(&self, message: ToHost) {
        assert_eq!(self.receive(), Some(message));
    }

    /// Waits until an ORPHANS names this process.
    pub(crate) fn expect_orphan(&self, pid: u32) {
        loop {
            match self.receive() {
                Some(ToHost::Orphans { pids }) if pids.contains(&pid) => return,
                Some(ToHost::Orphans { .. }) => {}
                other => panic!("expected ORPHANS with {pid}, got {other:?}"),
            }
        }
    }
}

/// The host's ends of a server's pipes.
pub(crate) struct Server {
    pub(crate) pid: u32,
    pub(crate) stdin: Option<File>,
    pub(crate) stdout: File,
}

impl Server {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stdin.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// The next line, without its end; byte by byte, so that nothing is read too far.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        loop {
            match self.byte() {
                Some(b'\n') => return String::from_utf8(line).unwrap(),
                Some(byte) => line.push(byte),
                None => panic!("end of output after {:?}", String::from_utf8_lossy(&line)),
            }
        }
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        loop {
            match self.stdout.read(&mut byte) {
                Ok(0) => return None,
                Ok(_) => return Some(byte[0]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait_readable(self.stdout.as_fd());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

pub(crate) fn touch(path: &Path) {
    File::create(path).unwrap();
}
