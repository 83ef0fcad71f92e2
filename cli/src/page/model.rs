//! The page's content before it becomes HTML. Texts are stored as the files have them; the template
//! escapes them.

use std::path::PathBuf;

use data_encoding::BASE64;
use gen5::Component;

use super::text::Excerpt;
use crate::output::environment::Comparison;
use crate::picture::{Histogram, Key, Statistics};

/// A page.
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) files: Vec<File>,
    /// Whether hashes were to be checked.
    pub(crate) is_verified: bool,
}

/// A file, or why there is none.
pub(crate) struct File {
    /// As given.
    pub(crate) path: PathBuf,
    pub(crate) content: Result<Content, String>,
}

/// What is in a file.
pub(crate) struct Content {
    pub(crate) version: (u8, u8),
    pub(crate) size: u64,
    pub(crate) chunks: usize,
    pub(crate) fingerprint: gen5::Result<String>,
    pub(crate) integrity: Integrity,
    pub(crate) metadata: Metadata,
    pub(crate) image: Option<Image>,
    pub(crate) latents: Vec<Latent>,
    pub(crate) environment: Environment,
    /// What is wrong, or was left out.
    pub(crate) problems: Vec<String>,
}

/// What is known of the hashes.
pub(crate) enum Integrity {
    /// They were not looked at.
    Unchecked,
    /// Every payload is what was stored.
    Verified,
    /// What is wrong with some chunks.
    Damaged(Vec<String>),
}

/// What a file says of how its image was made.
#[derive(Default)]
pub(crate) struct Metadata {
    pub(crate) model: Excerpt,
    pub(crate) version: Excerpt,
    pub(crate) date: Excerpt,
    pub(crate) prompt: Excerpt,
    pub(crate) tags: Vec<String>,
    /// Names and values, as text.
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) hardware: Vec<(String, String)>,
    /// Names, and values as JSON.
    pub(crate) extra: Vec<(String, String)>,
    /// The whole as it is stored, if it is not what the format asks for, and why.
    pub(crate) raw: Option<(String, Excerpt)>,
}

/// The environment that is stored.
pub(crate) struct Environment {
    /// `None` if there is none.
    pub(crate) components: Option<Vec<Component>>,
    /// How it differs from this machine's; `None` if it was not compared.
    pub(crate) drift: Option<Comparison>,
}

/// The image that is stored.
pub(crate) struct Image {
    /// As its first bytes tell.
    pub(crate) media_type: Option<&'static str>,
    pub(crate) size: u64,
    /// What is shown of it, or why nothing is.
    pub(crate) embedded: Result<Embedded, String>,
}

/// What is shown of an image.
#[derive(Default)]
pub(crate) struct Embedded {
    /// Pixels of the image as it is stored.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// For a card.
    pub(crate) thumbnail: Option<Picture>,
    /// `None` if there is no room.
    pub(crate) picture: Option<Picture>,
    pub(crate) is_scaled: bool,
}

/// A latent.
pub(crate) struct Latent {
    pub(crate) name: String,
    pub(crate) dtype: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) payload_size: u64,
    pub(crate) stored_size: u64,
    /// `raw`, `zstd`, `zstd, shuffled`.
    pub(crate) storage: &'static str,
    pub(crate) parts: usize,
    /// What its values are like, or why it is not shown.
    pub(crate) values: Result<Values, String>,
}

/// What the values of a latent are like.
pub(crate) struct Values {
    pub(crate) statistics: Statistics,
    pub(crate) histogram: Option<Histogram>,
    pub(crate) frames: Frames,
    /// The colours of the pictures.
    pub(crate) key: Key,
    /// How the pictures were made of them, and what is not shown.
    pub(crate) notes: Vec<String>,
}

/// The pictures of a latent.
pub(crate) enum Frames {
    /// Of a batch, side by side.
    Items(Vec<Frame>),
    /// Of a trajectory, one after the other.
    Steps(Vec<Frame>),
}

/// One latent image: an item of a batch, or a step of a trajectory.
pub(crate) struct Frame {
    /// Its position among all, of which some may be shown.
    pub(crate) at: usize,
    /// `image 3`, `step 12`; nothing if there is only this.
    pub(crate) label: String,
    /// Of its own values; `None` if it is shown smaller than it is.
    pub(crate) statistics: Option<Statistics>,
    /// In colours.
    pub(crate) preview: Option<Picture>,
    /// Channel by channel, and where its colours end.
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
    /// The picture as an address that needs no network.
    pub(super) fn uri(&self) -> String {
        let mut uri = format!("data:{};base64,", self.media_type);
        BASE64.encode_append(&self.bytes, &mut uri);
        uri
    }

    fn size_in_page(&self) -> usize {
        BASE64.encode_len(self.bytes.len())
    }
}

/// Bytes of a text that are shown however little room there is.
const LEAST_SHOWN: usize = 2000;

/// The bytes that a file may still take in the page, besides what is always there.
pub(crate) struct Room {
    left: usize,
}

impl Room {
    pub(crate) fn new(left: usize) -> Self {
        Self { left }
    }

    /// The picture, if there is room for it.
    pub(super) fn take(&mut self, picture: Picture) -> Option<Picture> {
        self.take_bytes(picture.size_in_page()).then_some(picture)
    }

    /// The picture, if it takes no more than one of so many parts of the room that is left.
    pub(super) fn take_part(&mut self, picture: Picture, parts: usize) -> Option<Picture> {
        if picture.size_in_page() > self.left / parts.max(1) { None } else { self.take(picture) }
    }

    /// A text that is always shown, of which many files have less room each.
    pub(super) fn excerpt(&mut self, text: &str) -> Excerpt {
        let excerpt = Excerpt::within(text, (self.left / 4).max(LEAST_SHOWN));
        self.left = self.left.saturating_sub(excerpt.beginning().len());
        excerpt
    }

    /// Whether there was room for so many bytes, which is taken then.
    pub(super) fn take_bytes(&mut self, bytes: usize) -> bool {
        let left = self.left.checked_sub(bytes);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}
