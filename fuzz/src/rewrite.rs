//! From a parsed request back to a line, by the writer that clients use.

use jiff::{SignedDuration, civil};
use larder_protocol::{
    Command, Condition, Expiry, Incr, Key, Limit, List, NewKey, Org, Request, RequestError, RequestLine, Set,
    SetOptions, Settings, Transaction, Ttl, Watch, Write, encode_cursor,
};

/// Appends a line that says the same as `request`.
pub(crate) fn rewrite(out: &mut Vec<u8>, request: &Request<'_>) {
    let mut line = RequestLine::new(out, request.command.verb());
    line = match &request.command {
        Command::Ping
        | Command::Quit
        | Command::Sync
        | Command::Stats
        | Command::Compact
        | Command::Txn(_) => line,
        Command::Hello { token, name } => {
            let line = option(line, "token", token.as_ref().map(|token| &*token.0));
            option(line, "name", name.as_deref())
        }
        Command::Auth(token) => line.token(&token.0),
        Command::Org(org) => rewrite_org(line, org),
        Command::Key(key) => rewrite_key(line, key),
        Command::Ns(namespace) => namespace.iter().fold(line, |line, namespace| line.token(namespace)),
        Command::Help(verb) => verb.iter().fold(line, |line, verb| line.token(verb.as_str())),
        Command::Get { key, path } => {
            option(line.token(key), "path", path.as_ref().map(|path| path.as_str()))
        }
        Command::Set(set) => rewrite_set(line, set),
        Command::Entry { key } | Command::Ttl { key } | Command::Persist { key } => line.token(key),
        Command::Mget { keys } | Command::Exists { keys } => {
            keys.iter().fold(line, |line, key| line.token(key))
        }
        Command::Del { key, version, get } => {
            let line = line.token(key).option_number("get", (*get).into());
            version.iter().fold(line, |line, version| line.option_number("if", *version))
        }
        Command::Incr(incr) => rewrite_incr(line, incr),
        Command::Patch(patch) => {
            let line = line.token(&patch.key);
            patch.version.iter().fold(line, |line, version| line.option_number("if", *version))
        }
        Command::Delprefix { prefix, dry } => line.token(prefix).option_number("dry", (*dry).into()),
        Command::Backup { name } => line.token(name),
        Command::Touch { key, ttl } => expiry(line.token(key), *ttl),
        Command::List(list) => rewrite_list(line, list),
        Command::Watch(watch) => rewrite_watch(line, watch),
        Command::Count { prefix } => line.option("prefix", prefix),
        Command::Namespaces { prefix, limit, after } => {
            let line = line.option("prefix", prefix).option_number("limit", *limit as u64);
            cursor(line, after.as_deref())
        }
    };
    // The namespace is the last of the options, and JSON comes after all of them.
    line = option(line, "ns", request.ns.as_deref());
    let written = match &request.command {
        Command::Set(set) => line.json(&set.json).end(),
        Command::Patch(patch) => line.json(&patch.json).end(),
        Command::Txn(transaction) => rewrite_transaction(line, transaction),
        _ => line.end(),
    };
    written.expect("what was parsed can be written");
}

fn rewrite_transaction(line: RequestLine<'_>, transaction: &Transaction<'_>) -> Result<(), RequestError> {
    let checked = transaction
        .checks
        .iter()
        .fold(line.transaction(), |line, check| line.check(check.ns.as_deref(), &check.key, check.version));
    let operations = transaction.operations.iter().fold(checked, |line, operation| match &operation.write {
        Write::Set(set) => {
            let options = SetOptions {
                ns: operation.ns.as_deref(),
                expiry: set.expiry,
                value_type: Some(set.value_type),
                description: set.description.as_deref(),
            };
            line.set(&set.key, &set.json, options)
        }
        Write::Del { key } => line.del(operation.ns.as_deref(), key),
    });
    operations.end()
}

fn rewrite_incr<'o>(line: RequestLine<'o>, incr: &Incr<'_>) -> RequestLine<'o> {
    let line =
        line.token(&incr.key).option("by", &incr.by.to_string()).option("init", &incr.init.to_string());
    match incr.ttl {
        None => line,
        Some(Ttl::After(after_ms)) => line.option("ttl", &format!("{after_ms}ms")),
        Some(Ttl::At(unix_ms)) => line.option("ttl", &instant(unix_ms)),
    }
}

fn rewrite_org<'o>(line: RequestLine<'o>, org: &Org<'_>) -> RequestLine<'o> {
    let settings = |line: RequestLine<'o>, settings: &Settings<'_>| {
        let limit = |line: RequestLine<'o>, name, limit: Option<Limit>| match limit {
            None => line,
            Some(Limit::OfPlan) => line.option(name, "-"),
            Some(Limit::At(value)) => line.option_number(name, value),
        };
        let line = option(line, "plan", settings.plan.as_deref());
        let line = limit(line, "rate", settings.rate);
        let line = limit(line, "value_bytes", settings.value_bytes);
        limit(line, "entries", settings.entries)
    };
    match org {
        Org::List => line.token("list"),
        Org::Create { name, settings: given } => settings(line.token("create").token(name), given),
        Org::Set { name, settings: given } => settings(line.token("set").token(name), given),
        Org::Delete { name } => line.token("delete").token(name),
    }
}

fn rewrite_key<'o>(line: RequestLine<'o>, key: &Key<'_>) -> RequestLine<'o> {
    match key {
        Key::List { organization } => option(line.token("list"), "org", organization.as_deref()),
        Key::Create(NewKey { organization, scope, namespaces, expiry: expires, name }) => {
            let line = option(line.token("create"), "org", organization.as_deref());
            let line = option(line, "scope", scope.as_deref());
            let line = option(line, "ns", namespaces.as_deref());
            let line = option(line, "name", name.as_deref());
            expires.iter().fold(line, |line, ttl| expiry(line, *ttl))
        }
        Key::Revoke { id } => line.token("revoke").token(id),
    }
}

fn rewrite_set<'o>(line: RequestLine<'o>, set: &Set<'_>) -> RequestLine<'o> {
    let line = line.token(&set.key).option("type", set.value_type.as_str());
    let line = match set.expiry {
        Expiry::Clear => line,
        Expiry::Keep => line.option("keepttl", "1"),
        Expiry::Set(ttl) => expiry(line, ttl),
    };
    let line = match set.condition {
        None => line,
        Some(Condition::Absent) => line.option("if", "absent"),
        Some(Condition::Present) => line.option("if", "present"),
        Some(Condition::Version(version)) => line.option_number("if", version),
    };
    option(line, "desc", set.description.as_deref())
}

fn rewrite_list<'o>(line: RequestLine<'o>, list: &List<'_>) -> RequestLine<'o> {
    let line = line
        .option("prefix", &list.prefix)
        .option_number("limit", list.limit as u64)
        .option_number("reverse", list.reverse.into())
        .option_number("values", list.values.into());
    cursor(line, list.after.as_deref())
}

fn rewrite_watch<'o>(line: RequestLine<'o>, watch: &Watch<'_>) -> RequestLine<'o> {
    let line = line
        .option("prefix", &watch.prefix)
        .option_number("all", watch.all.into())
        .option_number("values", watch.values.into());
    watch.from.into_iter().fold(line, |line, from| line.option_number("from", from))
}

fn option<'o>(line: RequestLine<'o>, name: &str, value: Option<&str>) -> RequestLine<'o> {
    value.into_iter().fold(line, |line, value| line.option(name, value))
}

fn cursor<'o>(line: RequestLine<'o>, after: Option<&str>) -> RequestLine<'o> {
    let mut text = Vec::new();
    after.into_iter().for_each(|after| encode_cursor(&mut text, after));
    let text = String::from_utf8(text).expect("cursors are ASCII");
    option(line, "cursor", after.map(|_| &*text))
}

fn expiry(line: RequestLine<'_>, ttl: Ttl) -> RequestLine<'_> {
    match ttl {
        Ttl::After(after_ms) => line.option("ttl", &format!("{after_ms}ms")),
        Ttl::At(unix_ms) => line.option("at", &instant(unix_ms)),
    }
}

fn instant(unix_ms: u64) -> String {
    // By way of dates, since the library's instants end before those of the protocol.
    let since = SignedDuration::from_millis(i64::try_from(unix_ms).expect("years have four digits"));
    let utc = civil::date(1970, 1, 1).at(0, 0, 0, 0) + since;
    format!("{utc}Z")
}
