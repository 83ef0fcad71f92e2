//! From JSON members to typed values, by the rules of the reference's draft-07 schema.

use serde_json::value::RawValue;

use super::extra::Extra;
use super::json::{Integer, for_each_element, is_inexact_integer, parse_number};
use super::model::{GenerationSettings, Gpu, HardwareInfo, ModelInfo};
use crate::error::{Error, Place, Result};
use crate::limits::Limits;
use crate::shorten::{shorten, shorten_error};

/// An object, and what the schema says of it.
pub(crate) enum Object<T> {
    /// It is valid, and this is it.
    Typed(T),
    /// It is valid, but holds more than the fields here can: a seed of 2^70, or thousands of GPUs.
    Valid,
}

/// The members of one object while those that the schema knows are taken out; the others stay in `left`.
struct Members<'p, 't> {
    path: &'p str,
    known: Vec<(&'static str, &'t RawValue)>,
    /// In the place of each known member is a `null`.
    left: Extra,
    /// Whether some value was valid but did not fit its field. Checking goes on all the same.
    unfit: bool,
}

impl<'p, 't> Members<'p, 't> {
    /// `text` has to be an object; `path` is where it stands, for errors. The schema knows these `names`.
    fn new<const N: usize>(path: &'p str, text: &'t str, names: [&'static str; N]) -> Result<Self> {
        // The parser's error would repeat all of a text that is in the place of an object.
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

    /// Takes a member that has to be there.
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

    /// A list of tags: no more than `most`, each of which is an allocation.
    fn tags(&mut self, name: &str, most: &MostTags) -> Result<Option<Vec<String>>> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let (mut tags, mut count) = (Vec::new(), 0_u64);
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

    /// The GPUs of a machine.
    fn gpus(&mut self, name: &str) -> Result<Option<Vec<Gpu>>> {
        let Some(text) = self.take(name) else { return Ok(None) };
        let (mut gpus, mut count, mut unfit) = (Vec::new(), 0_usize, false);
        let read = for_each_element(text, |element| {
            let path = || self.path_of(&format!("{name}[{count}]"));
            // Its path is for errors alone.
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

    /// A number from 0 up. One that a float64 cannot hold is valid, and unfit: too large for it, or an integer past 2^53,
    /// which could come back as its neighbour.
    fn number(&mut self, name: &str) -> Result<Option<f64>> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match parse_number(text) {
            Some(value) if value >= 0.0 => {
                self.unfit |= value.is_infinite() || is_inexact_integer(text);
                Ok(Some(value))
            }
            _ => Err(self.refuse(name, "a number from 0 up", &shorten(text))),
        }
    }

    /// An integer from `minimum` up, which may be spelled as a float: `30.0`. One over what a `u64` holds is valid, and
    /// unfit.
    fn integer(&mut self, name: &str, minimum: u64) -> Result<Option<u64>> {
        let Some(text) = self.take(name) else { return Ok(None) };
        match Integer::parse(text) {
            Some(Integer::Known(value)) if value >= minimum => Ok(Some(value)),
            Some(Integer::Unfit) => {
                self.unfit = true;
                Ok(Some(minimum))
            }
            _ => Err(self.refuse(name, &format!("an integer from {minimum} up"), &shorten(text))),
        }
    }

    /// An object inside this one. One that is valid but unfit stays among the members left over, as text.
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

    /// All that is left, as the `extra` of `value`.
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
        (if is_string { "text that is Unicode (no lone surrogate)" } else { "a string" }, shorten(text))
    })
}

/// How many tags typed metadata may have, each of which is an allocation.
pub(crate) struct MostTags {
    pub(crate) number: u64,
    /// Where the file is that has the metadata, if it is one that is read within limits.
    pub(crate) place: Option<Place>,
}

impl MostTags {
    /// What readers take that nobody gave other limits.
    pub(crate) fn by_default() -> Self {
        Self { number: Limits::default().tags, place: None }
    }

    fn exceeded_by(&self, found: u64) -> Error {
        match &self.place {
            Some(place) => {
                let (name, limit) = ("tags", self.number);
                Error::Limit { place: place.clone(), name, unit: "tags", limit, found }
            }
            None => refuse("tags", &format!("at most {} elements", self.number), &found.to_string()),
        }
    }
}

/// GPUs of a machine that are typed: one of a few characters takes a hundred bytes.
const MOST_GPUS: usize = 1024;

/// `model_info`.
pub(crate) fn model_info(text: &str, most_tags: &MostTags) -> Result<ModelInfo> {
    let names = ["model_name", "version", "date", "prompt", "tags", "generation_settings", "hardware_info"];
    let mut members = Members::new("", text, names)?;
    let model_name = members.required("model_name", Members::string)?;
    let version = members.required("version", Members::string)?;
    let date = members.required("date", Members::string)?;
    let prompt = members.required("prompt", Members::string)?;
    let Some(tags) = members.tags("tags", most_tags)? else {
        return Err(members.refuse("tags", "an array of strings", "missing"));
    };
    let generation_settings = members.object("generation_settings", settings)?;
    let hardware_info = members.object("hardware_info", hardware)?;
    let extra = members.left;
    Ok(ModelInfo { model_name, version, date, prompt, tags, generation_settings, hardware_info, extra })
}

/// `generation_settings`.
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
    let mut members = Members::new(path, text, names)?;
    let seed = members.required("seed", |members, name| members.integer(name, 0))?;
    let steps = members.required("steps", |members, name| members.integer(name, 1))?;
    let sampler = members.required("sampler", Members::string)?;
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

/// `hardware_info`.
pub(crate) fn hardware(path: &str, text: &str) -> Result<Object<HardwareInfo>> {
    let names = ["os", "machine_name", "cpu", "cpu_cores", "ram_gb", "gpu", "framework", "compute_lib"];
    let mut members = Members::new(path, text, names)?;
    let os = members.required("os", Members::string)?;
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

/// An element of `hardware_info.gpu`.
fn graphics(path: &str, text: &str) -> Result<Object<Gpu>> {
    let mut members = Members::new(path, text, ["name", "memory_gb", "driver", "cuda_version"])?;
    let name = members.required("name", Members::string)?;
    let memory_gb = members.number("memory_gb")?;
    let driver = members.string("driver")?;
    let cuda_version = members.string("cuda_version")?;
    Ok(members.finish(|extra| Gpu { name, memory_gb, driver, cuda_version, extra }))
}
