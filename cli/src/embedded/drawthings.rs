//! The format of Draw Things: a JSON object, `{"c": PROMPT, "uc": NEGATIVE, "scale": 4.5, "lora": […],
//! "v2": {…}}`, which in PNG is the UserComment of an XMP packet.

use std::borrow::Cow;

use gen5::metadata::Extra;

use super::{Generation, MAX_SETTINGS, json};

/// Parses XMP with an object of this format.
pub(super) fn parse(xmp: &str) -> Option<Generation> {
    read(&json::object(&comment_of_xmp(xmp)?)?)
}

/// Reads an object of this format.
pub(super) fn read(members: &Extra) -> Option<Generation> {
    let has = |name| members.get(name).is_some();
    if !has("c") || !(has("uc") || has("v2")) || !(has("sampler") || has("steps")) {
        return None;
    }
    let mut generation = Generation::new("Draw Things");
    for (name, value) in members.iter() {
        match name {
            "c" => generation.take("prompt", value),
            "uc" => generation.take("negative_prompt", value),
            "scale" => generation.take("cfg_scale", value),
            "lora" => loras(&mut generation, value, "model"),
            // The same settings once more, with more of the app's own, remain only in the text.
            _ if value.starts_with(['{', '[']) => {}
            _ => generation.take(name, value),
        }
    }
    if let Some(settings) = members.get("v2").and_then(json::object) {
        take_missing(&mut generation, &settings);
    }
    generation.says_something().then_some(generation)
}

/// Fills in what the first level lacks. The sampler is a number here, whose meaning is not part of
/// the text.
fn take_missing(generation: &mut Generation, settings: &Extra) {
    let names = [("seed", "seed"), ("steps", "steps"), ("model", "model"), ("guidanceScale", "cfg_scale")];
    for (name, own) in names {
        if let Some(value) = settings.get(name) {
            generation.take(own, value);
        }
    }
    if let Some(list) = settings.get("loras").filter(|_| generation.tags.is_empty()) {
        loras(generation, list, "file");
    }
}

fn loras(generation: &mut Generation, value: &str, name: &str) {
    let list: Vec<Extra> = serde_json::from_str(value).unwrap_or_default();
    for lora in list.iter().take(MAX_SETTINGS) {
        let is_used = lora.get("weight").is_none_or(|weight| json::number(weight) != Some(0.0));
        if let Some(file) = lora.get(name).and_then(json::text).filter(|_| is_used) {
            generation.tag(&file);
        }
    }
}

/// The JSON in the UserComment of XMP: the content of an element, or an attribute.
fn comment_of_xmp(text: &str) -> Option<Cow<'_, str>> {
    if !text.trim_start_matches(['\u{feff}', '\n', ' ']).starts_with('<') {
        return None;
    }
    let (_, from) = text.split_once("exif:UserComment")?;
    let (_, from) = from.split_at(from.find('{')?);
    let from = from.split('<').next().unwrap_or(from);
    let object = unescaped(from);
    // Further attributes follow an attribute.
    let mut values = serde_json::Deserializer::from_str(&object).into_iter::<&serde_json::value::RawValue>();
    let value = values.next()?.ok()?.get().to_owned();
    Some(Cow::Owned(value))
}

/// The text with XML's predefined entities replaced, and the numbers of common control characters.
fn unescaped(text: &str) -> String {
    const ENTITIES: [(&str, &str); 9] = [
        ("&quot;", "\""),
        ("&amp;", "&"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&apos;", "'"),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#10;", "\n"),
        ("&#xA;", "\n"),
    ];
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let entity = ENTITIES.iter().find_map(|(entity, text)| Some((*text, from.strip_prefix(entity)?)));
        let (text, after) = entity.unwrap_or_else(|| ("&", from.get(1..).unwrap_or_default()));
        plain.push_str(text);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xmp_has_it_in_an_element_or_an_attribute() {
        let object = r#"{"c":"a \"b\" & c","uc":"","steps":20,"seed":5,"sampler":"DDIM"}"#;
        let escaped = object.replace('&', "&amp;").replace('"', "&quot;");
        let half = object.replace('&', "&amp;");
        for text in [
            format!(
                "<x:xmpmeta><exif:UserComment><rdf:Alt><rdf:li xml:lang=\"x-default\">{escaped}</rdf:li>"
            ),
            format!("<x:xmpmeta><exif:UserComment><rdf:li>{half}</rdf:li>"),
            format!("<x:xmpmeta exif:UserComment=\"{escaped}\" xmp:CreatorTool=\"Draw Things\"/>"),
        ] {
            let found = parse(&text).unwrap();
            assert_eq!(
                (found.prompt.as_deref(), found.steps, found.seed),
                (Some("a \"b\" & c"), Some(20), Some(5))
            );
        }
        for xmp in ["", "<", "<exif:UserComment>{", "<exif:UserComment>a", object] {
            assert_eq!(parse(xmp), None, "{xmp}");
        }
        for object in [r#"{"c": "a"}"#, r#"{"c": 1, "uc": 2}"#] {
            assert_eq!(read(&json::object(object).unwrap()), None, "{object}");
        }
    }

    #[test]
    fn the_second_level_fills_gaps() {
        let text = r#"{"c":"a","sampler":"DDIM","seed":5,"v2":{"seed":6,"steps":8,"sampler":3,"guidanceScale":2.5,
            "model":"sea_f16.ckpt","loras":[{"file":"ink_lora_f16.ckpt","weight":0.5},{"file":"x.ckpt","weight":0}]}}"#;
        let found = read(&json::object(text).unwrap()).unwrap();
        assert_eq!((found.seed, found.steps, found.cfg_scale), (Some(5), Some(8), Some(2.5)));
        assert_eq!((found.sampler.as_deref(), found.model_name.as_deref()), (Some("DDIM"), Some("sea_f16")));
        assert_eq!(found.tags, ["ink_lora_f16"]);
    }
}
