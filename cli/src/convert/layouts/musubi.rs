//! Latent caches of musubi-tuner: safetensors files whose texts name the model's architecture.
//!
//! Tensors are called `CONTENT_FxHxW_DTYPE` (latents: `latents_…`, `latents_control_…`,
//! `latents_image_…`) or `CONTENT_DTYPE`. Image-only models (FLUX.2) omit the frames.

use std::collections::BTreeMap;

use super::is_size;

/// The prefix of latents' names.
const LATENTS: &str = "latents_";

/// Number of axes of a latent with frames: channels, frames, height, width.
pub(super) const VIDEO_AXES: usize = 4;

/// Whether tensors with these names and texts form a latent cache.
pub(super) fn is_cache(names: &[&str], texts: &BTreeMap<String, String>) -> bool {
    let has = |name| texts.contains_key(name);
    has("architecture") && has("format_version") && names.iter().any(|name| name.starts_with(LATENTS))
}

/// Whether a tensor with this name is the cache's own latent, rather than one of its control or
/// source images.
pub(super) fn is_latent(name: &str) -> bool {
    let behind = name.strip_prefix(LATENTS).and_then(|behind| behind.split_once('_'));
    behind.is_some_and(|(size, dtype)| (is_size(size, 3) || is_size(size, 2)) && !dtype.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latent_is_told_from_its_companions() {
        for name in ["latents_1x64x64_bfloat16", "latents_13x60x104_float32", "latents_64x64_bfloat16"] {
            assert!(is_latent(name), "{name}");
        }
        for name in [
            "latents_control_1x64x64_bfloat16",
            "latents_control_0_64x64_bfloat16",
            "latents_1x64x64",
            "clip_bfloat16",
        ] {
            assert!(!is_latent(name), "{name}");
        }
    }

    #[test]
    fn caches_are_known_by_their_texts() {
        let texts = ["architecture", "width", "height", "format_version"]
            .map(|name| (name.to_owned(), String::new()))
            .into_iter()
            .collect();
        assert!(is_cache(&["latents_1x64x64_bfloat16"], &texts));
        assert!(!is_cache(&["llm_bfloat16", "llm_mask"], &texts));
        assert!(!is_cache(&["latents_1x64x64_bfloat16"], &BTreeMap::new()));
    }
}
