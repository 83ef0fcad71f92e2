//! `gen5 set`: a file with other metadata.

use anyhow::{Context, Result};
use gen5::{Extra, Reader, WriteOptions};

use super::metadata::{
    HARDWARE, SETTINGS, assign, check, is_setting, object, read_model_info, split_assignment,
};
use super::{Output, of_file};
use crate::args::SetArgs;
use crate::failure::UsageError;
use crate::progress;
use crate::terminal::{count, shown};

pub(crate) fn run(args: &SetArgs, output: &mut Output<'_>) -> Result<()> {
    let reader = Reader::open(&args.file).map_err(|error| of_file(error, &args.file))?;
    // What is stored may be no valid metadata, which is then what is to be mended.
    let mut model_info = match &args.metadata {
        Some(path) => read_model_info(path)?,
        None => serde_json::from_str(reader.model_info_json()).with_context(|| {
            let file = shown(&args.file);
            format!("{file}: its metadata is no JSON object to be changed; --metadata FILE.json replaces it")
        })?,
    };
    for name in &args.unset {
        unset(&mut model_info, name)?;
    }
    for change in &args.changes {
        let (name, value) = split_assignment(change).ok_or_else(|| {
            UsageError(format!("{change}: expected NAME=VALUE, such as prompt='a lighthouse at dusk'"))
        })?;
        set(&mut model_info, name, value)?;
    }
    let metadata = check(&model_info, "")?;

    let bar = progress::bytes(reader.file_size());
    let counted = bar.clone();
    let options = WriteOptions::new().progress(move |bytes| counted.inc(bytes));
    let path = args.output.as_ref().unwrap_or(&args.file);
    let written = match args.output.is_some() && !args.force {
        true => options.rewrite_new(&reader, &metadata, path),
        false => options.rewrite(&reader, &metadata, path),
    };
    written.map_err(super::hint_at_force)?;
    bar.finish_and_clear();
    let changes = args.changes.len() + args.unset.len() + usize::from(args.metadata.is_some());
    Ok(writeln!(output.out, "{}: {}", shown(path), count(changes, "change"))?)
}

/// Where a member is: the object of `model_info` that it is in, if it is in one, and its name there.
fn place(name: &str) -> (Option<&'static str>, &str) {
    let in_object = [SETTINGS, HARDWARE].into_iter().find_map(|object| {
        let member = name.strip_prefix(object)?.strip_prefix('.')?;
        Some((Some(object), member))
    });
    in_object.unwrap_or((is_setting(name).then_some(SETTINGS), name))
}

fn set(model_info: &mut Extra, name: &str, value: &str) -> Result<()> {
    match place(name) {
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

/// Takes a member out, and with the last member of an object the object.
fn unset(model_info: &mut Extra, name: &str) -> Result<()> {
    let removed = match place(name) {
        (Some(outer), name) => {
            let mut members = object(model_info, outer)?;
            let removed = members.remove(name);
            match members.is_empty() {
                true => model_info.remove(outer).and(removed),
                false => model_info.insert(outer, &members).map(|()| removed)?,
            }
        }
        (None, name) => model_info.remove(name),
    };
    match removed {
        Some(_) => Ok(()),
        None => Err(UsageError(format!(
            "--unset {name}: the file has no such member (one in an object is OBJECT.NAME)"
        ))
        .into()),
    }
}
