//! JSON as it occurs in files: text may contain lone surrogates, lists are read one element at a
//! time, and numbers follow draft-07.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The largest integer whose f64 is not also the nearest f64 of another integer. The next one,
/// 2^53, is also the rounded value of 2^53 + 1.
const MAX_EXACT_FLOAT: f64 = 9_007_199_254_740_991.0; // 2^53 - 1

/// Returns the f64 nearest to a JSON number, or infinity if the number is too large; `None` if it
/// is not a number.
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    // `f64::from_str` accepts more than JSON does, so the first character decides whether this is a
    // number.
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// A non-negative integer by the rules of draft-07: `32` and `32.0`, but not `true`, `"32"` or
/// `1.5`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Integer {
    /// The value.
    Known(u64),
    /// A `u64` cannot hold it, or it is written as a float that is ambiguous.
    Unfit,
}

impl Integer {
    /// Parses a JSON number; returns `None` if it is not a non-negative integer.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if is_in_digits(text) {
            return Some(text.parse().map_or(Self::Unfit, Self::Known));
        }
        let value = parse_number(text)?;
        let is_integer = value.is_finite() && value.fract() == 0.0 && value >= 0.0;
        is_integer.then(|| Self::of_float(value).map_or(Self::Unfit, Self::Known))
    }

    /// Returns the integer that `value` represents, if it is an integer and no other one rounds to
    /// it.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // checked: integral, below 2^53
    fn of_float(value: f64) -> Option<u64> {
        let exact = value.fract() == 0.0 && (0.0..=MAX_EXACT_FLOAT).contains(&value);
        exact.then_some(value as u64)
    }
}

/// Returns whether a JSON number is a non-negative integer without fraction and exponent.
fn is_in_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns whether it is an integer above 2^53 - 1, which an f64 cannot represent uniquely.
pub(crate) fn is_inexact_integer(text: &str) -> bool {
    is_in_digits(text) && parse_number(text).is_none_or(|value| value > MAX_EXACT_FLOAT)
}

/// A known [`Integer`].
#[derive(Clone, Copy)]
pub(crate) struct Count(pub(crate) u64);

impl Count {
    pub(crate) fn to_usize<E: de::Error>(self) -> Result<usize, E> {
        usize::try_from(self.0)
            .map_err(|_| E::custom(format_args!("{} is more than memory can address", self.0)))
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
        // If asked for an integer, the parser does not return text, whatever features other crates
        // enable.
        deserializer.deserialize_u64(Number)
    }
}

/// Text, borrowed from the table unless it has an escape.
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

/// A string as bytes, such as the name of a member. Python may have written one with a lone
/// surrogate, which is not valid text.
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

/// Passes each element of a JSON array to `take`, until that fails. A list of all elements could be
/// many times the size of the text.
///
/// The outer error comes from the parser, the inner one from `take`.
pub(crate) fn for_each_element<'t, E>(
    text: &'t str,
    take: impl FnMut(&'t RawValue) -> Result<(), E>,
) -> serde_json::Result<Result<(), E>> {
    struct Elements<F>(F);
    impl<'de, E, F: FnMut(&'de RawValue) -> Result<(), E>> Visitor<'de> for Elements<F> {
        type Value = Result<(), E>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut taken = Ok(());
            while let Some(element) = list.next_element()? {
                if taken.is_ok() {
                    taken = (self.0)(element);
                }
            }
            Ok(taken)
        }
    }
    // If the text is a string, not an array, the parser's error would repeat all of it.
    let text = if text.starts_with('"') { "\"\"" } else { text };
    let mut parser = serde_json::Deserializer::from_str(text);
    let taken = parser.deserialize_seq(Elements(take))?;
    parser.end()?;
    Ok(taken)
}

/// The tokens that Python's `json` writes for floats without a JSON form, and replacement numbers
/// of the same length. These are fractions, which no member of a record can be. The longer tokens
/// come first, since they contain the shorter ones.
const NOT_NUMBERS: [(&str, &str); 3] = [("-Infinity", "-0.500000"), ("Infinity", "0.500000"), ("NaN", "0.5")];

/// Returns `text` with every `NaN`, `Infinity` and `-Infinity` that is a value replaced by a number
/// of the same length, so that the rest can be parsed. Returns `None`, without allocating, if there
/// is no such token.
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

/// Returns the positions of these tokens and the numbers that replace them. All relevant characters
/// are ASCII, so it scans bytes.
///
/// A token counts only at the position of a JSON value: after `[`, `:` or `,`, or at the start, and
/// before `,`, `]` or `}`, or at the end. Elsewhere its replacement could complete a number:
/// `NaNe2` would be read as 50.
fn non_numbers(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    let mut at = 0;
    let mut in_string = false;
    let mut may_start = true;
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

/// Returns whether a value may end before these bytes.
fn a_value_ends(rest: &[u8]) -> bool {
    let next = rest.iter().find(|byte| !is_space(**byte));
    next.is_none_or(|byte| matches!(byte, b',' | b']' | b'}'))
}

/// Returns whether JSON allows this byte as space between values (RFC 8259, section 2).
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

#[cfg(test)]
mod tests {
    use super::*;

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
