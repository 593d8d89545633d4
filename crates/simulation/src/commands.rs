//! The way from a replica to machines, in place of HTTPS: the product's own look at addresses and
//! credentials, and then the tools of whatever machine has that address.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use agentopia_control_plane::machines::connections::NoConnection;
use agentopia_control_plane::machines::{Connections, MachineCommands, MachineDirectory};
use agentopia_domain::environment::Environment;
use agentopia_domain::observed::{ObservedInstance, Phase};
use agentopia_domain::{EnvironmentId, InstanceId};
use agentopia_dtma_api::problem::Problem;
use agentopia_dtma_api::to_dtma::{DtmaError, InstanceSpec, Sent};
use async_trait::async_trait;
use tokio::time::{sleep, timeout};

use crate::conductor::{Blow, Kind, Party};
use crate::tools::Tools;
use crate::world::World;

/// How long the real client waits for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long it waits for an answer.
const COMMAND_LIMIT: Duration = Duration::from_secs(15);
/// How long the real agent holds a watch.
const HOLD: Duration = Duration::from_secs(30);

/// See the module's header.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) world: Arc<World>,
    pub(crate) who: Party,
    pub(crate) connections: Connections,
}

#[derive(Debug)]
struct Line {
    world: Arc<World>,
    who: Party,
    environment: EnvironmentId,
    address: IpAddr,
}

#[async_trait]
impl MachineDirectory for Directory {
    async fn machine(
        &self,
        environment: &Environment,
    ) -> Result<Arc<dyn MachineCommands>, NoConnection> {
        self.connections.of(environment).await?;
        Ok(Arc::new(Line {
            world: Arc::clone(&self.world),
            who: self.who,
            environment: environment.id,
            address: environment.ip_address.ok_or(NoConnection::NotEnrolled)?,
        }))
    }
}

#[async_trait]
impl MachineCommands for Line {
    async fn instance(&self, id: InstanceId) -> Result<Option<ObservedInstance>, DtmaError> {
        self.call(Kind::Look, "asks for a tool", |tools| Ok(tools.one(id)))
            .await
    }

    async fn put(&self, spec: &InstanceSpec) -> Result<ObservedInstance, DtmaError> {
        let what = format!("wants a tool to be {:?}", spec.desired);
        self.call(Kind::Change, &what, |tools| tools.put(spec))
            .await
    }

    async fn watch(
        &self,
        id: InstanceId,
        generation: i64,
        phase: Phase,
    ) -> Result<ObservedInstance, DtmaError> {
        self.world.travel().await;
        let tools = self.reach()?;
        let news = async {
            loop {
                let changed = tools.changed();
                let now = tools.one(id).ok_or_else(not_found)?;
                if (now.generation, now.phase) != (generation, phase) {
                    return Ok(now);
                }
                changed.await;
            }
        };
        let now = timeout(HOLD, news).await;
        let now = now.unwrap_or_else(|_| tools.one(id).ok_or_else(not_found))?;
        self.world.travel().await;
        // Whoever lost its machine meanwhile hears nothing.
        self.reach()?;
        self.heard(now).await
    }
}

impl Line {
    async fn call<T: Send>(
        &self,
        kind: Kind,
        what: &str,
        act: impl Fn(&Tools) -> Result<T, Problem> + Send + Sync,
    ) -> Result<T, DtmaError> {
        let conductor = &self.world.conductor;
        self.world.travel().await;
        let turn = conductor.turn(self.who).await;
        let turn = turn.map_err(|_| broken(Sent::No))?;
        let blow = conductor.effect(self.who, kind, what);
        if matches!(blow, Some(Blow::Fails | Blow::CrashBefore)) {
            return Err(broken(Sent::No));
        }
        let Ok(tools) = self.reach() else {
            drop(turn);
            sleep(CONNECT_LIMIT).await;
            return Err(broken(Sent::No));
        };
        let mut answer = act(&tools);
        if blow == Some(Blow::Repeated) {
            answer = act(&tools);
        }
        drop(turn);
        if kind == Kind::Change {
            let said = answer.as_ref().map_or_else(|no| no.code.as_str(), |_| "ok");
            let (who, address) = (self.who, self.address);
            let trace = &self.world.trace;
            trace.say(format_args!("{who}: {what} at {address} -> {said}"));
        }
        if blow == Some(Blow::CrashAfter) {
            conductor.fall(self.who);
            return Err(broken(Sent::Perhaps));
        }
        self.world.travel().await;
        self.heard(answer?).await
    }

    /// The tools of the machine that has the address now, if it is the environment's.
    fn reach(&self) -> Result<Arc<Tools>, DtmaError> {
        let found = self.world.guests.serving(self.address, self.environment);
        found.ok_or_else(|| broken(Sent::No))
    }

    /// An answer on its way back.
    async fn heard<T>(&self, answer: T) -> Result<T, DtmaError> {
        if self.world.conductor.is_cut(self.who) {
            return Err(broken(Sent::Perhaps));
        }
        if self.world.loses_an_answer() {
            sleep(COMMAND_LIMIT).await;
            return Err(broken(Sent::Perhaps));
        }
        Ok(answer)
    }
}

fn broken(sent: Sent) -> DtmaError {
    DtmaError::Unreachable("the machine", "no answer".to_owned(), sent)
}

fn not_found() -> DtmaError {
    DtmaError::Refused(Problem {
        status: 404,
        code: "not_found".to_owned(),
        title: "Not found".to_owned(),
        detail: "there is no such instance here".to_owned(),
    })
}
