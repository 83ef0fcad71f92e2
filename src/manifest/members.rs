//! Converts JSON members into typed values, by the rules of the reference's draft-07 schema.

use serde_json::value::RawValue;

use super::extra::Extra;
use super::json::{Integer, for_each_element, is_inexact_integer, parse_number};
use super::model::{GenerationSettings, Gpu, HardwareInfo, ModelInfo};
use crate::error::{Error, Place, Result};
use crate::excerpt::{shorten, shorten_error};
use crate::limits::Limits;

/// The result of checking an object against the schema.
pub(crate) enum Object<T> {
    /// It is valid, with this typed value.
    Typed(T),
    /// It is valid, but these fields cannot represent it: a seed of 2^70, or thousands of GPUs.
    Valid,
}

/// The members of one object. Those that the schema defines are taken out one by one, and the
/// others stay in `left`.
struct ObjectMembers<'p, 't> {
    path: &'p str,
    known: Vec<(&'static str, &'t RawValue)>,
    /// Each known member is `null` here.
    left: Extra,
    /// Whether some value was valid but did not fit its field. Checking continues in that case.
    unfit: bool,
}

impl<'p, 't> ObjectMembers<'p, 't> {
    /// Parses `text`, which must be an object. `path` is its location for error messages, and
    /// `names` are the members that the schema defines.
    fn new<const N: usize>(path: &'p str, text: &'t str, names: [&'static str; N]) -> Result<Self> {
        // If the text is not an object, the parser's error would repeat all of it.
        if !text.trim_ascii_start().starts_with('{') {
            return Err(refuse(path, "an object", &shorten(text)));
        }
        let (left, values) = Extra::read_apart(text, names)
            .map_err(|error| refuse(path, "an object that is valid JSON", &shorten_error(&error)))?;
        let known = names.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?)));
        Ok(Self { path, known: known.collect(), left, unfit: false })
    }

    fn get(&self, name: &str) -> Option<&'t str> {
        self.known.iter().find(|(known, _)| *known == name).map(|(_, value)| value.get())
    }

    fn take(&mut self, name: &str) -> Option<&'t str> {
        let value = self.get(name)?;
        self.known.retain(|(known, _)| *known != name);
        self.left.discard(name);
        Some(value)
    }

    fn refuse(&self, name: &str, expected: &str, found: &str) -> Error {
        refuse(&self.path_of(name), expected, found)
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a required member.
    fn required<T>(
        &mut self,
        name: &str,
        take: impl FnOnce(&mut Self, &str) -> Result<Option<T>>,
    ) -> Result<T> {
        take(self, name)?.ok_or_else(|| self.refuse(name, "a value", "missing"))
    }

    fn string(&mut self, name: &str) -> Result<Option<String>> {
        let Some(text) = self.take(name) else { return Ok(None) };
        parse_string(text).map(Some).map_err(|(expected, found)| self.refuse(name, expected, &found))
    }

    /// Takes a list of at most `most` tags, each of which is an allocation.
    fn tags(&mut self, name: &str, most: &MostTags) -> Result<Option<Vec<String>>> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let mut tags = Vec::new();
        let mut count = 0_u64;
        let read = for_each_element(text, |element| {
            let tag = parse_string(element.get());
            let tag =
                tag.map_err(|(expected, found)| self.refuse(&format!("{name}[{count}]"), expected, &found))?;
            count += 1;
            if count <= most.number {
                tags.push(tag);
            }
            Ok(())
        });
        read.map_err(|_| self.refuse(name, "an array of strings", &shorten(text)))??;
        if count > most.number { Err(most.exceeded_by(count)) } else { Ok(Some(tags)) }
    }

    /// Takes the GPUs of a machine.
    fn gpus(&mut self, name: &str) -> Result<Option<Vec<Gpu>>> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let mut gpus = Vec::new();
        let mut count = 0_usize;
        let mut unfit = false;
        let read = for_each_element(text, |element| {
            let path = || self.path_of(&format!("{name}[{count}]"));
            // The path is only needed for errors.
            let gpu = graphics("", element.get()).or_else(|_| graphics(&path(), element.get()))?;
            count += 1;
            match gpu {
                Object::Typed(gpu) if count <= MOST_GPUS => gpus.push(gpu),
                _ => unfit = true,
            }
            Ok(())
        });
        read.map_err(|_| self.refuse(name, "an array of objects", &shorten(text)))??;
        self.unfit |= unfit;
        Ok(Some(gpus))
    }

    fn boolean(&mut self, name: &str) -> Result<Option<bool>> {
        match self.take(name) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(self.refuse(name, "true or false", &shorten(other))),
        }
    }

    /// Takes a number that is at least 0.
    ///
    /// A number that an f64 cannot represent is valid but unfit: it is too large, or an integer
    /// above 2^53, which could be read back as its neighbour.
    fn number(&mut self, name: &str) -> Result<Option<f64>> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match parse_number(text) {
            Some(value) if value >= 0.0 => {
                self.unfit |= value.is_infinite() || is_inexact_integer(text);
                Ok(Some(value))
            }
            _ => Err(self.refuse(name, "a number of 0 or more", &shorten(text))),
        }
    }

    /// Takes an integer of at least `minimum`, which may be written as a float: `30.0`. An integer
    /// that does not fit into a `u64` is valid but unfit.
    fn integer(&mut self, name: &str, minimum: u64) -> Result<Option<u64>> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match Integer::parse(text) {
            Some(Integer::Known(value)) if value >= minimum => Ok(Some(value)),
            Some(Integer::Unfit) => {
                self.unfit = true;
                Ok(Some(minimum))
            }
            _ => Err(self.refuse(name, &format!("an integer of {minimum} or more"), &shorten(text))),
        }
    }

    /// Takes an object inside this one. A valid but unfit object stays among the other members, as
    /// text.
    fn object<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str, &str) -> Result<Object<T>>,
    ) -> Result<Option<T>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match parse(&self.path_of(name), text)? {
            Object::Typed(value) => {
                self.take(name);
                Ok(Some(value))
            }
            Object::Valid => {
                self.left.put(name, text);
                Ok(None)
            }
        }
    }

    /// Returns the value, with all other members as its `extra`.
    fn finish<T>(self, value: impl FnOnce(Extra) -> T) -> Object<T> {
        if self.unfit { Object::Valid } else { Object::Typed(value(self.left)) }
    }
}

fn refuse(member: &str, expected: &str, found: &str) -> Error {
    let member = if member.is_empty() { "model_info" } else { member };
    Error::Metadata { member: member.into(), expected: expected.into(), found: found.into() }
}

fn parse_string(text: &str) -> Result<String, (&'static str, String)> {
    serde_json::from_str(text).map_err(|_| {
        let is_string = text.starts_with('"');
        (if is_string { "Unicode text without a lone surrogate" } else { "a string" }, shorten(text))
    })
}

/// The maximum number of tags in typed metadata. Each tag is an allocation.
pub(crate) struct MostTags {
    pub(crate) number: u64,
    /// The place of the metadata, if it comes from a file that is read with limits.
    pub(crate) place: Option<Place>,
}

impl MostTags {
    /// Returns the default limit.
    pub(crate) fn by_default() -> Self {
        Self { number: Limits::default().tags, place: None }
    }

    fn exceeded_by(&self, found: u64) -> Error {
        match &self.place {
            Some(place) => Error::limit(place.clone(), "tags", "tags", self.number, found),
            None => refuse("tags", &format!("at most {} elements", self.number), &found.to_string()),
        }
    }
}

/// The maximum number of typed GPUs: one with a few characters of text takes a hundred bytes.
const MOST_GPUS: usize = 1024;

/// Parses `model_info`.
pub(crate) fn model_info(text: &str, most_tags: &MostTags) -> Result<ModelInfo> {
    let names = ["model_name", "version", "date", "prompt", "tags", "generation_settings", "hardware_info"];
    let mut members = ObjectMembers::new("", text, names)?;
    let model_name = members.required("model_name", ObjectMembers::string)?;
    let version = members.required("version", ObjectMembers::string)?;
    let date = members.required("date", ObjectMembers::string)?;
    let prompt = members.required("prompt", ObjectMembers::string)?;
    let Some(tags) = members.tags("tags", most_tags)? else {
        return Err(members.refuse("tags", "an array of strings", "missing"));
    };
    let generation_settings = members.object("generation_settings", settings)?;
    let hardware_info = members.object("hardware_info", hardware)?;
    let extra = members.left;
    Ok(ModelInfo { model_name, version, date, prompt, tags, generation_settings, hardware_info, extra })
}

/// Parses `generation_settings`.
pub(crate) fn settings(path: &str, text: &str) -> Result<Object<GenerationSettings>> {
    let names = [
        "seed",
        "steps",
        "sampler",
        "cfg_scale",
        "scheduler",
        "eta",
        "guidance",
        "precision",
        "deterministic",
    ];
    let mut members = ObjectMembers::new(path, text, names)?;
    let seed = members.required("seed", |members, name| members.integer(name, 0))?;
    let steps = members.required("steps", |members, name| members.integer(name, 1))?;
    let sampler = members.required("sampler", ObjectMembers::string)?;
    let cfg_scale = members.number("cfg_scale")?;
    let scheduler = members.string("scheduler")?;
    let eta = members.number("eta")?;
    let guidance = members.string("guidance")?;
    let precision = members.string("precision")?;
    let deterministic = members.boolean("deterministic")?;
    Ok(members.finish(|extra| GenerationSettings {
        seed,
        steps,
        sampler,
        cfg_scale,
        scheduler,
        eta,
        guidance,
        precision,
        deterministic,
        extra,
    }))
}

/// Parses `hardware_info`.
pub(crate) fn hardware(path: &str, text: &str) -> Result<Object<HardwareInfo>> {
    let names = ["os", "machine_name", "cpu", "cpu_cores", "ram_gb", "gpu", "framework", "compute_lib"];
    let mut members = ObjectMembers::new(path, text, names)?;
    let os = members.required("os", ObjectMembers::string)?;
    let machine_name = members.string("machine_name")?;
    let cpu = members.string("cpu")?;
    let cpu_cores = members.integer("cpu_cores", 1)?;
    let ram_gb = members.number("ram_gb")?;
    let framework = members.string("framework")?;
    let compute_lib = members.string("compute_lib")?;
    let gpu = members.gpus("gpu")?;
    Ok(members.finish(|extra| HardwareInfo {
        os,
        machine_name,
        cpu,
        cpu_cores,
        ram_gb,
        gpu,
        framework,
        compute_lib,
        extra,
    }))
}

/// Parses an element of `hardware_info.gpu`.
fn graphics(path: &str, text: &str) -> Result<Object<Gpu>> {
    let mut members = ObjectMembers::new(path, text, ["name", "memory_gb", "driver", "cuda_version"])?;
    let name = members.required("name", ObjectMembers::string)?;
    let memory_gb = members.number("memory_gb")?;
    let driver = members.string("driver")?;
    let cuda_version = members.string("cuda_version")?;
    Ok(members.finish(|extra| Gpu { name, memory_gb, driver, cuda_version, extra }))
}
