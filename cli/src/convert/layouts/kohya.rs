//! Latent caches of kohya's sd-scripts: a `.npz` file with latents, the size of the source image,
//! and its crop.
//!
//! Caches of several resolutions repeat each array for each resolution and append the latents' size
//! to the name: `latents_64x96`.

use std::collections::HashSet;

use super::is_size;

/// The latents: channels, height, width.
pub const LATENTS: &str = "latents";

/// The image's width and height in pixels.
pub const ORIGINAL_SIZE: &str = "original_size";

/// Left, top, right and bottom edges of the crop.
pub const CROP: &str = "crop_ltrb";

/// Image pixels per latent value along an axis, in Stable Diffusion and similar models.
pub const PIXELS: usize = 8;

/// The suffix after `latents` in a name: empty or `_HxW`.
fn suffix(name: &str) -> Option<&str> {
    let suffix = name.strip_prefix(LATENTS)?;
    (suffix.is_empty() || suffix.strip_prefix('_').is_some_and(|size| is_size(size, 2))).then_some(suffix)
}

/// Whether arrays with these names form a cache: latents with the image's size or crop.
pub(super) fn is_cache(names: &[&str]) -> bool {
    let latents: HashSet<&str> = names.iter().filter_map(|name| suffix(name)).collect();
    let mut sizes = names.iter().filter_map(|name| {
        let size = name.strip_prefix(ORIGINAL_SIZE);
        size.or_else(|| name.strip_prefix(CROP))
    });
    sizes.any(|suffix| latents.contains(suffix))
}

/// Whether the name is that of one resolution's latents.
pub(super) fn is_latent(name: &str) -> bool {
    suffix(name).is_some()
}

/// Whether latents in a cache with this name and number of channels are in the decoder's scale.
/// This is true for Stable Diffusion (`_sd`, `_sdxl`, `_sd3`), which scales them in training. Those
/// of FLUX.1 and others (`_flux`, `_lumina`) are scaled before.
pub(super) fn is_unscaled(stem: &str, channels: usize) -> bool {
    channels == 4 || stem.ends_with("_sd3")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_known_by_their_names() {
        for names in [
            &["latents", "original_size", "crop_ltrb"][..],
            &["crop_ltrb", "latents", "alpha_mask"],
            &["latents_64x96", "original_size_64x96"],
            &["latents", "latents_64x96", "original_size_64x96", "x"],
        ] {
            assert!(is_cache(names), "{names:?}");
        }
        for names in [
            &[][..],
            &["latents"],
            &["original_size", "crop_ltrb"],
            &["latents_64x96", "original_size"],
            &["latents_flipped", "original_size_flipped"],
            &["latents_64x", "original_size_64x"],
        ] {
            assert!(!is_cache(names), "{names:?}");
        }
    }
    #[test]
    fn latents_of_stable_diffusion_are_unscaled() {
        for (stem, channels) in [("cat", 4), ("cat_0064x0032_sdxl", 4), ("cat_0064x0032_sd3", 16)] {
            assert!(is_unscaled(stem, channels), "{stem}");
        }
        for stem in ["cat_0064x0032_flux", "cat_0064x0032_lumina", "cat"] {
            assert!(!is_unscaled(stem, 16), "{stem}");
        }
    }
}
