//! `gen5 set`: changes the metadata of a file.

use anyhow::Result;
use gen5::metadata::Extra;
use gen5::{Metadata, ReadOptions};
use serde::Serialize;

use crate::compare_json::same_json;
use crate::context::Context;
use crate::embedded::{members, without_bare_words};
use crate::failure::usage_error;
use crate::input::own::{is_own, open_own};
use crate::metadata::model_info::{
    Base, HARDWARE, SETTINGS, assign, is_setting, likely_meant, object, read_model_info, split_assignment,
    stored_model_info,
};
use crate::metadata::origins::{MERGED_FROM, PART_OF, SOURCES, leave_out_foreign};
use crate::output::gen5_file::Destination;
use crate::output::hint_at_force;
use crate::suggest;
use crate::terminal::shown;
use clap::Args;
use gen5_picture::text::{count, escape};
use std::path::PathBuf;

/// Change the metadata of a file.
///
/// Latents, image and environment are copied as they are, without being decompressed or checked.
/// The new file replaces the old one when it is complete, and it has a different fingerprint.
/// Concurrent changes to the same file wait for each other.
#[derive(Debug, Args)]
#[command(override_usage = "gen5 set <FILE> <NAME=VALUE>... [OPTIONS]")]
#[command(after_help = "Examples:
  gen5 set run.gen5 prompt='a lighthouse at dusk' tags=sea,favourite
  gen5 set run.gen5 seed=42 steps=50 sampler=ddim hardware_info.machine_name=render-3
  gen5 set run.gen5 --unset hardware_info.machine_name -o shared.gen5
  ssh render-3 cat run.gen5 | gen5 set - tags=sea >run.gen5")]
pub(crate) struct SetArgs {
    /// File to change; with -, it is read from standard input, and the new file is written to
    /// standard output
    pub(crate) file: PathBuf,

    /// Member to set, and its value. Members are prompt, model_name, version (of the model), date,
    /// tags (separated by commas, or a JSON array), generation settings by name (seed, steps,
    /// sampler, cfg_scale, negative_prompt, …, and any other that the file has), and OBJECT.NAME
    /// for a member of generation_settings or hardware_info. Any other name is a member of your
    /// own, whose value is stored as JSON if valid, and otherwise as text
    #[arg(value_name = "NAME=VALUE", required_unless_present_any = ["unset", "metadata"])]
    pub(crate) changes: Vec<String>,

    /// Remove a member; can be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) unset: Vec<String>,

    /// Start from this JSON object instead of the file's own metadata: the members of model_info,
    /// or a metadata.json that `unpack` wrote
    #[arg(long, value_name = "FILE.json")]
    pub(crate) metadata: Option<PathBuf>,

    /// Write to another file, and leave FILE unchanged; - writes to standard output
    #[arg(long, short, value_name = "OUT")]
    pub(crate) output: Option<PathBuf>,

    /// Replace OUT if it exists
    #[arg(long, short, requires = "output")]
    pub(crate) force: bool,

    /// Print the summary as a JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The JSON report of a changed file.
#[derive(Serialize)]
struct SetReport {
    version: String,
    file_size: u64,
    changes: usize,
}

pub(crate) fn run(args: &SetArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    let path = args.output.as_ref().unwrap_or(&args.file);
    let destination = match &args.output {
        Some(path) => Destination::of(path, output)?,
        None => Destination::in_place_of(&args.file, output)?,
    };
    let is_own = is_own(&args.file, path) && (args.force || args.output.is_none());
    let reader = if is_own {
        open_own(&ReadOptions::new(), &args.file, input, output)?
    } else {
        input.open(&args.file)?
    };
    // The stored metadata may be invalid, and this command may repair them.
    let mut model_info = match &args.metadata {
        Some(path) => {
            let mut model_info = read_model_info(path, input)?;
            let own = members(&without_bare_words(reader.model_info_json())).unwrap_or_default();
            leave_out_foreign(&mut model_info, &own, path, output);
            model_info
        }
        None => stored_model_info(&reader, &args.file, output)?,
    };
    let base = Base::of(&model_info, Some(args.metadata.as_ref().unwrap_or(&args.file)), &args.unset);
    let mut changes = usize::from(args.metadata.is_some()) + args.unset.len();
    for name in &args.unset {
        unset_member(&mut model_info, name)?;
    }
    for change in &args.changes {
        let (name, value) = split_assignment(change).ok_or_else(|| {
            usage_error(format!("{change}: expected NAME=VALUE, such as prompt='a lighthouse at dusk'"))
        })?;
        if [SOURCES, MERGED_FROM, PART_OF].contains(&name) {
            output.note(&format!(
                "{name} is where gen5 itself records the origins of latents; --unset removes it"
            ));
        }
        let is_new = model_info.get(name).is_none();
        let before = member(&model_info, name)?;
        set_member(&mut model_info, name, value)?;
        let is_same = match (&before, &member(&model_info, name)?) {
            (Some(before), Some(after)) => same_json(before, after),
            (before, after) => before == after,
        };
        changes += usize::from(!is_same);
        if is_new
            && model_info.get(name).is_some()
            && let Some(meant) = likely_meant(name).filter(|meant| *meant != name)
        {
            output.note(&format!("{name} is now a separate member; did you mean {meant}?"));
        }
    }
    let text = model_info.to_json()?;
    // It uses as much memory as its text.
    drop(model_info);
    let metadata = Metadata::from_json(&text).map_err(|error| base.refuse(error, &args.changes, ""))?;

    let progress = output.progress("copying", reader.file_size());
    // Without an output path, the file itself is replaced.
    let force = args.force || args.output.is_none();
    let writer = destination.create(progress.options(), force)?;
    let written = writer.rewrite(&reader, &metadata).map_err(hint_at_force)?;
    drop(progress);
    let version = written.version;
    if written.version > reader.version() {
        output.note(&format!(
            "{} now has version {version}, which the Python package gen5 cannot read: it has 4 GiB or more",
            shown(path)
        ));
    }
    let report = SetReport { version: version.to_string(), file_size: written.file_size, changes };
    destination.deliver(&count(changes, "change"), &report, output)
}

/// The place of a member: the object of `model_info` that contains it, if any, and its name there.
/// An existing setting can be given by its name alone, unless a top-level member has the same name.
fn place<'n>(model_info: &Extra, name: &'n str) -> Result<(Option<&'static str>, &'n str)> {
    let in_object = [SETTINGS, HARDWARE]
        .into_iter()
        .find_map(|object| Some((object, name.strip_prefix(object)?.strip_prefix('.')?)));
    match in_object {
        Some((object, "")) => {
            return Err(usage_error(format!("{name}: expected {object}.NAME, such as {object}.note")));
        }
        Some((object, member)) => return Ok((Some(object), member)),
        None => {}
    }
    let has_setting = || Ok::<_, anyhow::Error>(object(model_info, SETTINGS)?.get(name).is_some());
    let is_setting = is_setting(name) || model_info.get(name).is_none() && has_setting()?;
    Ok((is_setting.then_some(SETTINGS), name))
}

/// The current value of a member.
fn member(model_info: &Extra, name: &str) -> Result<Option<String>> {
    Ok(match place(model_info, name)? {
        (Some(outer), name) => object(model_info, outer)?.get(name).map(str::to_owned),
        (None, name) => model_info.get(name).map(str::to_owned),
    })
}

fn set_member(model_info: &mut Extra, name: &str, value: &str) -> Result<()> {
    match place(model_info, name)? {
        (Some(outer), name) => {
            let mut members = object(model_info, outer)?;
            assign(&mut members, Some(outer), name, value)?;
            Ok(model_info.insert(outer, &members)?)
        }
        (None, "tags") if !value.trim_start().starts_with('[') => {
            let tags: Vec<&str> = value.split(',').map(str::trim).filter(|tag| !tag.is_empty()).collect();
            Ok(model_info.insert("tags", &tags)?)
        }
        (None, name) => assign(model_info, None, name, value),
    }
}

/// Removes a member, and its object if that becomes empty.
fn unset_member(model_info: &mut Extra, name: &str) -> Result<()> {
    let removed = match place(model_info, name)? {
        (Some(outer), name) => {
            let mut members = object(model_info, outer)?;
            let removed = members.remove(name);
            if members.is_empty() {
                model_info.remove(outer).and(removed)
            } else {
                model_info.insert(outer, &members).map(|()| removed)?
            }
        }
        (None, name) => model_info.remove(name),
    };
    match removed {
        Some(_) => Ok(()),
        None => {
            let meant = suggest::likely_meant(name, model_info.iter().map(|(known, _)| known));
            let hint = match meant {
                Some(meant) => format!("; did you mean {}?", escape(meant)),
                None => " (write a member of an object as OBJECT.NAME)".to_owned(),
            };
            Err(usage_error(format!("--unset {name}: the file has no such member{hint}")))
        }
    }
}
