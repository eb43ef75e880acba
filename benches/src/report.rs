//! What a run came to, for a person and as one line of JSON.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use serde::Serialize;

use crate::dialect::Dialect;
use crate::measure::{Measurement, ServerUsage};

/// From this share of its core on, the generator and not the server set the pace.
pub const GENERATOR_BUSY_MAX: f64 = 0.85;

/// The load that was asked for.
#[derive(Debug, Clone, Serialize)]
pub struct Setting {
    /// The protocol.
    pub dialect: Dialect,
    /// `get`, `set` or `mixed`.
    pub operation: String,
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each.
    pub pipeline: usize,
    /// Keys in the key space.
    pub keys: u64,
    /// The size of each value.
    pub value_bytes: usize,
}

/// The figures of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was asked for.
    #[serde(flatten)]
    pub setting: Setting,
    /// Wall time.
    pub elapsed_s: f64,
    /// Replies for each second of it.
    pub throughput_per_s: f64,
    /// From the write of a batch to each reply of it.
    pub latency_us: Latency,
    /// What the server used, if its process is known.
    pub server: Option<Server>,
    /// The generator's CPU time as a share of the wall time; it is one thread.
    pub generator_busy: f64,
    /// Replies by kind.
    pub replies: Replies,
}

/// Percentiles in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the names are the whole of it")]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p99_9: f64,
    pub max: f64,
}

/// The server's side.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Server {
    /// CPU microseconds for each reply, by the finer counter there is.
    pub cpu_us_per_op: f64,
    /// The CPU time as a share of the wall time; above 1.0 on more than one core.
    pub busy: f64,
    /// Of the CPU microseconds, outside the kernel, by clock ticks.
    pub user_us_per_op: f64,
    /// Of the CPU microseconds, inside the kernel, by clock ticks.
    pub system_us_per_op: f64,
    /// Whether `cpu_us_per_op` was counted in nanoseconds and not in ticks.
    pub fine: bool,
    /// CPU microseconds of its child processes for each reply; not part of the others.
    pub children_us_per_op: f64,
    /// Resident memory at the end.
    pub resident_bytes: u64,
}

/// Replies by kind.
#[derive(Debug, Clone, Serialize)]
pub struct Replies {
    /// All of them.
    pub total: u64,
    /// Values of the expected size.
    pub values: u64,
    /// GETs that found nothing.
    pub nils: u64,
    /// SETs done.
    pub done: u64,
    /// Error replies.
    pub errors: u64,
    /// Replies of another kind or size than asked for.
    pub wrong: u64,
    /// The first that was an error or wrong.
    pub first_fault: Option<String>,
}

impl Report {
    /// Draws up the figures.
    #[must_use]
    pub fn new(setting: Setting, measurement: &Measurement) -> Self {
        let Measurement { elapsed, tally, generator_cpu, server } = measurement;
        let elapsed_s = elapsed.as_secs_f64();
        let percentile = |share| tally.latency_ns.value_at_quantile(share) as f64 / 1e3;
        Self {
            setting,
            elapsed_s,
            throughput_per_s: tally.replies as f64 / elapsed_s,
            latency_us: Latency {
                p50: percentile(0.5),
                p99: percentile(0.99),
                p99_9: percentile(0.999),
                max: tally.latency_ns.max() as f64 / 1e3,
            },
            server: server.map(|usage| Server::new(&usage, *elapsed, tally.replies)),
            generator_busy: generator_cpu.as_secs_f64() / elapsed_s,
            replies: Replies {
                total: tally.replies,
                values: tally.values,
                nils: tally.nils,
                done: tally.done,
                errors: tally.errors,
                wrong: tally.wrong,
                first_fault: tally.first_fault.clone(),
            },
        }
    }

    /// True if the generator was the bottleneck, so that the figures are not the server's.
    #[must_use]
    pub fn generator_bound(&self) -> bool {
        self.generator_busy >= GENERATOR_BUSY_MAX
    }
}

impl Server {
    fn new(usage: &ServerUsage, elapsed: Duration, replies: u64) -> Self {
        let per_op = |time: Duration| time.as_secs_f64() * 1e6 / replies.max(1) as f64;
        Self {
            cpu_us_per_op: per_op(usage.cpu()),
            busy: usage.cpu().as_secs_f64() / elapsed.as_secs_f64(),
            user_us_per_op: per_op(usage.user),
            system_us_per_op: per_op(usage.system),
            children_us_per_op: per_op(usage.children),
            fine: usage.on_cpu.is_some(),
            resident_bytes: usage.resident_bytes,
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Setting { dialect, operation, connections, pipeline, keys, value_bytes } = &self.setting;
        writeln!(f, "load           {dialect:?} {operation}, {connections} connections x {pipeline} deep")?;
        writeln!(f, "data           {keys} keys, values of {value_bytes} bytes")?;
        writeln!(
            f,
            "throughput     {:.0} /s ({} in {:.2} s)",
            self.throughput_per_s, self.replies.total, self.elapsed_s
        )?;
        let Latency { p50, p99, p99_9, max } = self.latency_us;
        writeln!(f, "latency        p50 {p50:.0} us, p99 {p99:.0} us, p99.9 {p99_9:.0} us, max {max:.0} us")?;
        if let Some(server) = &self.server {
            write!(f, "{server}")?;
        }
        writeln!(f, "generator      {:.0} % of a core", self.generator_busy * 100.0)?;
        let Replies { values, nils, done, errors, wrong, first_fault, .. } = &self.replies;
        write!(f, "replies        {values} values, {nils} nil, {done} done, {errors} errors, {wrong} wrong")?;
        if let Some(fault) = first_fault {
            write!(f, "\nfirst fault    {fault}")?;
        }
        if self.generator_bound() {
            write!(f, "\nWARNING        the generator was the bottleneck: the server can do more than this")?;
        }
        Ok(())
    }
}

impl Display for Server {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let counter = if self.fine { "schedstat" } else { "clock ticks" };
        writeln!(
            f,
            "server CPU     {:.3} us/op by {counter} (by ticks: user {:.3}, system {:.3}), {:.0} % of a core",
            self.cpu_us_per_op,
            self.user_us_per_op,
            self.system_us_per_op,
            self.busy * 100.0
        )?;
        writeln!(f, "its children   {:.3} us/op besides", self.children_us_per_op)?;
        writeln!(f, "server memory  {:.1} MiB resident", self.resident_bytes as f64 / f64::from(1 << 20))
    }
}

/// The one in the middle, or halfway between the two that are; NaN if there is none.
pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        count if count % 2 == 0 => f64::midpoint(figures[middle - 1], figures[middle]),
        _ => figures[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_ignores_the_outlier() {
        assert_eq!(median(vec![3.0, 1e9, 2.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
