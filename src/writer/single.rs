//! All chunks except latents: the image, the environment, and chunks of unknown type from other
//! files.

use super::buffers::Filled;
use super::encode::compress_whole;
use super::options::Storage;
use super::session::{NewRecord, Session, chunk_header};
use super::stream::flush_waiting;
use crate::codec::Digest;
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::manifest::Extra;
use crate::wire::{CHUNK_HEADER_SIZE, ChunkType, NO_FLAGS};

/// A chunk that is not a latent.
pub(crate) struct Single<'a> {
    pub(crate) kind: ChunkType,
    pub(crate) flags: [u8; 4],
    pub(crate) payload: &'a [u8],
    /// The digest of the payload.
    pub(crate) sha256: Digest,
    /// Whether it is compressed, or `None` to compress it only if that makes it smaller.
    pub(crate) compressed: Option<bool>,
    /// Members of `extra`, and of the record itself.
    pub(crate) extra: Extra,
    pub(crate) unknown: Extra,
    /// Whether version 1.0 may not have such a chunk.
    pub(crate) is_newer: bool,
}

impl<'a> Single<'a> {
    /// Creates a chunk without other members, compressed if that makes it smaller.
    pub(super) fn new(kind: ChunkType, payload: &'a [u8]) -> Self {
        let (extra, unknown) = (Extra::new(), Extra::new());
        let sha256 = Digest::of(payload);
        Self { kind, flags: NO_FLAGS, payload, sha256, compressed: None, extra, unknown, is_newer: false }
    }

    /// Returns an error for a chunk that readers would reject, and for a second one of a type that
    /// can occur only once.
    pub(super) fn check(&self, session: &Session<'_>) -> Result<()> {
        let (what, most) = match self.kind {
            ChunkType::IMAGE => ("image", Limits::default().image_bytes),
            ChunkType::ENVIRONMENT => ("environment", Limits::default().environment_bytes),
            _ if session.options.compatible => {
                let (what, expected) = ("chunk of a file of version 1.0", "one that its readers know");
                let found = format!("one of type {}", self.kind);
                return Err(Error::Argument { what: what.into(), expected: expected.into(), found });
            }
            _ => return Ok(()),
        };
        let refuse =
            |expected: String, found: String| Err(Error::Argument { what: what.into(), expected, found });
        if session.state().records.iter().any(|record| record.kind == self.kind) {
            return refuse("at most one in a file".into(), "a second".into());
        }
        match self.payload.len() as u64 {
            size if size > most => {
                refuse(format!("at most {most} bytes, as readers expect"), format!("{size} bytes"))
            }
            _ => Ok(()),
        }
    }

    /// Writes the chunk.
    pub(super) fn write(self, session: &Session<'_>) -> Result<()> {
        flush_waiting(session)?;
        let size = self.payload.len() as u64;
        let header = chunk_header(self.kind, self.flags, size);
        let raw_size = size + CHUNK_HEADER_SIZE;
        let frame = match self.compressed {
            Some(false) => None,
            _ => {
                let level = session.options.level_for(Storage::Zstd);
                Some(compress_whole(session, &header, self.payload, level)?)
            }
        };
        let must_be = self.compressed == Some(true);
        let frame = frame.as_ref().map(Filled::bytes);
        let frame = frame.filter(|frame| must_be || (frame.len() as u64) < raw_size);
        let stored_size = frame.map_or(raw_size, |frame| frame.len() as u64);
        let place = session.state().place(stored_size, None)?;
        match frame {
            Some(frame) => session.write(frame, place.offset)?,
            None => {
                session.write_head(place, &header)?;
                session.write(self.payload, place.payload_offset())?;
            }
        }
        session.state().records.push(NewRecord {
            kind: self.kind,
            flags: header.flags,
            place,
            payload_size: size,
            compressed: frame.is_some(),
            sha256: self.sha256,
            latent: None,
            extra: self.extra,
            unknown: self.unknown,
            is_newer: self.is_newer,
        });
        Ok(())
    }
}

/// Decodes an image to check it. Returns a note if this cannot decide whether it is valid.
#[cfg(feature = "image")]
pub(super) fn check_image(encoded: &[u8]) -> Result<Option<String>> {
    use image::ImageError;

    let unknown = "the image is stored unchecked: no decoder here knows its format";
    match image::guess_format(encoded) {
        Ok(format) if format.reading_enabled() => match decode(encoded, format) {
            Ok(_) => Ok(None),
            // If the decoder does not support the image, or not within its memory limit, the image
            // may still be valid.
            Err(error @ (ImageError::Limits(_) | ImageError::Unsupported(_))) => {
                Ok(Some(format!("the image is stored unchecked: {error}")))
            }
            Err(error) => Err(Error::Image { problem: error.to_string() }),
        },
        _ => Ok(Some(unknown.into())),
    }
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
