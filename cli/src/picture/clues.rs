//! Clues from the rest of a file that help to identify its latents: the model, the image's size,
//! and the latents' origin.

use gen5::chunk::ChunkType;
use gen5::{Latent, Reader};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::files;
use super::layout::{Hints, Scaling};
use crate::convert::layouts::{Origins, SourceFile};

/// Information in a file that helps to identify its latents.
#[derive(Clone, Debug)]
pub struct Clues {
    model: String,
    image: Option<(u32, u32)>,
    origins: Origins,
}

/// Number of bytes that usually suffice to find an image's size.
const IMAGE_START: usize = 256 << 10;

/// Limit on the bytes of a name searched for words: megabytes of a key or model name contain none
/// with a meaning.
const LOOKED_AT: usize = 1000;

impl Clues {
    /// The clues in a file. Damaged parts are skipped.
    pub fn of(reader: &Reader) -> Self {
        #[derive(Default, Deserialize)]
        struct Said<'a> {
            model_name: String,
            #[serde(borrow)]
            source_files: Option<&'a RawValue>,
        }
        // The metadata may be large, and only these members are needed.
        let said: Said<'_> = serde_json::from_str(reader.model_info_json()).unwrap_or_default();
        Self {
            model: beginning(&said.model_name).to_owned(),
            image: image_size(reader),
            origins: SourceFile::origins(said.source_files.map(RawValue::get)),
        }
    }

    /// Width and height of the image as displayed, if its first bytes contain them.
    pub fn image(&self) -> Option<(u32, u32)> {
        self.image
    }

    /// The hints for a latent.
    pub fn hints<'a>(&'a self, latent: &'a Latent) -> Hints<'a> {
        let key = latent.key().unwrap_or_default();
        let is_unscaled = self.origins.unscaled.contains(key);
        Hints {
            key: beginning(key),
            model: &self.model,
            image: self.image,
            scaling: if is_unscaled { Scaling::Decoder } else { Scaling::Sampler },
            is_video: self.origins.videos.contains(key),
        }
    }
}

/// The start of a name, to be searched for words.
fn beginning(name: &str) -> &str {
    name.split_at(name.floor_char_boundary(LOOKED_AT)).0
}

fn image_size(reader: &Reader) -> Option<(u32, u32)> {
    let chunk = reader.chunks().iter().find(|chunk| chunk.kind() == ChunkType::IMAGE)?;
    files::dimensions(&reader.payload_start(chunk.index(), IMAGE_START).ok()?).ok()
}
