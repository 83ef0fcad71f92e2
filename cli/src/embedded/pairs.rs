//! The pairs in a block of AUTOMATIC1111's format: `Name: value, Name: "quoted value"`, on one line or
//! several.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::generation::snake_case;
use super::json;

/// The labels of templates, which the Dynamic Prompts extension appends to the pairs. Each can have
/// several lines.
pub(super) const TEMPLATE: &str = "Template:";
pub(super) const NEGATIVE_TEMPLATE: &str = "Negative Template:";

pub(super) fn is_template(line: &str) -> bool {
    line.starts_with(TEMPLATE) || line.starts_with(NEGATIVE_TEMPLATE)
}

/// A value as spelled.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SpelledValue<'a> {
    /// A quoted value, unquoted.
    Quoted(String),
    /// An array or object.
    Json(&'a str),
    /// Any other value.
    Plain(&'a str),
}

/// The names that distinguish a block from a prompt with colons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Sampler,
    Seed,
    CfgScale,
    Size,
    Model,
    ModelHash,
}

impl Mark {
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match snake_case(name).as_str() {
            "sampler" => Self::Sampler,
            "seed" => Self::Seed,
            "cfg_scale" => Self::CfgScale,
            "size" => Self::Size,
            "model" => Self::Model,
            "model_hash" => Self::ModelHash,
            _ => return None,
        })
    }
}

/// Whether a text is an integer of 64 bits, signed or not. As in the format's schema, a zero fraction
/// is allowed.
pub(super) fn is_integer(text: &str) -> bool {
    let whole = text.split_once('.').filter(|(_, zeros)| zeros.bytes().all(|digit| digit == b'0'));
    let whole = whole.map_or(text, |(whole, _)| whole);
    whole.parse::<i64>().is_ok() || whole.parse::<u64>().is_ok()
}

/// A pair, and its offsets in the block.
pub(super) struct Pair<'a> {
    pub(super) at: usize,
    pub(super) name_end: usize,
    pub(super) end: usize,
    pub(super) name: &'a str,
    pub(super) value: SpelledValue<'a>,
}

/// The pairs of a text that starts with a block.
pub(super) struct Pairs<'a> {
    text: &'a str,
    at: usize,
    /// Offset of the end of the current line.
    pub(super) line_end: usize,
}

impl<'a> Pairs<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut pairs = Self { text, at: 0, line_end: 0 };
        pairs.find_line_end();
        pairs
    }

    fn find_line_end(&mut self) {
        if self.at >= self.line_end {
            let rest = self.text.get(self.at..).unwrap_or_default();
            self.line_end = rest.find('\n').map_or(self.text.len(), |end| self.at + end);
        }
    }

    fn line(&self) -> &'a str {
        self.text.get(self.at..self.line_end).unwrap_or_default()
    }

    /// Goes on to the next line, if the block continues there: the last line ends in a comma, or the
    /// next one starts with the name of a common setting.
    fn next_line(&mut self) -> bool {
        let Some(next) = self.text.get(self.line_end + 1..) else { return false };
        let is_continued = self.text.get(..self.line_end).is_some_and(|line| line.trim_end().ends_with(','));
        let name = split_name(next).map(|(name, _)| name).filter(|_| !is_template(next));
        let continues = name.is_some_and(|name| is_continued || Mark::of(name).is_some());
        if continues {
            self.at = self.line_end + 1;
            self.find_line_end();
        }
        continues
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Pair<'a>;

    fn next(&mut self) -> Option<Pair<'a>> {
        loop {
            if self.at >= self.line_end && !self.next_line() {
                return None;
            }
            let line = self.line();
            let Some((name, behind)) = split_name(line) else {
                self.at += line.find(',').map_or(line.len(), |comma| comma + 1);
                continue;
            };
            let at = self.at;
            let name_end = self.line_end - behind.len();
            let from = self.line_end - behind.trim_start().len();
            let (value, length) = self.value(from);
            self.at = from + length;
            let end = self.at;
            self.find_line_end();
            if self.line().starts_with(',') {
                self.at += 1;
            }
            return Some(Pair { at, name_end, end, name, value });
        }
    }
}

impl<'a> Pairs<'a> {
    /// The value that starts at an offset in the current line, and its length.
    fn value(&self, from: usize) -> (SpelledValue<'a>, usize) {
        let text = self.text.get(from..).unwrap_or_default();
        if text.starts_with('"') {
            let (quoted, rest) = text.split_at(json::string_length(text));
            if ends_value(rest)
                && let Some(value) = unquote(quoted)
            {
                return (SpelledValue::Quoted(value), quoted.len());
            }
        }
        if text.starts_with(['{', '[']) {
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
            if let Some(Ok(value)) = values.next()
                && text.get(values.byte_offset()..).is_some_and(ends_value)
            {
                return (SpelledValue::Json(value.get()), values.byte_offset());
            }
        }
        // A comma only ends the value if another pair follows, so that a comma that should have been
        // quoted is kept.
        let line = self.text.get(from..self.line_end).unwrap_or_default();
        let end = line.match_indices(',').map(|(at, _)| at).find(|at| {
            let rest = line.get(at + 1..).unwrap_or_default();
            rest.trim_start().is_empty() || split_name(rest).is_some()
        });
        let value = line.get(..end.unwrap_or(line.len())).unwrap_or_default();
        (SpelledValue::Plain(value.trim()), value.len())
    }
}

/// Maximum length of a name in bytes.
const MAX_NAME: usize = 100;

/// Splits off the name of the first pair; the rest starts after the colon.
pub(super) fn split_name(text: &str) -> Option<(&str, &str)> {
    let (name, behind) = text.split_at(text.find([',', ':', '"', '\n'])?);
    let behind = behind.strip_prefix(':')?;
    let ends_name = behind.is_empty() || behind.starts_with([' ', '"', '\n']);
    let name = name.trim();
    let is_name = name.starts_with(char::is_alphanumeric) && name.len() <= MAX_NAME;
    (ends_name && is_name).then_some((name, behind))
}

/// Whether a value ends before this text.
fn ends_value(rest: &str) -> bool {
    let rest = rest.trim_start_matches([' ', '\t']);
    rest.is_empty() || rest.starts_with([',', '\n'])
}

/// The text of a JSON string, which may have control characters that JSON requires to be escaped.
fn unquote(quoted: &str) -> Option<String> {
    if let Ok(text) = serde_json::from_str(quoted) {
        return Some(text);
    }
    let mut strict = Cow::Borrowed(quoted);
    for (raw, escaped) in [('\n', "\\n"), ('\t', "\\t")] {
        if strict.contains(raw) {
            strict = Cow::Owned(strict.replace(raw, escaped));
        }
    }
    serde_json::from_str(&strict).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(line: &str) -> Vec<(&str, SpelledValue<'_>)> {
        Pairs::new(line).map(|pair| (pair.name, pair.value)).collect()
    }

    #[test]
    fn values_are_quoted_json_or_plain() {
        use SpelledValue::{Json, Plain, Quoted};
        let line = r#"Steps: 20, Lora hashes: "a: b, c: d", Hashes: {"vae": "x, y: z"}, Size: 512x768, Styles: "[\"a\"]","#;
        assert_eq!(
            pairs(line),
            [
                ("Steps", Plain("20")),
                ("Lora hashes", Quoted("a: b, c: d".into())),
                ("Hashes", Json(r#"{"vae": "x, y: z"}"#)),
                ("Size", Plain("512x768")),
                ("Styles", Quoted("[\"a\"]".into())),
            ]
        );
        assert_eq!(
            pairs("Model: sea, calm, Date: 2024-01-01T10:11:12Z, , VAE: \"open, X: {a, Y:"),
            [
                ("Model", Plain("sea, calm")),
                ("Date", Plain("2024-01-01T10:11:12Z,")),
                ("VAE", Plain("\"open")),
                ("X", Plain("{a")),
                ("Y", Plain("")),
            ]
        );
        assert_eq!(pairs(", ,, no pair, 3:4"), []);
    }

    #[test]
    fn a_block_ends_with_its_line_unless_it_continues() {
        use SpelledValue::{Json, Plain, Quoted};
        let text =
            "Steps: 2, P: \"a\nSteps: 9, b\", J: {\"c\":\n1},\nVAE: d,\nSeed: 5\nSize: 8x8\nVAE: no\nx: y";
        assert_eq!(
            pairs(text),
            [
                ("Steps", Plain("2")),
                ("P", Quoted("a\nSteps: 9, b".into())),
                ("J", Json("{\"c\":\n1}")),
                ("VAE", Plain("d")),
                ("Seed", Plain("5")),
                ("Size", Plain("8x8")),
            ]
        );
        assert_eq!(pairs("Steps: 2,\nTemplate: a"), [("Steps", Plain("2"))]);
        assert_eq!(pairs("Steps:\nSeed: 5"), [("Steps", Plain("")), ("Seed", Plain("5"))]);
    }
}
