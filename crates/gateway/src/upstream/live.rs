//! An open connection with a server: what the handshake brought.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use agentopia_mcp::{Era, ListItem, ListKind, ParamHeaders, ProtocolVersion};
use http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::greeting::Greeting;
use super::shelf::Items;
use crate::routes::InstanceRoute;

/// All pages of one list.
#[derive(Debug)]
pub(crate) struct Listed {
    shared: Arc<Items>,
    /// The smallest `ttlMs` of its pages.
    pub(crate) ttl_ms: Option<u64>,
    at: Instant,
}

impl Listed {
    pub(crate) fn new(shared: Arc<Items>, ttl_ms: Option<u64>) -> Self {
        Self {
            shared,
            ttl_ms,
            at: Instant::now(),
        }
    }

    /// The items as they are shared; the same for as long as they are.
    pub(crate) const fn shared(&self) -> &Arc<Items> {
        &self.shared
    }

    pub(crate) fn items(&self) -> &[ListItem] {
        &self.shared.items
    }

    /// The names or URIs of all items.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.items().iter().map(ListItem::key)
    }

    /// The arguments of a tool that are mirrored into headers, if it has any.
    pub(crate) fn param_headers(&self, tool: &str) -> Option<&ParamHeaders> {
        self.shared.param_headers.get(tool)
    }
}

/// A session with a server, or the fact that none is needed.
#[derive(Debug)]
pub(crate) struct Live {
    /// The route that it was opened on.
    pub(crate) route: Arc<InstanceRoute>,
    pub(crate) era: Era,
    pub(crate) version: ProtocolVersion,
    /// The server's `Mcp-Session-Id`.
    pub(crate) session: Option<HeaderValue>,
    pub(crate) greeting: Arc<Greeting>,
    lists: Mutex<[(u64, Option<Arc<Listed>>); 4]>,
    lost: AtomicBool,
    /// A stream is open on which the server tells of changes: only then lists are kept.
    listening: AtomicBool,
    /// The server said that it has no such stream: it is not asked again.
    pub(crate) silent: AtomicBool,
    pub(crate) closed: CancellationToken,
    /// Calls that wait for their answer.
    calls: AtomicUsize,
    /// Told when there are none any more.
    no_calls: Notify,
}

impl Live {
    pub(crate) fn new(
        route: Arc<InstanceRoute>,
        era: Era,
        version: ProtocolVersion,
        session: Option<HeaderValue>,
        greeting: Arc<Greeting>,
    ) -> Self {
        Self {
            route,
            era,
            version,
            session,
            greeting,
            lists: Mutex::default(),
            lost: AtomicBool::new(false),
            listening: AtomicBool::new(false),
            silent: AtomicBool::new(false),
            closed: CancellationToken::new(),
            calls: AtomicUsize::new(0),
            no_calls: Notify::new(),
        }
    }

    /// Whether it is still good for `route`.
    pub(crate) fn serves(&self, route: &Arc<InstanceRoute>) -> bool {
        let same = Arc::ptr_eq(&self.route, route)
            || (self.route.epoch == route.epoch && self.route.location == route.location);
        same && !self.is_lost()
    }

    pub(crate) fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.closed.cancel();
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// A call is sent, or has ended.
    pub(crate) fn count_call(&self, begins: bool) {
        if begins {
            self.calls.fetch_add(1, Ordering::AcqRel);
        } else if self.calls.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.no_calls.notify_waiters();
        }
    }

    /// Returns when no call waits for its answer.
    pub(crate) async fn calls_ended(&self) {
        loop {
            // Before the look, so that an end right after it is noticed.
            let mut ended = pin!(self.no_calls.notified());
            ended.as_mut().enable();
            if self.calls.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Whether the server has such a list at all.
    pub(crate) fn offers(&self, kind: ListKind) -> bool {
        self.greeting.capabilities.has(&[match kind {
            ListKind::Tools => "tools",
            ListKind::Prompts => "prompts",
            ListKind::Resources | ListKind::ResourceTemplates => "resources",
        }])
    }

    fn tells_of_changes(&self, kind: ListKind) -> bool {
        let key = match kind {
            ListKind::Tools => "tools",
            ListKind::Prompts => "prompts",
            ListKind::Resources | ListKind::ResourceTemplates => "resources",
        };
        self.listening.load(Ordering::Acquire)
            && self.greeting.capabilities.has(&[key, "listChanged"])
    }

    /// The kept list, if it still holds: the server would have told us, or said how long it holds.
    pub(crate) fn listed(&self, kind: ListKind) -> Option<Arc<Listed>> {
        let kept = self.lists.lock()[kind as usize].1.clone()?;
        let within_ttl = kept
            .ttl_ms
            .is_some_and(|ttl| kept.at.elapsed() < Duration::from_millis(ttl));
        (within_ttl || self.tells_of_changes(kind)).then_some(kept)
    }

    /// What was last listed, also if it may be old by now: for what hardly changes (schemas).
    pub(crate) fn last_listed(&self, kind: ListKind) -> Option<Arc<Listed>> {
        self.lists.lock()[kind as usize].1.clone()
    }

    /// The count of changes so far, to be taken before a list is asked for.
    pub(crate) fn changes(&self, kind: ListKind) -> u64 {
        self.lists.lock()[kind as usize].0
    }

    /// Keeps a list, unless it changed while it was under way.
    pub(crate) fn keep(&self, kind: ListKind, listed: Arc<Listed>, changes: u64) {
        let slot = &mut self.lists.lock()[kind as usize];
        if slot.0 == changes {
            slot.1 = Some(listed);
        }
    }

    /// The server said that a list changed.
    pub(crate) fn forget_list(&self, kind: ListKind) {
        let mut lists = self.lists.lock();
        let kinds: &[ListKind] = match kind {
            ListKind::Resources | ListKind::ResourceTemplates => {
                &[ListKind::Resources, ListKind::ResourceTemplates]
            }
            ListKind::Tools => &[ListKind::Tools],
            ListKind::Prompts => &[ListKind::Prompts],
        };
        for kind in kinds {
            let slot = &mut lists[*kind as usize];
            slot.0 += 1;
            slot.1 = None;
        }
    }

    /// A stream for changes was opened or closed. What was listed before it opened may be old.
    pub(crate) fn set_listening(&self, on: bool) {
        self.listening.store(on, Ordering::Release);
        for kind in [ListKind::Tools, ListKind::Prompts, ListKind::Resources] {
            self.forget_list(kind);
        }
    }
}
