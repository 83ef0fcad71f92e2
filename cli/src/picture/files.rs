//! Pictures as files: the image that a GEN5 file holds is decoded, what was painted becomes PNG.

use std::borrow::Cow;
use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops::overlay;
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageReader, ImageResult, Limits, RgbImage,
    Rgba, RgbaImage,
};

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

/// A decoder that keeps to the limits.
fn decoder(encoded: &[u8]) -> ImageResult<impl ImageDecoder + '_> {
    let mut reader = ImageReader::new(Cursor::new(encoded)).with_guessed_format()?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BYTES);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    // Decoders do not count the pixels that they give.
    limits.reserve(decoder.total_bytes())?;
    decoder.set_limits(limits)?;
    Ok(decoder)
}

/// How it is to be turned. Exif that is damaged says nothing, and leaves the pixels sound.
fn orientation(decoder: &mut impl ImageDecoder) -> Orientation {
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

/// Width and height of an image as it is seen, which its first bytes tell.
///
/// # Errors
///
/// Those of [`decode`].
pub fn dimensions(encoded: &[u8]) -> ImageResult<(u32, u32)> {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let mut decoder = decoder(encoded)?;
    let (width, height) = decoder.dimensions();
    Ok(match orientation(&mut decoder) {
        Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH => (height, width),
        _ => (width, height),
    })
}

/// Decodes an image, and turns it as it says that it is to be seen.
///
/// # Errors
///
/// If it is damaged, of no known format, or over 32,768 pixels to a side or a GiB in memory.
pub fn decode(encoded: &[u8]) -> ImageResult<DynamicImage> {
    let mut decoder = decoder(encoded)?;
    let orientation = orientation(&mut decoder);
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// An image made to fit into a square of `side` pixels, if it is larger.
pub fn fitted(image: &DynamicImage, side: u32) -> Cow<'_, DynamicImage> {
    match image.width().max(image.height()) > side {
        true => Cow::Owned(image.thumbnail(side, side)),
        false => Cow::Borrowed(image),
    }
}

/// Decodes an image, and makes it fit into a square of `side` pixels.
///
/// # Errors
///
/// Those of [`decode`].
pub fn stored(encoded: &[u8], side: u32) -> ImageResult<Stored> {
    let image = decode(encoded)?;
    let (width, height) = (image.width(), image.height());
    let small = fitted(&image, side);
    let picture = if small.color().has_alpha() {
        let mut paper = RgbaImage::from_pixel(small.width(), small.height(), PAPER);
        overlay(&mut paper, &small.to_rgba8(), 0, 0);
        DynamicImage::ImageRgba8(paper).into_rgb8()
    } else {
        small.to_rgb8()
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
    use image::codecs::jpeg::JpegEncoder;

    #[test]
    fn what_is_painted_comes_back() {
        let picture = RgbImage::from_fn(40, 20, |x, y| Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 200]));
        let file = png(&picture).unwrap();
        assert_eq!(dimensions(&file).unwrap(), (40, 20));
        assert_eq!(stored(&file, 64).unwrap().picture, picture);
        let small = stored(&file, 10).unwrap();
        assert_eq!((small.width, small.height), (40, 20));
        assert_eq!(small.picture.dimensions(), (10, 5));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for file in [&b""[..], b"GIF89a", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &[0; 100]] {
            assert!(decode(file).is_err());
            assert!(dimensions(file).is_err());
        }
    }

    #[test]
    fn images_are_turned_as_they_say() {
        // A red pixel at the left; Exif says that this is the top.
        let picture =
            RgbImage::from_fn(40, 8, |x, _| if x < 20 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) });
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut file, 100);
        let exif = b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        encoder.set_exif_metadata(exif.to_vec()).unwrap();
        encoder.encode_image(&picture).unwrap();
        assert_eq!(dimensions(&file).unwrap(), (8, 40));
        let seen = stored(&file, 20).unwrap();
        assert_eq!((seen.width, seen.height, seen.picture.dimensions()), (8, 40, (4, 20)));
        let (top, bottom) = (seen.picture.get_pixel(2, 2), seen.picture.get_pixel(2, 17));
        assert!(top.0[0] > 200 && bottom.0[2] > 200, "{top:?} {bottom:?}");
    }

    #[test]
    fn pixels_have_a_limit() {
        // 32,000 x 32,000 of 3 bytes are more than a GiB; none of them are there.
        let mut file = Vec::new();
        RgbImage::new(1, 1).write_to(&mut Cursor::new(&mut file), image::ImageFormat::Png).unwrap();
        for (at, byte) in (16..).zip([0, 0, 0x7d, 0, 0, 0, 0x7d, 0]) {
            file[at] = byte;
        }
        let crc = crc32fast::hash(&file[12..29]).to_be_bytes();
        file[29..33].copy_from_slice(&crc);
        let error = decode(&file).unwrap_err();
        assert!(matches!(error, image::ImageError::Limits(_)), "{error}");
    }

    #[test]
    fn transparent_pixels_are_paper() {
        let mut file = Vec::new();
        let image = RgbaImage::from_pixel(2, 2, Rgba([10, 20, 30, 0]));
        image.write_to(&mut Cursor::new(&mut file), image::ImageFormat::Png).unwrap();
        assert_eq!(*stored(&file, 64).unwrap().picture.get_pixel(1, 1), Rgb([255, 255, 255]));
    }
}
