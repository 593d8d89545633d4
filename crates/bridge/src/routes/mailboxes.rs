//! What waits for clients outside of requests: their own streams, and what is kept until they open one.

use std::collections::VecDeque;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{Routed, Routes};

/// Messages that are kept for a client that does not listen: beyond either, the oldest go.
pub(super) const KEPT_MESSAGES: usize = 256;
const KEPT_BYTES: usize = 1 << 20;

/// What waits for one client.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    pub(super) stream: Option<mpsc::Sender<Bytes>>,
    kept: VecDeque<Bytes>,
    kept_bytes: usize,
}

impl Mailbox {
    fn keep(&mut self, message: Bytes) {
        self.kept_bytes += message.len();
        self.kept.push_back(message);
        while self.kept.len() > KEPT_MESSAGES || self.kept_bytes > KEPT_BYTES {
            let Some(oldest) = self.kept.pop_front() else {
                break;
            };
            self.kept_bytes -= oldest.len();
        }
    }
}

impl Routes {
    pub(crate) fn enter(&mut self, client: u64) {
        self.mailboxes.entry(client).or_default();
    }

    /// Opens a client's stream; `None` if it has one (whose reader has not gone away).
    pub(crate) fn listen(&mut self, client: u64, to: mpsc::Sender<Bytes>) -> Option<Vec<Bytes>> {
        let mailbox = self.mailboxes.entry(client).or_default();
        if mailbox
            .stream
            .as_ref()
            .is_some_and(|stream| !stream.is_closed())
        {
            return None;
        }
        mailbox.stream = Some(to);
        mailbox.kept_bytes = 0;
        Some(mailbox.kept.drain(..).collect())
    }

    pub(crate) fn stop_listening(&mut self, client: u64) {
        if let Some(mailbox) = self.mailboxes.get_mut(&client)
            && mailbox.stream.as_ref().is_some_and(mpsc::Sender::is_closed)
        {
            mailbox.stream = None;
        }
    }

    /// A client whose stream is not read: what comes is kept instead.
    pub(crate) fn drop_stream(&mut self, client: u64) {
        if let Some(mailbox) = self.mailboxes.get_mut(&client) {
            mailbox.stream = None;
        }
    }

    /// Something for every client: to those that listen; kept for the others.
    pub(super) fn publish(&mut self, message: &Bytes) -> Routed {
        if self.mailboxes.is_empty() {
            return Routed::Dropped;
        }
        let mut streams = Vec::new();
        for (client, mailbox) in &mut self.mailboxes {
            match &mailbox.stream {
                Some(stream) if !stream.is_closed() => {
                    streams.push((*client, stream.clone(), message.clone()));
                }
                _ => mailbox.keep(message.clone()),
            }
        }
        if streams.is_empty() {
            Routed::Kept
        } else {
            Routed::Publish(streams)
        }
    }
}
