//! The format of NovelAI: several texts, including `Comment`, a JSON object with the settings.

use gen5::metadata::Extra;

use super::{Generation, MAX_SETTINGS, Text, json};

/// Reads the texts of a NovelAI image. In Exif, some are members of one of the objects among the
/// texts, and others are fields.
pub(super) fn read_all(texts: &[Text], objects: &[Extra]) -> Option<Generation> {
    let texts: Vec<(&str, &str)> =
        texts.iter().map(|text| (text.keyword.as_str(), text.text.as_str())).collect();
    from_texts(&texts).or_else(|| {
        objects.iter().find_map(|members| {
            // Without its own `Comment`, the image's would be used, which has already failed.
            members.get("Comment")?;
            let inner: Vec<(&str, String)> = members
                .iter()
                .take(MAX_SETTINGS)
                .filter_map(|(name, value)| Some((name, serde_json::from_str(value).ok()?)))
                .collect();
            let inner = inner.iter().map(|(name, text)| (*name, text.as_str()));
            from_texts(&inner.chain(texts.iter().copied()).collect::<Vec<_>>())
        })
    })
}

const GENERATOR: &str = "NovelAI";

fn from_texts(texts: &[(&str, &str)]) -> Option<Generation> {
    let named = |name| texts.iter().find(|(keyword, _)| *keyword == name).map(|(_, text)| *text);
    let is_known = named("Software").is_some_and(|software| software.starts_with(GENERATOR));
    let (_, comment) = texts.iter().find(|(keyword, _)| *keyword == "Comment")?;
    let members = json::object(comment)?;
    // Without the generator's name, members unique to it identify it.
    let is_own = members.get("uc").is_some() || members.get("v4_prompt").is_some();
    let has_settings = members.get("sampler").is_some() && members.get("steps").is_some();
    if !has_settings || !(is_known || is_own) {
        return None;
    }
    let mut generation = settings(&members);
    if let Some(description) = named("Description").or_else(|| named("ImageDescription")) {
        generation.take_text("prompt", description.trim_start_matches('\0'));
    }
    // In Exif, Software has the role of Source elsewhere.
    if let Some(source) = named("Source").or_else(|| named("Software")).filter(|&source| source != GENERATOR)
    {
        take_source(&mut generation, source);
    }
    Some(generation)
}

/// `NovelAI Diffusion V4 37442FCA`: the model's name, and a hash of eight digits.
fn take_source(generation: &mut Generation, source: &str) {
    let is_hash = |word: &str| word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    match source.rsplit_once(' ') {
        Some((name, hash)) if is_hash(hash) => {
            generation.take_text("model", name);
            generation.take_text("model_hash", hash);
        }
        _ => generation.take_text("model", source),
    }
}

/// The settings in `Comment`.
fn settings(members: &Extra) -> Generation {
    let mut generation = Generation::new(GENERATOR);
    for (name, value) in members.iter() {
        match name {
            "scale" => generation.take("cfg_scale", value),
            "uc" => generation.take("negative_prompt", value),
            "noise_schedule" => generation.take("scheduler", value),
            // Nested values and signatures remain only in the text.
            "signed_hash" => {}
            _ if value.starts_with(['{', '[']) => {}
            _ => generation.take(name, value),
        }
    }
    // Without a plain prompt, the base caption is used.
    for (field, name) in [("prompt", "v4_prompt"), ("negative_prompt", "v4_negative_prompt")] {
        let caption = members
            .get(name)
            .and_then(json::object)
            .and_then(|prompt| json::object(prompt.get("caption")?)?.get("base_caption").map(str::to_owned));
        if let Some(caption) = caption {
            generation.take(field, &caption);
        }
    }
    generation
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(keyword: &str, text: &str) -> Text {
        Text { keyword: keyword.into(), text: text.into() }
    }

    #[test]
    fn the_source_is_model_and_hash() {
        let comment = text("Comment", r#"{"steps": 28, "sampler": "k_euler", "uc": ""}"#);
        for (source, name, hash) in [
            ("NovelAI Diffusion V4 37442FCA", "NovelAI Diffusion V4", Some("37442FCA")),
            ("Stable Diffusion", "Stable Diffusion", None),
        ] {
            let found = read_all(&[comment.clone(), text("Source", source)], &[]).unwrap();
            assert_eq!((found.model_name.as_deref(), found.model_hash.as_deref()), (Some(name), hash));
        }
    }

    #[test]
    fn another_comment_is_not_its() {
        let comment = text("Comment", r#"{"steps": 28, "sampler": "k_euler"}"#);
        assert!(read_all(std::slice::from_ref(&comment), &[]).is_none());
        assert!(read_all(&[comment.clone(), text("Software", "Paint")], &[]).is_none());
        assert!(read_all(&[comment, text("Software", "NovelAI")], &[]).is_some());
    }
}
