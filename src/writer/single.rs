//! All chunks but latents: the image, the environment, and those of other files that are unknown here.

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
    /// That of the payload.
    pub(crate) sha256: Digest,
    /// Whether it is compressed; `None` if that depends on whether it becomes smaller.
    pub(crate) compressed: Option<bool>,
    /// Members of `extra`, and of the record itself.
    pub(crate) extra: Extra,
    pub(crate) unknown: Extra,
    /// Whether version 1.0 may not have such a chunk.
    pub(crate) is_newer: bool,
}

impl<'a> Single<'a> {
    /// A chunk of which nothing more is to be said, compressed if that makes it smaller.
    pub(super) fn new(kind: ChunkType, payload: &'a [u8]) -> Self {
        let (extra, unknown) = (Extra::new(), Extra::new());
        let sha256 = Digest::of(payload);
        Self { kind, flags: NO_FLAGS, payload, sha256, compressed: None, extra, unknown, is_newer: false }
    }

    /// Refuses what readers would, and a second one of a kind that stands once in a file.
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

    /// Writes it.
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

/// Decodes an image to see whether it can be. Returns a note if there is no telling.
#[cfg(feature = "image")]
pub(super) fn check_image(encoded: &[u8]) -> Result<Option<String>> {
    use image::ImageError;

    let unknown = "the image is stored unchecked: no decoder here knows its format";
    match image::guess_format(encoded) {
        Ok(format) if format.reading_enabled() => match decode(encoded, format) {
            Ok(_) => Ok(None),
            // What the decoder cannot do, or not in the memory it allows itself, says nothing against the image.
            Err(error @ (ImageError::Limits(_) | ImageError::Unsupported(_))) => {
                Ok(Some(format!("the image is stored unchecked: {error}")))
            }
            Err(error) => Err(Error::Image { problem: error.to_string() }),
        },
        _ => Ok(Some(unknown.into())),
    }
}

/// Decodes an image within a GiB of memory, the encoded image included.
#[cfg(feature = "image")]
fn decode(encoded: &[u8], format: image::ImageFormat) -> image::ImageResult<image::DynamicImage> {
    use image::{ImageDecoder, ImageFormat};

    const MAX_BYTES: u64 = 1 << 30;
    // Most decoders do not count what they allocate beside the pixels: copies, canvases, coefficients.
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
