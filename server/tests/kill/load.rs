//! Clients that go on until the server is gone.

use std::io::Write;
use std::sync::mpsc::Sender;

use super::history::{KEYS, Operation, Seen, Writer, name, parse, value};
use crate::support::{Client, Random};

/// Writes batches to the writer's own keys, and keeps account of what was answered. Versions must be above `floor`.
pub(crate) fn write(
    mut client: Client,
    writer: &mut Writer,
    floor: u64,
    mut random: Random,
    acknowledged: &Sender<()>,
) {
    let mut newest = floor;
    loop {
        let (requests, keys) = batch(writer, &mut random);
        if client.stream.write_all(requests.as_bytes()).is_err() {
            return;
        }
        for key in keys {
            let Some(reply) = client.next_line() else { return };
            if is_end_of_log(&reply) {
                return;
            }
            let key = &mut writer.keys[key];
            let mut operation = key.in_flight.remove(0);
            if reply == "NIL" {
                assert!(operation.delete, "{reply}");
            } else {
                let version = version_of(&reply);
                assert!(version > newest, "version {version} after {newest}");
                newest = version;
                operation.version = Some(version);
                writer.versions.push(version);
            }
            key.settled = operation;
        }
        // The test may have had enough, and be about to kill the server.
        _ = acknowledged.send(());
    }
}

/// Writes to be sent at once, noted as under way; and the key of each.
fn batch(writer: &mut Writer, random: &mut Random) -> (String, Vec<usize>) {
    let mut requests = String::new();
    let count = 1 + random.below(24);
    let keys = (0..count).map(|_| usize::try_from(random.below(KEYS as u64)).unwrap()).collect::<Vec<_>>();
    for &key in &keys {
        let number = writer.next_number;
        writer.next_number += 1;
        let delete = random.below(7) == 0;
        let place = name(writer.id, key);
        if delete {
            requests += &format!("DEL {place}\n");
        } else {
            requests += &format!("SET {place} {}\n", value(writer.id, key, number));
        }
        writer.keys[key].in_flight.push(Operation { number, delete, version: None });
    }
    (requests, keys)
}

/// Whether the disk has gone before the server has: this write and all later ones may have happened or not.
fn is_end_of_log(reply: &str) -> bool {
    ["ERR INDOUBT ", "ERR FAILED ", "ERR INTERNAL "].iter().any(|end| reply.starts_with(end))
}

fn version_of(reply: &str) -> u64 {
    let fields = reply.strip_prefix("OK ").unwrap_or_else(|| panic!("{reply}"));
    fields.split(' ').next().unwrap().parse().unwrap()
}

/// Reads keys of all writers, and remembers the newest value of each. None may go back while the server runs.
pub(crate) fn read(mut client: Client, writers: usize, mut random: Random) -> Seen {
    const PIPELINE: usize = 8;
    let mut seen = Seen::default();
    loop {
        let mut pick = |end: usize| usize::try_from(random.below(end as u64)).unwrap();
        let keys: Vec<_> = (0..PIPELINE).map(|_| (pick(writers), pick(KEYS))).collect();
        let requests: String =
            keys.iter().map(|&(writer, key)| format!("GET {}\n", name(writer, key))).collect();
        if client.stream.write_all(requests.as_bytes()).is_err() {
            return seen;
        }
        for (writer, key) in keys {
            let Some(reply) = client.next_line() else { return seen };
            let Some((version, number)) = parse(writer, key, &reply) else { continue };
            let newest = seen.numbers.entry((writer, key)).or_default();
            assert!(number >= *newest, "{} went back from {newest} to {number}", name(writer, key));
            *newest = number;
            seen.newest_version = seen.newest_version.max(version);
        }
    }
}
