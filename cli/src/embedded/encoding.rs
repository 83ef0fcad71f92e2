//! The encodings of text in images: what the label says, corrected by the content.

use encoding_rs::{ISO_2022_JP, SHIFT_JIS};

/// Decodes UTF-8, or otherwise Latin-1, which many formats require and few writers use. Damaged
/// UTF-8 is still kept if it has more non-ASCII letters than damaged places, which does not happen
/// by chance in Latin-1.
pub(super) fn utf8_or_latin1(bytes: &[u8]) -> String {
    let mut letters = 0;
    let mut damages = 0;
    for chunk in bytes.utf8_chunks() {
        letters += chunk.valid().chars().filter(|letter| !letter.is_ascii()).count();
        damages += usize::from(!chunk.invalid().is_empty());
    }
    if damages == 0 || letters > damages {
        String::from_utf8_lossy(bytes).into_owned()
    } else {
        bytes.iter().copied().map(char::from).collect()
    }
}

/// Decodes text that is labelled as Unicode: UTF-8, which Exif 3.0 requires, or UTF-16, which older
/// versions require. The byte order of UTF-16 is that of the mark, or the more plausible one, or
/// otherwise `big_endian`.
pub(super) fn unicode(bytes: &[u8], big_endian: bool) -> String {
    let has_mark = bytes.starts_with(&[0xfe, 0xff]) || bytes.starts_with(&[0xff, 0xfe]);
    if !has_mark && is_utf8(bytes) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    let big_endian = match plausibility(bytes, true).cmp(&plausibility(bytes, false)) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => big_endian,
    };
    utf16(bytes, big_endian)
}

/// Decodes UTF-16 in this byte order, unless a mark says otherwise. The mark is left out.
pub(super) fn utf16(bytes: &[u8], big_endian: bool) -> String {
    let (big_endian, bytes) = match bytes {
        [0xfe, 0xff, bytes @ ..] => (true, bytes),
        [0xff, 0xfe, bytes @ ..] => (false, bytes),
        _ => (big_endian, bytes),
    };
    characters(bytes, big_endian).collect()
}

/// Decodes text that is labelled as JIS: ISO-2022-JP or Shift-JIS, and UTF-8 from writers that
/// ignore their own label.
pub(super) fn japanese(bytes: &[u8]) -> String {
    // Text in ISO-2022-JP is ASCII, but has escape sequences.
    let is_escaped = bytes.contains(&0x1b);
    let encoding = match str::from_utf8(bytes) {
        Ok(text) if !is_escaped => return text.to_owned(),
        Ok(_) => ISO_2022_JP,
        Err(_) => SHIFT_JIS,
    };
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes);
    text.map_or_else(|| utf8_or_latin1(bytes), std::borrow::Cow::into_owned)
}

/// Whether bytes are UTF-8 rather than UTF-16. Letters in UTF-16 either have a zero byte or, as in
/// Chinese, bytes of every value, which are not UTF-8 or have control characters among them. The
/// last character may be cut short.
fn is_utf8(bytes: &[u8]) -> bool {
    /// For each control character, UTF-8 has at least so many others.
    const CHARACTERS_PER_CONTROL: usize = 32;
    let valid = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            str::from_utf8(valid).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let text = valid.trim_end_matches('\0');
    let is_control = |character: &char| character.is_control() && !matches!(character, '\t' | '\n' | '\r');
    let controls = text.chars().filter(is_control).count();
    !text.is_empty() && !text.contains('\0') && controls * CHARACTERS_PER_CONTROL <= text.chars().count()
}

/// The characters of UTF-16 in this byte order; an odd last byte is left out.
fn characters(bytes: &[u8], big_endian: bool) -> impl Iterator<Item = char> {
    let unit = move |bytes| if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
    let units = bytes.as_chunks().0.iter().copied().map(unit);
    char::decode_utf16(units).map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER))
}

/// How plausible UTF-16 is as text. In the wrong byte order, ASCII becomes ideographs, and
/// ideographs become characters from everywhere, many of them rare or without a meaning.
fn plausibility(bytes: &[u8], big_endian: bool) -> i64 {
    let value = |character| match character {
        // ASCII, and emoji, which take two units.
        '\t' | '\n' | '\r' | ' '..='~' | '\u{1f000}'..='\u{1faff}' => 2,
        '\0' => 0,
        // Alphabets and general punctuation, kana, ideographs, Hangul, full-width forms.
        '\u{a0}'..='\u{206f}'
        | '\u{3000}'..='\u{30ff}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{ff00}'..='\u{ffef}' => 1,
        // Control characters, half a surrogate pair, private use.
        '\0'..'\u{a0}' | '\u{e000}'..='\u{f8ff}' | char::REPLACEMENT_CHARACTER..='\u{ffff}' => -2,
        _ => 0,
    };
    characters(bytes, big_endian).map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(text: &str, big_endian: bool) -> Vec<u8> {
        let bytes = |unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn text_is_utf8_or_latin1() {
        assert_eq!(utf8_or_latin1("Zürich 猫".as_bytes()), "Zürich 猫");
        assert_eq!(utf8_or_latin1(b"Z\xfcrich"), "Zürich");
        let damaged = ["夜の".as_bytes(), b"\xff", "港".as_bytes()].concat();
        assert_eq!(utf8_or_latin1(&damaged), "夜の\u{fffd}港");
    }

    #[test]
    fn utf16_is_read_in_either_order_whatever_the_structure_has() {
        for text in [
            "a quay",
            "夜晚的港口，远处有一座灯塔",
            // 一, 开 and 最 have a zero byte.
            "第一章，最后开船",
            "夜の港に灯るあかり",
            "등대와 바다",
            "Маяк у моря",
            "ประภาคาร",
            "灯塔🌊",
            "木桶, Steps: 20",
        ] {
            for big_endian in [true, false] {
                let bytes = bytes_of(text, big_endian);
                let with_end = [&bytes[..], &[0; 3]].concat();
                for default in [true, false] {
                    assert_eq!(unicode(&bytes, default), text, "{big_endian} {default}");
                    assert_eq!(unicode(&with_end, default).trim_matches('\0'), text);
                }
            }
        }
        // Neither order is more plausible.
        assert_eq!(unicode(&[0x4e, 0x4e, 0x81, 0x80], true), "乎膀");
        assert_eq!(unicode(&[0x4e, 0x4e, 0x81, 0x80], false), "乎肁");
        assert_eq!(unicode(&[], true), "");
        assert_eq!(unicode(&[0, 0, 0], true).trim_matches('\0'), "");
    }

    #[test]
    fn utf8_is_told_from_utf16() {
        for text in [
            "a",
            "glass float, Küste",
            "{\"steps\": 20}",
            "夜晚的港口",
            "a\u{1b}[31m rather red lighthouse at dusk",
        ] {
            assert_eq!(unicode(text.as_bytes(), true), text);
            let with_end = [text.as_bytes(), b"\0\0\0"].concat();
            assert_eq!(unicode(&with_end, false).trim_matches('\0'), text);
        }
        assert_eq!(unicode("\u{feff}a quay".as_bytes(), true), "\u{feff}a quay");
        // Cut within the last character.
        assert_eq!(unicode(&"a quay é".as_bytes()[..8], true), "a quay \u{fffd}");
        assert_eq!(unicode(b"\xfe\xff\0a\0b", false), "ab");
        assert_eq!(unicode(b"\xff\xfea\0b\0", true), "ab");
    }

    #[test]
    fn japanese_is_read_in_every_encoding() {
        let text = "夜の港, Steps: 20";
        assert_eq!(japanese(text.as_bytes()), text);
        assert_eq!(japanese(b"\x1b$BLk$N9A\x1b(B, Steps: 20"), text);
        assert_eq!(japanese(b"\x96\xe9\x82\xcc\x8d`, Steps: 20"), text);
        assert_eq!(japanese(b"plain"), "plain");
        // Not Japanese at all.
        assert_eq!(japanese(b"\xfft"), "ÿt");
        assert_eq!(japanese(b"\x1b$B\xff"), "\u{1b}$Bÿ");
        assert_eq!(japanese(b"\x1b$BL"), "\u{1b}$BL");
    }
}
