//! The manifest of a file without its model information and its records.

use serde_json::value::RawValue;

use super::extra::{Extra, push_name};
use super::read::Manifest;
use crate::error::{Error, Result};
use crate::excerpt::shorten_error;
use crate::wire::Version;

/// The members of a file's manifest, with their original text, except `model_info` and the records.
///
/// [`Reader::outline`](crate::Reader::outline) returns it, and
/// [`Writer::finish_with`](crate::Writer::finish_with) writes it, for any number of files.
#[derive(Clone, Debug)]
pub struct Outline {
    /// Members that depend on the file are `null` in these objects.
    root: Extra,
    body: Extra,
    file_info: Extra,
}

/// A placeholder for a value that is filled in later.
const NULL: &str = "null";

/// The members that the format defines, in the order in which they are written.
const ROOT: [&str; 1] = ["gen5_metadata"];
const BODY: [&str; 3] = ["file_info", "model_info", "chunks"];
const FILE_INFO: [&str; 5] = ["magic", "version_major", "version_minor", "file_size", "chunk_count"];

/// The members of a manifest that an [`Outline`] does not have, as JSON text.
pub(crate) struct FileMembers<'a> {
    pub(crate) model_info: &'a str,
    pub(crate) records: &'a str,
    /// The number of records, or `None` to keep the text of `chunk_count`.
    pub(crate) count: Option<usize>,
}

impl Outline {
    /// Returns the outline of a new file, with these members after those that the format defines.
    pub(crate) fn new(root: &Extra, body: &Extra, file_info: &Extra) -> Self {
        let with = |names: &[&str], others: &Extra| {
            let mut members = Extra::new();
            names.iter().for_each(|name| members.push(name, NULL));
            others.iter().for_each(|(name, value)| members.push(name, value));
            members
        };
        let mut file_info = with(&FILE_INFO, file_info);
        file_info.put("magic", "\"GEN5\"");
        Self { root: with(&ROOT, root), body: with(&BODY, body), file_info }
    }

    /// Returns the outline of a file, and the text of its records.
    pub(crate) fn of(manifest: &Manifest) -> Result<(Self, &str)> {
        let malformed = |error: serde_json::Error| Error::Metadata {
            member: "the manifest".into(),
            expected: "valid JSON outside `model_info`".into(),
            found: format!("not JSON ({})", shorten_error(&error)),
        };
        // `model_info` need not be JSON.
        let (before, after) = manifest.around_model_info();
        let text = [before, NULL, after].concat();
        let (outline, _, records) = Self::read_apart(&text).map_err(malformed)?;
        // The records are a slice of the text, so their position is the difference of the
        // addresses.
        let mut start = records.as_ptr().addr() - text.as_ptr().addr();
        if start > before.len() {
            start = start - NULL.len() + manifest.model_info_json().len();
        }
        let range = start..start + records.len();
        Ok((outline, manifest.text.get(range).unwrap_or_default()))
    }

    /// Parses a manifest. Returns its outline and the texts of `model_info` and of the records.
    pub(super) fn read_apart(manifest: &str) -> serde_json::Result<(Self, &str, &str)> {
        let (root, [body]) = Extra::read_apart(manifest, ROOT)?;
        let (body, [file_info, model_info, records]) = Extra::read_apart(text_of(body), BODY)?;
        let file_info = serde_json::from_str(text_of(file_info))?;
        Ok((Self { root, body, file_info }, text_of(model_info), text_of(records)))
    }

    /// Returns the members that the format does not define: of the manifest, of `gen5_metadata`,
    /// and of `file_info`.
    pub(super) fn into_others(self) -> [Extra; 3] {
        let without = |mut members: Extra, names: &[&str]| {
            names.iter().for_each(|name| members.discard(name));
            members
        };
        [without(self.root, &ROOT), without(self.body, &BODY), without(self.file_info, &FILE_INFO)]
    }

    /// Returns the number of bytes that it adds to each manifest.
    pub fn size(&self) -> usize {
        let size =
            |members: &Extra| members.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        size(&self.root) + size(&self.body) + size(&self.file_info)
    }

    /// Returns the manifest of a file with this length, version and content.
    pub(crate) fn manifest(
        &self,
        file_size: u64,
        version: Version,
        members: &FileMembers<'_>,
    ) -> Result<String> {
        let mut file_info = self.file_info.clone();
        file_info.insert("version_major", &version.major)?;
        file_info.insert("version_minor", &version.minor)?;
        file_info.insert("file_size", &file_size)?;
        if let Some(count) = members.count {
            file_info.insert("chunk_count", &count)?;
        }
        let file_info = file_info.to_json()?;
        let room = self.size() + file_info.len() + members.model_info.len() + members.records.len();
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
                    "model_info" => members.model_info,
                    "chunks" => members.records,
                    _ => return Ok(false),
                });
                Ok(true)
            })?;
            Ok(true)
        })?;
        Ok(text)
    }
}

/// Opening the file checked that the value exists.
fn text_of(value: Option<&RawValue>) -> &str {
    value.map_or("", RawValue::get)
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
