//! The contents of a file as `expected.json` describes them. One side writes it next to its files;
//! the other compares the files with it.

use std::path::Path;

use gen5::Environment;
use gen5::chunk::Digest;
use gen5::environment::Component;
use gen5::metadata::{Extra, ModelInfo};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The contents of one file.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Description {
    pub(crate) file: String,
    pub(crate) latents: Vec<DescribedLatent>,
    pub(crate) image_sha256: Option<String>,
    pub(crate) model_info: Box<RawValue>,
    pub(crate) environment: Option<Vec<DescribedComponent>>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct DescribedLatent {
    pub(crate) key: String,
    pub(crate) dtype: String,
    pub(crate) shape: Vec<usize>,
    /// The hash of the values' bytes.
    pub(crate) sha256: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct DescribedComponent {
    pub(crate) component_id: String,
    pub(crate) cononical_str: String,
}

/// Writes `expected.json` into `folder`.
pub(crate) fn save(folder: &Path, descriptions: &[Description]) {
    std::fs::write(folder.join("expected.json"), serde_json::to_vec(descriptions).unwrap()).unwrap();
}

/// Reads `expected.json` in `folder`.
pub(crate) fn load(folder: &Path) -> Vec<Description> {
    serde_json::from_slice(&std::fs::read(folder.join("expected.json")).unwrap()).unwrap()
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

pub(crate) fn describe_environment(environment: &Environment) -> Vec<DescribedComponent> {
    let describe = |component: &Component| DescribedComponent {
        component_id: component.id().to_owned(),
        cononical_str: component.canonical().to_owned(),
    };
    environment.components().iter().map(describe).collect()
}

/// The JSON text of an object, built member by member. The crate's own serialization is under test,
/// so it is not used here.
#[derive(Default)]
struct Object(Vec<String>);

impl Object {
    fn text(mut self, name: &str, value: &str) -> Self {
        self.0.push(format!("{}:{value}", serde_json::to_string(name).unwrap()));
        self
    }

    fn member(self, name: &str, value: &impl Serialize) -> Self {
        self.text(name, &serde_json::to_string(value).unwrap())
    }

    fn optional(self, name: &str, value: Option<&impl Serialize>) -> Self {
        match value {
            Some(value) => self.member(name, value),
            None => self,
        }
    }

    fn extra(self, extra: &Extra) -> Self {
        extra.iter().fold(self, |object, (name, value)| object.text(name, value))
    }

    fn finish(self) -> Box<RawValue> {
        RawValue::from_string(format!("{{{}}}", self.0.join(","))).unwrap()
    }
}

pub(crate) fn describe_model_info(info: &ModelInfo) -> Box<RawValue> {
    let settings = info.generation_settings.as_ref().map(|settings| {
        Object::default()
            .member("seed", &settings.seed)
            .member("steps", &settings.steps)
            .member("sampler", &settings.sampler)
            .optional("cfg_scale", settings.cfg_scale.as_ref())
            .optional("scheduler", settings.scheduler.as_ref())
            .optional("eta", settings.eta.as_ref())
            .optional("guidance", settings.guidance.as_ref())
            .optional("precision", settings.precision.as_ref())
            .optional("deterministic", settings.deterministic.as_ref())
            .extra(&settings.extra)
            .finish()
    });
    let graphics = |gpu: &gen5::metadata::Gpu| {
        Object::default()
            .member("name", &gpu.name)
            .optional("memory_gb", gpu.memory_gb.as_ref())
            .optional("driver", gpu.driver.as_ref())
            .optional("cuda_version", gpu.cuda_version.as_ref())
            .extra(&gpu.extra)
            .finish()
    };
    let hardware = info.hardware_info.as_ref().map(|hardware| {
        let gpus: Option<Vec<_>> = hardware.gpu.as_ref().map(|gpus| gpus.iter().map(graphics).collect());
        Object::default()
            .member("os", &hardware.os)
            .optional("machine_name", hardware.machine_name.as_ref())
            .optional("cpu", hardware.cpu.as_ref())
            .optional("cpu_cores", hardware.cpu_cores.as_ref())
            .optional("ram_gb", hardware.ram_gb.as_ref())
            .optional("gpu", gpus.as_ref())
            .optional("framework", hardware.framework.as_ref())
            .optional("compute_lib", hardware.compute_lib.as_ref())
            .extra(&hardware.extra)
            .finish()
    });
    Object::default()
        .member("model_name", &info.model_name)
        .member("version", &info.version)
        .member("date", &info.date)
        .member("prompt", &info.prompt)
        .member("tags", &info.tags)
        .optional("generation_settings", settings.as_ref())
        .optional("hardware_info", hardware.as_ref())
        .extra(&info.extra)
        .finish()
}
