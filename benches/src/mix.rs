//! What clients do, and how often: `get:.9,set:.1`.

use std::fmt::{self, Display, Formatter};

use clap::ValueEnum;
use serde::Serialize;

use crate::weighted::Weighted;

/// What one client does at a time. Two of them take a second request, which depends on the reply to the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Reads a key.
    Get,
    /// Stores a value under a key.
    Set,
    /// Stores a value under a new key, on the condition that it is new.
    Add,
    /// Reads a key, and then stores a value under it, on the condition that nobody else has done so since.
    Cas,
    /// Lists entries next to a key, with their values.
    Scan,
    /// Reads a key, and then stores a value under it.
    Rmw,
    /// Stores a value under a new key.
    Insert,
}

/// Actions with the share of each.
pub type Mix = Weighted<Action>;

/// Reads a mix from the command line.
pub fn parse_mix(text: &str) -> Result<Mix, String> {
    Weighted::parse(text, |name| {
        Action::from_str(name, true).map_err(|_| format!("{name:?} is no action: {}", names()))
    })
}

fn names() -> String {
    let names: Vec<String> = Action::value_variants().iter().map(Action::to_string).collect();
    names.join(", ")
}

impl Display for Action {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().expect("every action has a name").get_name())
    }
}

impl Display for Mix {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (number, (action, share)) in self.iter().enumerate() {
            write!(f, "{}{action} {:.0} %", if number > 0 { ", " } else { "" }, share * 100.0)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_read_and_shown() {
        let mix = parse_mix("get:.75,cas:.25").expect("a mix");
        assert_eq!(mix.to_string(), "get 75 %, cas 25 %");
        assert_eq!(parse_mix("rmw"), Ok(Weighted::always(Action::Rmw)));
        let error = parse_mix("get,put").expect_err("no such action");
        assert_eq!(error, r#""put" is no action: get, set, add, cas, scan, rmw, insert"#);
    }
}
