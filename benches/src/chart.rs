//! Plots in SVG: groups of horizontal bars, each with its figure at its end.
//!
//! Written by hand: such a plot is rectangles and texts at places that are simple sums. A library for plots would place them by
//! fonts that it has to find, and bring more code than this is.

use std::fmt::Write as _;

const WIDTH: u32 = 860;
const LABELS_WIDTH: u32 = 210;
/// Room for the figure at the end of the longest bar.
const FIGURES_WIDTH: u32 = 110;
const BAR_HEIGHT: u32 = 14;
const GROUP_GAP: u32 = 10;
const HEAD_HEIGHT: u32 = 56;
const COLOURS: [&str; 6] = ["#c2410c", "#2563eb", "#15803d", "#737373", "#9333ea", "#b45309"];

/// Bars of several series, in groups.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// A name for each colour.
    pub(crate) series: Vec<String>,
    pub(crate) groups: Vec<Group>,
}

/// Bars that stand together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) bars: Vec<Bar>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bar {
    /// The number of its series.
    pub(crate) series: usize,
    /// What there is to be shown; a text alone where there is no figure.
    pub(crate) figure: Option<f64>,
    pub(crate) text: String,
}

impl Chart {
    /// The plot as a file.
    pub(crate) fn svg(&self) -> String {
        let bars: usize = self.groups.iter().map(|group| group.bars.len()).sum();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let height = HEAD_HEIGHT
            .saturating_add(count(bars).saturating_mul(BAR_HEIGHT))
            .saturating_add(count(self.groups.len()).saturating_mul(GROUP_GAP));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"11\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, (10, 20), "font-size=\"14\" font-weight=\"bold\"", &self.title);
        self.draw_series(&mut svg);
        self.draw_groups(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn draw_series(&self, svg: &mut String) {
        let mut x = 10;
        for (number, name) in self.series.iter().enumerate() {
            rectangle(svg, (x, 31), (10.0, 10), colour(number));
            text(svg, (x + 14, 40), "", name);
            x += 34 + 7 * u32::try_from(name.chars().count()).unwrap_or_default();
        }
    }

    fn draw_groups(&self, svg: &mut String) {
        let figures = self.groups.iter().flat_map(|group| &group.bars).filter_map(|bar| bar.figure);
        let longest = figures.filter(|figure| figure.is_finite()).fold(0.0, f64::max);
        let room = f64::from(WIDTH - LABELS_WIDTH - FIGURES_WIDTH);
        let mut y = HEAD_HEIGHT;
        for Group { label, bars } in &self.groups {
            text(svg, (10, y + BAR_HEIGHT - 3), "", label);
            for bar in bars {
                let share = bar.figure.filter(|figure| *figure > 0.0 && figure.is_finite());
                let length = share.map_or(0.0, |figure| figure / longest * room);
                rectangle(svg, (LABELS_WIDTH, y + 1), (length, BAR_HEIGHT - 2), colour(bar.series));
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a place within the width"
                )]
                let end = LABELS_WIDTH + length as u32 + 5;
                text(svg, (end, y + BAR_HEIGHT - 3), "fill=\"#404040\"", &bar.text);
                y += BAR_HEIGHT;
            }
            y += GROUP_GAP;
        }
    }
}

fn colour(series: usize) -> &'static str {
    COLOURS[series % COLOURS.len()]
}

fn rectangle(svg: &mut String, (x, y): (u32, u32), (width, height): (f64, u32), fill: &str) {
    writeln!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{fill}\"/>")
        .expect("a String takes any text");
}

fn text(svg: &mut String, (x, y): (u32, u32), style: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    writeln!(svg, "<text x=\"{x}\" y=\"{y}\" {style}>{content}</text>").expect("a String takes any text");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(series: usize, figure: Option<f64>, text: &str) -> Bar {
        Bar { series, figure, text: text.to_owned() }
    }

    #[test]
    fn bars_are_in_proportion_and_texts_are_escaped() {
        let chart = Chart {
            title: "a < b & c".to_owned(),
            series: vec!["larder".to_owned(), "redis".to_owned()],
            groups: vec![
                Group {
                    label: "GET".to_owned(),
                    bars: vec![bar(0, Some(50.0), "50"), bar(1, Some(100.0), "100")],
                },
                Group {
                    label: "scan".to_owned(),
                    bars: vec![bar(1, None, "none"), bar(0, Some(f64::NAN), "?")],
                },
            ],
        };
        let svg = chart.svg();
        assert!(svg.contains("a &lt; b &amp; c</text>"), "{svg}");
        for length in ["270.0", "540.0", "0.0"] {
            assert!(svg.contains(&format!("width=\"{length}\"")), "{length} in {svg}");
        }
        assert_eq!(svg.matches("<text").count(), 1 + 2 + 2 + 4);
        assert!(!svg.contains("NaN"));
    }
}
