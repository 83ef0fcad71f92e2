//! The stored image, scaled down to the page's size limit.

use std::io::Cursor;

use gen5_picture::{decode_image, image_size, shrink_image};
use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, ImageResult, guess_format};

use super::model::{ImagePictures, PageRoom, Picture};

/// Limits in bytes and pixels for an image embedded unchanged; a browser must also decode it.
const MAX_ORIGINAL: usize = 4 << 20;
const MAX_PIXELS: u64 = 100_000_000;

/// Longest sides for a scaled image: the first that fits into the remaining room is used.
const SCALED: [u32; 4] = [1280, 896, 512, 320];

/// Longest sides for a card's image, used in the same way.
const THUMBNAIL: [u32; 3] = [320, 192, 96];

/// JPEG quality.
const QUALITY: u8 = 84;

/// Formats that every browser supports.
const SHOWN: [ImageFormat; 4] = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::WebP, ImageFormat::Gif];

/// The image for the details of a file, and a small one for its card if required.
pub(super) fn embed(encoded: &[u8], with_thumbnail: bool, room: &mut PageRoom) -> ImageResult<ImagePictures> {
    let (width, height) = image_size(encoded)?;
    let is_small = encoded.len() <= MAX_ORIGINAL && u64::from(width) * u64::from(height) <= MAX_PIXELS;
    let original = guess_format(encoded).ok().filter(|format| SHOWN.contains(format) && is_small);

    let mut embedded = ImagePictures { width, height, ..ImagePictures::default() };
    let mut decoded = None;
    if with_thumbnail {
        embedded.thumbnail = scaled(decoded.insert(decode_image(encoded)?), &THUMBNAIL, 4, room)?;
    }
    if let Some(format) = original {
        let media_type = format.to_mime_type();
        embedded.picture = room.take_part(Picture { media_type, bytes: encoded.to_vec(), width, height }, 2);
    }
    if embedded.picture.is_none() {
        let decoded = decoded.map_or_else(|| decode_image(encoded), Ok)?;
        embedded.picture = scaled(&decoded, &SCALED, 2, room)?;
        embedded.is_scaled = embedded.picture.is_some();
    }
    Ok(embedded)
}

/// The image in the first of these boxes where it takes at most one of `parts` equal parts of the
/// room.
fn scaled(
    image: &DynamicImage,
    sides: &[u32],
    parts: usize,
    room: &mut PageRoom,
) -> ImageResult<Option<Picture>> {
    for side in sides {
        let picture = room.take_part(encode(image, *side)?, parts);
        if picture.is_some() {
            return Ok(picture);
        }
    }
    Ok(None)
}

/// The image in a box of this size, unless it is smaller: as JPEG, or as PNG if it has transparent
/// pixels.
fn encode(image: &DynamicImage, side: u32) -> ImageResult<Picture> {
    let small = shrink_image(image, side);
    let mut bytes = Vec::new();
    let format = if small.color().has_alpha() { ImageFormat::Png } else { ImageFormat::Jpeg };
    match format {
        ImageFormat::Jpeg => {
            small.to_rgb8().write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY))?;
        }
        format => small.to_rgba8().write_to(&mut Cursor::new(&mut bytes), format)?,
    }
    Ok(Picture { media_type: format.to_mime_type(), bytes, width: small.width(), height: small.height() })
}
