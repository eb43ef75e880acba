//! The everyday form of each verb, declared once for both clients.
//!
//! A row says how a method looks, what it is documented with, and which request it sends. Options beyond the row are
//! had by sending the request itself with `call`.

/// Hands the rows to the macro of a client, which makes methods of them.
macro_rules! verbs {
    ($methods:ident) => {
        $methods! {
            /// Asks whether the server is there.
            ping() -> () = request::Ping;
            /// Asks for the server's version and limits.
            hello() -> reply::Hello = request::Hello::new();
            /// Creates or replaces an entry that does not expire. Options are those of [`request::Set`].
            set(key: &str, json: &str) -> reply::Outcome<reply::Stamp> = request::Set::new(key, json);
            /// Reads a value.
            get(key: &str) -> Option<reply::Value> = request::Get::new(key);
            /// Reads the place of a value that a JSON pointer names.
            get_path(key: &str, pointer: &str) -> reply::AtPath = request::Get::new(key).path(pointer);
            /// Reads an entry with all its fields.
            entry(key: &str) -> Option<reply::Entry> = request::Entry::new(key);
            /// Reads up to 1,000 values, in order.
            mget(keys: &[&str]) -> Vec<Option<reply::Value>> = request::Mget::new(keys);
            /// Deletes an entry. Options are those of [`request::Del`].
            del(key: &str) -> reply::Deletion<u64> = request::Del::new(key);
            /// Deletes all entries whose keys begin so, and tells how many. Options are those of [`request::DelPrefix`].
            del_prefix(prefix: &str) -> u64 = request::DelPrefix::new(prefix);
            /// Adds to a number; an absent entry counts as 0. Options are those of [`request::Incr`].
            incr(key: &str, by: i64) -> reply::Number = request::Incr::new(key).by(by);
            /// Merges a JSON merge patch into a value. Options are those of [`request::Patch`].
            patch(key: &str, json: &str) -> reply::Patched = request::Patch::new(key, json);
            /// Carries out a transaction.
            transact(transaction: &request::Transaction<'_>) -> reply::Commit = transaction;
            /// Counts how many of up to 1,000 keys are live.
            exists(keys: &[&str]) -> u64 = request::Exists::new(keys);
            /// Tells how long an entry still lives.
            ttl(key: &str) -> Option<reply::TimeLeft> = request::TimeToLive::new(key);
            /// Gives an entry a new time to live.
            touch(key: &str, ttl: std::time::Duration) -> Option<reply::Stamp> = request::Touch::after(key, ttl);
            /// Takes the expiry from an entry.
            persist(key: &str) -> Option<reply::Stamp> = request::Persist::new(key);
            /// Lists the first page of the entries whose keys begin so. Options are those of [`request::List`].
            list(prefix: &str) -> reply::Page<reply::Item> = request::List::prefix(prefix);
            /// Counts the entries whose keys begin so.
            count(prefix: &str) -> u64 = request::Count::prefix(prefix);
            /// Lists the first page of the namespaces that hold live entries.
            namespaces() -> reply::Page<reply::NamespaceItem> = request::Namespaces::all();
            /// Waits until all writes before are durable, and tells the version of the last.
            sync() -> u64 = request::Sync;
            /// Asks for counters, sizes and lag, as a JSON object.
            stats() -> String = request::Stats;
            /// Has the server give the disk space of all that is dead back, and waits until that is done.
            compact() -> reply::Compaction = request::Compact;
            /// Has the server write a backup of that name, and waits until it is durable.
            backup(name: &str) -> reply::Backup = request::Backup::new(name);
        }
    };
}
pub(crate) use verbs;
