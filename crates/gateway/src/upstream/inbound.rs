//! What is done with each message that a server sends, on whatever stream it comes.
//!
//! Ids and progress tokens are the server's own numbers and mean nothing to the client: each is
//! replaced by what the client knows, or by a number of ours under which its answer finds back
//! (rule 9). Everything else of the message stays as it is.

use std::sync::Arc;

use agentopia_mcp::{
    Envelope, Era, ErrorCode, Field, Id, Kind, ListKind, RpcError, Splice, jsonrpc, method,
};
use bytes::Bytes;

use super::call::{OpenCall, tell};
use super::{Live, Upstream};
use crate::clients::{Asked, AskedBy, Client, empty_object};
use crate::core::Core;

/// Where a message came in.
pub(crate) struct Place<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) client: &'a Arc<Client>,
    pub(crate) upstream: &'a Arc<Upstream>,
    pub(crate) live: &'a Arc<Live>,
    /// On the stream of this call: our number and the client's id.
    pub(crate) call: Option<(u64, Option<&'a Id>)>,
    /// Whether the client takes log messages here.
    pub(crate) wants_log: bool,
    /// Whether a question to a modern client can be dealt with here.
    pub(crate) takes_questions: bool,
}

impl<'a> Place<'a> {
    pub(crate) fn of(call: &'a OpenCall) -> Self {
        Self {
            core: &call.core,
            client: &call.client,
            upstream: &call.upstream,
            live: &call.live,
            call: Some((call.number, None)),
            wants_log: call.client.hello.era == Era::Session,
            takes_questions: false,
        }
    }
}

/// What to do with a message.
pub(crate) enum Inbound {
    /// The answer to one of our requests.
    Response(Box<Envelope>),
    /// For the client, with ids and tokens that it knows.
    Forward(Bytes),
    /// A question for a modern client, which it can answer.
    Question(Box<Envelope>),
    /// Dealt with, or not worth anything.
    Handled,
}

/// Takes one message of the server.
pub(crate) fn take(place: &Place<'_>, raw: Bytes) -> Inbound {
    let message = match Envelope::scan(raw, &place.core.upstream_limits()) {
        Ok(message) => message,
        Err(error) => {
            tracing::debug!(instance = %place.upstream.instance, %error, "upstream message");
            return Inbound::Handled;
        }
    };
    match message.kind() {
        Kind::Response | Kind::ErrorResponse => Inbound::Response(Box::new(message)),
        Kind::Request if is_question(place, &message) => Inbound::Question(Box::new(message)),
        Kind::Request => request(place, &message),
        Kind::Notification => notification(place, message),
    }
}

fn is_question(place: &Place<'_>, message: &Envelope) -> bool {
    place.takes_questions && message.id().is_some() && place.client.can_answer(&message.method())
}

/// A server asks its client something: elicitation, sampling, roots, ping.
fn request(place: &Place<'_>, message: &Envelope) -> Inbound {
    let Some(id) = message.id() else {
        return Inbound::Handled;
    };
    let asked_by = message.method();
    if asked_by == method::PING {
        let pong = jsonrpc::response(&id, &empty_object());
        tell(place.core, place.client, place.live, pong.into());
        return Inbound::Handled;
    }
    let refuse = |sentence: String| {
        let error = RpcError::new(ErrorCode::METHOD_NOT_FOUND, sentence);
        tell(
            place.core,
            place.client,
            place.live,
            error.to_message(Some(&id)).into(),
        );
        Inbound::Handled
    };
    if place.client.hello.era == Era::Modern || place.live.era == Era::Modern {
        // What it may ask was not declared to it (see handshake); it asks all the same.
        return refuse(format!(
            "the client can't be asked {asked_by:?} through this gateway"
        ));
    }
    let progress = message.id_in(Field::MetaProgressToken);
    let has_progress = progress.is_some();
    let asked = Asked {
        instance: place.upstream.instance,
        by: AskedBy::Message {
            upstream: place.upstream.clone(),
            id: id.clone(),
            progress,
        },
    };
    let Some(number) = place.client.ask(asked) else {
        return refuse("the client has too many questions open".to_owned());
    };
    let number = Id::from(number);
    let mut out = Splice::new(message).id(&number);
    if has_progress {
        out = out.set(Field::MetaProgressToken, &number);
    }
    Inbound::Forward(out.finish().into())
}

fn notification(place: &Place<'_>, message: Envelope) -> Inbound {
    let name = message.method().into_owned();
    if let (Some(number), Some((ours, Some(_)))) = (
        message
            .id_in(Field::MetaSubscriptionId)
            .and_then(|id| id.as_u64()),
        place.call,
    ) && number == ours
    {
        // Of a listen request of the client that passes through: it goes back on its stream.
        if let Some(kind) = changed_list(&name) {
            place.live.forget_list(kind);
        }
        return Inbound::Forward(with_subscription_id(place, message));
    }
    if let Some(kind) = changed_list(&name) {
        return changed(place, kind);
    }
    match name.as_str() {
        method::PROGRESS => progress(place, &message),
        method::RESOURCE_UPDATED => updated(place, &message),
        method::CANCELLED => cancelled(place, &message),
        method::MESSAGE if !place.wants_log => Inbound::Handled,
        // The end of the handshake of a listen stream of ours.
        method::LISTEN_ACKNOWLEDGED if place.call.is_none() => Inbound::Handled,
        _ => Inbound::Forward(message.into_inner()),
    }
}

/// The list that a notification is about.
fn changed_list(name: &str) -> Option<ListKind> {
    match name {
        method::TOOLS_CHANGED => Some(ListKind::Tools),
        method::PROMPTS_CHANGED => Some(ListKind::Prompts),
        method::RESOURCES_CHANGED => Some(ListKind::Resources),
        _ => None,
    }
}

fn progress(place: &Place<'_>, message: &Envelope) -> Inbound {
    let number = message
        .id_in(Field::ParamsProgressToken)
        .and_then(|token| token.as_u64());
    let known = number.and_then(|number| place.upstream.progress.lock().get(&number).cloned());
    match known {
        Some(token) => Inbound::Forward(
            Splice::new(message)
                .set(Field::ParamsProgressToken, &token)
                .finish()
                .into(),
        ),
        None => Inbound::Handled,
    }
}

/// A list changed: the kept one is worth nothing, and the client hears of it on its stream.
fn changed(place: &Place<'_>, kind: ListKind) -> Inbound {
    place.live.forget_list(kind);
    place.client.changed(kind);
    Inbound::Handled
}

fn updated(place: &Place<'_>, message: &Envelope) -> Inbound {
    match place.client.hello.era {
        Era::Session => {
            let raw = Splice::new(message)
                .remove(Field::MetaSubscriptionId)
                .finish();
            place.client.push(raw.into());
        }
        Era::Modern => {
            if let Some(uri) = message.text(Field::ParamsUri) {
                place.client.listeners.updated(&uri, message.bytes());
            }
        }
    }
    Inbound::Handled
}

/// The server takes a question back.
fn cancelled(place: &Place<'_>, message: &Envelope) -> Inbound {
    let Some(id) = message.id_in(Field::ParamsRequestId) else {
        return Inbound::Handled;
    };
    let number = {
        let mut asked = place.client.asked.lock();
        let found = asked
            .iter()
            .find(|(_, asked)| {
                let is_it = |asked: &AskedBy| matches!(asked, AskedBy::Message { id: theirs, .. } if *theirs == id);
                asked.instance == place.upstream.instance && is_it(&asked.by)
            })
            .map(|(number, _)| *number);
        if let Some(number) = found {
            asked.remove(&number);
        }
        found
    };
    match number {
        Some(number) => Inbound::Forward(
            Splice::new(message)
                .set(Field::ParamsRequestId, number)
                .finish()
                .into(),
        ),
        None => Inbound::Handled,
    }
}

/// Messages of a listen request carry its id: ours becomes the client's.
fn with_subscription_id(place: &Place<'_>, message: Envelope) -> Bytes {
    match place.call {
        Some((_, Some(theirs))) => Splice::new(&message)
            .set(Field::MetaSubscriptionId, theirs)
            .finish()
            .into(),
        _ => message.into_inner(),
    }
}
