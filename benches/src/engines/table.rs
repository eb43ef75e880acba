//! The table of a comparison of engines: medians, ratios, and whether they are what they must be.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::bounds::{Against, Bound, bound, is_cost};
use super::work::Measure;
use crate::chart::{Bar, Chart, Group};
use crate::report::median;

/// The engine that all is about.
const OWN: &str = "larder";
/// The column of what is measured without an engine.
pub(super) const DISK: &str = "disk";

/// What was measured in all rounds.
#[derive(Debug, Default)]
pub struct Results {
    /// By candidate and measure.
    figures: BTreeMap<(&'static str, Measure), Vec<f64>>,
}

impl Results {
    /// Notes a figure of one round.
    pub fn note(&mut self, candidate: &'static str, measure: Measure, figure: f64) {
        self.figures.entry((candidate, measure)).or_default().push(figure);
    }

    /// The median over the rounds.
    #[must_use]
    pub fn median(&self, candidate: &'static str, measure: Measure) -> Option<f64> {
        Some(median(self.figures.get(&(candidate, measure))?.clone()))
    }

    /// The best of the other engines, by what counts for the measure.
    fn best(&self, peers: &[&'static str], measure: Measure) -> Option<(&'static str, f64)> {
        let known = peers.iter().filter_map(|peer| Some((*peer, self.median(peer, measure)?)));
        known.max_by(|(_, one), (_, other)| one.total_cmp(other))
    }

    /// What a bound holds Larder's figure against: its name, and its figure.
    fn reference(&self, against: Against, peers: &[&'static str], measure: Measure) -> Option<(String, f64)> {
        match against {
            Against::Best => self.best(peers, measure).map(|(name, figure)| (name.to_owned(), figure)),
            Against::Peer(name) => Some((name.to_owned(), self.median(name, measure)?)),
            Against::Itself(other) => Some((other.name().to_owned(), self.median(OWN, other)?)),
            Against::Loop(times) => {
                let name = if times == 1.0 { "the loop".to_owned() } else { format!("{times} loops") };
                Some((name, times * self.median(DISK, Measure::Loop)?))
            }
            Against::Nothing => Some((String::new(), 1.0)),
        }
    }

    /// The table in Markdown: Larder, then the others, then the ratio that there is a bound on.
    #[must_use]
    pub fn table(&self, peers: &[&'static str], others: &[&'static str]) -> String {
        let columns: Vec<&'static str> =
            [OWN].iter().chain(peers).chain(others).chain([&DISK]).copied().collect();
        let mut text = format!("| measure | {} | larder is | bound | |\n|---|", columns.join(" | "));
        text.extend(columns.iter().map(|_| "--:|"));
        text.push_str("--:|--:|---|\n");
        for measure in Measure::ALL {
            write!(text, "| {} |", measure.name()).expect("a String takes any text");
            for column in &columns {
                let cell = self.median(column, measure).map_or_else(|| "–".to_owned(), grouped);
                write!(text, " {cell} |").expect("a String takes any text");
            }
            text.push_str(&self.verdict(peers, measure));
            text.push('\n');
        }
        text
    }

    /// The rates of all engines as parts of the best one's, since what is measured differs too much for one scale.
    pub(super) fn chart(&self, engines: &[&'static str]) -> Chart {
        let rates =
            Measure::ALL.into_iter().filter(|measure| !is_cost(*measure) && *measure != Measure::Loop);
        let group = |measure: Measure| {
            let figures: Vec<_> = engines.iter().map(|engine| self.median(engine, measure)).collect();
            let best = figures.iter().flatten().copied().fold(0.0, f64::max);
            let bar = |(series, figure): (usize, Option<f64>)| {
                Some(Bar { series, figure: Some(figure? / best), text: grouped(figure?) })
            };
            let bars: Vec<Bar> = figures.into_iter().enumerate().filter_map(bar).collect();
            Group { label: measure.name().to_owned(), bars }
        };
        Chart {
            title: "Operations a second, as parts of the best".to_owned(),
            series: engines.iter().map(|engine| (*engine).to_owned()).collect(),
            groups: rates.map(group).collect(),
        }
    }

    fn verdict(&self, peers: &[&'static str], measure: Measure) -> String {
        let Some(Bound { against, limit }) = bound(measure) else { return " | | |".to_owned() };
        let own = self.median(OWN, measure);
        let reference = self.reference(against, peers, measure);
        let (Some(own), Some((name, reference))) = (own, reference) else {
            return format!(" not known | {} | |", limit_text(measure, against, limit));
        };
        let ratio = own / reference;
        let is_met = if is_cost(measure) { ratio <= limit } else { ratio >= limit };
        let verdict = if is_met { "met" } else { "**missed**" };
        let ratio = match against {
            Against::Nothing => grouped(ratio),
            _ => format!("{ratio:.2} × {name}"),
        };
        format!(" {ratio} | {} | {verdict} |", limit_text(measure, against, limit))
    }
}

fn limit_text(measure: Measure, against: Against, limit: f64) -> String {
    let sign = if is_cost(measure) { '≤' } else { '≥' };
    if against == Against::Nothing { format!("{sign} {limit}") } else { format!("{sign} {limit} ×") }
}

/// A whole number with a comma for every thousand.
fn grouped(figure: f64) -> String {
    let digits = format!("{figure:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_held_against_the_right_figure() {
        let mut results = Results::default();
        for (candidate, measure, figures) in [
            ("larder", Measure::Get, [3000.0, 1.0, 3100.0]),
            ("lmdb", Measure::Get, [2000.0, 2000.0, 9000.0]),
            ("sled", Measure::Get, [1500.0, 1500.0, 1500.0]),
            ("larder", Measure::GetByTwo, [5000.0, 5000.0, 5000.0]),
            ("larder", Measure::DurableByMany, [128_000.0, 128_000.0, 128_000.0]),
            ("disk", Measure::Loop, [1000.0, 1000.0, 1000.0]),
            ("larder", Measure::Memory, [95.0, 95.0, 95.0]),
            ("larder", Measure::Load, [1_234_567.0, 1_234_567.0, 1_234_567.0]),
        ] {
            figures.into_iter().for_each(|figure| results.note(candidate, measure, figure));
        }
        let text = results.table(&["lmdb", "sled"], &[]);
        let line = |measure: Measure| {
            let start = format!("| {} |", measure.name());
            text.lines().find(|line| line.starts_with(&start)).expect("a line for each").to_owned()
        };
        let all = |measure| line(measure).split_once(" | ").expect("cells").1.to_owned();
        assert_eq!(all(Measure::Get), "3,000 | 2,000 | 1,500 | – | 1.50 × lmdb | ≥ 1.5 × | met |");
        let by_two = "5,000 | – | – | – | 1.67 × random get, 1 thread | ≥ 1.8 × | **missed** |";
        assert_eq!(all(Measure::GetByTwo), by_two);
        assert_eq!(all(Measure::DurableByMany), "128,000 | – | – | – | 0.50 × 256 loops | ≥ 0.5 × | met |");
        assert_eq!(all(Measure::Loop), "– | – | – | 1,000 | | | |");
        assert_eq!(all(Measure::Memory), "95 | – | – | – | 95 | ≤ 100 | met |");
        assert_eq!(all(Measure::Load), "1,234,567 | – | – | – | not known | ≥ 2 × | |");

        let chart = results.chart(&["larder", "lmdb", "sled"]);
        let gets = chart.groups.iter().find(|group| group.label == Measure::Get.name()).expect("a group");
        let bar = |series, figure, text: &str| Bar { series, figure: Some(figure), text: text.to_owned() };
        assert_eq!(gets.bars, [bar(0, 1.0, "3,000"), bar(1, 2.0 / 3.0, "2,000"), bar(2, 0.5, "1,500")]);
        assert!(chart.groups.iter().all(|group| group.label != Measure::Memory.name()));
    }
}
