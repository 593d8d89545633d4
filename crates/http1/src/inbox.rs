//! What was read and not looked at yet. Holds no memory while nothing is there.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// For the first read, bytes: more than nearly every head with a short message.
const SMALLEST: usize = 4 << 10;
/// For reads on a connection that has much to say.
pub(crate) const LARGEST: usize = 128 << 10;
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) bytes: BytesMut,
    /// Room for the next read.
    room: usize,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self {
            bytes: BytesMut::new(),
            room: SMALLEST,
        }
    }

    /// Reads once; 0 is the end. `wanted` is how much is known to be on its way.
    pub(crate) fn poll_fill<I: AsyncRead + Unpin>(
        &mut self,
        io: &mut I,
        wanted: u64,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let missing = wanted.saturating_sub(self.bytes.len() as u64);
        let missing = usize::try_from(missing).map_or(LARGEST, |it| it.min(LARGEST));
        self.bytes.reserve(self.room.max(missing));
        let free = self.bytes.capacity() - self.bytes.len();
        let read = poll_read_buf(Pin::new(io), cx, &mut self.bytes);
        match read {
            Poll::Pending => self.rest(),
            Poll::Ready(Ok(read)) if read == free => self.room = (self.room * 2).min(LARGEST),
            Poll::Ready(_) => {}
        }
        read
    }

    /// Lets go of the buffer if nothing is in it.
    pub(crate) fn rest(&mut self) {
        if self.bytes.is_empty() {
            self.bytes = BytesMut::new();
            self.room = SMALLEST;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test]
    async fn no_memory_is_held_for_what_is_not_there() {
        let (mut near, mut far) = tokio::io::duplex(64);
        let cx = &mut Context::from_waker(Waker::noop());
        let mut inbox = Inbox::new();
        assert!(inbox.poll_fill(&mut near, 0, cx).is_pending());
        assert_eq!(inbox.bytes.capacity(), 0);
        far.write_all(b"something").await.unwrap();
        assert!(inbox.poll_fill(&mut near, 0, cx).is_ready());
        assert!(inbox.poll_fill(&mut near, 0, cx).is_pending());
        assert_eq!(inbox.bytes, "something", "what was read is kept");
        inbox.bytes.clear();
        assert!(inbox.poll_fill(&mut near, 0, cx).is_pending());
        assert_eq!(inbox.bytes.capacity(), 0);
    }
}
