//! Array layouts of programs in the ecosystem, recognized by content.
//!
//! A layout identifies the latents among a file's arrays, and its other data: texts, and small
//! arrays of types that latents cannot have. `model_info` keeps all of this as a [`SourceFile`], so
//! that the file can be restored.

pub mod comfyui;
pub mod kohya;
pub mod musubi;
mod source_file;

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use source_file::{MAX_KEPT, SourceArray, SourceFile, SourceOutline, for_each};

/// The layout of a file's arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileLayout {
    /// A `.latent` file of ComfyUI.
    Comfyui,
    /// A latent cache of kohya's sd-scripts.
    Kohya,
    /// A latent cache of musubi-tuner.
    Musubi,
    /// One numpy array.
    Npy,
    /// Several numpy arrays.
    Npz,
    /// Tensors.
    Safetensors,
}

impl FileLayout {
    /// The layout of a `.npz` file with these array names.
    pub(super) fn of_npz(names: &[&str]) -> Self {
        if kohya::is_cache(names) { Self::Kohya } else { Self::Npz }
    }

    /// The layout of a `.safetensors` or `.latent` file with these tensor names; it may have no
    /// path.
    pub(super) fn of_safetensors(
        names: &[&str],
        metadata: &BTreeMap<String, String>,
        path: Option<&Path>,
    ) -> Self {
        if comfyui::is_latent(names, path) {
            Self::Comfyui
        } else if musubi::is_cache(names, metadata) {
            Self::Musubi
        } else {
            Self::Safetensors
        }
    }

    /// Whether the layout defines the meaning of its arrays.
    pub(super) fn is_known(self) -> bool {
        matches!(self, Self::Comfyui | Self::Kohya | Self::Musubi)
    }

    /// The extension of its files.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Comfyui => "latent",
            Self::Npy => "npy",
            Self::Kohya | Self::Npz => "npz",
            Self::Musubi | Self::Safetensors => "safetensors",
        }
    }

    /// Its name for display.
    pub fn name(self) -> &'static str {
        match self {
            Self::Comfyui => "ComfyUI",
            Self::Kohya => "kohya sd-scripts",
            Self::Musubi => "musubi-tuner",
            Self::Npy => ".npy",
            Self::Npz => ".npz",
            Self::Safetensors => ".safetensors",
        }
    }

    /// Whether an array with this name is the file's latent, rather than its companion (a mask, the
    /// flipped latent).
    fn is_latent(self, name: &str) -> bool {
        match self {
            Self::Comfyui => name == comfyui::TENSOR,
            Self::Kohya => kohya::is_latent(name),
            Self::Musubi => musubi::is_latent(name),
            Self::Npy | Self::Npz | Self::Safetensors => true,
        }
    }

    /// The position of the only latent among arrays of these names; `None` if there are several or
    /// none.
    pub fn only_latent<'n>(self, names: impl Iterator<Item = &'n str>) -> Option<usize> {
        let mut latents = names.enumerate().filter(|(_, name)| self.is_latent(name));
        let (position, _) = latents.next()?;
        latents.next().is_none().then_some(position)
    }
}

/// Whether the text has the form `NxN…`, with this number of integers.
fn is_size(text: &str, numbers: usize) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.split('x').count() == numbers && text.split('x').all(number)
}
