//! What the server has to reach beside others, and whether it does.
//!
//! A throughput counts only where the load generator was not the bottleneck, of either of the two that are compared;
//! otherwise the CPU time for each operation decides by itself.

use std::fmt::Write as _;

use super::table::{Figures, Row, peer};
use super::tails::{Tails, What};
use crate::contender::{Kind, Level};

/// Throughput against Redis at least, and CPU time for each operation against its at most, at each depth.
const AGAINST_REDIS: [(usize, f64, f64); 3] = [(1, 1.0, 1.0), (16, 1.3, 0.67), (64, 1.3, 0.67)];
/// The share of the server that answers constants, of its throughput, at this depth.
const OF_LIMIT: (usize, f64) = (16, 0.7);
/// What may come to the slowest of a hundred GETs.
const GET_P99_MORE_US_MAX: f64 = 2000.0;
/// How many times as long as of the loop the slowest of a hundred SETs may take.
const SET_P99_TIMES_MAX: f64 = 3.0;

/// One thing to reach.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Target {
    what: String,
    asked: String,
    found: String,
    verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Met,
    Missed,
    /// The generator was the bottleneck; what is met or missed is the bound on CPU time.
    MetByCpu,
    MissedByCpu,
}

impl Verdict {
    fn text(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "**missed**",
            Self::MetByCpu => "met, by CPU alone",
            Self::MissedByCpu => "**missed**, by CPU alone",
        }
    }

    /// Of a throughput and CPU time, of which the first may not count.
    fn of(is_bound: bool, is_fast: bool, is_cheap: bool) -> Self {
        match (is_bound, is_fast, is_cheap) {
            (false, true, true) => Self::Met,
            (false, _, _) => Self::Missed,
            (true, _, true) => Self::MetByCpu,
            (true, _, false) => Self::MissedByCpu,
        }
    }
}

/// Everything that was measured and is to be reached.
pub(super) fn targets(pipelines: &[Row], tails: Option<&Tails>) -> Vec<Target> {
    let own = |load: &str, level, pipeline| {
        let row = pipelines.iter().find(|row| {
            (row.kind, row.load.as_str(), row.level, row.pipeline) == (Kind::Larder, load, level, pipeline)
        })?;
        Some((row, row.figures?))
    };
    let mut targets = Vec::new();
    for (load, level) in [("GET", Level::Buffered), ("SET", Level::Buffered), ("SET", Level::Durable)] {
        for bounds in AGAINST_REDIS {
            let found = own(load, level, bounds.0)
                .and_then(|(row, own)| Some((row, own, peer(pipelines, row, Kind::Redis)?)));
            targets.extend(found.map(|(row, own, redis)| against_redis(row, &own, &redis, bounds)));
        }
    }
    let found = own("GET", Level::Buffered, OF_LIMIT.0)
        .and_then(|(row, own)| Some((own, peer(pipelines, row, Kind::Limit)?)));
    targets.extend(found.map(|(own, limit)| of_limit(&own, &limit)));
    targets.extend(tails.into_iter().flat_map(of_tails));
    targets
}

fn against_redis(
    row: &Row,
    own: &Figures,
    redis: &Figures,
    (_, throughput_min, cpu_max): (usize, f64, f64),
) -> Target {
    let throughput = own.throughput_per_s / redis.throughput_per_s;
    let cpu = own.server_cpu_us_per_op / redis.server_cpu_us_per_op;
    let level = |kind: Kind| kind.level(row.level).unwrap_or_default();
    let is_bound = own.generator_bound() || redis.generator_bound();
    Target {
        what: format!(
            "{}, pipeline {}, {} to {} of Redis",
            row.load,
            row.pipeline,
            level(Kind::Larder),
            level(Kind::Redis)
        ),
        asked: format!("≥ {throughput_min} × ops/s, ≤ {cpu_max} × CPU"),
        found: format!("{throughput:.2} ×, {cpu:.2} ×"),
        verdict: Verdict::of(is_bound, throughput >= throughput_min, cpu <= cpu_max),
    }
}

fn of_limit(own: &Figures, limit: &Figures) -> Target {
    let (pipeline, share_min) = OF_LIMIT;
    let share = own.throughput_per_s / limit.throughput_per_s;
    let of_cpu = limit.server_cpu_us_per_op / own.server_cpu_us_per_op;
    let is_bound = own.generator_bound() || limit.generator_bound();
    Target {
        what: format!("GET, pipeline {pipeline}, share of the constant-answer server"),
        asked: format!("≥ {share_min}"),
        found: format!("{share:.2}, by CPU {of_cpu:.2}"),
        verdict: Verdict::of(is_bound, share >= share_min, !is_bound || of_cpu >= share_min),
    }
}

fn of_tails(tails: &Tails) -> impl Iterator<Item = Target> {
    let more = |what: What, idle: What| {
        let (found, idle) = (tails.p99_us(what)?, tails.p99_us(idle)?);
        Some(Target {
            what: format!("p99 of {}", what.name()),
            asked: format!("≤ idle + {GET_P99_MORE_US_MAX:.0} µs"),
            found: format!("{found:.0} µs, idle {idle:.0} µs"),
            verdict: Verdict::of(false, found <= idle + GET_P99_MORE_US_MAX, true),
        })
    };
    let times = |what: What, beside: What| {
        let (found, least) = (tails.p99_us(what)?, tails.p99_us(beside)?);
        Some(Target {
            what: format!("p99 of {}", what.name()),
            asked: format!("≤ {SET_P99_TIMES_MAX} × the loop of write and fdatasync beside the same"),
            found: format!("{:.2} × ({found:.0} µs, the loop {least:.0} µs)", found / least),
            verdict: Verdict::of(false, found <= SET_P99_TIMES_MAX * least, true),
        })
    };
    [
        more(What::GetCompacting, What::GetIdle),
        more(What::GetBesideCold, What::GetHot),
        times(What::SetDurable, What::Loop),
    ]
    .into_iter()
    .flatten()
}

/// The targets in Markdown.
pub(super) fn markdown(targets: &[Target]) -> String {
    let mut text = String::from("| measure | at least, or at most | found | |\n|---|---|--:|---|\n");
    for Target { what, asked, found, verdict } in targets {
        writeln!(text, "| {what} | {asked} | {found} | {} |", verdict.text())
            .expect("a String takes any text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::table::row;
    use super::super::tails::TailRow;
    use super::*;

    fn verdicts(rows: &[Row]) -> Vec<Verdict> {
        targets(rows, None).iter().map(|target| target.verdict).collect()
    }

    #[test]
    fn throughput_and_cpu_both_have_to_be_reached() {
        for (larder, verdict) in [(150.0, Verdict::Met), (140.0, Verdict::Missed), (120.0, Verdict::Missed)] {
            // CPU time for each operation is the inverse of the throughput here: 140 is fast enough, and not cheap enough.
            let rows = [row("GET", 16, Kind::Larder, larder, 0.5), row("GET", 16, Kind::Redis, 100.0, 0.5)];
            assert_eq!(verdicts(&rows), [verdict], "{larder}");
        }
    }

    #[test]
    fn a_busy_generator_leaves_it_to_cpu() {
        for (larder, redis, expected) in [(0.9, 0.5, Verdict::MetByCpu), (0.5, 0.9, Verdict::MetByCpu)] {
            let rows =
                [row("SET", 64, Kind::Larder, 200.0, larder), row("SET", 64, Kind::Redis, 100.0, redis)];
            assert_eq!(verdicts(&rows), [expected]);
        }
        let rows = [row("GET", 16, Kind::Larder, 60.0, 0.9), row("GET", 16, Kind::Limit, 100.0, 0.9)];
        assert_eq!(verdicts(&rows), [Verdict::MissedByCpu]);
    }

    #[test]
    fn the_slowest_are_set_against_what_they_stand_beside() {
        let tail =
            |what, p99_us| TailRow { what, p50_us: 1.0, p99_us, p99_9_us: 1.0, max_us: 1.0, requests: 1.0 };
        let tails = Tails {
            rows: vec![
                tail(What::GetIdle, 100.0),
                tail(What::GetCompacting, 2100.0),
                tail(What::SetDurable, 3001.0),
                tail(What::Loop, 1000.0),
            ],
            notes: Vec::new(),
        };
        let found = targets(&[], Some(&tails));
        let verdicts: Vec<_> = found.iter().map(|target| target.verdict).collect();
        assert_eq!(verdicts, [Verdict::Met, Verdict::Missed]);
        assert!(markdown(&found).contains("3.00 × (3001 µs, the loop 1000 µs) | **missed** |"));
    }
}
