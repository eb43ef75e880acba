//! What a key allows: how much, and in which namespaces.

use serde::{Deserialize, Serialize};

use super::error::AccessError;

/// Most patterns of one key.
const PATTERNS_MAX: usize = 64;

/// How much a key allows; each allows what those before it do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scope {
    /// Reading and watching.
    ReadOnly,
    /// Writing, too.
    FullAccess,
    /// What the operator does, too.
    Admin,
}

impl Scope {
    const ALL: [Scope; 3] = [Scope::ReadOnly, Scope::FullAccess, Scope::Admin];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Scope::ReadOnly => "read_only",
            Scope::FullAccess => "full_access",
            Scope::Admin => "admin",
        }
    }

    /// The scope of that name.
    pub(crate) fn from_name(name: &str) -> Result<Scope, AccessError> {
        let named = Scope::ALL.into_iter().find(|scope| scope.as_str() == name);
        named.ok_or_else(|| AccessError::Scope { name: name.to_owned() })
    }
}

/// The namespaces that a key is for: names, and beginnings of names. Sorted, and none of them within another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Namespaces(Vec<Pattern>);

/// A namespace, or with a `*` at the end all that begin so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub(crate) struct Pattern {
    pub(crate) text: String,
    /// Whether it stands for all that begin so.
    pub(crate) is_prefix: bool,
}

impl From<String> for Pattern {
    fn from(mut text: String) -> Pattern {
        let is_prefix = text.ends_with('*');
        if is_prefix {
            text.pop();
        }
        Pattern { text, is_prefix }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        let Pattern { mut text, is_prefix } = pattern;
        text.extend(is_prefix.then_some('*'));
        text
    }
}

impl Pattern {
    pub(crate) fn holds(&self, namespace: &str) -> bool {
        if self.is_prefix { namespace.starts_with(&self.text) } else { namespace == self.text }
    }

    /// Whether everything that another pattern holds is held by this one.
    fn covers(&self, other: &Pattern) -> bool {
        self == other || (self.is_prefix && other.text.starts_with(&self.text))
    }

    fn check(&self) -> Result<(), AccessError> {
        let refused = |text: String| AccessError::Namespaces { text };
        if self.is_prefix && self.text.is_empty() {
            return Ok(());
        }
        larder_engine::check_namespace(&self.text).map_err(|error| refused(error.to_string()))
    }
}

impl Namespaces {
    /// The namespaces of a list as a person writes it: separated by commas, or, where a name holds a comma, a JSON array.
    pub(crate) fn parse(list: &str) -> Result<Namespaces, AccessError> {
        if !list.starts_with('[') {
            return Namespaces::new(list.split(',').map(|name| Pattern::from(name.to_owned())).collect());
        }
        let patterns: Vec<String> = serde_json::from_str(list).map_err(|error| AccessError::Namespaces {
            text: format!("what begins with [ must be a JSON array of texts: {error}"),
        })?;
        Namespaces::new(patterns.into_iter().map(Pattern::from).collect())
    }

    pub(crate) fn new(mut patterns: Vec<Pattern>) -> Result<Namespaces, AccessError> {
        if patterns.is_empty() || patterns.len() > PATTERNS_MAX {
            let text = format!("there are {}, but must be 1 to {PATTERNS_MAX}", patterns.len());
            return Err(AccessError::Namespaces { text });
        }
        patterns.iter().try_for_each(Pattern::check)?;
        // A beginning comes before what it covers, and what it covers comes next to it.
        patterns.sort_by(|a, b| a.text.cmp(&b.text).then(b.is_prefix.cmp(&a.is_prefix)));
        patterns.dedup_by(|later, earlier| earlier.covers(later));
        Ok(Namespaces(patterns))
    }

    /// Whether a namespace is among them.
    pub(crate) fn hold(&self, namespace: &str) -> bool {
        self.0.iter().any(|pattern| pattern.holds(namespace))
    }

    /// The namespaces among them that begin with `prefix`, as patterns in the order of names.
    pub(crate) fn within<'n>(&'n self, prefix: &'n str) -> impl Iterator<Item = (&'n str, bool)> {
        self.0.iter().filter_map(move |pattern| {
            if pattern.text.starts_with(prefix) {
                Some((pattern.text.as_str(), pattern.is_prefix))
            } else {
                (pattern.is_prefix && prefix.starts_with(&pattern.text)).then_some((prefix, true))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(namespaces: &Namespaces) -> String {
        serde_json::to_string(namespaces).unwrap()
    }

    #[test]
    fn lists_are_sorted_and_hold_nothing_twice() {
        for (written, kept) in [
            ("b,a", r#"["a","b"]"#),
            ("a*,a,ab,b,a*,abc*", r#"["a*","b"]"#),
            ("a,a*", r#"["a*"]"#),
            ("x,*", r#"["*"]"#),
            (r#"["a,b","c*"]"#, r#"["a,b","c*"]"#),
            ("../x,a/b*", r#"["../x","a/b*"]"#),
        ] {
            let namespaces = Namespaces::parse(written).unwrap();
            assert_eq!(list(&namespaces), kept, "{written}");
            let again: Namespaces = serde_json::from_str(kept).unwrap();
            assert_eq!(again, namespaces);
        }
        let many = vec!["n"; PATTERNS_MAX + 1].join(",");
        for refused in ["", ",", "a,,b", "[", "[]", "[1]", "[\"\"]", "a\u{7}", &many, &"x".repeat(513)] {
            assert!(Namespaces::parse(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn names_are_held_as_they_are() {
        let namespaces = Namespaces::parse("app,app:*,q*").unwrap();
        for held in ["app", "app:", "app:x", "q", "qq"] {
            assert!(namespaces.hold(held), "{held}");
        }
        for other in ["ap", "apps", "App", "default", "pq", "app\u{301}"] {
            assert!(!namespaces.hold(other), "{other}");
        }
        let within = |prefix| namespaces.within(prefix).collect::<Vec<_>>();
        assert_eq!(within(""), [("app", false), ("app:", true), ("q", true)]);
        assert_eq!(within("app:x"), [("app:x", true)]);
        assert_eq!(within("q"), [("q", true)]);
        assert_eq!(within("r"), []);
        assert_eq!(within("app"), [("app", false), ("app:", true)]);
    }

    #[test]
    fn scopes_are_ordered() {
        assert!(Scope::ReadOnly < Scope::FullAccess && Scope::FullAccess < Scope::Admin);
        for scope in Scope::ALL {
            assert_eq!(Scope::from_name(scope.as_str()).unwrap(), scope);
            assert_eq!(serde_json::to_string(&scope).unwrap(), format!("\"{}\"", scope.as_str()));
        }
        assert!(Scope::from_name("root").is_err());
    }
}
