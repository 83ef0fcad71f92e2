//! The text of a JPEG: Exif in APP1, and COM.

use super::encoding::utf8_or_latin1;
use super::{TextCollector, exif};

/// Start of image, and the first byte of the next marker.
pub(super) const SIGNATURE: &[u8] = b"\xff\xd8\xff";

/// Reads the segments before the scan; all text comes before it.
pub(super) fn read(image: &[u8], found: &mut TextCollector) {
    let mut rest = image.get(2..).unwrap_or_default();
    loop {
        let at = image.len() - rest.len();
        let Some((kind, body, behind)) = segment(rest) else {
            return found.problem(format!("cut short or damaged at byte {at}; any text after it is missing"));
        };
        let place = format!("text at byte {at}");
        match (kind, body) {
            // The scan, or the end.
            (0xda | 0xd9, _) => return,
            (0xe1, body) if body.starts_with(exif::PREFIX) => {
                if !found.count() {
                    return;
                }
                exif::read(body, &place, found);
            }
            (0xfe, comment) => {
                if !found.count() {
                    return;
                }
                let text = utf8_or_latin1(comment);
                found.keep("Comment", text.trim_end_matches('\0'), &place);
            }
            _ => {}
        }
        rest = behind;
    }
}

/// The kind and body of the first segment, and the rest after it.
fn segment(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [0xff, rest @ ..] = bytes else { return None };
    // Any number of 0xff bytes may precede a marker.
    let fill = rest.iter().take_while(|&&byte| byte == 0xff).count();
    let (&kind, rest) = rest.get(fill..)?.split_first()?;
    match kind {
        // Markers without a body: TEM, RST, SOI, EOI.
        0x01 | 0xd0..=0xd9 => Some((kind, &[], rest)),
        0x00 => None,
        _ => {
            let (length, rest) = rest.split_first_chunk()?;
            // The length includes its own two bytes.
            let length = usize::from(u16::from_be_bytes(*length)).checked_sub(2)?;
            let (body, rest) = rest.split_at_checked(length)?;
            Some((kind, body, rest))
        }
    }
}
