//! `gen5 unpack`: a file taken apart into files of common formats.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use gen5::{Dtype, Environment, Latent, ReadOptions, Reader};
use rayon::prelude::*;
use serde::Serialize;
use tempfile::TempDir;

use super::Output;
use crate::args::UnpackArgs;
use crate::convert::npy;
use crate::environment::{Comparison, capture};
use crate::failure::Status;
use crate::interrupt;
use crate::names::file_names;
use crate::progress::Progress;
use crate::terminal::{count, human_size, shown};

/// The folder of the latents, inside the one that is asked for.
const LATENTS: &str = "latents";

/// Which file holds which latent: an element of `index.json`.
#[derive(Serialize)]
struct IndexEntry<'a> {
    key: Option<&'a str>,
    /// Relative to the folder that holds `index.json`.
    file: String,
    shape: &'a [usize],
    dtype: &'static str,
}

pub(crate) fn run(args: &UnpackArgs, output: &mut Output<'_>) -> Result<()> {
    check_destination(&args.output, args.force)?;
    let reader = output.inputs.open_with(ReadOptions::new().check_hashes(true), &args.file)?;
    let progress = output.writing("unpacking", reader.latents().map(|latent| latent.payload_size()).sum());

    // Everything is made in a folder of its own first, so that a failure leaves nothing: beside the destination, or inside
    // it if it is there, which may be another file system.
    let parent =
        args.output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = if args.output.exists() { &args.output } else { parent };
    let mut builder = tempfile::Builder::new();
    builder.prefix(".gen5-unpack.");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777)); // less the umask: it becomes the folder
    let draft = builder.tempdir_in(place).with_context(|| format!("could not write to {}", shown(place)))?;
    let environment =
        write_all(&reader, draft.path(), &progress).map_err(|error| match Status::of(&error) {
            Status::Damaged => error.context(shown(&args.file)),
            _ => error,
        })?;
    interrupt::check()?;
    publish(draft, &args.output)?;
    drop(progress);
    if reader.latents().any(|latent| latent.dtype() == Dtype::BF16) {
        output.note("latents of bfloat16 are written as float32, which holds their values exactly");
    }

    match environment {
        Err(error) => {
            output.note(&format!("environment.json is as it is stored, but {error}"));
            output.remember(Status::of_library(&error));
        }
        Ok(Some(environment)) if !args.no_environment_check => warn_of_drift(args, &environment, output),
        Ok(_) => {}
    }
    let size = human_size(reader.latents().map(|latent| latent.payload_size()).sum());
    let latents = count(reader.latents().len(), "latent");
    writeln!(output.out, "{}: {latents}, {size}", shown(&args.output))?;
    Ok(())
}

/// Refuses a destination that could lose something, before any work is done.
fn check_destination(folder: &Path, force: bool) -> Result<()> {
    let there = match fs::symlink_metadata(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there.with_context(|| format!("could not look at {}", shown(folder)))?,
    };
    ensure!(there.is_dir(), "{} is there already, and is no folder", shown(folder));
    let mut entries =
        fs::read_dir(folder).with_context(|| format!("could not look into {}", shown(folder)))?;
    ensure!(
        force || entries.next().is_none(),
        "{} has files already; --force replaces those of the same names",
        shown(folder)
    );
    Ok(())
}

/// Says how this machine differs from the one that made the image, if it does.
fn warn_of_drift(args: &UnpackArgs, file: &Environment, output: &mut Output<'_>) {
    let current = capture(args.python.python.as_deref(), output).environment;
    let comparison = Comparison::with_machine(file, &current).without_notes();
    if !comparison.is_same() {
        let (file, summary) = (shown(&args.file), comparison.summary());
        output.note(&format!("{file} was made in another environment: {summary} (current: this machine)"));
        // Where messages cannot go there is nobody to tell.
        let _ = comparison.write(output.messages);
    }
}

/// Writes all there is. Returns the environment, or what is wrong with one that was written all the same: its bytes are
/// those that were stored, but they are not what the format asks for.
fn write_all(
    reader: &Reader,
    folder: &Path,
    progress: &Progress,
) -> Result<gen5::Result<Option<Environment>>> {
    let latents: Vec<Latent> = reader.latents().collect();
    let names = file_names(latents.iter().map(Latent::key), "npy");
    create_folder(&folder.join(LATENTS))?;
    let write_one =
        |(latent, name): (&Latent, &String)| write_latent(latent, &folder.join(LATENTS).join(name), progress);
    // A latent in compressed parts has work for all threads, and takes memory for the parts that these decompress.
    let is_in_parts = |(latent, _): &(&Latent, &String)| latent.chunks().nth(1).is_some();
    let (in_parts, others): (Vec<_>, Vec<_>) = latents.iter().zip(&names).partition(is_in_parts);
    others.into_par_iter().try_for_each(write_one)?;
    in_parts.into_iter().try_for_each(write_one)?;

    let index: Vec<IndexEntry<'_>> = latents
        .iter()
        .zip(&names)
        .map(|(latent, name)| IndexEntry {
            key: latent.key(),
            file: format!("{LATENTS}/{name}"),
            shape: latent.shape(),
            dtype: latent.dtype().name(),
        })
        .collect();
    write(&folder.join("index.json"), format!("{}\n", serde_json::to_string_pretty(&index)?).as_bytes())?;
    write(&folder.join("metadata.json"), reader.manifest_json().as_bytes())?;
    if let Some(image) = reader.image()? {
        write(&folder.join(format!("image.{}", image_extension(&image))), &image)?;
    }
    if let Some(environment) = reader.environment_json()? {
        write(&folder.join("environment.json"), &environment)?;
    }
    Ok(reader.environment())
}

fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir(path).with_context(|| format!("could not create {}", shown(path)))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("could not write {}", shown(path)))
}

fn write_latent(latent: &Latent, path: &Path, progress: &Progress) -> Result<()> {
    let failed = || format!("could not write {}", shown(path));
    let mut file = BufWriter::new(File::create_new(path).with_context(failed)?);
    let values = npy::begin(&mut file, latent).with_context(failed)?;
    latent.write_to(&mut progress.writer(values)).map_err(|error| match error {
        gen5::Error::Io { .. } => anyhow::Error::from(error).context(failed()),
        _ => error.into(),
    })?;
    file.flush().with_context(failed)
}

/// The usual extension for what these bytes are, `bin` if that cannot be told.
fn image_extension(bytes: &[u8]) -> &'static str {
    infer::get(bytes)
        .filter(|kind| kind.matcher_type() == infer::MatcherType::Image)
        .map_or("bin", |kind| kind.extension())
}

/// Puts what is in `draft` where it was asked for. A new folder appears in one step; in one that is there already, file
/// after file is put in place, each in one step.
fn publish(draft: TempDir, folder: &Path) -> Result<()> {
    let failed = || format!("could not write to {}", shown(folder));
    if !folder.exists() {
        // If it is renamed, there is nothing left that the draft's own clean-up could remove.
        fs::rename(draft.path(), folder).with_context(failed)?;
        let _ = draft.keep();
        return Ok(());
    }
    let latents = folder.join(LATENTS);
    let mut moves = Vec::new();
    for from in files(&draft.path().join(LATENTS))?.into_iter().chain(files(draft.path())?) {
        let to = folder.join(from.strip_prefix(draft.path())?);
        moves.push((from, to));
    }
    // What would stop the moves half-way is looked for before the first. A link to a folder counts too: it would lead the
    // latents elsewhere.
    let there = |path: &Path| fs::symlink_metadata(path).ok();
    if there(&latents).is_some_and(|there| !there.is_dir()) {
        bail!("{} is there already, and is no folder", shown(&latents));
    }
    if let Some((_, to)) = moves.iter().find(|(_, to)| there(to).is_some_and(|there| there.is_dir())) {
        bail!("{} is there already, and is a folder", shown(to));
    }
    if there(&latents).is_none() {
        create_folder(&latents)?;
    }
    for (from, to) in moves {
        // A rename replaces a link instead of following it.
        fs::rename(&from, &to).with_context(|| format!("could not write {}", shown(&to)))?;
    }
    Ok(())
}

/// The files right in a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("could not look into {}", shown(folder)))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}
