//! What servers say of themselves and list, kept once for all who were told the same.
//!
//! Every client has sessions of its own with every server and is shown a list of its own, but nearly always
//! it is the very list that others were shown: a thousand sessions would keep a thousand copies of what may
//! be a hundred KiB. What is shared is only what is equal to the last byte, so that nobody sees more than their
//! own server told them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use agentopia_domain::InstanceId;
use agentopia_mcp::{Envelope, Era, ListItem, ListKind, ParamHeaders};
use dashmap::DashMap;

use super::greeting::Greeting;

/// The items of a list, and what was found out about them.
#[derive(Debug)]
pub(crate) struct Items {
    pub(crate) items: Vec<ListItem>,
    /// Of tools with arguments that are mirrored into headers, which.
    pub(crate) param_headers: HashMap<String, ParamHeaders>,
}

impl Items {
    fn new(kind: ListKind, mut items: Vec<ListItem>) -> Self {
        items.shrink_to_fit();
        let mut param_headers = HashMap::new();
        if kind == ListKind::Tools {
            for item in &items {
                let schema = item.get("inputSchema");
                let headers = schema
                    .map(|s| ParamHeaders::from_schema(&s))
                    .unwrap_or_default();
                if !headers.is_empty() {
                    param_headers.insert(item.key().to_owned(), headers);
                }
            }
        }
        Self {
            items,
            param_headers,
        }
    }
}

/// The last greeting of each server, and the last list of each kind that each told somebody, for as long as
/// somebody keeps it.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    greetings: DashMap<InstanceId, Weak<Greeting>>,
    lists: DashMap<(InstanceId, ListKind), Weak<Items>>,
}

impl Shelf {
    /// This greeting: the one that is there if it is the same.
    pub(crate) fn greeting(
        &self,
        instance: InstanceId,
        era: Era,
        said: Option<&Envelope>,
    ) -> Arc<Greeting> {
        let mut last = self.greetings.entry(instance).or_default();
        if let Some(same) = last.upgrade().filter(|last| last.is(era, said)) {
            return same;
        }
        let greeting = Arc::new(Greeting::new(era, said));
        *last = Arc::downgrade(&greeting);
        greeting
    }

    /// These items: those that are there if they are the same.
    pub(crate) fn place(
        &self,
        instance: InstanceId,
        kind: ListKind,
        items: Vec<ListItem>,
    ) -> Arc<Items> {
        let mut last = self.lists.entry((instance, kind)).or_default();
        if let Some(same) = last.upgrade().filter(|last| last.items == items) {
            return same;
        }
        let items = Arc::new(Items::new(kind, items));
        *last = Arc::downgrade(&items);
        items
    }

    /// Forgets a server.
    pub(crate) fn forget(&self, instance: InstanceId) {
        self.greetings.remove(&instance);
        self.lists.retain(|(of, _), _| *of != instance);
    }
}

#[cfg(test)]
mod tests {
    use agentopia_domain::Ambient;
    use agentopia_mcp::Json;

    use super::*;

    fn items(texts: &[&str]) -> Vec<ListItem> {
        let item =
            |text: &&str| ListItem::new(ListKind::Tools, &Json::parse(text.as_bytes()).unwrap());
        texts.iter().filter_map(item).collect()
    }

    #[test]
    fn only_what_is_equal_to_the_last_byte_is_shared() {
        let ambient = Ambient::system();
        let (one, two) = (ambient.new_id(), ambient.new_id());
        let shelf = Shelf::default();
        let tools = |instance, texts: &[&str]| shelf.place(instance, ListKind::Tools, items(texts));
        let first = tools(one, &[r#"{"name":"a"}"#]);
        assert!(Arc::ptr_eq(&first, &tools(one, &[r#"{"name":"a"}"#])));
        for other in [
            tools(one, &[r#"{"name": "a"}"#]),
            tools(one, &[r#"{"name":"a"}"#, r#"{"name":"b"}"#]),
            tools(two, &[r#"{"name":"a"}"#]),
            shelf.place(one, ListKind::Prompts, items(&[r#"{"name":"a"}"#])),
        ] {
            assert!(!Arc::ptr_eq(&first, &other));
        }
        // Nothing is kept that nobody keeps.
        let weak = Arc::downgrade(&first);
        drop(first);
        assert!(weak.upgrade().is_none());
        shelf.forget(one);
        assert_eq!(shelf.lists.len(), 1);
    }
}
