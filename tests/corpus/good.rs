//! The sound file that most cases start from; each case changes one thing in it.

use serde_json::Value;

use crate::support::{Builder, Chunk, FrameStyle, frame};

pub(crate) const VALUES: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

/// A file of two latents: `a`, raw, at 32, and `b`, compressed, at 68.
pub(crate) fn good<'a>() -> Builder<'a> {
    Builder::new([raw("a"), raw("b").compressed()])
}

pub(crate) fn raw(key: &str) -> Chunk<'_> {
    Chunk::latent(key, &[2, 3], &VALUES)
}

/// The good file with the record of `a` changed.
pub(crate) fn with_record<'a>(edit: impl FnOnce(&mut Value) + 'a) -> Vec<u8> {
    Builder::new([raw("a").record(edit), raw("b").compressed()]).build()
}

/// The good file with the manifest's text changed.
pub(crate) fn with_text<'a>(change: impl FnOnce(&mut Vec<u8>) + 'a) -> Vec<u8> {
    good().text(change).build()
}

/// A valid frame of these bytes.
pub(crate) fn stored(content: &[u8]) -> Vec<u8> {
    frame(content, FrameStyle::default())
}

/// Closed brackets that nest deeper than any stack allows.
pub(crate) fn deep() -> String {
    ["[".repeat(100_000), "]".repeat(100_000)].concat()
}
