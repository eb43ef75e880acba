//! `verify` and `salvage` on a store directory that no server uses.

use std::fs;
use std::path::PathBuf;

use super::{Ended, Larder, end, verb};

/// A store of three entries, and a server that has ended: in order, or killed.
struct Left {
    directory: tempfile::TempDir,
}

impl Larder {
    fn leave(self, in_order: bool) -> Left {
        let Larder { server, directory } = self;
        if in_order {
            assert!(server.stop().success());
        } else {
            server.kill();
        }
        Left { directory }
    }
}

impl Left {
    fn three_entries(in_order: bool) -> Left {
        let larder = Larder::start();
        for key in ["a", "b", "c"] {
            larder.done(&["set", key, &format!("\"value of {key}\"")]);
        }
        larder.done(&["set", "a", "\"newer value of a\""]);
        larder.leave(in_order)
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        end(verb().args(arguments).current_dir(self.directory.path()), "")
    }

    /// Overwrites a byte of where this text last stands in the log.
    fn damage(&self, text: &str) {
        let segment = PathBuf::from(self.path("data")).join("0000000001.seg");
        let mut bytes = fs::read(&segment).unwrap();
        let at = bytes.windows(text.len()).rposition(|window| window == text.as_bytes()).unwrap();
        bytes[at] ^= 1;
        fs::write(&segment, bytes).unwrap();
    }
}

#[test]
fn an_intact_store() {
    for in_order in [true, false] {
        let left = Left::three_entries(in_order);
        let verified = left.run(&["verify", "data"]);
        assert_eq!((verified.code, verified.stdout.as_str()), (0, ""), "{verified:?}");
        assert!(verified.stderr.starts_with("larder: intact: 4 records in "), "{}", verified.stderr);
        let verified = left.run(&["verify", "data", "--json"]);
        let start = "{\"event\":\"summary\",\"intact\":true,\"damaged\":0,\"unreadable_bytes\":0,\"loose_end_bytes\":0,";
        assert!(verified.code == 0 && verified.stdout.starts_with(start), "{verified:?}");
        let salvaged = left.run(&["salvage", "data", "new"]);
        assert_eq!((salvaged.code, salvaged.stdout.as_str()), (0, ""), "{salvaged:?}");
        assert_eq!(salvaged.stderr, "larder: saved 3 entries, lost 0\n");
        assert_eq!(left.run(&["verify", "new"]).code, 0);
        let server = crate::support::Server::start(&left.directory.path().join("new"));
        let mut client = server.connect();
        assert_eq!(client.ask("GET a"), "VAL 4 - \"newer value of a\"");
        assert_eq!(client.ask("GET b"), "VAL 2 - \"value of b\"");
    }
}

#[test]
fn a_damaged_value_is_told_by_its_name_and_not_replaced_by_an_older_one() {
    let left = Left::three_entries(true);
    left.damage("newer value of a");
    let verified = left.run(&["verify", "data"]);
    assert_eq!((verified.code, verified.stdout.lines().count()), (1, 1), "{verified:?}");
    for part in ["0000000001.seg at byte ", "does not match its checksum", "key \"a\", version 4"] {
        assert!(verified.stdout.contains(part), "{part:?} in {verified:?}");
    }
    assert!(verified.stderr.starts_with("larder: 1 damaged place, "), "{}", verified.stderr);

    let salvaged = left.run(&["salvage", "data", "new", "--json"]);
    assert_eq!((salvaged.code, salvaged.stdout.lines().count()), (1, 3), "{salvaged:?}");
    let lost =
        r#"{"event":"lost","tenant":0,"namespace":"default","key":"a","version":4,"kept_version":null}"#;
    assert_eq!(salvaged.stdout.lines().nth(1), Some(lost));
    assert_eq!(salvaged.stderr, "larder: saved 2 entries, lost 1\n");
    let salvaged = left.run(&["salvage", "data", "older", "--keep-older"]);
    assert_eq!(salvaged.code, 1);
    assert!(salvaged.stdout.contains("version 4; the older version 1 was kept\n"), "{salvaged:?}");
    let server = crate::support::Server::start(&left.directory.path().join("new"));
    assert_eq!(server.connect().ask("GET a"), "NIL");
}

#[test]
fn a_record_that_nobody_can_name_makes_what_is_older_doubtful() {
    let left = Left::three_entries(true);
    // The namespace and key of the last record but two: that of "b", as version 2.
    left.damage("defaultb");
    let salvaged = left.run(&["salvage", "data", "new"]);
    assert_eq!(salvaged.code, 1, "{salvaged:?}");
    assert!(salvaged.stdout.contains("missing here: records with version 2\n"), "{salvaged:?}");
    // The older version of "a" was overwritten by one that is newer than what is missing.
    let said = "larder: saved 2 entries, lost 0; unknown records are missing at 1 place, for which 0 entries may be out of date or deleted\n";
    assert_eq!(salvaged.stderr, said);
}

#[test]
fn what_cannot_be_done() {
    let larder = Larder::start();
    let data = larder.path("data");
    larder.done(&["set", "a", "1"]);
    let new = larder.path("new");
    end(verb().args(["verify", &data]), "").refuses(3, "in use by another process");
    end(verb().args(["salvage", &data, &new]), "").refuses(3, "in use by another process");
    assert!(!fs::exists(&new).unwrap());
    let left = larder.leave(true);
    left.run(&["verify", "nowhere"]).refuses(2, "there is no store in nowhere");
    assert!(!fs::exists(left.path("nowhere")).unwrap());
    fs::create_dir(left.path("other")).unwrap();
    fs::write(left.path("other/notes.txt"), "mine").unwrap();
    left.run(&["verify", "other"]).refuses(2, "is not a Larder store");
    left.run(&["salvage", "data", "other"]).refuses(2, "is not empty");
    left.run(&["salvage", "data", "data"]).refuses(2, "is not empty");
    assert!(!fs::exists(left.path("other/LOCK")).unwrap(), "it is left alone");
    for wrong in [
        &["verify"][..],
        &["salvage", "data"],
        &["verify", "data", "--ns", "n"],
        &["verify", "data", "--addr", "x:1"],
    ] {
        assert_eq!(left.run(wrong).code, 2, "{wrong:?}");
    }
    let help = left.run(&["help", "verify"]).stdout;
    assert!(help.contains("--json") && !help.contains("--addr"), "{help}");
}
