//! Members of a JSON object, kept with their original text.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{self, Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use super::json::Text;
use crate::error::{Error, Result};

/// Members of a JSON object that have no type in this crate, in their original order and spelling.
///
/// Reading and writing preserve their text: numbers of any size and precision, escapes, spaces.
///
/// ```
/// let mut extra = gen5::metadata::Extra::new();
/// extra.insert("clip_skip", &2)?;
/// extra.insert_json("loras", r#"["a", "b"]"#)?;
/// assert_eq!(extra.get("loras"), Some(r#"["a", "b"]"#));
/// # Ok::<(), gen5::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Extra {
    /// `None` if there never was a member. A file has very many of these, and most are empty.
    members: Option<Box<Members>>,
}

#[derive(Clone, Default)]
struct Members {
    /// Names and values, one after the other. Separate allocations would need ten times the memory
    /// for short members.
    text: String,
    /// The length of each name, then of its value, in LEB128: two bytes for most members.
    lengths: Vec<u8>,
}

/// The location of a member in an [`Extra`].
struct Span {
    lengths: Range<usize>,
    name: Range<usize>,
    value: Range<usize>,
}

impl Extra {
    /// Creates an empty set of members.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        self.spans().count()
    }

    /// Returns whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.lengths().is_empty()
    }

    /// Returns the JSON text of a member's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Returns an iterator over all members: names, and values as JSON text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.spans().map(|span| (self.part(span.name), self.part(span.value)))
    }

    /// Sets a member to a value, replacing any member with the same name. NaN and infinity, which
    /// JSON does not have, become `null`.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] if the value has no JSON form, such as a map whose keys are not strings.
    pub fn insert(&mut self, name: impl Into<String>, value: &impl Serialize) -> Result<()> {
        let name = name.into();
        match serde_json::to_string(value) {
            Ok(text) => self.put(&name, &text),
            Err(error) => return Err(not_json(name, &error)),
        }
        Ok(())
    }

    /// Sets a member to a value given as JSON text, replacing any member with the same name.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] if the text is not one JSON value.
    pub fn insert_json(&mut self, name: impl Into<String>, text: impl Into<String>) -> Result<()> {
        let name = name.into();
        let text = text.into();
        match serde_json::from_str::<&RawValue>(&text) {
            Ok(raw) => self.put(&name, raw.get()),
            Err(error) => return Err(not_json(name, &error)),
        }
        Ok(())
    }

    /// Removes a member and returns its value as JSON text.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let span = self.find(name)?;
        let value = self.part(span.value.clone()).to_owned();
        self.cut(span);
        Some(value)
    }

    /// Removes a member, if it exists.
    pub(crate) fn discard(&mut self, name: &str) {
        if let Some(span) = self.find(name) {
            self.cut(span);
        }
    }

    /// Returns the text of an object with exactly these members.
    ///
    /// # Errors
    ///
    /// No error is currently possible.
    pub fn to_json(&self) -> Result<String> {
        let mut text = String::with_capacity(self.text().len() + 8 * self.len() + 2);
        text.push('{');
        for (at, (name, value)) in self.iter().enumerate() {
            text.push_str(if at > 0 { "," } else { "" });
            push_name(&mut text, name)?;
            text.push_str(value);
        }
        text.push('}');
        Ok(text)
    }

    /// Adds a member with a new name. The value is JSON text.
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        let Members { text, lengths } = &mut **self.members.get_or_insert_default();
        let needed = name.len() + value.len();
        if needed > text.capacity() - text.len() {
            // Doubling the size would need three times the memory while the text is moved.
            text.reserve_exact(needed.max(text.len() / 4).max(LEAST_GROWTH));
        }
        text.push_str(name);
        text.push_str(value);
        push_length(lengths, name.len());
        push_length(lengths, value.len());
    }

    /// Sets a member to a value given as JSON text, replacing any member with the same name.
    pub(crate) fn put(&mut self, name: &str, value: &str) {
        let Some(span) = self.find(name) else { return self.push(name, value) };
        let mut lengths = Vec::new();
        push_length(&mut lengths, name.len());
        push_length(&mut lengths, value.len());
        if let Some(members) = &mut self.members {
            members.text.replace_range(span.value, value);
            members.lengths.splice(span.lengths, lengths);
        }
    }

    /// Returns an error for duplicate names, after all members were read, and frees excess memory.
    pub(crate) fn complete<E: de::Error>(mut self) -> Result<Self, E> {
        if self.is_empty() {
            return Ok(self);
        }
        let state = RandomState::new();
        let count = self.len();
        let mut hashes = Vec::with_capacity(count);
        hashes.extend(self.iter().map(|(name, _)| state.hash_one(name)));
        hashes.sort_unstable();
        // Equal names have equal hashes.
        if hashes.array_windows().any(|[one, other]| one == other) {
            let mut names: Vec<&str> = self.iter().map(|(name, _)| name).collect();
            names.sort_unstable();
            if let Some([name, _]) = names.array_windows().find(|[one, other]| one == other) {
                return Err(E::custom(format_args!("member {name:?} is given twice")));
            }
        }
        if let Some(members) = &mut self.members {
            members.text.shrink_to_fit();
            members.lengths.shrink_to_fit();
        }
        Ok(self)
    }

    /// Parses the text of an object and returns the values of `names` separately, with `null` in
    /// their places.
    pub(crate) fn read_apart<'t, const N: usize>(
        text: &'t str,
        names: [&str; N],
    ) -> serde_json::Result<(Self, [Option<&'t RawValue>; N])> {
        struct Apart<'n, const N: usize>([&'n str; N]);
        impl<'de, const N: usize> Visitor<'de> for Apart<'_, N> {
            type Value = (Extra, [Option<&'de RawValue>; N]);

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut rest = Extra::new();
                let mut apart = [None; N];
                while let Some((Text(name), value)) = map.next_entry::<Text<'de>, &RawValue>()? {
                    let slot = self.0.iter().zip(&mut apart).find(|(known, _)| **known == name);
                    match slot {
                        Some((_, slot)) => {
                            *slot = Some(value);
                            rest.push(&name, "null");
                        }
                        None => rest.push(&name, value.get()),
                    }
                }
                Ok((rest.complete()?, apart))
            }
        }
        let mut parser = serde_json::Deserializer::from_str(text);
        let members = parser.deserialize_map(Apart(names))?;
        parser.end()?;
        Ok(members)
    }

    /// Adds these members to an object that is being serialized.
    pub(crate) fn serialize_into<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        self.iter().try_for_each(|(name, value)| {
            let value: &RawValue = serde_json::from_str(value).map_err(ser::Error::custom)?;
            map.serialize_entry(name, value)
        })
    }

    fn text(&self) -> &str {
        self.members.as_ref().map_or("", |members| &members.text)
    }

    fn lengths(&self) -> &[u8] {
        self.members.as_ref().map_or(&[], |members| &members.lengths)
    }

    fn spans(&self) -> impl Iterator<Item = Span> {
        let lengths = self.lengths();
        let mut at = 0;
        let mut start = 0;
        std::iter::from_fn(move || {
            let from = at;
            let mut next = || {
                let length = read_length(lengths, &mut at)?;
                let range = start..start + length;
                start = range.end;
                Some(range)
            };
            let name = next()?;
            let value = next()?;
            Some(Span { lengths: from..at, name, value })
        })
    }

    fn find(&self, name: &str) -> Option<Span> {
        self.spans().find(|span| self.part(span.name.clone()) == name)
    }

    fn part(&self, range: Range<usize>) -> &str {
        self.text().get(range).unwrap_or_default()
    }

    fn cut(&mut self, span: Span) {
        if let Some(members) = &mut self.members {
            members.text.replace_range(span.name.start..span.value.end, "");
            members.lengths.drain(span.lengths);
        }
    }
}

/// The least number of bytes by which the text of members grows.
const LEAST_GROWTH: usize = 64;

/// Writes a name and the colon after it.
pub(crate) fn push_name(text: &mut String, name: &str) -> Result<()> {
    let is_escaped = |byte: u8| byte < b' ' || matches!(byte, b'"' | b'\\');
    if name.bytes().any(is_escaped) {
        text.push_str(&to_text(name, &name)?);
    } else {
        text.push('"');
        text.push_str(name);
        text.push('"');
    }
    text.push(':');
    Ok(())
}

/// Writes seven bits at a time, lowest first. The eighth bit marks that more follow.
fn push_length(lengths: &mut Vec<u8>, mut length: usize) {
    loop {
        let [low, ..] = length.to_le_bytes();
        length >>= 7;
        if length == 0 {
            return lengths.push(low);
        }
        lengths.push(low | 0x80);
    }
}

fn read_length(lengths: &[u8], at: &mut usize) -> Option<usize> {
    let mut length = 0;
    let mut shift = 0;
    loop {
        let byte = *lengths.get(*at)?;
        *at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return Some(length);
        }
    }
}

/// Returns the JSON text of a value. `member` names it in errors.
pub(crate) fn to_text(member: &str, value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| not_json(member.into(), &error))
}

fn not_json(member: String, error: &serde_json::Error) -> Error {
    Error::Metadata { member, expected: "a value that JSON can express".into(), found: error.to_string() }
}

impl PartialEq for Extra {
    fn eq(&self, other: &Self) -> bool {
        (self.text(), self.lengths()) == (other.text(), other.lengths())
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.serialize_into(&mut map)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Extra;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Extra, A::Error> {
                let mut members = Extra::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    members.push(&name, value.get());
                }
                members.complete()
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_keeps_spelling_and_order() {
        let text = r#"{"b":1.10,"a\n\"\\é":{"x": 1e400},"big":1180591620717411303424,"s":"\ud800"}"#;
        let extra: Extra = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&extra).unwrap(), text);
        assert_eq!(extra.to_json().unwrap(), text);
        assert_eq!(extra.get("b"), Some("1.10"));
        assert_eq!(extra.len(), 4);
    }

    #[test]
    fn extra_refuses_a_member_given_twice() {
        let error = serde_json::from_str::<Extra>(r#"{"a":1,"b":2,"a":3}"#).unwrap_err();
        assert!(error.to_string().contains(r#"member "a" is given twice"#), "{error}");
    }

    #[test]
    fn extra_is_set_and_taken() {
        let mut extra = Extra::new();
        extra.insert("a", &1).unwrap();
        extra.insert("a", &"two").unwrap();
        assert_eq!(extra.remove("a").as_deref(), Some("\"two\""));
        assert!(extra.is_empty());
        assert!(extra.insert_json("a", "{").is_err());
        assert!(extra.insert_json("a", "1 2").is_err());
    }

    #[test]
    fn members_of_any_length_are_found_replaced_and_removed() {
        let lengths = [0, 1, 126, 127, 128, 16_383, 16_384, 100_000];
        let name = |length: usize| "é".repeat(length);
        let value = |length: usize| "1".repeat(length + 1);
        let mut extra = Extra::new();
        for length in lengths {
            extra.insert_json(name(length), value(length)).unwrap();
        }
        for length in lengths {
            extra.insert_json(name(length), value(length * 2)).unwrap();
        }
        assert_eq!(extra.len(), lengths.len());
        for (at, length) in lengths.into_iter().enumerate() {
            assert_eq!(extra.remove(&name(length)), Some(value(length * 2)));
            assert_eq!(extra.remove(&name(length)), None);
            assert_eq!(extra.len(), lengths.len() - at - 1);
        }
        assert_eq!(extra, Extra::new());
    }

    #[test]
    fn members_that_are_returned_apart_keep_their_places() {
        let text = r#"{"a": 1, "b\u0063": [2], "d": 3}"#;
        let (mut rest, [found, missing]) = Extra::read_apart(text, ["bc", "e"]).unwrap();
        assert_eq!((found.map(RawValue::get), missing.map(RawValue::get)), (Some("[2]"), None));
        rest.put("bc", "[2]");
        assert_eq!(serde_json::to_string(&rest).unwrap(), r#"{"a":1,"bc":[2],"d":3}"#);
        for text in [r#"{"a":1,"a":2}"#, r#"{"bc":1,"bc":2}"#, "[]", "{} {}"] {
            assert!(Extra::read_apart(text, ["bc"]).is_err(), "{text}");
        }
    }
}
