//! Limits how much text from a file an error repeats, so that a malicious file cannot make it long.

use std::fmt;

/// The maximum number of characters to repeat.
const MOST_SHOWN: usize = 200;

/// Returns at most 200 characters of `text`.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Returns at most 200 characters of `text`, in quotes.
pub(crate) fn quote(text: &str) -> String {
    format!("{:?}", shorten(text))
}

/// Returns at most 200 characters of an error's text, without ever building the whole text.
pub(crate) fn shorten_error(error: &impl fmt::Display) -> String {
    struct Start {
        text: String,
        room: usize,
    }
    impl fmt::Write for Start {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            for c in text.chars() {
                self.room = self.room.checked_sub(1).ok_or(fmt::Error)?;
                self.text.push(c);
            }
            Ok(())
        }
    }
    // One more than the maximum, to detect that there is more.
    let mut start = Start { text: String::new(), room: MOST_SHOWN + 1 };
    // An error here means that the buffer is full.
    let _ = fmt::write(&mut start, format_args!("{error}"));
    shorten(&start.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_characters_are_kept() {
        for (length, kept) in
            [(0, 0), (MOST_SHOWN, MOST_SHOWN), (MOST_SHOWN + 1, MOST_SHOWN), (10_000, MOST_SHOWN)]
        {
            let text = "é".repeat(length);
            let mut expected = "é".repeat(kept);
            if length > kept {
                expected.push_str(" …");
            }
            assert_eq!(shorten(&text), expected);
            assert_eq!(shorten_error(&text), expected);
            assert_eq!(quote(&text), format!("{expected:?}"));
        }
    }
}
