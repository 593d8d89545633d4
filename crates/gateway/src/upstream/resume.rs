//! The event stream of one call, taken up again where it breaks off.
//!
//! A session-era server may end a call's stream before its answer, to free the connection, or lose it with the
//! network. If it gave its events ids, a GET with the last one goes on (2025-11-25, transports, "Resumability"),
//! after the pause that it asked for. The call is not made again.

use std::time::Duration;

use agentopia_mcp::Era;
use bytes::Bytes;
use futures::future::BoxFuture;

use super::call::OpenCall;
use super::reader::EventReader;
use super::{UpstreamError, exchange};

/// Between two tries unless the server says otherwise.
const PAUSE: Duration = Duration::from_secs(1);
/// However long the server wants us to wait, its answer is wanted.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// In a row without a message.
const MOST_TRIES: u32 = 5;

type Reopening = BoxFuture<'static, Result<Option<EventReader>, UpstreamError>>;

/// See the module's header.
pub(crate) struct CallEvents {
    reader: EventReader,
    /// Where to go on.
    last_id: Option<String>,
    pause: Duration,
    tries: u32,
    /// Kept between polls: whoever waits for a message may stop waiting at any time.
    reopening: Option<Reopening>,
}

impl CallEvents {
    pub(crate) fn new(reader: EventReader) -> Self {
        Self {
            reader,
            last_id: None,
            pause: PAUSE,
            tries: 0,
            reopening: None,
        }
    }

    /// A standing stream may be silent for as long as it likes.
    pub(crate) fn without_idle_timeout(mut self) -> Self {
        self.reader = self.reader.without_idle_timeout();
        self
    }

    /// The next message; `None` at the end for good. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self, call: &OpenCall) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            if let Some(reopening) = &mut self.reopening {
                let reopened = reopening.await;
                self.reopening = None;
                match reopened {
                    Ok(Some(reader)) => self.reader = reader,
                    Ok(None) => return Ok(None),
                    Err(error) if self.reopen(call) => {
                        tracing::debug!(instance = %call.upstream.instance, %error, "resuming");
                        continue;
                    }
                    Err(error) => return Err(error),
                }
            }
            match self.reader.next().await {
                Ok(Some(message)) => {
                    self.tries = 0;
                    return Ok(Some(message));
                }
                Ok(None) | Err(UpstreamError::Broken) if self.reopen(call) => {}
                end => return end,
            }
        }
    }

    /// Begins to open the stream again, if that can be.
    fn reopen(&mut self, call: &OpenCall) -> bool {
        if let Some(id) = self.reader.last_id() {
            self.last_id = Some(id.to_owned());
        }
        if let Some(pause) = self.reader.retry() {
            self.pause = pause.min(LONGEST_PAUSE);
        }
        let Some(last_id) = self.last_id.clone() else {
            return false;
        };
        if call.live.era != Era::Session || self.tries >= MOST_TRIES {
            return false;
        }
        self.tries += 1;
        let (core, client, live) = (call.core.clone(), call.client.clone(), call.live.clone());
        let pause = self.pause;
        self.reopening = Some(Box::pin(async move {
            tokio::time::sleep(pause).await;
            exchange::get(&core, &client, &live, Some(&last_id)).await
        }));
        true
    }
}
