//! `gen5 unpack`: a file taken apart into files of common formats.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};
use gen5::{Dtype, Environment, Latent, ReadOptions, Reader};
use rayon::prelude::*;
use serde::Serialize;

use super::Output;
use super::folder::{Draft, check_destination, create_folder, write};
use crate::args::UnpackArgs;
use crate::convert::npy;
use crate::environment::{Comparison, capture};
use crate::failure::Status;
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

    let draft = Draft::create(&args.output, "unpack")?;
    let environment =
        write_all(&reader, draft.path(), &progress).map_err(|error| match Status::of(&error) {
            Status::Damaged => error.context(shown(&args.file)),
            _ => error,
        })?;
    draft.publish(&[LATENTS])?;
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
