//! The format of Fooocus-MRE, a variant of Fooocus: a JSON object with the prompt before and after
//! styles, `{"prompt": …, "real_prompt": […], "cfg": 7.0, "base_model": …, "l1": …, "w1": 0.5}`.

use gen5::metadata::Extra;

use super::{Generation, json};

/// Reads an object of this format.
pub(super) fn read(members: &Extra) -> Option<Generation> {
    members.get("real_prompt")?;
    members.get("base_model")?;
    let mut generation = Generation::new("Fooocus-MRE");
    for (name, value) in members.iter() {
        match name {
            "cfg" => generation.take("cfg_scale", value),
            "base_model" => generation.take("model", value),
            // The prompt with its styles applied, sentence by sentence.
            "real_prompt" | "real_negative_prompt" => {}
            "l1" | "l2" | "l3" | "l4" | "l5" => {
                let weight = members.get(&name.replace('l', "w"));
                if let Some(lora) = json::text(value)
                    && weight.is_none_or(|weight| json::number(weight) != Some(0.0))
                {
                    generation.tag(&lora);
                }
            }
            "w1" | "w2" | "w3" | "w4" | "w5" => {}
            _ => generation.take(name, value),
        }
    }
    generation.says_something().then_some(generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<Generation> {
        read(&json::object(text)?)
    }

    #[test]
    fn loras_without_weight_are_not_used() {
        let text = r#"{"prompt": "a", "real_prompt": ["b"], "base_model": "c.safetensors", "cfg": 7, "performance": "Speed",
            "l1": "ink.safetensors", "w1": 0.5, "l2": "map.safetensors", "w2": 0.0, "l3": "None", "w3": 1.0}"#;
        let found = parse(text).unwrap();
        assert_eq!(
            (found.prompt.as_deref(), found.cfg_scale, &found.tags[..]),
            (Some("a"), Some(7.0), &["ink".to_owned()][..])
        );
        for text in [
            r#"{"real_prompt": "a"}"#,
            r#"{"prompt": "a", "base_model": "b"}"#,
            r#"{"real_prompt": [], "base_model": "b"}"#,
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
