//! One child process: watched, and ended with its whole process group.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::watch;

use crate::runtime::{
    ErrorCode, ExitInfo, ExitWatch, RuntimeError, SESSION_GRACE, SessionProcess, StdioSession,
};

/// A child that is watched.
#[derive(Debug)]
pub(super) struct Process {
    group: Pid,
    exit: ExitWatch,
}

impl Process {
    /// Watches `child` until it ends, ends the rest of its group, then calls `ended`. `None` if it
    /// has ended and been forgotten already.
    pub(super) fn watch(
        mut child: Child,
        ended: impl FnOnce() + Send + 'static,
    ) -> Option<Arc<Self>> {
        let pid = i32::try_from(child.id()?).ok()?;
        let group = Pid::from_raw(pid);
        let (tell, exit) = watch::channel(None);
        tokio::spawn(async move {
            let info = match child.wait().await {
                Ok(status) => info(status),
                Err(error) => {
                    tracing::error!(%group, %error, "a child can't be waited for");
                    ExitInfo::default()
                }
            };
            // Children that it left in its group; usually there are none.
            let _ = killpg(group, Signal::SIGKILL);
            tell.send_replace(Some(info));
            ended();
        });
        Some(Arc::new(Self { group, exit }))
    }

    pub(super) fn exit(&self) -> ExitWatch {
        self.exit.clone()
    }

    /// Its process group, which has the number of the process.
    pub(super) fn group(&self) -> Pid {
        self.group
    }

    /// Waits `patience` for it to end by itself, then TERM, `grace`, KILL.
    pub(super) async fn terminate(&self, patience: Duration, grace: Duration) -> ExitInfo {
        for (limit, signal) in [(patience, Signal::SIGTERM), (grace, Signal::SIGKILL)] {
            if let Ok(info) = tokio::time::timeout(limit, self.ended()).await {
                return info;
            }
            // The group number is ours until the leader is reaped, which `exit` would have told.
            if self.exit.borrow().is_none() {
                let _ = killpg(self.group, signal);
            }
        }
        self.ended().await
    }

    async fn ended(&self) -> ExitInfo {
        let mut exit = self.exit.clone();
        let info = exit.wait_for(Option::is_some).await;
        info.map_or_else(
            |_| ExitInfo::default(),
            |info| info.clone().unwrap_or_default(),
        )
    }
}

/// The process of one MCP session.
#[derive(Debug)]
pub(super) struct Session {
    process: Option<Arc<Process>>,
}

impl Session {
    pub(super) fn open(
        (stdin, stdout): (Option<ChildStdin>, Option<ChildStdout>),
        process: Arc<Process>,
    ) -> Result<StdioSession, RuntimeError> {
        let session = Self {
            process: Some(process),
        };
        let failed = |error: std::io::Error| RuntimeError::io("opening the tool's pipes", &error);
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(RuntimeError::new(
                ErrorCode::SpawnFailed,
                "the tool has no pipes",
            ));
        };
        let stdin = stdin.into_owned_fd().and_then(pipe::Sender::from_owned_fd);
        let stdout = stdout
            .into_owned_fd()
            .and_then(pipe::Receiver::from_owned_fd);
        Ok(StdioSession {
            stdin: stdin.map_err(failed)?,
            stdout: stdout.map_err(failed)?,
            process: Box::new(session),
        })
    }
}

#[async_trait]
impl SessionProcess for Session {
    fn exit(&self) -> ExitWatch {
        match &self.process {
            Some(process) => process.exit(),
            None => watch::channel(Some(ExitInfo::default())).1,
        }
    }

    async fn close(mut self: Box<Self>) -> ExitInfo {
        // Kept until it is over: if we are dropped half-way, `drop` goes on.
        let Some(process) = self.process.clone() else {
            return ExitInfo::default();
        };
        let info = process.terminate(SESSION_GRACE, SESSION_GRACE).await;
        self.process = None;
        info
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(process) = self.process.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { process.terminate(SESSION_GRACE, SESSION_GRACE).await });
        }
    }
}

fn info(status: ExitStatus) -> ExitInfo {
    ExitInfo {
        code: status.code(),
        signal: status.signal(),
        out_of_memory: false,
    }
}
