//! The text format of Prometheus (version 0.0.4). Times are in seconds, sizes in bytes.

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use larder_engine::{SegmentStats, Stats};
use larder_protocol::{COMMANDS, Code};

use super::{HTTP_REASONS, INTERFACES};
use crate::access::Organization;
use crate::shared::{Shared, durability_name};

/// All of it; with what each organization has, if that may be told.
pub(crate) fn render(shared: &Shared, organizations: Option<&[(Arc<Organization>, u64)]>) -> String {
    let mut text = Text::default();
    server(&mut text, shared);
    requests(&mut text, shared);
    store(&mut text, &shared.store.stats());
    if let Some(organizations) = organizations {
        text.family("larder_organization_entries", "gauge", "Entries of an organization.");
        for (organization, entries) in organizations {
            text.sample("larder_organization_entries", &[("organization", &organization.name)], entries);
        }
        text.family("larder_organization_entries_max", "gauge", "Entries that an organization may have.");
        for (organization, _) in organizations {
            if let Some(most) = organization.terms.entries() {
                text.sample("larder_organization_entries_max", &[("organization", &organization.name)], most);
            }
        }
    }
    text.0
}

fn server(text: &mut Text, shared: &Shared) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counters = &shared.counters;
    text.family("larder_info", "gauge", "The server; always 1.");
    let labels = [("version", env!("CARGO_PKG_VERSION")), ("durability", durability_name(shared.durability))];
    text.sample("larder_info", &labels, 1);
    text.gauge("larder_uptime_seconds", "Time since the server started.", shared.started.elapsed().as_secs());
    text.gauge("larder_connections", "Connections that are open.", shared.connections());
    text.gauge("larder_connections_max", "Connections that may be open.", shared.terms.connections_max);
    text.counter(
        "larder_connections_accepted_total",
        "Connections that were given a place.",
        count(&counters.accepted),
    );
    text.counter(
        "larder_connections_refused_total",
        "Connections that were turned away, since all places were taken.",
        count(&counters.refused),
    );
    text.gauge("larder_watchers", "Clients that follow the change feed.", shared.watchers.count());
    text.counter(
        "larder_watchers_cut_total",
        "Watchers that were cut off because they were too slow.",
        shared.watchers.cut_count(),
    );
}

fn requests(text: &mut Text, shared: &Shared) {
    const TIMES: &str = "larder_request_duration_seconds";
    const REJECTED: &str = "larder_requests_rejected_total";
    let interfaces = || INTERFACES.iter().zip(&shared.metrics.interfaces);
    text.family(TIMES, "histogram", "Time that commands took; over the line protocol, that of their round.");
    for ((_, interface), counted) in interfaces() {
        for (row, histogram) in COMMANDS.iter().zip(&counted.commands) {
            let counts = histogram.counts();
            if counts.iter().any(|count| *count > 0) {
                let labels = [("interface", *interface), ("command", row.name)];
                text.histogram(TIMES, &labels, &counts);
                text.sample(&format!("{TIMES}_sum"), &labels, Micros(histogram.sum_us()));
            }
        }
    }
    text.family(REJECTED, "counter", "Requests that were answered with an error, by its code.");
    let reasons = || Code::ALL.iter().map(|code| code.as_str()).chain(HTTP_REASONS);
    for ((_, interface), counted) in interfaces() {
        for (reason, counter) in reasons().zip(&counted.rejected) {
            let count = counter.load(Ordering::Relaxed);
            if count > 0 {
                text.sample(REJECTED, &[("interface", interface), ("reason", reason)], count);
            }
        }
    }
}

fn store(text: &mut Text, stats: &Stats) {
    let of_segments = |bytes: fn(&SegmentStats) -> u64| stats.segments.iter().map(bytes).sum::<u64>();
    let compaction = &stats.compaction;
    for (name, help, value) in [
        ("larder_entries", "Entries, those that are overdue included.", stats.entries),
        ("larder_timed_entries", "Entries that have a deadline.", stats.timed_entries),
        (
            "larder_overdue_entries",
            "Entries past their deadline that are not ended yet.",
            stats.overdue_entries,
        ),
        ("larder_index_bytes", "Memory of the index, estimated.", stats.index_bytes),
        ("larder_tombstones", "Records of deletes that are still needed.", stats.tombstones),
        ("larder_tombstone_bytes", "Their bytes in the log.", stats.tombstone_bytes),
        ("larder_segments", "Files of the log.", stats.segments.len() as u64),
        ("larder_log_bytes", "Bytes of the log.", stats.log_bytes),
        ("larder_live_bytes", "Bytes of the log that are in use.", of_segments(|segment| segment.live_bytes)),
        ("larder_dead_bytes", "Bytes that compaction would win.", of_segments(|segment| segment.dead_bytes)),
        ("larder_pinned_bytes", "Bytes of files that are only kept for who reads them.", stats.pinned_bytes),
        ("larder_snapshots", "Snapshots that are open.", stats.snapshots as u64),
        ("larder_pending_bytes", "Bytes of log that are not acknowledged yet.", stats.pending_bytes),
        ("larder_newest_version", "Version of the newest change.", stats.sequence),
        (
            "larder_acknowledged_version",
            "Version up to which all is acknowledged.",
            stats.acknowledged_sequence,
        ),
        ("larder_durable_version", "Version up to which all is durable.", stats.durable_sequence),
        ("larder_feed_floor_version", "Lowest version to watch from.", stats.feed_floor),
        ("larder_store_failed", "1 once nothing is acknowledged any more.", stats.failed.into()),
        ("larder_store_short_of_space", "1 while the log has no room to grow.", stats.short_of_space.into()),
    ] {
        text.gauge(name, help, value);
    }
    for (name, help, value) in [
        ("larder_expired_entries_total", "Entries that have expired.", stats.expired),
        (
            "larder_compaction_segments_total",
            "Files that compaction has replaced.",
            compaction.segments_in as u64,
        ),
        ("larder_compaction_read_bytes_total", "Their bytes.", compaction.bytes_in),
        ("larder_compaction_written_bytes_total", "Bytes that came of them.", compaction.bytes_out),
        (
            "larder_compaction_damaged_total",
            "Files in which it found damage.",
            compaction.damaged.len() as u64,
        ),
    ] {
        text.counter(name, help, value);
    }
    let micros = |time: std::time::Duration| Micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    text.counter("larder_compaction_seconds_total", "Time that it took.", micros(compaction.duration));
    text.gauge("larder_recovery_seconds", "Time that opening the store took.", micros(stats.recovery_time));
    let times = "larder_sync_duration_seconds";
    text.family(times, "histogram", "Time that syncs of the log took.");
    text.histogram(times, &[], &stats.sync_micros_log2);
    let times = "larder_expiry_lag_seconds";
    text.family(times, "histogram", "Time from a deadline to the end of the entry.");
    text.histogram(times, &[], &stats.expiry_lag_micros_log2);
}

/// The text so far.
#[derive(Default)]
struct Text(String);

impl Text {
    /// What is said of all samples of that name, before the first.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, &[], value);
    }

    /// Values of labels are names of ours: nothing in them has to be escaped.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            _ = write!(self.0, "{before}{label}=\"{text}\"");
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        _ = writeln!(self.0, " {value}");
    }

    /// Times by powers of two of a microsecond, the last of which has no bound.
    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], counts: &[u64]) {
        let bucket = format!("{name}_bucket");
        let mut total = 0;
        for (power, count) in counts.iter().enumerate() {
            total += count;
            let bound = match power + 1 == counts.len() {
                true => "+Inf".to_owned(),
                false => Micros(1 << power).to_string(),
            };
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.sample(&bucket, &labels, total);
        }
        self.sample(&format!("{name}_count"), labels, total);
    }
}

/// Microseconds, shown as seconds.
struct Micros(u64);

impl Display for Micros {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
