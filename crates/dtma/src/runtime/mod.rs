//! What runs tools: containers ([`docker`]) or, where no engine answers, child processes
//! ([`process`]), behind one trait.
//!
//! A runtime decides nothing. The reconciler (`crate::reconciler`) tells it what to do, one call
//! an instance at a time; the data path (`crate::mcp`) asks it for a [`ToolHandle`]. Every call is
//! idempotent, because a crash of the DTMA may come between any two of them. A runtime touches
//! nothing that does not carry the labels of its own environment (DTMA-9).

mod error;
mod types;

pub mod choose;
pub mod docker;
pub mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use agentopia_domain::InstanceId;
use agentopia_domain::metrics::Usage;
use agentopia_domain::spec::InstanceSpec;
use agentopia_dtma_api::to_control_plane::RegistryLogin;
use agentopia_dtma_api::to_dtma::{LogLine, LogQuery};
use async_trait::async_trait;
use futures::stream::BoxStream;
use secrecy::SecretString;
use tokio::sync::broadcast;

pub use error::{ErrorCode, Retry, RuntimeError};
pub use types::{
    ExitInfo, ExitWatch, LABEL_ENVIRONMENT, LABEL_GENERATION, LABEL_INSTANCE, LABEL_SPEC, Prepared,
    Progress, RunState, RuntimeContext, RuntimeFacts, RuntimeInstance, RuntimeKind, SESSION_GRACE,
    StdioSession, ToolChannel, ToolHandle, spec_hash,
};

/// Runs tools.
#[async_trait]
pub trait Runtime: fmt::Debug + Send + Sync {
    /// Which one it is.
    fn kind(&self) -> RuntimeKind;

    /// Versions and where its data is.
    async fn facts(&self) -> RuntimeFacts;

    /// Whether [`Self::prepare`] of this spec would have to fetch an image (and so may need a
    /// registry login and disk space).
    async fn needs_fetch(&self, spec: &InstanceSpec) -> Result<bool, RuntimeError>;

    /// Makes the image of a spec's package, if it has one and the image is not there: what takes longest of
    /// [`Self::prepare`], which would do it too. Dropped in the middle, it leaves nothing behind.
    async fn build(
        &self,
        _spec: &InstanceSpec,
        _login: Option<&RegistryLogin>,
        _progress: &Progress,
    ) -> Result<(), RuntimeError> {
        Ok(())
    }

    /// Everything that can be done before the secrets are there: the image is present and its
    /// digest known (pulled with `login` where it has to be), the volume is made.
    async fn prepare(
        &self,
        spec: &InstanceSpec,
        login: Option<&RegistryLogin>,
        progress: &Progress,
    ) -> Result<Prepared, RuntimeError>;

    /// Starts it, replacing whatever this instance has of another spec. Returns once sessions can
    /// be opened or requests be sent; whether it *answers* is found out by the caller.
    async fn start(
        &self,
        spec: &InstanceSpec,
        prepared: &Prepared,
        secrets: BTreeMap<String, SecretString>,
    ) -> Result<(), RuntimeError>;

    /// Takes over something that [`Self::observe`] found running with the hash of `spec`, after a
    /// restart of the DTMA, without restarting it. `secrets` are given for stdio servers (each new
    /// process needs them); HTTP servers have theirs. `Ok(false)`: it can't be taken over and has
    /// to be started anew.
    async fn adopt(
        &self,
        spec: &InstanceSpec,
        secrets: BTreeMap<String, SecretString>,
    ) -> Result<bool, RuntimeError>;

    /// Lets those reach the instance's direct port whom the spec names, and nobody else, and the instance
    /// go where the spec lets it, and nowhere else, without a restart of the tool. `start` and `adopt` do
    /// so as well; this is for what changed, and for rules that somebody else took away.
    async fn admit(&self, spec: &InstanceSpec) -> Result<(), RuntimeError>;

    /// Stops it: TERM, after `grace` KILL. Logs stay readable. Nothing to stop is success.
    async fn stop(&self, id: InstanceId, grace: Duration) -> Result<(), RuntimeError>;

    /// Takes away container, network, sockets and logs (stopping first if need be), and the volume
    /// if `purge_data`. Nothing to remove is success.
    async fn remove(&self, id: InstanceId, purge_data: bool) -> Result<(), RuntimeError>;

    /// Everything it made for this environment, leftovers of half-made starts included.
    async fn observe(&self) -> Result<Vec<RuntimeInstance>, RuntimeError>;

    /// What it made for one instance.
    async fn inspect(&self, id: InstanceId) -> Result<Option<RuntimeInstance>, RuntimeError>;

    /// How to reach a running tool; `None` if it does not run.
    async fn tool(&self, id: InstanceId) -> Option<ToolHandle>;

    /// The tool's log (what it writes to stderr, and HTTP servers' stdout). Ends at once where
    /// there is none; with `follow` it ends when the instance is removed.
    async fn logs(
        &self,
        id: InstanceId,
        query: LogQuery,
    ) -> Result<BoxStream<'static, LogLine>, RuntimeError>;

    /// The last lines that it wrote to stderr, oldest first.
    async fn last_stderr(&self, id: InstanceId, lines: usize) -> Vec<String>;

    /// The addresses on which it listens for TCP, seen from inside of its network; `None` where that
    /// can't be told.
    async fn listeners(&self, id: InstanceId) -> Option<Vec<SocketAddr>>;

    /// Its use of the machine since the call before.
    async fn usage(&self, id: InstanceId) -> Option<Usage>;

    /// Removes what is cached and used by nothing (images that this DTMA pulled and no instance of
    /// `keep` needs). Returns the bytes won.
    async fn prune(&self, keep: &[InstanceSpec]) -> Result<u64, RuntimeError>;

    /// Removes what was made here for instances that are gone (images of packages), within bounds: some of it stays
    /// for later. Returns the bytes won.
    async fn tidy(&self, _keep: &[InstanceSpec]) -> Result<u64, RuntimeError> {
        Ok(0)
    }

    /// Removes what belongs to no single instance, at the end of the environment: after everything else.
    async fn purge_shared(&self) -> Result<(), RuntimeError> {
        Ok(())
    }

    /// Instances that just went away by themselves: a hint that wakes the reconciler, which looks
    /// for itself; losing one only costs time.
    fn exits(&self) -> broadcast::Receiver<InstanceId>;

    /// How often whatever runs the tools (the container engine) went away since this process
    /// connected to it. What ended with it did not end by its own fault.
    fn interruptions(&self) -> u64;

    /// The DTMA is about to end. Containers go on; child processes are ended.
    async fn shutdown(&self, grace: Duration);
}

/// Starts processes of a stdio server.
#[async_trait]
pub trait StdioSpawner: fmt::Debug + Send + Sync {
    /// A new process on pipes of its own.
    async fn open(&self) -> Result<StdioSession, RuntimeError> {
        self.open_with(&BTreeMap::new()).await
    }

    /// The same with these values in place of the instance's secrets and configuration of the same
    /// names. They are in the process, and nowhere else once it is started.
    async fn open_with(
        &self,
        own: &BTreeMap<String, SecretString>,
    ) -> Result<StdioSession, RuntimeError>;

    /// What all processes of the tool use together of what they may: memory in bytes, and threads.
    /// Without what nothing limits.
    fn quotas(&self) -> Vec<Quota>;
}

/// Something that a tool may have so much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// In use, without what the kernel would give up.
    pub used: u64,
    /// Beyond this processes are killed, or can't begin.
    pub limit: u64,
}

/// One process of a stdio server. Dropping it ends the process in the background.
#[async_trait]
pub trait SessionProcess: fmt::Debug + Send + Sync {
    /// Turns from `None` to how it ended.
    fn exit(&self) -> ExitWatch;

    /// Ends it in order. The caller has closed (dropped) stdin; waits [`SESSION_GRACE`], sends
    /// TERM, waits again, sends KILL. Returns when it is gone.
    async fn close(self: Box<Self>) -> ExitInfo;
}
