//! An entry with all fields of the data model.

use larder_protocol::ValueType;
use larder_protocol::reply::ReplyError;

use super::object::Object;

/// An entry with all its fields. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The organization it belongs to.
    pub organization: String,
    /// Its namespace.
    pub namespace: String,
    /// Its key.
    pub key: String,
    /// Its value: compact JSON.
    pub json: String,
    /// The type of the value.
    pub value_type: ValueType,
    /// A note.
    pub description: Option<String>,
    /// The version of its last change.
    pub version: u64,
    /// When it was created.
    pub created_ms: u64,
    /// When it was changed last.
    pub updated_ms: u64,
    /// When it expires.
    pub expires_ms: Option<u64>,
    /// Stable for the life of the entry, different after delete and re-create.
    pub id: String,
}

impl Entry {
    /// Reads the reply to `ENTRY`.
    pub(crate) fn parse(json: &str) -> Result<Self, ReplyError> {
        let object = Object(json);
        // A value of null is a value.
        let value = object.optional("/value")?.unwrap_or("null");
        Ok(Self {
            organization: object.text("/organization")?,
            namespace: object.text("/namespace")?,
            key: object.text("/key")?,
            json: value.to_owned(),
            value_type: ValueType::from_name(&object.text("/type")?).ok_or(ReplyError::Fields)?,
            description: object.optional_text("/description")?,
            version: object.number("/version")?,
            created_ms: object.number("/created_at")?,
            updated_ms: object.number("/updated_at")?,
            expires_ms: object.optional_number("/expires_at")?,
            id: object.text("/id")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = r#"{"organization":"default","namespace":"n","key":"k","value":{"id":"not this","n":1.0},"type":"JSON","description":"a \"note\"","version":7,"created_at":1,"updated_at":2,"expires_at":null,"id":"ds_1"}"#;

    #[test]
    fn fields_are_read_and_the_value_kept_as_text() {
        let entry = Entry::parse(ENTRY).unwrap();
        assert_eq!(entry.json, r#"{"id":"not this","n":1.0}"#);
        assert_eq!((entry.id.as_str(), entry.version, entry.expires_ms), ("ds_1", 7, None));
        assert_eq!(entry.description.as_deref(), Some("a \"note\""));
        assert_eq!(entry.value_type, ValueType::Json);
    }

    #[test]
    fn a_missing_or_mistyped_field_is_an_error() {
        for (from, to) in
            [("\"id\":\"ds_1\"", "\"x\":1"), ("\"version\":7", "\"version\":\"7\""), ("\"JSON\"", "\"TREE\"")]
        {
            assert_eq!(Entry::parse(&ENTRY.replace(from, to)), Err(ReplyError::Fields), "{to}");
        }
        for text in ["", "[]", "{", "nonsense"] {
            assert_eq!(Entry::parse(text), Err(ReplyError::Fields), "{text}");
        }
    }
}
