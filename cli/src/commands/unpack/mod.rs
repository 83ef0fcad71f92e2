//! `gen5 unpack`: extracts a file into files of common formats.

mod derive;
mod options;
mod plan;
mod planned;
mod rows;
mod unknown;
mod unscale;

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use gen5::{Dtype, Environment, ReadOptions, Reader};
use gen5_picture::text::{count, escape, human_size};
use rayon::prelude::*;
use serde::Serialize;

pub(crate) use self::options::Format;
pub(crate) use self::options::UnpackArgs;
use self::plan::plan_files;
use self::planned::{PieceData, PlannedFile, UnpackPlan};
use self::rows::{Row, RowCache};
use self::unknown::{IndexedChunk, write_chunks};
use crate::context::Context;
use crate::convert::recast::Recast;
use crate::convert::types::Type;
use crate::convert::write::{Container, Piece, write_file};
use crate::failure::{Status, usage_error};
use crate::output::Output;
use crate::output::environment::{SortedDrift, capture};
use crate::output::folder::{OutputFolder, check_destination, create_folder, write, write_json};
use crate::progress::Progress;
use crate::terminal::shown;
use crate::transfer::check::{check_all, size_of_check};
use crate::unknown::{UnknownChunk, unknown_chunks};

/// The folder for latents inside the output folder.
const LATENTS: &str = "latents";

/// The location of one item: an element of `index.json`.
#[derive(Serialize)]
#[serde(untagged)]
enum IndexedItem<'a> {
    Latent(IndexedLatent<'a>),
    Chunk(&'a IndexedChunk),
}

/// The location of a latent.
#[derive(Serialize)]
struct IndexedLatent<'a> {
    key: Option<&'a str>,
    /// Relative to the folder that holds `index.json`.
    file: &'a str,
    /// The array's name, in files with several arrays.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// The row of the latent, if the array is a single row.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<usize>,
    /// The name of the original file.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    shape: &'a [usize],
    dtype: &'static str,
}

/// The JSON report of an unpacked file.
#[derive(Serialize)]
struct UnpackReport<'a> {
    payload_size: u64,
    /// All files, relative to the output folder.
    files: Vec<String>,
    /// The contents of `index.json`.
    index: Vec<IndexedItem<'a>>,
    /// The chunks of unknown types, written or not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chunks: Vec<UnknownChunk>,
    /// The environment's differences from this machine, if compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<SortedDrift>,
}

pub(crate) fn run(args: &UnpackArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    if args.unscale.is_some() && !matches!(args.format, Format::Comfyui | Format::Kohya) {
        let problem = "--unscale applies only to --format comfyui and kohya; other formats are written \
             with the stored values";
        return Err(usage_error(problem));
    }
    check_destination(&args.output, args.force)?;
    // Reading row by row would check the hash of the whole chunk for every row.
    let by_rows = !matches!(args.format, Format::Npy | Format::Npz | Format::Safetensors);
    let reader = input.open_with(ReadOptions::new().check_hashes(!by_rows), &args.file)?;
    if !args.unknown {
        output.note_unknown(&reader, &args.file, "left out; --unknown writes such chunks");
    }
    // Chunks that are not written are not checked along the way either.
    let is_checked_last = by_rows || !args.unknown && unknown_chunks(&reader).next().is_some();
    let progress = output.progress("unpacking", reader.latents().map(|latent| latent.payload_size()).sum());
    if is_checked_last {
        progress.extend(size_of_check(&reader));
    }
    let plan = plan_files(&reader, args, &progress).with_context(|| shown(&args.file))?;
    let draft = OutputFolder::create(&args.output, args.force)?;
    let chunks = if args.unknown { unknown::plan_chunks(&reader) } else { Vec::new() };
    let index = index(&plan.files, &chunks);
    let written = write_all(&reader, &plan, &chunks, &index, draft.path(), &progress);
    if is_checked_last && written.as_ref().err().is_none_or(is_of_values) {
        check_all(&reader, &args.file, &progress)?;
    }
    let (files, environment) = written.map_err(|error| match Status::of(&error) {
        Status::Damaged => error.context(shown(&args.file)),
        _ => error,
    })?;
    drop(progress);
    // Compared before anything is published: it may take seconds, and a signal may arrive.
    let machine = match &environment {
        Ok(Some(_)) if !args.no_environment_check => Some(capture(&args.capture, output)?.environment),
        _ => None,
    };
    draft.publish(&args.file)?;
    for note in &plan.notes {
        output.note(note);
    }
    if plan.files.iter().flat_map(|file| &file.pieces).any(is_widened) {
        output.note("latents of bfloat16 are written as float32, which holds their values exactly");
    }

    let drift = match environment {
        Err(error) => {
            output.note(&format!("environment.json is written as stored, but {error:#}"));
            output.remember(Status::of_library(&error));
            None
        }
        Ok(environment) => environment
            .zip(machine)
            .map(|(environment, machine)| compare(args, &environment, &machine, output)),
    };
    let payload_size = reader.latents().map(|latent| latent.payload_size()).sum();
    let latents = count(reader.latents().len(), "latent");
    let others = match chunks.len() {
        0 => String::new(),
        some => format!(" and {}", count(some, "other chunk")),
    };
    let line = format!("{latents}{others}, {}", human_size(payload_size));
    let chunks = unknown_chunks(&reader).map(UnknownChunk::of).collect();
    output.summarize(&args.output, &line, &UnpackReport { payload_size, files, index, chunks, drift })
}

/// Whether an error may mean that the stored values were changed.
fn is_of_values(error: &anyhow::Error) -> bool {
    let is_other = |cause: &(dyn std::error::Error + 'static)| {
        let library = cause.downcast_ref::<gen5::Error>();
        cause.is::<io::Error>() || matches!(library, Some(gen5::Error::Io { .. } | gen5::Error::Cancelled))
    };
    !error.chain().any(is_other)
}

/// Compares this machine with the one that made the image, and reports differences.
fn compare(
    args: &UnpackArgs,
    file: &Environment,
    machine: &Environment,
    output: &mut Output<'_>,
) -> SortedDrift {
    let comparison = SortedDrift::with_machine(file, machine).without_notes();
    if !comparison.is_same() {
        let file = shown(&args.file);
        let summary = comparison.summary();
        output.note(&format!("{file} was made in another environment: {summary} (current: this machine)"));
        if !output.is_quiet() {
            // If messages cannot be written, there is no way to report it.
            let _ = comparison.write(output.messages);
        }
    }
    comparison
}

/// Whether a bfloat16 latent is written in a wider dtype with the same values.
fn is_widened(piece: &Piece<PieceData>) -> bool {
    match &piece.values {
        PieceData::Latent { latent, unscale: None, .. } => {
            latent.dtype() == Dtype::BF16 && piece.kind == Type::Latent(Dtype::F32)
        }
        _ => false,
    }
}

/// Writes all files. Returns their paths relative to the folder, and the environment, or the reason
/// why it does not conform to the format. In that case, its stored bytes are still written
/// unchanged.
fn write_all(
    reader: &Reader,
    plan: &UnpackPlan,
    chunks: &[IndexedChunk],
    index: &[IndexedItem<'_>],
    folder: &Path,
    progress: &Progress,
) -> Result<(Vec<String>, gen5::Result<Option<Environment>>)> {
    if plan.files.iter().any(|file| file.path.contains('/')) {
        create_folder(&folder.join(LATENTS))?;
    }
    // Files are written in parallel, with two exceptions: rows, which are read in order, and
    // latents in compressed parts, which keep all threads busy and need memory for the decompressed
    // parts.
    let is_alone = |file: &&PlannedFile| {
        let is_whole = |piece: &Piece<PieceData>| match &piece.values {
            PieceData::Latent { latent, row, .. } => row.is_none() && latent.chunks().nth(1).is_none(),
            PieceData::Bytes(_) => true,
        };
        file.pieces.iter().all(is_whole)
    };
    let (alone, others): (Vec<_>, Vec<_>) = plan.files.iter().partition(is_alone);
    alone
        .into_par_iter()
        .try_for_each(|file| write_planned(file, folder, &mut RowCache::default(), progress))?;
    let mut rows = RowCache::default();
    others.into_iter().try_for_each(|file| write_planned(file, folder, &mut rows, progress))?;

    write_chunks(reader, chunks, folder)?;

    write_json(&folder.join("index.json"), &index)?;
    let planned = plan.files.iter().map(|file| &file.path);
    let mut files: Vec<String> = planned.chain(chunks.iter().map(|chunk| &chunk.file)).cloned().collect();
    files.push("index.json".to_owned());
    let mut write = |name: &str, bytes: &[u8]| {
        files.push(name.to_owned());
        write(&folder.join(name), bytes)
    };
    write("metadata.json", reader.manifest_json().as_bytes())?;
    if let Some(image) = reader.image()? {
        write(&format!("image.{}", image_extension(&image)), &image)?;
    }
    if let Some(environment) = reader.environment_json()? {
        write("environment.json", &environment)?;
    }
    Ok((files, reader.environment()))
}

/// The location of each latent, and of each chunk of an unknown type.
fn index<'a>(files: &'a [PlannedFile], chunks: &'a [IndexedChunk]) -> Vec<IndexedItem<'a>> {
    let mut index = Vec::new();
    for file in files {
        for piece in &file.pieces {
            let PieceData::Latent { latent, row, .. } = &piece.values else { continue };
            index.push(IndexedItem::Latent(IndexedLatent {
                key: latent.key(),
                file: &file.path,
                name: (file.container != Container::Npy).then_some(piece.name.as_str()),
                row: *row,
                source: file.source.as_deref(),
                shape: &piece.shape,
                dtype: latent.dtype().name(),
            }));
        }
    }
    index.extend(chunks.iter().map(IndexedItem::Chunk));
    index
}

fn write_planned(file: &PlannedFile, folder: &Path, rows: &mut RowCache, progress: &Progress) -> Result<()> {
    let path = folder.join(&file.path);
    write_file(&path, file.container, &file.pieces, &file.texts, &mut |piece, out| {
        let (latent, row, unscale) = match &piece.values {
            PieceData::Latent { latent, row, unscale } => (latent, *row, *unscale),
            PieceData::Bytes(bytes) => return Ok(out.write_all(bytes)?),
        };
        let Type::Latent(dtype) = piece.kind else {
            bail!("{} is planned as no latent", escape(&piece.name))
        };
        let mut out = progress.writer(Recast::new(out, latent.dtype(), dtype, unscale));
        match row {
            None => Ok(latent.write_to(&mut out)?),
            Some(row) => rows.with(latent, row, |row| match row {
                Row::Latent(row) => Ok(row.write_to(&mut out)?),
                Row::Bytes(bytes) => Ok(out.write_all(bytes)?),
            }),
        }
    })
}

/// The usual extension for an image with these bytes; `bin` if unknown.
fn image_extension(bytes: &[u8]) -> &'static str {
    infer::get(bytes)
        .filter(|kind| kind.matcher_type() == infer::MatcherType::Image)
        .map_or("bin", |kind| kind.extension())
}
