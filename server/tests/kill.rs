//! The server killed under load, again and again on one directory: nothing acknowledged is lost, nothing half there,
//! nothing that a reader saw is taken back, no version given out twice.

#[path = "kill/history.rs"]
pub(crate) mod history;
#[path = "kill/load.rs"]
mod load;

use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use crate::support::{PATIENCE, Random, Server, serve_in};
use history::{History, Seen};

const ROUNDS: u64 = 50;
/// Rounds of the longer tier of the tests.
const ROUNDS_LONG: u64 = 250;
pub(crate) const WRITERS: usize = 4;
const READERS: usize = 2;
const SEED: u64 = 20_261_120;
/// Small, so that the rounds go over many files of the log.
const SEGMENT_BYTES: &str = "1048576";

#[test]
fn killed_again_and_again() {
    // Kept if the test fails: what is in it is what there is to explain it by.
    let mut directory = tempfile::Builder::new().disable_cleanup(true).tempdir().unwrap();
    println!("in {}", directory.path().display());
    let mut history = History::new(WRITERS);
    let long = std::env::var_os("LARDER_LONG_TESTS").is_some();
    for round in 0..if long { ROUNDS_LONG } else { ROUNDS } {
        let durable = round % 2 == 0;
        let seed = SEED + round;
        // Two rounds with all of the log retained for the change feed, two in which what is sealed is compacted under the load.
        let compacts = round % 4 >= 2;
        println!("round {round}, seed {seed}, durable: {durable}, compacts: {compacts}");
        let mut command = serve_in(directory.path());
        command.args(["--log", "error", "--segment-bytes", SEGMENT_BYTES]);
        if compacts {
            command.args(["--feed-retention", "0"]);
        }
        let server =
            Server::spawn(command.args(["--durability", if durable { "durable" } else { "buffered" }]));
        history.verify(&mut server.connect());
        let batches = if durable { 1 + seed * 7 % 200 } else { 1 + seed * 37 % 1_000 };
        let seen = one_round(server, &mut history, seed, batches, |server| {
            // At level buffered so much is written that there is soon something to compact.
            if compacts && !durable {
                wait_for_compaction(&server);
            }
            server.kill();
        });
        history.note(if durable { seen } else { Seen::default() });
    }
    let server = Server::start(directory.path());
    history.verify(&mut server.connect());
    println!("{} writes acknowledged", history.acknowledged());
    assert!(server.stop().success());
    directory.disable_cleanup(false);
}

/// Until the server has compacted a segment.
fn wait_for_compaction(server: &Server) {
    let (mut client, start) = (server.connect(), Instant::now());
    while client.ask("STATS").contains("\"compaction_segments_in\":0,") {
        assert!(start.elapsed() < PATIENCE, "nothing is compacted while the log grows");
    }
}

/// Loads the server until `batches` were acknowledged, ends it while they go on, and collects what everybody saw.
pub(crate) fn one_round(
    server: Server,
    history: &mut History,
    seed: u64,
    batches: u64,
    end: impl FnOnce(Server),
) -> Seen {
    let floor = history.newest_version();
    thread::scope(|scope| {
        let (acknowledged, batches_done) = channel();
        for (number, writer) in history.writers.iter_mut().enumerate() {
            let (acknowledged, random) = (acknowledged.clone(), Random::new(seed * 100 + number as u64));
            // Connected here, and not by a thread that may only start when the server is gone.
            let client = server.connect();
            scope.spawn(move || load::write(client, writer, floor, random, &acknowledged));
        }
        let readers: Vec<_> = (0..READERS)
            .map(|number| {
                let (client, random) = (server.connect(), Random::new(seed * 100 + 50 + number as u64));
                scope.spawn(move || load::read(client, WRITERS, random))
            })
            .collect();
        drop(acknowledged);
        let done = batches_done.iter().take(usize::try_from(batches).unwrap()).count();
        assert_eq!(done as u64, batches, "the writers gave up early");
        end(server);
        let mut seen = Seen::default();
        readers.into_iter().for_each(|reader| seen.merge(reader.join().unwrap()));
        seen
    })
}
