//! Pictures as files: the image that a GEN5 file holds is decoded, what was painted becomes PNG.

use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops::overlay;
use image::{ExtendedColorType, ImageEncoder, ImageReader, ImageResult, Limits, RgbImage, Rgba, RgbaImage};

/// Pixels of a side of an image that is decoded, at most.
const MAX_SIDE: u32 = 32_768;

/// Bytes that decoding may take: an image of 16,384 squared, or less with more to a pixel.
const MAX_BYTES: u64 = 1 << 30;

/// What is seen through a transparent image.
const PAPER: Rgba<u8> = Rgba([255, 255, 255, 255]);

/// An image that was decoded.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its width.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// The image, made smaller if it was larger than asked for.
    pub picture: RgbImage,
}

fn reader(encoded: &[u8]) -> ImageResult<ImageReader<Cursor<&[u8]>>> {
    let mut reader = ImageReader::new(Cursor::new(encoded)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits);
    Ok(reader)
}

/// Width and height of an image, from its first bytes.
pub fn dimensions(encoded: &[u8]) -> Option<(u32, u32)> {
    reader(encoded).ok()?.into_dimensions().ok()
}

/// Decodes an image, and makes it fit into a square of `side` pixels.
///
/// # Errors
///
/// If it is damaged, of no known format, or over 32,768 pixels to a side or a GiB in memory.
pub fn decode(encoded: &[u8], side: u32) -> ImageResult<Stored> {
    let image = reader(encoded)?.decode()?;
    let (width, height) = (image.width(), image.height());
    let small = if width.max(height) > side { image.thumbnail(side, side) } else { image };
    let picture = if small.color().has_alpha() {
        let mut paper = RgbaImage::from_pixel(small.width(), small.height(), PAPER);
        overlay(&mut paper, &small.into_rgba8(), 0, 0);
        image::DynamicImage::ImageRgba8(paper).into_rgb8()
    } else {
        small.into_rgb8()
    };
    Ok(Stored { width, height, picture })
}

/// A picture as PNG, compressed fast.
///
/// # Errors
///
/// If it has no pixels.
pub fn png(picture: &RgbImage) -> ImageResult<Vec<u8>> {
    let mut file = Vec::new();
    PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Adaptive).write_image(
        picture.as_raw(),
        picture.width(),
        picture.height(),
        ExtendedColorType::Rgb8,
    )?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn what_is_painted_comes_back() {
        let picture = RgbImage::from_fn(40, 20, |x, y| Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 200]));
        let file = png(&picture).unwrap();
        assert_eq!(dimensions(&file), Some((40, 20)));
        assert_eq!(decode(&file, 64).unwrap().picture, picture);
        let small = decode(&file, 10).unwrap();
        assert_eq!((small.width, small.height), (40, 20));
        assert_eq!(small.picture.dimensions(), (10, 5));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for file in [&b""[..], b"GIF89a", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &[0; 100]] {
            assert!(decode(file, 64).is_err());
            assert_eq!(dimensions(file), None);
        }
    }

    #[test]
    fn transparent_pixels_are_paper() {
        let mut file = Vec::new();
        let image = RgbaImage::from_pixel(2, 2, Rgba([10, 20, 30, 0]));
        image.write_to(&mut Cursor::new(&mut file), image::ImageFormat::Png).unwrap();
        assert_eq!(*decode(&file, 64).unwrap().picture.get_pixel(1, 1), Rgb([255, 255, 255]));
    }
}
