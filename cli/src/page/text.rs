//! Text from files as the page shows it. The template escapes markup.

use gen5_picture::text::{escape_prose, human_size};

/// Maximum bytes of one text in a page.
const SHOWN: usize = 128 << 10;

/// Maximum level up to which JSON is indented. Deeper levels are aligned, since the indentation of
/// a hostile text could grow quadratically with its depth.
const INDENTED: usize = 16;

/// The part of a text that a page shows, so that texts of many files can be kept until the page is
/// written.
#[derive(Default)]
pub(crate) struct Excerpt {
    beginning: String,
    /// Size of the whole text in bytes.
    size: usize,
}

impl Excerpt {
    /// An excerpt of at most `most` bytes.
    pub(super) fn within(text: &str, most: usize) -> Self {
        Self { beginning: beginning(text, most.min(SHOWN)).to_owned(), size: text.len() }
    }

    /// The start of the text.
    pub(super) fn beginning(&self) -> &str {
        &self.beginning
    }

    /// Size of the whole text in bytes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// The excerpt as [`lines`] returns it.
    pub(super) fn lines(&self) -> String {
        excerpt(&self.beginning, self.is_cut(), self.size)
    }

    /// The excerpt as [`line`] returns it.
    pub(super) fn line(&self) -> String {
        self.lines().replace('\n', "\\n")
    }

    /// The excerpt as [`json_lines`] returns it.
    pub(super) fn json_lines(&self) -> String {
        excerpt(&indented(&self.beginning), self.is_cut(), self.size)
    }

    fn is_cut(&self) -> bool {
        self.beginning.len() < self.size
    }
}

/// A text on several lines, with control and deceptive characters escaped, and cut if it is long.
pub(super) fn lines(text: &str) -> String {
    excerpt(text, false, text.len())
}

/// JSON on several lines, indented, and otherwise like [`lines`].
pub(super) fn json_lines(json: &str) -> String {
    excerpt(&indented(beginning(json, SHOWN)), json.len() > SHOWN, json.len())
}

/// The start of a displayed text, followed by the text's size if it is incomplete or was cut
/// before.
fn excerpt(shown: &str, is_cut: bool, size: usize) -> String {
    let beginning = beginning(shown, SHOWN);
    let line = |line| escape_prose(str::strip_suffix(line, '\r').unwrap_or(line)).into_owned();
    let mut lines = beginning.split('\n').map(line).collect::<Vec<_>>().join("\n");
    if is_cut || beginning.len() < shown.len() {
        let size = human_size(size as u64);
        lines += &format!("… ({size} in all; gen5 info --json shows it)");
    }
    lines
}

/// Number of bytes that a text of several lines takes in a page.
pub(super) fn shown_size(text: &str) -> usize {
    escape_prose(beginning(text, SHOWN)).len()
}

/// A text on one line.
pub(super) fn line(text: &str) -> String {
    lines(text).replace('\n', "\\n")
}

/// The start of a text on one line, with at most this number of characters.
pub(super) fn brief(text: &str, characters: usize) -> String {
    let beginning = match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default().trim_end()),
        None => text.to_owned(),
    };
    let words: Vec<&str> = beginning.split_whitespace().collect();
    escape_prose(&words.join(" ")).into_owned()
}

/// The start of a text, with at most this number of bytes.
fn beginning(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// A JSON value as text: the contents of a string, or any other value as spelled.
pub(super) fn value(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}

/// JSON with an indented line for each member. Numbers and strings are kept as spelled. Invalid
/// JSON still returns some text.
fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut characters = json.chars().filter(|character| *character != '\r').peekable();
    let new_line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth.min(INDENTED)));
    };
    while let Some(character) = characters.next().filter(|_| out.len() <= SHOWN) {
        if in_string {
            in_string = escaped || character != '"';
            escaped = !escaped && character == '\\';
            out.push(character);
            continue;
        }
        match character {
            '"' => {
                in_string = true;
                out.push(character);
            }
            '{' | '[' => {
                out.push(character);
                while characters.next_if(char::is_ascii_whitespace).is_some() {}
                match characters.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        new_line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(character);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_as_it_is_spelled() {
        let json = r#"{"a":[1.0, 1e400,{ }],"b\"{":"x, [y]: \\","c":[ ]}"#;
        let expected = r#"{
  "a": [
    1.0,
    1e400,
    {}
  ],
  "b\"{": "x, [y]: \\",
  "c": []
}"#;
        assert_eq!(indented(json), expected);
        assert_eq!(indented("NaN"), "NaN");
        let deep = "[".repeat(50_000);
        assert!(indented(&deep).len() < 50_000 * (2 + 2 * INDENTED));
        for broken in ["", "}", "\"", "\"\\", "]]]{", "{,:"] {
            indented(broken);
        }
    }

    #[test]
    fn lines_stay_and_nothing_deceives() {
        assert_eq!(lines("a\r\n\u{202e}b\tc"), "a\n\\u{202e}b\\tc");
        assert_eq!(line("a\nb"), "a\\nb");
        assert_eq!(brief("a  b\n\u{7}c", 9), "a b \\u{7}c");
        assert_eq!(brief("héllo world", 6), "héllo…");
        let long = lines(&"é".repeat(100_000));
        assert!(long.ends_with("é… (195.3 KiB in all; gen5 info --json shows it)"));
        assert_eq!(lines(&"x".repeat(SHOWN)).len(), SHOWN);
        assert!(
            json_lines(&"[".repeat(SHOWN + 1)).ends_with("… (128.0 KiB in all; gen5 info --json shows it)")
        );
        assert!(json_lines(&"[".repeat(SHOWN / 2)).len() < SHOWN + 100);
        assert_eq!(json_lines("[1]"), "[\n  1\n]");
    }
}
