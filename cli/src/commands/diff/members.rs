//! Comparison of two files' metadata, member by member.

use std::collections::HashMap;

use gen5::metadata::Extra;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::compare_json::same_json;
use crate::embedded::{members, without_bare_words};

/// A member that differs.
#[derive(Serialize)]
pub(super) struct Change {
    /// `prompt`, `generation_settings.seed`.
    member: String,
    /// Its value; `None` if the file lacks the member.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Box<RawValue>>,
}

/// The differing members, up to a limit.
#[derive(Default)]
pub(super) struct Listing {
    listed: usize,
    /// Number of further differences.
    pub(super) unlisted: usize,
}

/// Limit on listed members: each takes some hundred bytes, and more are unreadable anyway.
const MOST_LISTED: usize = 10_000;

impl Listing {
    fn add(&mut self, changes: &mut Vec<Change>, change: impl FnOnce() -> Change) {
        if self.listed == MOST_LISTED {
            self.unlisted += 1;
            return;
        }
        self.listed += 1;
        changes.push(change());
    }
}

impl Change {
    fn new(member: String, file: Option<&str>, other: Option<&str>) -> Self {
        let raw = |text: Option<&str>| {
            let text = text?;
            RawValue::from_string(text.to_owned()).or_else(|_| to_raw_value(text)).ok()
        };
        Self { member, file: raw(file), other: raw(other) }
    }

    /// One line of text: `generation_settings.seed: 42 → 43`.
    pub(super) fn line(&self) -> String {
        let text = |value: &Option<Box<RawValue>>| match value {
            Some(value) => compact(value.get()),
            None => "(none)".to_owned(),
        };
        let (file, other) = around(text(&self.file), text(&self.other));
        format!("{}: {file} → {other}", self.member)
    }
}

/// A JSON value on one line: strings without needless escapes, other values without white space.
fn compact(json: &str) -> String {
    if let Some(plain) =
        serde_json::from_str::<String>(json).ok().and_then(|text| serde_json::to_string(&text).ok())
    {
        return plain;
    }
    let mut in_string = false;
    let mut escaped = false;
    let is_kept = |character: &char| {
        let is_quote = *character == '"' && !escaped;
        escaped = in_string && *character == '\\' && !escaped;
        in_string ^= is_quote;
        in_string || !character.is_ascii_whitespace()
    };
    json.chars().filter(is_kept).collect()
}

/// Limit on the characters shown of a value.
const SHOWN: usize = 200;

/// Number of characters shown before the first difference.
const BEFORE: usize = 20;

/// Both values; if they are long, only the parts around the first difference.
fn around(one: String, other: String) -> (String, String) {
    let is_long = |text: &str| text.chars().nth(SHOWN).is_some();
    if !is_long(&one) && !is_long(&other) {
        return (one, other);
    }
    let alike = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let skipped = alike.saturating_sub(BEFORE);
    let cut = |text: &str| {
        let mut rest = text.chars().skip(skipped);
        let shown: String = rest.by_ref().take(SHOWN).collect();
        let before = if skipped == 0 { "" } else { "…" };
        let behind = if rest.next().is_none() { "" } else { "…" };
        format!("{before}{shown}{behind}")
    };
    (cut(&one), cut(&other))
}

/// The differences between two `model_info` texts, member by member, and one level down into
/// objects.
pub(super) fn changes(file: &str, other: &str, listing: &mut Listing) -> Vec<Change> {
    let mut changes = Vec::new();
    let whole = || Change::new("model_info".into(), Some(file), Some(other));
    match (object(file), object(other)) {
        (Some((file_members, file_exact)), Some((other_members, other_exact))) => {
            compare("", &file_members, &other_members, &mut changes, listing);
            // NaN and infinity were replaced when the text was parsed, so the members do not show
            // this difference.
            if changes.is_empty() && !(file_exact && other_exact) && file != other {
                listing.add(&mut changes, whole);
            }
        }
        _ if file == other => {}
        _ => listing.add(&mut changes, whole),
    }
    changes
}

/// The differences between two manifests, apart from `model_info` and the members that describe the
/// file itself.
pub(super) fn manifest_changes(file: &str, other: &str, listing: &mut Listing) -> Vec<Change> {
    let mut changes = Vec::new();
    if file == other {
        return changes;
    }
    // Manifests of open files always contain these objects.
    let members = |text: &str| {
        let (mut root, _) = object(text)?;
        let (mut body, _) = object(&root.remove(BODY)?)?;
        for name in ["file_info", "model_info", "chunks"] {
            body.remove(name);
        }
        Some((root, body))
    };
    if let (Some((root, body)), Some((other_root, other_body))) = (members(file), members(other)) {
        compare("", &root, &other_root, &mut changes, listing);
        compare(&format!("{BODY}."), &body, &other_body, &mut changes, listing);
    }
    changes
}

/// The object of a manifest that contains all others.
const BODY: &str = "gen5_metadata";

/// The differences between two objects' members.
pub(super) fn extra_changes(file: &Extra, other: &Extra, listing: &mut Listing) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", file, other, &mut changes, listing);
    changes
}

/// The members of an object, and whether they are spelled as in the text; `None` if it is not an
/// object.
fn object(text: &str) -> Option<(Extra, bool)> {
    match members(text) {
        Ok(members) => Some((members, true)),
        Err(_) => members(&without_bare_words(text)).ok().map(|members| (members, false)),
    }
}

fn compare(prefix: &str, file: &Extra, other: &Extra, changes: &mut Vec<Change>, listing: &mut Listing) {
    let member = |name: &str| format!("{prefix}{name}");
    // Looked up by hash, since a file may have very many members.
    let mut only_in_other = HashMap::with_capacity(other.len());
    only_in_other.extend(other.iter());
    for (name, value) in file.iter() {
        match only_in_other.remove(name) {
            Some(other) if is_same(value, other) => {}
            Some(other) => match object(value).zip(object(other)).filter(|_| prefix.is_empty()) {
                Some(((file, _), (other, _))) => {
                    compare(&member(&format!("{name}.")), &file, &other, changes, listing);
                }
                None => listing.add(changes, || Change::new(member(name), Some(value), Some(other))),
            },
            None => listing.add(changes, || Change::new(member(name), Some(value), None)),
        }
    }
    for (name, value) in other.iter().filter(|(name, _)| only_in_other.contains_key(name)) {
        listing.add(changes, || Change::new(member(name), None, Some(value)));
    }
}

/// Whether two JSON values have the same meaning, ignoring spelling.
fn is_same(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let is_number = |text: &str| text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
    if is_number(one) && is_number(other) {
        let is_integer = |text: &str| !text.contains(['.', 'e', 'E']);
        // An integer has only one spelling, and may have more digits than a float can represent.
        return !(is_integer(one) && is_integer(other)) && one.parse::<f64>() == other.parse::<f64>();
    }
    same_json(one, other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(file: &str, other: &str) -> Vec<String> {
        changes(file, other, &mut Listing::default()).iter().map(Change::line).collect()
    }

    #[test]
    fn members_are_told_one_level_down() {
        let file = r#"{"a": 1, "s": {"seed": 42, "deep": {"x": 1}, "gone": null}, "o": {"k": 1}, "t": [1]}"#;
        let other = r#"{"s": {"seed": 43, "deep": {"x": 2}, "new": ""}, "a": 1, "o": 5, "t": [1], "n": {}}"#;
        let expected = [
            "s.seed: 42 → 43",
            r#"s.deep: {"x":1} → {"x":2}"#,
            "s.gone: null → (none)",
            r#"s.new: (none) → """#,
            r#"o: {"k":1} → 5"#,
            "n: (none) → {}",
        ];
        assert_eq!(lines(file, other), expected);
        let json =
            serde_json::to_string(&changes(r#"{"a": null, "b": 1.50}"#, "{}", &mut Listing::default()))
                .unwrap();
        assert_eq!(json, r#"[{"member":"a","file":null},{"member":"b","file":1.50}]"#);
    }

    #[test]
    fn spelling_is_no_difference() {
        for (one, other) in [
            ("42", "42.0"),
            ("4.2e1", "42"),
            (r#""é\/""#, r#""\u00e9/""#),
            ("[1,2]", "[1, 2]"),
            (r#"{"x": {"a":1,"b":2}}"#, r#"{"x": {"b":2, "a":1}}"#),
        ] {
            assert!(is_same(one, other), "{one} {other}");
        }
        for (one, other) in [
            ("1180591620717411303424", "1180591620717411303425"),
            ("0.1", "0.2"),
            ("1", "\"1\""),
            ("null", "false"),
            ("[1,2]", "[2,1]"),
        ] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_json_is_compared_all_the_same() {
        assert_eq!(lines(r#"{"a": NaN, "b": 1}"#, r#"{"a": NaN, "b": 2}"#), ["b: 1 → 2"]);
        assert_eq!(lines(r#"{"a": NaN}"#, r#"{"a": NaN}"#), [""; 0]);
        let expected = [r#"model_info: "{\"a\": NaN}" → "{\"a\": Infinity}""#];
        assert_eq!(lines(r#"{"a": NaN}"#, r#"{"a": Infinity}"#), expected);
        assert_eq!(lines("[", "["), [""; 0]);
        assert_eq!(lines("[", r#"{"a":1}"#), [r#"model_info: "[" → {"a":1}"#]);
    }

    #[test]
    fn values_are_shown_on_one_line() {
        assert_eq!(compact("{\n \"a b\": [1.50,\t\"\\\" x \\\\\", 2]\n}"), r#"{"a b":[1.50,"\" x \\",2]}"#);
        assert_eq!(compact(r#""\ud83d\udc08 \n""#), r#""🐈 \n""#);
    }

    #[test]
    fn of_long_values_the_place_where_they_differ_is_shown() {
        let one = format!("\"{}x\"", "é".repeat(500));
        let other = format!("\"{}y{0}\"", "é".repeat(500));
        let shown = around(one.clone(), other);
        assert_eq!(shown.0, format!("…{}x\"", "é".repeat(20)));
        assert_eq!(shown.1, format!("…{}y{}…", "é".repeat(20), "é".repeat(179)));
        let (shown, none) = around(one, "(none)".into());
        assert_eq!((shown, none.as_str()), (format!("\"{}…", "é".repeat(199)), "(none)"));
    }
}
