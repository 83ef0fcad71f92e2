//! The text of a WebP: Exif.

use super::{TextCollector, exif};

/// Whether an image is a WebP.
pub(super) fn is_webp(image: &[u8]) -> bool {
    image.starts_with(b"RIFF") && image.get(8..12).is_some_and(|kind| kind == b"WEBP")
}

/// Reads the chunks, which end where the header says; bytes after that are not the image's.
pub(super) fn read(image: &[u8], found: &mut TextCollector) {
    let size = image.get(4..).and_then(<[u8]>::first_chunk).map_or(0, |size| u32::from_le_bytes(*size));
    let end = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(8);
    let is_cut_short = image.len() < end;
    let image = image.get(..end).unwrap_or(image);
    let mut rest = image.get(12..).unwrap_or_default();
    while !rest.is_empty() {
        let at = image.len() - rest.len();
        let Some((kind, body, behind)) = chunk(rest) else {
            let damage = if is_cut_short { "cut short" } else { "damaged" };
            return found.problem(format!("{damage} at byte {at}; any text after it is missing"));
        };
        if kind == b"EXIF" {
            if !found.count() {
                return;
            }
            exif::read(body, &format!("text chunk at byte {at}"), found);
        }
        rest = behind;
    }
    if is_cut_short {
        found.problem(format!("cut short at byte {}; any text after it is missing", image.len()));
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
