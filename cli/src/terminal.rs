//! Text for a terminal: paths, JSON, colours, and texts that are cut. What needs no terminal is in
//! [`gen5_picture::text`].

use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use gen5_picture::text::{escape, needs_escape};

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
        let is_replaced = |character| is_break(character) || character > '~' && needs_escape(character);
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn long_texts_keep_both_ends() {
        let table = [("", ""), ("abcdef", "abcdef"), ("abcdefg", "abc…fg"), ("äöüßabcdefg", "äöü…fg")];
        for (text, shown) in table {
            assert_eq!(shorten(text, 6), shown);
        }
    }
}
