//! The way from a replica to DigitalOcean: the client's transport calls the simulator's router.

use std::sync::Arc;

use agentopia_digitalocean::{Transport, TransportError};
use async_trait::async_trait;
use axum::body::Body;
use bytes::Bytes;
use digitalocean_sim::AnswerLost;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use parking_lot::Mutex;
use tower::ServiceExt as _;

use crate::conductor::{Blow, Kind, Party};
use crate::dice::Dice;
use crate::ledger;
use crate::world::World;

/// The largest answer that is read.
const LARGEST: usize = 16 << 20;

/// See the module's header.
pub(crate) struct Cloud {
    pub(crate) world: Arc<World>,
    pub(crate) who: Party,
    /// How long requests and answers take.
    pub(crate) dice: Mutex<Dice>,
}

impl std::fmt::Debug for Cloud {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cloud({})", self.who)
    }
}

#[async_trait]
impl Transport for Cloud {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let (who, conductor) = (self.who, &self.world.conductor);
        self.travel().await;
        let known = ledger::look(&self.world, &request).await;
        let turn = conductor.turn(who).await.map_err(|_| dead())?;
        let what = label(&request);
        let kind = match *request.method() {
            Method::GET => Kind::Look,
            _ => Kind::Change,
        };
        if self.world.is_out() {
            return Ok(unavailable());
        }
        let blow = conductor.effect(who, kind, &what);
        match blow {
            Some(Blow::Fails) => return Ok(unavailable()),
            Some(Blow::CrashBefore) => return Err(dead()),
            _ => {}
        }
        ledger::judge(&self.world, who, &request, known).await;
        let mut answer = self.call(&request).await?;
        if blow == Some(Blow::Repeated) {
            answer = self.call(&request).await?;
        }
        drop(turn);
        let lost = answer.extensions().get::<AnswerLost>().copied();
        let status = answer.status();
        let said = lost.map_or_else(|| status.as_u16().to_string(), |lost| format!("{lost:?}"));
        self.world
            .trace
            .say(format_args!("{who}: {what} -> {said}"));
        if blow == Some(Blow::CrashAfter) {
            conductor.fall(who);
            return Err(dead());
        }
        self.travel().await;
        match lost {
            Some(AnswerLost::Closed) => return Err(TransportError::unanswered("closed")),
            Some(AnswerLost::Silent) => std::future::pending().await,
            None => {}
        }
        if conductor.is_cut(who) {
            return Err(dead());
        }
        self.world.ledger.answered(who, &request, &answer);
        Ok(answer)
    }
}

impl Cloud {
    async fn travel(&self) {
        let under_way = self.dice.lock().millis(5, 150);
        tokio::time::sleep(under_way).await;
    }

    async fn call(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let request = request.clone().map(Body::from);
        let answer = match self.world.cloud.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let (parts, body) = answer.into_parts();
        let body = http_body_util::Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|error| TransportError::unanswered(error.to_string()))?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }
}

fn label(request: &Request<Bytes>) -> String {
    let uri = request.uri();
    let path = uri.path_and_query().map_or("", |path| path.as_str());
    format!("{} {path}", request.method())
}

fn dead() -> TransportError {
    TransportError::unanswered("this replica is dead")
}

/// What a gateway says when nobody is behind it.
fn unavailable() -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(b"<html>503</html>"));
    *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    answer
}
