//! Clues from the rest of a file that help to identify its latents: the model, the image's size,
//! and the latents' origin.

use std::collections::HashSet;

use gen5::chunk::ChunkType;
use gen5::{Latent, Reader};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::images::image_size;
use crate::layout::{Hints, Scaling};

/// Information about latents from the files of other programs that they were packed from. All
/// members are sets of keys. By default, there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Latents in the decoder's scale rather than the sampler's.
    pub unscaled: HashSet<String>,
    /// Latents with the axes channels, frames, height and width.
    pub videos: HashSet<String>,
}

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
    ///
    /// `origins` receives the JSON text of the metadata's member `source_files`, in which the
    /// command line records the files of other programs, or `None` without the member. `|_|
    /// Origins::default()` ignores it.
    pub fn of(reader: &Reader, origins: impl FnOnce(Option<&str>) -> Origins) -> Self {
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
            image: stored_image_size(reader),
            origins: origins(said.source_files.map(RawValue::get)),
        }
    }

    /// Width and height of the image in pixels, as displayed, if its first bytes contain them.
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

fn stored_image_size(reader: &Reader) -> Option<(u32, u32)> {
    let chunk = reader.chunks().iter().find(|chunk| chunk.kind() == ChunkType::IMAGE)?;
    image_size(&reader.payload_start(chunk.index(), IMAGE_START).ok()?).ok()
}
