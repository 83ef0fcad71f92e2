//! The format of Fooocus: a JSON object. Its other scheme uses the format of AUTOMATIC1111, and
//! `a1111` reads it.

use gen5::metadata::Extra;

use super::generation::snake_case;
use super::{Generation, MAX_SETTINGS, json};

/// Reads an object of this format. Older versions use labels as names (`Base Model`), newer ones snake
/// case.
pub(super) fn read(members: &Extra) -> Option<Generation> {
    let named = |name: &str| {
        members.iter().find(|(known, _)| snake_case(known) == name).and_then(|(_, value)| json::text(value))
    };
    let is_own = named("metadata_scheme").is_some_and(|scheme| scheme == "fooocus")
        || named("version").is_some_and(|version| version.starts_with("Fooocus"))
        || (named("base_model").is_some() && named("performance").is_some());
    if !is_own {
        return None;
    }
    let mut generation = Generation::new("Fooocus");
    for (name, value) in members.iter() {
        let name = snake_case(name);
        match name.as_str() {
            "guidance_scale" => generation.take("cfg_scale", value),
            "base_model" => generation.take("model", value),
            "base_model_hash" => generation.take("model_hash", value),
            "loras" => loras(&mut generation, value),
            // The prompt with its styles applied, sentence by sentence.
            "full_prompt" | "full_negative_prompt" => {}
            _ => {
                if name.starts_with("lora_") {
                    lora(&mut generation, value);
                }
                generation.take(&name, value);
            }
        }
    }
    generation.says_something().then_some(generation)
}

/// A list of lists: name, weight, hash.
fn loras(generation: &mut Generation, value: &str) {
    let list: Vec<Vec<serde_json::Value>> = serde_json::from_str(value).unwrap_or_default();
    for lora in list.iter().take(MAX_SETTINGS) {
        if let Some(name) = lora.first().and_then(serde_json::Value::as_str) {
            generation.tag(name);
        }
    }
}

/// `NAME : WEIGHT`.
fn lora(generation: &mut Generation, value: &str) {
    let text = json::text(value).unwrap_or_default();
    if let Some((name, _weight)) = text.split_once(" : ") {
        generation.tag(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Generation> {
        read(&json::object(text)?)
    }

    #[test]
    fn labels_are_names() {
        let new = r#"{"prompt": "a", "guidance_scale": 4.0, "base_model": "sea.safetensors", "seed": "7",
                      "lora_combined_1": "storm.safetensors : 0.5", "version": "Fooocus v2.5.5"}"#;
        let old = r#"{"Prompt": "a", "Guidance Scale": 4.0, "Base Model": "sea.safetensors", "Seed": 7,
                      "LoRA 1": "storm.safetensors : 0.5", "Version": "Fooocus v2.1.0"}"#;
        for text in [new, old] {
            let found = parse(text).unwrap();
            assert_eq!((found.cfg_scale, found.seed), (Some(4.0), Some(7)));
            assert_eq!(
                (found.model_name.as_deref(), &found.tags[..]),
                (Some("sea"), &["storm".to_owned()][..])
            );
        }
        assert!(parse(r#"{"prompt": "a", "seed": 7}"#).is_none());
    }
}
