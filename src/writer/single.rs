//! All chunks except latents: the image, the environment, and chunks of unknown type from other
//! files.

use super::buffers::Filled;
use super::encode::compress_whole;
#[cfg(feature = "image")]
use super::jpeg::is_complete;
use super::options::Storage;
use super::pipeline::flush_waiting;
use super::session::Session;
use crate::codec::Digest;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::manifest::ChunkRecord;
use crate::wire::{CHUNK_HEADER_SIZE, ChunkType, NO_FLAGS, Version};

/// A chunk that is not a latent.
pub(crate) struct Single<'a> {
    /// Its record, without a place. It is compressed if that makes it smaller, unless
    /// `as_recorded` is set.
    pub(crate) record: ChunkRecord,
    pub(crate) payload: &'a [u8],
    /// Whether it is compressed if, and only if, its record says so.
    pub(crate) as_recorded: bool,
    /// Whether version 1.0 may not have such a chunk.
    pub(crate) needs_1_1: bool,
}

impl<'a> Single<'a> {
    /// Creates a chunk without other members, compressed if that makes it smaller.
    pub(super) fn new(kind: ChunkType, payload: &'a [u8]) -> Self {
        let mut record = ChunkRecord::new(kind, NO_FLAGS);
        record.payload_size = payload.len() as u64;
        record.sha256 = Digest::of(payload);
        Self { record, payload, as_recorded: false, needs_1_1: false }
    }

    /// Creates a chunk that is compressed even if that makes it larger.
    pub(super) fn compressed(kind: ChunkType, payload: &'a [u8]) -> Self {
        let mut single = Self { as_recorded: true, ..Self::new(kind, payload) };
        single.record.compressed = true;
        single
    }

    /// Returns an error for a chunk that readers would reject, and for a second one of a type that
    /// can occur only once.
    pub(super) fn check(&self, session: &Session<'_>) -> Result<()> {
        let (what, most) = match self.record.kind {
            ChunkType::IMAGE => ("image", Limits::default().image_bytes),
            ChunkType::ENVIRONMENT => ("environment", Limits::default().environment_bytes),
            _ if session.options.max_version < Version::V1_1 => {
                return Err(Error::argument(
                    "chunk of a file of version 1.0",
                    "one that its readers know",
                    format!("one of type {}", self.record.kind),
                ));
            }
            _ => return Ok(()),
        };
        if session.state().records.iter().any(|record| record.kind == self.record.kind) {
            return Err(Error::argument(what, "at most one in a file", "a second"));
        }
        let size = self.record.payload_size;
        if size > most {
            let expected = format!("at most {most} bytes, the default limit of readers");
            return Err(Error::argument(what, expected, format!("{size} bytes")));
        }
        Ok(())
    }

    /// Writes the chunk.
    pub(super) fn write(self, session: &Session<'_>) -> Result<()> {
        flush_waiting(session)?;
        let Self { mut record, payload, as_recorded, needs_1_1 } = self;
        let raw_size = record.payload_size + CHUNK_HEADER_SIZE;
        let frame = if as_recorded && !record.compressed {
            None
        } else {
            let level = session.options.level_for(Storage::Zstd);
            Some(compress_whole(session, &record.header(), payload, level)?)
        };
        let frame = frame.as_ref().map(Filled::bytes);
        let frame = frame.filter(|frame| as_recorded || (frame.len() as u64) < raw_size);
        record.compressed = frame.is_some();
        let stored_size = frame.map_or(raw_size, |frame| frame.len() as u64);
        let space = session.state().place(stored_size, None)?;
        match frame {
            Some(frame) => session.write(frame, space.start)?,
            None => {
                let offset = session.write_head(&space, &record)?;
                session.write(payload, offset)?;
            }
        }
        record.set_place(&space);
        let mut state = session.state();
        state.needs_1_1 |= needs_1_1;
        state.records.push(record);
        Ok(())
    }
}

/// Decodes an image to check it. Returns a note if this cannot decide whether it is valid.
#[cfg(feature = "image")]
pub(super) fn check_image(encoded: &[u8]) -> Result<Option<String>> {
    use image::{ImageError, ImageFormat};

    let format = match image::guess_format(encoded) {
        Ok(format) if format.reading_enabled() => format,
        _ => return Ok(Some("the image is stored unchecked: this build cannot decode its format".into())),
    };
    let note = match decode(encoded, format) {
        Ok(_) => None,
        // If the decoder does not support the image, or not within its memory limit, the image may
        // still be valid.
        Err(error @ (ImageError::Limits(_) | ImageError::Unsupported(_))) => {
            Some(format!("the image is stored unchecked: {error}"))
        }
        Err(error) => return Err(Error::Image { problem: error.to_string() }),
    };
    // The decoder fills in the missing rest of a JPEG.
    if format == ImageFormat::Jpeg && !is_complete(encoded) {
        let problem = "the JPEG is cut short (its end marker is missing); use a complete copy, for \
                       example by downloading it again";
        return Err(Error::Image { problem: problem.into() });
    }
    Ok(note)
}

/// Decodes an image within 1 GiB of memory, including the encoded image.
#[cfg(feature = "image")]
fn decode(encoded: &[u8], format: image::ImageFormat) -> image::ImageResult<image::DynamicImage> {
    use image::{ImageDecoder, ImageFormat};

    const MAX_BYTES: u64 = 1 << 30;
    // Most decoders count only the memory for pixels, not for copies, canvases or coefficients.
    let times = match format {
        ImageFormat::Png | ImageFormat::Bmp => 1,
        ImageFormat::Gif => 2,
        ImageFormat::Tiff => 3,
        _ => 4,
    };
    let mut limits = image::Limits::default();
    limits.max_alloc = Some(MAX_BYTES);
    limits.reserve(encoded.len() as u64)?;
    let mut reader = image::ImageReader::with_format(std::io::Cursor::new(encoded), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes().saturating_mul(times))?;
    decoder.set_limits(limits)?;
    image::DynamicImage::from_decoder(decoder)
}

#[cfg(not(feature = "image"))]
pub(super) fn check_image(_: &[u8]) -> Result<Option<String>> {
    Ok(Some("the image is stored unchecked: this build has no image decoder".into()))
}
