//! Texts about files: strings from files made safe to display, and numbers in words.

mod invisible;

use std::borrow::Cow;
use std::fmt;

use self::invisible::{is_invisible, is_needed};

/// `text` with escapes for characters that control a terminal, are invisible, or look like a space,
/// so that different texts look different.
///
/// A newline becomes `\n`, the right-to-left override `\u{202e}`. Backslashes are unchanged, so the
/// result is for display and cannot be reversed. Similar-looking letters are also unchanged.
///
/// ```
/// # use gen5_picture::text::escape;
/// assert_eq!(escape("a cat\u{1b}[2J"), "a cat\\u{1b}[2J");
/// ```
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_unless(text, |_, _, _| false)
}

/// Like [`escape`], for prose such as a prompt: keeps invisible characters that emoji and scripts
/// need.
///
/// ```
/// # use gen5_picture::text::{escape, escape_prose};
/// let prompt = "a 👩\u{200d}🚀 by night";
/// assert_eq!(escape_prose(prompt), prompt);
/// assert_eq!(escape(prompt), "a 👩\\u{200d}🚀 by night");
/// ```
pub fn escape_prose(text: &str) -> Cow<'_, str> {
    escape_unless(text, is_needed)
}

/// Displays a text as [`escape_prose`] would return it, without building the string, which can be
/// six times as long.
///
/// ```
/// # use gen5_picture::text::EscapedProse;
/// assert_eq!(EscapedProse("a cat\nat night").to_string(), "a cat\\nat night");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct EscapedProse<'a>(pub &'a str);

impl fmt::Display for EscapedProse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_escaped(f, self.0, is_needed)
    }
}

fn escape_unless(text: &str, stays: fn(Option<char>, char, Option<char>) -> bool) -> Cow<'_, str> {
    if !text.contains(needs_escape) {
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
    while let Some(at) = rest.find(needs_escape) {
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
///
/// ```
/// # use gen5_picture::text::shown_key;
/// assert_eq!(shown_key("step 7"), "step 7");
/// assert_eq!(shown_key("step 7 "), "\"step 7 \"");
/// ```
pub fn shown_key(key: &str) -> Cow<'_, str> {
    let is_plain =
        !key.is_empty() && !key.starts_with(['"', ' ']) && !key.ends_with(' ') && !key.contains(needs_escape);
    if is_plain {
        return Cow::Borrowed(key);
    }
    let key = key.replace('\\', "\\\\").replace('"', "\\\"");
    Cow::Owned(format!("\"{}\"", escape(&key)))
}

/// A latent's name for display: its key, or its position if it has none.
///
/// ```
/// # use gen5_picture::text::shown_name;
/// assert_eq!(shown_name(Some("noise"), 3), "noise");
/// assert_eq!(shown_name(None, 3), "#3");
/// ```
pub fn shown_name(key: Option<&str>, index: usize) -> String {
    key.map_or_else(|| format!("#{index}"), |key| shown_key(key).into_owned())
}

/// Whether [`escape`] escapes a character: one that controls a terminal, is invisible, or looks
/// like a space without being one.
///
/// ```
/// # use gen5_picture::text::needs_escape;
/// assert!(needs_escape('\u{202e}') && needs_escape('\n'));
/// assert!(!needs_escape(' ') && !needs_escape('é'));
/// ```
pub fn needs_escape(character: char) -> bool {
    character != ' ' && is_invisible(character)
}

/// A number with its noun, which takes an s in the plural.
///
/// ```
/// # use gen5_picture::text::count;
/// assert_eq!(count(1, "latent"), "1 latent");
/// assert_eq!(count(2, "latent"), "2 latents");
/// ```
pub fn count(number: usize, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

/// A shape with a separator between its axes.
///
/// ```
/// # use gen5_picture::text::dimensions;
/// assert_eq!(dimensions(&[1, 4, 64, 64], "x"), "1x4x64x64");
/// assert_eq!(dimensions(&[], "x"), "scalar");
/// ```
pub fn dimensions(shape: &[usize], between: &str) -> String {
    let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    if axes.is_empty() { "scalar".into() } else { axes.join(between) }
}

/// A number of bytes in binary units, with one decimal from 1 KiB.
///
/// ```
/// # use gen5_picture::text::human_size;
/// assert_eq!(human_size(1023), "1023 B");
/// assert_eq!(human_size(64 << 20), "64.0 MiB");
/// ```
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

/// A number with four significant digits, or three in scientific notation, and a true minus sign.
///
/// ```
/// # use gen5_picture::text::four_digits;
/// assert_eq!(four_digits(-0.5), "−0.500");
/// assert_eq!(four_digits(1e-4), "1.00e−4");
/// ```
pub fn four_digits(value: f64) -> String {
    let size = value.abs();
    let text = if value == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e5).contains(&size) {
        format!("{value:.2e}")
    } else if size >= 1000.0 {
        format!("{value:.0}")
    } else if size >= 100.0 {
        format!("{value:.1}")
    } else if size >= 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    };
    text.replace('-', "−")
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

    #[test]
    fn figures_have_four_digits() {
        let table = [
            (0.0, "0"),
            (1.0, "1.000"),
            (-4.214_49, "−4.214"),
            (12.345, "12.35"),
            (-123.45, "−123.5"),
            (65504.0, "65504"),
            (0.000_12, "1.20e−4"),
            (-3.4e38, "−3.40e38"),
        ];
        for (value, text) in table {
            assert_eq!(four_digits(value), text);
        }
    }

    proptest! {
        #[test]
        fn escaped_text_is_safe_and_stays_so(text in any::<String>()) {
            let shown = escape(&text);
            prop_assert!(!shown.contains(needs_escape));
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
