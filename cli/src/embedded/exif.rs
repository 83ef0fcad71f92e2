//! The text fields of Exif.
//!
//! Only the first directory and the Exif directory are read, each once, so a file cannot cause a
//! loop. A field's bytes are sliced and never allocated by the count that the file claims.

use super::{TextCollector, utf8_or_latin1};

/// The fields that generators write, and their names. UserComment belongs in the Exif directory,
/// but Pillow writes it where its caller does, often in the first.
const FIELDS: [(u16, &str); 6] = [
    (0x010d, "DocumentName"),
    (0x010e, "ImageDescription"),
    (0x010f, "Make"),
    (0x0110, "Model"),
    (0x0131, "Software"),
    (USER_COMMENT, "UserComment"),
];

const USER_COMMENT: u16 = 0x9286;

/// The field with the offset of the Exif directory.
const EXIF_DIRECTORY: u16 = 0x8769;

/// Reads the text of a TIFF structure; problems call it `place`.
pub(crate) fn read(tiff: &[u8], place: &str, found: &mut TextCollector) {
    let Some((tiff, first)) = Tiff::new(tiff) else {
        return found.problem(format!("{place} is no valid Exif; not read"));
    };
    let mut seen = Vec::new();
    if let Some(second) = tiff.directory(first, place, &mut seen, found) {
        tiff.directory(second, place, &mut seen, found);
    }
}

/// A TIFF structure, in either byte order.
#[derive(Clone, Copy)]
struct Tiff<'a> {
    bytes: &'a [u8],
    big_endian: bool,
}

impl<'a> Tiff<'a> {
    /// Parses the header; also returns the offset of the first directory.
    fn new(bytes: &'a [u8]) -> Option<(Self, u32)> {
        let big_endian = match bytes.first_chunk()? {
            b"MM\0\x2a" => true,
            b"II\x2a\0" => false,
            _ => return None,
        };
        let tiff = Self { bytes, big_endian };
        Some((tiff, tiff.u32(4)?))
    }

    fn u16(self, at: usize) -> Option<u16> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn u32(self, at: usize) -> Option<u32> {
        let bytes = *self.bytes.get(at..)?.first_chunk()?;
        Some(if self.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// Collects the text of a directory's fields, each only the first time; returns the offset of
    /// the Exif directory.
    fn directory(
        self,
        start: u32,
        place: &str,
        seen: &mut Vec<&'static str>,
        found: &mut TextCollector,
    ) -> Option<u32> {
        let start = usize::try_from(start).ok()?;
        let mut exif = None;
        for entry in 0..self.u16(start).map_or(0, usize::from) {
            let at = start.checked_add(2 + 12 * entry)?;
            let Some(tag) = self.u16(at) else {
                found.problem(format!("{place}: a directory of Exif is cut short"));
                break;
            };
            if tag == EXIF_DIRECTORY {
                exif = exif.or(self.u32(at + 8));
            }
            let Some((_, name)) = FIELDS.iter().find(|(known, name)| *known == tag && !seen.contains(name))
            else {
                continue;
            };
            seen.push(name);
            match self.value(at) {
                Some(value) if !found.may_fit(value, place) => {}
                Some(value) => {
                    let text = if tag == USER_COMMENT { self.comment(value) } else { utf8_or_latin1(value) };
                    // Zero bytes end the text, and NovelAI also writes some before it.
                    found.keep(name, text.trim_matches('\0'), place);
                }
                None => {
                    found.problem(format!("{place}: {name} lies outside of Exif or is no text; not read"));
                }
            }
        }
        exif
    }

    /// The bytes of the field at this position, if it has bytes and they are present.
    fn value(self, at: usize) -> Option<&'a [u8]> {
        const BYTE: u16 = 1;
        const ASCII: u16 = 2;
        const UNDEFINED: u16 = 7;
        let (BYTE | ASCII | UNDEFINED) = self.u16(at + 2)? else { return None };
        let count = usize::try_from(self.u32(at + 4)?).ok()?;
        let start = match count {
            // Up to four bytes are stored in the field itself.
            0..=4 => at + 8,
            _ => usize::try_from(self.u32(at + 8)?).ok()?,
        };
        self.bytes.get(start..start.checked_add(count)?)
    }

    /// The text of a UserComment. Its first eight bytes specify the encoding, unless the writer
    /// omitted them.
    fn comment(self, value: &[u8]) -> String {
        match value.split_first_chunk() {
            Some((b"UNICODE\0", text)) => self.utf16(text),
            Some((b"ASCII\0\0\0" | b"JIS\0\0\0\0\0" | b"\0\0\0\0\0\0\0\0", text)) => utf8_or_latin1(text),
            _ => utf8_or_latin1(value),
        }
    }

    /// Decodes UTF-16. The byte order follows the byte order mark, then the zero bytes of Latin
    /// letters, then the structure; the structure comes last because piexif always writes
    /// big-endian.
    fn utf16(self, bytes: &[u8]) -> String {
        let (big_endian, bytes) = match bytes {
            [0xfe, 0xff, bytes @ ..] => (true, bytes),
            [0xff, 0xfe, bytes @ ..] => (false, bytes),
            _ => {
                let zeros =
                    |first: usize| bytes.iter().skip(first).step_by(2).filter(|&&byte| byte == 0).count();
                let big_endian = match zeros(0).cmp(&zeros(1)) {
                    std::cmp::Ordering::Greater => true,
                    std::cmp::Ordering::Less => false,
                    std::cmp::Ordering::Equal => self.big_endian,
                };
                (big_endian, bytes)
            }
        };
        let unit = |bytes| if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) };
        let units = bytes.as_chunks().0.iter().copied().map(unit);
        char::decode_utf16(units).map(|character| character.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
    }
}
