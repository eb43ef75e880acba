//! The store, looked at from outside: whether it could be opened, and how it would open.

use larder_engine::{Error, Inspection, Result};

use super::finding::Finding;

const CHECK: &str = "store";
/// Damaged places that are told one by one.
const DAMAGE_SHOWN: usize = 5;
/// A clock that is less than this behind the store's is only being set right.
const CLOCK_BEHIND_MS_MAX: u64 = 60_000;

/// What there is of a store. The error of one that is not there yet is nothing wrong.
pub(super) fn check(inspected: &Result<Inspection>) -> Vec<Finding> {
    let inspection = match inspected {
        Ok(inspection) => inspection,
        Err(error @ Error::Missing { .. }) => {
            return vec![Finding::note(CHECK, error.to_string(), "`larder serve` makes a new one")];
        }
        Err(error) => return vec![Finding::wrong(CHECK, error.to_string(), advice(error))],
    };
    let Inspection { owner, clean, segments, records, bytes, damage, missing_hints, .. } = inspection;
    let mut findings = Vec::new();
    for place in damage.iter().take(DAMAGE_SHOWN) {
        let advice = "stop the server and run `larder verify`; `larder salvage` copies what is intact, or restore a backup";
        findings.push(Finding::wrong(CHECK, place.to_string(), advice));
    }
    if damage.len() > DAMAGE_SHOWN {
        let what = format!("{} more places are damaged", damage.len() - DAMAGE_SHOWN);
        findings.push(Finding::wrong(CHECK, what, "`larder verify` tells all of them"));
    }
    if !missing_hints.is_empty() {
        let (missing, bytes) = (missing_hints.len(), super::finding::bytes(*bytes));
        let what = format!("{missing} hint files are missing, of up to {bytes} of log");
        findings.push(Finding::note(
            CHECK,
            what,
            "nothing is to be done: the next start reads the log, and takes longer",
        ));
    }
    if damage.is_empty() {
        let state = match (owner, clean) {
            (Some(owner), _) => format!("open in process {owner}"),
            (None, true) => "closed in order".to_owned(),
            (None, false) => "not closed in order, which the next start mends".to_owned(),
        };
        let size = format!("{segments} segments, {records} records in sealed ones");
        let what = format!("{state}: {size}; only looked at, `larder verify` reads every byte");
        findings.push(Finding::ok(CHECK, what));
    }
    findings
}

fn advice(error: &Error) -> &'static str {
    match error {
        Error::Damaged { .. } => {
            "stop the server; `larder salvage` copies what is intact, or restore a backup"
        }
        Error::Unsupported { .. } => "use the version of Larder that has written it, or a later one",
        Error::Io { .. } => "look at the permissions and at the kernel's log (dmesg)",
        _ => "name the directory of the store with --data",
    }
}

/// The machine's clock against the highest time that the store has marked.
pub(super) fn check_clock(now_ms: u64, mark_ms: u64, jump_ms_max: u64) -> Finding {
    const CHECK: &str = "clock";
    let seconds = |ms: u64| format!("{} s", ms / 1_000);
    if mark_ms == 0 {
        return Finding::ok(CHECK, "the store has marked no time yet");
    }
    if now_ms.saturating_add(CLOCK_BEHIND_MS_MAX) < mark_ms {
        return Finding::wrong(
            CHECK,
            format!(
                "the machine's clock is {} behind the store's, by which entries expire",
                seconds(mark_ms - now_ms)
            ),
            "set the clock right, best by NTP; if the store's is wrong, export its entries and import them into a new store",
        );
    }
    let ahead_ms = now_ms.saturating_sub(mark_ms);
    if ahead_ms > jump_ms_max {
        return Finding::wrong(
            CHECK,
            format!(
                "the machine's clock is {} ahead of the store's, so that the server will not start",
                seconds(ahead_ms)
            ),
            "set the clock right; if it is right, `larder serve --accept-clock` says so, and everything due by then expires",
        );
    }
    Finding::ok(CHECK, format!("{} after the last time that the store has marked", seconds(ahead_ms)))
}

#[cfg(test)]
mod tests {
    use larder_engine::Damage;

    use super::super::finding::Level;
    use super::*;

    fn levels(inspection: Inspection) -> Vec<Level> {
        check(&Ok(inspection)).iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn stores() {
        let sound = Inspection { clean: true, ..Inspection::default() };
        assert_eq!(levels(sound.clone()), [Level::Ok]);
        assert_eq!(levels(Inspection { clean: false, ..sound.clone() }), [Level::Ok]);
        assert_eq!(levels(Inspection { owner: Some("7".into()), ..sound.clone() }), [Level::Ok]);
        let hints = Inspection { missing_hints: vec!["0000000001.hint".into()], ..sound.clone() };
        assert_eq!(levels(hints), [Level::Note, Level::Ok]);
        let (file, what) = ("0000000001.seg".to_owned(), "the file is missing");
        let place = Damage { file, offset: 0, length: None, what, record: None, versions: None };
        assert_eq!(levels(Inspection { damage: vec![place.clone()], ..sound.clone() }), [Level::Wrong]);
        assert_eq!(levels(Inspection { damage: vec![place; 9], ..sound }).len(), DAMAGE_SHOWN + 1);
        let location = || "/d".to_owned();
        assert_eq!(check(&Err(Error::Missing { location: location() }))[0].level, Level::Note);
        assert_eq!(check(&Err(Error::IsBackup { location: location() }))[0].level, Level::Wrong);
    }

    #[test]
    fn clocks() {
        let level = |now_ms, mark_ms| check_clock(now_ms, mark_ms, 1_000_000).level;
        assert_eq!(level(500, 0), Level::Ok);
        assert_eq!(level(5_000_000, 5_000_000), Level::Ok);
        assert_eq!((level(4_940_000, 5_000_000), level(4_939_999, 5_000_000)), (Level::Ok, Level::Wrong));
        assert_eq!((level(6_000_000, 5_000_000), level(6_000_001, 5_000_000)), (Level::Ok, Level::Wrong));
    }
}
