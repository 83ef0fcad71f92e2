//! Encoded images: decodes the image stored in a GEN5 file, and encodes pictures as PNG.

use std::borrow::Cow;
use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::imageops::overlay;
use image::metadata::Orientation;
use image::{
    DynamicImage, ExtendedColorType, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, ImageResult,
    Limits, RgbImage, Rgba, RgbaImage,
};

use crate::limits::IMAGE_MEMORY;

/// Maximum side of a decoded image in pixels.
const MAX_SIDE: u32 = 32_768;

/// The background of a transparent image.
const PAPER: Rgba<u8> = Rgba([255, 255, 255, 255]);

/// A decoded image, scaled down if it was larger than requested.
#[derive(Clone, Debug)]
pub struct Thumbnail {
    /// Width of the original in pixels, as displayed.
    pub width: u32,
    /// Height of the original in pixels.
    pub height: u32,
    /// The image. Transparent pixels are white.
    pub picture: RgbImage,
}

/// A decoder within the limits, and the image's orientation.
fn decoder(encoded: &[u8]) -> ImageResult<(impl ImageDecoder + '_, Orientation)> {
    let mut reader = ImageReader::new(Cursor::new(encoded)).with_guessed_format()?;
    let times = reader.format().map_or(MOST_TIMES, times_in_memory);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(IMAGE_MEMORY);
    // Some decoders copy the input.
    limits.reserve(encoded.len() as u64)?;
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    // Damaged Exif is ignored, since the pixels are sound.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let times = if swaps_sides(orientation) { times.max(2) } else { times };
    limits.reserve(decoder.total_bytes().saturating_mul(times))?;
    decoder.set_limits(limits)?;
    Ok((decoder, orientation))
}

/// The maximum memory of a decoder, including the pixels, as a multiple of the pixels' size. Most
/// decoders do not count their allocations.
fn times_in_memory(format: ImageFormat) -> u64 {
    match format {
        ImageFormat::Png | ImageFormat::Bmp => 1,
        // A frame in addition to the canvas.
        ImageFormat::Gif => 2,
        // A copy, with four channels for CMYK.
        ImageFormat::Tiff => 3,
        // Two-byte coefficients; canvas, frame and planes.
        _ => MOST_TIMES,
    }
}

const MOST_TIMES: u64 = 4;

/// Whether width and height are swapped, which needs a second copy of the image for a moment.
fn swaps_sides(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// The maximum memory for decoding an image in bytes, at most [`IMAGE_MEMORY`], given its encoded
/// size in bytes and, if known, its width and height.
pub fn image_memory(pixels: Option<(u32, u32)>, encoded: u64) -> u64 {
    const BYTES: u64 = 4 * MOST_TIMES; // of a pixel, but for those of 16 bits and floats
    match pixels {
        Some((width, height)) => (u64::from(width) * u64::from(height))
            .saturating_mul(BYTES)
            .saturating_add(encoded)
            .min(IMAGE_MEMORY),
        None => IMAGE_MEMORY,
    }
}

/// Width and height of an image in pixels, as displayed. The first bytes of the image suffice, if
/// they contain its size.
///
/// # Errors
///
/// Those of [`decode_image`].
pub fn image_size(encoded: &[u8]) -> ImageResult<(u32, u32)> {
    let (decoder, orientation) = decoder(encoded)?;
    let (width, height) = decoder.dimensions();
    Ok(if swaps_sides(orientation) { (height, width) } else { (width, height) })
}

/// Decodes a BMP, GIF, JPEG, PNG, TIFF or WebP image and rotates it as its Exif says.
///
/// # Errors
///
/// If it is damaged, of another format, larger than 32,768 pixels per side, or takes more than
/// [`IMAGE_MEMORY`] to decode.
pub fn decode_image(encoded: &[u8]) -> ImageResult<DynamicImage> {
    let (decoder, orientation) = decoder(encoded)?;
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Scales an image down to fit into a square of `side` pixels, if it is larger.
pub fn shrink_image(image: &DynamicImage, side: u32) -> Cow<'_, DynamicImage> {
    if image.width().max(image.height()) > side {
        Cow::Owned(image.thumbnail(side, side))
    } else {
        Cow::Borrowed(image)
    }
}

impl Thumbnail {
    /// Decodes an image and scales it down to fit into a square of `side` pixels.
    ///
    /// # Errors
    ///
    /// Those of [`decode_image`].
    pub fn decode(encoded: &[u8], side: u32) -> ImageResult<Self> {
        let image = decode_image(encoded)?;
        let small = shrink_image(&image, side);
        let picture = if small.color().has_alpha() {
            let mut paper = RgbaImage::from_pixel(small.width(), small.height(), PAPER);
            overlay(&mut paper, &small.to_rgba8(), 0, 0);
            DynamicImage::ImageRgba8(paper).into_rgb8()
        } else {
            small.to_rgb8()
        };
        Ok(Self { width: image.width(), height: image.height(), picture })
    }
}

/// Encodes a picture as PNG, with fast compression.
///
/// # Errors
///
/// If it has no pixels.
pub fn encode_png(picture: &RgbImage) -> ImageResult<Vec<u8>> {
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
        let file = encode_png(&picture).unwrap();
        assert_eq!(image_size(&file).unwrap(), (40, 20));
        assert_eq!(Thumbnail::decode(&file, 64).unwrap().picture, picture);
        let small = Thumbnail::decode(&file, 10).unwrap();
        assert_eq!((small.width, small.height), (40, 20));
        assert_eq!(small.picture.dimensions(), (10, 5));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        for file in [&b""[..], b"GIF89a", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &[0; 100]] {
            assert!(decode_image(file).is_err());
            assert!(image_size(file).is_err());
        }
    }

    #[test]
    fn images_are_turned_as_they_say() {
        // A red pixel at the left, which Exif declares to be the top.
        let picture =
            RgbImage::from_fn(40, 8, |x, _| if x < 20 { Rgb([250, 0, 0]) } else { Rgb([0, 0, 250]) });
        let mut file = Vec::new();
        let mut encoder = JpegEncoder::new_with_quality(&mut file, 100);
        let exif = b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        encoder.set_exif_metadata(exif.to_vec()).unwrap();
        encoder.encode_image(&picture).unwrap();
        assert_eq!(image_size(&file).unwrap(), (8, 40));
        let seen = Thumbnail::decode(&file, 20).unwrap();
        assert_eq!((seen.width, seen.height, seen.picture.dimensions()), (8, 40, (4, 20)));
        let (top, bottom) = (seen.picture.get_pixel(2, 2), seen.picture.get_pixel(2, 17));
        assert!(top.0[0] > 200 && bottom.0[2] > 200, "{top:?} {bottom:?}");
    }

    #[test]
    fn pixels_have_a_limit() {
        // 32,000 x 32,000 pixels of 3 bytes exceed a GiB; the file contains none of them.
        let mut file = Vec::new();
        RgbImage::new(1, 1).write_to(&mut Cursor::new(&mut file), ImageFormat::Png).unwrap();
        for (at, byte) in (16..).zip([0, 0, 0x7d, 0, 0, 0, 0x7d, 0]) {
            file[at] = byte;
        }
        let crc = crc32fast::hash(&file[12..29]).to_be_bytes();
        file[29..33].copy_from_slice(&crc);
        let error = decode_image(&file).unwrap_err();
        assert!(matches!(error, image::ImageError::Limits(_)), "{error}");
    }

    /// An encoded pixel that claims to be `side` x `side`.
    fn said_to_be(format: ImageFormat, side: u16) -> Vec<u8> {
        let mut file = Vec::new();
        RgbImage::new(1, 1).write_to(&mut Cursor::new(&mut file), format).unwrap();
        let [high, low] = side.to_be_bytes();
        match format {
            ImageFormat::Jpeg => {
                let start = file.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
                file[start + 5..start + 9].copy_from_slice(&[high, low, high, low]);
            }
            ImageFormat::WebP => {
                // After the signature of a lossless image: 14 bits each for width and height, less
                // one.
                let start = file.windows(4).position(|name| name == b"VP8L").unwrap() + 9;
                let sides = u32::from(side - 1) << 14 | u32::from(side - 1);
                let rest = u32::from_le_bytes(file[start..start + 4].try_into().unwrap()) & 0xf000_0000;
                file[start..start + 4].copy_from_slice(&(rest | sides).to_le_bytes());
            }
            other => panic!("{other:?}"),
        }
        file
    }

    #[test]
    fn what_decoders_take_beside_the_pixels_counts() {
        for format in [ImageFormat::Jpeg, ImageFormat::WebP] {
            assert_eq!(image_size(&said_to_be(format, 9000)).unwrap(), (9000, 9000), "{format:?}");
            // 432 MB at three bytes per pixel; four times that exceeds a GiB.
            for limited in [
                decode_image(&said_to_be(format, 12_000)).map(|_| ()),
                image_size(&said_to_be(format, 12_000)).map(|_| ()),
            ] {
                assert!(matches!(limited, Err(image::ImageError::Limits(_))), "{format:?}: {limited:?}");
            }
        }
    }

    #[test]
    fn an_image_that_is_turned_counts_twice() {
        let exif = |orientation: u8| {
            let mut file = Vec::new();
            let mut encoder = PngEncoder::new(&mut file);
            let exif =
                [&b"II\x2a\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation], &[0; 7]].concat();
            encoder.set_exif_metadata(exif).unwrap();
            encoder.write_image(&[0; 3], 1, 1, ExtendedColorType::Rgb8).unwrap();
            // 15,000 x 15,000 pixels of three bytes are 675 MB.
            file[16..24].copy_from_slice(&[15_000_u32.to_be_bytes(), 15_000_u32.to_be_bytes()].concat());
            let crc = crc32fast::hash(&file[12..29]).to_be_bytes();
            file[29..33].copy_from_slice(&crc);
            image_size(&file)
        };
        assert_eq!(exif(1).unwrap(), (15_000, 15_000));
        assert_eq!(exif(3).unwrap(), (15_000, 15_000), "upside down in place");
        assert!(matches!(exif(6), Err(image::ImageError::Limits(_))));
    }

    #[test]
    fn transparent_pixels_are_paper() {
        let mut file = Vec::new();
        let image = RgbaImage::from_pixel(2, 2, Rgba([10, 20, 30, 0]));
        image.write_to(&mut Cursor::new(&mut file), ImageFormat::Png).unwrap();
        assert_eq!(*Thumbnail::decode(&file, 64).unwrap().picture.get_pixel(1, 1), Rgb([255, 255, 255]));
    }
}
