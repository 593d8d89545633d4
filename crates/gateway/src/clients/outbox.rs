//! Messages for a session-era client that belong to none of its requests: they wait here until its
//! GET stream takes them.
//!
//! Bounded: when nobody reads, the oldest go. One stream reads at a time; a new one takes over, as
//! a client that reconnects does so before we notice that the old connection is dead.

use std::collections::VecDeque;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Bytes>,
    reader: u64,
    open: bool,
}

/// A stream that reads an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reader(u64);

impl Outbox {
    /// Adds a message, unless the same one waits already (list_changed twice says nothing more).
    pub(crate) fn push(&self, message: Bytes, capacity: usize) {
        {
            let mut state = self.state.lock();
            if state.waiting.contains(&message) {
                return;
            }
            if state.waiting.len() >= capacity.max(1) {
                state.waiting.pop_front();
            }
            state.waiting.push_back(message);
        }
        self.news.notify_waiters();
    }

    /// Starts a stream; the one before ends.
    pub(crate) fn attach(&self) -> Reader {
        let reader = {
            let mut state = self.state.lock();
            state.reader += 1;
            state.open = true;
            Reader(state.reader)
        };
        self.news.notify_waiters();
        reader
    }

    /// The stream is gone.
    pub(crate) fn detach(&self, reader: Reader) {
        let mut state = self.state.lock();
        if state.reader == reader.0 {
            state.open = false;
        }
    }

    /// Whether a stream reads.
    pub(crate) fn is_open(&self) -> bool {
        self.state.lock().open
    }

    /// The next message; `None` when another stream took over. Nothing is lost when the future is
    /// dropped.
    pub(crate) async fn next(&self, reader: Reader) -> Option<Bytes> {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // Registered before looking, so that what comes in between wakes us.
            news.as_mut().enable();
            {
                let mut state = self.state.lock();
                if state.reader != reader.0 {
                    return None;
                }
                if let Some(message) = state.waiting.pop_front() {
                    return Some(message);
                }
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_oldest_go_first_and_the_same_is_said_once() {
        let outbox = Outbox::default();
        for text in ["a", "b", "b", "c", "d"] {
            outbox.push(Bytes::from_static(text.as_bytes()), 3);
        }
        let reader = outbox.attach();
        assert_eq!(outbox.next(reader).await.unwrap(), "b");
        assert_eq!(outbox.next(reader).await.unwrap(), "c");
        assert_eq!(outbox.next(reader).await.unwrap(), "d");
        assert!(outbox.is_open());
        outbox.detach(reader);
        assert!(!outbox.is_open());
    }

    #[tokio::test]
    async fn a_new_stream_takes_over() {
        let outbox = std::sync::Arc::new(Outbox::default());
        let first = outbox.attach();
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.next(first).await }
        });
        tokio::task::yield_now().await;
        let second = outbox.attach();
        assert_eq!(waiting.await.unwrap(), None);
        outbox.push(Bytes::from_static(b"x"), 3);
        assert_eq!(outbox.next(second).await.unwrap(), "x");
        outbox.detach(first);
        assert!(
            outbox.is_open(),
            "the old stream's end says nothing about the new one"
        );
    }
}
