//! `.latent` files of ComfyUI: a safetensors file with one latent, a marker, and the graph as
//! texts.

use std::path::Path;

/// The latent.
pub const TENSOR: &str = "latent_tensor";

/// An empty tensor that says that the values are not scaled. Its content means nothing.
pub const MARKER: &str = "latent_format_version_0";

/// The graph, which ComfyUI puts beside the tensors as text, as it does in images.
pub const PROMPT: &str = "prompt";

/// The graph as the editor draws it.
pub const WORKFLOW: &str = "workflow";

/// What ComfyUI multiplies values without the marker by: those were saved as Stable Diffusion 1 scales them.
#[expect(clippy::cast_possible_truncation, reason = "it multiplies float32")]
pub const UNSCALE: f32 = (1.0_f64 / 0.18215) as f32;

/// Whether tensors of these names are a `.latent` file. Without the marker only the extension tells it from others, if it
/// has a name.
pub(super) fn is_latent(names: &[&str], path: Option<&Path>) -> bool {
    let can_be =
        |path: &Path| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("latent"));
    names.contains(&TENSOR) && (names.contains(&MARKER) || path.is_none_or(can_be))
}
