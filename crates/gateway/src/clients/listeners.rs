//! Modern clients' standing streams (`subscriptions/listen`): what each wants to hear, and how it
//! gets there with the right subscription id (rule 18).

use std::collections::BTreeSet;

use agentopia_mcp::{Envelope, Field, Id, Json, Limits, ListKind, ObjectWriter, Splice, jsonrpc};
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::upstream::changed_method;

/// Messages that may wait for a listener that does not read.
const BACKLOG: usize = 64;

/// What a listener asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) tools: bool,
    pub(crate) prompts: bool,
    pub(crate) resources: bool,
    pub(crate) uris: BTreeSet<String>,
}

impl Filter {
    /// Reads `params.notifications`.
    pub(crate) fn read(notifications: &Json<'_>) -> Self {
        let wants = |key| {
            notifications
                .get(key)
                .is_some_and(|v| v.as_bytes() == b"true")
        };
        Self {
            tools: wants("toolsListChanged"),
            prompts: wants("promptsListChanged"),
            resources: wants("resourcesListChanged"),
            uris: notifications
                .get("resourceSubscriptions")
                .map(|uris| {
                    uris.elements()
                        .filter_map(|u| Some(u.text()?.into_owned()))
                        .collect()
                })
                .unwrap_or_default(),
        }
    }

    /// As it stands in an acknowledgement or a request.
    pub(crate) fn to_json(&self) -> Json<'static> {
        let mut out = ObjectWriter::new();
        for (key, on) in [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ] {
            if on {
                out.raw(key, true);
            }
        }
        if !self.uris.is_empty() {
            // A set of strings is always JSON.
            if let Ok(uris) = Json::of(&self.uris) {
                out.raw("resourceSubscriptions", uris);
            }
        }
        out.finish()
    }

    fn wants(&self, kind: ListKind) -> bool {
        match kind {
            ListKind::Tools => self.tools,
            ListKind::Prompts => self.prompts,
            ListKind::Resources | ListKind::ResourceTemplates => self.resources,
        }
    }
}

#[derive(Debug)]
struct Listener {
    number: u64,
    id: Id,
    filter: Filter,
    sender: mpsc::Sender<Bytes>,
}

/// The listeners of one client.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    state: Mutex<(u64, Vec<Listener>)>,
}

impl Listeners {
    /// Starts one; ends with [`Self::remove`] or when all is dropped. `None` when `most` are there.
    pub(crate) fn add(
        &self,
        id: Id,
        filter: Filter,
        most: usize,
    ) -> Option<(u64, mpsc::Receiver<Bytes>)> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let mut state = self.state.lock();
        if state.1.len() >= most {
            return None;
        }
        state.0 += 1;
        let number = state.0;
        state.1.push(Listener {
            number,
            id,
            filter,
            sender,
        });
        Some((number, receiver))
    }

    pub(crate) fn remove(&self, number: u64) {
        self.state.lock().1.retain(|l| l.number != number);
    }

    /// Ends all of them: their streams see the channel close.
    pub(crate) fn clear(&self) {
        self.state.lock().1.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state.lock().1.is_empty()
    }

    /// A list changed.
    pub(crate) fn changed(&self, kind: ListKind) {
        for listener in &self.state.lock().1 {
            if listener.filter.wants(kind) {
                let mut meta = ObjectWriter::new();
                meta.raw(agentopia_mcp::meta_key::SUBSCRIPTION_ID, &listener.id);
                let mut params = ObjectWriter::new();
                params.raw("_meta", meta.finish());
                let params = params.finish();
                let message = jsonrpc::notification(changed_method(kind), Some(&params));
                // A listener with a full backlog has heard that much already.
                let _full = listener.sender.try_send(message.into());
            }
        }
    }

    /// `notifications/resources/updated` from an upstream, as it came.
    pub(crate) fn updated(&self, uri: &str, raw: &[u8]) {
        for listener in &self.state.lock().1 {
            if listener.filter.uris.contains(uri)
                && let Ok(message) = Envelope::scan(raw, &Limits::default())
            {
                let message = Splice::new(&message)
                    .set(Field::MetaSubscriptionId, &listener.id)
                    .finish();
                let _full = listener.sender.try_send(message.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_hears_what_it_asked_for_under_its_own_id() {
        let listeners = Listeners::default();
        let filter = |text: &str| Filter::read(&Json::parse(text.as_bytes()).unwrap());
        let all = filter(r#"{"toolsListChanged":true,"resourceSubscriptions":["a:1"],"x":1}"#);
        assert_eq!(
            all.to_json().as_bytes(),
            br#"{"toolsListChanged":true,"resourceSubscriptions":["a:1"]}"#
        );
        let (_, mut one) = listeners.add(Id::from("s1"), all, 2).unwrap();
        let (number, mut two) = listeners
            .add(Id::from(7), filter(r#"{"toolsListChanged":false}"#), 2)
            .unwrap();
        assert!(listeners.add(Id::from(8), Filter::default(), 2).is_none());
        listeners.changed(ListKind::Prompts);
        listeners.changed(ListKind::Tools);
        let update = br#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:1","n":1e400}}"#;
        listeners.updated("a:1", update);
        listeners.updated("a:2", update);
        assert_eq!(
            one.recv().await.unwrap(),
            r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":"s1"}}}"#
        );
        assert_eq!(
            one.recv().await.unwrap(),
            r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a:1","n":1e400,"_meta":{"io.modelcontextprotocol/subscriptionId":"s1"}}}"#
        );
        assert!(one.try_recv().is_err());
        listeners.remove(number);
        assert_eq!(two.recv().await, None);
    }
}
