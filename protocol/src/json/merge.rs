//! JSON merge patch (RFC 7396) on text: what the patch does not touch keeps its bytes and its place.
//!
//! Each document is gone over once, and every member of its objects noted with the place of its next sibling; then the two
//! lists are walked side by side. So a member that is only passed over costs the same however much it holds, and the whole
//! is linear in the two texts. Arrays are never looked into, as the RFC has it.

use std::borrow::Cow;
use std::collections::HashMap;

use super::pointer::value_end;
use super::scan::{expected, string};
use super::string::decode_string;
use super::{JsonError, JsonFault};
use crate::limits::DEPTH_MAX;

/// Applies the merge patch `patch` to `target`. Both must be valid and compact, as [`compact`](super::compact) leaves them,
/// and so is the result, nested no deeper than the deeper of the two; anything else gives an error or something arbitrary,
/// but never panics.
///
/// Members of `target` that the patch does not name stay as they are, duplicates included. Those that it names keep their
/// place, and their name as it was written; of duplicates the last counts, and it alone is left. New members follow in the
/// order of the patch, of which the last of duplicates counts too. Names are compared as texts: `"\u0061"` is `"a"`.
///
/// ```
/// use larder_protocol::json::merge_patch;
///
/// let merged = merge_patch(r#"{"b":1.0,"a":{"x":1,"y":2}}"#, r#"{"a":{"x":null,"z":3},"c":4}"#)?;
/// assert_eq!(merged, r#"{"b":1.0,"a":{"y":2,"z":3},"c":4}"#);
/// # Ok::<(), larder_protocol::json::JsonError>(())
/// ```
pub fn merge_patch(target: &str, patch: &str) -> Result<String, JsonError> {
    if !is_object(patch) {
        return Ok(patch.to_owned());
    }
    let (target, patch) = (Members::of(target)?, Members::of(patch)?);
    let mut merge = Merge { target, patch, out: String::new() };
    merge.object(Some(0), 0);
    Ok(merge.out)
}

/// A member of an object.
#[derive(Debug, Clone, Copy)]
struct Member<'t> {
    /// The name as written, quotes included.
    name: &'t str,
    value: &'t str,
    /// Index after the members of its value: that of the next sibling, if there is one.
    after: usize,
    /// Whether it is the last of its object.
    last: bool,
}

/// The members of a document's objects, those within a member's value right after it.
#[derive(Debug, Default)]
struct Members<'t>(Vec<Member<'t>>);

/// What a name stands for. One with half of a surrogate pair stands for no text, and is compared as it is written.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Name<'t> {
    Text(Cow<'t, str>),
    Written(&'t str),
}

impl<'t> Name<'t> {
    fn of(written: &'t str) -> Self {
        decode_string(written).map_or(Self::Written(written), Self::Text)
    }
}

impl<'t> Members<'t> {
    /// Of `text`: none, if that is no object.
    fn of(text: &'t str) -> Result<Self, JsonError> {
        let mut members = Self::default();
        if is_object(text) {
            members.note(text, 0, 1)?;
        }
        Ok(members)
    }

    /// Notes the members of the object that begins at `at`, and of those within. Returns where it ends.
    fn note(&mut self, text: &'t str, mut at: usize, depth: usize) -> Result<usize, JsonError> {
        let bytes = text.as_bytes();
        if depth > DEPTH_MAX {
            return Err(JsonError::new(at, JsonFault::Depth(DEPTH_MAX)));
        }
        at += 1;
        if bytes.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        loop {
            if bytes.get(at) != Some(&b'"') {
                return Err(expected(bytes, at, "a member name in quotes"));
            }
            let name_end = string(bytes, at)?.end;
            if bytes.get(name_end) != Some(&b':') {
                return Err(expected(bytes, name_end, "`:`"));
            }
            let (index, value_at) = (self.0.len(), name_end + 1);
            self.0.push(Member { name: &text[at..name_end], value: "", after: 0, last: false });
            let end = match bytes.get(value_at) {
                Some(b'{') => self.note(text, value_at, depth + 1)?,
                _ => value_end(bytes, value_at).ok_or_else(|| expected(bytes, value_at, "a value"))?,
            };
            let Some(value) = text.get(value_at..end) else {
                return Err(expected(bytes, value_at, "a value"));
            };
            let last = bytes.get(end) == Some(&b'}');
            self.0[index] = Member { value, after: self.0.len(), last, ..self.0[index] };
            if !last && bytes.get(end) != Some(&b',') {
                return Err(expected(bytes, end, "`,` or `}`"));
            }
            at = end + 1;
            if last {
                return Ok(at);
            }
        }
    }

    /// The members of one object, of which `first` is the first if it has any.
    fn siblings(&self, first: usize) -> impl Iterator<Item = (usize, Member<'t>)> {
        let mut next = Some(first);
        std::iter::from_fn(move || {
            let index = next?;
            let member = *self.0.get(index)?;
            next = (!member.last).then_some(member.after);
            Some((index, member))
        })
    }

    /// The first member of the value of the member at `index`, if that is an object and has one.
    fn first_within(&self, index: usize) -> Option<usize> {
        self.0
            .get(index)
            .filter(|member| is_object(member.value) && member.after > index + 1)
            .map(|_| index + 1)
    }
}

/// A member that the patch names.
#[derive(Debug)]
struct Named {
    /// The last of that name in the patch.
    patch: usize,
    /// The last of that name in the target.
    target: Option<usize>,
}

#[derive(Debug)]
struct Merge<'t> {
    target: Members<'t>,
    patch: Members<'t>,
    out: String,
}

impl<'t> Merge<'t> {
    /// Writes the object whose first member in the target is `target` (none, if it has no members there, or was no object)
    /// as the patch changes it, whose first member is `patch`. It goes as deep as the patch, whose depth is bounded.
    fn object(&mut self, target: Option<usize>, patch: usize) {
        let mut named: HashMap<Name<'t>, Named> = HashMap::new();
        for (index, member) in self.patch.siblings(patch) {
            named.insert(Name::of(member.name), Named { patch: index, target: None });
        }
        let members = |members: &Members<'t>, first: Option<usize>| -> Vec<_> {
            first.map(|first| members.siblings(first).collect()).unwrap_or_default()
        };
        let old = members(&self.target, target);
        for (index, member) in &old {
            if let Some(named) = named.get_mut(&Name::of(member.name)) {
                named.target = Some(*index);
            }
        }
        self.out.push('{');
        let start = self.out.len();
        for (index, member) in old {
            match named.get(&Name::of(member.name)) {
                None => self.member(start, member.name, |merge| merge.out.push_str(member.value)),
                Some(named) if named.target == Some(index) => {
                    let within = self.target.first_within(index);
                    self.changed(start, member.name, within, named.patch);
                }
                Some(_) => {}
            }
        }
        for (index, member) in members(&self.patch, Some(patch)) {
            let is_new = |named: &Named| named.patch == index && named.target.is_none();
            if named.get(&Name::of(member.name)).is_some_and(is_new) {
                self.changed(start, member.name, None, index);
            }
        }
        self.out.push('}');
    }

    /// Writes a member with the value that the patch's member at `patch` gives it, unless that takes it away.
    fn changed(&mut self, start: usize, name: &str, target: Option<usize>, patch: usize) {
        let Some(&Member { value, .. }) = self.patch.0.get(patch) else { return };
        if value == "null" {
            return;
        }
        self.member(start, name, |merge| {
            if is_object(value) {
                // One past the last member is no member: an object without any changes nothing.
                merge.object(target, merge.patch.first_within(patch).unwrap_or(merge.patch.0.len()));
            } else {
                merge.out.push_str(value);
            }
        });
    }

    fn member(&mut self, start: usize, name: &str, value: impl FnOnce(&mut Self)) {
        if self.out.len() > start {
            self.out.push(',');
        }
        self.out.push_str(name);
        self.out.push(':');
        value(self);
    }
}

fn is_object(text: &str) -> bool {
    text.starts_with('{')
}
