//! LoRAs in text of AUTOMATIC1111's format, in the spellings of several programs:
//! `<lora:NAME:WEIGHT>` in the prompt; `Lora hashes: "NAME: HASH"`, `Hashes: {"lora:NAME": "HASH"}`,
//! `Lora_0 Model name: FILE`, `AddNet Model 1: NAME(HASH)` and `LoRA networks: "NAME, NAME"` in the
//! pairs.

use super::pairs::SpelledValue;
use super::{Generation, MAX_SETTINGS, json};
use crate::embedded::generation::snake_case;

/// Adds the LoRAs named in the prompt. LyCORIS networks are LoRAs with other kinds of layers.
pub(super) fn take_of_prompt(generation: &mut Generation) {
    let prompt = generation.prompt.take();
    let tags = prompt.as_deref().unwrap_or_default().split('<').skip(1);
    let tags = tags.filter_map(|tag| tag.strip_prefix("lora:").or_else(|| tag.strip_prefix("lyco:")));
    for tag in tags.take(MAX_SETTINGS) {
        if let Some((tag, _)) = tag.split_once('>') {
            generation.tag(tag.split(':').next().unwrap_or(tag));
        }
    }
    generation.prompt = prompt;
}

/// Adds the LoRAs named in a pair.
pub(super) fn take_of_pair(generation: &mut Generation, name: &str, value: &SpelledValue<'_>) {
    match (snake_case(name).as_str(), value) {
        ("hashes", SpelledValue::Json(object)) => {
            let hashes = json::object(object).unwrap_or_default();
            let loras = hashes.iter().filter_map(|(name, _)| name.split_once(':'));
            let loras =
                loras.filter(|(kind, _)| ["lora", "lyco"].iter().any(|lora| kind.eq_ignore_ascii_case(lora)));
            loras.take(MAX_SETTINGS).for_each(|(_, lora)| generation.tag(lora));
        }
        // SD.Next writes hashes without names.
        ("lora_hashes", SpelledValue::Quoted(hashes)) => {
            let loras = hashes.split(", ").filter_map(|lora| lora.rsplit_once(':'));
            loras.take(MAX_SETTINGS).for_each(|(lora, _)| generation.tag(lora));
        }
        ("lora_hashes", SpelledValue::Plain(hash)) => {
            generation.tag(hash.rsplit_once(':').map_or("", |(lora, _)| lora));
        }
        ("lora_networks", SpelledValue::Quoted(names)) => {
            names.split(", ").take(MAX_SETTINGS).for_each(|lora| generation.tag(lora));
        }
        ("lora_networks", SpelledValue::Plain(name)) if !name.contains([',', ':']) => generation.tag(name),
        (name, value) if is_numbered(name, "lora_", "_model_name") => match value {
            SpelledValue::Plain(file) => generation.tag(file),
            SpelledValue::Quoted(file) => generation.tag(file),
            SpelledValue::Json(_) => {}
        },
        _ => {}
    }
}

/// Adds the LoRAs of the Additional Networks extension, whose pairs are already settings.
pub(super) fn take_of_additional_networks(generation: &mut Generation) {
    let text = |name: &str| generation.more.get(name).and_then(json::text);
    if text("addnet_enabled").is_some_and(|enabled| enabled != "True") {
        return;
    }
    let mut loras = Vec::new();
    for (name, value) in generation.more.iter() {
        let Some(number) = name.strip_prefix("addnet_model_").filter(|number| is_index(number)) else {
            continue;
        };
        let is_lora = text(&format!("addnet_module_{number}")).is_none_or(|module| module == "LoRA");
        // The weight of the text encoder and that of the U-Net.
        let is_used = ["a", "b"].iter().any(|part| {
            let weight = generation.more.get(&format!("addnet_weight_{part}_{number}"));
            weight.is_none_or(|weight| json::number(weight) != Some(0.0))
        });
        if let Some(model) = json::text(value).filter(|_| is_lora && is_used) {
            loras.push(without_hash(&model).to_owned());
        }
        // Each takes several searches of all settings, and the extension has five slots.
        if loras.len() >= 20 {
            break;
        }
    }
    loras.iter().for_each(|lora| generation.tag(lora));
}

/// The name in `NAME(HASH)`.
fn without_hash(model: &str) -> &str {
    let is_hash = |hash: &str| hash.len() >= 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    match model.strip_suffix(')').and_then(|model| model.rsplit_once('(')) {
        Some((name, hash)) if is_hash(hash) => name,
        _ => model,
    }
}

/// Whether a name consists of these parts with an index between them.
fn is_numbered(name: &str, before: &str, after: &str) -> bool {
    name.strip_prefix(before).and_then(|name| name.strip_suffix(after)).is_some_and(is_index)
}

fn is_index(text: &str) -> bool {
    !text.is_empty() && text.len() <= 3 && text.bytes().all(|digit| digit.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use crate::embedded::a1111;

    /// The names of the LoRAs of a prompt and a pair.
    fn loras(prompt: &str, pairs: &str) -> Vec<String> {
        a1111::parse(&format!("{prompt}\nSteps: 1, Sampler: a, Seed: 2, {pairs}")).unwrap().tags
    }

    #[test]
    fn loras_have_many_spellings() {
        for (prompt, pairs) in [
            ("<lora:a:1> <lyco:b c:0.5:1>", "X: 1"),
            ("<lora:a> and <lyco:styles/b c.safetensors>", "X: 1"),
            ("p", r#"Lora hashes: "a: 12ab, b c: 34cd""#),
            ("p", r#"Hashes: {"model": "x", "LORA:a": "1", "lyco:b c": "2", "vae": "y"}"#),
            (
                "p",
                "Lora_0 Model name: a.safetensors, Lora_0 Model hash: 12, Lora_1 Model name: d/b c.safetensors",
            ),
            (
                "p",
                "AddNet Enabled: True, AddNet Module 1: LoRA, AddNet Model 1: a(00112233aabb), AddNet Weight A 1: 1, AddNet Module 2: LoRA, AddNet Model 2: b c(00112233)",
            ),
            ("p", r#"LoRA networks: "a, b c""#),
            ("<lora:a:1>", r#"LoRA networks: "a, b c", LoRA hashes: "1234, 5678""#),
        ] {
            assert_eq!(loras(prompt, pairs), ["a", "b c"], "{prompt} {pairs}");
        }
    }

    #[test]
    fn other_text_is_no_lora() {
        for (prompt, pairs) in [
            ("<lora:a", "X: 1"),
            ("<hypernet:a:1> <lora>", "X: 1"),
            ("p", "AddNet Enabled: False, AddNet Model 1: a(00112233aabb)"),
            ("p", "AddNet Enabled: True, AddNet Module 1: ControlLoRA, AddNet Model 1: a(00112233aabb)"),
            ("p", "AddNet Model 1: a, AddNet Weight A 1: 0, AddNet Weight B 1: 0"),
            ("p", "AddNet Model 1: None, Lora_0 Model name: None"),
            ("p", "LoRA hashes: 12345678, Lora_x Model name: a"),
        ] {
            assert_eq!(loras(prompt, pairs), [""; 0], "{prompt} {pairs}");
        }
    }
}
