//! Merge patches against the pseudo code of RFC 7396, run by `serde_json`.

use std::borrow::Cow;

use larder_protocol::json::{JsonFault, compact, merge_patch};
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::json::document;

/// `MergePatch` of the RFC, word for word.
fn reference(target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    let mut target = match target {
        Value::Object(target) => target,
        _ => Map::new(),
    };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            let merged = reference(target.remove(name).unwrap_or(Value::Null), value);
            target.insert(name.clone(), merged);
        }
    }
    Value::Object(target)
}

fn compacted(text: &str) -> String {
    compact(text, 128).unwrap().text.into_owned()
}

proptest! {
    #![proptest_config(crate::same_cases())]

    #[test]
    fn the_result_is_that_of_the_rfc(target in document(), patch in document()) {
        let (target, patch) = (compacted(&target), compacted(&patch));
        let merged = merge_patch(&target, &patch).unwrap();
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        prop_assert_eq!(value(&merged), reference(value(&target), &value(&patch)), "{}", merged);
        let again = compact(&merged, 128).unwrap();
        prop_assert!(matches!(again.text, Cow::Borrowed(_)), "the result is compact");
    }

    #[test]
    fn what_is_not_named_is_left_to_the_byte(target in document()) {
        let target = compacted(&target);
        if target.starts_with('{') {
            prop_assert_eq!(&merge_patch(&target, "{}").unwrap(), &target);
            prop_assert_eq!(&merge_patch(&target, "{\"new\":null}").unwrap(), &target);
            let more = merge_patch(&target, "{\"new\":1.0}").unwrap();
            let comma = if target == "{}" { "" } else { "," };
            prop_assert_eq!(more, format!("{}{comma}\"new\":1.0}}", &target[..target.len() - 1]));
        }
    }

    #[test]
    fn no_text_makes_it_panic(target in "[{}\\[\\]:,\"\\\\a1nu]{0,20}", patch in "\\{[{}\\[\\]:,\"\\\\a1nu]{0,20}") {
        let _ = merge_patch(&target, &patch);
    }
}

/// The examples of appendix A.
#[test]
fn the_examples_of_the_rfc() {
    for (target, patch, merged) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, r#"{}"#),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, r#"null"#, r#"null"#),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        (r#"[1,2]"#, r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        (r#"{}"#, r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
    ] {
        assert_eq!(merge_patch(target, patch).unwrap(), merged, "{target} {patch}");
    }
}

#[test]
fn texts_places_and_duplicates() {
    for (target, patch, merged) in [
        // Digits, escapes and the order of members stay; a member that is changed keeps its place and its spelling.
        (r#"{"z":1.0,"\u0061":1e400,"b":"\/"}"#, r#"{"a":2.50}"#, r#"{"z":1.0,"\u0061":2.50,"b":"\/"}"#),
        // Of duplicates that are named the last one counts, and stays alone; others are left.
        (r#"{"a":1,"b":1,"b":2,"a":{"x":1}}"#, r#"{"a":{"y":2}}"#, r#"{"b":1,"b":2,"a":{"x":1,"y":2}}"#),
        (r#"{"a":1,"b":0,"a":2}"#, r#"{"a":null}"#, r#"{"b":0}"#),
        (r#"{"b":0}"#, r#"{"a":1,"c":1,"\u0061":2}"#, r#"{"b":0,"c":1,"\u0061":2}"#),
        (r#"{"a":{"x":1}}"#, r#"{"a":{"y":1},"a":{"z":1}}"#, r#"{"a":{"x":1,"z":1}}"#),
        (r#"{"a":1}"#, r#"{"a":5,"a":null}"#, r#"{}"#),
        // Half of a surrogate pair stands for no text, and is compared as written.
        (r#"{"\ud800":1,"\ud801":2}"#, r#"{"\ud800":3}"#, r#"{"\ud800":3,"\ud801":2}"#),
        // Within an array a null is a value.
        (r#"{"a":1}"#, r#"{"a":[null,{"b":null}]}"#, r#"{"a":[null,{"b":null}]}"#),
    ] {
        assert_eq!(merge_patch(target, patch).unwrap(), merged, "{target} {patch}");
    }
}

/// Were the work a product of sizes, of depth and size, or of duplicates and size, this would not end in any reasonable time.
#[test]
fn the_work_is_linear() {
    let (open, close) = (r#"{"a":"#.repeat(126), "}".repeat(126));
    let wide = (0..60_000).map(|n| format!("\"k{n}\":0")).collect::<Vec<_>>().join(",");
    let target = format!("{open}{{{wide}}}{close}");
    let patch = format!("{open}{{\"k59999\":null}}{close}");
    assert_eq!(merge_patch(&target, &patch).unwrap(), target.replace(",\"k59999\":0", ""));

    let twins = vec!["\"a\":{\"x\":1}"; 80_000].join(",");
    let patch = format!("{{\"a\":{{{wide}}}}}");
    let merged = merge_patch(&format!("{{{twins}}}"), &patch).unwrap();
    assert_eq!(merged, format!("{{\"a\":{{\"x\":1,{wide}}}}}"));
}

#[test]
fn nesting_that_no_value_has_is_refused() {
    let deep = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    assert_eq!(merge_patch(&deep, "{}").unwrap_err().fault, JsonFault::Depth(128));
    assert_eq!(merge_patch("{}", &deep).unwrap_err().fault, JsonFault::Depth(128));
}
