//! The load generator of the benchmarks against the real server: what it sends is understood, and what it takes for an answer
//! is one. By the number of requests and not by time.

use clap::ValueEnum;
use larder_benches::arrivals::{Arrivals, Schedule};
use larder_benches::dialect::Dialect;
use larder_benches::pool::Pool;
use larder_benches::random::Random;
use larder_benches::shape::Shape;
use larder_benches::tally::Tally;
use larder_benches::value::Values;
use larder_benches::workload::{Budget, Choice, Expiring, Pace, Workload};

use crate::support::Server;

const KEYS: u64 = 200;
const ACTIONS: u64 = 2000;
const CONNECTIONS: usize = 4;

/// Fills in the keys of a shape and runs some of it.
fn run(server: &Server, shape: Shape, pace: Pace) -> Tally {
    let traffic = shape.traffic();
    let values = Values::generate(&mut Random::seeded(1), traffic.value_bytes);
    let fill = || Workload {
        pipeline: 8,
        expiring: Expiring::Drawn(traffic.lifetimes.clone()),
        ..Workload::fill(Dialect::Larder, traffic.key_bytes, KEYS, &values, Random::seeded(1))
    };
    let mut pool = Pool::open(server.address, CONNECTIONS).unwrap();
    pool.fill(fill()).unwrap();
    let choice = Choice::Drawn(traffic.draw(KEYS));
    let tally = pool.drive(Workload { choice, pace, budget: Budget::Requests(ACTIONS), ..fill() }).unwrap();
    assert!(tally.first_fault.is_none(), "{shape:?}: {:?}", tally.first_fault);
    assert_eq!(tally.latency_ns.len(), tally.replies, "{shape:?}");
    tally
}

#[test]
fn every_shape_is_understood_and_answered() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    for shape in Shape::value_variants() {
        let tally = run(&server, *shape, Pace::Closed);
        let counts = (tally.values, tally.nils, tally.done, tally.refused, tally.scans);
        match shape {
            // Each is a read, an add of a new key, or a read and a swap, which somebody else's may come between.
            Shape::C52 => assert!(tally.replies > ACTIONS && tally.done > tally.refused, "{counts:?}"),
            Shape::C15 => assert_eq!(counts, (0, 0, ACTIONS, 0, 0)),
            Shape::YcsbC => assert_eq!(counts, (ACTIONS, 0, 0, 0, 0)),
            Shape::YcsbE => {
                assert!(tally.scans > 0 && tally.scanned > tally.scans, "{counts:?}");
                assert_eq!(tally.scans + tally.done, ACTIONS);
            }
            Shape::YcsbF => assert_eq!((tally.values, tally.replies), (ACTIONS, ACTIONS + tally.done)),
            _ => assert_eq!(tally.values + tally.nils + tally.done, ACTIONS, "{shape:?}: {counts:?}"),
        }
    }
}

#[test]
fn an_open_loop_is_answered_too() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    // Far more a second than can be sent: what has no room waits for its turn, and nothing is left out.
    for arrivals in [Arrivals::Constant, Arrivals::Poisson] {
        let tally = run(&server, Shape::YcsbF, Pace::Open(Schedule::new(arrivals, 1e7)));
        assert_eq!((tally.values, tally.replies), (ACTIONS, ACTIONS + tally.done));
    }
}
