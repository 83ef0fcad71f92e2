//! Text that image generators embed in their images.

use gen5::Metadata;
use gen5::metadata::{Extra, GenerationSettings, ModelInfo};
use gen5_cli::embedded::{
    self, Embedded, Generation, MAX_PROBLEMS, MAX_SETTINGS, MAX_TEXT_BYTES, MAX_TEXTS, Text,
};

/// The first byte selects how the rest is used: as an image, or as text in an image or outside one.
/// The result stays within its bounds, does not depend on the source of the text, and can be stored
/// in a file.
pub fn image_text(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else { return };
    let found = match kind % 4 {
        0 => read(data),
        1 => read(&png(&[text_chunk(b"tEXt", &[b"parameters\0", data])])),
        2 => read(&png(&[text_chunk(b"zTXt", &[b"parameters\0\0", data])])),
        _ => Embedded::of(&texts(data)),
    };
    assert!(found.texts.len() <= MAX_TEXTS);
    assert!(
        found.texts.iter().map(|text| text.keyword.len() + text.text.len()).sum::<usize>() <= MAX_TEXT_BYTES
    );
    assert!(found.problems.len() <= MAX_PROBLEMS + 1);
    assert_eq!(embedded::understand(&found.texts), found.generation);
    if let Some(generation) = &found.generation {
        can_be_stored(generation);
    }
}

fn read(image: &[u8]) -> Embedded {
    let found = embedded::read(image);
    assert_eq!(embedded::read(image).texts, found.texts);
    found
}

/// Splits text at NULs into several texts with different keywords.
fn texts(data: &[u8]) -> Vec<Text> {
    let texts = String::from_utf8_lossy(data);
    let text = |(at, text): (usize, &str)| {
        // NovelAI's keywords, by which its texts are recognized.
        let keyword =
            ["Comment", "Description", "Software", "Source", "Title"].get(at).unwrap_or(&"parameters");
        Text { keyword: (*keyword).to_owned(), text: text.to_owned() }
    };
    texts.split('\0').enumerate().map(text).collect()
}

/// Checks that the extracted values form valid metadata for `pack`.
fn can_be_stored(generation: &Generation) {
    assert!(generation.tags.len() <= MAX_SETTINGS && generation.more.len() <= MAX_SETTINGS);
    let mut found = generation.settings().expect("every value has its form in JSON");
    let mut settings = Extra::new();
    for (name, value) in [("seed", "0"), ("steps", "1"), ("sampler", "\"\"")] {
        let value = found.remove(name).unwrap_or_else(|| value.to_owned());
        settings.insert_json(name, value).expect("it is JSON");
    }
    found.iter().for_each(|(name, value)| settings.insert_json(name, value).expect("it is JSON"));

    let mut model = ModelInfo::new(generation.model_name.clone().unwrap_or_default(), "");
    model.prompt = generation.prompt.clone().unwrap_or_default();
    model.tags = generation.tags.clone();
    model.extra.insert("generation_settings", &settings).expect("it is JSON");
    let metadata = Metadata::new(&model).expect("what was understood is valid");
    let stored: &GenerationSettings =
        metadata.model_info().generation_settings.as_ref().expect("seed, steps and sampler are there");
    assert_eq!(stored.seed, generation.seed.unwrap_or(0));
    assert_eq!(stored.cfg_scale, generation.cfg_scale);
}

/// A PNG with these chunks and an IEND.
fn png(chunks: &[Vec<u8>]) -> Vec<u8> {
    [&b"\x89PNG\r\n\x1a\n"[..], &chunks.concat(), &text_chunk(b"IEND", &[])].concat()
}

fn text_chunk(kind: &[u8; 4], content: &[&[u8]]) -> Vec<u8> {
    let covered = [&kind[..], &content.concat()].concat();
    let length = (covered.len() - 4) as u32;
    [&length.to_be_bytes()[..], &covered, &crc32fast::hash(&covered).to_be_bytes()].concat()
}
