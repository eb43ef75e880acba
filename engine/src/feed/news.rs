//! Waiting for more to read.

use crate::commit::Mark;
use crate::store::Inner;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Becomes ready once a [`Feed`](crate::Feed) has more to read, or an error to tell: await it, or [wait](News::wait) for
/// it. It says nothing about whether that is watched.
#[must_use = "news have to be awaited or waited for"]
#[derive(Debug)]
pub struct News {
    inner: Arc<Inner>,
    /// The lowest sequence that is news.
    until: u64,
    ticket: Option<u64>,
}

impl News {
    pub(super) fn new(inner: Arc<Inner>, version: u64) -> News {
        News { inner, until: version + 1, ticket: None }
    }

    /// Blocks until there is more.
    pub fn wait(self) {
        self.inner.progress.wait(Mark::Durable, self.until);
    }
}

impl Future for News {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        // Nobody is asked to bring the log to disk for this: a feed only looks on.
        if this.inner.progress.note(Mark::Durable, this.until, &mut this.ticket, context.waker()) {
            return Poll::Pending;
        }
        Poll::Ready(())
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.inner.progress.forget(Mark::Durable, self.until, &mut self.ticket);
    }
}
