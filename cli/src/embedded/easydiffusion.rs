//! The format of Easy Diffusion: `prompt`, `num_inference_steps`, `use_stable_diffusion_model` and
//! others, or `Prompt`, `Steps`, `Stable Diffusion model`, as separate texts or as a JSON object.

use gen5::metadata::Extra;

use super::generation::snake_case;
use super::{Generation, MAX_SETTINGS, Text, json};

/// Reads the texts of an image, whose keywords are the names of settings.
pub(super) fn read_all(texts: &[Text]) -> Option<Generation> {
    let settings = texts.iter().map(|text| (text.keyword.as_str(), Value::Text(&text.text)));
    from_settings(&settings.collect::<Vec<_>>())
}

/// Reads an object of this format.
pub(super) fn read(members: &Extra) -> Option<Generation> {
    from_settings(&members.iter().map(|(name, value)| (name, Value::Json(value))).collect::<Vec<_>>())
}

/// The value of a setting.
#[derive(Clone, Copy)]
enum Value<'a> {
    Json(&'a str),
    /// Text as Python prints the value.
    Text(&'a str),
}

impl Value<'_> {
    fn text(self) -> Option<String> {
        match self {
            Self::Json(value) => json::text(value),
            Self::Text(text) => Some(text.to_owned()),
        }
        .filter(|text| text != "None")
    }

    /// The values in a list, or the only one.
    fn list(self) -> Vec<String> {
        let list = match self {
            Self::Json(value) if value.starts_with('[') => serde_json::from_str(value).ok(),
            Self::Text(text) if text.starts_with('[') => python_list(text),
            _ => self.text().map(|text| vec![text]),
        };
        list.unwrap_or_default()
    }
}

fn from_settings(settings: &[(&str, Value<'_>)]) -> Option<Generation> {
    let has = |names: &[&str]| settings.iter().any(|(name, _)| names.contains(name));
    let is_own = has(&["use_stable_diffusion_model"]) && has(&["num_inference_steps", "guidance_scale"])
        || has(&["Stable Diffusion model"]) && has(&["Steps", "Guidance Scale"]);
    if !is_own {
        return None;
    }
    let mut generation = Generation::new("Easy Diffusion");
    for (name, value) in settings.iter().take(MAX_SETTINGS) {
        let name = snake_case(name);
        let own = match name.as_str() {
            "num_inference_steps" => "steps",
            "guidance_scale" => "cfg_scale",
            "sampler_name" => "sampler",
            "scheduler_name" => "scheduler",
            "use_stable_diffusion_model" | "stable_diffusion_model" => "model",
            "use_lora_model" | "lora_model" => {
                loras(&mut generation, *value, settings);
                continue;
            }
            name => name,
        };
        match value {
            Value::Json(value) => generation.take(own, value),
            Value::Text("None") => {}
            Value::Text(text) if own != "model" && json::is_number(text) => generation.take(own, text),
            Value::Text(text) => generation.take_text(own, text),
        }
    }
    generation.says_something().then_some(generation)
}

/// Adds the LoRAs whose weight is not 0. A text with commas could be one name or several.
fn loras(generation: &mut Generation, value: Value<'_>, settings: &[(&str, Value<'_>)]) {
    let weights = settings.iter().find(|(name, _)| matches!(*name, "lora_alpha" | "LoRA Strength"));
    let weights: Vec<f64> = match weights {
        Some((_, Value::Json(value) | Value::Text(value))) => {
            serde_json::from_str(value).or_else(|_| serde_json::from_str(value).map(|weight| vec![weight]))
        }
        .unwrap_or_default(),
        None => Vec::new(),
    };
    for (lora, weight) in value.list().iter().zip(weights.iter().map(Some).chain(std::iter::repeat(None))) {
        if weight != Some(&0.0) && !lora.contains(", ") {
            generation.tag(lora);
        }
    }
}

/// A list of strings as Python prints it: `['a', "it's"]`.
fn python_list(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix('[')?.trim_start();
    let mut list = Vec::new();
    while !rest.starts_with(']') && list.len() < MAX_SETTINGS {
        let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let mut item = String::new();
        let mut characters = rest.char_indices().skip(1);
        let end = loop {
            match characters.next()? {
                (end, end_quote) if end_quote == quote => break end + 1,
                (_, '\\') => match characters.next()?.1 {
                    escaped @ ('\\' | '\'' | '"') => item.push(escaped),
                    _ => return None,
                },
                (_, character) => item.push(character),
            }
        };
        list.push(item);
        rest = rest.get(end..)?.trim_start();
        rest = rest.strip_prefix(',').map_or(rest, str::trim_start);
    }
    rest.strip_prefix(']')?.trim().is_empty().then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_those_of_python() {
        for (text, list) in [
            ("[]", Some(vec![])),
            ("['a']", Some(vec!["a"])),
            (r#"['a\\b', "it's"]"#, Some(vec!["a\\b", "it's"])),
            ("['a' ]", Some(vec!["a"])),
            ("[a]", None),
            ("['a", None),
            ("['a\\", None),
            ("['a\\n']", None),
            ("['a'] b", None),
            ("a", None),
            ("", None),
        ] {
            let found = python_list(text);
            assert_eq!(found.as_ref().map(|list| list.iter().map(String::as_str).collect()), list, "{text}");
        }
    }

    fn loras_of(lora: &str, weight: &str) -> Vec<String> {
        let texts = [
            ("prompt", "a"),
            ("use_stable_diffusion_model", "sd-v1-4"),
            ("num_inference_steps", "25"),
            ("use_lora_model", lora),
            ("lora_alpha", weight),
        ];
        let texts = texts.map(|(keyword, text)| Text { keyword: keyword.into(), text: text.into() });
        read_all(&texts).unwrap().tags
    }

    #[test]
    fn loras_are_one_or_several() {
        assert_eq!(loras_of("ink", "0.5"), ["ink"]);
        assert_eq!(loras_of("['ink', 'map', 'net']", "[0.5, 0, 1]"), ["ink", "net"]);
        assert_eq!(loras_of("None", "0.5"), [""; 0]);
        assert_eq!(loras_of("ink", "0"), [""; 0]);
        for unclear in ["ink, map", "[ink", "['ink'"] {
            assert_eq!(loras_of(unclear, "1"), [""; 0], "{unclear}");
        }
    }

    #[test]
    fn one_name_is_not_enough() {
        for text in [
            r#"{"prompt": "a", "seed": 1}"#,
            r#"{"use_stable_diffusion_model": "a"}"#,
            r#"{"Steps": 1, "Prompt": "a"}"#,
        ] {
            assert_eq!(read(&json::object(text).unwrap()), None, "{text}");
        }
    }
}
