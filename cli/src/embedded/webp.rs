//! The text of a WebP: Exif.

use super::{TextCollector, exif};

/// Whether an image is a WebP.
pub(super) fn is_webp(image: &[u8]) -> bool {
    image.starts_with(b"RIFF") && image.get(8..12).is_some_and(|kind| kind == b"WEBP")
}

/// Reads the chunks to the end of the image.
pub(super) fn read(image: &[u8], found: &mut TextCollector) {
    let mut rest = image.get(12..).unwrap_or_default();
    while !rest.is_empty() {
        let at = image.len() - rest.len();
        let Some((kind, body, behind)) = chunk(rest) else {
            return found.problem(format!("cut short at byte {at}; text behind it is missing"));
        };
        if kind == b"EXIF" {
            if !found.count() {
                return;
            }
            // Some writers add JPEG's prefix here as well.
            let tiff = body.strip_prefix(b"Exif\0\0").unwrap_or(body);
            exif::read(tiff, &format!("text chunk at byte {at}"), found);
        }
        rest = behind;
    }
}

/// The kind and body of the first chunk, and the rest after its padding.
fn chunk(bytes: &[u8]) -> Option<(&[u8; 4], &[u8], &[u8])> {
    let (kind, bytes) = bytes.split_first_chunk()?;
    let (length, bytes) = bytes.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (body, rest) = bytes.split_at_checked(length)?;
    let padding = (length % 2).min(rest.len());
    Some((kind, body, rest.get(padding..)?))
}
