//! Answers that a session-era client can take up again (resumability of 2025-03-26 to 2025-11-25).
//!
//! Every event of such a stream has an id, and what was sent last is kept. A client whose connection
//! broke opens a GET stream with `Last-Event-ID` and gets what it missed, and then the rest. It has to be
//! quick while its call goes on: a client that is not back within a moment has gone away, and its server
//! is told (rule 15). What was answered is kept for longer.
//!
//! Ids are `STREAM-EVENT`; stream 0 is the session's own ([`crate::clients::outbox`]).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use agentopia_mcp::{ProtocolVersion, sse};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::stream::{Events, Piece};
use crate::clients::Client;
use crate::core::Core;
use crate::edge::answer;

/// How long a call goes on whose connection is gone: rule 15 wants its server told within a second.
const AWAY: Duration = Duration::from_millis(900);
/// What clients are asked to wait before they come back, milliseconds: twice fits into [`AWAY`].
const RETRY: u64 = 300;
/// How long the end of a stream is kept after it, seconds.
const KEPT: i64 = 60;
/// Bytes of messages that are kept of one stream, and of all that are over in a session.
const MOST_BYTES: usize = 256 << 10;
/// Streams that are over of a session.
const MOST_OVER: usize = 16;
/// Not over yet.
const RUNS: i64 = i64::MAX;

/// The streams of a session that can be taken up again.
#[derive(Default)]
pub(crate) struct Streams(Mutex<Listed>);

#[derive(Default)]
struct Listed {
    last: u64,
    /// The oldest first.
    streams: VecDeque<Arc<Resumable>>,
}

/// One of them.
pub(crate) struct Resumable {
    number: u64,
    /// The connection that reads is the newest.
    reader: watch::Sender<u64>,
    /// When it was over (seconds), or [`RUNS`].
    over_at: AtomicI64,
    sent: Mutex<Sent>,
    /// Held by the connection that reads. Gone when it is over.
    events: tokio::sync::Mutex<Option<Box<Events>>>,
}

/// What was sent last.
#[derive(Default)]
struct Sent {
    last: u64,
    bytes: usize,
    kept: VecDeque<(u64, Bytes)>,
}

impl Sent {
    fn push(&mut self, message: Bytes) -> (u64, Bytes) {
        self.last += 1;
        self.bytes += message.len();
        self.kept.push_back((self.last, message.clone()));
        while self.bytes > MOST_BYTES
            && let Some((_, oldest)) = self.kept.pop_front()
        {
            self.bytes -= oldest.len();
        }
        (self.last, message)
    }

    /// What came after the event with this number, if all of it is kept.
    fn after(&self, number: u64) -> Option<VecDeque<(u64, Bytes)>> {
        let count = self.last.checked_sub(number)?;
        let later = self.kept.iter().filter(|(kept, _)| *kept > number);
        let later: VecDeque<_> = later.cloned().collect();
        (later.len() as u64 == count).then_some(later)
    }
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.lock().streams.len();
        f.debug_tuple("Streams").field(&count).finish()
    }
}

impl Streams {
    /// The stream with this number, if it is still kept.
    pub(crate) fn find(&self, number: u64) -> Option<Arc<Resumable>> {
        let listed = self.0.lock();
        let mut all = listed.streams.iter();
        all.find(|stream| stream.number == number).cloned()
    }

    /// Forgets all: the session is over.
    pub(crate) fn clear(&self) {
        let gone = std::mem::take(&mut self.0.lock().streams);
        // What still runs ends with it, and no lock is held meanwhile.
        drop(gone);
    }

    /// Forgets the stream with this number.
    fn forget(&self, number: u64) {
        let mut listed = self.0.lock();
        listed.streams.retain(|stream| stream.number != number);
    }

    /// Forgets what was over long ago.
    pub(crate) fn expire(&self, now: i64) {
        let before = now.saturating_sub(KEPT);
        let mut listed = self.0.lock();
        listed.streams.retain(|stream| stream.over_at() > before);
    }

    fn add(&self, events: Events) -> Arc<Resumable> {
        let mut listed = self.0.lock();
        listed.last += 1;
        let stream = Arc::new(Resumable {
            number: listed.last,
            reader: watch::Sender::new(0),
            over_at: AtomicI64::new(RUNS),
            sent: Mutex::default(),
            events: tokio::sync::Mutex::new(Some(Box::new(events))),
        });
        listed.streams.push_back(stream.clone());
        stream
    }

    /// Forgets the oldest that are over and too many, or too long.
    fn make_room(&self) {
        let mut listed = self.0.lock();
        let over = |stream: &Arc<Resumable>| stream.over_at() != RUNS;
        loop {
            let (mut count, mut bytes) = (0, 0);
            for stream in listed.streams.iter().filter(|stream| over(stream)) {
                count += 1;
                bytes += stream.sent.lock().bytes;
            }
            if count <= MOST_OVER && bytes <= MOST_BYTES {
                return;
            }
            let Some(oldest) = listed.streams.iter().position(over) else {
                return;
            };
            listed.streams.remove(oldest);
        }
    }
}

impl Resumable {
    fn over_at(&self) -> i64 {
        self.over_at.load(Ordering::Relaxed)
    }

    /// What comes next, with its number; `Ok(None)` after a while of silence.
    ///
    /// # Errors
    /// At its end.
    async fn next(&self, core: &Core, client: &Client) -> Result<Option<(u64, Bytes)>, Over> {
        let mut reading = self.events.lock().await;
        let events = reading.as_mut().ok_or(Over)?;
        let piece = events.piece().await;
        let next = match &piece {
            Some(Piece::Message(message)) => {
                events.sent(message.len());
                Some(self.sent.lock().push(message.clone()))
            }
            Some(Piece::KeepAlive) | None => None,
        };
        let is_over = piece.is_none() || events.is_over();
        if is_over {
            self.finish(&mut reading, core, client);
        }
        match next {
            None if is_over => Err(Over),
            next => Ok(next),
        }
    }

    /// With the events goes the call, if it is not over.
    fn finish(&self, events: &mut Option<Box<Events>>, core: &Core, client: &Client) {
        *events = None;
        self.over_at.store(core.now_seconds(), Ordering::Relaxed);
        client.streams.make_room();
    }

    /// Makes a connection the one that reads; gives its number.
    fn take_over(&self) -> u64 {
        let mut number = 0;
        self.reader.send_modify(|reader| {
            *reader += 1;
            number = *reader;
        });
        number
    }
}

/// A stream is over.
struct Over;

/// Begins one.
pub(super) fn begin(events: Events) -> Response {
    let (core, client) = (events.core(), events.client());
    let stream = client.streams.add(events);
    let primed = client.hello.version >= ProtocolVersion::V2025_11_25;
    Connection {
        reader: stream.reader.subscribe(),
        number: 0,
        core,
        client,
        stream,
        missed: VecDeque::new(),
        primed,
    }
    .respond()
}

/// Takes one up again, after the event with this number. `None` if what came after it is not kept.
pub(crate) async fn resume(
    core: &Arc<Core>,
    client: &Arc<Client>,
    stream: Arc<Resumable>,
    after: u64,
) -> Option<Response> {
    // Nobody loses a stream to a request that can't be met.
    stream.sent.lock().after(after)?;
    let mut connection = Connection {
        number: stream.take_over(),
        reader: stream.reader.subscribe(),
        core: core.clone(),
        client: client.clone(),
        stream,
        missed: VecDeque::new(),
        primed: false,
    };
    // The connection before has let go when this is had, and sends no more.
    let events = connection.stream.events.lock().await;
    let missed = connection.stream.sent.lock().after(after);
    drop(events);
    connection.missed = missed?;
    Some(connection.respond())
}

/// One connection of a stream.
struct Connection {
    core: Arc<Core>,
    client: Arc<Client>,
    stream: Arc<Resumable>,
    reader: watch::Receiver<u64>,
    /// Which it is.
    number: u64,
    missed: VecDeque<(u64, Bytes)>,
    /// It begins with an id to come back with.
    primed: bool,
}

impl Connection {
    fn respond(self) -> Response {
        let chunks = futures::stream::unfold(self, |mut connection| async move {
            let chunk = connection.chunk().await?;
            Some((Ok::<_, Infallible>(chunk), connection))
        });
        answer::events(Body::from_stream(chunks))
    }

    async fn chunk(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        if std::mem::take(&mut self.primed) {
            sse::write_priming(&mut out, &event_id(self.stream.number, 0), Some(RETRY));
            return Some(out.into());
        }
        let next = match self.missed.pop_front() {
            Some(missed) => Some(missed),
            None => {
                let number = self.number;
                tokio::select! {
                    biased;
                    // Another connection reads.
                    _ = self.reader.wait_for(|reader| *reader != number) => return None,
                    next = self.stream.next(&self.core, &self.client) => next.ok()?,
                }
            }
        };
        match next {
            Some((number, message)) => {
                let id = event_id(self.stream.number, number);
                sse::write_message(&mut out, Some(&id), &message);
            }
            None => sse::write_keep_alive(&mut out),
        }
        Some(out.into())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let is_over = self.stream.over_at() != RUNS;
        if is_over || *self.stream.reader.borrow() != self.number {
            return;
        }
        let (core, client) = (self.core.clone(), self.client.clone());
        let stream = self.stream.clone();
        let (mut reader, number) = (self.stream.reader.subscribe(), self.number);
        let gone = self.client.ended.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = reader.wait_for(|reader| *reader != number) => return,
                () = tokio::time::sleep(AWAY) => {}
                () = gone.cancelled() => {}
            }
            // Whoever comes back just now waits for this, and finds it over.
            let mut events = stream.events.lock().await;
            if *stream.reader.borrow() == number && events.is_some() {
                client.streams.forget(stream.number);
                stream.finish(&mut events, &core, &client);
            }
        });
    }
}

/// The id of an event.
pub(crate) fn event_id(stream: u64, number: u64) -> String {
    format!("{stream}-{number}")
}

/// Stream and number of an event's id.
pub(crate) fn read_event_id(id: &str) -> Option<(u64, u64)> {
    let (stream, number) = id.split_once('-')?;
    Some((stream.parse().ok()?, number.parse().ok()?))
}
