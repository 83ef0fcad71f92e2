//! The metadata that `pack` stores: what flags say, else what a file says, else what the image's text says.

use std::path::Path;

use anyhow::{Context, Result};
use gen5::{Extra, Metadata};

use super::image_text::ImageText;
use super::{Output, of_file, read_text};
use crate::args::MetadataArgs;
use crate::failure::UsageError;
use crate::terminal::shown;

/// The settings whose values are text, whatever they look like.
const TEXT_SETTINGS: [&str; 4] = ["sampler", "scheduler", "guidance", "precision"];

/// The settings whose values are none.
const OTHER_SETTINGS: [&str; 5] = ["seed", "steps", "cfg_scale", "eta", "deterministic"];

/// The metadata from the file that is given, the flags that override it, and the image's text, which fills what is left.
pub(super) fn metadata(
    args: &MetadataArgs,
    text: Option<&ImageText>,
    output: &mut Output<'_>,
) -> Result<Metadata> {
    let mut model_info = match &args.metadata {
        Some(path) => read_model_info(path)?,
        None => Extra::new(),
    };
    override_by_flags(&mut model_info, args)?;
    if let Some(text) = text {
        text.fill(&mut model_info, output)?;
    }
    complete(&mut model_info)?;
    let text = serde_json::to_string(&model_info)?;
    Metadata::from_json(&text).map_err(|error| match &error {
        gen5::Error::Metadata { member, found, .. } if found == "missing" => {
            let name = member.rsplit('.').next().unwrap_or_default();
            let hint = if member.starts_with("generation_settings.") {
                format!("{error} (give --set {name}=…)")
            } else {
                error.to_string()
            };
            UsageError(hint).into()
        }
        _ => match &args.metadata {
            Some(path) => of_file(error, path),
            None => error.into(),
        },
    })
}

/// Sets the members that flags give.
fn override_by_flags(model_info: &mut Extra, args: &MetadataArgs) -> Result<()> {
    let texts = [
        ("model_name", &args.model_name),
        ("version", &args.model_version),
        ("prompt", &args.prompt),
        ("date", &args.date),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            if name == "date" && !is_iso_8601(value) {
                let problem = format!("--date {value}: expected ISO 8601, such as 2026-11-22T19:20:22+00:00");
                return Err(UsageError(problem).into());
            }
            model_info.insert(name, value)?;
        }
    }
    if !args.tags.is_empty() {
        model_info.insert("tags", &args.tags)?;
    }
    if !args.settings.is_empty() {
        let mut settings = match model_info.get("generation_settings") {
            Some(text) => serde_json::from_str(text).context("generation_settings is not an object")?,
            None => Extra::new(),
        };
        for setting in &args.settings {
            set(&mut settings, setting)?;
        }
        model_info.insert("generation_settings", &settings)?;
    }
    Ok(())
}

/// A date, or a date and a time, with an offset from UTC or without.
fn is_iso_8601(date: &str) -> bool {
    date.parse::<jiff::Timestamp>().is_ok() || date.parse::<jiff::civil::DateTime>().is_ok()
}

/// Fills in what may be left out, and refuses what may not.
fn complete(model_info: &mut Extra) -> Result<()> {
    for (name, flag) in [("model_name", "--model-name NAME"), ("version", "--model-version VERSION")] {
        if model_info.get(name).is_none() {
            let problem =
                format!("the model's {name} is missing: give {flag}, or a --metadata file that has it");
            return Err(UsageError(problem).into());
        }
    }
    // What a fresh `Metadata` has for these is what is meant when nothing is said.
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

/// The members of `model_info` from a file that has them, bare or inside a whole manifest.
fn read_model_info(path: &Path) -> Result<Extra> {
    let text = read_text(path)?;
    let parse = |text: &str| -> Result<Extra> {
        serde_json::from_str(text).map_err(|error| match text.trim_start().starts_with('{') {
            true => anyhow::anyhow!("{} is no JSON object: {error}", shown(path)),
            false => anyhow::anyhow!("{} is no JSON object", shown(path)),
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

/// Takes in `NAME=VALUE`: text for the settings that are text, JSON for the others that are known, and either for those
/// that are not.
fn set(settings: &mut Extra, setting: &str) -> Result<()> {
    let usage = |problem: String| anyhow::Error::from(UsageError(problem));
    let (name, value) = setting
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| usage(format!("--set {setting}: expected NAME=VALUE, such as seed=42")))?;
    if TEXT_SETTINGS.contains(&name) {
        return Ok(settings.insert(name, &value)?);
    }
    match settings.insert_json(name, value) {
        Ok(()) => Ok(()),
        Err(_) if OTHER_SETTINGS.contains(&name) => {
            let expected = if name == "deterministic" { "true or false" } else { "a number" };
            Err(usage(format!("--set {setting}: {value:?} is not {expected}")))
        }
        Err(_) => Ok(settings.insert(name, &value)?),
    }
}
