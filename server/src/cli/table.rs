//! Columns: aligned under headings for people, separated by tabs for programs.

use super::failure::Failure;
use super::output::{Output, Style};

/// Rows of `N` columns. Only the last may hold anything; the others hold no tabs and no line feeds, as names do.
pub(super) struct Table<const N: usize> {
    headings: [&'static str; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(headings: [&'static str; N]) -> Self {
        Self { headings, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, row: [String; N]) {
        self.rows.push(row);
    }

    /// Prints and empties the table.
    pub(super) fn print(&mut self, out: &mut Output) -> Result<(), Failure> {
        if out.style() == Style::Terminal && !self.rows.is_empty() {
            self.rows.insert(0, self.headings.map(str::to_owned));
            for row in aligned(&self.rows) {
                out.line(row)?;
            }
        } else {
            for row in &self.rows {
                out.line(row.join("\t"))?;
            }
        }
        self.rows.clear();
        Ok(())
    }
}

fn aligned<const N: usize>(rows: &[[String; N]]) -> impl Iterator<Item = String> + '_ {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    rows.iter().map(move |row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other() {
        let rows = [["KEY", "N"], ["é", "10"], ["longer", ""]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows).collect::<Vec<_>>(), ["KEY     N", "é       10", "longer"]);
    }
}
