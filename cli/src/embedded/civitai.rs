//! The pairs of Civitai's generator, which are those of AUTOMATIC1111 with
//! `Civitai resources: [{"type":"checkpoint","modelName":"Quay"},{"type":"lora","modelName":"Ink"}]`.

use gen5::metadata::Extra;

use super::{Generation, MAX_SETTINGS, json};

pub(super) const GENERATOR: &str = "Civitai";

/// Whether Civitai's generator wrote the text. Others also write `Civitai resources`.
pub(super) fn generated(generation: &Generation) -> bool {
    let has = |name| generation.more.get(name).is_some();
    has("civitai_resources") && has("created_date")
}

/// Fills in the model and the LoRAs from the resources, if no other pair or prompt names them.
pub(super) fn complete(generation: &mut Generation) {
    let resources = generation.more.get("civitai_resources");
    let resources: Vec<Extra> =
        resources.and_then(|resources| serde_json::from_str(resources).ok()).unwrap_or_default();
    let named = |kinds: &[&str]| -> Vec<String> {
        let of_kind = resources.iter().take(MAX_SETTINGS).filter(|resource| {
            let kind = resource.get("type").and_then(json::text).unwrap_or_default();
            kinds.iter().any(|known| kind.eq_ignore_ascii_case(known))
        });
        of_kind.map(|resource| resource.get("modelName").and_then(json::text).unwrap_or_default()).collect()
    };
    // With several checkpoints, which one is the model is not known. A name is not a file, so
    // neither its folder nor its extension is left out.
    if let [model] = named(&["checkpoint"]).as_slice()
        && generation.model_name.is_none()
        && !model.is_empty()
    {
        generation.model_name = Some(model.clone());
    }
    if generation.tags.is_empty() {
        for lora in named(&["lora", "lycoris", "locon", "dora"]) {
            if !lora.is_empty() && !generation.tags.contains(&lora) {
                generation.tags.push(lora);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::embedded::{Generation, a1111};

    fn parse(more: &str, resources: &str) -> Generation {
        a1111::parse(&format!("a\nSteps: 1, Sampler: b, Seed: 2, {more}Civitai resources: {resources}"))
            .unwrap()
    }

    #[test]
    fn resources_name_what_nothing_else_does() {
        let resources = r#"[{"type":"checkpoint","modelName":"Quay, night"},{"type":"LORA","modelName":"Ink / wash"},{"type":"embed","modelName":"x"},{"type":"lora"}]"#;
        let found = parse("", resources);
        assert_eq!(
            (found.model_name.as_deref(), &found.tags[..]),
            (Some("Quay, night"), &["Ink / wash".to_owned()][..])
        );
        let found = parse("Model: quay_v1, Lora hashes: \"ink: 12\", ", resources);
        assert_eq!(
            (found.model_name.as_deref(), &found.tags[..]),
            (Some("quay_v1"), &["ink".to_owned()][..])
        );
    }

    #[test]
    fn of_two_checkpoints_neither_is_the_model() {
        let found =
            parse("", r#"[{"type":"checkpoint","modelName":"a"},{"type":"checkpoint","modelName":"b"}]"#);
        assert_eq!(found.model_name, None);
        for resources in ["[]", "{}", "x", "[1]", r#"[{"type":1,"modelName":[]}]"#] {
            assert_eq!(parse("", resources).model_name, None, "{resources}");
        }
    }
}
