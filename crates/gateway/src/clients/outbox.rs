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
    /// What was sent last, with its number: the newest at the end. A connection can break with it.
    sent: VecDeque<(u64, Bytes)>,
    last_sent: u64,
    reader: u64,
    open: bool,
}

/// A stream that reads an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reader(u64);

/// So many messages that were sent are kept.
const KEPT: usize = 64;

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

    /// Starts a stream; the one before ends. It begins after the message with the number `after`, as
    /// far as that is still kept, or with the first that was not sent yet.
    pub(crate) fn attach(&self, after: Option<u64>) -> Reader {
        let reader = {
            let mut state = self.state.lock();
            state.reader += 1;
            state.open = true;
            while let Some((number, message)) = state.sent.pop_back() {
                if after.is_none_or(|after| number <= after) {
                    state.sent.push_back((number, message));
                    break;
                }
                state.last_sent = number - 1;
                state.waiting.push_front(message);
            }
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

    /// The number of the message that was sent last; 0 before the first.
    pub(crate) fn last_sent(&self) -> u64 {
        self.state.lock().last_sent
    }

    /// The next message and its number; `None` when another stream took over. Nothing is lost when
    /// the future is dropped.
    pub(crate) async fn next(&self, reader: Reader) -> Option<(u64, Bytes)> {
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
                    state.last_sent += 1;
                    let sent = (state.last_sent, message);
                    if state.sent.len() == KEPT {
                        state.sent.pop_front();
                    }
                    state.sent.push_back(sent.clone());
                    return Some(sent);
                }
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn next(outbox: &Outbox, reader: Reader) -> (u64, String) {
        let (number, message) = outbox.next(reader).await.unwrap();
        (number, String::from_utf8(message.to_vec()).unwrap())
    }

    fn said(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[tokio::test]
    async fn what_a_broken_connection_swallowed_is_sent_again() {
        let outbox = Outbox::default();
        for text in ["a", "b", "c"] {
            outbox.push(said(text), 9);
        }
        let first = outbox.attach(None);
        for wanted in [(1, "a"), (2, "b"), (3, "c")] {
            let (number, text) = next(&outbox, first).await;
            assert_eq!((number, &*text), wanted);
        }
        outbox.push(said("d"), 9);
        let second = outbox.attach(Some(1));
        for wanted in [(2, "b"), (3, "c"), (4, "d")] {
            let (number, text) = next(&outbox, second).await;
            assert_eq!((number, &*text), wanted);
        }
        let third = outbox.attach(None);
        outbox.push(said("e"), 9);
        assert_eq!(next(&outbox, third).await, (5, "e".into()));
    }

    #[tokio::test]
    async fn what_was_sent_is_not_kept_without_end() {
        let outbox = Outbox::default();
        let reader = outbox.attach(None);
        let last = KEPT as u64 + 5;
        for n in 1..=last {
            outbox.push(n.to_string().into(), 9);
            next(&outbox, reader).await;
        }
        let again = outbox.attach(Some(0));
        assert_eq!(next(&outbox, again).await, (6, "6".into()));
    }

    #[tokio::test]
    async fn the_oldest_go_first_and_the_same_is_said_once() {
        let outbox = Outbox::default();
        for text in ["a", "b", "b", "c", "d"] {
            outbox.push(Bytes::from_static(text.as_bytes()), 3);
        }
        let reader = outbox.attach(None);
        for wanted in [(1, "b"), (2, "c"), (3, "d")] {
            let (number, text) = next(&outbox, reader).await;
            assert_eq!((number, &*text), wanted);
        }
        assert!(outbox.is_open());
        outbox.detach(reader);
        assert!(!outbox.is_open());
    }

    #[tokio::test]
    async fn a_new_stream_takes_over() {
        let outbox = std::sync::Arc::new(Outbox::default());
        let first = outbox.attach(None);
        let waiting = tokio::spawn({
            let outbox = outbox.clone();
            async move { outbox.next(first).await }
        });
        tokio::task::yield_now().await;
        let second = outbox.attach(None);
        assert_eq!(waiting.await.unwrap(), None);
        outbox.push(Bytes::from_static(b"x"), 3);
        assert_eq!(next(&outbox, second).await, (1, "x".into()));
        outbox.detach(first);
        assert!(
            outbox.is_open(),
            "the old stream's end says nothing about the new one"
        );
    }
}
