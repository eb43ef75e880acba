//! The checker: whether there is an order of a history's operations, each somewhere between its call and its return, in
//! which every answer is the model's.
//!
//! Just-in-time linearization after Wing and Gong, and Lowe ("Testing for linearizability", 2017). The events are gone
//! through in the order of time, with the set of all configurations that explain what was seen so far: a state, and which of the
//! operations under way have taken effect in it. An operation takes effect no earlier than it must, which is when one returns
//! that has not yet; equal configurations are one. Where the set becomes empty, there is no such order.
//!
//! An operation whose answer nobody has may have taken effect at any time from its call on, up to when it could at the
//! latest, or never.

use std::collections::HashSet;

use super::model::{Op, Reply, State};

/// One operation of a history. Times are any numbers that tell what was before what.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) called: u64,
    pub(super) op: Op,
    pub(super) end: End,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Answered {
        at: u64,
        reply: Reply,
    },
    /// It may have taken effect before this time, or not at all.
    Unknown {
        until: u64,
    },
}

impl End {
    pub(super) const NEVER: u64 = u64::MAX;

    fn at(self) -> u64 {
        match self {
            End::Answered { at, .. } => at,
            End::Unknown { until } => until,
        }
    }

    pub(super) fn reply(self) -> Option<Reply> {
        match self {
            End::Answered { reply, .. } => Some(reply),
            End::Unknown { .. } => None,
        }
    }
}

/// One way in which everything so far can be explained: the operations under way that have taken effect, by their numbers,
/// and the state that they have led to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Configuration {
    done: Vec<usize>,
    state: State,
}

struct Checker<'h> {
    history: &'h [Operation],
    /// See [`State::after`].
    seen: Vec<u64>,
    /// The operations that are under way.
    open: Vec<usize>,
    configurations: HashSet<Configuration>,
}

/// Checks the history of one object that has no entry at first. The error is the number of the operation that nothing explains.
pub(super) fn check(history: &[Operation]) -> Result<(), usize> {
    let mut events = Vec::with_capacity(history.len() * 2);
    for (number, operation) in history.iter().enumerate() {
        // Of an unknown read, nobody has learnt anything.
        if operation.end.reply().is_some() || !operation.op.is_read() {
            events.push((operation.called, true, number));
            events.push((operation.end.at(), false, number));
        }
    }
    // At the same time, calls come first: nothing is known of their order then.
    events.sort_unstable_by_key(|&(time, is_call, number)| (time, !is_call, number));
    let start = Configuration { done: Vec::new(), state: State::default() };
    let mut checker =
        Checker { history, seen: seen(history), open: Vec::new(), configurations: HashSet::from([start]) };
    for (time, is_call, number) in events {
        if is_call {
            checker.open.push(number);
        } else if time == End::NEVER {
            // Nothing follows that it could contradict.
            break;
        } else if !checker.returns(number) {
            return Err(number);
        }
    }
    Ok(())
}

/// The versions that answers name, and that no answered write has drawn.
fn seen(history: &[Operation]) -> Vec<u64> {
    let answered = || history.iter().filter_map(|operation| Some((&operation.op, operation.end.reply()?)));
    let drawn: HashSet<u64> = answered().flat_map(|(op, reply)| op.drawn(reply)).collect();
    let mut seen: Vec<u64> = answered().filter_map(|(_, reply)| reply.version()).collect();
    seen.retain(|version| *version > 0 && !drawn.contains(version));
    seen.sort_unstable();
    seen.dedup();
    seen
}

impl Checker<'_> {
    /// Takes in that an operation is over. Whether there still is an explanation.
    fn returns(&mut self, number: usize) -> bool {
        let may_be_missing = self.history[number].end.reply().is_none();
        let mut visited = HashSet::new();
        let mut kept = HashSet::new();
        let mut todo: Vec<Configuration> = self.configurations.drain().collect();
        while let Some(configuration) = todo.pop() {
            let Configuration { done, state } = &configuration;
            let is_done = done.binary_search(&number).is_ok();
            if is_done || may_be_missing {
                let done = done.iter().copied().filter(|&other| other != number).collect();
                kept.insert(Configuration { done, state: *state });
            }
            // What returns without an answer forces nothing to have happened: those after it will, if they need it. But it
            // cannot happen later than now.
            if is_done {
                continue;
            }
            for &next in self.open.iter().filter(|next| done.binary_search(next).is_err()) {
                let Operation { op, end, .. } = &self.history[next];
                for state in state.after(op, end.reply(), &self.seen) {
                    let mut done = done.clone();
                    done.insert(done.partition_point(|&other| other < next), next);
                    let reached = Configuration { done, state };
                    if visited.insert(reached.clone()) {
                        todo.push(reached);
                    }
                }
            }
        }
        self.open.retain(|&open| open != number);
        self.configurations = kept;
        !self.configurations.is_empty()
    }
}
