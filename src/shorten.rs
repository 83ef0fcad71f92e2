//! How much of a file's text an error repeats: what a hostile file holds is not repeated at length.

use std::fmt;

/// Characters of a text that are repeated.
const MOST_SHOWN: usize = 200;

/// At most 200 characters of `text`.
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{} …", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// The same, between quotes.
pub(crate) fn quote(text: &str) -> String {
    format!("{:?}", shorten(text))
}

/// At most 200 characters of what an error says, which is never in memory as a whole.
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
    // One more than is shown tells that there is more.
    let mut start = Start { text: String::new(), room: MOST_SHOWN + 1 };
    // An error here means that there is no room for more.
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
