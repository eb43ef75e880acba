//! `DELPREFIX`: a portion at a time, so that it holds up nobody, however much there is to delete.
//!
//! Each portion is deleted as a whole; after it others have their turn. It goes through the keys once, in their order: what is
//! there throughout is deleted, and what is set meanwhile may be or not. Only the last portion is waited for, since the log
//! keeps their order.

use std::ops::ControlFlow;

use larder_engine::{Cleared, Error, Pending, Scan, Tenant};
use larder_protocol::Code;
use larder_protocol::reply::write;
use tokio::task::yield_now;

use super::Connection;
use crate::command::{SHUTDOWN, refusal};
use crate::shared::Tally;

/// Entries that are deleted at a time.
const PORTION: usize = 256;

impl Connection {
    /// Deletes the entries of a namespace whose keys begin so.
    pub(super) async fn delete_prefix(&mut self, namespace: &str, prefix: &str) -> ControlFlow<()> {
        let mut count = 0;
        let mut after = None;
        loop {
            let (pending, cleared) = self.delete_portion(namespace, prefix, after.as_deref()).await;
            let Cleared { count: deleted, last, more } = match cleared {
                Ok(cleared) => cleared,
                Err(error) => {
                    self.refuse_for(&error);
                    return ControlFlow::Continue(());
                }
            };
            count += deleted;
            if !more {
                match pending.await {
                    Ok(()) => {
                        self.shared.counters.add(Tally { commands: 1, errors: 0 });
                        write::ok_number(&mut self.socket.output, count);
                    }
                    Err(error) => self.refuse_for(&error),
                }
                return ControlFlow::Continue(());
            }
            if self.shutdown.is_cancelled() {
                self.refuse(Code::Shutdown, SHUTDOWN);
                return ControlFlow::Break(());
            }
            after = last;
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
    ) -> (Pending<()>, Result<Cleared, Error>) {
        let store = &self.shared.store;
        store.admission().await;
        let portion = Scan { namespace, prefix, after, reverse: false, limit: PORTION };
        let mut cleared = Ok(Cleared::default());
        let pending = store.write(|writer| cleared = writer.delete_page(Tenant::DEFAULT, &portion));
        (pending, cleared)
    }

    fn refuse_for(&mut self, error: &Error) {
        if matches!(error, Error::InDoubt { .. } | Error::Failed { .. }) {
            self.shared.log_failure(error);
        }
        let refusal = refusal(error);
        self.refuse(refusal.code, &refusal.text);
    }
}
