//! What the manifest says of the image: model, prompt, settings, hardware. Valid by construction.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::json::Extra;
use super::members;
use crate::error::{Error, Result};

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

/// The members of `model_info`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Name of the model: `Stable Diffusion 3`.
    pub model_name: String,
    /// Version of the model: `3.0`.
    pub version: String,
    /// When the image was made, ISO 8601: `2026-11-22T19:20:22.571525+00:00`.
    pub date: String,
    /// The prompt.
    pub prompt: String,
    /// Free words to find the image by.
    pub tags: Vec<String>,
    /// How it was made. Settings that are valid but hold a number that the fields here cannot (a seed of 2^64 and up, an
    /// integer past 2^53 where a float64 is) are kept in `extra` as text, under their own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_settings: Option<GenerationSettings>,
    /// On what it was made. The same holds as for `generation_settings`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware_info: Option<HardwareInfo>,
    /// Members that the schema does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// How an image was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GenerationSettings {
    /// Seed of the random numbers.
    pub seed: u64,
    /// Sampling steps, at least 1.
    pub steps: u64,
    /// Name of the sampler: `ddim`, `euler_ancestral`.
    pub sampler: String,
    /// Classifier-free guidance scale, from 0 up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cfg_scale: Option<f64>,
    /// Name of the noise schedule: `karras`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Amount of noise that DDIM adds back, from 0 up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<f64>,
    /// Kind of guidance: `classifier-free`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance: Option<String>,
    /// Precision of the computation: `fp16`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Whether deterministic algorithms were demanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deterministic: Option<bool>,
    /// Members that the schema does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The machine an image was made on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HardwareInfo {
    /// Operating system.
    pub os: String,
    /// The machine's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_name: Option<String>,
    /// Model of the processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Number of its cores, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<u64>,
    /// Main memory in GB, from 0 up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ram_gb: Option<f64>,
    /// Graphics cards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpu: Option<Vec<Gpu>>,
    /// Framework: `torch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    /// Compute library: `cuda`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_lib: Option<String>,
    /// Members that the schema does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A graphics card.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Gpu {
    /// Model: `NVIDIA A100`.
    pub name: String,
    /// Its memory in GB, from 0 up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_gb: Option<f64>,
    /// Version of its driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Version of CUDA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda_version: Option<String>,
    /// Members that the schema does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ModelInfo {
    /// Name and version of a model; the date is now, the prompt empty, all else absent.
    pub fn new(model_name: impl Into<String>, version: impl Into<String>) -> Self {
        // Microseconds and a numeric offset, as the reference writes it.
        let date = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00").to_string();
        Self {
            model_name: model_name.into(),
            version: version.into(),
            date,
            prompt: String::new(),
            tags: Vec::new(),
            generation_settings: None,
            hardware_info: None,
            extra: Extra::new(),
        }
    }
}

impl GenerationSettings {
    /// The three that are required; all else absent.
    pub fn new(seed: u64, steps: u64, sampler: impl Into<String>) -> Self {
        Self {
            seed,
            steps,
            sampler: sampler.into(),
            cfg_scale: None,
            scheduler: None,
            eta: None,
            guidance: None,
            precision: None,
            deterministic: None,
            extra: Extra::new(),
        }
    }
}

impl HardwareInfo {
    /// The one that is required; all else absent.
    pub fn new(os: impl Into<String>) -> Self {
        Self {
            os: os.into(),
            machine_name: None,
            cpu: None,
            cpu_cores: None,
            ram_gb: None,
            gpu: None,
            framework: None,
            compute_lib: None,
            extra: Extra::new(),
        }
    }
}

impl Gpu {
    /// The one that is required; all else absent.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), memory_gb: None, driver: None, cuda_version: None, extra: Extra::new() }
    }
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
    /// negative, infinite or NaN), or that stands in an `extra` under a name that is the schema's own.
    pub fn new(model_info: ModelInfo) -> Result<Self> {
        // What serializes to JSON that the schema accepts is valid, so one set of rules serves for both ways in. The
        // only things that JSON would hide are floats that it cannot express, and members that stand twice.
        check_finite(&model_info)?;
        let text = to_text(&model_info)?;
        members::model_info(&text)?;
        Ok(Self::of(model_info))
    }

    /// Reads the JSON text of a `model_info` object. It is accepted just when the reference's schema accepts it.
    ///
    /// # Errors
    ///
    /// [`Error::Metadata`] with the first member that is not as the schema has it, or that this crate cannot take in:
    /// text with a lone surrogate, a member given twice.
    pub fn from_json(model_info: &str) -> Result<Self> {
        members::model_info(model_info).map(Self::of)
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
    pub(crate) fn from_manifest(manifest: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow)]
            gen5_metadata: &'a RawValue,
        }
        let malformed = |error: serde_json::Error| Error::Metadata {
            member: "the manifest".into(),
            expected: "valid JSON (the stored text is at `Reader::manifest_json`)".into(),
            found: error.to_string(),
        };
        let mut beside_manifest: Extra = serde_json::from_str(manifest).map_err(malformed)?;
        beside_manifest.take("gen5_metadata");
        let body: Body<'_> = serde_json::from_str(manifest).map_err(malformed)?;
        let mut body: Extra = serde_json::from_str(body.gen5_metadata.get()).map_err(malformed)?;
        body.take("chunks");
        let model_info = body.remove("model_info").unwrap_or_default();
        let file_info = body.remove("file_info").unwrap_or_default();
        let mut in_file_info: Extra = serde_json::from_str(&file_info).map_err(malformed)?;
        for known in ["magic", "version_major", "version_minor", "file_size", "chunk_count"] {
            in_file_info.take(known);
        }
        let model_info = members::model_info(&model_info)?;
        Ok(Self { model_info, beside_manifest, beside_model_info: body, in_file_info })
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
        Metadata::new(self.model_info)
    }
}

/// JSON has no infinity and no NaN: serde_json would write `null`, which the schema refuses in words that mislead.
fn check_finite(model_info: &ModelInfo) -> Result<()> {
    let settings = model_info.generation_settings.iter();
    let hardware = model_info.hardware_info.iter();
    let gpus = hardware.clone().flat_map(|hardware| hardware.gpu.iter().flatten());
    let numbers = settings
        .flat_map(|settings| {
            [("generation_settings.cfg_scale", settings.cfg_scale), ("generation_settings.eta", settings.eta)]
        })
        .chain(hardware.map(|hardware| ("hardware_info.ram_gb", hardware.ram_gb)))
        .chain(gpus.map(|gpu| ("hardware_info.gpu.memory_gb", gpu.memory_gb)));
    for (member, number) in numbers {
        if let Some(number) = number.filter(|number| !number.is_finite()) {
            let expected = "a finite number from 0 up".into();
            return Err(Error::Metadata { member: member.into(), expected, found: number.to_string() });
        }
    }
    Ok(())
}

fn to_text(model_info: &ModelInfo) -> Result<String> {
    serde_json::to_string(model_info).map_err(|error| Error::Metadata {
        member: "model_info".into(),
        expected: "values that JSON can express".into(),
        found: error.to_string(),
    })
}
