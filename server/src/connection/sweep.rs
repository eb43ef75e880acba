//! `DELPREFIX`: a portion at a time, so that it holds up nobody, however much there is to delete.
//!
//! Each portion is deleted as a whole; after it others have their turn. It goes through the keys once, in their order: what is
//! there throughout is deleted, and what is set meanwhile may be or not. Only the last portion is waited for, since the log
//! keeps their order.

use std::ops::ControlFlow;

use larder_engine::{Cleared, Error, Pending, Scan};
use larder_protocol::Code;
use larder_protocol::reply::write;
use tokio::task::yield_now;

use super::Connection;
use crate::command::{SHUTDOWN, denial, refusal};
use crate::shared::Tally;

/// Entries that are deleted at a time.
const PORTION: usize = 256;

/// What became of a portion.
enum Portion {
    Deleted(Cleared),
    Refused(Error),
    /// What the client may has changed meanwhile; nothing was deleted.
    Stale,
}

impl Connection {
    /// Deletes the entries of a namespace whose keys begin so.
    pub(super) async fn delete_prefix(&mut self, namespace: &str, prefix: &str) -> ControlFlow<()> {
        let mut count = 0;
        let mut after = None;
        loop {
            let (pending, portion) = self.delete_portion(namespace, prefix, after.as_deref()).await;
            match portion {
                Portion::Deleted(Cleared { count: deleted, last, more }) => {
                    count += deleted;
                    if !more {
                        self.tell(pending.await.map(|()| count));
                        return ControlFlow::Continue(());
                    }
                    after = last;
                }
                Portion::Refused(error) => {
                    self.tell(Err(error));
                    return ControlFlow::Continue(());
                }
                Portion::Stale => {
                    self.keep_up();
                    let (grant, now_ms) = (self.session.grant(), self.session.now_ms());
                    // It counts as one request, however long it takes.
                    if let Err(denied) = grant.check_sweep(namespace, now_ms) {
                        let error = denial(denied);
                        self.refuse(error.code, &error.text);
                        return ControlFlow::Continue(());
                    }
                }
            }
            if self.shutdown.is_cancelled() {
                self.refuse(Code::Shutdown, SHUTDOWN);
                return ControlFlow::Break(());
            }
            drop(pending);
            yield_now().await;
        }
    }

    /// Deletes the first of them after that key. Where the store takes no writes, nothing is deleted, and the wait tells why.
    async fn delete_portion(
        &self,
        namespace: &str,
        prefix: &str,
        after: Option<&str>,
    ) -> (Pending<()>, Portion) {
        let (store, session) = (&self.shared.store, &self.session);
        store.admission().await;
        let page = Scan { namespace, prefix, after, reverse: false, limit: PORTION };
        let mut portion = Portion::Deleted(Cleared::default());
        let pending = store.write(|writer| {
            // Under the lock: what is deleted after a change goes by it.
            portion = if session.is_stale() {
                Portion::Stale
            } else {
                let cleared = writer.delete_page(session.grant().tenant(), &page);
                cleared.map_or_else(Portion::Refused, Portion::Deleted)
            };
        });
        (pending, portion)
    }

    fn tell(&mut self, outcome: Result<u64, Error>) {
        match outcome {
            Ok(count) => {
                self.shared.tally(Tally { commands: 1, ..Tally::default() });
                write::ok_number(&mut self.socket.output, count);
            }
            Err(error) => {
                if matches!(error, Error::InDoubt { .. } | Error::Failed { .. }) {
                    self.shared.log_failure(&error);
                }
                let refusal = refusal(&error);
                self.refuse(refusal.code, &refusal.text);
            }
        }
    }
}
