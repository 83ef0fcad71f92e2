//! The metadata of a file, valid by construction. The same rules apply whether a caller builds it
//! or a manifest contains it.

use super::extra::{Extra, to_text};
use super::members::{self, MostTags};
use super::model::{GenerationSettings, HardwareInfo, ModelInfo};
use super::outline::Outline;
use crate::error::{Error, Result};
use crate::excerpt::shorten_error;

/// The metadata of a file: model, prompt, settings and hardware, valid by the reference schema.
///
/// It comes from [`builder`](Self::builder), from a [`ModelInfo`], from JSON, or from
/// [`Reader::metadata`](crate::Reader::metadata). All of these check it, so it is always valid to
/// write. Members of the manifest that the schema does not define are kept unchanged.
///
/// ```
/// use gen5::Metadata;
/// use gen5::metadata::GenerationSettings;
///
/// let metadata = Metadata::builder("Stable Diffusion 3", "3.0")
///     .prompt("a lighthouse")
///     .tag("seascape")
///     .settings(GenerationSettings::new(42, 50, "ddim").cfg_scale(7.5))
///     .build()?;
/// assert_eq!(metadata.model_info().tags, ["seascape"]);
/// # Ok::<(), gen5::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Metadata {
    model_info: ModelInfo,
    /// Members next to `gen5_metadata`, next to `model_info`, and in `file_info`, that the schema
    /// does not define.
    beside_manifest: Extra,
    beside_model_info: Extra,
    in_file_info: Extra,
}

impl Metadata {
    /// Creates a builder for the metadata of an image made by this model. The date is the current
    /// time unless it is set.
    pub fn builder(model_name: impl Into<String>, version: impl Into<String>) -> MetadataBuilder {
        MetadataBuilder { model_info: ModelInfo::new(model_name, version) }
    }

    /// Checks `model_info` and converts it into metadata.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] with the member that is out of range (`steps` or `cpu_cores` of 0, a
    /// number that is negative, infinite or NaN), or that is both in its field and in `extra`. A
    /// member that is only in `extra` is used as if it were in its field.
    pub fn new(model_info: &ModelInfo) -> Result<Self> {
        // Anything that serializes to JSON that the schema accepts is valid, so one set of rules
        // covers both sources. JSON would hide only floats that it cannot express, and duplicate
        // members.
        check_finite(model_info)?;
        let text = to_text("model_info", model_info)?;
        members::model_info(&text, &MostTags::by_default()).map(Self::of)
    }

    /// Parses the JSON text of a `model_info` object. It accepts exactly the objects that the
    /// reference schema accepts.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] with the first member that does not match the schema, or that this crate
    /// cannot represent: text with a lone surrogate, or a duplicate member.
    pub fn from_json(model_info: &str) -> Result<Self> {
        members::model_info(model_info, &MostTags::by_default()).map(Self::of)
    }

    /// Returns the JSON text of the `model_info` object.
    ///
    /// ```
    /// let json = r#"{"model_name":"SD3","version":"3.0","date":"2026-01-02","prompt":"","tags":[],"clip_skip":2}"#;
    /// assert_eq!(gen5::Metadata::from_json(json)?.to_json()?, json);
    /// # Ok::<(), gen5::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// No error is currently possible.
    pub fn to_json(&self) -> Result<String> {
        to_text("model_info", &self.model_info)
    }

    fn of(model_info: ModelInfo) -> Self {
        Self {
            model_info,
            beside_manifest: Extra::new(),
            beside_model_info: Extra::new(),
            in_file_info: Extra::new(),
        }
    }

    /// Parses a whole manifest, except the records.
    pub(crate) fn from_manifest(manifest: &str, most_tags: &MostTags) -> Result<Self> {
        let malformed = |error: serde_json::Error| Error::Metadata {
            member: "the manifest".into(),
            expected: "valid JSON (the stored text is at `Reader::manifest_json`)".into(),
            found: shorten_error(&error),
        };
        let (outline, model_info, _) = Outline::read_apart(manifest).map_err(malformed)?;
        let model_info = members::model_info(model_info, most_tags)?;
        let [beside_manifest, beside_model_info, in_file_info] = outline.into_others();
        Ok(Self { model_info, beside_manifest, beside_model_info, in_file_info })
    }

    /// Returns the outline of a manifest with these members.
    pub(crate) fn outline(&self) -> Outline {
        Outline::new(&self.beside_manifest, &self.beside_model_info, &self.in_file_info)
    }

    /// Returns the typed members, with those that the schema does not define in `extra`.
    pub fn model_info(&self) -> &ModelInfo {
        &self.model_info
    }

    /// Returns the typed members, for example to change them and create new metadata.
    pub fn into_model_info(self) -> ModelInfo {
        self.model_info
    }
}

/// A builder for [`Metadata`].
#[derive(Clone, Debug)]
#[must_use]
pub struct MetadataBuilder {
    model_info: ModelInfo,
}

impl MetadataBuilder {
    /// Sets the prompt. The default is empty.
    pub fn prompt(mut self, prompt: impl Into<String>) -> Self {
        self.model_info.prompt = prompt.into();
        self
    }

    /// Sets the time at which the image was made, in ISO 8601. The default is the current time; set
    /// it if equal input must produce equal bytes.
    pub fn date(mut self, date: impl Into<String>) -> Self {
        self.model_info.date = date.into();
        self
    }

    /// Adds a tag, a keyword for finding the image.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.model_info.tags.push(tag.into());
        self
    }

    /// Sets the generation settings.
    pub fn settings(mut self, settings: GenerationSettings) -> Self {
        self.model_info.generation_settings = Some(settings);
        self
    }

    /// Sets the hardware on which the image was made.
    pub fn hardware(mut self, hardware: HardwareInfo) -> Self {
        self.model_info.hardware_info = Some(hardware);
        self
    }

    /// Sets the members that the schema does not define.
    pub fn extra(mut self, extra: Extra) -> Self {
        self.model_info.extra = extra;
        self
    }

    /// Checks the metadata and returns it.
    ///
    /// # Errors
    ///
    /// The same errors as [`Metadata::new`].
    pub fn build(self) -> Result<Metadata> {
        Metadata::new(&self.model_info)
    }
}

/// Returns an error for infinity or NaN. JSON has neither: serde_json would write `null`, and the
/// schema's error message for that would be misleading.
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
            let expected = "a finite number of 0 or more".into();
            Err(Error::Metadata { member, expected, found: number.to_string() })
        }
        None => Ok(()),
    }
}
