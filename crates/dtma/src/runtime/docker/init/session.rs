//! A stdio server's process in a container.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::time::timeout;
use tool_init::protocol::SessionId;

use super::launch::Launch;
use super::link::InitLink;
use crate::runtime::{
    ExitInfo, ExitWatch, Quota, RuntimeError, SESSION_GRACE, SessionProcess, StdioSession,
    StdioSpawner,
};

/// Starts sessions in one container.
#[derive(Debug)]
pub(in crate::runtime::docker) struct Spawner {
    pub(in crate::runtime::docker) link: Arc<InitLink>,
    pub(in crate::runtime::docker) launch: Arc<Launch>,
}

#[async_trait]
impl StdioSpawner for Spawner {
    async fn open_with(
        &self,
        own: &BTreeMap<String, SecretString>,
    ) -> Result<StdioSession, RuntimeError> {
        if own.is_empty() {
            return self.link.spawn_stdio(&self.launch).await;
        }
        let launch = Arc::new(self.launch.with(own)?);
        self.link.spawn_stdio(&launch).await
    }

    fn quotas(&self) -> Vec<Quota> {
        self.link.quotas()
    }
}

/// One process. Ended in the background when it is dropped without having been closed.
#[derive(Debug)]
pub(super) struct Process(Option<Running>);

#[derive(Debug)]
struct Running {
    link: Arc<InitLink>,
    session: SessionId,
    exit: ExitWatch,
}

impl Process {
    pub(super) fn new(link: Arc<InitLink>, session: SessionId, exit: ExitWatch) -> Self {
        Self(Some(Running {
            link,
            session,
            exit,
        }))
    }
}

impl Running {
    async fn end(mut self) -> ExitInfo {
        for signal in [libc::SIGTERM, libc::SIGKILL] {
            if let Ok(info) = timeout(SESSION_GRACE, ended(&mut self.exit)).await {
                return info;
            }
            self.link.signal(self.session, signal).await;
        }
        // Killed: it is gone, or stuck in the kernel, where nobody can help.
        timeout(SESSION_GRACE, ended(&mut self.exit))
            .await
            .unwrap_or_default()
    }
}

/// Waits for the end; a watch that nobody feeds any more means that the container is gone.
async fn ended(exit: &mut ExitWatch) -> ExitInfo {
    // A watch that nobody feeds any more still has its last value.
    let _ = exit.wait_for(Option::is_some).await;
    exit.borrow().clone().unwrap_or_default()
}

#[async_trait]
impl SessionProcess for Process {
    fn exit(&self) -> ExitWatch {
        match &self.0 {
            Some(running) => running.exit.clone(),
            None => tokio::sync::watch::channel(Some(ExitInfo::default())).1,
        }
    }

    async fn close(mut self: Box<Self>) -> ExitInfo {
        match self.0.take() {
            Some(running) => running.end().await,
            None => ExitInfo::default(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let (Some(running), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(running.end());
        }
    }
}
