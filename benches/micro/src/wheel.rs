//! The timing wheel.

use std::hint::black_box;

use larder_engine::wheel::{Progress, Timer, Wheel};

use crate::Path;
use crate::data::{ENTRIES, shuffled};

const START_MS: u64 = 1_800_000_000_000;
/// Between one deadline and the next: ten thousand of them are some six days.
const STEP_MS: u64 = 54_321;
/// Moves of an advance.
const BUDGET: usize = 1000;

fn insert_all(wheel: &mut Wheel<u64>) -> Vec<Timer> {
    shuffled().map(|number| wheel.insert(START_MS + (1 + number as u64) * STEP_MS, number as u64)).collect()
}

pub(crate) fn insert_and_cancel() -> Path {
    let mut wheel = Wheel::new(START_MS);
    Path::new(ENTRIES, move || {
        for timer in insert_all(&mut wheel) {
            black_box(wheel.cancel(timer));
        }
    })
}

pub(crate) fn insert_and_advance() -> Path {
    Path::new(ENTRIES, || {
        let mut wheel = Wheel::new(START_MS);
        black_box(insert_all(&mut wheel));
        let mut due = 0;
        while !wheel.is_empty() {
            let now_ms = wheel.wake_at_ms().unwrap_or(START_MS);
            while wheel.advance(now_ms, BUDGET, |_| due += 1) == Progress::More {}
            while let Some(timer) = wheel.first_due() {
                black_box(wheel.cancel(timer));
            }
        }
        assert_eq!(due, ENTRIES);
    })
}
