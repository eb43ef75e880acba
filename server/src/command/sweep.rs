//! Deleting by prefix: a portion at a time, so that it holds up nobody, however much there is to delete.
//!
//! Each portion is deleted as a whole, and waited for until it is acknowledged. Then others have their turn: a lock that is
//! taken again at once is had before those who wait for it are awake. It goes through the keys once, in their order: what is
//! there throughout is deleted, and what is set meanwhile may be or not.

use larder_engine::{Cleared, Error, Pending, Scan};
use larder_protocol::Verb;
use tokio_util::sync::CancellationToken;

use super::need::need_of;
use crate::access::{Denial, Session};
use crate::shared::Shared;

/// Entries that are deleted at a time.
const PORTION: usize = 256;

/// Why not everything was deleted.
#[derive(Debug)]
pub(crate) enum Unswept {
    /// The store refused it.
    Refused(Error),
    /// The client may not do it any more.
    Denied(Denial),
    /// The server stops.
    Stopping,
}

/// What became of a portion.
enum Portion {
    Deleted(Cleared),
    Refused(Error),
    /// The client may not do it, or not any more; nothing was deleted.
    Denied(Denial),
    /// What the client may has changed meanwhile; nothing was deleted.
    Stale,
}

/// Deletes the entries of a namespace whose keys begin so, for a client that may. Returns how many they were.
pub(crate) async fn sweep(
    shared: &Shared,
    session: &mut Session,
    stop: &CancellationToken,
    namespace: &str,
    prefix: &str,
) -> Result<u64, Unswept> {
    let mut count = 0;
    let mut after = None;
    loop {
        let (pending, portion) = delete_portion(shared, session, namespace, prefix, after.as_deref()).await;
        match portion {
            Portion::Deleted(Cleared { count: deleted, last, more }) => {
                if let Err(error) = pending.await {
                    return Err(refused(shared, error));
                }
                count += deleted;
                if !more {
                    return Ok(count);
                }
                after = last;
            }
            Portion::Refused(error) => return Err(refused(shared, error)),
            Portion::Denied(denial) => return Err(Unswept::Denied(denial)),
            Portion::Stale => session.refresh(),
        }
        if stop.is_cancelled() {
            return Err(Unswept::Stopping);
        }
    }
}

/// Deletes the first of them after that key. Where the store takes no writes, nothing is deleted, and the wait tells why.
async fn delete_portion(
    shared: &Shared,
    session: &Session,
    namespace: &str,
    prefix: &str,
    after: Option<&str>,
) -> (Pending<()>, Portion) {
    shared.store.admission().await;
    let page = Scan { namespace, prefix, after, reverse: false, limit: PORTION };
    let mut portion = Portion::Deleted(Cleared::default());
    let pending = shared.store.write(|writer| {
        // Under the lock: what is deleted after a change goes by it.
        portion = if session.is_stale() {
            Portion::Stale
        } else if let Err(denial) = may_go_on(session, namespace, writer.now_ms()) {
            Portion::Denied(denial)
        } else {
            let cleared = writer.delete_page(session.grant().tenant(), &page);
            cleared.map_or_else(Portion::Refused, Portion::Deleted)
        };
    });
    (pending, portion)
}

/// Whether the client may, for another portion. All of them are one request, which was counted.
fn may_go_on(session: &Session, namespace: &str, now_ms: u64) -> Result<(), Denial> {
    session.grant().check_again(need_of(Verb::Delprefix), Some(namespace), now_ms)
}

#[cold]
fn refused(shared: &Shared, error: Error) -> Unswept {
    if matches!(error, Error::InDoubt { .. } | Error::Failed { .. }) {
        shared.log_failure(&error);
    }
    Unswept::Refused(error)
}
