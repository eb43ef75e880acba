//! Requests under way: sent, and not yet answered.

use std::collections::VecDeque;

use larder_client::reply::{Outcome, Stamp};
use larder_client::{Code, Error, Pending};

use super::record::Record;
use super::report::Report;
use crate::cli::expiry::now_ms;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Most requests under way.
const REQUESTS_MAX: usize = 1_000;

/// Most bytes of values under way; a single value may be larger.
const BYTES_MAX: usize = 1024 * 1024;

#[derive(Default)]
pub(super) struct Window {
    flights: VecDeque<Flight>,
    bytes: usize,
}

struct Flight {
    line: u64,
    bytes: usize,
    deadline_ms: Option<u64>,
    reply: Pending<Outcome<Stamp>>,
}

impl Window {
    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }

    /// Sends what a line asks for, once there is room.
    pub(super) fn send(
        &mut self,
        session: &mut Session,
        line: u64,
        record: &Record<'_>,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let bytes = record.bytes();
        while self.len() == REQUESTS_MAX || (self.bytes + bytes > BYTES_MAX && self.len() > 0) {
            self.receive(session, report)?;
        }
        let reply = match session.connection.send(&record.request()) {
            Ok(reply) => reply,
            Err(error) => return judge(session, line, None, error, report),
        };
        self.flights.push_back(Flight { line, bytes, deadline_ms: record.deadline_ms(), reply });
        self.bytes += bytes;
        Ok(())
    }

    /// Waits for all answers.
    pub(super) fn settle(&mut self, session: &mut Session, report: &mut Report) -> Result<(), Failure> {
        while self.len() > 0 {
            self.receive(session, report)?;
        }
        Ok(())
    }

    /// Waits for the oldest answer.
    fn receive(&mut self, session: &mut Session, report: &mut Report) -> Result<(), Failure> {
        let Some(flight) = self.flights.pop_front() else { return Ok(()) };
        self.bytes -= flight.bytes;
        match session.connection.receive(flight.reply) {
            Ok(Outcome::Done(_)) => report.imported(),
            Ok(Outcome::Refused(_)) => {
                report.failed(flight.line, &"refused under a condition that was not asked for");
            }
            Err(error) => return judge(session, flight.line, flight.deadline_ms, error, report),
        }
        Ok(())
    }
}

/// Reports what concerns one line; what concerns the connection ends the import.
fn judge(
    session: &Session,
    line: u64,
    deadline_ms: Option<u64>,
    error: Error,
    report: &mut Report,
) -> Result<(), Failure> {
    if error.is_fatal() {
        report.unanswered(1);
        return Err(session.failure(error));
    }
    let overdue = deadline_ms.is_some_and(|deadline_ms| deadline_ms <= now_ms());
    if error.code() == Some(Code::BadTtl) && overdue {
        report.expired();
    } else {
        report.failed(line, &error);
    }
    Ok(())
}
