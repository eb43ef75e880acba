//! The server: whether it answers, which one it is, and what it says of itself.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use larder_client::blocking::Connection;
use larder_client::{Code, Error, Options, request};
use serde::Deserialize;

use super::finding::Finding;

const CHECK: &str = "server";
const TIMEOUT: Duration = Duration::from_secs(3);

/// What a server has said.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) version: String,
    /// Where it tells them to whoever asks.
    pub(super) stats: Option<Stats>,
    /// Whether there are access keys.
    pub(super) has_keys: bool,
}

/// What is looked at of `STATS`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stats {
    pub(super) durability: String,
    pub(super) connections_max: Option<u32>,
    pub(super) index_bytes: Option<u64>,
    pub(super) compaction_damaged: u64,
    pub(super) failed: bool,
    pub(super) short_of_space: bool,
}

/// Asks a server.
pub(super) fn ask(addr: &str, options: Options) -> Result<Heard, Error> {
    let options = Options { connect_timeout: Some(TIMEOUT), reply_timeout: Some(TIMEOUT), ..options };
    let mut connection = Connection::connect_with(addr, &options)?;
    let hello = connection.call(&request::Hello::new())?;
    let stats = connection.call(&request::Stats);
    let has_keys =
        options.token.is_some() || matches!(&stats, Err(error) if error.code() == Some(Code::NoAuth));
    let stats = stats.ok().and_then(|stats| serde_json::from_str(&stats).ok());
    Ok(Heard { version: hello.version, stats, has_keys })
}

/// What else is known when a server is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'e> {
    pub(super) addr: &'e str,
    /// Whether it was named by whoever runs this.
    pub(super) is_named: bool,
    /// The process that has the store open, if one has.
    pub(super) owner: Option<&'e str>,
}

pub(super) fn check(expected: Expected<'_>, heard: &Result<Heard, Error>) -> Vec<Finding> {
    let Expected { addr, is_named, owner } = expected;
    let heard = match heard {
        Ok(heard) => heard,
        Err(error) => return vec![unheard(addr, is_named, owner, error)],
    };
    let mut findings = Vec::new();
    let own = env!("CARGO_PKG_VERSION");
    if heard.version == own {
        findings.push(Finding::ok(CHECK, format!("{addr} answers, version {own}")));
    } else {
        let what = format!("{addr} answers, version {}, and this is {own}", heard.version);
        findings.push(Finding::wrong(CHECK, what, "after an update, start the server again"));
    }
    let Some(stats) = &heard.stats else {
        findings.push(Finding::note(
            CHECK,
            "it does not tell its statistics",
            "name a token with --token-file, that of an admin for all of them",
        ));
        return findings;
    };
    if stats.failed {
        let what = "its log has failed: it takes no writes any more";
        findings.push(Finding::wrong(
            CHECK,
            what,
            "look at its log and the kernel's (dmesg), mend the disk, and start it again",
        ));
    }
    if stats.short_of_space {
        let what = "there is no room for its log to grow: only deletes are taken";
        findings.push(Finding::wrong(CHECK, what, "make room on its disk; writing resumes by itself"));
    }
    if stats.compaction_damaged > 0 {
        let what =
            format!("compaction has come upon {} damaged segments, and kept them", stats.compaction_damaged);
        findings.push(Finding::wrong(CHECK, what, "stop it and run `larder verify` on its data"));
    }
    if stats.durability == "buffered" {
        let what = "a power cut takes the writes since the last sync, as it runs with --durability buffered";
        findings.push(Finding::note(CHECK, what, "leave that option out if it should not"));
    }
    findings
}

fn unheard(addr: &str, is_named: bool, owner: Option<&str>, error: &Error) -> Finding {
    match owner {
        Some(owner) => Finding::wrong(
            CHECK,
            format!("the store is open in process {owner}, but: {error}"),
            "if it listens elsewhere, name that with --addr; if it hangs, its log may say why",
        ),
        None if is_named => {
            Finding::wrong(CHECK, error.to_string(), "start it with `larder serve`, or name another")
        }
        None => Finding::note(CHECK, format!("none answers at {addr}"), "`larder serve` starts one"),
    }
}

/// Who can connect to where the server listens, and what keeps them from doing harm.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) allow_remote: bool,
    pub(super) has_tls: bool,
    /// Whether there are access keys; `None` where no server tells.
    pub(super) has_keys: Option<bool>,
}

pub(super) fn check_listen(listen: &str, reach: Reach) -> Finding {
    let resolved = listen.to_socket_addrs().map(|mut addresses| addresses.next());
    match resolved {
        Ok(Some(address)) => check_address(address, reach),
        _ => Finding::wrong("listen", format!("{listen} is no address"), "write it as 127.0.0.1:5273"),
    }
}

fn check_address(address: SocketAddr, reach: Reach) -> Finding {
    const CHECK: &str = "listen";
    const KEYS: &str = "listen on 127.0.0.1, or make a key with `larder key create --scope admin`";
    let Reach { allow_remote, has_tls, has_keys } = reach;
    if address.ip().to_canonical().is_loopback() {
        return Finding::ok(CHECK, format!("{address}, for this machine alone"));
    }
    let others = format!("other machines can connect to {address}");
    match has_keys {
        Some(false) if allow_remote => Finding::wrong(
            CHECK,
            format!("{others}, and read and write everything, as there are no access keys"),
            KEYS,
        ),
        Some(false) => Finding::wrong(CHECK, format!("{others}, and there are no access keys"), KEYS),
        None if allow_remote => Finding::wrong(
            CHECK,
            format!("{others}, and unless there are access keys, read and write everything"),
            KEYS,
        ),
        None => {
            Finding::note(CHECK, format!("{others}: the server only starts if there are access keys"), KEYS)
        }
        Some(true) if !has_tls => Finding::note(
            CHECK,
            format!("{others}, and tokens and data go unencrypted"),
            "unless the network is trusted, or something in front of it does TLS, use --tls-cert and --tls-key",
        ),
        Some(true) => Finding::ok(CHECK, format!("{others}, with access keys, by TLS")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn levels(heard: Result<Heard, Error>, is_named: bool, owner: Option<&str>) -> Vec<Level> {
        let expected = Expected { addr: "127.0.0.1:1", is_named, owner };
        check(expected, &heard).iter().map(|finding| finding.level).collect()
    }

    fn heard(stats: &str) -> Result<Heard, Error> {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Heard { version, stats: serde_json::from_str(stats).unwrap(), has_keys: false })
    }

    #[test]
    fn servers() {
        assert_eq!(levels(heard("{\"unknown\":1}"), false, None), [Level::Ok]);
        assert_eq!(levels(heard("null"), false, None), [Level::Ok, Level::Note]);
        for bad in ["\"failed\":true", "\"short_of_space\":true", "\"compaction_damaged\":1"] {
            assert_eq!(levels(heard(&format!("{{{bad}}}")), false, None), [Level::Ok, Level::Wrong], "{bad}");
        }
        assert_eq!(levels(heard("{\"durability\":\"buffered\"}"), false, None), [Level::Ok, Level::Note]);
        let other = Heard { version: "0.0.1".into(), stats: Some(Stats::default()), has_keys: false };
        assert_eq!(levels(Ok(other), false, None), [Level::Wrong]);
    }

    #[test]
    fn a_server_that_is_not_there_matters_if_it_should_be() {
        assert_eq!(levels(Err(Error::Closed), false, None), [Level::Note]);
        assert_eq!(levels(Err(Error::Closed), true, None), [Level::Wrong]);
        assert_eq!(levels(Err(Error::Closed), false, Some("7")), [Level::Wrong]);
    }

    #[test]
    fn addresses() {
        let level = |listen, allow_remote, has_keys, has_tls| {
            check_listen(listen, Reach { allow_remote, has_tls, has_keys }).level
        };
        for local in ["127.0.0.1:0", "[::1]:5273"] {
            assert_eq!(level(local, false, None, false), Level::Ok);
        }
        for remote in ["0.0.0.0:5273", "[::]:5273"] {
            assert_eq!(level(remote, false, None, false), Level::Note);
            assert_eq!(level(remote, true, None, false), Level::Wrong);
            assert_eq!(level(remote, false, Some(false), true), Level::Wrong);
            assert_eq!(level(remote, true, Some(false), true), Level::Wrong);
            assert_eq!(level(remote, false, Some(true), false), Level::Note);
            assert_eq!(level(remote, false, Some(true), true), Level::Ok);
        }
        assert_eq!(level("nonsense", false, None, false), Level::Wrong);
    }
}
