//! The metadata of a file, valid by construction: built by a caller, or read from a manifest, by one set of rules.

use serde_json::value::RawValue;

use super::extra::{Extra, to_text};
use super::members::{self, MostTags};
use super::model::{GenerationSettings, HardwareInfo, ModelInfo};
use crate::error::{Error, Result};
use crate::shorten::shorten_error;

/// The metadata of a file: model, prompt, settings and hardware, valid by the reference's schema.
///
/// Made by [`builder`](Self::builder), from a [`ModelInfo`], from JSON, or by
/// [`Reader::metadata`](crate::Reader::metadata); in each case it has been checked, so writing it cannot fail.
/// Members of the manifest that the schema does not know come along unchanged.
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    model_info: ModelInfo,
    /// Members beside `gen5_metadata`, beside `model_info`, and in `file_info`, that the schema does not know.
    pub(crate) beside_manifest: Extra,
    pub(crate) beside_model_info: Extra,
    pub(crate) in_file_info: Extra,
}

impl Metadata {
    /// Starts on the metadata of an image made by this model. The date is now, unless it is given.
    pub fn builder(model_name: impl Into<String>, version: impl Into<String>) -> MetadataBuilder {
        MetadataBuilder { model_info: ModelInfo::new(model_name, version) }
    }

    /// Checks `model_info`, and makes metadata of it.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] with the member that is out of bounds (`steps` or `cpu_cores` of 0, a number that is
    /// negative, infinite or NaN), or that is given both in its field and in `extra`. One that stands in `extra` alone is
    /// taken for what it is.
    pub fn new(model_info: &ModelInfo) -> Result<Self> {
        // What serializes to JSON that the schema accepts is valid, so one set of rules serves for both ways in. The
        // only things that JSON would hide are floats that it cannot express, and members that stand twice.
        check_finite(model_info)?;
        let text = to_text("model_info", model_info)?;
        members::model_info(&text, &MostTags::by_default()).map(Self::of)
    }

    /// Reads the JSON text of a `model_info` object. It is accepted just when the reference's schema accepts it.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] with the first member that is not as the schema has it, or that this crate cannot take in:
    /// text with a lone surrogate, a member given twice.
    pub fn from_json(model_info: &str) -> Result<Self> {
        members::model_info(model_info, &MostTags::by_default()).map(Self::of)
    }

    fn of(model_info: ModelInfo) -> Self {
        Self {
            model_info,
            beside_manifest: Extra::new(),
            beside_model_info: Extra::new(),
            in_file_info: Extra::new(),
        }
    }

    /// Reads all but the records of a whole manifest.
    pub(crate) fn from_manifest(manifest: &str, most_tags: &MostTags) -> Result<Self> {
        let (beside_manifest, [body]) = beside(manifest, ["gen5_metadata"])?;
        let (beside_model_info, [model_info, file_info, _]) =
            beside(text_of(body), ["model_info", "file_info", "chunks"])?;
        let known = ["magic", "version_major", "version_minor", "file_size", "chunk_count"];
        let (in_file_info, _) = beside(text_of(file_info), known)?;
        let model_info = members::model_info(text_of(model_info), most_tags)?;
        Ok(Self { model_info, beside_manifest, beside_model_info, in_file_info })
    }

    /// The typed members, and what the schema does not know of them.
    pub fn model_info(&self) -> &ModelInfo {
        &self.model_info
    }

    /// The typed members, to be changed and made into metadata again.
    pub fn into_model_info(self) -> ModelInfo {
        self.model_info
    }
}

/// The members of an object of the manifest beside those of these names, whose values are returned, too.
fn beside<'t, const N: usize>(text: &'t str, names: [&str; N]) -> Result<(Extra, [Option<&'t RawValue>; N])> {
    let (mut rest, values) = Extra::read_apart(text, names).map_err(|error| Error::Metadata {
        member: "the manifest".into(),
        expected: "valid JSON (the stored text is at `Reader::manifest_json`)".into(),
        found: shorten_error(&error),
    })?;
    names.iter().for_each(|name| rest.discard(name));
    Ok((rest, values))
}

/// Opening has seen that there is one.
fn text_of(value: Option<&RawValue>) -> &str {
    value.map_or("", RawValue::get)
}

/// Builds [`Metadata`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MetadataBuilder {
    model_info: ModelInfo,
}

impl MetadataBuilder {
    /// The prompt. Empty by default.
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.model_info.prompt = prompt.into();
        self
    }

    /// When the image was made, ISO 8601. Now by default; give it where equal input must give equal bytes.
    pub fn date(mut self, date: impl Into<String>) -> Self {
        self.model_info.date = date.into();
        self
    }

    /// Adds a word to find the image by.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.model_info.tags.push(tag.into());
        self
    }

    /// How it was made.
    pub fn settings(mut self, settings: GenerationSettings) -> Self {
        self.model_info.generation_settings = Some(settings);
        self
    }

    /// On what it was made.
    pub fn hardware(mut self, hardware: HardwareInfo) -> Self {
        self.model_info.hardware_info = Some(hardware);
        self
    }

    /// Members that the schema does not know.
    pub fn extra(mut self, extra: Extra) -> Self {
        self.model_info.extra = extra;
        self
    }

    /// Checks it all.
    ///
    /// # Errors
    ///
    /// As [`Metadata::new`].
    pub fn build(self) -> Result<Metadata> {
        Metadata::new(&self.model_info)
    }
}

/// JSON has no infinity and no NaN: serde_json would write `null`, which the schema refuses in words that mislead.
fn check_finite(model_info: &ModelInfo) -> Result<()> {
    let settings = model_info.generation_settings.iter();
    let hardware = model_info.hardware_info.iter();
    let gpus = hardware.clone().flat_map(|hardware| hardware.gpu.iter().flatten()).enumerate();
    let mut numbers = settings
        .flat_map(|settings| [("cfg_scale", settings.cfg_scale), ("eta", settings.eta)])
        .map(|(name, number)| (format!("generation_settings.{name}"), number))
        .chain(hardware.map(|hardware| ("hardware_info.ram_gb".to_owned(), hardware.ram_gb)))
        .chain(gpus.map(|(index, gpu)| (format!("hardware_info.gpu[{index}].memory_gb"), gpu.memory_gb)));
    match numbers.find_map(|(member, number)| Some((member, number.filter(|number| !number.is_finite())?))) {
        Some((member, number)) => {
            let expected = "a finite number from 0 up".into();
            Err(Error::Metadata { member, expected, found: number.to_string() })
        }
        None => Ok(()),
    }
}
