//! Versions over all of the store: none is drawn twice, and none is below one that was answered before it was asked for.

use std::collections::HashSet;

use super::checker::{End, Operation};

pub(super) fn check<'h>(history: impl Iterator<Item = &'h Operation>) {
    if let Err(wrong) = find_wrong(history) {
        panic!("{wrong}");
    }
}

pub(super) fn find_wrong<'h>(history: impl Iterator<Item = &'h Operation>) -> Result<(), String> {
    let mut writes = Vec::new();
    let mut drawn = HashSet::new();
    for operation in history {
        let End::Answered { at, reply } = operation.end else { continue };
        let versions = operation.op.drawn(reply);
        if let Some(twice) = versions.clone().find(|&version| !drawn.insert(version)) {
            return Err(format!("version {twice} was drawn twice, once by {operation:?}"));
        }
        if !versions.is_empty() {
            writes.push((versions.start, operation.called, at));
        }
    }
    writes.sort_unstable();
    // Of the writes with lower versions, the time at which the last was called.
    let mut last_called = 0;
    for (version, called, at) in writes {
        if at < last_called {
            return Err(format!("version {version} was answered before one below it was asked for"));
        }
        last_called = last_called.max(called);
    }
    Ok(())
}
