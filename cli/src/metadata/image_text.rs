//! The metadata found in the text of an image or of a file of latents.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use anyhow::Result;
use gen5::metadata::Extra;
use gen5_picture::text::count;

use crate::embedded::{self, Embedded, Generation, Text};
use crate::metadata::origins::SOURCES;
use crate::output::Output;
use crate::terminal::shown;

/// The member of `model_info` that keeps all text of the image, so that nothing is lost, even if
/// not understood.
const TEXTS: &str = "image_text";

/// The member of `model_info` for settings without a member that `generation_settings` requires.
const LOOSE_SETTINGS: &str = "image_settings";

/// The required members of `generation_settings`.
const REQUIRED: [&str; 3] = ["seed", "steps", "sampler"];

/// The version of a model whose text has its name but not its hash.
const UNKNOWN_VERSION: &str = "unknown";

/// The text of an image, or of a file of latents.
pub(crate) struct ImageText {
    /// The file's name in messages.
    file: String,
    embedded: Embedded,
    /// Whether the text is kept with its file in `source_files`.
    is_kept: bool,
}

impl ImageText {
    /// Reads the text of the image at `path`.
    pub(crate) fn read(image: &[u8], path: &Path) -> Self {
        Self { file: shown(path), embedded: embedded::read(image), is_kept: false }
    }

    /// The text of a file of latents, named `file` in messages.
    pub(crate) fn of_latents(file: String, text: Text) -> Self {
        Self { file, embedded: Embedded::of(&[text]), is_kept: true }
    }

    /// Fills in missing members, keeps all text, and notes the results.
    pub(crate) fn fill(&self, model_info: &mut Extra, output: &mut Output<'_>) -> Result<()> {
        let Embedded { texts, generation, problems } = &self.embedded;
        let mut notes = problems.clone();
        let place = if self.is_kept { SOURCES } else { TEXTS };
        if let Some(generation) = generation {
            notes.extend(fill(model_info, generation, place)?);
        } else if !texts.is_empty() {
            let pieces = count(texts.len(), "piece");
            notes.push(format!("{pieces} of text kept as {place}; no generator's format was recognized"));
        }
        if !texts.is_empty() && !self.is_kept && model_info.get(TEXTS).is_none() {
            model_info.insert(TEXTS, &by_keyword(texts)?)?;
        }
        for note in notes {
            output.note(&format!("{}: {note}", self.file));
        }
        Ok(())
    }
}

/// Fills in members from the text, which is kept in `place`. Returns phrases that describe the
/// changes.
fn fill(model_info: &mut Extra, generation: &Generation, place: &str) -> Result<Vec<String>> {
    let mut taken = Vec::new();
    let mut notes = Vec::new();
    if let Some(prompt) = &generation.prompt
        && insert_missing(model_info, "prompt", prompt)?
    {
        taken.push("prompt".to_owned());
    }
    match fill_settings(model_info, &generation.settings()?)? {
        Settings::Filled(0) => {}
        Settings::Filled(settings) => taken.push(count(settings, "setting")),
        Settings::Loose(settings, missing) => notes.push(format!(
            "{} from {}'s text kept as {LOOSE_SETTINGS}, because {missing} is missing",
            count(settings, "setting"),
            generation.generator
        )),
    }
    taken.extend(fill_model(model_info, generation)?.map(str::to_owned));
    if !generation.tags.is_empty() && insert_missing(model_info, "tags", &generation.tags)? {
        taken.push(count(generation.tags.len(), "tag"));
    }
    if let Some(taken) = list(&taken) {
        notes.insert(0, format!("{taken} from {}'s text", generation.generator));
    } else if notes.is_empty() {
        notes.push(format!(
            "{}'s text kept as {place}; the metadata already had everything in it",
            generation.generator
        ));
    }
    let missing = generation.missing();
    if !missing.is_empty() {
        notes.push(format!("{} text without {}", generation.generator, missing.join(", ")));
    }
    Ok(notes)
}

/// The outcome for settings.
enum Settings {
    /// This number of missing settings was filled in.
    Filled(usize),
    /// This number of settings is kept separately, because the named one is missing.
    Loose(usize, &'static str),
}

/// Fills in missing settings. If none were given and the found ones alone are not valid
/// `generation_settings`, they are kept separately.
fn fill_settings(model_info: &mut Extra, found: &Extra) -> Result<Settings> {
    const NAME: &str = "generation_settings";
    let given: Option<Extra> = match model_info.get(NAME) {
        None => None,
        Some(text) => match serde_json::from_str(text) {
            Ok(given) => Some(given),
            // Validation later rejects it by name.
            Err(_) => return Ok(Settings::Filled(0)),
        },
    };
    let is_given = given.is_some();
    let mut settings = given.unwrap_or_default();
    let before = settings.len();
    for (name, value) in found.iter() {
        if settings.get(name).is_none() {
            settings.insert_json(name, value)?;
        }
    }
    let filled = settings.len() - before;
    let missing = REQUIRED.into_iter().find(|name| settings.get(name).is_none());
    if filled == 0 {
        return Ok(Settings::Filled(0));
    }
    match missing {
        Some(missing) if !is_given => {
            insert_missing(model_info, LOOSE_SETTINGS, &settings)?;
            Ok(Settings::Loose(filled, missing))
        }
        _ => {
            model_info.insert(NAME, &settings)?;
            Ok(Settings::Filled(filled))
        }
    }
}

/// Fills in the model's name and version. The version is the hash of the model's file, or unknown
/// if the text has only a name. If the given name differs from the text's, the version must also be
/// given.
fn fill_model(model_info: &mut Extra, generation: &Generation) -> Result<Option<&'static str>> {
    let (named, is_this) = match &generation.model_name {
        Some(name) => {
            let named = insert_missing(model_info, "model_name", name)?;
            (named, model_info.get("model_name") == Some(&*serde_json::to_string(name)?))
        }
        None => (false, true),
    };
    let hash = generation.model_hash.as_deref().filter(|_| is_this);
    let version = hash.or(named.then_some(UNKNOWN_VERSION));
    let versioned = match version {
        Some(version) => insert_missing(model_info, "version", &version)?,
        None => false,
    };
    Ok(match (named, versioned) {
        (true, _) => Some("model"),
        (false, true) => Some("model version"),
        (false, false) => None,
    })
}

/// Sets a member if it is missing; returns whether it was.
fn insert_missing(members: &mut Extra, name: &str, value: &impl serde::Serialize) -> Result<bool> {
    let missing = members.get(name).is_none();
    if missing {
        members.insert(name, value)?;
    }
    Ok(missing)
}

/// The texts by keyword. Repeated keywords get a number: `Comment (2)`.
fn by_keyword(texts: &[Text]) -> Result<Extra> {
    let mut members = Extra::new();
    let mut kept = HashSet::new();
    let mut names = HashSet::new();
    let mut numbers = HashMap::new();
    for text in texts {
        if !kept.insert((&text.keyword, &text.text)) {
            continue;
        }
        let number = numbers.entry(&text.keyword).or_insert(1_usize);
        let mut name = text.keyword.clone();
        while !names.insert(name.clone()) {
            *number += 1;
            name = format!("{} ({number})", text.keyword);
        }
        members.insert(name, &text.text)?;
    }
    Ok(members)
}

/// `a`, `a and b`, `a, b and c`; `None` if empty.
fn list(parts: &[String]) -> Option<String> {
    match parts {
        [] => None,
        [only] => Some(only.clone()),
        [first @ .., last] => Some(format!("{} and {last}", first.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_under_one_keyword_are_all_kept() {
        let text = |keyword: &str, text: &str| Text { keyword: keyword.into(), text: text.into() };
        let texts = [("a", "1"), ("a (2)", "0"), ("a", "2"), ("b", "3"), ("a", "1"), ("a", "4")]
            .map(|(a, b)| text(a, b));
        let members = by_keyword(&texts).unwrap();
        let members: Vec<_> = members.iter().collect();
        assert_eq!(
            members,
            [("a", "\"1\""), ("a (2)", "\"0\""), ("a (3)", "\"2\""), ("b", "\"3\""), ("a (4)", "\"4\"")]
        );
    }

    #[test]
    fn lists_read_as_english() {
        let parts = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(list(&parts[..1]).as_deref(), Some("a"));
        assert_eq!(list(&parts[..2]).as_deref(), Some("a and b"));
        assert_eq!(list(&parts).as_deref(), Some("a, b and c"));
        assert_eq!(list(&[]), None);
    }
}
