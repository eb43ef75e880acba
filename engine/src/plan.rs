//! What a write is going to do, before any of it is done: records in a scratch buffer, with the slots that they lead to.
//!
//! The operations of a transaction see those before them, so of each entry the newest step is found by its hash: a
//! transaction costs as much as its operations do, not their square. A single operation is planned against the index
//! alone, and so spares itself the hashing.

use crate::address::Address;
use crate::index::{Slot, Tagger};
use crate::log::record::{self, Kind, Record};
use hashbrown::HashTable;

/// One record of a plan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// Where it is encoded in the scratch buffer.
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) sequence: u64,
    pub(crate) kind: Kind,
    /// What the index will hold for the entry, its place in the log apart.
    pub(crate) slot: Option<Slot>,
    /// By how much the plan, up to here, changes the number of live entries that are counted.
    counted: i64,
    /// Hash of the entry's address, in a transaction.
    hash: u64,
    /// The step before that is about the same entry, if there is one.
    before: Option<usize>,
}

impl Step {
    /// By how much it changes the number of live entries. What expires was not live before.
    fn change(&self) -> i64 {
        match (self.slot, self.kind) {
            (Some(slot), _) => i64::from(slot.creation == self.sequence),
            (None, Kind::Expire) => 0,
            (None, _) => -1,
        }
    }
}

/// The steps, in order.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) steps: Vec<Step>,
    tagger: Tagger,
    /// The newest step of each entry; `None` outside of a transaction.
    newest: Option<HashTable<usize>>,
}

impl Plan {
    pub(crate) fn new(tagger: Tagger) -> Plan {
        Plan { steps: Vec::new(), tagger, newest: None }
    }

    /// From here on, until it is cleared, steps are found again. It is empty.
    pub(crate) fn begin_transaction(&mut self) {
        debug_assert!(self.steps.is_empty());
        self.newest = Some(HashTable::new());
    }

    /// By how much it changes the number of those live entries that are counted.
    pub(crate) fn counted(&self) -> i64 {
        self.steps.last().map_or(0, |step| step.counted)
    }

    /// Encodes a record at the end of `scratch`, and takes it up. `counts` says whether its entry is one that is counted.
    pub(crate) fn push(
        &mut self,
        scratch: &mut Vec<u8>,
        record: &Record<'_>,
        slot: Option<Slot>,
        counts: bool,
    ) {
        let start = scratch.len();
        record.encode(scratch);
        let (index, end, sequence) = (self.steps.len(), scratch.len(), record.sequence);
        let counted = self.counted();
        let mut step = Step { start, end, sequence, kind: record.kind, slot, counted, hash: 0, before: None };
        step.counted += if counts { step.change() } else { 0 };
        if let (Some(newest), Some(at)) = (&mut self.newest, record.address()) {
            step.hash = self.tagger.tag(at).hash();
            let steps = &self.steps;
            match newest.find_mut(step.hash, |&other| is_of(steps.get(other), scratch, step.hash, at)) {
                Some(place) => step.before = Some(std::mem::replace(place, index)),
                None => {
                    let rehash = |&other: &usize| steps.get(other).map_or(step.hash, |step| step.hash);
                    newest.insert_unique(step.hash, index, rehash);
                }
            }
        }
        self.steps.push(step);
    }

    /// The newest step about an entry, in a transaction.
    pub(crate) fn newest(&self, scratch: &[u8], at: Address<'_>) -> Option<&Step> {
        let newest = self.newest.as_ref().filter(|newest| !newest.is_empty())?;
        let hash = self.tagger.tag(at).hash();
        let index = newest.find(hash, |&index| is_of(self.steps.get(index), scratch, hash, at))?;
        self.steps.get(*index)
    }

    /// Takes steps back, down to so many.
    pub(crate) fn truncate(&mut self, count: usize) {
        while self.steps.len() > count {
            let Some(step) = self.steps.pop() else { break };
            let index = self.steps.len();
            let Some(newest) = &mut self.newest else { continue };
            if let Ok(mut entry) = newest.find_entry(step.hash, |&other| other == index) {
                match step.before {
                    Some(before) => *entry.get_mut() = before,
                    None => _ = entry.remove(),
                }
            }
        }
    }

    /// Takes everything back, and ends a transaction.
    pub(crate) fn clear(&mut self) {
        self.steps.clear();
        self.newest = None;
    }
}

fn is_of(step: Option<&Step>, scratch: &[u8], hash: u64, at: Address<'_>) -> bool {
    step.is_some_and(|step| step.hash == hash && record::is_of(&scratch[step.start..step.end], at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Tenant;
    use proptest::prelude::*;

    fn address(key: u8) -> Address<'static> {
        const KEYS: [&str; 4] = ["a", "b", "ab", "c"];
        Address::new(Tenant::DEFAULT, "n", KEYS[usize::from(key % 4)]).unwrap()
    }

    proptest! {
        /// Steps are pushed, and at times taken back down to some number: a search from the end finds the same.
        #[test]
        fn the_newest_step_is_that_of_a_search_from_the_end(
            moves in prop::collection::vec(prop_oneof![4 => (0..4_u8).prop_map(Ok), 1 => (0..20_usize).prop_map(Err)], 0..60),
        ) {
            let (mut plan, mut scratch, mut naive) = (Plan::new(Tagger::new()), Vec::new(), Vec::new());
            plan.begin_transaction();
            for moved in moves {
                match moved {
                    Ok(key) => {
                        let at = address(key);
                        let record = Record {
                            kind: Kind::Delete,
                            tag: 0,
                            tenant: at.tenant(),
                            namespace: at.namespace(),
                            key: at.key(),
                            description: "",
                            value: b"",
                            sequence: naive.len() as u64,
                            deadline: 0,
                            created_at: 0,
                            updated_at: 0,
                            creation: 0,
                        };
                        plan.push(&mut scratch, &record, None, key % 4 == 0);
                        naive.push(key);
                    }
                    Err(count) if count <= naive.len() => {
                        scratch.truncate(plan.steps.get(count).map_or(scratch.len(), |step| step.start));
                        plan.truncate(count);
                        naive.truncate(count);
                    }
                    Err(_) => {}
                }
                let counted: i64 = naive.iter().map(|key| -i64::from(*key == 0)).sum();
                prop_assert_eq!(plan.counted(), counted);
                for key in 0..4 {
                    let expected = naive.iter().rposition(|other| *other == key).map(|index| index as u64);
                    let found = plan.newest(&scratch, address(key)).map(|step| step.sequence);
                    prop_assert_eq!(found, expected);
                }
            }
            plan.clear();
            prop_assert!(plan.newest(&scratch, address(0)).is_none());
        }
    }
}
