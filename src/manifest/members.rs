//! From JSON members to typed values, by the rules of the reference's draft-07 schema.

use serde_json::value::RawValue;

use super::json::{Extra, Integer, is_inexact_integer, parse_number};
use super::model::{GenerationSettings, Gpu, HardwareInfo, ModelInfo};
use crate::error::{Error, Result};
use crate::shorten::{shorten, shorten_error};

/// An object, and what the schema says of it.
pub(crate) enum Object<T> {
    /// It is valid, and this is it.
    Typed(T),
    /// It is valid, but holds a number that no field here can: a seed of 2^70, say.
    Valid,
}

/// The members of one object while they are taken out, one by one; what is left over is unknown to the schema.
struct Members<'p> {
    path: &'p str,
    left: Extra,
    /// Whether some value was valid but did not fit its field. Checking goes on all the same.
    unfit: bool,
}

impl<'p> Members<'p> {
    /// `text` has to be an object; `path` is where it stands, for errors.
    fn new(path: &'p str, text: &str) -> Result<Self> {
        let left = serde_json::from_str(text).map_err(|error| match text.starts_with('{') {
            true => refuse(path, "an object that is valid JSON", &shorten_error(&error)),
            false => refuse(path, "an object", &shorten(text)),
        })?;
        Ok(Self { path, left, unfit: false })
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
        let Some(raw) = self.left.take(name) else { return Ok(None) };
        parse_string(raw.get()).map(Some).map_err(|(expected, found)| self.refuse(name, expected, &found))
    }

    fn strings(&mut self, name: &str) -> Result<Option<Vec<String>>> {
        let Some(raw) = self.left.take(name) else { return Ok(None) };
        if let Ok(strings) = serde_json::from_str(raw.get()) {
            return Ok(Some(strings));
        }
        let elements: Vec<&RawValue> = serde_json::from_str(raw.get())
            .map_err(|_| self.refuse(name, "an array of strings", &shorten(raw.get())))?;
        let refusal = elements.iter().enumerate().find_map(|(index, element)| {
            let (expected, found) = parse_string(element.get()).err()?;
            Some(self.refuse(&format!("{name}[{index}]"), expected, &found))
        });
        Err(refusal.unwrap_or_else(|| self.refuse(name, "an array of strings", &shorten(raw.get()))))
    }

    /// An array's elements; `None` if the member is missing.
    fn list(&mut self, name: &str, expected: &str) -> Result<Option<Vec<Box<RawValue>>>> {
        let Some(raw) = self.left.take(name) else { return Ok(None) };
        match serde_json::from_str(raw.get()) {
            Ok(list) => Ok(Some(list)),
            Err(_) => Err(self.refuse(name, expected, &shorten(raw.get()))),
        }
    }

    fn boolean(&mut self, name: &str) -> Result<Option<bool>> {
        match self.left.take(name) {
            None => Ok(None),
            Some(raw) => match raw.get() {
                "true" => Ok(Some(true)),
                "false" => Ok(Some(false)),
                other => Err(self.refuse(name, "true or false", &shorten(other))),
            },
        }
    }

    /// A number from 0 up. One that a float64 cannot hold is valid, and unfit: too large for it, or an integer past 2^53,
    /// which could come back as its neighbour.
    fn number(&mut self, name: &str) -> Result<Option<f64>> {
        let Some(raw) = self.left.take(name) else { return Ok(None) };
        match parse_number(raw.get()) {
            Some(value) if value >= 0.0 => {
                self.unfit |= value.is_infinite() || is_inexact_integer(raw.get());
                Ok(Some(value))
            }
            _ => Err(self.refuse(name, "a number from 0 up", &shorten(raw.get()))),
        }
    }

    /// An integer from `minimum` up, which may be spelled as a float: `30.0`. One over what a `u64` holds is valid, and
    /// unfit.
    fn integer(&mut self, name: &str, minimum: u64) -> Result<Option<u64>> {
        let Some(raw) = self.left.take(name) else { return Ok(None) };
        match Integer::parse(raw.get()) {
            Some(Integer::Known(value)) if value >= minimum => Ok(Some(value)),
            Some(Integer::Unfit) => {
                self.unfit = true;
                Ok(Some(minimum))
            }
            _ => Err(self.refuse(name, &format!("an integer from {minimum} up"), &shorten(raw.get()))),
        }
    }

    /// An object inside this one. One that is valid but unfit stays among the members left over, as text.
    fn object<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str, &str) -> Result<Object<T>>,
    ) -> Result<Option<T>> {
        let Some(text) = self.left.get(name) else { return Ok(None) };
        match parse(&self.path_of(name), text)? {
            Object::Typed(value) => {
                self.left.take(name);
                Ok(Some(value))
            }
            Object::Valid => Ok(None),
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

/// `model_info`.
pub(crate) fn model_info(text: &str) -> Result<ModelInfo> {
    let mut members = Members::new("", text)?;
    let model_name = members.required("model_name", Members::string)?;
    let version = members.required("version", Members::string)?;
    let date = members.required("date", Members::string)?;
    let prompt = members.required("prompt", Members::string)?;
    if members.left.get("tags").is_none() {
        return Err(members.refuse("tags", "an array of strings", "missing"));
    }
    let tags = members.required("tags", Members::strings)?;
    let generation_settings = members.object("generation_settings", settings)?;
    let hardware_info = members.object("hardware_info", hardware)?;
    let extra = members.left;
    Ok(ModelInfo { model_name, version, date, prompt, tags, generation_settings, hardware_info, extra })
}

/// `generation_settings`.
pub(crate) fn settings(path: &str, text: &str) -> Result<Object<GenerationSettings>> {
    let mut members = Members::new(path, text)?;
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
    let mut members = Members::new(path, text)?;
    let os = members.required("os", Members::string)?;
    let machine_name = members.string("machine_name")?;
    let cpu = members.string("cpu")?;
    let cpu_cores = members.integer("cpu_cores", 1)?;
    let ram_gb = members.number("ram_gb")?;
    let framework = members.string("framework")?;
    let compute_lib = members.string("compute_lib")?;
    let gpu = match members.list("gpu", "an array of objects")? {
        None => None,
        Some(list) => {
            let mut gpus = Vec::new();
            for (index, raw) in list.iter().enumerate() {
                match graphics(&members.path_of(&format!("gpu[{index}]")), raw.get())? {
                    Object::Typed(gpu) => gpus.push(gpu),
                    Object::Valid => members.unfit = true,
                }
            }
            Some(gpus)
        }
    };
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
    let mut members = Members::new(path, text)?;
    let name = members.required("name", Members::string)?;
    let memory_gb = members.number("memory_gb")?;
    let driver = members.string("driver")?;
    let cuda_version = members.string("cuda_version")?;
    Ok(members.finish(|extra| Gpu { name, memory_gb, driver, cuda_version, extra }))
}
