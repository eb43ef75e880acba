//! JSON text against `serde_json`, and where the two are meant to differ.

use std::borrow::Cow;

use larder_protocol::json::{
    JsonFault, Kind, PointerError, at_pointer, compact, decode_string, encode_string,
};
use proptest::prelude::*;
use serde_json::Value;

/// A document as text, with white space between its tokens here and there.
pub(crate) fn document() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,2})?",
        any::<String>().prop_map(|s| Value::String(s).to_string()),
        Just(r#""\u00e9\ud83d\ude00\/\b\f""#.to_owned()),
    ];
    let spaced = |text: String, pad: &'static str| format!("{pad}{text}{pad}");
    let pad = prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t ")];
    scalar.prop_recursive(6, 40, 6, move |inner| {
        let pad = pad.clone();
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..6), pad.clone()).prop_map(move |(items, pad)| spaced(
                format!("[{pad}{}]", items.join(&format!("{pad},"))),
                pad
            )),
            (prop::collection::vec((key(), inner), 0..6), pad).prop_map(move |(members, pad)| {
                let members: Vec<_> =
                    members.into_iter().map(|(key, value)| format!("{pad}{key}{pad}:{pad}{value}")).collect();
                spaced(format!("{{{pad}{}}}", members.join(",")), pad)
            }),
        ]
    })
}

/// Few enough keys that duplicates occur, one of them spelled in two ways.
fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![r#""a""#, r#""\u0061""#, r#""b/~c""#, r#""é""#, r#""""#, r#""0""#])
        .prop_map(str::to_owned)
}

/// Valid documents with a character lost, doubled or replaced, and plain noise.
fn damaged() -> impl Strategy<Value = String> {
    let damage = (
        document(),
        any::<prop::sample::Index>(),
        prop::sample::select(vec!["", "\"", "\\", ",", "}", "[", "0", "\u{1}", "e"]),
    );
    prop_oneof![
        4 => damage.prop_map(|(text, index, with)| {
            let mut characters: Vec<_> = text.chars().map(String::from).collect();
            let at = index.index(characters.len());
            with.clone_into(&mut characters[at]);
            characters.concat()
        }),
        1 => "[\\[\\]{}:,\"\\\\0-9eE+.a-u \n-]{0,24}",
    ]
}

/// Where the two differ on purpose: numbers beyond a double, and halves of surrogate pairs.
fn differs(text: &str) -> bool {
    let error = serde_json::from_str::<Value>(text).err().map(|error| error.to_string());
    error.is_some_and(|error| {
        error.contains("number out of range") || error.contains("surrogate") || error.contains("hex escape")
    })
}

proptest! {
    #![proptest_config(crate::same_cases())]

    #[test]
    fn valid_documents_are_taken_and_keep_their_meaning(text in document()) {
        let compacted = compact(&text, 128).unwrap();
        let before: Value = serde_json::from_str(&text).unwrap();
        let after: Value = serde_json::from_str(&compacted.text).unwrap();
        prop_assert_eq!(&before, &after);
        let kind = match before {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Boolean,
            Value::Number(_) => Kind::Number,
            Value::String(_) => Kind::String,
            Value::Array(_) => Kind::Array,
            Value::Object(_) => Kind::Object,
        };
        prop_assert_eq!(compacted.kind, kind);
        // Compact text is left as it is, and not copied.
        let again = compact(&compacted.text, 128).unwrap();
        prop_assert_eq!(&again.text, &compacted.text);
        prop_assert!(matches!(again.text, Cow::Borrowed(_)));
        prop_assert!(!compacted.text.contains(['\n', '\r', '\t']));
    }

    #[test]
    fn what_is_taken_and_refused_is_the_same(text in damaged()) {
        let ours = compact(&text, 128);
        let theirs = serde_json::from_str::<Value>(&text);
        prop_assert!(ours.is_ok() == theirs.is_ok() || differs(&text), "{:?} {:?}", ours, theirs);
        if let Err(error) = ours {
            prop_assert!(error.position <= text.len());
        }
    }

    #[test]
    fn strings_go_there_and_back(text in any::<String>()) {
        let mut encoded = Vec::new();
        encode_string(&mut encoded, &text);
        let encoded = String::from_utf8(encoded).unwrap();
        prop_assert_eq!(serde_json::from_str::<String>(&encoded).unwrap(), text.clone());
        prop_assert_eq!(decode_string(&encoded).unwrap(), text);
    }

    #[test]
    fn strings_decode_as_elsewhere(body in "([a-c]|\\\\[u\"\\\\/bfnrtx]|\\\\u[0d][08c-f][0-9a-f]{2}){0,6}") {
        let text = format!("\"{body}\"");
        let theirs = serde_json::from_str::<String>(&text).ok();
        prop_assert_eq!(decode_string(&text).ok().map(Cow::into_owned), theirs);
    }

    #[test]
    fn pointers_find_what_a_tree_holds(
        text in document(),
        tokens in prop::collection::vec(prop::sample::select(vec!["a", "b~1~0c", "é", "", "0", "1", "2", "00", "01", "-", "+1", "x"]), 0..4),
    ) {
        let document = compact(&text, 128).unwrap().text;
        let pointer: String = tokens.iter().flat_map(|token| ["/", token]).collect();
        let found = at_pointer(document.as_bytes(), &pointer).unwrap();
        let found: Option<Value> = found.map(|text| serde_json::from_slice(text).unwrap());
        let tree: Value = serde_json::from_str(&document).unwrap();
        prop_assert_eq!(found.as_ref(), naive_pointer(&tree, &tokens));
    }

    #[test]
    fn pointers_never_panic_on_what_is_no_document(text in damaged(), tokens in prop::collection::vec("[a0-2]", 0..3)) {
        let pointer: String = tokens.iter().flat_map(|token| ["/", token]).collect();
        let _ = at_pointer(text.as_bytes(), &pointer).unwrap();
    }
}

/// RFC 6901 over a tree. The tree keeps the last of duplicate keys.
fn naive_pointer<'v>(tree: &'v Value, tokens: &[&str]) -> Option<&'v Value> {
    tokens.iter().try_fold(tree, |value, token| match value {
        Value::Object(members) => members.get(&token.replace("~1", "/").replace("~0", "~")),
        Value::Array(items) if *token == "0" || !token.starts_with(['0', '+']) => {
            items.get(token.parse::<usize>().ok()?)
        }
        _ => None,
    })
}

#[test]
fn the_exact_text_is_kept() {
    for text in [
        "1.0",
        "-0",
        "1e400",
        "1E+05",
        "1234567890123456789012345678901234567890",
        r#""\ud800""#,
        r#""\u0041\/""#,
        r#"{"a":1,"a":2}"#,
        "\"\u{7f}\u{2028}\u{10ffff}\"",
        "[[],{},[{}]]",
    ] {
        let compacted = compact(text, 128).unwrap().text;
        assert!(matches!(compacted, Cow::Borrowed(_)), "{text}");
        assert_eq!(compacted, text);
    }
    assert_eq!(compact(" [ 1.0 ,\t\"a b\" , { } ]\r\n", 128).unwrap().text, r#"[1.0,"a b",{}]"#);
    assert!(matches!(compact(" 1 ", 128).unwrap().text, Cow::Borrowed("1")));
}

#[test]
fn nesting_ends_at_its_limit() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize| {
            let core = if open == "[" { "" } else { "1" };
            format!("{}{core}{}", open.repeat(depth), close.repeat(depth))
        };
        assert!(compact(&nested(128), 128).is_ok());
        let error = compact(&nested(129), 128).unwrap_err();
        assert_eq!((error.position, error.fault), (128 * open.len(), JsonFault::Depth(128)));
        assert_eq!(compact(&nested(129), 1_000).unwrap_err().fault, JsonFault::Depth(128));
        assert!(compact(&nested(3), 3).is_ok());
        assert_eq!(compact(&nested(4), 3).unwrap_err().fault, JsonFault::Depth(3));
    }
    assert!(compact("1", 0).is_ok());
    assert!(compact("[]", 0).is_err());
    assert!(compact(&"[".repeat(1_000_000), 128).is_err());
}

#[test]
fn errors_name_the_byte() {
    for (text, position, fault) in [
        ("", 0, JsonFault::End),
        ("  ", 2, JsonFault::End),
        ("tru", 0, JsonFault::Expected("true")),
        ("foo", 0, JsonFault::Expected("false")),
        ("user", 0, JsonFault::Expected("a value")),
        ("[1,]", 3, JsonFault::Expected("a value")),
        ("[1 2]", 3, JsonFault::Expected("`,` or `]`")),
        ("[1}", 2, JsonFault::Expected("`,` or `]`")),
        ("{\"a\" 1}", 5, JsonFault::Expected("`:`")),
        ("{a:1}", 1, JsonFault::Expected("a member name in quotes, or `}`")),
        ("{\"a\":1,}", 7, JsonFault::Expected("a member name in quotes")),
        ("{\"a\":1", 6, JsonFault::End),
        ("\"é\n\"", 3, JsonFault::Control),
        ("\"a\\x\"", 2, JsonFault::Escape),
        ("\"a\\u12g4\"", 2, JsonFault::Escape),
        ("\"a", 2, JsonFault::End),
        ("01", 1, JsonFault::Trailing),
        ("1.", 2, JsonFault::End),
        ("-", 1, JsonFault::End),
        ("-a", 1, JsonFault::Expected("a digit")),
        ("1 1", 2, JsonFault::Trailing),
    ] {
        let error = compact(text, 128).unwrap_err();
        assert_eq!((error.position, error.fault), (position, fault), "{text}");
    }
}

#[test]
fn halves_of_pairs_stand_for_no_character() {
    for text in [r#""\ud800""#, r#""\udc00""#, r#""\ud800x""#, r#""\ud800\ud800""#, r#""a\ud83d\n""#] {
        assert!(compact(text, 128).is_ok());
        assert_eq!(decode_string(text).unwrap_err().fault, JsonFault::Surrogate);
    }
    assert_eq!(decode_string(r#""a\ud800""#).unwrap_err().position, 2);
    assert_eq!(decode_string(r#""\ud83d\ude00""#).unwrap(), "😀");
}

#[test]
fn a_pointer_has_a_form() {
    assert_eq!(at_pointer(b"1", "a"), Err(PointerError::Slash));
    for pointer in ["/~", "/~2", "/a~"] {
        assert_eq!(at_pointer(b"1", pointer), Err(PointerError::Tilde));
    }
    assert_eq!(at_pointer(b"[1]", ""), Ok(Some(&b"[1]"[..])));
    assert_eq!(at_pointer(br#"{"~1":2}"#, "/~01"), Ok(Some(&b"2"[..])));
    assert_eq!(at_pointer(b"[1]", "/99999999999999999999999"), Ok(None));
    let last_wins = br#"{"a":1,"\u0061":{"b":2},"\ud800":3}"#;
    assert_eq!(at_pointer(last_wins, "/a/b"), Ok(Some(&b"2"[..])));
}
