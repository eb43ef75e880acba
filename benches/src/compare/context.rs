//! What a comparison was made on and with: the machine, how busy it was, and the versions of the servers.

use std::fs;
use std::process::Command;

use crate::contender::{Kind, Program};
use crate::machine;

/// Taken down before the first run.
#[derive(Debug)]
pub(super) struct Context {
    pub(super) machine: String,
    pub(super) load_average: String,
    pub(super) day: String,
    pub(super) versions: Vec<(Kind, String)>,
}

impl Context {
    pub(super) fn of(programs: &[Program]) -> Self {
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            machine: machine::describe(&std::env::temp_dir()),
            load_average: load.split(' ').next().unwrap_or_default().to_owned(),
            day: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            versions: programs.iter().map(|program| (program.kind, version(program))).collect(),
        }
    }
}

/// What the program says of itself, as far as that is its version.
fn version(program: &Program) -> String {
    if program.kind == Kind::Limit {
        return env!("CARGO_PKG_VERSION").to_owned();
    }
    let output = Command::new(&program.path).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    number(&text).unwrap_or("of an unknown version").to_owned()
}

/// The first word that begins with a digit, without `v=` before it: `Redis server v=7.0.15 sha=…`, `memcached 1.6.18`.
fn number(text: &str) -> Option<&str> {
    text.split_whitespace()
        .map(|word| word.strip_prefix("v=").unwrap_or(word))
        .find(|word| word.starts_with(|first: char| first.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_found_in_what_servers_print() {
        assert_eq!(
            number("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64"),
            Some("7.0.15")
        );
        assert_eq!(number("memcached 1.6.18\n"), Some("1.6.18"));
        assert_eq!(number("larder 0.1.0\n"), Some("0.1.0"));
        assert_eq!(number(""), None);
    }
}
