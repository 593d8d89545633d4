//! The standing stream on which a server speaks outside of requests: GET in the session era,
//! `subscriptions/listen` in the modern one. Held only while the client has a stream of its own to
//! hear it on.
//!
//! A server without such a stream (405) is left in peace (rule 16). One that breaks is opened
//! again, with growing pauses, for as long as the connection lives.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use agentopia_mcp::{Era, Field, Id, Kind, ObjectWriter, jsonrpc, method};
use tokio_util::sync::CancellationToken;

use super::call::with_meta;
use super::exchange::{self, Reply};
use super::inbound::{self, Inbound, Place};
use super::reader::EventReader;
use super::{Live, Upstream, UpstreamError};
use crate::clients::Client;
use crate::clients::listeners::Filter;
use crate::core::Core;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Starts the task; it ends with `stop`, with the connection, or when the server has no stream.
pub(super) fn start(
    core: Arc<Core>,
    client: Arc<Client>,
    upstream: Arc<Upstream>,
    live: Arc<Live>,
    stop: CancellationToken,
) {
    tokio::spawn(async move {
        let listening = Listening {
            core: &core,
            client: &client,
            upstream: &upstream,
            live: &live,
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = core.stopped.cancelled() => {}
            () = client.ended.cancelled() => {}
            () = listening.run() => {}
        }
        if !stop.is_cancelled() {
            live.set_listening(false);
            stop.cancel();
        }
    });
}

struct Listening<'a> {
    core: &'a Arc<Core>,
    client: &'a Arc<Client>,
    upstream: &'a Arc<Upstream>,
    live: &'a Arc<Live>,
}

impl Listening<'_> {
    async fn run(&self) {
        let mut pause = FIRST_PAUSE;
        let mut last_event: Option<String> = None;
        loop {
            match self.open(last_event.as_deref()).await {
                Ok(Some(mut reader)) => {
                    self.live.set_listening(true);
                    let heard_something = self.hear(&mut reader).await;
                    self.live.set_listening(false);
                    last_event = reader.last_id().map(str::to_owned).or(last_event);
                    if heard_something {
                        pause = FIRST_PAUSE;
                    }
                    if let Some(wanted) = reader.retry() {
                        pause = wanted.clamp(FIRST_PAUSE, LONGEST_PAUSE);
                    }
                }
                Ok(None) => {
                    // A modern server may have something once there are subscriptions.
                    let for_good = self.live.era == Era::Session;
                    self.live.silent.store(for_good, Ordering::Relaxed);
                    return;
                }
                Err(UpstreamError::SessionLost) => return,
                Err(error) => tracing::debug!(instance = %self.upstream.instance, %error, "listen"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn open(&self, last_event: Option<&str>) -> Result<Option<EventReader>, UpstreamError> {
        let reader = match self.live.era {
            Era::Session => exchange::get(self.core, self.client, self.live, last_event).await?,
            Era::Modern => self.open_modern().await?,
        };
        Ok(reader.map(EventReader::without_idle_timeout))
    }

    async fn open_modern(&self) -> Result<Option<EventReader>, UpstreamError> {
        let can = |path: &[&str]| self.live.greeting.capabilities.has(path);
        let uris = self.upstream.subscriptions.lock().clone();
        let filter = Filter {
            tools: can(&["tools", "listChanged"]),
            prompts: can(&["prompts", "listChanged"]),
            resources: can(&["resources", "listChanged"]),
            uris,
        };
        if filter == Filter::default() {
            return Ok(None);
        }
        let mut params = ObjectWriter::new();
        params.raw("notifications", filter.to_json());
        let id = Id::from(self.upstream.next_id());
        let message = jsonrpc::request(&id, method::LISTEN, Some(&params.finish()));
        let (message, headers) = with_meta(self.client, self.live, message)?;
        match exchange::post(self.core, self.client, self.live, message, headers).await? {
            Reply::Events(reader) => Ok(Some(*reader)),
            Reply::Json(..) | Reply::Accepted => Ok(None),
        }
    }

    /// Until the stream ends; says whether anything came.
    async fn hear(&self, reader: &mut EventReader) -> bool {
        let place = Place {
            core: self.core,
            client: self.client,
            upstream: self.upstream,
            live: self.live,
            call: None,
            takes_questions: false,
            wants_log: self.client.hello.era == Era::Session,
        };
        let mut heard = false;
        loop {
            match reader.next().await {
                Ok(Some(raw)) => {
                    heard = true;
                    match inbound::take(&place, raw) {
                        Inbound::Forward(message) if self.client.hello.era == Era::Session => {
                            self.client.push(message);
                        }
                        Inbound::Response(response) if response.kind() == Kind::ErrorResponse => {
                            let code = response.number(Field::ErrorCode);
                            tracing::debug!(instance = %self.upstream.instance, ?code, "listen refused");
                        }
                        _ => {}
                    }
                }
                Ok(None) => return heard,
                Err(error) => {
                    tracing::debug!(instance = %self.upstream.instance, %error, "listen");
                    return heard;
                }
            }
        }
    }
}
