//! Facts about a file in a few lines, for the top of a page.

use gen5::Reader;

use crate::images::Thumbnail;
use crate::text::{count, escape_prose, human_size};

/// Describes a file: its model, its settings, and its date and size in up to three lines, and its
/// prompt, joined into one line. All are escaped, and cut after 600 characters. The prompt is empty
/// if there is none.
pub fn describe_file(reader: &Reader, image: Option<&Thumbnail>) -> (Vec<String>, String) {
    let size = human_size(reader.file_size());
    let mut about = vec![size];
    about.extend(image.map(|image| format!("image {} × {}", image.width, image.height)));
    let Ok(metadata) = reader.metadata() else {
        return (vec![about.join("  ·  "), "its metadata is not valid".into()], String::new());
    };
    let model = metadata.model_info();
    let name = format!("{} {}", model.model_name, model.version);
    let mut lines = vec![name.trim().to_owned()];
    if let Some(settings) = &model.generation_settings {
        let mut said = vec![
            format!("seed {}", settings.seed),
            count(usize::try_from(settings.steps).unwrap_or(usize::MAX), "step"),
        ];
        said.push(settings.sampler.clone());
        said.extend(settings.cfg_scale.map(|scale| format!("cfg {scale}")));
        lines.push(said.join("  ·  "));
    }
    about.insert(0, model.date.split('.').next().unwrap_or_default().replace('T', " "));
    lines.push(about.join("  ·  "));
    let prompt: Vec<&str> = model.prompt.split_whitespace().take(SHOWN).collect();
    (
        lines.iter().map(|line| beginning(line)).filter(|line| !line.is_empty()).collect(),
        beginning(&prompt.join(" ")),
    )
}

/// Limit on the characters shown of a text.
const SHOWN: usize = 600;

/// The start of a text, escaped.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", escape_prose(text.split_at(end).0)),
        None => escape_prose(text).into_owned(),
    }
}
