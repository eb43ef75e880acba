//! Versions of the other engines, from the lock file that they were built by.

const LOCK: &str = include_str!("../Cargo.lock");

/// The version of a package.
pub fn of(package: &str) -> &'static str {
    let name = format!("name = \"{package}\"");
    let mut lines = LOCK.lines().skip_while(|line| *line != name);
    let version = lines.nth(1).and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.unwrap_or("unknown")
}
