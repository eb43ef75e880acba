//! The records of many hints, merged in the order of their names (Knuth, *The Art of Computer Programming*, volume 3, 5.4.1).
//!
//! A hint from a file is in order as it stands: it is a run. One that was made from a segment is in the order of the log; its
//! records are put in order here, each thread a share of them. In each run some places are known, so that it can be read
//! from any name on. So the merge is divided among threads by names: each reads its range of all runs.

use super::Key;
use crate::address::Tenant;
use crate::log::hint::{Hint, HintRecord, Name};
use crate::sync::{Mutex, on_each};
use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};
use std::str;
use std::sync::PoisonError;

/// A key, and where its record is.
type Placed = (Key, usize);

/// The same records in hints that are all in order, by so many threads.
pub(super) fn in_order(hints: Vec<Hint>, threads: usize) -> Vec<Hint> {
    let (mut runs, others): (Vec<Hint>, Vec<Hint>) =
        hints.into_iter().partition(|hint| hint.marks().is_some());
    let sorted = if others.len() < threads {
        // A few, as after a kill: each is divided.
        on_each(threads, |number| others.iter().map(|hint| sorted_share(hint, number, threads)).collect())
    } else {
        let others = Mutex::new(others);
        let next = || others.lock().unwrap_or_else(PoisonError::into_inner).pop();
        on_each(threads, |_| std::iter::from_fn(next).map(|hint| sorted_share(&hint, 0, 1)).collect())
    };
    let sorted = sorted.into_iter().flat_map(|some: Vec<Hint>| some);
    runs.extend(sorted.filter(|hint| hint.records > 0));
    runs
}

/// One of so many shares of the records of a hint, in order.
fn sorted_share(hint: &Hint, number: usize, shares: usize) -> Hint {
    let records = hint.records as usize;
    let share = records * number / shares..records * (number + 1) / shares;
    let mut some = hint.placed_records().skip(share.start).take(share.len()).peekable();
    let mut found: BTreeMap<(Tenant, &[u8]), Vec<Placed>> = BTreeMap::new();
    while let Some((_, first)) = some.peek() {
        let namespace = (first.tenant, first.namespace);
        let of_it = found.entry(namespace).or_default();
        while let Some((place, record)) =
            some.next_if(|(_, record)| (record.tenant, record.namespace) == namespace)
        {
            // Hints hold nothing but text.
            of_it.push((Key::new(str::from_utf8(record.key).unwrap_or_default()), place));
        }
    }
    found.values_mut().for_each(|of_it| of_it.sort_unstable());
    let places: Vec<usize> = found.into_values().flatten().map(|(_, place)| place).collect();
    hint.select(&places)
}

/// Names from `from` on, up to but not including `to`, as far as there are such limits.
#[derive(Debug)]
pub(super) struct Range<'h> {
    from: Option<Name<'h>>,
    to: Option<Name<'h>>,
}

/// One of so many ranges with about as many records of the runs in each, where these are long.
pub(super) fn range(runs: &[Hint], number: usize, count: usize) -> Range<'_> {
    let names = |run| places(run).iter().filter_map(move |place| name_at(run, *place));
    let mut samples: Vec<Name<'_>> = runs.iter().flat_map(names).collect();
    samples.sort_unstable();
    let limit = |number: usize| samples.get(samples.len() * number / count).copied();
    Range {
        from: (number > 0).then(|| limit(number)).flatten(),
        to: (number + 1 < count).then(|| limit(number + 1)).flatten(),
    }
}

/// The records of a range in the order of their names, with the numbers of their runs.
pub(super) fn merge<'h>(
    runs: &'h [Hint],
    range: &Range<'h>,
) -> impl Iterator<Item = (usize, HintRecord<'h>)> + use<'h> {
    let Range { from, to } = *range;
    let mut rests: Vec<_> = runs.iter().map(|run| read_from(run, from)).collect();
    let mut heads: Vec<_> = rests.iter_mut().map(Iterator::next).collect();
    let named =
        heads.iter().enumerate().filter_map(|(run, head)| Some(Reverse((head.as_ref()?.name(), run))));
    let mut order: BinaryHeap<_> = named.collect();
    std::iter::from_fn(move || {
        let mut top = order.peek_mut()?;
        let Reverse((name, run)) = *top;
        if to.is_some_and(|to| name >= to) {
            return None;
        }
        let next = rests[run].next();
        match &next {
            Some(next) => *top = Reverse((next.name(), run)),
            None => _ = PeekMut::pop(top),
        }
        std::mem::replace(&mut heads[run], next).map(|record| (run, record))
    })
}

/// The records of a run whose names are not below `from`.
fn read_from<'h>(run: &'h Hint, from: Option<Name<'h>>) -> impl Iterator<Item = HintRecord<'h>> + use<'h> {
    let places = places(run);
    let before = places.partition_point(|place| from.is_some() && name_at(run, *place) < from);
    let start = places.get(before.saturating_sub(1)).copied();
    let records = start.into_iter().flat_map(|start| run.records_from(start));
    records.skip_while(move |record| from.is_some_and(|from| record.name() < from))
}

/// Places of a run, at equal distances.
fn places(run: &Hint) -> &[usize] {
    run.marks().unwrap_or_default()
}

fn name_at(run: &Hint, place: usize) -> Option<Name<'_>> {
    run.record_at(place).map(|(record, _)| record.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::NEVER;
    use crate::log::record::{Kind, Record};
    use proptest::prelude::*;

    fn record<'a>(tenant: u32, namespace: &'a str, key: &'a str, sequence: u64) -> Record<'a> {
        Record {
            kind: Kind::Put,
            tag: 0,
            tenant: Tenant(tenant),
            namespace,
            key,
            description: "",
            value: b"1",
            sequence,
            deadline: NEVER,
            created_at: 0,
            updated_at: 0,
            creation: 1,
        }
    }

    fn named(record: &HintRecord<'_>) -> (Tenant, Vec<u8>, Vec<u8>) {
        (record.tenant, record.namespace.to_vec(), record.key.to_vec())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// However long the runs are, and however many ranges: together they are all records in order, each once, and no
        /// name is in two ranges.
        #[test]
        fn ranges_are_all_records_in_order(keys in 1u64..10_000, lengths in proptest::collection::vec((0u64..5_000, any::<bool>()), 1..5),
                                           threads in 1usize..5) {
            let mut sequence = 0;
            let hints: Vec<Hint> = (1..).zip(&lengths).map(|(segment, (length, is_filed))| {
                let mut hint = Hint::with_capacity(segment, 0);
                for _ in 0..*length {
                    sequence += 1;
                    let number = sequence * 7_368_787 % keys;
                    let namespace = if number.is_multiple_of(5) { "a" } else { "b" };
                    hint.push(&record(u32::from(number.is_multiple_of(3)), namespace, &number.to_string(), sequence), 64);
                }
                if *is_filed { hint.filed() } else { hint }
            }).collect();
            let mut expected: Vec<_> = hints.iter().flat_map(|hint| {
                hint.records().map(|record| (named(&record), record.sequence, hint.segment))
            }).collect();
            expected.sort_unstable();
            let runs = in_order(hints, threads);
            let ranges: Vec<Vec<_>> = (0..threads).map(|number| {
                let merged = merge(&runs, &range(&runs, number, threads));
                merged.map(|(run, record)| (named(&record), record.sequence, runs[run].segment)).collect()
            }).collect();
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].last().is_none_or(|last| pair[1].first().is_none_or(|first| last.0 < first.0)));
            }
            let mut all = ranges.concat();
            prop_assert!(all.is_sorted_by(|(before, ..), (after, ..)| before <= after));
            all.sort_unstable();
            prop_assert_eq!(all, expected);
        }
    }
}
