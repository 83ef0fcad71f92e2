//! The text fields of Exif.
//!
//! Only the first directory and the Exif directory are read, each once, so a file cannot cause a
//! loop. A field's bytes are sliced and never allocated by the count that the file claims.

use super::TextCollector;
use super::encoding::{japanese, unicode, utf8_or_latin1, utf16};

/// The fields with text, and their names. UserComment belongs in the Exif directory, but Pillow
/// writes it where its caller does, often in the first. Windows shows and edits the fields whose
/// names start with XP.
const FIELDS: [(u16, &str, Encoding); 10] = [
    (0x010d, "DocumentName", Encoding::Plain),
    (0x010e, "ImageDescription", Encoding::Plain),
    (0x010f, "Make", Encoding::Plain),
    (0x0110, "Model", Encoding::Plain),
    (0x0131, "Software", Encoding::Plain),
    (0x9286, "UserComment", Encoding::Labelled),
    (0x9c9b, "XPTitle", Encoding::Utf16),
    (0x9c9c, "XPComment", Encoding::Utf16),
    (0x9c9e, "XPKeywords", Encoding::Utf16),
    (0x9c9f, "XPSubject", Encoding::Utf16),
];

/// How a field encodes text.
#[derive(Clone, Copy)]
enum Encoding {
    /// UTF-8 or Latin-1.
    Plain,
    /// As the first eight bytes say.
    Labelled,
    /// Little-endian UTF-16, in structures of either byte order.
    Utf16,
}

/// The prefix of Exif in JPEG, which some writers also add elsewhere.
pub(super) const PREFIX: &[u8] = b"Exif\0\0";

/// The field with the offset of the Exif directory.
const EXIF_DIRECTORY: u16 = 0x8769;

/// Reads the text of a TIFF structure, with or without the prefix; problems call it `place`.
pub(crate) fn read(exif: &[u8], place: &str, found: &mut TextCollector) {
    let Some((tiff, first)) = Tiff::new(exif.strip_prefix(PREFIX).unwrap_or(exif)) else {
        return found.problem(format!("{place} is not valid Exif; not read"));
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
            let field = FIELDS.iter().find(|(known, name, _)| *known == tag && !seen.contains(name));
            let Some((_, name, encoding)) = field else { continue };
            seen.push(name);
            match self.value(at) {
                Some(value) if !found.may_fit(value, place) => {}
                Some(value) => {
                    let text = match encoding {
                        Encoding::Plain => utf8_or_latin1(value),
                        Encoding::Labelled => self.labelled(value),
                        Encoding::Utf16 => utf16(value, false),
                    };
                    // Zero bytes end the text, and NovelAI also writes some before it.
                    found.keep(name, text.trim_matches('\0'), place);
                }
                None => {
                    found.problem(format!(
                        "{place}: {name} lies outside the Exif data or is not text; not read"
                    ));
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

    /// The text of a UserComment. Its first eight bytes are the label of the encoding, unless the
    /// writer omitted them. Without a mark or a plausible order, UTF-16 has the order of the
    /// structure.
    fn labelled(self, value: &[u8]) -> String {
        match value.split_first_chunk() {
            Some((b"UNICODE\0", text)) => unicode(text, self.big_endian),
            Some((b"JIS\0\0\0\0\0", text)) => japanese(text),
            Some((b"ASCII\0\0\0" | b"\0\0\0\0\0\0\0\0", text)) => utf8_or_latin1(text),
            _ => utf8_or_latin1(value),
        }
    }
}
