//! The format of SwarmUI: a JSON object with the parameters in
//! `{"sui_image_params": {"prompt": …, "negativeprompt": …, "cfgscale": 7.0, "loras": ["ink"]}}`.

use gen5::metadata::Extra;

use super::{Generation, MAX_SETTINGS, json};

/// Reads an object of this format. Numbers may be spelled as text, and lists with commas.
pub(super) fn read(members: &Extra) -> Option<Generation> {
    let parameters = members.get("sui_image_params").and_then(json::object)?;
    let mut generation = Generation::new("SwarmUI");
    for (name, value) in parameters.iter() {
        match name {
            "negativeprompt" => generation.take("negative_prompt", value),
            "cfgscale" => generation.take("cfg_scale", value),
            "fluxguidancescale" => generation.take("flux_guidance", value),
            "comfyuisampler" => generation.take("sampler", value),
            "comfyuischeduler" => generation.take("scheduler", value),
            "model" if json::text(value).is_none_or(|model| model == "(None)") => {}
            "loras" => loras(&mut generation, value),
            _ if value.starts_with('{') => {}
            _ => generation.take(name, value),
        }
    }
    if let Some(models) = members.get("sui_models") {
        model_hash(&mut generation, models);
    }
    generation.says_something().then_some(generation)
}

fn loras(generation: &mut Generation, value: &str) {
    let list = match json::text(value) {
        Some(names) => names.split(',').take(MAX_SETTINGS).map(str::to_owned).collect(),
        None => serde_json::from_str::<Vec<String>>(value).unwrap_or_default(),
    };
    list.iter().take(MAX_SETTINGS).for_each(|lora| generation.tag(lora));
}

/// The hash of the only model with the role `model`.
fn model_hash(generation: &mut Generation, models: &str) {
    let models: Vec<Extra> = serde_json::from_str(models).unwrap_or_default();
    let is_main =
        |model: &&Extra| model.get("param").and_then(json::text).is_some_and(|param| param == "model");
    let mut models = models.iter().filter(is_main);
    if let (Some(model), None) = (models.next(), models.next())
        && let Some(hash) = model.get("hash")
    {
        generation.take("model_hash", hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Generation> {
        read(&json::object(text)?)
    }

    #[test]
    fn lists_are_arrays_or_have_commas() {
        for loras in [r#"["styles/ink", "old map"]"#, r#""styles/ink,old map""#] {
            let text = format!(
                r#"{{"sui_image_params": {{"prompt": "a", "seed": "7", "loras": {loras}, "loraweights": "1"}}}}"#
            );
            let found = parse(&text).unwrap();
            assert_eq!(
                (found.seed, &found.tags[..]),
                (Some(7), &["ink".to_owned(), "old map".to_owned()][..])
            );
        }
    }

    #[test]
    fn the_hash_is_that_of_the_model() {
        let hash = |models: &str| {
            parse(&format!(
                r#"{{"sui_image_params": {{"seed": 1, "model": "(None)"}}, "sui_models": {models}}}"#
            ))
            .map(|found| (found.model_name, found.model_hash))
        };
        let lora = r#"{"param": "loras", "hash": "0x1"}"#;
        let model = r#"{"param": "model", "hash": "0x2"}"#;
        assert_eq!(hash(&format!("[{lora}, {model}]")), Some((None, Some("0x2".into()))));
        assert_eq!(hash(&format!("[{model}, {model}]")), Some((None, None)));
        assert_eq!(hash("{}"), Some((None, None)));
        for text in ["{}", r#"{"sui_image_params": 1}"#, r#"{"sui_image_params": {"model": "a"}}"#] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
