//! What the manifest says of the image: model, prompt, settings, hardware. Records with public fields, not checked here.

use serde::Serialize;

use super::extra::Extra;

/// The members of `model_info`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Name of the model: `Stable Diffusion 3`.
    pub model_name: String,
    /// Version of the model: `3.0`.
    pub version: String,
    /// When the image was made, ISO 8601: `2026-11-22T19:20:22.571525+00:00`. As in the reference's schema, any text is
    /// taken.
    pub date: String,
    /// The prompt.
    pub prompt: String,
    /// Free words to find the image by.
    pub tags: Vec<String>,
    /// How it was made. Settings that are valid but hold a number that the fields here cannot (a seed of 2^64 and up, an
    /// integer past 2^53 where a float64 is) are kept in `extra` as text, under their own name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_settings: Option<GenerationSettings>,
    /// On what it was made. The same holds as for `generation_settings`; hardware of more than 1,024 GPUs is kept in `extra`,
    /// too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware_info: Option<HardwareInfo>,
    /// Members that the schema does not know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// How an image was made.
///
/// ```
/// let settings = gen5::GenerationSettings::new(42, 50, "ddim").cfg_scale(7.5).scheduler("karras");
/// assert_eq!(settings.cfg_scale, Some(7.5));
/// ```
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
    /// GPUs.
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

/// A GPU.
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
    /// The three that are required: seed, steps, sampler; all else absent.
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

    /// Sets the classifier-free guidance scale.
    #[must_use]
    pub fn cfg_scale(self, cfg_scale: f64) -> Self {
        Self { cfg_scale: Some(cfg_scale), ..self }
    }

    /// Sets the noise schedule.
    #[must_use]
    pub fn scheduler(self, scheduler: impl Into<String>) -> Self {
        Self { scheduler: Some(scheduler.into()), ..self }
    }

    /// Sets the amount of noise that DDIM adds back.
    #[must_use]
    pub fn eta(self, eta: f64) -> Self {
        Self { eta: Some(eta), ..self }
    }

    /// Sets the kind of guidance.
    #[must_use]
    pub fn guidance(self, guidance: impl Into<String>) -> Self {
        Self { guidance: Some(guidance.into()), ..self }
    }

    /// Sets the precision of the computation.
    #[must_use]
    pub fn precision(self, precision: impl Into<String>) -> Self {
        Self { precision: Some(precision.into()), ..self }
    }

    /// Says whether deterministic algorithms were demanded.
    #[must_use]
    pub fn deterministic(self, deterministic: bool) -> Self {
        Self { deterministic: Some(deterministic), ..self }
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
