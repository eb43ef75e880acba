//! Histories made by hand: what no order explains must be found, and what looks wrong and is not must pass.

use super::checker::{End, Operation, check};
use super::model::{Change, Condition, Op, Reply};
use super::versions;

fn get(key: usize) -> Op {
    Op::Get(key)
}

fn set(key: usize, value: i64) -> Op {
    Op::Set { key, value, condition: Condition::Always }
}

fn set_if(key: usize, value: i64, condition: Condition) -> Op {
    Op::Set { key, value, condition }
}

fn del(key: usize) -> Op {
    Op::Del { key, version: None }
}

fn incr(key: usize) -> Op {
    Op::Incr { key, by: 1 }
}

fn txn(checks: &[(usize, Option<u64>)], changes: &[(usize, i64)]) -> Op {
    let changes = changes.iter().map(|&(key, value)| (key, Change::Set(value))).collect();
    Op::Txn { checks: checks.to_vec(), changes }
}

fn val(version: u64, value: i64) -> Reply {
    Reply::Value { version, value }
}

/// Answered, called and returned at these times.
fn ok(called: u64, at: u64, op: Op, reply: Reply) -> Operation {
    Operation { called, op, end: End::Answered { at, reply } }
}

/// Not answered.
fn lost(called: u64, until: u64, op: Op) -> Operation {
    Operation { called, op, end: End::Unknown { until } }
}

use Reply::{Absent, Check, Exists, Nil, Version, Written};

/// Everything that an order explains.
fn legal() -> Vec<(&'static str, Vec<Operation>)> {
    let never = End::NEVER;
    vec![
        ("nothing", vec![]),
        (
            "one after the other",
            vec![
                ok(0, 1, get(0), Nil),
                ok(2, 3, set(0, 7), Written(1)),
                ok(4, 5, get(0), val(1, 7)),
                ok(6, 7, incr(0), val(4, 8)),
                ok(8, 9, set_if(0, 1, Condition::Version(1)), Version(4)),
                ok(10, 11, del(0), Written(5)),
                ok(12, 13, set_if(0, 1, Condition::Present), Absent),
                ok(14, 15, incr(0), val(6, 1)),
                ok(16, 17, set_if(0, 1, Condition::Absent), Exists(6)),
            ],
        ),
        (
            "a read that began before the write and saw it, and one that ended after it began and did not",
            vec![
                ok(0, 9, set(0, 1), Written(1)),
                ok(1, 8, get(0), val(1, 1)),
                ok(2, 3, get(0), Nil),
                ok(4, 5, get(0), val(1, 1)),
            ],
        ),
        (
            "writes whose answers came in the other order",
            vec![
                ok(0, 9, set(0, 1), Written(1)),
                ok(1, 2, set(0, 2), Written(2)),
                ok(3, 4, get(0), val(2, 2)),
                ok(10, 11, get(0), val(2, 2)),
            ],
        ),
        (
            "of two with the same version one wins",
            vec![
                ok(0, 1, set(0, 1), Written(1)),
                ok(2, 5, set_if(0, 2, Condition::Version(1)), Version(2)),
                ok(3, 4, set_if(0, 3, Condition::Version(1)), Written(2)),
            ],
        ),
        (
            "a transaction seen as a whole, and refused as a whole",
            vec![
                ok(0, 1, txn(&[(0, None)], &[(0, 1), (1, 2)]), Written(2)),
                ok(2, 5, txn(&[(0, Some(1)), (1, Some(2))], &[(0, 3), (1, 4)]), Written(4)),
                ok(3, 4, txn(&[(0, Some(1)), (1, Some(2))], &[(2, 5)]), Check(0)),
                ok(6, 7, get(0), val(3, 3)),
                ok(6, 7, get(1), val(4, 4)),
            ],
        ),
        (
            "a transaction draws a version for each change, and none for a delete of nothing",
            vec![
                ok(0, 1, set(0, 1), Written(1)),
                ok(
                    2,
                    3,
                    Op::Txn { checks: vec![], changes: vec![(1, Change::Del), (0, Change::Del)] },
                    Written(2),
                ),
                ok(4, 5, Op::Txn { checks: vec![], changes: vec![(0, Change::Del)] }, Written(0)),
                ok(
                    6,
                    7,
                    Op::Txn { checks: vec![], changes: vec![(1, Change::Del), (0, Change::Set(2))] },
                    Written(3),
                ),
                ok(8, 9, get(0), val(3, 2)),
            ],
        ),
        ("a lost write that never happened", vec![lost(0, never, set(0, 1)), ok(2, 3, get(0), Nil)]),
        (
            "a lost write that happened late",
            vec![
                lost(0, never, set(0, 1)),
                ok(2, 3, get(0), Nil),
                ok(4, 5, get(0), val(1, 1)),
                ok(6, 7, incr(0), val(2, 2)),
            ],
        ),
        (
            "a lost write that nobody saw, between two others",
            vec![
                ok(0, 1, set(0, 1), Written(1)),
                lost(2, never, set(0, 2)),
                ok(4, 5, del(0), Written(3)),
                ok(6, 7, get(0), Nil),
            ],
        ),
        (
            "a lost increment that must have happened, and one that may not",
            vec![
                ok(0, 1, incr(0), val(1, 1)),
                lost(2, 9, incr(0)),
                lost(3, 9, incr(0)),
                ok(10, 11, incr(0), val(9, 3)),
            ],
        ),
        (
            "a lost transaction of which one version was seen",
            vec![
                lost(0, 5, txn(&[], &[(0, 1), (1, 2), (2, 3)])),
                ok(6, 7, get(1), val(8, 2)),
                ok(8, 9, set_if(2, 1, Condition::Absent), Exists(9)),
                ok(10, 11, get(0), val(7, 1)),
            ],
        ),
        (
            "a lost delete, and a lost set whose version a refusal told",
            vec![
                ok(0, 1, set(0, 1), Written(1)),
                lost(2, never, del(0)),
                lost(3, never, set(0, 5)),
                ok(4, 5, set_if(0, 6, Condition::Absent), Exists(3)),
                ok(6, 7, get(0), val(3, 5)),
            ],
        ),
        ("a read that nobody learnt anything of", vec![lost(0, 1, get(0)), ok(2, 3, get(0), Nil)]),
    ]
}

/// What no order explains, and the operation at which that shows.
fn illegal() -> Vec<(&'static str, usize, Vec<Operation>)> {
    let never = End::NEVER;
    vec![
        (
            "a stale read",
            2,
            vec![
                ok(0, 1, set(0, 1), Written(1)),
                ok(2, 3, set(0, 2), Written(2)),
                ok(4, 5, get(0), val(1, 1)),
            ],
        ),
        (
            "a read that goes back behind another",
            2,
            vec![ok(0, 9, set(0, 1), Written(1)), ok(1, 2, get(0), val(1, 1)), ok(3, 4, get(0), Nil)],
        ),
        (
            "a lost update",
            2,
            vec![
                ok(0, 1, set(0, 10), Written(1)),
                ok(2, 5, incr(0), val(2, 11)),
                ok(3, 6, incr(0), val(3, 11)),
            ],
        ),
        (
            "two that win with the same version",
            2,
            vec![
                ok(0, 1, set(0, 1), Written(1)),
                ok(2, 5, set_if(0, 2, Condition::Version(1)), Written(2)),
                ok(3, 6, set_if(0, 3, Condition::Version(1)), Written(3)),
            ],
        ),
        (
            "two that were first",
            1,
            vec![
                ok(0, 5, set_if(0, 2, Condition::Absent), Written(1)),
                ok(1, 6, set_if(0, 3, Condition::Absent), Written(2)),
            ],
        ),
        (
            "nobody wins, and nothing was changed",
            1,
            vec![ok(0, 1, set(0, 1), Written(1)), ok(2, 3, set_if(0, 2, Condition::Version(1)), Version(2))],
        ),
        ("a read from the future", 0, vec![ok(0, 1, get(0), val(1, 1)), ok(2, 3, set(0, 1), Written(1))]),
        ("a value that nobody wrote", 0, vec![ok(0, 1, get(0), val(1, 1))]),
        (
            "half a transaction, seen from before",
            2,
            vec![
                ok(0, 9, txn(&[], &[(0, 1), (1, 2)]), Written(2)),
                ok(1, 2, get(0), val(1, 1)),
                ok(3, 4, get(1), Nil),
            ],
        ),
        (
            "half a transaction, after a crash",
            2,
            vec![lost(0, 5, txn(&[], &[(0, 1), (1, 2)])), ok(6, 7, get(0), val(1, 1)), ok(8, 9, get(1), Nil)],
        ),
        (
            "a transaction whose check did not hold",
            2,
            vec![
                ok(0, 1, set(0, 1), Written(1)),
                ok(2, 3, set(0, 2), Written(2)),
                ok(4, 5, txn(&[(0, Some(1))], &[(1, 1)]), Written(3)),
            ],
        ),
        (
            "a transaction with fewer versions than changes",
            1,
            vec![ok(0, 1, set(0, 1), Written(1)), ok(2, 3, txn(&[], &[(0, 1), (1, 2)]), Written(2))],
        ),
        (
            "an answered write that a crash took back",
            2,
            vec![ok(0, 1, set(0, 1), Written(1)), lost(2, 3, set(1, 1)), ok(4, 5, get(0), Nil)],
        ),
        (
            "a lost write that was seen, and taken back",
            2,
            vec![lost(0, never, set(0, 1)), ok(2, 3, get(0), val(1, 1)), ok(4, 5, get(0), Nil)],
        ),
        (
            "a lost write that happens after the restart",
            2,
            vec![lost(0, 3, set(0, 1)), ok(4, 5, get(0), Nil), ok(6, 7, get(0), val(1, 1))],
        ),
        (
            "a lost write that happened before it was asked for",
            0,
            vec![ok(0, 1, get(0), val(1, 1)), lost(2, never, set(0, 1))],
        ),
        (
            "a lost increment that happened twice",
            2,
            vec![ok(0, 1, incr(0), val(1, 1)), lost(2, 9, incr(0)), ok(10, 11, incr(0), val(9, 4))],
        ),
        (
            "a lost set seen with two versions",
            2,
            vec![lost(0, 1, set(0, 1)), ok(2, 3, get(0), val(1, 1)), ok(4, 5, get(0), val(2, 1))],
        ),
        (
            "a deleted value that comes back",
            2,
            vec![ok(0, 1, set(0, 1), Written(1)), ok(2, 3, del(0), Written(2)), ok(4, 5, get(0), val(1, 1))],
        ),
        (
            "a version that goes back",
            1,
            vec![ok(0, 1, set(0, 1), Written(5)), ok(2, 3, set(1, 1), Written(4))],
        ),
        (
            "a version that is there twice",
            1,
            vec![ok(0, 3, set(0, 1), Written(5)), ok(1, 4, set(1, 1), Written(5))],
        ),
        (
            "no version left for what a lost write must have drawn",
            2,
            vec![ok(0, 1, set(0, 1), Written(1)), lost(2, 3, del(0)), ok(4, 5, incr(0), val(2, 1))],
        ),
    ]
}

#[test]
fn what_an_order_explains_passes() {
    for (name, history) in legal() {
        assert_eq!(check(&history), Ok(()), "{name}");
        assert_eq!(versions::find_wrong(history.iter()), Ok(()), "{name}");
    }
}

#[test]
fn what_no_order_explains_is_found() {
    for (name, at, history) in illegal() {
        assert_eq!(check(&history), Err(at), "{name}");
    }
}

/// In what holds for each object, and not for all of them together.
#[test]
fn versions_that_no_single_object_gives_away() {
    let first = [ok(0, 1, set(0, 1), Written(5))];
    let twice = [ok(0, 1, set(0, 2), Written(5))];
    let back = [ok(2, 3, txn(&[], &[(0, 1), (1, 1)]), Written(4))];
    let meanwhile = [ok(1, 3, set(0, 1), Written(4))];
    for history in [&first, &twice, &back, &meanwhile] {
        assert_eq!(check(history), Ok(()));
    }
    let wrong = |other: &[Operation]| versions::find_wrong(first.iter().chain(other)).unwrap_err();
    assert!(wrong(&twice).starts_with("version 5 was drawn twice"));
    assert!(wrong(&back).starts_with("version 5 was answered before"));
    assert_eq!(versions::find_wrong(first.iter().chain(&meanwhile)), Ok(()));
}
