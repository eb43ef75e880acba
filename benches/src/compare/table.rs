//! The tables of a comparison. Their ratios are what counts: they survive a change of machine, the figures do not.

use crate::contender::{Kind, Level};
use crate::report::{GENERATOR_BUSY_MAX, Report, Server, median};

/// One load against one server.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) load: String,
    pub(super) pipeline: usize,
    pub(super) kind: Kind,
    pub(super) level: Level,
    /// `None` if the server lacks what is asked of it.
    pub(super) figures: Option<Figures>,
}

/// Medians over the runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    pub(super) throughput_per_s: f64,
    pub(super) server_cpu_us_per_op: f64,
    pub(super) children_cpu_us_per_op: f64,
    pub(super) latency_p99_us: f64,
    pub(super) server_busy: f64,
    pub(super) resident_bytes: f64,
    pub(super) generator_busy: f64,
}

impl Figures {
    /// Whether the load generator set the pace, and not the server.
    pub(super) fn generator_bound(&self) -> bool {
        self.generator_busy >= GENERATOR_BUSY_MAX
    }
}

impl Row {
    /// The median of each figure over the runs.
    pub(super) fn of_medians(
        load: &str,
        pipeline: usize,
        kind: Kind,
        level: Level,
        reports: Option<&[Report]>,
    ) -> Self {
        let figures = reports.map(|reports| {
            let over = |figure: fn(&Report) -> f64| median(reports.iter().map(figure).collect());
            let server = |figure: fn(&Server) -> f64| {
                median(reports.iter().filter_map(|report| report.server.as_ref()).map(figure).collect())
            };
            Figures {
                throughput_per_s: over(|report| report.throughput_per_s),
                server_cpu_us_per_op: server(|server| server.cpu_us_per_op),
                children_cpu_us_per_op: server(|server| server.children_us_per_op),
                latency_p99_us: over(|report| report.latency_us.p99),
                server_busy: server(|server| server.busy),
                resident_bytes: server(|server| server.resident_bytes as f64),
                generator_busy: over(|report| report.generator_busy),
            }
        });
        Self { load: load.to_owned(), pipeline, kind, level, figures }
    }

    /// What is compared with this one.
    fn same_load(&self, other: &Self) -> bool {
        (&self.load, self.pipeline, self.level) == (&other.load, other.pipeline, other.level)
    }
}

/// The figures of a server under the same load.
pub(super) fn peer(rows: &[Row], row: &Row, kind: Kind) -> Option<Figures> {
    rows.iter().find(|other| other.kind == kind && row.same_load(other))?.figures
}

/// The rows in Markdown. A ratio has the row's own figure above that of the peer under the same load.
pub(super) fn markdown(rows: &[Row]) -> String {
    const PEERS: [Kind; 3] = [Kind::Redis, Kind::Memcached, Kind::Limit];
    let peers: Vec<Kind> =
        PEERS.into_iter().filter(|peer| rows.iter().any(|row| row.kind == *peer)).collect();
    let ratios: String = peers.iter().map(|peer| format!(" ÷ {} |", peer.name())).collect();
    let mut text = format!(
        "| load | pipeline | server | ops/s |{ratios} CPU µs/op |{ratios} children µs/op | p99 µs | server MiB | server busy | generator busy |\n\
         |---|--:|---|--:|{dashes}--:|{dashes}--:|--:|--:|--:|--:|\n",
        dashes = "--:|".repeat(peers.len()),
    );
    for row in rows {
        let level = row.kind.level(row.level).unwrap_or_default();
        let mut line = format!("| {} | {} | {}, {level} |", row.load, row.pipeline, row.kind.name());
        match &row.figures {
            None => {
                line.push_str(" has no scans |");
                line.push_str(&" – |".repeat(2 * peers.len() + 6));
            }
            Some(figures) => push_figures(&mut line, rows, row, figures, &peers),
        }
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn push_figures(line: &mut String, rows: &[Row], row: &Row, figures: &Figures, peers: &[Kind]) {
    let mut push = |text: String| {
        line.push(' ');
        line.push_str(&text);
        line.push_str(" |");
    };
    let ratio = |kind: Kind, figure: fn(&Figures) -> f64| match peer(rows, row, kind) {
        Some(other) if row.kind != kind => format!("{:.2}", figure(figures) / figure(&other)),
        _ => "–".to_owned(),
    };
    push(format!("{:.0}", figures.throughput_per_s));
    peers.iter().for_each(|peer| push(ratio(*peer, |figures| figures.throughput_per_s)));
    push(format!("{:.3}", figures.server_cpu_us_per_op));
    peers.iter().for_each(|peer| push(ratio(*peer, |figures| figures.server_cpu_us_per_op)));
    push(format!("{:.3}", figures.children_cpu_us_per_op));
    push(format!("{:.0}", figures.latency_p99_us));
    push(format!("{:.0}", figures.resident_bytes / f64::from(1 << 20)));
    push(format!("{:.0} %", figures.server_busy * 100.0));
    let bound = if figures.generator_bound() { " (!)" } else { "" };
    push(format!("{:.0} %{bound}", figures.generator_busy * 100.0));
}

/// Rows for the tests of what is made of them.
#[cfg(test)]
pub(super) fn row(
    load: &str,
    pipeline: usize,
    kind: Kind,
    throughput_per_s: f64,
    generator_busy: f64,
) -> Row {
    Row {
        load: load.to_owned(),
        pipeline,
        kind,
        level: Level::Buffered,
        figures: Some(Figures {
            throughput_per_s,
            server_cpu_us_per_op: 1e6 / throughput_per_s,
            children_cpu_us_per_op: 0.25,
            latency_p99_us: 900.4,
            server_busy: 0.95,
            resident_bytes: 104_857_600.0,
            generator_busy,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_one_load() {
        let rows = [
            row("GET", 1, Kind::Redis, 1.0, 0.5),
            row("GET", 16, Kind::Larder, 200_000.0, 0.5),
            row("GET", 16, Kind::Redis, 100_000.0, 0.9),
            Row { level: Level::Durable, ..row("GET", 16, Kind::Redis, 1.0, 0.5) },
            Row { figures: None, ..row("ycsb-e", 16, Kind::Redis, 1.0, 0.5) },
        ];
        let text = markdown(&rows);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[0].contains("| ops/s | ÷ redis | CPU µs/op | ÷ redis | children"), "{text}");
        assert_eq!(
            lines[3],
            "| GET | 16 | larder, buffered | 200000 | 2.00 | 5.000 | 0.50 | 0.250 | 900 | 100 | 95 % | 50 % |"
        );
        assert_eq!(
            lines[4],
            "| GET | 16 | redis, everysec | 100000 | – | 10.000 | – | 0.250 | 900 | 100 | 95 % | 90 % (!) |"
        );
        assert_eq!(
            lines[6],
            "| ycsb-e | 16 | redis, everysec | has no scans | – | – | – | – | – | – | – | – |"
        );
        let columns = |line: &str| line.matches('|').count();
        assert!(lines.iter().all(|line| columns(line) == columns(lines[0])), "{text}");
    }
}
