//! Loads by name: those of caches in production, and those that stores are commonly compared by.
//!
//! The clusters are from the published statistics of Twitter's caches (J. Yang, Y. Yue, K. V. Rashmi, "A large scale analysis
//! of hundreds of in-memory cache clusters at Twitter", OSDI 2020): sizes of keys and values, mix, the most common lifetimes,
//! exponent of Zipf's law, share of keys that are asked for once. Of a mix or a list of lifetimes that does not come to 1
//! the proportions count. The others are the core workloads of YCSB (B. Cooper et al., "Benchmarking cloud serving systems
//! with YCSB", SoCC 2010), with records of 1,000 bytes.

use clap::ValueEnum;
use serde::Serialize;

use crate::dialect::Expiry;
use crate::key::KEY_BYTES;
use crate::lifetime::Lifetimes;
use crate::mix::{Action, Mix};
use crate::popularity::Popularity;
use crate::weighted::Weighted;
use crate::workload::Draw;

/// The name of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Twitter, cluster 52: small values, mostly read.
    C52,
    /// Twitter, cluster 29: middle-sized values, mostly read.
    C29,
    /// Twitter, cluster 12: mostly written.
    C12,
    /// Twitter, cluster 15: written only, and nearly all keys once.
    C15,
    /// Twitter, cluster 37: large values of short lives.
    C37,
    /// Twitter, cluster 24: read, of a few popular keys.
    C24,
    /// YCSB A: half reads, half updates.
    YcsbA,
    /// YCSB B: mostly reads.
    YcsbB,
    /// YCSB C: reads only.
    YcsbC,
    /// YCSB D: reads of what was inserted last.
    YcsbD,
    /// YCSB E: short scans.
    YcsbE,
    /// YCSB F: reads, and changes of what was read.
    YcsbF,
}

/// All of a load that does not depend on the server, nor on how fast it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// The size of each key.
    pub key_bytes: usize,
    /// The size of each value.
    pub value_bytes: usize,
    /// What clients do.
    pub mix: Mix,
    /// How long what is stored lives.
    pub lifetimes: Lifetimes,
    /// The exponent of Zipf's law, by which keys are drawn; 0 draws them evenly.
    pub alpha: f64,
    /// Whether the newest keys are the most popular ones.
    pub latest: bool,
    /// The share of SETs whose key is new, and not asked for again.
    pub one_hit: f64,
    /// The most entries that a scan lists.
    pub scan_max: u32,
}

impl Default for Traffic {
    /// Reads of keys drawn evenly, of the usual sizes.
    fn default() -> Self {
        Self {
            key_bytes: KEY_BYTES,
            value_bytes: 190,
            mix: Weighted::always(Action::Get),
            lifetimes: Weighted::always(Expiry::Never),
            alpha: 0.0,
            latest: false,
            one_hit: 0.0,
            scan_max: 100,
        }
    }
}

impl Traffic {
    /// What is drawn from so many keys.
    #[must_use]
    pub fn draw(&self, keys: u64) -> Draw {
        Draw {
            mix: self.mix.clone(),
            popularity: Popularity::new(keys, self.alpha, self.latest),
            one_hit: self.one_hit,
            scan_max: self.scan_max,
            inserted: 0,
        }
    }

    /// Whether it has scans, which not every dialect has.
    #[must_use]
    pub fn has_scans(&self) -> bool {
        self.mix.iter().any(|(action, _)| action == Action::Scan)
    }
}

impl Shape {
    /// The name by which it is asked for.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().expect("every shape has a name").get_name().to_owned()
    }

    /// What it is.
    #[must_use]
    pub fn traffic(self) -> Traffic {
        use Action::{Add, Cas, Get, Insert, Rmw, Scan, Set};
        const MINUTE: u32 = 60;
        const HOUR: u32 = 3600;
        const DAY: u32 = 86_400;
        match self {
            Self::C52 => cluster(
                (20, 273),
                &[(Get, 0.91), (Add, 0.04), (Cas, 0.02)],
                &[(DAY, 0.65), (14 * DAY, 0.27), (12 * HOUR, 0.07)],
                1.21,
            ),
            Self::C29 => {
                cluster((36, 799), &[(Get, 0.86), (Set, 0.13)], &[(HOUR, 0.67), (2 * HOUR, 0.33)], 1.23)
            }
            Self::C12 => cluster((44, 1030), &[(Set, 0.8), (Get, 0.2)], &[(5 * MINUTE, 1.0)], 0.3),
            Self::C15 => Traffic { one_hit: 0.996, ..cluster((18, 102), &[(Set, 1.0)], &[(30, 1.0)], 0.0) },
            Self::C37 => {
                cluster((72, 20_134), &[(Get, 0.63), (Set, 0.37)], &[(20, 0.91), (5 * MINUTE, 0.06)], 0.43)
            }
            Self::C24 => cluster(
                (32, 699),
                &[(Get, 0.99), (Set, 0.01)],
                &[(14 * DAY, 0.71), (MINUTE, 0.19), (30 * DAY, 0.03)],
                1.37,
            ),
            Self::YcsbA => ycsb(&[(Get, 0.5), (Set, 0.5)]),
            Self::YcsbB => ycsb(&[(Get, 0.95), (Set, 0.05)]),
            Self::YcsbC => ycsb(&[(Get, 1.0)]),
            Self::YcsbD => Traffic { latest: true, ..ycsb(&[(Get, 0.95), (Insert, 0.05)]) },
            Self::YcsbE => ycsb(&[(Scan, 0.95), (Insert, 0.05)]),
            Self::YcsbF => ycsb(&[(Get, 0.5), (Rmw, 0.5)]),
        }
    }
}

fn cluster(
    (key_bytes, value_bytes): (usize, usize),
    mix: &[(Action, f64)],
    seconds: &[(u32, f64)],
    alpha: f64,
) -> Traffic {
    let lifetimes: Vec<_> =
        seconds.iter().map(|&(seconds, share)| (Expiry::After { seconds }, share)).collect();
    let lifetimes = Weighted::new(&lifetimes).expect("constants above 0");
    Traffic { key_bytes, value_bytes, mix: mixed(mix), lifetimes, alpha, ..Traffic::default() }
}

fn ycsb(mix: &[(Action, f64)]) -> Traffic {
    Traffic { value_bytes: 1000, mix: mixed(mix), alpha: 0.99, ..Traffic::default() }
}

fn mixed(mix: &[(Action, f64)]) -> Mix {
    Weighted::new(mix).expect("constants above 0")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{KEY_BYTES_MAX, KEY_BYTES_MIN};
    use crate::value::{VALUE_BYTES_MAX, VALUE_BYTES_MIN};

    #[test]
    fn every_shape_can_be_asked_for() {
        for shape in Shape::value_variants() {
            let traffic = shape.traffic();
            assert!((KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&traffic.key_bytes), "{shape:?}");
            assert!((VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&traffic.value_bytes), "{shape:?}");
            assert_eq!(traffic.has_scans(), *shape == Shape::YcsbE);
            assert_eq!(Shape::from_str(&shape.name(), false), Ok(*shape));
        }
        assert_eq!(Shape::YcsbA.name(), "ycsb-a");
    }
}
