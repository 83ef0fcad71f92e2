//! The manifest's description of the image: model, prompt, settings, hardware. These types have
//! public fields and do not check them.

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
    /// When the image was made, in ISO 8601: `2026-11-22T19:20:22.571525+00:00`. Like the reference
    /// schema, this accepts any text.
    pub date: String,
    /// The prompt.
    pub prompt: String,
    /// Keywords for finding the image.
    pub tags: Vec<String>,
    /// The settings with which the image was made. Valid settings with a number that these fields
    /// cannot represent are kept in `extra` as text, under their own name: a seed of 2^64 or more,
    /// or an integer above 2^53 in a float field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation_settings: Option<GenerationSettings>,
    /// The hardware on which the image was made. The same rule applies as for
    /// `generation_settings`, and hardware with more than 1,024 GPUs is also kept in `extra`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardware_info: Option<HardwareInfo>,
    /// Members that the schema does not define.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The settings with which an image was made.
///
/// ```
/// let settings = gen5::metadata::GenerationSettings::new(42, 50, "ddim").cfg_scale(7.5).scheduler("karras");
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
    /// Classifier-free guidance scale, at least 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cfg_scale: Option<f64>,
    /// Name of the noise schedule: `karras`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduler: Option<String>,
    /// Amount of noise that DDIM adds back, at least 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eta: Option<f64>,
    /// Kind of guidance: `classifier-free`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guidance: Option<String>,
    /// Precision of the computation: `fp16`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<String>,
    /// Whether deterministic algorithms were required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deterministic: Option<bool>,
    /// Members that the schema does not define.
    #[serde(flatten)]
    pub extra: Extra,
}

/// The machine on which an image was made.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HardwareInfo {
    /// Operating system.
    pub os: String,
    /// Name of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine_name: Option<String>,
    /// Model of the processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Number of CPU cores, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<u64>,
    /// Main memory in GB, at least 0.
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
    /// Members that the schema does not define.
    #[serde(flatten)]
    pub extra: Extra,
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Gpu {
    /// Model: `NVIDIA A100`.
    pub name: String,
    /// Memory in GB, at least 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_gb: Option<f64>,
    /// Version of the driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Version of CUDA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cuda_version: Option<String>,
    /// Members that the schema does not define.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ModelInfo {
    /// Creates model info with the name and version of a model, the current time, and an empty
    /// prompt. All other members are absent.
    pub fn new(model_name: impl Into<String>, version: impl Into<String>) -> Self {
        // Microseconds and a numeric offset, like the reference implementation.
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
    /// Creates settings with the three required members: seed, steps and sampler. All others are
    /// absent.
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

    /// Sets whether deterministic algorithms were required.
    #[must_use]
    pub fn deterministic(self, deterministic: bool) -> Self {
        Self { deterministic: Some(deterministic), ..self }
    }
}

impl HardwareInfo {
    /// Creates hardware info with the one required member, the operating system. All others are
    /// absent.
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
    /// Creates a GPU with the one required member, its model name. All others are absent.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), memory_gb: None, driver: None, cuda_version: None, extra: Extra::new() }
    }
}
