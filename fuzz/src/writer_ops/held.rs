//! The expected contents of a written file.

use gen5::{Dtype, Environment, Metadata, Reader};

/// A PNG of one pixel.
pub(super) const IMAGE: &[u8] = include_bytes!("../../../tests/data/pixel.png");

/// An expected latent.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) key: String,
    pub(super) shape: Vec<usize>,
    pub(super) dtype: Dtype,
    pub(super) bytes: Vec<u8>,
}

/// The expected contents.
#[derive(Debug, Default)]
pub(super) struct All {
    pub(super) latents: Vec<Held>,
    pub(super) image: bool,
    pub(super) environment: Option<Environment>,
}

impl All {
    /// Checks that a file has these contents.
    pub(super) fn is_in(&self, reader: &Reader) {
        reader.verify().expect("what was written is sound");
        assert_eq!(reader.latents().len(), self.latents.len());
        for held in &self.latents {
            let latent = reader.latent(&held.key).expect("it was written");
            assert_eq!((latent.shape(), latent.dtype()), (&*held.shape, held.dtype));
            let mut bytes = Vec::new();
            latent.write_to(&mut bytes).expect("what was written can be read");
            assert_eq!(bytes, held.bytes, "{held:?}");
        }
        assert_eq!(reader.image().expect("it is sound").as_deref(), self.image.then_some(IMAGE));
        assert_eq!(reader.environment().expect("it is sound"), self.environment);
        assert_eq!(reader.metadata().ok(), Some(metadata()));
    }
}

/// The metadata of every file.
pub(super) fn metadata() -> Metadata {
    Metadata::builder("m", "1").date("2026-11-22T00:00:00+00:00").prompt("p").build().expect("it is valid")
}
