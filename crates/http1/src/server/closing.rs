//! Ends connections in good order: those that wait for a request at once, the others after their answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use slab::Slab;
use tokio::sync::watch;

/// All connections of a server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connections {
    all: Arc<All>,
}

#[derive(Debug)]
struct All {
    open: Mutex<Slab<Arc<Signal>>>,
    count: watch::Sender<usize>,
    is_closing: AtomicBool,
}

#[derive(Debug, Default)]
struct Signal {
    waker: AtomicWaker,
    is_closing: AtomicBool,
}

/// Tells one connection when to close; counts as open for as long as it is kept.
#[derive(Debug)]
pub struct Closing {
    signal: Arc<Signal>,
    key: usize,
    all: Arc<All>,
}

impl Default for Connections {
    fn default() -> Self {
        let all = Arc::new(All {
            open: Mutex::default(),
            count: watch::Sender::new(0),
            is_closing: AtomicBool::new(false),
        });
        Self { all }
    }
}

impl Connections {
    /// One more.
    #[must_use]
    pub fn open(&self) -> Closing {
        let signal = Arc::<Signal>::default();
        let mut open = self.all.open.lock();
        let key = open.insert(Arc::clone(&signal));
        let is_closing = self.all.is_closing.load(Ordering::Acquire);
        signal.is_closing.store(is_closing, Ordering::Release);
        self.all.count.send_replace(open.len());
        drop(open);
        Closing {
            signal,
            key,
            all: Arc::clone(&self.all),
        }
    }

    /// Tells all to close, also those that are still to be opened.
    pub fn begin_closing(&self) {
        let open = self.all.open.lock();
        self.all.is_closing.store(true, Ordering::Release);
        for (_, signal) in open.iter() {
            signal.is_closing.store(true, Ordering::Release);
            signal.waker.wake();
        }
    }

    /// The same, and waits until they have.
    pub async fn close(&self) {
        let mut count = self.all.count.subscribe();
        self.begin_closing();
        // The sender lives in what this borrows.
        let _ended = count.wait_for(|open| *open == 0).await;
    }
}

impl Closing {
    /// Whether the connection has to close.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.signal.is_closing.load(Ordering::Acquire)
    }

    /// Ready when it has to; else it is polled again then.
    pub fn poll_closing(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.signal.waker.register(cx.waker());
        match self.is_closing() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        let mut open = self.all.open.lock();
        open.remove(self.key);
        self.all.count.send_replace(open.len());
    }
}
