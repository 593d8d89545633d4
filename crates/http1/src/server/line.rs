//! What a connection is made of, and how long its client may take.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};

use super::Error;
use crate::inbox::Inbox;
use crate::outbox::Outbox;

/// So much of what a client sends while it is answered is kept for later, bytes; then it has to wait.
const MOST_AHEAD: usize = 16 << 10;
/// After an answer to a request that was not read to its end: so much more is read over, so that the client gets to
/// read the answer. Closing at once would reset the connection, and the answer be lost with it.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 << 20;

/// A connection. Whoever reads a request's body holds it too, if the body was not there with the head.
pub(super) type Shared<I> = Arc<LineLock<I>>;

#[derive(Debug)]
pub(super) struct LineLock<I>(Mutex<Line<I>>);

impl<I> LineLock<I> {
    pub(super) fn lock(&self) -> parking_lot::MutexGuard<'_, Line<I>> {
        self.0.lock()
    }
}

#[derive(Debug)]
pub(super) struct Line<I> {
    pub(super) io: I,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    /// A request's body is still to be read, by whoever has it.
    pub(super) is_reading: bool,
}

impl<I> Line<I> {
    pub(super) fn shared(io: I) -> Shared<I> {
        Arc::new(LineLock(Mutex::new(Self {
            io,
            inbox: Inbox::new(),
            outbox: Outbox::default(),
            is_reading: false,
        })))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> Line<I> {
    /// Ready when the client has closed its end. What it sends ahead is kept, up to a limit.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        while !self.is_reading && self.inbox.bytes.len() < MOST_AHEAD {
            match ready!(self.inbox.poll_fill(&mut self.io, 0, cx)) {
                Ok(0) => return Poll::Ready(Error::Gone),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Error::Io(error)),
            }
        }
        Poll::Pending
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.outbox.poll_flush(&mut self.io, cx)
    }
}

/// Closes a connection whose client may still be sending.
pub(super) async fn linger<I: AsyncRead + AsyncWrite + Unpin>(
    line: &LineLock<I>,
) -> Result<(), Error> {
    poll_fn(|cx| Pin::new(&mut line.lock().io).poll_shutdown(cx)).await?;
    if !line.lock().is_reading {
        return Ok(());
    }
    let mut left = LINGER_BYTES;
    let reading = poll_fn(|cx| {
        let line = &mut *line.lock();
        while left > 0 {
            line.inbox.bytes.clear();
            match ready!(line.inbox.poll_fill(&mut line.io, left as u64, cx)) {
                Ok(0) | Err(_) => break,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
        Poll::Ready(())
    });
    let _slow = tokio::time::timeout(LINGER, reading).await;
    Ok(())
}

/// A deadline that is moved with every request. The timer is not: it is looked at when it goes off, which
/// costs a request nothing.
#[derive(Debug)]
pub(super) struct Patience {
    until: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    pub(super) fn new() -> Self {
        Self {
            until: Instant::now(),
            timer: None,
        }
    }

    pub(super) fn begin(&mut self, patience: Duration) {
        self.until = Instant::now() + patience;
        // One that would go off too late is of no use.
        if let Some(timer) = &mut self.timer
            && timer.deadline() > self.until
        {
            timer.as_mut().reset(self.until);
        }
    }

    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.until;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        loop {
            ready!(timer.as_mut().poll(cx));
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            timer.as_mut().reset(until);
        }
    }
}
