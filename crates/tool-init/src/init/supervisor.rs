//! The loop of PID 1: what the host says, what the kernel says, and what follows from it.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use super::args::Config;
use super::launch::Launcher;
use super::link::Link;
use super::log;
use crate::frame::{Refusal, Running, ServerKind, Spawn, Stage, ToHost, ToInit, session_of};
use crate::protocol::{
    EXIT_NO_HOST, EXIT_OK, EXIT_VERSION, MAX_MESSAGE, SessionId, VERSION_MAX, VERSION_MIN,
};
use crate::sys::Pages;
use crate::sys::signal::{self, Children, SignalFd, Target};
use crate::sys::socket::{self, Received};

/// After SIGKILL: a process that does not go then sits in the kernel and never will.
const AFTER_KILL: Duration = Duration::from_secs(2);
/// How long the last messages may take when everything has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Records taken in one go, so that signals get their turn.
const BATCH: usize = 16;

/// A server that runs.
#[derive(Clone, Copy, Debug)]
struct Server {
    pid: u32,
    kind: ServerKind,
}

/// On the way out.
#[derive(Clone, Copy, Debug)]
struct Ending {
    /// SIGKILL then.
    kill_at: Instant,
    killed: bool,
    exit_code: u8,
}

/// Everything PID 1 knows.
#[derive(Debug)]
pub(super) struct Supervisor {
    launcher: Launcher,
    link: Link,
    signals: SignalFd,
    buffer: Pages,
    servers: BTreeMap<SessionId, Server>,
    /// Give up then, unless the host has answered once.
    give_up_at: Option<Instant>,
    grace: Duration,
    ending: Option<Ending>,
    is_pid_1: bool,
}

impl Supervisor {
    pub(super) fn new(config: Config) -> io::Result<Self> {
        signal::shield()?;
        signal::close_all_on_exec();
        let is_pid_1 = std::process::id() == 1;
        let now = Instant::now();
        Ok(Self {
            launcher: Launcher::new(config.image_argv, std::env::vars_os(), !is_pid_1),
            link: Link::new(config.socket, now),
            signals: SignalFd::new()?,
            // A longer record comes with MSG_TRUNC.
            buffer: Pages::new(MAX_MESSAGE)?,
            servers: BTreeMap::new(),
            give_up_at: Some(now + config.wait),
            grace: config.grace,
            ending: None,
            is_pid_1,
        })
    }

    /// Until there is an exit code.
    pub(super) fn run(mut self) -> u8 {
        loop {
            let now = Instant::now();
            self.link.connect(now, || hello(&self.servers));
            let children = self.reap(now);
            if let Some(code) = self.step_out(now, children) {
                self.last_words();
                return code;
            }
            if self.give_up_at.is_some_and(|at| now >= at) && self.ending.is_none() {
                log("the host did not answer in time");
                return EXIT_NO_HOST;
            }
            let wanted = [
                Some((self.signals.as_fd(), libc::POLLIN)),
                self.link.interest(),
            ];
            let ready = match socket::poll(wanted, self.next_deadline(now)) {
                Ok(ready) => ready,
                Err(error) => {
                    log(&format!("cannot wait for events: {error}"));
                    return EXIT_VERSION;
                }
            };
            let now = Instant::now();
            if ready[0] {
                self.take_signals(now);
            }
            if ready[1] {
                self.link.flush(now);
                self.take_frames(now);
            }
        }
    }

    fn next_deadline(&self, now: Instant) -> Option<Duration> {
        let ending = self.ending.map(|ending| ending.kill_at);
        let give_up = self.give_up_at.filter(|_| self.ending.is_none());
        let next = [self.link.retry_at(), give_up, ending]
            .into_iter()
            .flatten()
            .min()?;
        Some(next.saturating_duration_since(now))
    }

    fn take_signals(&mut self, now: Instant) {
        while let Some(signal) = self.signals.next() {
            if signal != libc::SIGCHLD {
                self.end(self.grace, EXIT_OK, now);
            }
        }
    }

    fn take_frames(&mut self, now: Instant) {
        for _ in 0..BATCH {
            let Some(received) = self.link.receive(&mut self.buffer, now) else {
                return;
            };
            let used = received.len;
            self.take_frame(received, now);
            // The environment of a server, most likely. Its own copy is in its own memory by now.
            self.buffer.wipe_and_release(used);
        }
    }

    fn take_frame(&mut self, received: Received, now: Instant) {
        let Received {
            len,
            fds,
            truncated,
        } = received;
        let Self {
            buffer,
            link,
            launcher,
            servers,
            ..
        } = self;
        let message = &buffer.bytes()[..len.min(MAX_MESSAGE)];
        let named = session_of(message);
        let refuse = |stage, errno| Refusal { stage, errno };
        let decoded = if truncated {
            Err(refuse(Stage::Message, libc::EMSGSIZE))
        } else {
            match ToInit::decode(message) {
                Ok(frame) if fds.is_empty() || matches!(frame, ToInit::Spawn(_)) => Ok(frame),
                _ => Err(refuse(Stage::Message, libc::EBADMSG)),
            }
        };
        let frame = match decoded {
            Ok(frame) => frame,
            Err(_) if link.is_greeting() => return link.drop_connection(now),
            Err(refusal) => {
                return link.send(
                    &ToHost::Err {
                        session: named,
                        refusal,
                    },
                    now,
                );
            }
        };
        match frame {
            ToInit::Welcome { version } if link.is_greeting() => {
                if (VERSION_MIN..=VERSION_MAX).contains(&version) {
                    link.welcomed(now);
                    self.give_up_at = None;
                } else {
                    log("the host speaks no version of the protocol that this build does");
                    self.end(self.grace, EXIT_VERSION, now);
                }
            }
            // Nothing is done for a host that has not agreed on a version.
            _ if link.is_greeting() => link.drop_connection(now),
            ToInit::Welcome { .. } => {
                let refusal = refuse(Stage::Message, libc::EBADMSG);
                link.send(
                    &ToHost::Err {
                        session: None,
                        refusal,
                    },
                    now,
                );
            }
            ToInit::Spawn(request) => {
                let session = request.session;
                let ending = self.ending.is_some();
                let answer = match spawn(launcher, servers, &request, &fds, ending) {
                    Ok(pid) => ToHost::Spawned { session, pid },
                    Err(refusal) => ToHost::Err {
                        session: Some(session),
                        refusal,
                    },
                };
                link.send(&answer, now);
            }
            ToInit::Signal { session, signal } => {
                if let Err(refusal) = signal_group(servers, session, signal) {
                    link.send(
                        &ToHost::Err {
                            session: Some(session),
                            refusal,
                        },
                        now,
                    );
                }
            }
            ToInit::Ping { nonce } => link.send(&ToHost::Pong { nonce }, now),
            ToInit::Shutdown { grace_ms } => {
                self.end(Duration::from_millis(grace_ms.into()), EXIT_OK, now);
            }
        }
    }

    /// Reaps everything that has ended and tells the host; gives what is left.
    fn reap(&mut self, now: Instant) -> Children {
        let mut orphans = Vec::new();
        let left = loop {
            let dead = match signal::next_dead() {
                Ok(Children::Dead(dead)) => dead,
                Ok(left) => break left,
                Err(_) => break Children::AllAlive,
            };
            let session = self
                .servers
                .iter()
                .find(|(_, server)| server.pid == dead.pid)
                .map(|(id, _)| *id);
            if let Some(session) = session {
                // What the server leaves of its group behind would hold its memory and its ports.
                // It is not reaped yet, so nobody else can have got this group's number.
                let _ = signal::kill(Target::Group(dead.pid), libc::SIGKILL);
                self.servers.remove(&session);
                self.link.send(
                    &ToHost::Exit {
                        session,
                        status: dead.status,
                    },
                    now,
                );
            } else {
                orphans.push(dead.pid);
            }
            signal::reap(dead.pid);
        };
        if !orphans.is_empty() {
            self.link.send(&ToHost::Orphans { pids: orphans }, now);
        }
        left
    }

    /// Begins to end, or ends sooner than planned.
    fn end(&mut self, grace: Duration, exit_code: u8, now: Instant) {
        let kill_at = now + grace;
        if let Some(ending) = &mut self.ending {
            if !ending.killed {
                ending.kill_at = ending.kill_at.min(kill_at);
            }
            return;
        }
        self.ending = Some(Ending {
            kill_at,
            killed: false,
            exit_code,
        });
        self.signal_all(libc::SIGTERM);
    }

    /// The exit code, if it is time.
    fn step_out(&mut self, now: Instant, children: Children) -> Option<u8> {
        let ending = self.ending.as_mut()?;
        if children == Children::None {
            return Some(ending.exit_code);
        }
        if now < ending.kill_at {
            if ending.killed {
                // The death of a parent may just have made its children ours.
                self.signal_all(libc::SIGKILL);
            }
            return None;
        }
        if ending.killed {
            log("a process did not go even when killed");
            return Some(ending.exit_code);
        }
        ending.killed = true;
        ending.kill_at = now + AFTER_KILL;
        self.signal_all(libc::SIGKILL);
        None
    }

    /// Signals everything that runs here. Who may not be signalled has ended already.
    fn signal_all(&self, signal: i32) {
        if self.is_pid_1 {
            let _ = signal::kill(Target::Everyone, signal);
            return;
        }
        for server in self.servers.values() {
            let _ = signal::kill(Target::Group(server.pid), signal);
        }
        // Orphans that left their group. As an ordinary process we have only this list of them.
        let children = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
        for pid in children
            .split_ascii_whitespace()
            .filter_map(|pid| pid.parse().ok())
        {
            let _ = signal::kill(Target::Process(pid), signal);
        }
    }

    /// Gives the last EXITs a moment to get through.
    fn last_words(&mut self) {
        let until = Instant::now() + LAST_WORDS;
        loop {
            let now = Instant::now();
            self.link.flush(now);
            if self.link.is_flushed() || now >= until {
                return;
            }
            let left = Some(until - now);
            let Some((fd, _)) = self.link.interest() else {
                return;
            };
            if socket::poll([Some((fd, libc::POLLOUT))], left).is_err() {
                return;
            }
        }
    }
}

fn hello(servers: &BTreeMap<SessionId, Server>) -> ToHost {
    let running = servers
        .iter()
        .map(|(session, server)| Running {
            session: *session,
            pid: server.pid,
            kind: server.kind,
        })
        .collect();
    ToHost::Hello {
        min: VERSION_MIN,
        max: VERSION_MAX,
        running,
    }
}

fn spawn(
    launcher: &Launcher,
    servers: &mut BTreeMap<SessionId, Server>,
    request: &Spawn<'_>,
    fds: &[OwnedFd],
    ending: bool,
) -> Result<u32, Refusal> {
    let refuse = |errno| {
        Err(Refusal {
            stage: Stage::Session,
            errno,
        })
    };
    if ending {
        return refuse(libc::ESHUTDOWN);
    }
    if servers.contains_key(&request.session) {
        return refuse(libc::EEXIST);
    }
    let (pid, kind) = launcher.start(request, fds)?;
    servers.insert(request.session, Server { pid, kind });
    Ok(pid)
}

fn signal_group(
    servers: &BTreeMap<SessionId, Server>,
    session: SessionId,
    signal: u8,
) -> Result<(), Refusal> {
    let refusal = |errno| Refusal {
        stage: Stage::Session,
        errno,
    };
    let server = servers.get(&session).ok_or(refusal(libc::ESRCH))?;
    signal::kill(Target::Group(server.pid), signal.into())
        .map_err(|error| refusal(error.raw_os_error().unwrap_or(libc::ESRCH)))
}
