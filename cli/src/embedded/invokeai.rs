//! The three formats of InvokeAI, past and present: `invokeai_metadata`, `sd-metadata`, and
//! `Dream`, a command line.

use gen5::metadata::Extra;

use super::{Generation, MAX_SETTINGS, json};

/// Reads an object in one of the two formats that are objects.
pub(super) fn read(members: &Extra) -> Option<Generation> {
    metadata(members).or_else(|| sd_metadata(members))
}

const GENERATOR: &str = "InvokeAI";

/// `invokeai_metadata`, written since version 3: a flat object.
fn metadata(members: &Extra) -> Option<Generation> {
    members.get("positive_prompt").or_else(|| members.get("app_version"))?;
    let mut generation = Generation::new(GENERATOR);
    for (name, value) in members.iter() {
        match name {
            "positive_prompt" => generation.take("prompt", value),
            // Its schedulers are called samplers elsewhere: `euler_a`, `dpmpp_2m_k`.
            "scheduler" => generation.take("sampler", value),
            "guidance" => generation.take("flux_guidance", value),
            "model" => model(&mut generation, value),
            "loras" => loras(&mut generation, value),
            // Nodes, references to files and similar data remain only in the text.
            _ if value.starts_with(['{', '[']) => {}
            _ => generation.take(name, value),
        }
    }
    generation.says_something().then_some(generation)
}

/// A model: a name, or an object whose name had several member names over time.
fn model(generation: &mut Generation, value: &str) {
    match json::object(value) {
        None => generation.take("model", value),
        Some(model) => {
            if let Some(name) = name_of_model(&model) {
                generation.take_text("model", &name);
            }
            if let Some(hash) = model.get("hash") {
                generation.take("model_hash", hash);
            }
        }
    }
}

fn name_of_model(model: &Extra) -> Option<String> {
    model.get("name").or_else(|| model.get("model_name")).and_then(json::text)
}

fn loras(generation: &mut Generation, value: &str) {
    let list: Vec<Extra> = serde_json::from_str(value).unwrap_or_default();
    for lora in list.iter().take(MAX_SETTINGS) {
        let model = lora.get("model").or_else(|| lora.get("lora")).and_then(json::object);
        if let Some(name) = model.as_ref().and_then(name_of_model) {
            generation.tag(&name);
        }
    }
}

/// `sd-metadata`, written by version 2: the settings are in the member `image`, the model is next
/// to it.
fn sd_metadata(members: &Extra) -> Option<Generation> {
    let image = members.get("image").and_then(json::object)?;
    let mut generation = Generation::new(GENERATOR);
    for (name, value) in image.iter() {
        match name {
            "prompt" => generation.take_text("prompt", &weighted_prompts(value)?),
            _ if value.starts_with(['{', '[']) => {}
            _ => generation.take(name, value),
        }
    }
    let model = members.get("model_weights").or_else(|| members.get("model"));
    if let Some(model) = model {
        generation.take("model", model);
    }
    for name in ["model_hash", "app_version"] {
        if let Some(value) = members.get(name) {
            generation.take(name, value);
        }
    }
    (generation.prompt.is_some() && generation.says_something()).then_some(generation)
}

/// A prompt, or a list of prompts with weights.
fn weighted_prompts(value: &str) -> Option<String> {
    if let Some(prompt) = json::text(value) {
        return Some(prompt);
    }
    let list: Vec<Extra> = serde_json::from_str(value).ok()?;
    let prompts: Option<Vec<String>> =
        list.iter().map(|prompt| prompt.get("prompt").and_then(json::text)).collect();
    Some(prompts?.join(" "))
}

/// The supported switches of a `Dream` command line.
const SWITCHES: [(&str, &str); 14] = [
    ("-s", "steps"),
    ("--steps", "steps"),
    ("-S", "seed"),
    ("--seed", "seed"),
    ("-W", "width"),
    ("--width", "width"),
    ("-H", "height"),
    ("--height", "height"),
    ("-C", "cfg_scale"),
    ("--cfg_scale", "cfg_scale"),
    ("-A", "sampler"),
    ("--sampler", "sampler"),
    ("-f", "strength"),
    ("--strength", "strength"),
];

/// `Dream`, written by the first versions: a quoted prompt, and switches with or without a space
/// before the value.
pub(super) fn dream(text: &str) -> Option<Generation> {
    let text = text.trim();
    if !text.starts_with('"') {
        return None;
    }
    let (quoted, switches) = text.split_at(json::string_length(text));
    let prompt = quoted.strip_prefix('"')?.strip_suffix('"')?.replace("\\\"", "\"");
    let mut generation = Generation::new(GENERATOR);
    generation.take_text("prompt", &prompt);
    let mut words = switches.split_whitespace();
    while let Some(word) = words.next() {
        let (switch, joined) = match word.split_once('=') {
            Some((switch, value)) if word.starts_with("--") => (switch, Some(value)),
            _ => match word.split_at_checked(2) {
                Some((switch, value)) if !word.starts_with("--") && !value.is_empty() => {
                    (switch, Some(value))
                }
                _ => (word, None),
            },
        };
        let Some((_, name)) = SWITCHES.iter().find(|(known, _)| *known == switch) else { continue };
        let Some(value) = joined.or_else(|| words.next()) else { break };
        if json::is_number(value) {
            generation.take(name, value);
        } else {
            generation.take_text(name, value);
        }
    }
    (generation.steps.is_some() || generation.seed.is_some()).then_some(generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_stand_with_a_space_or_without() {
        for text in [
            r#""a \"blue\" cat" -s 50 -S 7 -C 7.5 -A k_lms -G 0.8"#,
            r#""a \"blue\" cat" -s50 -S7 -C7.5 -Ak_lms"#,
            r#""a \"blue\" cat" --steps=50 --seed 7 --cfg_scale=7.5 --sampler k_lms --hires_fix"#,
        ] {
            let found = dream(text).unwrap();
            assert_eq!(found.prompt.as_deref(), Some("a \"blue\" cat"));
            assert_eq!((found.steps, found.seed, found.cfg_scale), (Some(50), Some(7), Some(7.5)));
            assert_eq!(found.sampler.as_deref(), Some("k_lms"));
        }
        for text in ["", "\"", "\"a\"", "\"a\" -s", "\"a -s 5", "a -s 5", "\"a\" -\u{e9}5"] {
            assert!(dream(text).is_none(), "{text}");
        }
    }

    #[test]
    fn other_objects_are_not_understood() {
        for text in
            ["{}", r#"{"app_version": "4"}"#, r#"{"image": {"seed": 1}}"#, r#"{"image": {"prompt": {}}}"#]
        {
            assert!(read(&json::object(text).unwrap()).is_none(), "{text}");
        }
    }
}
