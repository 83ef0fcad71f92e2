//! The metadata that `pack` stores. Flags take precedence over a metadata file, which takes
//! precedence over the image's text.

use std::path::Path;

use anyhow::{Context, Result};
use gen5::metadata::Extra;
use gen5::{Metadata, Reader};

use crate::embedded::{members, without_bare_words};
use crate::failure::usage_error;
use crate::input::Inputs;
use crate::metadata::image_text::ImageText;
use crate::metadata::origins::{SOURCES, leave_out_foreign};
use crate::options::MetadataArgs;
use crate::output::Output;
use crate::suggest;
use crate::terminal::shown;

/// The object of the generation settings.
pub(crate) const SETTINGS: &str = "generation_settings";

/// The object of the hardware.
pub(crate) const HARDWARE: &str = "hardware_info";

/// The members of `model_info` whose values are always text, by the object that contains them, if
/// any. All except `negative_prompt` are defined by the format.
const TEXTS: [(Option<&str>, &[&str]); 3] = [
    (None, &["model_name", "version", "date", "prompt"]),
    (Some(SETTINGS), &["sampler", "scheduler", "guidance", "precision", "negative_prompt"]),
    (Some(HARDWARE), &["os", "machine_name", "cpu", "framework", "compute_lib"]),
];

/// The known members whose values are not text.
const OTHERS: [(Option<&str>, &[&str]); 2] = [
    (Some(SETTINGS), &["seed", "steps", "cfg_scale", "eta", "deterministic"]),
    (Some(HARDWARE), &["cpu_cores", "ram_gb", "gpu"]),
];

/// Whether a list contains a member.
fn is_among(list: &[(Option<&str>, &[&str])], object: Option<&str>, name: &str) -> bool {
    list.iter().any(|(known, names)| *known == object && names.contains(&name))
}

/// Whether a name is a known setting.
pub(crate) fn is_setting(name: &str) -> bool {
    [&TEXTS[..], &OTHERS].iter().any(|list| is_among(list, Some(SETTINGS), name))
}

/// The metadata from the given file, with overrides from flags, completed from the texts of the
/// image and of latents. `sources` is the record of the latents' source files.
pub(crate) fn metadata(
    args: &MetadataArgs,
    texts: &[ImageText],
    sources: Option<&str>,
    input: &Inputs<'_>,
    output: &mut Output<'_>,
) -> Result<Metadata> {
    let mut model_info = Extra::new();
    if let Some(path) = &args.metadata {
        model_info = read_model_info(path, input)?;
        leave_out_foreign(&mut model_info, &Extra::new(), path, output);
    }
    let base = Base::of(&model_info, args.metadata.as_deref(), &[]);
    override_by_flags(&mut model_info, args)?;
    if let Some(sources) = sources {
        model_info.insert_json(SOURCES, sources)?;
    }
    for text in texts {
        text.fill(&mut model_info, output)?;
    }
    complete(&mut model_info)?;
    let text = model_info.to_json()?;
    // It uses as much memory as its text.
    drop(model_info);
    Metadata::from_json(&text).map_err(|error| base.refuse(error, &args.settings, "--set "))
}

/// The metadata before changes by flags, and its origin, which decides who is at fault if the
/// result is rejected.
pub(crate) struct Base<'a> {
    path: Option<&'a Path>,
    /// The objects that the metadata contains.
    objects: Vec<&'static str>,
    /// The members to remove.
    unset: &'a [String],
}

impl<'a> Base<'a> {
    /// Describes `model_info` before the members in `unset` are removed.
    pub(crate) fn of(model_info: &Extra, path: Option<&'a Path>, unset: &'a [String]) -> Self {
        let objects =
            [SETTINGS, HARDWARE].into_iter().filter(|object| model_info.get(object).is_some()).collect();
        Self { path, objects, unset }
    }

    /// Turns an error caused by the command line into a usage error; any other is an error of the
    /// file. `flag` is the option that sets a missing setting.
    pub(crate) fn refuse(&self, error: gen5::Error, assignments: &[String], flag: &str) -> anyhow::Error {
        let gen5::Error::Metadata { member, found, .. } = &error else { return error.into() };
        let is_missing = found == "missing";
        let is_usage = is_assigned(member, assignments)
            || is_missing && (self.path.is_none() || self.is_unset(member) || !self.has_object_of(member));
        let hint = match member.strip_prefix(SETTINGS).and_then(|name| name.strip_prefix('.')) {
            Some(name) if is_missing => format!(" (give {flag}{name}=…)"),
            _ => String::new(),
        };
        match self.path {
            _ if is_usage => usage_error(format!("{error}{hint}")),
            Some(path) => anyhow::anyhow!("{}: {error}{hint}", shown(path)),
            None => error.into(),
        }
    }

    fn is_unset(&self, member: &str) -> bool {
        let (object, name) = member.split_once('.').unwrap_or((member, member));
        self.unset.iter().any(|unset| [member, object, name].contains(&unset.as_str()))
    }

    /// Whether the metadata contains the object of a member, if it is in one.
    fn has_object_of(&self, member: &str) -> bool {
        member.split_once('.').is_none_or(|(object, _)| self.objects.contains(&object))
    }
}

/// Whether one of the assignments sets a member.
fn is_assigned(member: &str, assignments: &[String]) -> bool {
    // The error may name an element of an array.
    let member = member.split_once('[').map_or(member, |(array, _)| array);
    let last = member.rsplit('.').next();
    let is_it =
        |text: &String| split_assignment(text).is_some_and(|(name, _)| name == member || Some(name) == last);
    assignments.iter().any(is_it)
}

/// Sets the members given by flags.
fn override_by_flags(model_info: &mut Extra, args: &MetadataArgs) -> Result<()> {
    let texts = [
        ("model_name", &args.model_name),
        ("version", &args.model_version),
        ("prompt", &args.prompt),
        ("date", &args.date),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            assign(model_info, None, name, value)?;
        }
    }
    if !args.tags.is_empty() {
        model_info.insert("tags", &args.tags)?;
    }
    if !args.settings.is_empty() {
        let mut settings = object(model_info, SETTINGS)?;
        for setting in &args.settings {
            let (name, value) = split_assignment(setting).ok_or_else(|| {
                usage_error(format!("--set {setting}: expected NAME=VALUE, such as seed=42"))
            })?;
            assign(&mut settings, Some(SETTINGS), name, value)?;
        }
        model_info.insert(SETTINGS, &settings)?;
    }
    Ok(())
}

/// Whether it is an ISO 8601 date, or a date and time with or without an offset from UTC.
fn is_iso_8601(date: &str) -> bool {
    date.parse::<jiff::Timestamp>().is_ok() || date.parse::<jiff::civil::DateTime>().is_ok()
}

/// Fills in optional members, and rejects the metadata if a required one is missing.
fn complete(model_info: &mut Extra) -> Result<()> {
    for (name, flag) in [("model_name", "--model-name NAME"), ("version", "--model-version VERSION")] {
        if model_info.get(name).is_none() {
            let problem =
                format!("the model's {name} is missing: give {flag}, or a --metadata file that has it");
            return Err(usage_error(problem));
        }
    }
    // Members that are left out have the values of a new `Metadata`.
    let defaults = Metadata::builder("", "").build()?;
    let defaults = defaults.model_info();
    if model_info.get("prompt").is_none() {
        model_info.insert("prompt", &defaults.prompt)?;
    }
    if model_info.get("tags").is_none() {
        model_info.insert("tags", &defaults.tags)?;
    }
    if model_info.get("date").is_none() {
        model_info.insert("date", &defaults.date)?;
    }
    Ok(())
}

/// The stored metadata. It may be invalid, and the command may be there to repair it.
pub(crate) fn stored_model_info(reader: &Reader, path: &Path, output: &mut Output<'_>) -> Result<Extra> {
    let text = reader.model_info_json();
    let strict = without_bare_words(text);
    let model_info = members(&strict).with_context(|| {
        let file = shown(path);
        format!(
            "{file}: its metadata cannot be changed, because it is not a JSON object; `gen5 set \
             --metadata FILE.json` replaces it"
        )
    })?;
    if strict != text {
        let file = shown(path);
        output.note(&format!(
            "{file}: NaN and Infinity in its metadata become null, because JSON cannot express them"
        ));
    }
    Ok(model_info)
}

/// The members of `model_info` from a JSON file that contains them directly or in a whole manifest.
pub(crate) fn read_model_info(path: &Path, inputs: &Inputs<'_>) -> Result<Extra> {
    let text = inputs.read_text(path)?;
    let parse = |text: &str| -> Result<Extra> {
        members(text).map_err(|error| {
            if text.trim_start().starts_with('{') {
                anyhow::anyhow!("{} is not a JSON object: {error}", shown(path))
            } else {
                anyhow::anyhow!("{} is not a JSON object", shown(path))
            }
        })
    };
    let mut members = parse(&text)?;
    match members.remove("gen5_metadata") {
        None => Ok(members),
        Some(manifest) => {
            let model_info = parse(&manifest)?.remove("model_info");
            parse(&model_info.with_context(|| format!("{} has no model_info", shown(path)))?)
        }
    }
}

/// The known name that an unknown one most likely means.
pub(crate) fn likely_meant(name: &str) -> Option<&'static str> {
    let known = TEXTS.iter().chain(&OTHERS).flat_map(|(_, names)| *names).chain(&["tags"]);
    suggest::likely_meant(name, known.copied())
}

/// The two sides of `NAME=VALUE`.
pub(crate) fn split_assignment(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(name, _)| !name.is_empty())
}

/// Sets a member of `model_info`, or of an object in it. Text members take text, other known
/// members take JSON, and unknown members take either.
pub(crate) fn assign(members: &mut Extra, object: Option<&str>, name: &str, value: &str) -> Result<()> {
    if is_among(&TEXTS, object, name) {
        if name == "date" && !is_iso_8601(value) {
            return Err(usage_error(format!(
                "date {value:?}: expected ISO 8601, such as 2026-11-22T19:20:22+00:00"
            )));
        }
        return Ok(members.insert(name, &value)?);
    }
    match members.insert_json(name, value) {
        Ok(()) => Ok(()),
        Err(_) if is_among(&OTHERS, object, name) => {
            let expected = match name {
                "deterministic" => "true or false",
                "gpu" => "a JSON array",
                _ => "a number",
            };
            Err(usage_error(format!("{name}: {value:?} is not {expected}")))
        }
        Err(_) => Ok(members.insert(name, &value)?),
    }
}

/// The members of an object in `model_info`; empty if it is missing.
pub(crate) fn object(model_info: &Extra, name: &str) -> Result<Extra> {
    match model_info.get(name) {
        Some(text) => members(text).with_context(|| format!("{name} is not an object")),
        None => Ok(Extra::new()),
    }
}
