//! The table of commands. A row declares a command once: its verb, its help, who may use it and how; parsing, `HELP`
//! and the server's metrics all go by it.

/// The verb of a command. Its value is the index of its [`Row`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is documented by its row")]
#[repr(u8)]
pub enum Verb {
    Hello,
    Auth,
    Ns,
    Ping,
    Quit,
    Help,
    Get,
    Set,
    Entry,
    Mget,
    Del,
    Exists,
    Ttl,
    Touch,
    Persist,
    Incr,
    Patch,
    List,
    Count,
    Namespaces,
    Delprefix,
    Txn,
    Watch,
    Sync,
    Stats,
    Compact,
    Backup,
    Org,
    Key,
}

/// Who may use a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Anyone, before authentication too.
    Open,
    /// Whoever may use the store.
    Data,
    /// The operator alone.
    Admin,
}

/// One command, as declared.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its verb.
    pub verb: Verb,
    /// The verb as written, in capitals.
    pub name: &'static str,
    /// How a request looks, the verb included.
    pub usage: &'static str,
    /// What it does, in one line.
    pub help: &'static str,
    /// Who may use it.
    pub class: Class,
    /// Whether it takes `ns=`.
    pub takes_namespace: bool,
    /// Whether it may change the store.
    pub writes: bool,
}

impl Row {
    const fn new(
        verb: Verb,
        class: Class,
        name: &'static str,
        usage: &'static str,
        help: &'static str,
    ) -> Self {
        Self { verb, name, usage, help, class, takes_namespace: false, writes: false }
    }

    const fn with_namespace(self) -> Self {
        Self { takes_namespace: true, ..self }
    }

    const fn writing(self) -> Self {
        Self { writes: true, ..self }
    }
}

/// All commands, in the order of `HELP`.
pub static COMMANDS: [Row; 29] = rows();

#[rustfmt::skip]
const fn rows() -> [Row; 29] {
    use Class::{Admin, Data, Open};
    [
        Row::new(Verb::Hello, Open, "HELLO", "HELLO [token=<token>] [name=<name>]", "introduces the client, and tells the server's version and limits"),
        Row::new(Verb::Auth, Open, "AUTH", "AUTH <token>", "authenticates the connection with an access key"),
        Row::new(Verb::Ns, Data, "NS", "NS [<namespace>]", "sets or shows the namespace of this connection"),
        Row::new(Verb::Ping, Open, "PING", "PING", "answers OK"),
        Row::new(Verb::Quit, Open, "QUIT", "QUIT", "answers OK and closes the connection"),
        Row::new(Verb::Help, Open, "HELP", "HELP [<verb>]", "lists the commands, or explains one"),
        Row::new(Verb::Get, Data, "GET", "GET <key> [path=<JSON pointer>] [ns=<namespace>]", "reads a value, or one place of it").with_namespace(),
        Row::new(Verb::Set, Data, "SET", "SET <key> [ttl=<ttl>|at=<instant>|keepttl=1] [if=absent|present|<version>] [type=<type>] [desc=<text>] [ns=<namespace>] <json>", "creates or replaces an entry").with_namespace().writing(),
        Row::new(Verb::Entry, Data, "ENTRY", "ENTRY <key> [ns=<namespace>]", "reads an entry with all its fields").with_namespace(),
        Row::new(Verb::Mget, Data, "MGET", "MGET <key>... [ns=<namespace>]", "reads up to 1000 values, in order").with_namespace(),
        Row::new(Verb::Del, Data, "DEL", "DEL <key> [if=<version>] [get=1] [ns=<namespace>]", "deletes an entry").with_namespace().writing(),
        Row::new(Verb::Exists, Data, "EXISTS", "EXISTS <key>... [ns=<namespace>]", "counts how many of up to 1000 keys are live").with_namespace(),
        Row::new(Verb::Ttl, Data, "TTL", "TTL <key> [ns=<namespace>]", "tells the milliseconds left to an entry").with_namespace(),
        Row::new(Verb::Touch, Data, "TOUCH", "TOUCH <key> ttl=<ttl>|at=<instant> [ns=<namespace>]", "gives an entry a new expiry").with_namespace().writing(),
        Row::new(Verb::Persist, Data, "PERSIST", "PERSIST <key> [ns=<namespace>]", "takes the expiry from an entry").with_namespace().writing(),
        Row::new(Verb::Incr, Data, "INCR", "INCR <key> [by=<n>] [init=<n>] [ttl=<ttl>] [ns=<namespace>]", "adds to a number").with_namespace().writing(),
        Row::new(Verb::Patch, Data, "PATCH", "PATCH <key> [if=<version>] [ns=<namespace>] <json>", "merges a JSON merge patch into a value").with_namespace().writing(),
        Row::new(Verb::List, Data, "LIST", "LIST [prefix=<text>] [limit=<n>] [cursor=<cursor>] [reverse=1] [values=1] [ns=<namespace>]", "lists entries by key").with_namespace(),
        Row::new(Verb::Count, Data, "COUNT", "COUNT [prefix=<text>] [ns=<namespace>]", "counts entries").with_namespace(),
        Row::new(Verb::Namespaces, Data, "NAMESPACES", "NAMESPACES [prefix=<text>] [limit=<n>] [cursor=<cursor>]", "lists namespaces that hold live entries"),
        Row::new(Verb::Delprefix, Data, "DELPREFIX", "DELPREFIX <prefix> [dry=1] [ns=<namespace>]", "deletes all entries under a prefix").with_namespace().writing(),
        Row::new(Verb::Txn, Data, "TXN", "TXN [ns=<namespace>] <json>", "checks versions and carries out operations, all or none").with_namespace().writing(),
        Row::new(Verb::Watch, Data, "WATCH", "WATCH [prefix=<text>] [all=1] [from=<version>] [values=1] [ns=<namespace>]", "follows changes, each as it becomes durable").with_namespace(),
        Row::new(Verb::Sync, Data, "SYNC", "SYNC", "answers once all writes before it are durable"),
        Row::new(Verb::Stats, Data, "STATS", "STATS", "tells counters, sizes and lag"),
        Row::new(Verb::Compact, Admin, "COMPACT", "COMPACT", "reclaims the disk space of all that is dead, now"),
        Row::new(Verb::Backup, Admin, "BACKUP", "BACKUP <name>", "writes a backup under the configured directory"),
        Row::new(Verb::Org, Admin, "ORG", "ORG list | ORG delete <name> | ORG create|set <name> [plan=free|starter|team|scale] [entries=<n>|-] [value_bytes=<n>|-] [rate=<n>|-]", "manages organizations").writing(),
        Row::new(Verb::Key, Admin, "KEY", "KEY list [org=<name>] | KEY create [org=<name>] [scope=read_only|full_access|admin] [ns=<patterns>] [ttl=<ttl>|at=<instant>] [name=<text>] | KEY revoke <id>", "manages access keys").writing(),
    ]
}

/// The names of the table as numbers, so that looking up a verb compares no strings.
static PACKED: [u128; COMMANDS.len()] = {
    let rows = rows();
    let mut packed = [0; COMMANDS.len()];
    let mut index = 0;
    while index < rows.len() {
        assert!(rows[index].verb as usize == index, "the rows stand in the order of the verbs");
        assert!(rows[index].name.len() <= PACKED_BYTES_MAX, "a name fits into one number");
        packed[index] = pack(rows[index].name.as_bytes());
        index += 1;
    }
    packed
};

impl Verb {
    /// The verb of that name, in any case.
    #[must_use]
    #[inline]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        if name.len() > PACKED_BYTES_MAX {
            return None;
        }
        let wanted = pack(name);
        let index = PACKED.iter().position(|&packed| packed == wanted)?;
        Some(COMMANDS[index].verb)
    }

    /// The row that declares this verb.
    #[must_use]
    pub fn row(self) -> &'static Row {
        &COMMANDS[self as usize]
    }

    /// The verb as written, in capitals.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.row().name
    }
}

/// Bytes that fit into one number beside the mark of the beginning.
const PACKED_BYTES_MAX: usize = 15;

/// The bytes, in capitals, as one number. It begins with a 1, so that leading zeros count.
const fn pack(name: &[u8]) -> u128 {
    let mut packed = 1;
    let mut index = 0;
    while index < name.len() {
        packed = packed << 8 | name[index].to_ascii_uppercase() as u128;
        index += 1;
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_name_in_any_case() {
        for row in &COMMANDS {
            assert_eq!(row.name, row.name.to_uppercase());
            assert_eq!(Verb::from_name(row.name.as_bytes()), Some(row.verb));
            assert_eq!(Verb::from_name(row.name.to_lowercase().as_bytes()), Some(row.verb));
            assert_eq!(row.verb.as_str(), row.name);
            assert!(row.usage.starts_with(row.name));
            assert_eq!(row.takes_namespace, row.usage.contains(" [ns=<namespace>]"), "{}", row.name);
        }
        for unknown in ["", "GE", "GETS", "\0GET", "NAMESPACESNAMESPACES"] {
            assert_eq!(Verb::from_name(unknown.as_bytes()), None);
        }
    }
}
