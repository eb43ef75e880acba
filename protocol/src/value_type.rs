//! The types of the data model, and whether a value fits the one that its writer names.

use std::fmt;

use jiff::civil;
use jiff::fmt::temporal::SpanParser;

use crate::instant;
use crate::json::{Kind, decode_string};

/// The type of a value. The tags are stable and fit for storage; 0 is reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ValueType {
    /// A JSON string.
    String = 1,
    /// A JSON number, of any size and precision.
    Number = 2,
    /// `true` or `false`.
    Boolean = 3,
    /// An object, an array or `null`.
    Json = 4,
    /// A JSON string holding an RFC 3339 instant.
    DateTime = 5,
    /// A JSON string holding a calendar date, `yyyy-mm-dd`.
    Date = 6,
    /// A JSON string holding an ISO 8601 duration.
    Duration = 7,
}

/// A value does not fit the type named for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is not of type {wanted}: it must be {}", wanted.form())]
pub struct TypeMismatch {
    /// The type that was named.
    pub wanted: ValueType,
}

impl ValueType {
    /// All types, in the order of their tags.
    pub const ALL: [Self; 7] =
        [Self::String, Self::Number, Self::Boolean, Self::Json, Self::DateTime, Self::Date, Self::Duration];

    /// The type of a value whose writer names none.
    #[must_use]
    pub const fn of(kind: Kind) -> Self {
        match kind {
            Kind::String => Self::String,
            Kind::Number => Self::Number,
            Kind::Boolean => Self::Boolean,
            Kind::Object | Kind::Array | Kind::Null => Self::Json,
        }
    }

    /// The stable number of this type, 1 to 7.
    #[must_use]
    pub const fn tag(self) -> u8 {
        self as u8
    }

    /// The type of that number.
    #[must_use]
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|value_type| value_type.tag() == tag)
    }

    /// The name of the data model, in capitals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "STRING",
            Self::Number => "NUMBER",
            Self::Boolean => "BOOLEAN",
            Self::Json => "JSON",
            Self::DateTime => "DATETIME",
            Self::Date => "DATE",
            Self::Duration => "DURATION",
        }
    }

    /// The type of that name, in capitals or not.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|value_type| value_type.as_str().eq_ignore_ascii_case(name))
    }

    /// Checks that a valid, compact document of that kind may carry this type. What a string says is looked at for
    /// the string subtypes alone.
    pub fn check(self, json: &str, kind: Kind) -> Result<(), TypeMismatch> {
        let fits = match self {
            Self::DateTime => says(json, kind, instant::is_rfc3339),
            Self::Date => says(json, kind, |text| text.len() == 10 && text.parse::<civil::Date>().is_ok()),
            Self::Duration => says(json, kind, |text| SpanParser::new().parse_span(text).is_ok()),
            plain => plain == Self::of(kind),
        };
        if fits { Ok(()) } else { Err(TypeMismatch { wanted: self }) }
    }

    const fn form(self) -> &'static str {
        match self {
            Self::String => "a JSON string",
            Self::Number => "a JSON number",
            Self::Boolean => "true or false",
            Self::Json => "an object, an array or null",
            Self::DateTime => "a string with an RFC 3339 instant, as \"2030-01-31T12:00:00Z\"",
            Self::Date => "a string with a date, as \"2030-01-31\"",
            Self::Duration => "a string with an ISO 8601 duration, as \"PT5M\"",
        }
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn says(json: &str, kind: Kind, holds: impl FnOnce(&str) -> bool) -> bool {
    kind == Kind::String && decode_string(json).is_ok_and(|text| holds(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::compact;

    fn fits(value_type: ValueType, json: &str) -> bool {
        let document = compact(json, 128).unwrap();
        value_type.check(&document.text, document.kind).is_ok()
    }

    #[test]
    fn tags_and_names_are_stable() {
        let names: Vec<_> = ValueType::ALL.iter().map(|t| (t.tag(), t.as_str())).collect();
        let expected = [
            (1, "STRING"),
            (2, "NUMBER"),
            (3, "BOOLEAN"),
            (4, "JSON"),
            (5, "DATETIME"),
            (6, "DATE"),
            (7, "DURATION"),
        ];
        assert_eq!(names, expected);
        for value_type in ValueType::ALL {
            assert_eq!(ValueType::from_tag(value_type.tag()), Some(value_type));
            assert_eq!(ValueType::from_name(&value_type.as_str().to_lowercase()), Some(value_type));
        }
        assert_eq!(ValueType::from_tag(0), None);
        assert_eq!(ValueType::from_tag(8), None);
        assert_eq!(ValueType::from_name("TEXT"), None);
    }

    #[test]
    fn plain_types_follow_the_kind_of_document() {
        assert!(fits(ValueType::String, r#""\ud800""#));
        assert!(fits(ValueType::Number, "1e400"));
        assert!(fits(ValueType::Boolean, "false"));
        for json in ["{}", "[]", "null"] {
            assert!(fits(ValueType::Json, json));
            assert!(!fits(ValueType::String, json));
        }
        assert!(!fits(ValueType::Json, "1"));
    }

    #[test]
    fn string_subtypes_look_at_what_the_string_says() {
        for good in [
            "2030-01-31T12:00:00Z",
            "2030-01-31t12:00:00.123456789z",
            "2030-01-31T12:00:00+05:30",
            "9999-12-31T23:59:59Z",
            "2016-12-31T23:59:60Z",
            "2030-01-31T12:00:00\\u005a",
        ] {
            assert!(fits(ValueType::DateTime, &format!("\"{good}\"")), "{good}");
        }
        for bad in [
            "",
            "2030-01-31",
            "2030-01-31 12:00:00Z",
            "2030-01-31T12:00Z",
            "2030-02-30T12:00:00Z",
            "2030-01-31T24:00:00Z",
            "2030-01-31T12:00:61Z",
            "2030-01-31T12:00:00",
            "2030-01-31T12:00:00.Z",
            "2030-01-31T12:00:00,5Z",
            "2030-01-31T12:00:00+24:00",
            "2030-01-31T12:00:00+0530",
            "2030-01-31T12:00:00Z[UTC]",
            "+02030-01-31T12:00:00Z",
            "\\ud800",
        ] {
            assert!(!fits(ValueType::DateTime, &format!("\"{bad}\"")), "{bad}");
        }
        assert!(fits(ValueType::Date, "\"2028-02-29\""));
        for bad in ["\"2030-02-29\"", "\"20300131\"", "\"2030-1-31\"", "\"2030-01-31T\"", "20300131"] {
            assert!(!fits(ValueType::Date, bad), "{bad}");
        }
        for good in ["PT5M", "P1Y2M3DT4H5M6.5S", "P2W"] {
            assert!(fits(ValueType::Duration, &format!("\"{good}\"")), "{good}");
        }
        for bad in ["", "5m", "P", "PT", "5 minutes", "P1S"] {
            assert!(!fits(ValueType::Duration, &format!("\"{bad}\"")), "{bad}");
        }
    }
}
