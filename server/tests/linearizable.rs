//! Eight clients at the same few entries, and a server that is killed and started again under them: each operation must
//! look as if it had happened at one instant between its request and its reply.
//!
//! Entries are grouped into objects, and a transaction stays within one. Linearizability is local: if the history of each
//! object is linearizable, all of it is. What an object's history cannot tell, that versions are unique and growing over
//! all of the store, is checked on its own.

#[path = "linearizable/checker.rs"]
mod checker;
#[path = "linearizable/load.rs"]
mod load;
#[path = "linearizable/model.rs"]
mod model;
#[path = "linearizable/planted.rs"]
mod planted;
#[path = "linearizable/versions.rs"]
mod versions;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use crate::support::{Random, Server, serve_in};
use checker::{End, Operation, check};
use load::{OBJECTS, Worker};
use model::Op;

const CLIENTS: usize = 8;
const OPERATIONS: u64 = 100_000;
/// Operations of the longer tier of the tests.
const OPERATIONS_LONG: u64 = 2_000_000;
/// Operations between two kills: between half as many and as many again.
const ROUND_OPERATIONS: u64 = 8_000;
const SEED: u64 = 20_261_129;
/// Small, so that the rounds go over many files of the log.
const SEGMENT_BYTES: &str = "1048576";

#[test]
fn every_operation_has_its_instant() {
    let directory = tempfile::tempdir().unwrap();
    let operations =
        if std::env::var_os("LARDER_LONG_TESTS").is_some() { OPERATIONS_LONG } else { OPERATIONS };
    println!("seed {SEED}, {operations} operations");
    let mut random = Random::new(SEED);
    let mut workers: Vec<Worker> = (0..CLIENTS).map(|number| Worker::new(number, SEED)).collect();
    let mut histories: Vec<Vec<Operation>> = vec![Vec::new(); OBJECTS];
    let time = AtomicU64::new(0);
    let (mut answered, mut rounds, mut unknown) = (0, 0, 0);
    while answered < operations {
        let durability = if rounds % 2 == 0 { "durable" } else { "buffered" };
        let goal = ROUND_OPERATIONS / 2 + random.below(ROUND_OPERATIONS);
        let mut command = serve_in(directory.path());
        command.args(["--log", "error", "--segment-bytes", SEGMENT_BYTES, "--durability", durability]);
        let server = Server::spawn(&mut command);
        // Whatever was under way when the last server was killed has happened by now, or never will.
        let restarted = time.fetch_add(1, Ordering::SeqCst);
        unknown += settle(&mut workers, &mut histories, restarted);
        one_round(server, &mut workers, &time, goal);
        answered += goal;
        rounds += 1;
    }
    unknown += settle(&mut workers, &mut histories, time.load(Ordering::SeqCst));
    let total: usize = histories.iter().map(Vec::len).sum();
    let count =
        |is: fn(&Op) -> bool| histories.iter().flatten().filter(|operation| is(&operation.op)).count();
    println!(
        "{total} operations in {rounds} rounds, {unknown} of them not answered: {} GET, {} SET, {} DEL, {} INCR, {} TXN",
        count(|op| matches!(op, Op::Get(_))),
        count(|op| matches!(op, Op::Set { .. })),
        count(|op| matches!(op, Op::Del { .. })),
        count(|op| matches!(op, Op::Incr { .. })),
        count(|op| matches!(op, Op::Txn { .. })),
    );
    for (object, history) in histories.iter().enumerate() {
        if let Err(number) = check(history) {
            panic!("object {object} is not linearizable:\n{}", around(history, number));
        }
    }
    versions::check(histories.iter().flatten());
}

/// Lets everybody work until so many operations were answered, and kills the server while they go on.
fn one_round(server: Server, workers: &mut [Worker], time: &AtomicU64, goal: u64) {
    thread::scope(|scope| {
        let (answered, answers) = channel();
        for worker in workers {
            // Connected here, and not by a thread that may only start when the server is gone.
            let (client, answered) = (server.connect(), answered.clone());
            scope.spawn(move || worker.work(client, time, &answered));
        }
        drop(answered);
        let done = answers.iter().take(usize::try_from(goal).unwrap()).count();
        assert_eq!(done as u64, goal, "the clients gave up early");
        server.kill();
    });
}

/// Moves what was done into the histories; what was not answered has happened before `until`, or not at all. Returns how
/// many of those there are.
fn settle(workers: &mut [Worker], histories: &mut [Vec<Operation>], until: u64) -> usize {
    let mut unknown = 0;
    for (object, mut operation) in workers.iter_mut().flat_map(|worker| worker.done.drain(..)) {
        if let End::Unknown { until: until_when } = &mut operation.end {
            *until_when = until;
            unknown += 1;
        }
        histories[object].push(operation);
    }
    unknown
}

/// What went on about the operation that nothing explains, in the order of the calls.
fn around(history: &[Operation], number: usize) -> String {
    const SHOWN: usize = 40;
    let mut operations: Vec<_> = history.iter().enumerate().collect();
    operations.sort_by_key(|(_, operation)| operation.called);
    let at = operations.iter().position(|&(other, _)| other == number).unwrap_or_default();
    let shown = operations.iter().skip(at.saturating_sub(SHOWN)).take(2 * SHOWN);
    let mark = |other: usize| if other == number { ">" } else { " " };
    shown.map(|&(other, operation)| format!("{} {operation:?}\n", mark(other))).collect()
}
