//! Characters that are invisible or look like a space.

/// Whether a character is invisible or only a gap. Of ASCII, this is true for the space and
/// controls.
///
/// These are the controls (Cc), formats (Cf, except the visible `Prepended_Concatenation_Mark`),
/// separators (Zl, Zp, Zs) and `Default_Ignorable_Code_Point` of Unicode 16.0, and characters with
/// a blank glyph: the Braille pattern without dots, the Khitan filler, the null notehead.
pub(crate) fn is_invisible(character: char) -> bool {
    matches!(character,
        '\0'..=' ' | '\u{7f}'..='\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{1680}'
        | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
        | '\u{205f}'..='\u{206f}' | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}' | '\u{16fe4}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether text in some language, or an emoji, needs this invisible character between these two.
///
/// Blanks of other widths separate words. Joiners shape letters and join emoji, and selectors
/// choose a character's glyph; ASCII letters never need them.
pub(crate) fn is_needed(before: Option<char>, character: char, after: Option<char>) -> bool {
    let is_selector = |character| matches!(character, '\u{fe0e}' | '\u{fe0f}');
    let is_seen = |character: char| !character.is_ascii() && !is_invisible(character);
    match character {
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => true,
        '\u{200c}' | '\u{200d}' => {
            before.is_some_and(|before| is_seen(before) || is_selector(before)) && after.is_some_and(is_seen)
        }
        '\u{fe0e}' | '\u{fe0f}' => before.is_some_and(|before| is_seen(before) || after == Some('\u{20e3}')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use regex_syntax::hir::{Class, Hir, HirKind};

    use super::*;

    /// The characters of a character class in a regular expression.
    fn class(expression: &str) -> Vec<(char, char)> {
        let hir: Hir = regex_syntax::parse(expression).unwrap();
        let HirKind::Class(Class::Unicode(class)) = hir.into_kind() else {
            panic!("{expression} is no class")
        };
        class.iter().map(|range| (range.start(), range.end())).collect()
    }

    #[test]
    fn all_that_unicode_does_not_show_is_invisible() {
        let unseen = class(
            r"[[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Zs}\p{Default_Ignorable_Code_Point}]--\p{Prepended_Concatenation_Mark}]",
        );
        let blank = ['\u{2800}', '\u{16fe4}', '\u{1d159}'];
        for character in '\0'..=char::MAX {
            let is_unseen = unseen.iter().any(|(first, last)| (first..=last).contains(&&character));
            assert_eq!(is_invisible(character), is_unseen || blank.contains(&character), "{character:?}");
        }
    }

    #[test]
    fn emoji_and_scripts_keep_what_they_need() {
        let is_kept = |text: &str| {
            let characters: Vec<char> = text.chars().collect();
            let before = |at: usize| at.checked_sub(1).and_then(|at| characters.get(at)).copied();
            characters.iter().enumerate().all(|(at, &character)| {
                !is_invisible(character) || is_needed(before(at), character, characters.get(at + 1).copied())
            })
        };
        for text in [
            "👩\u{200d}❤\u{fe0f}\u{200d}👨",
            "1\u{fe0f}\u{20e3}",
            "🏳\u{fe0f}",
            "क्\u{200d}ष",
            "می\u{200c}خواهم",
            "10\u{a0}€",
            "雪\u{3000}夜",
        ] {
            assert!(is_kept(text), "{text:?}");
        }
        for text in [
            "a\u{200d}b",
            "é\u{200d}",
            "\u{200d}é",
            "a\u{fe0f}",
            "é\u{fe0f}\u{fe0f}",
            "é\u{200d}\u{200d}é",
            "é\u{e0100}",
            "é\u{ad}é",
            "\u{3164}",
        ] {
            assert!(!is_kept(text), "{text:?}");
        }
    }
}
