//! The manifest of a file without its records, for reuse in other files.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::manifest::{Extra, push_name, to_text};
use crate::reader::Reader;
use crate::shorten::shorten_error;
use crate::writer::Records;

/// The members of a file's manifest that the format does not define, with their original text. An
/// outline is read once and can be used for many files.
#[derive(Clone, Debug)]
pub struct Outline {
    /// Members that depend on the file are `null` in these objects.
    root: Extra,
    body: Extra,
    file_info: Extra,
    /// The range of the file's records in its manifest.
    records: Range<usize>,
}

/// A placeholder for a value that is filled in later.
const NULL: &str = "null";

impl Outline {
    /// Returns the outline of a file's manifest.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] if the manifest without `model_info` is not JSON.
    pub fn of(reader: &Reader) -> Result<Self> {
        let malformed = |error: serde_json::Error| Error::Metadata {
            member: "the manifest".into(),
            expected: "valid JSON beside `model_info`".into(),
            found: format!("not JSON ({})", shorten_error(&error)),
        };
        // `model_info` need not be JSON.
        let (before, after) = reader.around_model_info();
        let text = [before, NULL, after].concat();
        let (root, [body]) = Extra::read_apart(&text, ["gen5_metadata"]).map_err(malformed)?;
        let body = body.map_or("", |body| body.get());
        let names = ["file_info", "chunks"];
        let (mut body, [file_info, records]) = Extra::read_apart(body, names).map_err(malformed)?;
        body.put("model_info", NULL);
        let file_info = serde_json::from_str(file_info.map_or("", |file_info| file_info.get()));
        // The records are a slice of the text, so their position is the difference of the
        // addresses.
        let records = records.map_or("", |records| records.get());
        let mut start = records.as_ptr().addr() - text.as_ptr().addr();
        if start > before.len() {
            start = start - NULL.len() + reader.model_info_json().len();
        }
        let records = start..start + records.len();
        Ok(Self { root, body, file_info: file_info.map_err(malformed)?, records })
    }

    /// Returns the number of bytes that it adds to each manifest.
    pub fn size(&self) -> usize {
        let size =
            |members: &Extra| members.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        size(&self.root) + size(&self.body) + size(&self.file_info)
    }

    /// Returns the manifest of a file with these records.
    pub(crate) fn text(
        &self,
        file_size: u64,
        version: (u8, u8),
        model_info: &str,
        records: &Records<'_>,
    ) -> Result<String> {
        let mut file_info = self.file_info.clone();
        file_info.insert("chunk_count", &records.len())?;
        self.fill(file_size, version, model_info, file_info, &to_text("chunks", records)?)
    }

    /// Returns a manifest with the records of `reader`, which this is the outline of.
    pub(crate) fn text_as_in(
        &self,
        reader: &Reader,
        file_size: u64,
        version: (u8, u8),
        model_info: &str,
    ) -> Result<String> {
        let records = reader.manifest_json().get(self.records.clone()).unwrap_or_default();
        self.fill(file_size, version, model_info, self.file_info.clone(), records)
    }

    fn fill(
        &self,
        file_size: u64,
        version: (u8, u8),
        model_info: &str,
        mut file_info: Extra,
        records: &str,
    ) -> Result<String> {
        file_info.insert("version_major", &version.0)?;
        file_info.insert("version_minor", &version.1)?;
        file_info.insert("file_size", &file_size)?;
        let file_info = file_info.to_json()?;
        let room = self.size() + file_info.len() + model_info.len() + records.len();
        // The size counts the names and values of all members, without the punctuation between
        // them.
        let mut text = String::with_capacity(room + room / 8 + 256);
        write_object(&mut text, &self.root, |text, name| {
            if name != "gen5_metadata" {
                return Ok(false);
            }
            write_object(text, &self.body, |text, name| {
                text.push_str(match name {
                    "file_info" => &file_info,
                    "model_info" => model_info,
                    "chunks" => records,
                    _ => return Ok(false),
                });
                Ok(true)
            })?;
            Ok(true)
        })?;
        Ok(text)
    }
}

/// Writes an object with these members. `replace` returns true if it has written the value itself.
fn write_object(
    text: &mut String,
    members: &Extra,
    replace: impl Fn(&mut String, &str) -> Result<bool>,
) -> Result<()> {
    text.push('{');
    for (at, (name, value)) in members.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        push_name(text, name)?;
        if !replace(text, name)? {
            text.push_str(value);
        }
    }
    text.push('}');
    Ok(())
}
