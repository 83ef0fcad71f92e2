//! `.latent` files of ComfyUI: a safetensors file with one latent, a marker, and the graph as
//! texts.

use std::path::Path;

/// The name of the latent.
pub const TENSOR: &str = "latent_tensor";

/// An empty tensor that marks the values as unscaled. Its content has no meaning.
pub const MARKER: &str = "latent_format_version_0";

/// The graph, stored as text as in ComfyUI's images.
pub const PROMPT: &str = "prompt";

/// The graph as drawn by the editor.
pub const WORKFLOW: &str = "workflow";

/// The factor that ComfyUI applies to values without the marker: they were saved in the scale of
/// Stable Diffusion 1.
#[expect(clippy::cast_possible_truncation, reason = "it multiplies float32")]
pub const UNSCALE: f32 = (1.0_f64 / 0.18215) as f32;

/// Whether tensors with these names form a `.latent` file. Without the marker, only the extension
/// identifies it, if it has a name.
pub(super) fn is_latent(names: &[&str], path: Option<&Path>) -> bool {
    let can_be =
        |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("latent"));
    names.contains(&TENSOR) && (names.contains(&MARKER) || path.is_none_or(can_be))
}
