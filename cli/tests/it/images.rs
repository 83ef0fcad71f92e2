//! Builders for images that contain text.

use std::io::Read;

use flate2::Compression;
use flate2::bufread::ZlibEncoder;

use crate::support::PNG;

/// A text and its keyword.
pub type Text<'a> = (&'a str, &'a str);

/// A chunk of a PNG, with its CRC.
pub fn png_chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let covered = [&kind[..], body].concat();
    let crc = crc32fast::hash(&covered).to_be_bytes();
    [&length[..], &covered, &crc].concat()
}

/// The PNG of one pixel with chunks added before and after its IDAT.
pub fn png_with(before: &[Vec<u8>], after: &[Vec<u8>]) -> Vec<u8> {
    let (header, rest) = PNG.split_at(8 + 25);
    let end = rest.len() - 12;
    [header, &before.concat(), &rest[..end], &after.concat(), &rest[end..]].concat()
}

/// A PNG with these texts in uncompressed iTXt chunks.
pub fn png(texts: &[Text<'_>]) -> Vec<u8> {
    let chunks: Vec<Vec<u8>> = texts.iter().map(|text| itxt(*text, false)).collect();
    png_with(&chunks, &[])
}

pub fn text(keyword: &str, text: &[u8]) -> Vec<u8> {
    png_chunk(b"tEXt", &[keyword.as_bytes(), b"\0", text].concat())
}

pub fn ztxt(keyword: &str, text: &[u8]) -> Vec<u8> {
    png_chunk(b"zTXt", &[keyword.as_bytes(), b"\0\0", &deflated(text)].concat())
}

pub fn itxt((keyword, text): Text<'_>, compressed: bool) -> Vec<u8> {
    let content = if compressed { deflated(text.as_bytes()) } else { text.as_bytes().to_vec() };
    let between = [0, u8::from(compressed), 0, b'e', b'n', 0, 0];
    png_chunk(b"iTXt", &[keyword.as_bytes(), &between, &content].concat())
}

pub fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    ZlibEncoder::new(bytes, Compression::fast()).read_to_end(&mut stream).unwrap();
    stream
}

/// A profile as ImageMagick spells it as text: name, length and lines of hexadecimal digits.
pub fn profile(name: &str, profile: &[u8]) -> Vec<u8> {
    let lines: Vec<String> = profile
        .chunks(36)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n")
        .collect();
    format!("\n{name}\n{:8}\n{}", profile.len(), lines.concat()).into_bytes()
}

/// The byte order of Exif.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Order {
    Little,
    Big,
}

impl Order {
    pub fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// A UserComment: the mark for Unicode, then UTF-16 in this order.
    pub fn utf16(self, text: &str) -> Vec<u8> {
        let units = text.encode_utf16().flat_map(|unit| self.u16(unit));
        b"UNICODE\0".iter().copied().chain(units).collect()
    }
}

/// A field of Exif: tag, type, bytes.
pub type Field<'a> = (u16, u16, &'a [u8]);

pub const BYTE: u16 = 1;
pub const ASCII: u16 = 2;
pub const UNDEFINED: u16 = 7;

/// The tag of a UserComment.
pub const USER_COMMENT: u16 = 0x9286;

/// A TIFF structure with fields in its first directory and in its Exif directory.
pub fn tiff(order: Order, first: &[Field<'_>], exif: &[Field<'_>]) -> Vec<u8> {
    let start = 8;
    let size = |entries: usize| u32::try_from(2 + 12 * entries + 4).unwrap();
    let exif_start = start + size(first.len() + 1);
    let values_start = exif_start + size(exif.len());
    let magic: &[u8] = if order == Order::Big { b"MM\0\x2a" } else { b"II\x2a\0" };
    let mut bytes = [magic, &order.u32(start)].concat();
    let mut values = Vec::new();
    let entry = |(tag, kind, value): Field<'_>, values: &mut Vec<u8>| {
        let mut entry = [order.u16(tag), order.u16(kind)].concat();
        entry.extend(order.u32(u32::try_from(value.len()).unwrap()));
        if value.len() <= 4 {
            entry.extend(value);
            entry.resize(12, 0);
        } else {
            entry.extend(order.u32(values_start + u32::try_from(values.len()).unwrap()));
            values.extend(value);
        }
        entry
    };
    bytes.extend(order.u16(u16::try_from(first.len() + 1).unwrap()));
    for field in first {
        bytes.extend(entry(*field, &mut values));
    }
    // The pointer is a LONG.
    bytes.extend([&order.u16(0x8769)[..], &order.u16(4), &order.u32(1), &order.u32(exif_start)].concat());
    bytes.extend([0; 4]);
    bytes.extend(order.u16(u16::try_from(exif.len()).unwrap()));
    for field in exif {
        bytes.extend(entry(*field, &mut values));
    }
    bytes.extend([0; 4]);
    bytes.extend(values);
    bytes
}

/// A segment of a JPEG.
pub fn segment(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&[0xff, kind][..], &length, body].concat()
}

/// A minimal JPEG: JFIF, these segments, and a scan.
pub fn jpeg(segments: &[Vec<u8>]) -> Vec<u8> {
    let jfif = segment(0xe0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0");
    let scan = [&segment(0xda, &[1, 1, 0, 0, 63, 0])[..], &[0x12, 0x34, 0xff, 0xd9]].concat();
    [&b"\xff\xd8"[..], &jfif, &segments.concat(), &scan].concat()
}

pub fn jpeg_with_exif(tiff: &[u8]) -> Vec<u8> {
    jpeg(&[segment(0xe1, &[b"Exif\0\0", tiff].concat())])
}

pub fn webp_chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    let padding = &[0][..body.len() % 2];
    [&kind[..], &length, body, padding].concat()
}

/// A minimal WebP: VP8X, image data of odd size, and these chunks.
pub fn webp(chunks: &[Vec<u8>]) -> Vec<u8> {
    let chunks =
        [&b"WEBP"[..], &webp_chunk(b"VP8X", &[8; 10]), &webp_chunk(b"VP8L", &[1; 7]), &chunks.concat()]
            .concat();
    let length = u32::try_from(chunks.len()).unwrap().to_le_bytes();
    [&b"RIFF"[..], &length, &chunks].concat()
}
