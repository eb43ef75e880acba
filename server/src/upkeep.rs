//! Work on the whole store that blocks: each kind done by one thread at a time that is there for that, and to its end, also if
//! whoever asked for it leaves.

use std::sync::Arc;

use larder_protocol::{Code, ParseError};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tracing::error;

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Upkeep(Arc<Mutex<()>>);

impl Upkeep {
    /// Does `work` once what was asked for before is done. `what` names it, for the log and the client if it breaks off.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        what: &str,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ParseError> {
        let turn = Arc::clone(&self.0).lock_owned().await;
        let done = spawn_blocking(move || {
            let outcome = work();
            drop(turn);
            outcome
        });
        done.await.map_err(|error| {
            error!("the {what} broke off: {error}");
            ParseError { code: Code::Internal, text: format!("the {what} broke off; see the server's log") }
        })
    }
}
