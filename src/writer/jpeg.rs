//! Whether a JPEG is complete, from its markers alone.

/// Start of image.
const SOI: [u8; 2] = [0xff, 0xd8];

/// Whether a JPEG ends with the marker for it, end of image. Bytes after this marker are not part
/// of the JPEG.
///
/// Segments are skipped by their length, so the end marker of a thumbnail in Exif does not count.
/// Compressed data, which follows the header of each scan, has no length: it extends to the next
/// marker.
pub(super) fn is_complete(jpeg: &[u8]) -> bool {
    let Some(mut rest) = jpeg.strip_prefix(&SOI) else { return false };
    while let Some((kind, behind)) = next_marker(rest) {
        rest = match kind {
            0xd9 => return true,
            // Markers without a segment: a zero that belongs to compressed data, TEM, codes without
            // a meaning, RST, SOI.
            0..0xc0 | 0xd0..=0xd8 => behind,
            _ => match segment(behind) {
                Some(behind) => behind,
                None => return false,
            },
        };
    }
    false
}

/// The kind of the next marker, and the rest after it. Any number of 0xff bytes may precede a
/// marker.
fn next_marker(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let (_, bytes) = bytes.split_at(bytes.iter().position(|&byte| byte == 0xff)?);
    let fill = bytes.iter().position(|&byte| byte != 0xff)?;
    bytes.get(fill..)?.split_first().map(|(&kind, behind)| (kind, behind))
}

/// The rest after a segment, whose length includes its own two bytes.
fn segment(bytes: &[u8]) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes(*bytes.first_chunk()?));
    bytes.get(length.max(2)..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"\xff\xd8\xff\xe0\0\x04JF";
    const SCAN: &[u8] = b"\xff\xda\0\x03s\x12\xff\0\x34\xff\xd0\x56\xff\xd1\x78";
    const TABLE: &[u8] = b"\xff\xc4\0\x04tt";
    const END: &[u8] = b"\xff\xd9";

    /// A thumbnail in Exif has its own end marker.
    const EXIF: &[u8] = b"\xff\xe1\0\x10Exif\0\0\xff\xd8\xff\xda\xff\xd9";

    #[test]
    fn a_jpeg_is_complete_only_with_its_end_marker() {
        for parts in [
            &[HEAD, SCAN][..],
            &[HEAD, EXIF, SCAN],
            // Progressive: several scans, with tables between them.
            &[HEAD, TABLE, SCAN, TABLE, SCAN, SCAN],
            // Fill bytes before a marker, in the middle and at the end.
            &[HEAD, b"\xff\xff", SCAN, b"\xff\xff\xff", TABLE, b"\xff", SCAN, b"\xff"],
            // Codes without a meaning, and other bytes, between segments.
            &[HEAD, b"\0\0\xff\x5a", SCAN, b"\xff\x01"],
        ] {
            let whole = [&parts.concat(), END].concat();
            assert!(is_complete(&whole), "{whole:x?}");
            for length in 0..whole.len() {
                assert!(!is_complete(&whole[..length]), "{length} of {whole:x?}");
            }
            // Further images, and anything else after the end.
            for more in [&whole[..whole.len() / 2], b"\xff", b"\0\0\0"] {
                assert!(is_complete(&[&whole[..], more].concat()));
            }
        }
    }

    #[test]
    fn any_bytes_get_an_answer() {
        for bytes in [&b""[..], b"\xff", b"\xd8\xff\xd9", b"\xff\xd8\xff\xe0\0", b"\xff\xd8\xff\xe0\xff\xffx"]
        {
            assert!(!is_complete(bytes), "{bytes:x?}");
        }
        // A length that does not include its own bytes.
        assert!(is_complete(b"\xff\xd8\xff\xe0\0\0\xff\xd9"));
    }
}
