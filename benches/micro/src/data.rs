//! Keys and values as in the other benchmarks: 24 bytes, and JSON of 190.

/// Entries in whatever holds entries.
pub(crate) const ENTRIES: usize = 10_000;

pub(crate) fn key(number: usize) -> String {
    format!("user:{number:019}")
}

pub(crate) fn value(number: usize) -> String {
    let value = format!(
        r#"{{"id":"u_{number:09}","name":"amber juniper","email":"cedar@harbour.example","plan":"free","active":true,"logins":{},"seen":{},"note":"linden maple north olive pantry grove iris"}}"#,
        1000 + number % 9000,
        1_700_000_000_000 + number
    );
    debug_assert_eq!(value.len(), 190);
    value
}

/// All numbers below [`ENTRIES`], in an order that follows from nothing: the multiplier has no factor in common with it.
pub(crate) fn shuffled() -> impl Iterator<Item = usize> + Clone {
    (0..ENTRIES).map(|number| number * 7_368_787 % ENTRIES)
}
