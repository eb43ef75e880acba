//! The table of a comparison. Its ratios are what counts: they survive a change of machine, the figures do not.

use std::fmt::Write as _;

use crate::contender::Kind;
use crate::report::{GENERATOR_BUSY_MAX, Report, Server};

/// One load against one server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    operation: &'static str,
    pipeline: usize,
    kind: Kind,
    throughput_per_s: f64,
    server_cpu_us_per_op: f64,
    children_cpu_us_per_op: f64,
    latency_p99_us: f64,
    server_busy: f64,
    generator_busy: f64,
}

impl Row {
    /// The median of each figure over the runs.
    pub(crate) fn of_medians(
        operation: &'static str,
        pipeline: usize,
        kind: Kind,
        reports: &[Report],
    ) -> Self {
        let over = |figure: fn(&Report) -> f64| median(reports.iter().map(figure).collect());
        let server = |figure: fn(&Server) -> f64| {
            median(reports.iter().filter_map(|report| report.server.as_ref()).map(figure).collect())
        };
        Self {
            operation,
            pipeline,
            kind,
            throughput_per_s: over(|report| report.throughput_per_s),
            server_cpu_us_per_op: server(|server| server.cpu_us_per_op),
            children_cpu_us_per_op: server(|server| server.children_us_per_op),
            latency_p99_us: over(|report| report.latency_us.p99),
            server_busy: server(|server| server.busy),
            generator_busy: over(|report| report.generator_busy),
        }
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => f64::NAN,
        count if count % 2 == 0 => f64::midpoint(figures[middle - 1], figures[middle]),
        _ => figures[middle],
    }
}

/// The rows in Markdown. A ratio has the row's own figure above that of redis or the limit under the same load.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| op | pipeline | server | ops/s | ÷ redis | ÷ limit | CPU µs/op | ÷ redis | ÷ limit | children µs/op | p99 µs | server busy | generator busy |\n\
         |---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for row in rows {
        let ratio = |peer, figure: fn(&Row) -> f64| ratio(rows, row, peer, figure);
        let throughput = |row: &Row| row.throughput_per_s;
        let cpu = |row: &Row| row.server_cpu_us_per_op;
        let bound = if row.generator_busy >= GENERATOR_BUSY_MAX { " (!)" } else { "" };
        writeln!(
            text,
            "| {} | {} | {} | {:.0} | {} | {} | {:.3} | {} | {} | {:.3} | {:.0} | {:.0} % | {:.0} %{bound} |",
            row.operation,
            row.pipeline,
            row.kind.name(),
            row.throughput_per_s,
            ratio(Kind::Redis, throughput),
            ratio(Kind::Limit, throughput),
            row.server_cpu_us_per_op,
            ratio(Kind::Redis, cpu),
            ratio(Kind::Limit, cpu),
            row.children_cpu_us_per_op,
            row.latency_p99_us,
            row.server_busy * 100.0,
            row.generator_busy * 100.0,
        )
        .expect("a String takes any text");
    }
    text
}

/// The row's figure against the peer's under the same load; a dash where the peer did not run, or is the row itself.
fn ratio(rows: &[Row], row: &Row, peer: Kind, figure: fn(&Row) -> f64) -> String {
    let same_load = |other: &&Row| (other.operation, other.pipeline) == (row.operation, row.pipeline);
    match rows.iter().filter(same_load).find(|other| other.kind == peer) {
        Some(other) if row.kind != peer => format!("{:.2}", figure(row) / figure(other)),
        _ => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pipeline: usize, kind: Kind, throughput_per_s: f64, generator_busy: f64) -> Row {
        let server_cpu_us_per_op = 1e6 / throughput_per_s;
        Row {
            operation: "GET",
            pipeline,
            kind,
            throughput_per_s,
            server_cpu_us_per_op,
            children_cpu_us_per_op: 0.25,
            latency_p99_us: 900.4,
            server_busy: 0.95,
            generator_busy,
        }
    }

    #[test]
    fn ratios_are_taken_within_one_load() {
        let rows = [
            row(1, Kind::Redis, 1.0, 0.5),
            row(16, Kind::Larder, 200_000.0, 0.5),
            row(16, Kind::Redis, 100_000.0, 0.9),
        ];
        let text = table(&rows);
        let lines: Vec<&str> = text.lines().skip(3).collect();
        assert_eq!(
            lines,
            [
                "| GET | 16 | larder | 200000 | 2.00 | – | 5.000 | 0.50 | – | 0.250 | 900 | 95 % | 50 % |",
                "| GET | 16 | redis | 100000 | – | – | 10.000 | – | – | 0.250 | 900 | 95 % | 90 % (!) |",
            ]
        );
    }

    #[test]
    fn a_median_ignores_the_outlier() {
        assert_eq!(median(vec![3.0, 1e9, 2.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(Vec::new()).is_nan());
    }
}
