//! The pairs of stable-diffusion.cpp, which are those of AUTOMATIC1111 with
//! `Guidance: 3.500000, Model: , Unet: flux1-dev.gguf, Version: stable-diffusion.cpp, SDCPP: {…}`.

use super::pairs::SpelledValue;
use super::{Generation, MAX_SETTINGS, json};
use gen5::metadata::Extra;

pub(super) const GENERATOR: &str = "stable-diffusion.cpp";

/// Whether stable-diffusion.cpp wrote these pairs.
pub(super) fn wrote(pairs: &[(&str, SpelledValue<'_>)]) -> bool {
    let is_own = |value: &SpelledValue<'_>| matches!(value, SpelledValue::Plain(version) if version.starts_with(GENERATOR));
    pairs.iter().any(|(name, value)| *name == "Version" && is_own(value))
}

/// The name of a setting: `guidance` is that of distilled models.
pub(super) fn setting(name: String) -> String {
    if name == "guidance" { "flux_guidance".to_owned() } else { name }
}

/// Fills in the model from the pairs for files of its parts, and both model and LoRAs from the JSON
/// at the end.
pub(super) fn complete(generation: &mut Generation, pairs: &[(&str, SpelledValue<'_>)]) {
    for name in ["unet", "diffusion_model"] {
        if let Some(file) = generation.more.get(name).and_then(json::text) {
            generation.take_text("model", &file);
        }
    }
    let object = pairs.iter().find_map(|(name, value)| match value {
        SpelledValue::Json(object) if *name == "SDCPP" => json::object(object),
        _ => None,
    });
    let Some(object) = object else { return };
    let models = object.get("models").and_then(json::object).unwrap_or_default();
    for name in ["model", "diffusion_model"] {
        if let Some(file) = models.get(name) {
            generation.take("model", file);
        }
    }
    let loras: Vec<Extra> =
        object.get("loras").and_then(|loras| serde_json::from_str(loras).ok()).unwrap_or_default();
    for lora in loras.iter().take(MAX_SETTINGS) {
        if let Some(name) = lora.get("name").and_then(json::text) {
            generation.tag(&name);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::embedded::a1111;

    #[test]
    fn the_model_is_wherever_the_program_names_it() {
        for (model, rest) in [
            (Some("a"), "Model: d/a.gguf, Unet: b.gguf"),
            (Some("b"), "Model: , Unet: b.gguf"),
            (Some("b"), "Model: , Diffusion model: b.gguf"),
            (Some("c"), r#"Model: , SDCPP: {"models":{"model":"","diffusion_model":"c.gguf"}}"#),
            (None, r#"Model: , SDCPP: {"models":[]}"#),
        ] {
            let text = format!(
                "a\nSteps: 4, Guidance: 3.500000, Eta: 0.000000, Seed: 2, Sampler: euler, Version: stable-diffusion.cpp, {rest}"
            );
            let found = a1111::parse(&text).unwrap();
            assert_eq!(found.model_name.as_deref(), model, "{rest}");
            assert_eq!(
                (found.more.get("flux_guidance"), found.more.get("eta")),
                (Some("3.500000"), Some("0.000000"))
            );
            assert_eq!(found.generator, "stable-diffusion.cpp");
        }
        let found =
            a1111::parse("a\nSteps: 4, Seed: 2, Sampler: euler, Guidance: 3, Unet: Automatic").unwrap();
        assert_eq!((found.model_name, found.more.get("guidance_number")), (None, Some("3")));
    }
}
