//! The manifest of a file, to be that of another.

use crate::error::{Error, Result};
use crate::manifest::{Extra, to_text};
use crate::reader::Reader;
use crate::shorten::shorten_error;
use crate::writer::Records;

/// A manifest, open where it depends on the file.
pub(crate) struct Outline<'a> {
    root: Extra,
    body: Extra,
    file_info: Extra,
    /// This need not be JSON.
    model_info: &'a str,
}

impl<'a> Outline<'a> {
    /// The manifest of a file, with this `model_info`.
    pub(crate) fn of(reader: &Reader, model_info: &'a str) -> Result<Self> {
        let parse = |text: &str| -> Result<Extra> {
            serde_json::from_str(text).map_err(|error| Error::Metadata {
                member: "the manifest".into(),
                expected: "valid JSON beside `model_info`".into(),
                found: shorten_error(&error),
            })
        };
        let (before, after) = reader.around_model_info();
        let mut root = parse(&[before, "{}", after].concat())?;
        let mut body = parse(root.get("gen5_metadata").unwrap_or_default())?;
        let file_info = parse(body.get("file_info").unwrap_or_default())?;
        // What is put in again keeps its place, and need not be kept twice until then.
        root.insert("gen5_metadata", &())?;
        body.insert("file_info", &())?;
        Ok(Self { root, body, file_info, model_info })
    }

    /// The text, for a file of this length and version, and of these records if they are not those that it has.
    pub(crate) fn text(
        &self,
        file_size: u64,
        version: (u8, u8),
        records: Option<&Records<'_>>,
    ) -> Result<String> {
        let mut file_info = self.file_info.clone();
        file_info.insert("version_major", &version.0)?;
        file_info.insert("version_minor", &version.1)?;
        file_info.insert("file_size", &file_size)?;
        let records = records.map(|records| {
            file_info.insert("chunk_count", &records.len())?;
            to_text("chunks", records)
        });
        let (records, file_info) = (records.transpose()?, to_text("file_info", &file_info)?);
        let body = object(&self.body, |name| match name {
            "file_info" => Some(&file_info),
            "model_info" => Some(self.model_info),
            "chunks" => records.as_deref(),
            _ => None,
        })?;
        object(&self.root, |name| (name == "gen5_metadata").then_some(&*body))
    }
}

/// An object of these members, whose values may be replaced by other texts.
fn object<'t>(members: &Extra, replaced: impl Fn(&str) -> Option<&'t str>) -> Result<String> {
    let mut text = String::from("{");
    for (name, value) in members.iter() {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&to_text(name, &name)?);
        text.push(':');
        text.push_str(replaced(name).unwrap_or(value));
    }
    text.push('}');
    Ok(text)
}
