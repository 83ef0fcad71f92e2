//! Text for a terminal: escapes strings from files, and formats sizes.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};

use crate::invisible::{is_invisible, is_needed};

/// `text` with escapes for characters that control a terminal, are invisible, or look like a space,
/// so that different texts look different.
///
/// A newline becomes `\n`, the right-to-left override `\u{202e}`. Backslashes are unchanged, so the
/// result is for display and cannot be reversed. Similar-looking letters are also unchanged.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_unless(text, |_, _, _| false)
}

/// Like [`escape`], for prose such as a prompt: keeps invisible characters that emoji and scripts
/// need.
pub fn escape_prose(text: &str) -> Cow<'_, str> {
    escape_unless(text, is_needed)
}

/// Displays a text as [`escape_prose`] would return it, without building the string, which can be
/// six times as long.
#[derive(Clone, Copy, Debug)]
pub struct EscapedProse<'a>(pub &'a str);

impl fmt::Display for EscapedProse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, is_needed)
    }
}

fn escape_unless(text: &str, stays: fn(Option<char>, char, Option<char>) -> bool) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    // Writing to a string cannot fail.
    let _ = write_escaped(&mut shown, text, stays);
    Cow::Owned(shown)
}

/// Escapes unsafe characters, except those that `stays` keeps. It receives the previous character,
/// the character, and the next one.
fn write_escaped(
    out: &mut impl fmt::Write,
    text: &str,
    stays: fn(Option<char>, char, Option<char>) -> bool,
) -> fmt::Result {
    let mut before = None;
    let mut rest = text;
    while let Some(at) = rest.find(is_unsafe) {
        let (clean, from) = rest.split_at(at);
        out.write_str(clean)?;
        before = clean.chars().next_back().or(before);
        let mut characters = from.chars();
        let Some(character) = characters.next() else { break };
        match character {
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            other if stays(before, other, characters.clone().next()) => out.write_char(other)?,
            other => write!(out, "{}", other.escape_unicode())?,
        }
        (before, rest) = (Some(character), characters.as_str());
    }
    out.write_str(rest)
}

/// A latent's key for display, unique for each key. It is quoted if it is empty, starts with a
/// quote, starts or ends with a space, or contains characters to escape.
pub fn shown_key(key: &str) -> Cow<'_, str> {
    let is_plain =
        !key.is_empty() && !key.starts_with(['"', ' ']) && !key.ends_with(' ') && !key.contains(is_unsafe);
    if is_plain {
        return Cow::Borrowed(key);
    }
    let key = key.replace('\\', "\\\\").replace('"', "\\\"");
    Cow::Owned(format!("\"{}\"", escape(&key)))
}

/// A latent's name for display: its key, or its position if it has none.
pub fn shown_name(key: Option<&str>, index: usize) -> String {
    key.map_or_else(|| format!("#{index}"), |key| shown_key(key).into_owned())
}

/// A path for display: bytes that are not UTF-8 appear as `\xe9`.
pub fn shown(path: &Path) -> String {
    let mut shown = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        shown.push_str(&escape(chunk.valid()));
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    shown
}

/// A file's name for display, without its folders.
pub fn shown_file_name(path: &Path) -> String {
    shown(path.file_name().map_or(path, Path::new))
}

/// Writer that passes JSON text on, and replaces the characters that [`escape`] escapes by JSON
/// escapes. The result is safe on a terminal and has the same meaning. ASCII controls need no
/// treatment: they are already escaped in JSON strings, and white space outside them.
///
/// Each write must end at a character boundary, as those of a serializer do.
#[derive(Debug)]
pub struct EscapeJson<W> {
    to: W,
    on_one_line: bool,
}

impl<W: Write> EscapeJson<W> {
    /// Passes text on to `to`. With `on_one_line`, line breaks between tokens become spaces; stored
    /// text that is copied verbatim can contain them. In strings, they are already escaped.
    pub fn new(to: W, on_one_line: bool) -> Self {
        Self { to, on_one_line }
    }

    /// Returns the underlying writer.
    pub fn into_inner(self) -> W {
        self.to
    }
}

impl<W: Write> Write for EscapeJson<W> {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        let is_break = |character| self.on_one_line && matches!(character, '\n' | '\r');
        let is_replaced = |character| is_break(character) || character > '~' && is_unsafe(character);
        let mut rest = str::from_utf8(json).map_err(io::Error::other)?;
        while let Some(at) = rest.find(is_replaced) {
            let (clean, from) = rest.split_at(at);
            self.to.write_all(clean.as_bytes())?;
            let mut characters = from.chars();
            for unit in characters.next().unwrap_or_default().encode_utf16(&mut [0; 2]) {
                if char::from_u32((*unit).into()).is_some_and(is_break) {
                    self.to.write_all(b" ")?;
                } else {
                    write!(self.to, "\\u{unit:04x}")?;
                }
            }
            rest = characters.as_str();
        }
        self.to.write_all(rest.as_bytes())?;
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn is_unsafe(character: char) -> bool {
    character != ' ' && is_invisible(character)
}

/// The meaning of coloured text.
#[derive(Clone, Copy, Debug)]
pub enum Tone {
    /// Correct.
    Good,
    /// Damaged, failed, or different.
    Bad,
    /// A heading.
    Heading,
}

/// Text in the colour of its tone, if `coloured`.
pub fn paint(coloured: bool, tone: Tone, text: &str) -> String {
    if !coloured {
        return text.to_owned();
    }
    let style = match tone {
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Bad => AnsiColor::Red.on_default().bold(),
        Tone::Heading => Style::new().bold(),
    };
    format!("{style}{text}{style:#}")
}

/// A text of at most `most` characters. A longer one is cut in the middle, since its beginning and
/// end distinguish it from others.
pub fn shorten(text: &str, most: usize) -> String {
    let characters = text.chars().count();
    if characters <= most {
        return text.to_owned();
    }
    let end = most.saturating_sub(1) / 2;
    let start = most.saturating_sub(1) - end;
    let start = text.chars().take(start);
    let end = text.chars().skip(characters - end);
    start.chain(['…']).chain(end).collect()
}

/// A number with its noun: `1 latent`, `2 latents`.
pub fn count(number: usize, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

/// A shape with a separator between its axes: `1x4x64x64`.
pub fn dimensions(shape: &[usize], between: &str) -> String {
    let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    if axes.is_empty() { "scalar".into() } else { axes.join(between) }
}

/// A human-readable size with at most one decimal: `0 B`, `1023 B`, `1.0 KiB`, `64.0 MiB`.
pub fn human_size(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 1_u128;
    let mut tenths = 0;
    for name in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        unit *= 1024;
        tenths = (u128::from(bytes) * 10 + unit / 2) / unit;
        // Compared after rounding, so that 1024.0 of a unit becomes 1.0 of the next.
        if tenths < 10_240 {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
    }
    format!("{}.{} EiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn harmless_text_is_borrowed() {
        for text in ["", "a cat, 35mm", "C:\\x\\u{1b}", "héllo 世界 🐈"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn only_prose_keeps_what_emoji_and_scripts_need() {
        let text = "\u{1f3f3}\u{fe0f}\u{200d}🌈 क्\u{200d}ष \u{200b}";
        assert_eq!(escape_prose(text), "\u{1f3f3}\u{fe0f}\u{200d}🌈 क्\u{200d}ष \\u{200b}");
        assert_eq!(escape(text), "\u{1f3f3}\\u{fe0f}\\u{200d}🌈 क्\\u{200d}ष \\u{200b}");
    }

    #[test]
    fn keys_are_told_apart() {
        let table = [
            ("noise", "noise"),
            ("a b", "a b"),
            ("a\\u{200b}", "a\\u{200b}"),
            ("say \"a\"", "say \"a\""),
            ("", "\"\""),
            ("\"\"", "\"\\\"\\\"\""),
            ("a ", "\"a \""),
            ("a\u{200b}", "\"a\\u{200b}\""),
            ("a\\\u{200b}", "\"a\\\\\\u{200b}\""),
        ];
        for (key, shown) in table {
            assert_eq!(shown_key(key), shown);
        }
    }

    #[test]
    #[cfg(unix)]
    fn paths_are_told_apart() {
        use std::os::unix::ffi::OsStrExt;

        let path = |bytes: &'static [u8]| shown(Path::new(std::ffi::OsStr::from_bytes(bytes)));
        assert_eq!(path(b"caf\xe9.gen5"), "caf\\xe9.gen5");
        assert_eq!(path(b"\xe2\x80\xae\xff\x1b/\xc3\xa9"), "\\u{202e}\\xff\\u{1b}/é");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = "a\u{202e}b\u{9b}c\u{7f}\u{1b}\n\u{e0041}é🐈";
        let escaped = |on_one_line| {
            let mut out = EscapeJson::new(Vec::new(), on_one_line);
            serde_json::to_writer_pretty(&mut out, &[value]).unwrap();
            String::from_utf8(out.into_inner()).unwrap()
        };
        assert_eq!(escaped(true), escaped(false).replace('\n', " "));
        let escaped = escaped(false);
        assert!(!escaped.contains(['\u{202e}', '\u{9b}', '\u{7f}', '\u{1b}', '\u{e0041}']), "{escaped}");
        assert!(escaped.contains("é🐈"));
        assert_eq!(serde_json::from_str::<Vec<String>>(&escaped).unwrap(), [value]);
    }

    #[test]
    fn what_steers_a_terminal_is_escaped() {
        let table = [
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u{1b}[31mred", "\\u{1b}[31mred"),
            ("\0\u{7}\u{7f}\u{85}\u{9b}", "\\u{0}\\u{7}\\u{7f}\\u{85}\\u{9b}"),
            ("x\u{202e}gpj.exe", "x\\u{202e}gpj.exe"),
            (
                "\u{61c}\u{200e}\u{200f}\u{202a}\u{2066}\u{2069}",
                "\\u{61c}\\u{200e}\\u{200f}\\u{202a}\\u{2066}\\u{2069}",
            ),
            ("\u{2028}\u{2029}\u{feff}\u{200b}", "\\u{2028}\\u{2029}\\u{feff}\\u{200b}"),
            ("\u{e0001}\u{e0041}\u{e007f}", "\\u{e0001}\\u{e0041}\\u{e007f}"),
        ];
        for (text, shown) in table {
            assert_eq!(escape(text), shown);
        }
    }

    #[test]
    fn long_texts_keep_both_ends() {
        let table = [("", ""), ("abcdef", "abcdef"), ("abcdefg", "abc…fg"), ("äöüßabcdefg", "äöü…fg")];
        for (text, shown) in table {
            assert_eq!(shorten(text, 6), shown);
        }
    }

    #[test]
    fn sizes_round_into_the_next_unit() {
        let table = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            ((1 << 20) - 1, "1.0 MiB"),
            (1023 * 1024 + 921, "1023.9 KiB"),
            (64 << 20, "64.0 MiB"),
            (10_000_000_000, "9.3 GiB"),
            ((1 << 40) - 1, "1.0 TiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (bytes, shown) in table {
            assert_eq!(human_size(bytes), shown);
        }
    }

    proptest! {
        #[test]
        fn escaped_text_is_safe_and_stays_so(text in any::<String>()) {
            let shown = escape(&text);
            prop_assert!(!shown.contains(is_unsafe));
            prop_assert!(matches!(escape(&shown), Cow::Borrowed(_)));
            let shown = escape_prose(&text);
            prop_assert_eq!(&escape_prose(&shown), &shown);
        }

        #[test]
        fn keys_that_differ_look_different(one in "[\\PC\u{200b}\"\\\\ ]{0,4}", other in "[ab\u{200b}\"\\\\ ]{0,4}") {
            prop_assert_eq!(one == other, shown_key(&one) == shown_key(&other));
        }

        #[test]
        fn no_size_reads_1024(bytes in (0_u32..64, any::<u64>()).prop_map(|(shift, bytes)| bytes >> shift)) {
            prop_assert!(!human_size(bytes).starts_with("1024"));
        }
    }
}
