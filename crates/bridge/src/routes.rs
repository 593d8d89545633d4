//! Who gets which message of a server: the state and the decisions, without I/O. `mailboxes` is what waits
//! for clients outside of requests, `ids` whose id is whose.

mod ids;
mod mailboxes;

use std::collections::BTreeMap;

use agentopia_mcp::{Envelope, Field, Id, Json, Kind, RpcError, Splice, jsonrpc, method};
use bytes::Bytes;
use tokio::sync::mpsc;

use ids::{in_form_of, number_of};
use mailboxes::Mailbox;

pub(crate) use ids::line;

/// Whom a process serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One client: the server's own requests and notifications are for it.
    Exclusive,
    /// Several: the server's own requests can be for nobody in particular and are refused.
    Shared,
}

/// A message for the client of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// More will come.
    Message(Bytes),
    /// The answer.
    Last(Bytes),
    /// The server certainly did not get the request; its session is over.
    Undelivered,
}

/// What is to be done with a message of the process.
#[derive(Debug)]
pub(crate) enum Routed {
    /// Give it to the client of a request (whose number is given for when it does not take it).
    Deliver {
        to: mpsc::Sender<Delivery>,
        request: u64,
        delivery: Delivery,
    },
    /// Give it to clients that listen.
    Publish(Vec<(u64, mpsc::Sender<Bytes>, Bytes)>),
    /// Write it back to the process.
    Reply(Bytes),
    /// It was kept for later.
    Kept,
    /// Nobody waits for it.
    Dropped,
}

/// A request that was not answered yet.
#[derive(Debug)]
struct Pending {
    client: u64,
    /// The id that the client gave it.
    id: Id,
    /// The progress token that the client gave it.
    token: Option<Id>,
    /// A stream of changes, not a call: unrelated messages are not for it.
    is_listen: bool,
    to: mpsc::Sender<Delivery>,
}

/// The routing state of one process.
#[derive(Debug)]
pub(crate) struct Routes {
    mode: Mode,
    last: u64,
    pending: BTreeMap<u64, Pending>,
    mailboxes: BTreeMap<u64, Mailbox>,
}

impl Routes {
    pub(crate) fn new(mode: Mode) -> Self {
        Self {
            mode,
            last: 0,
            pending: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
        }
    }

    /// Enters a request; gives its number on this hop and the line to write.
    pub(crate) fn begin(
        &mut self,
        client: u64,
        request: &Envelope<Bytes>,
        to: mpsc::Sender<Delivery>,
    ) -> (u64, Bytes) {
        self.last += 1;
        let number = self.last;
        let hop_id = Id::from(number);
        let token = request.id_in(Field::MetaProgressToken);
        let mut splice = Splice::new(request).id(&hop_id);
        if token.is_some() {
            splice = splice.set(Field::MetaProgressToken, &hop_id);
        }
        let line = line(splice.finish());
        let pending = Pending {
            client,
            // A request always has one.
            id: request.id().unwrap_or_else(|| Id::from(0)),
            token,
            is_listen: request.method() == method::LISTEN,
            to,
        };
        self.pending.insert(number, pending);
        (number, line)
    }

    /// A request that needs no answer any more. Whether it was still open.
    pub(crate) fn end(&mut self, number: u64) -> bool {
        self.pending.remove(&number).is_some()
    }

    /// Takes a request out that gets no answer of the server: whose it is, to tell them so.
    pub(crate) fn take(&mut self, number: u64) -> Option<(Id, mpsc::Sender<Delivery>)> {
        let pending = self.pending.remove(&number)?;
        Some((pending.id, pending.to))
    }

    /// A notification or response of a client, as a line; `None` if it is about nothing we know.
    pub(crate) fn forward(&mut self, client: u64, message: &Envelope<Bytes>) -> Option<Bytes> {
        match message.kind() {
            Kind::Notification if message.method() == method::CANCELLED => {
                let theirs = message.id_in(Field::ParamsRequestId)?;
                let number = self
                    .pending
                    .iter()
                    .find(|(_, pending)| pending.client == client && pending.id == theirs)
                    .map(|(number, _)| *number)?;
                // Whoever cancels wants no answer: its stream ends here.
                self.pending.remove(&number);
                let hop_id = Id::from(number);
                Some(line(
                    Splice::new(message)
                        .set(Field::ParamsRequestId, &hop_id)
                        .finish(),
                ))
            }
            // One process is initialised once, by us.
            Kind::Notification
                if self.mode == Mode::Shared && message.method() == method::INITIALIZED =>
            {
                None
            }
            Kind::Response | Kind::ErrorResponse if self.mode == Mode::Shared => None,
            _ => Some(line(message.bytes().to_vec())),
        }
    }

    /// Forgets a client and what waits for it; gives its open requests, which are to be cancelled.
    pub(crate) fn leave(&mut self, client: u64) -> Vec<u64> {
        self.mailboxes.remove(&client);
        let open: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.client == client)
            .map(|(number, _)| *number)
            .collect();
        for number in &open {
            self.pending.remove(number);
        }
        open
    }

    /// Whether somebody waits for an answer or listens.
    pub(crate) fn is_busy(&self) -> bool {
        !self.pending.is_empty()
            || self.mailboxes.values().any(|mailbox| {
                mailbox
                    .stream
                    .as_ref()
                    .is_some_and(|stream| !stream.is_closed())
            })
    }

    /// Takes everything that waits, as the process is gone: the requests, to be answered with an
    /// error. Streams end.
    pub(crate) fn drain(&mut self) -> Vec<(Id, mpsc::Sender<Delivery>)> {
        self.mailboxes.clear();
        std::mem::take(&mut self.pending)
            .into_values()
            .map(|pending| (pending.id, pending.to))
            .collect()
    }

    /// Decides about a message of the process.
    pub(crate) fn route(&mut self, message: Envelope<Bytes>) -> Routed {
        match message.kind() {
            Kind::Response | Kind::ErrorResponse => self.answer(&message),
            Kind::Request => self.own_request(message),
            Kind::Notification => self.notification(message),
        }
    }

    fn answer(&mut self, message: &Envelope<Bytes>) -> Routed {
        let number = match message.id() {
            Some(id) => number_of(&id),
            // It could not read an id; with one request open there is no doubt which it was.
            None if self.pending.len() == 1 => self.pending.keys().next().copied(),
            None => None,
        };
        let Some((number, pending)) = number.and_then(|number| self.pending.remove_entry(&number))
        else {
            return Routed::Dropped;
        };
        let subscription = message.id_in(Field::ResultMetaSubscriptionId);
        let restored = subscription
            .filter(|id| number_of(id) == Some(number))
            .map(|id| in_form_of(&id, &pending.id));
        let mut splice = Splice::new(message).id(&pending.id);
        if let Some(restored) = &restored {
            splice = splice.set(Field::ResultMetaSubscriptionId, restored);
        }
        let delivery = Delivery::Last(splice.finish().into());
        Routed::Deliver {
            to: pending.to,
            request: number,
            delivery,
        }
    }

    fn notification(&mut self, message: Envelope<Bytes>) -> Routed {
        if message.method() == method::PROGRESS {
            let number = message
                .id_in(Field::ParamsProgressToken)
                .and_then(|id| number_of(&id));
            let found = number.and_then(|number| Some((number, self.pending.get(&number)?)));
            let Some((number, pending, token)) = found
                .and_then(|(number, pending)| Some((number, pending, pending.token.as_ref()?)))
            else {
                return Routed::Dropped;
            };
            let text = Splice::new(&message)
                .set(Field::ParamsProgressToken, token)
                .finish();
            return deliver(number, pending, text.into());
        }
        if let Some(subscription) = message.id_in(Field::MetaSubscriptionId) {
            let number = number_of(&subscription);
            let Some((number, pending)) =
                number.and_then(|number| Some((number, self.pending.get(&number)?)))
            else {
                return Routed::Dropped;
            };
            let restored = in_form_of(&subscription, &pending.id);
            let text = Splice::new(&message)
                .set(Field::MetaSubscriptionId, &restored)
                .finish();
            return deliver(number, pending, text.into());
        }
        if matches!(
            &*message.method(),
            method::TOOLS_CHANGED
                | method::RESOURCES_CHANGED
                | method::PROMPTS_CHANGED
                | method::RESOURCE_UPDATED
        ) {
            return self.publish(&message.into_inner());
        }
        self.related(message.into_inner())
    }

    fn own_request(&mut self, message: Envelope<Bytes>) -> Routed {
        let Some(id) = message.id() else {
            return Routed::Dropped;
        };
        let method = message.method();
        // A ping asks about the peer on this hop, which is us.
        if method == method::PING {
            let empty = jsonrpc::ObjectWriter::new().finish();
            return Routed::Reply(line(jsonrpc::response(&id, &Json::borrowed(&empty))));
        }
        if self.mode == Mode::Shared {
            let refusal = RpcError::method_not_found(&method).to_message(Some(&id));
            return Routed::Reply(line(refusal));
        }
        self.related(message.into_inner())
    }

    /// Something that most likely belongs to a request (a question during a call, a log message),
    /// which stdio does not tell: the only one that is open, else the client's own stream, else
    /// the newest request.
    fn related(&mut self, message: Bytes) -> Routed {
        let calls = self
            .pending
            .iter()
            .filter(|(_, pending)| !pending.is_listen);
        let (count, newest) = calls.fold((0, None), |(count, _), newest| (count + 1, Some(newest)));
        let Some((number, pending)) = newest else {
            return self.publish(&message);
        };
        let streams = self.mode == Mode::Exclusive
            && self
                .mailboxes
                .values()
                .any(|mailbox| mailbox.stream.is_some());
        if count > 1 && streams {
            return self.publish(&message);
        }
        deliver(*number, pending, message)
    }
}

fn deliver(request: u64, pending: &Pending, message: Bytes) -> Routed {
    Routed::Deliver {
        to: pending.to.clone(),
        request,
        delivery: Delivery::Message(message),
    }
}

#[cfg(test)]
#[path = "routes_tests.rs"]
mod tests;
