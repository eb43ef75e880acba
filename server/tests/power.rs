//! A real file system shut down hard under load, again and again: everything acknowledged as durable is on it.
//!
//! Also what is acknowledged in the instant of the shutdown, which a sync alone does not guarantee (`docs/engine.md`, what a
//! sync says).

use crate::kill::history::History;
use crate::kill::{WRITERS, one_round};
use crate::mounted::Mounted;
use crate::support::{Server, serve_in};

const ROUNDS: u64 = 6;
/// Rounds of the longer tier of the tests.
const ROUNDS_LONG: u64 = 60;
const SEED: u64 = 20_261_121;

#[test]
fn a_file_system_that_ends_under_load() {
    let Some(mounted) = Mounted::ext4() else { return };
    let data = mounted.path().join("data");
    let mut history = History::new(WRITERS);
    let long = std::env::var_os("LARDER_LONG_TESTS").is_some();
    for round in 0..if long { ROUNDS_LONG } else { ROUNDS } {
        let seed = SEED + round;
        println!("round {round}, seed {seed}");
        let mut command = serve_in(&data);
        // Small, so that the rounds go over many files of the log.
        let server = Server::spawn(command.args(["--log", "error", "--segment-bytes", "1048576"]));
        history.verify(&mut server.connect());
        let seen = one_round(server, &mut history, seed, 5 + seed * 7 % 100, |server| {
            if round % 2 == 0 {
                mounted.shut_down();
            } else {
                mounted.abort_journal();
            }
            server.kill();
        });
        history.note(seen);
        mounted.remount();
    }
    let server = Server::start(&data);
    history.verify(&mut server.connect());
    println!("{} writes acknowledged", history.acknowledged());
    assert!(server.stop().success());
}
