//! JSON as it is found in files: members nobody foresaw are kept in their own spelling, numbers follow draft-07.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::error::{Error, Result};

/// Members of a JSON object that this crate has no type for, in the order and the spelling in which they were found.
///
/// They are kept through reading and writing as they are: numbers of any size and precision, escapes, spaces.
///
/// ```
/// let mut extra = gen5::Extra::new();
/// extra.insert("clip_skip", &2)?;
/// extra.insert_json("loras", r#"["a", "b"]"#)?;
/// assert_eq!(extra.get("loras"), Some(r#"["a", "b"]"#));
/// # Ok::<(), gen5::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Extra(Vec<(String, Box<RawValue>)>);

impl Extra {
    /// No members.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON text of a member's value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All members: names, and values as JSON text.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.get()))
    }

    /// Sets a member to a value, replacing one of that name. NaN and infinity, which JSON does not have, become `null`.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] if the value has no JSON form, such as a map whose keys are not strings.
    pub fn insert(&mut self, name: impl Into<String>, value: &impl Serialize) -> Result<()> {
        let name = name.into();
        match serde_json::value::to_raw_value(value) {
            Ok(raw) => self.put(name, raw),
            Err(error) => return Err(not_json(name, &error)),
        }
        Ok(())
    }

    /// Sets a member to a value given as JSON text, replacing one of that name.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] if the text is not one JSON value.
    pub fn insert_json(&mut self, name: impl Into<String>, text: impl Into<String>) -> Result<()> {
        let name = name.into();
        match RawValue::from_string(text.into()) {
            Ok(raw) => self.put(name, raw),
            Err(error) => return Err(not_json(name, &error)),
        }
        Ok(())
    }

    /// Takes a member out, and returns its value as JSON text.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        self.take(name).map(|raw| Box::<str>::from(raw).into_string())
    }

    pub(crate) fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    /// Members whose names differ, as whoever collected them has made sure.
    pub(crate) fn from_distinct(members: Vec<(String, Box<RawValue>)>) -> Self {
        Self(members)
    }

    fn put(&mut self, name: String, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }
}

/// JSON text of a value; `member` is what an error calls it.
pub(crate) fn to_text(member: &str, value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| not_json(member.into(), &error))
}

fn not_json(member: String, error: &serde_json::Error) -> Error {
    Error::Metadata { member, expected: "a value that JSON can express".into(), found: error.to_string() }
}

impl PartialEq for Extra {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
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
                let mut members: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some((name, value)) = map.next_entry()? {
                    members.push((name, value));
                }
                refuse_repeated(members.iter().map(|(name, _)| name.as_str()))?;
                Ok(Extra::from_distinct(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Refuses names that come twice.
pub(crate) fn refuse_repeated<'a, E: de::Error>(names: impl Iterator<Item = &'a str>) -> Result<(), E> {
    let mut names: Vec<&str> = names.collect();
    if names.len() < 2 {
        return Ok(());
    }
    names.sort_unstable();
    match names.windows(2).find(|pair| pair.first() == pair.last()).and_then(|pair| pair.first()) {
        Some(name) => Err(E::custom(format_args!("member {name:?} is given twice"))),
        None => Ok(()),
    }
}

/// The largest integer whose float64 stands for no other integer: the next, 2^53, is also what 2^53 + 1 is rounded to.
const MAX_EXACT_FLOAT: f64 = 9_007_199_254_740_991.0; // 2^53 - 1

/// The float64 nearest to a JSON number, infinite where the number is too large; `None` if it is no number.
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    // `f64::from_str` takes more than JSON does, so the first character decides whether this is a number at all.
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// An integer from 0 up, as draft-07 has it: `32` and `32.0`, but not `true`, `"32"` or `1.5`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Integer {
    /// It is this.
    Known(u64),
    /// A `u64` cannot hold it, or the float64 that it is written as leaves open which it is.
    Unfit,
}

impl Integer {
    /// Reads a JSON number; `None` if it is no such integer.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if is_in_digits(text) {
            return Some(text.parse().map_or(Self::Unfit, Self::Known));
        }
        let value = parse_number(text)?;
        let is_integer = value.is_finite() && value.fract() == 0.0 && value >= 0.0;
        is_integer.then(|| Self::of_float(value).map_or(Self::Unfit, Self::Known))
    }

    /// The integer that `value` stands for, if it is one and no other integer is rounded to it.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked: integral, below 2^53
    fn of_float(value: f64) -> Option<u64> {
        let exact = value.fract() == 0.0 && (0.0..=MAX_EXACT_FLOAT).contains(&value);
        exact.then_some(value as u64)
    }
}

/// Whether a JSON number is an integer from 0 up without fraction and exponent.
fn is_in_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a JSON number is an integer that its float64 may not be told from another by.
pub(crate) fn is_inexact_integer(text: &str) -> bool {
    is_in_digits(text) && parse_number(text).is_none_or(|value| value > MAX_EXACT_FLOAT)
}

/// An [`Integer`] that is known.
#[derive(Clone, Copy)]
pub(crate) struct Count(pub(crate) u64);

impl Count {
    pub(crate) fn to_usize<E: de::Error>(self) -> Result<usize, E> {
        usize::try_from(self.0)
            .map_err(|_| E::custom(format_args!("{} is over what memory can address", self.0)))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer from 0 to 2^64 - 1")
            }

            fn visit_u64<E>(self, value: u64) -> Result<Count, E> {
                Ok(Count(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Count, E> {
                u64::try_from(value)
                    .map(Count)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Count, E> {
                let known = Integer::of_float(value).map(Count);
                known.ok_or_else(|| E::invalid_value(de::Unexpected::Float(value), &self))
            }
        }
        // A parser that is asked for an integer does not hand over text, whatever features other crates set.
        deserializer.deserialize_u64(Number)
    }
}

/// Text, borrowed from the table unless it holds an escape.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Characters;
        impl<'de> Visitor<'de> for Characters {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Characters)
    }
}

/// A string as bytes, such as the name of a member: Python may have written one with a lone surrogate, which is no text.
pub(crate) struct Name<'a>(pub(crate) Cow<'a, [u8]>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_bytes<E>(self, bytes: &'de [u8]) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(bytes)))
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(bytes.to_owned())))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// The tokens that Python's `json` writes for floats JSON has no number for, and numbers of the same length that stand in
/// for them: fractions, which no member of a record can be. The longer tokens come first, since they contain the shorter.
const NOT_NUMBERS: [(&str, &str); 3] = [("-Infinity", "-0.500000"), ("Infinity", "0.500000"), ("NaN", "0.5")];

/// `text` with every `NaN`, `Infinity` and `-Infinity` that is a value turned into a number of the same length, so that the
/// rest can be parsed. `None` if there is no such token, which then costs no memory.
pub(crate) fn neutralize_non_numbers(text: &str) -> Option<String> {
    let mut tokens = non_numbers(text).peekable();
    tokens.peek()?;
    let mut clean = String::with_capacity(text.len());
    for (at, with) in tokens {
        clean.push_str(text.get(clean.len()..at)?);
        clean.push_str(with);
    }
    clean.push_str(text.get(clean.len()..)?);
    Some(clean)
}

/// Where these tokens are values, and the numbers that replace them. Everything of interest is ASCII, so bytes will do.
///
/// A token counts only where JSON has a value: after `[`, `:` or `,`, or at the start, and before `,`, `]` or `}`, or at the
/// end. Elsewhere its replacement could complete a number: `NaNe2` would be read as 50.
fn non_numbers(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    let (mut at, mut in_string, mut may_start) = (0, false, true);
    std::iter::from_fn(move || {
        loop {
            let rest = text.as_bytes().get(at..)?;
            let token = NOT_NUMBERS.iter().find(|(token, _)| {
                may_start && rest.strip_prefix(token.as_bytes()).is_some_and(a_value_ends)
            });
            if let Some((token, with)) = token {
                let start = at;
                (at, may_start) = (at + token.len(), false);
                return Some((start, *with));
            }
            let byte = *rest.first()?;
            match byte {
                b'"' => (in_string, may_start) = (!in_string, false),
                b'\\' if in_string => at += 1,
                _ if in_string || is_space(byte) => {}
                _ => may_start = matches!(byte, b'[' | b':' | b','),
            }
            at += 1;
        }
    })
}

/// Whether a value may end before these bytes.
fn a_value_ends(rest: &[u8]) -> bool {
    let next = rest.iter().find(|byte| !is_space(**byte));
    next.is_none_or(|byte| matches!(byte, b',' | b']' | b'}'))
}

/// Whether JSON takes this byte for space between values (RFC 8259, section 2).
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_keeps_spelling_and_order() {
        let text = r#"{"b":1.10,"a":{"x": 1e400},"big":1180591620717411303424,"s":"\ud800"}"#;
        let extra: Extra = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&extra).unwrap(), text);
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
    fn integers_are_those_of_draft_07() {
        let known = [
            ("0", 0),
            ("-0", 0),
            ("32", 32),
            ("32.0", 32),
            ("1e3", 1000),
            ("18446744073709551615", u64::MAX),
        ];
        for (text, value) in known {
            assert_eq!(Integer::parse(text), Some(Integer::Known(value)), "{text}");
        }
        for text in ["18446744073709551616", "1e300", "9007199254740992.0"] {
            assert_eq!(Integer::parse(text), Some(Integer::Unfit), "{text}");
        }
        for text in ["-1", "1.5", "1e400", "-0.5", "true", "null", "\"32\"", "[]", ""] {
            assert_eq!(Integer::parse(text), None, "{text}");
        }
    }

    #[test]
    fn tokens_in_strings_stay() {
        let text = r#"{"a": NaN, "NaN \" NaN": [-Infinity, Infinity], "é\\": NaN}"#;
        let clean = neutralize_non_numbers(text).unwrap();
        assert_eq!(clean.len(), text.len());
        assert_eq!(clean, r#"{"a": 0.5, "NaN \" NaN": [-0.500000, 0.500000], "é\\": 0.5}"#);
        assert_eq!(neutralize_non_numbers(r#"{"NaN": 1}"#), None);
    }

    #[test]
    fn tokens_count_only_where_json_has_a_value() {
        for (text, clean) in [
            ("NaN", "0.5"),
            ("\t[ NaN ,\r\nNaN\n]", "\t[ 0.5 ,\r\n0.5\n]"),
            (r#"{"a":-Infinity}"#, r#"{"a":-0.500000}"#),
        ] {
            assert_eq!(neutralize_non_numbers(text).as_deref(), Some(clean), "{text}");
        }
        for text in [
            "[NaNe2]",
            "[NaN1]",
            "[NaN.5]",
            "[12NaN]",
            "[1 NaN]",
            "[-NaN]",
            "[- NaN]",
            "[-Infinity8]",
            "[Infinity 8]",
            "[+NaN]",
            "[NaNNaN]",
            "[NaN NaN]",
            "[\"a\"NaN]",
            "[\"a\" NaN]",
            "{NaN:1}",
            "{NaN}",
            "[1]NaN",
            "[NaN\u{b}]",
        ] {
            let clean = neutralize_non_numbers(text);
            assert!(
                serde_json::from_str::<serde_json::Value>(clean.as_deref().unwrap_or(text)).is_err(),
                "{text} is no JSON, and {clean:?} is"
            );
        }
    }
}
