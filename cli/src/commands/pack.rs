//! `gen5 pack`: a file of latents, image and metadata.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use gen5::{
    Captured, Compression, Dtype, Environment, Extra, Metadata, NonFinite, Summary, WriteOptions, Writer,
};

use super::feed::write_latents;
use super::{Output, of_file};
use crate::args::{Compress, MetadataArgs, PackArgs};
use crate::convert::{Array, arrays};
use crate::environment;
use crate::failure::UsageError;
use crate::progress;
use crate::terminal::{count, human_size, shown};

pub(crate) fn run(args: &PackArgs, output: &mut Output<'_>) -> Result<()> {
    if args.out.extension().is_none_or(|extension| extension != "gen5") {
        let problem = format!("{} has to end in .gen5, so that it is known for what it is", shown(&args.out));
        return Err(UsageError(problem).into());
    }
    let metadata = metadata(&args.metadata)?;
    let mut latents = Vec::new();
    for latent in &args.latents {
        latents.extend(arrays(latent)?);
    }
    refuse_repeated_keys(&latents)?;
    let image = args.image.as_deref().map(read).transpose()?;
    let captured = capture(args, output);
    let metadata = with_hardware(metadata, captured.as_ref())?;
    let environment = environment(args, captured)?;

    let stored_size = |array: &Array| match args.float16 {
        true => array.payload_size() / array.dtype.size() as u64 * Dtype::F16.size() as u64,
        false => array.payload_size(),
    };
    let bar = progress::bytes(latents.iter().map(stored_size).fold(0, u64::saturating_add));
    let counted = bar.clone();
    let mut options = WriteOptions::new()
        .compression(match args.compress {
            Compress::Auto => Compression::Auto,
            Compress::Zstd => Compression::Zstd,
            Compress::Shuffled => Compression::Shuffled,
            Compress::None => Compression::None,
        })
        .float16(args.float16)
        .non_finite(if args.allow_non_finite { NonFinite::Keep } else { NonFinite::Refuse })
        .progress(move |bytes| counted.inc(bytes));
    if let Some(level) = args.level {
        options = options.level(level);
    }
    let mut writer = create(args, options)?;
    write_latents(&mut writer, &latents).map_err(in_own_words)?;
    if let (Some(image), Some(path)) = (&image, &args.image) {
        writer.image(image).map_err(|error| of_file(error, path))?;
    }
    if let Some(environment) = &environment {
        writer.environment(environment)?;
    }
    let summary = writer.finish(&metadata)?;
    bar.finish_and_clear();
    tell(args, &summary, output)
}

/// Options that are out of range are the caller's mistake; everything else is not.
fn create(args: &PackArgs, options: WriteOptions) -> Result<Writer<'static>> {
    let writer = if args.force { options.create(&args.out) } else { options.create_new(&args.out) };
    writer.map_err(|error| match error {
        gen5::Error::Argument { .. } => UsageError(error.to_string()).into(),
        gen5::Error::Io { error: ref cause, .. } if cause.kind() == std::io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{error}; --force replaces it")
        }
        _ => error.into(),
    })
}

fn tell(args: &PackArgs, summary: &Summary, output: &mut Output<'_>) -> Result<()> {
    for note in &summary.notes {
        output.note(&format!("{}: {note}", shown(&args.out)));
    }
    if summary.version > (1, 0) {
        let (major, minor) = summary.version;
        output.note(&format!(
            "{} is of version {major}.{minor}, which the Python package gen5 cannot read: it has {}",
            shown(&args.out),
            newer_features(summary)
        ));
    }
    let values: u64 = summary.latents.iter().map(|latent| latent.payload_size).sum();
    let compressed = summary.latents.iter().filter(|latent| latent.compressed).count();
    let choice = match compressed {
        0 => "stored raw".to_owned(),
        all if all == summary.latents.len() => "compressed".to_owned(),
        some => format!("{some} of them compressed"),
    };
    writeln!(
        output.out,
        "{}: {} ({choice}), {} of values, {} in all",
        shown(&args.out),
        count(summary.latents.len(), "latent"),
        human_size(values),
        human_size(summary.file_size),
    )?;
    Ok(())
}

/// What a file has that version 1.0 does not know.
fn newer_features(summary: &Summary) -> String {
    let features = [
        ("4 GiB or more", summary.file_size > u64::from(u32::MAX)),
        ("latents of bfloat16", summary.latents.iter().any(|latent| latent.dtype == Dtype::BF16)),
        ("shuffled bytes", summary.latents.iter().any(|latent| latent.shuffled)),
    ];
    let there = features.into_iter().filter(|(_, there)| *there).map(|(name, _)| name);
    there.collect::<Vec<_>>().join(", ")
}

/// Two latents of one key are refused before anything is written, with both their files.
fn refuse_repeated_keys(latents: &[Array]) -> Result<()> {
    let mut names = HashMap::new();
    for latent in latents {
        if let Some(other) = names.insert(&latent.key, latent.name()) {
            let (key, name) = (&latent.key, latent.name());
            bail!("the key {key:?} is used twice, by {other} and {name}: give one another, as KEY=FILE");
        }
    }
    Ok(())
}

/// This machine, unless the image was made elsewhere, or the file is to be free of where it was made.
fn capture(args: &PackArgs, output: &mut Output<'_>) -> Option<Captured> {
    if args.environment.is_some() || args.no_environment {
        return None;
    }
    Some(environment::capture(args.python.python.as_deref(), output))
}

/// The metadata, with what was captured of the machine if it tells of none.
fn with_hardware(metadata: Metadata, captured: Option<&Captured>) -> Result<Metadata> {
    let Some(captured) = captured else { return Ok(metadata) };
    let mut model_info = metadata.into_model_info();
    if model_info.hardware_info.is_none() && model_info.extra.get("hardware_info").is_none() {
        model_info.hardware_info = Some(captured.hardware.clone());
    }
    Ok(Metadata::new(&model_info)?)
}

/// The environment to be stored, if there is to be one.
fn environment(args: &PackArgs, captured: Option<Captured>) -> Result<Option<Environment>> {
    match &args.environment {
        Some(path) => {
            let environment = Environment::from_json(&read_text(path)?);
            environment.map(Some).map_err(|error| of_file(error, path))
        }
        None => Ok(captured.map(|captured| captured.environment)),
    }
}

/// An error whose remedy has another name here than in the library.
fn in_own_words(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(gen5::Error::NonFinite { key, index, value }) => {
            anyhow::anyhow!(
                "latent {key:?}: element {index} is {value}; --allow-non-finite keeps such values"
            )
        }
        _ => error,
    }
}

fn read_text(path: &Path) -> Result<String> {
    String::from_utf8(read(path)?).with_context(|| format!("{} is not UTF-8", shown(path)))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("could not read {}", shown(path)))
}

/// The settings whose values are text, whatever they look like.
const TEXT_SETTINGS: [&str; 4] = ["sampler", "scheduler", "guidance", "precision"];

/// The settings whose values are none.
const OTHER_SETTINGS: [&str; 5] = ["seed", "steps", "cfg_scale", "eta", "deterministic"];

/// The metadata from the file that is given, and the flags that override it.
fn metadata(args: &MetadataArgs) -> Result<Metadata> {
    let mut model_info = match &args.metadata {
        Some(path) => read_model_info(path)?,
        None => Extra::new(),
    };
    override_by_flags(&mut model_info, args)?;
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
