//! JSON as image generators write it.

use std::borrow::Cow;

use gen5::metadata::Extra;
use serde_json::Value;

/// Maximum depth of arrays and objects in a setting. Readers in other languages also have limits.
const MAX_DEPTH: usize = 16;

/// The members of a JSON object.
///
/// # Errors
///
/// If the text is not an object.
pub(crate) fn members(text: &str) -> serde_json::Result<Extra> {
    // If the text is a string, the parser's error would repeat all of it.
    serde_json::from_str(if text.trim_start().starts_with('"') { "\"\"" } else { text })
}

/// The members of an object, with values as spelled; `None` if the text is not an object.
pub(super) fn object(text: &str) -> Option<Extra> {
    parse(text)
}

/// A whole document; `None` if the text is not JSON, or deeper than serde_json allows (128 levels).
pub(super) fn document(text: &str) -> Option<Value> {
    parse(text)
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Option<T> {
    // Most text is not JSON, and need not be searched for bare words.
    let text = text.trim_start_matches('\u{feff}').trim();
    if !text.starts_with('{') {
        return None;
    }
    serde_json::from_str(text).ok().or_else(|| match without_bare_words(text) {
        Cow::Owned(strict) => serde_json::from_str(&strict).ok(),
        Cow::Borrowed(_) => None,
    })
}

/// The text, with `null` in place of the bare words that Python writes for floats without a JSON
/// form.
pub(crate) fn without_bare_words(text: &str) -> Cow<'_, str> {
    // Copied only up to the last bare word, and not at all if there is none.
    let mut strict = String::new();
    let mut copied = 0;
    let mut at = 0;
    let mut rest = text;
    while let Some(next) = rest.find(['"', 'N', 'I', '-']) {
        let (_, from) = rest.split_at(next);
        at += next;
        let word = ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| from.starts_with(word));
        let length = match word {
            Some(word) => {
                strict.push_str(text.get(copied..at).unwrap_or_default());
                strict.push_str("null");
                copied = at + word.len();
                word.len()
            }
            None if from.starts_with('"') => string_length(from),
            None => 1,
        };
        at += length;
        rest = from.get(length..).unwrap_or_default();
    }
    match copied {
        0 => Cow::Borrowed(text),
        _ => {
            strict.push_str(text.get(copied..).unwrap_or_default());
            Cow::Owned(strict)
        }
    }
}

/// Length in bytes of the string literal at the start of `text`, including quotes; the whole text
/// if the literal does not end.
pub(super) fn string_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// A value as text: a string, or the digits of a number.
pub(super) fn text(value: &str) -> Option<String> {
    if is_number(value) { Some(value.to_owned()) } else { serde_json::from_str(value).ok() }
}

/// A non-negative integer, as a number or as text. As in the format's schema, a number with a zero
/// fraction counts.
pub(super) fn integer(value: &str) -> Option<u64> {
    let text = text(value)?;
    let text = text.trim();
    let whole = text.split_once('.').filter(|(_, fraction)| fraction.bytes().all(|digit| digit == b'0'));
    whole.map_or(text, |(whole, _)| whole).parse().ok()
}

/// A non-negative number, as a number or as text.
pub(super) fn number(value: &str) -> Option<f64> {
    let number: f64 = text(value)?.trim().parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some(number)
}

/// Whether text is exactly a JSON number.
pub(super) fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
        && text.ends_with(|last: char| last.is_ascii_digit())
        && serde_json::from_str::<serde_json::Number>(text).is_ok()
}

/// Whether every reader can parse this JSON: text is Unicode, numbers are in the range of a
/// float64, and the nesting is limited.
pub(super) fn is_plain(value: &str) -> bool {
    is_shallow(value) && serde_json::from_str::<Value>(value).is_ok()
}

/// Whether arrays and objects are nested no deeper than allowed in a setting.
fn is_shallow(value: &str) -> bool {
    let mut depth = 0_usize;
    let mut rest = value;
    while let Some(at) = rest.find(['"', '[', '{', ']', '}']) {
        let (_, from) = rest.split_at(at);
        let length = match from.bytes().next() {
            Some(b'"') => string_length(from),
            Some(b'[' | b'{') => {
                depth += 1;
                1
            }
            _ => {
                depth = depth.saturating_sub(1);
                1
            }
        };
        if depth > MAX_DEPTH {
            return false;
        }
        rest = from.get(length..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_words_become_null_outside_of_strings() {
        let text = r#"{"a": NaN, "b": [-Infinity, Infinity, -1], "c": "NaN \" Infinity", "d\\": NaN}"#;
        let value = document(text).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"a": null, "b": [null, null, -1], "c": "NaN \" Infinity", "d\\": null})
        );
        for text in ["", "null", "[1]", "{\"a\": Nan}", "{\"a", "{\"a\":\"NaN", "{NaN"] {
            assert!(document(text).is_none(), "{text}");
        }
    }

    #[test]
    fn numbers_are_those_of_json() {
        for text in ["0", "-1", "7.50", "1e-05", "18446744073709551616"] {
            assert!(is_number(text), "{text}");
        }
        for text in ["", "-", "007", "1.", ".5", "+1", "1 ", "1e999", "NaN", "0x10", "1,2"] {
            assert!(!is_number(text), "{text}");
        }
        assert_eq!((integer("\"123\""), integer("20.0")), (Some(123), Some(20)));
        assert_eq!(
            (integer("-1"), integer("1.5"), number("\"nan\""), number("-2")),
            (None, None, None, None)
        );
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        assert!(is_shallow(r#"{"a": ["[[[[[[[[[[[[[[[[[[[[["]}"#));
        assert!(is_shallow(&"[]".repeat(100)));
        assert!(!is_shallow(&("[".repeat(17) + &"]".repeat(17))));
    }
}
