//! The purge: what deleted organizations have left is deleted in the background, some at a time.

use std::sync::Arc;
use std::time::Duration;

use larder_engine::Error;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::warn;

use crate::access::{AccessError, Registry};

/// Pause after a failure that may go away, such as a full disk.
const RETRY: Duration = Duration::from_secs(5);

/// Purges whatever there is to purge, until the store is closed.
pub(crate) async fn run(registry: Arc<Registry>) {
    let mut warned = false;
    loop {
        let news = registry.news();
        let purging = Arc::clone(&registry);
        match spawn_blocking(move || purging.purge_some()).await {
            Ok(Ok(true)) => warned = false,
            Ok(Ok(false)) => news.await,
            Ok(Err(AccessError::Store(Error::Closed | Error::Failed { .. } | Error::InDoubt { .. })))
            | Err(_) => return,
            Ok(Err(error)) => {
                if !std::mem::replace(&mut warned, true) {
                    warn!("what deleted organizations have left cannot be purged, trying again: {error}");
                }
                sleep(RETRY).await;
            }
        }
    }
}
