//! Answering `DELPREFIX`.

use std::ops::ControlFlow;

use larder_protocol::Code;
use larder_protocol::reply::write;

use super::Connection;
use crate::command::{SHUTDOWN, Unswept, denial, refusal, sweep};
use crate::shared::Tally;

impl Connection {
    /// Deletes the entries of a namespace whose keys begin so.
    pub(super) async fn delete_prefix(&mut self, namespace: &str, prefix: &str) -> ControlFlow<()> {
        let swept = sweep(&self.shared, &mut self.session, &self.shutdown, namespace, prefix).await;
        // What the client may can have changed on the way.
        self.settle();
        let error = match swept {
            Ok(count) => {
                self.shared.tally(Tally { commands: 1, ..Tally::default() });
                write::ok_number(&mut self.socket.output, count);
                return ControlFlow::Continue(());
            }
            Err(Unswept::Stopping) => {
                self.refuse(Code::Shutdown, SHUTDOWN);
                return ControlFlow::Break(());
            }
            Err(Unswept::Refused(error)) => refusal(&error),
            Err(Unswept::Denied(denied)) => denial(denied),
        };
        self.refuse(error.code, &error.text);
        ControlFlow::Continue(())
    }
}
