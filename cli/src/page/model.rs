//! The page's content before it becomes HTML. Texts are stored as the files have them; the template
//! escapes them.

use gen5::Version;
use std::path::PathBuf;

use data_encoding::BASE64;
use gen5::environment::Component;
use gen5_picture::{ColorKey, Histogram, Statistics};

use super::text::Excerpt;
use crate::output::environment::SortedDrift;

pub(crate) struct HtmlPage {
    pub(crate) title: String,
    pub(crate) files: Vec<ShownFile>,
    /// Whether hash checks were requested.
    pub(crate) is_verified: bool,
}

/// A file, or the reason why it could not be read.
pub(crate) struct ShownFile {
    /// The path as given on the command line.
    pub(crate) path: PathBuf,
    pub(crate) content: Result<Content, String>,
}

/// The contents of a file.
pub(crate) struct Content {
    pub(crate) version: Version,
    pub(crate) size: u64,
    pub(crate) chunks: usize,
    pub(crate) fingerprint: gen5::Result<String>,
    pub(crate) integrity: Integrity,
    pub(crate) metadata: ShownMetadata,
    pub(crate) image: Option<ShownImage>,
    pub(crate) latents: Vec<ShownLatent>,
    pub(crate) environment: ShownEnvironment,
    /// Errors and omissions.
    pub(crate) problems: Vec<String>,
}

/// The result of the hash check.
pub(crate) enum Integrity {
    /// Hashes were not checked.
    Unchecked,
    /// Every payload matches its hash.
    Verified,
    /// Errors of damaged chunks.
    Damaged(Vec<String>),
}

/// The metadata of a file.
#[derive(Default)]
pub(crate) struct ShownMetadata {
    pub(crate) model: Excerpt,
    pub(crate) version: Excerpt,
    pub(crate) date: Excerpt,
    pub(crate) prompt: Excerpt,
    pub(crate) tags: Vec<String>,
    /// Names and values as text.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) hardware: Vec<(String, String)>,
    /// Names, with values as JSON.
    pub(crate) extra: Vec<(String, String)>,
    /// The stored text, if it does not conform to the format, with the reason.
    pub(crate) raw: Option<(String, Excerpt)>,
}

/// The stored environment.
pub(crate) struct ShownEnvironment {
    /// `None` if the file has no environment.
    pub(crate) components: Option<Vec<Component>>,
    /// Differences from this machine's environment; `None` if not compared.
    pub(crate) drift: Option<SortedDrift>,
}

/// The stored image.
pub(crate) struct ShownImage {
    /// Recognized by its first bytes.
    pub(crate) media_type: Option<&'static str>,
    pub(crate) size: u64,
    /// The embedded pictures, or the reason why there are none.
    pub(crate) embedded: Result<ImagePictures, String>,
}

/// The pictures of a stored image in the page.
#[derive(Default)]
pub(crate) struct ImagePictures {
    /// Size of the stored image in pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// The picture on a card.
    pub(crate) thumbnail: Option<Picture>,
    /// `None` if there is not enough room.
    pub(crate) picture: Option<Picture>,
    pub(crate) is_scaled: bool,
}

pub(crate) struct ShownLatent {
    pub(crate) name: String,
    pub(crate) dtype: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) payload_size: u64,
    pub(crate) stored_size: u64,
    /// `raw`, `zstd`, `zstd, shuffled`.
    pub(crate) storage: &'static str,
    pub(crate) parts: usize,
    /// The statistics and pictures, or the reason why they are not shown.
    pub(crate) values: Result<ShownValues, String>,
}

/// The statistics and pictures of a latent.
pub(crate) struct ShownValues {
    pub(crate) statistics: Statistics,
    pub(crate) histogram: Option<Histogram>,
    pub(crate) frames: ShownFrames,
    /// The key to the colours of the pictures.
    pub(crate) key: ColorKey,
    /// Notes on how the pictures were made, and on omissions.
    pub(crate) notes: Vec<String>,
}

/// The pictures of a latent.
pub(crate) enum ShownFrames {
    /// Images of a batch, next to each other.
    Items(Vec<ShownFrame>),
    /// Steps of a trajectory, in sequence.
    Steps(Vec<ShownFrame>),
}

/// One latent image: an item of a batch, or a step of a trajectory.
pub(crate) struct ShownFrame {
    /// Its position among all frames, not only those shown.
    pub(crate) at: usize,
    /// `image 3`, `step 12`; empty if there is only this frame.
    pub(crate) label: String,
    /// Statistics of its values; `None` if it is scaled down.
    pub(crate) statistics: Option<Statistics>,
    /// The preview in colours.
    pub(crate) preview: Option<Picture>,
    /// The pictures of channels, each with the range of its colours.
    pub(crate) channels: Vec<(String, Picture)>,
}

/// An encoded picture.
pub(crate) struct Picture {
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
    pub(crate) width: u32,
    pub(crate) height: u32,
}

impl Picture {
    /// The picture as a data URI, which needs no network.
    pub(super) fn uri(&self) -> String {
        let mut uri = format!("data:{};base64,", self.media_type);
        BASE64.encode_append(&self.bytes, &mut uri);
        uri
    }

    fn size_in_page(&self) -> usize {
        BASE64.encode_len(self.bytes.len())
    }
}

/// Bytes of a text that are always shown, even if the room is used up.
const LEAST_SHOWN: usize = 2000;

/// Bytes that a file may still use in the page, in addition to its fixed parts.
pub(crate) struct PageRoom {
    left: usize,
}

impl PageRoom {
    pub(crate) fn new(left: usize) -> Self {
        Self { left }
    }

    /// Returns the picture if there is room for it.
    pub(super) fn take(&mut self, picture: Picture) -> Option<Picture> {
        self.take_bytes(picture.size_in_page()).then_some(picture)
    }

    /// Returns the picture if it takes at most one of `parts` equal parts of the remaining room.
    pub(super) fn take_part(&mut self, picture: Picture, parts: usize) -> Option<Picture> {
        if picture.size_in_page() > self.left / parts.max(1) { None } else { self.take(picture) }
    }

    /// An excerpt of a text that is always shown. With many files, each has less room.
    pub(super) fn excerpt(&mut self, text: &str) -> Excerpt {
        let excerpt = Excerpt::within(text, (self.left / 4).max(LEAST_SHOWN));
        self.left = self.left.saturating_sub(excerpt.beginning().len());
        excerpt
    }

    /// Takes this number of bytes if there is room; returns whether there was.
    pub(super) fn take_bytes(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}
