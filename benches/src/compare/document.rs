//! The report of a comparison: what was run on what, what had to be reached, the tables, and plots of them.

use std::fmt::Write as _;

use super::table::{self, Figures, Row};
use super::tails::{TailRow, Tails};
use super::{Comparison, Conditions, targets};
use crate::chart::{Bar, Chart, Group};
use crate::contender::{Kind, Level};

/// Plots and their names, of what there is.
pub(super) fn plots(comparison: &Comparison) -> Vec<(&'static str, Chart)> {
    let Comparison { pipelines, shapes, tails, .. } = comparison;
    let throughput: Plotted = (|figures| figures.throughput_per_s, 0);
    let cpu: Plotted = (|figures| figures.server_cpu_us_per_op, 2);
    let mut plots = Vec::new();
    if !pipelines.is_empty() {
        plots.push(("throughput", of_rows("Operations a second; more is better", pipelines, throughput)));
        plots.push((
            "cpu",
            of_rows("CPU microseconds of the server for each operation; less is better", pipelines, cpu),
        ));
    }
    if !shapes.is_empty() {
        plots.push((
            "shapes",
            of_rows("Operations a second, loads by name; more is better", shapes, throughput),
        ));
        plots.push((
            "shapes-cpu",
            of_rows(
                "CPU microseconds of the server for each operation, loads by name; less is better",
                shapes,
                cpu,
            ),
        ));
    }
    plots.extend(tails.iter().map(|tails| ("tails", of_tails(tails))));
    plots
}

/// What of the figures is shown, with how many places.
type Plotted = (fn(&Figures) -> f64, usize);

const SERIES: [Kind; 4] = [Kind::Larder, Kind::Redis, Kind::Memcached, Kind::Limit];

/// A group for each load, with a bar for each server.
fn of_rows(title: &str, rows: &[Row], (figure, places): Plotted) -> Chart {
    let mut groups: Vec<Group> = Vec::new();
    for row in rows {
        let level = if row.level == Level::Durable { ", durable" } else { "" };
        let label = format!("{} x {}{level}", row.load, row.pipeline);
        if groups.last().is_none_or(|group| group.label != label) {
            groups.push(Group { label, bars: Vec::new() });
        }
        let bar = Bar {
            series: SERIES.iter().position(|kind| *kind == row.kind).unwrap_or_default(),
            figure: row.figures.as_ref().map(figure),
            text: match &row.figures {
                Some(figures) => {
                    let bound = if figures.generator_bound() { " (!)" } else { "" };
                    format!("{:.places$}{bound}", figure(figures))
                }
                None => "has no scans".to_owned(),
            },
        };
        if let Some(group) = groups.last_mut() {
            group.bars.push(bar);
        }
    }
    Chart { title: title.to_owned(), series: SERIES.map(|kind| kind.name().to_owned()).to_vec(), groups }
}

fn of_tails(tails: &Tails) -> Chart {
    let bars = |row: &TailRow| {
        let bar = |series, figure: f64| Bar { series, figure: Some(figure), text: format!("{figure:.0}") };
        vec![bar(0, row.p50_us), bar(1, row.p99_us), bar(2, row.p99_9_us)]
    };
    Chart {
        title: "Latency of Larder in microseconds, while things happen in the background".to_owned(),
        series: ["p50", "p99", "p99.9"].map(str::to_owned).to_vec(),
        groups: tails
            .rows
            .iter()
            .map(|row| Group { label: row.what.label().to_owned(), bars: bars(row) })
            .collect(),
    }
}

/// The report in Markdown.
pub(super) fn markdown(comparison: &Comparison, plots: &[(&'static str, Chart)]) -> String {
    let Comparison { context, conditions, pipelines, shapes, tails, .. } = comparison;
    let mut text = String::from("# Larder beside its peers\n\n");
    let versions: Vec<_> =
        context.versions.iter().map(|(kind, version)| format!("{} {version}", kind.name())).collect();
    let mut line = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    line(format!(
        "- {}: {}; a load of {} before it began",
        context.day, context.machine, context.load_average
    ));
    line(format!("- {}", versions.join(", ")));
    line(settings(conditions));
    line(
        "- `(!)`: the generator was busy for 85 % of its core or more, so that the operations a second are not the server's; \
         the CPU time is."
            .to_owned(),
    );
    let mut section = |title: &str, plot_names: &[&str], body: String| {
        writeln!(text, "\n## {title}\n\n{body}").expect("a String takes any text");
        for (name, chart) in plots.iter().filter(|(name, _)| plot_names.contains(name)) {
            writeln!(text, "![{}]({name}.svg)", chart.title).expect("a String takes any text");
        }
    };
    let reached = targets::targets(pipelines, tails.as_ref());
    if !reached.is_empty() {
        section("What is to be reached", &[], targets::markdown(&reached));
    }
    if !pipelines.is_empty() {
        section("GET and SET", &["throughput", "cpu"], table::markdown(pipelines));
    }
    if !shapes.is_empty() {
        section("Loads by name", &["shapes", "shapes-cpu"], table::markdown(shapes));
    }
    if let Some(tails) = tails {
        section("The slowest", &["tails"], of_latencies(tails));
    }
    text
}

fn settings(conditions: &Conditions) -> String {
    let Conditions {
        connections, keys, value_bytes, rounds, shape_bytes, server_core, generator_core, ..
    } = conditions;
    format!(
        "- {connections} connections, {keys} keys of 24 bytes, values of {value_bytes} bytes (loads by name: at most {} MiB of both \
         at first, pipeline 16); medians of {rounds} runs of {} s each, in a closed loop\n\
         - generator on core {generator_core}; servers one at a time on core {server_core}, with one thread each that serves; \
         for the slowest requests Larder has all cores\n\
         - Larder `buffered` and Redis `appendfsync everysec` sync once a second, `durable` and `always` before they answer; \
         Redis does not rewrite its file meanwhile; memcached has no disk; the limit splits lines and answers constants of the same size",
        shape_bytes >> 20,
        conditions.duration.as_secs(),
    )
}

fn of_latencies(tails: &Tails) -> String {
    let mut text = String::from("| µs | p50 | p99 | p99.9 | max | requests |\n|---|--:|--:|--:|--:|--:|\n");
    for row in &tails.rows {
        writeln!(
            text,
            "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} |",
            row.what.name(),
            row.p50_us,
            row.p99_us,
            row.p99_9_us,
            row.max_us,
            row.requests
        )
        .expect("a String takes any text");
    }
    text.push('\n');
    for note in &tails.notes {
        writeln!(text, "- {note}").expect("a String takes any text");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::table::row;
    use super::*;

    #[test]
    fn servers_under_one_load_stand_together() {
        let rows = [
            row("GET", 1, Kind::Larder, 2.0, 0.9),
            row("GET", 1, Kind::Redis, 1.0, 0.5),
            Row { level: Level::Durable, figures: None, ..row("GET", 1, Kind::Redis, 1.0, 0.5) },
        ];
        let chart = of_rows("title", &rows, (|figures| figures.throughput_per_s, 0));
        let labels: Vec<_> =
            chart.groups.iter().map(|group| (group.label.as_str(), group.bars.len())).collect();
        assert_eq!(labels, [("GET x 1", 2), ("GET x 1, durable", 1)]);
        assert_eq!(chart.groups[0].bars[0].text, "2 (!)");
        assert_eq!(chart.groups[1].bars[0].text, "has no scans");
    }
}
