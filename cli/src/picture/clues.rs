//! What a file says besides its latents that helps to tell what they are: its model, the size of its image, and where they
//! came from.

use gen5::{ChunkType, Latent, Metadata, Reader};

use super::files;
use super::layout::Hints;
use super::preview::Scaling;
use crate::convert::layouts::{Origins, Source};

/// What a file says that helps with its latents.
#[derive(Clone, Debug)]
pub struct Clues {
    model: String,
    image: Option<(u32, u32)>,
    origins: Origins,
}

/// Bytes of an image that tell its size, unless much else comes first.
const IMAGE_START: usize = 256 << 10;

impl Clues {
    /// Those of a file. What is damaged in it gives none.
    pub fn of(reader: &Reader) -> Self {
        let metadata = reader.metadata().ok();
        let model = metadata.as_ref().map(Metadata::model_info);
        Self {
            model: model.map(|model| model.model_name.clone()).unwrap_or_default(),
            image: image_size(reader),
            origins: Source::origins(model.and_then(|model| model.extra.get(Source::MEMBER))),
        }
    }

    /// Width and height of the image, as it is seen, if its first bytes tell.
    pub fn image(&self) -> Option<(u32, u32)> {
        self.image
    }

    /// What there is for a latent.
    pub fn hints<'a>(&'a self, latent: &'a Latent) -> Hints<'a> {
        let key = latent.key().unwrap_or_default();
        let is_unscaled = self.origins.unscaled.contains(key);
        Hints {
            key,
            model: &self.model,
            image: self.image,
            scaling: if is_unscaled { Scaling::Decoder } else { Scaling::Sampler },
            is_video: self.origins.videos.contains(key),
        }
    }
}

fn image_size(reader: &Reader) -> Option<(u32, u32)> {
    let chunk = reader.chunks().iter().find(|chunk| chunk.kind() == ChunkType::IMAGE)?;
    files::dimensions(&reader.payload_start(chunk.index(), IMAGE_START).ok()?).ok()
}
