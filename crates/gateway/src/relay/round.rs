//! A modern server's questions to a session-era client (rule 12). The server puts them in a result; the
//! client gets each as a request on the stream of its own call, if it declared that it can answer such;
//! and the call is made again with the answers.

use std::collections::HashMap;

use agentopia_domain::InstanceId;
use agentopia_mcp::{Envelope, Field, Id, Json, Kind, Limits, ObjectWriter, RpcError, jsonrpc};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::clients::{Asked, AskedBy, Client};

/// So often one call may be made again: servers ask once or twice, one that goes on for ever is ill.
pub(super) const MOST: usize = 20;

/// Questions that are open.
#[derive(Debug)]
pub(super) struct Round {
    /// The server's keys of those that are not answered, by our ids.
    open: HashMap<u64, String>,
    answers: mpsc::UnboundedReceiver<(u64, Bytes)>,
    responses: ObjectWriter,
    state: Option<Json<'static>>,
}

/// What a call is made again with.
#[derive(Debug)]
pub(super) struct Again {
    pub(super) responses: Json<'static>,
    pub(super) state: Option<Json<'static>>,
}

impl Round {
    /// Reads the questions in a result; gives them as the client gets them too.
    ///
    /// # Errors
    /// For what this client can't be asked.
    pub(super) fn begin(
        client: &Client,
        instance: InstanceId,
        result: &Envelope,
    ) -> Result<(Self, Vec<Bytes>), RpcError> {
        let (sender, answers) = mpsc::unbounded_channel();
        let mut round = Self {
            open: HashMap::new(),
            answers,
            responses: ObjectWriter::new(),
            state: result.raw(Field::ResultRequestState).map(Json::into_owned),
        };
        let mut questions = Vec::new();
        let requests = result.raw(Field::ResultInputRequests);
        for member in requests.iter().flat_map(Json::members) {
            let method = member.value.get("method");
            let method = method.as_ref().and_then(Json::text).unwrap_or_default();
            if !client.can_answer(&method) {
                round.take_back(client);
                return Err(RpcError::internal(format!(
                    "the server asks {method:?}, which this client did not declare that it can answer"
                )));
            }
            let asked = Asked {
                instance,
                by: AskedBy::Result(sender.clone()),
            };
            let Some(number) = client.ask(asked) else {
                round.take_back(client);
                return Err(RpcError::internal("too many questions are open"));
            };
            round.open.insert(number, member.key.into_owned());
            let params = member.value.get("params");
            let question = jsonrpc::request(&Id::from(number), &method, params.as_ref());
            questions.push(question.into());
        }
        Ok((round, questions))
    }

    /// Returns when all are answered. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// When the client answers one with an error: the server has no use for that.
    pub(super) async fn answered(&mut self) -> Result<(), RpcError> {
        while !self.open.is_empty() {
            let Some((number, raw)) = self.answers.recv().await else {
                return Err(RpcError::internal("the server's questions were dropped"));
            };
            let answer = Envelope::scan(raw, &Limits::default());
            let answer = answer.map_err(|error| RpcError::from(&error))?;
            let Some(key) = self.open.remove(&number) else {
                continue;
            };
            match (answer.kind(), answer.raw(Field::Result)) {
                (Kind::Response, Some(result)) => {
                    self.responses.raw(&key, result);
                }
                _ => {
                    let why = RpcError::received(&answer).map(|error| error.message);
                    let why = why.unwrap_or_default();
                    return Err(RpcError::internal(format!(
                        "the client did not answer the server's question {key:?}: {why}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// What to make the call again with, once all are answered.
    pub(super) fn over(self) -> Again {
        Again {
            responses: self.responses.finish(),
            state: self.state,
        }
    }

    /// Nobody waits for the answers any more.
    pub(super) fn take_back(&self, client: &Client) {
        let mut asked = client.asked.lock();
        for number in self.open.keys() {
            asked.remove(number);
        }
    }
}
