//! `gen5 repack`: writes a file again.

mod options;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use anyhow::{Result, bail};
use gen5::chunk::{ChunkRecord, ChunkType};
use gen5::metadata::Extra;
use gen5::{Compression, Dtype, NonFinite, ReadOptions, Reader, Version};
use gen5_picture::text::human_size;
use serde::Serialize;

pub(crate) use self::options::RepackArgs;
pub(crate) use self::options::StoredType;
use crate::context::Context;
use crate::embedded::without_bare_words;
use crate::failure::of_file;
use crate::failure::usage_error;
use crate::input::latents::find;
use crate::input::own::{is_own, open_own};
use crate::metadata::model_info::stored_model_info;
use crate::metadata::origins::{SOURCES, latents_by_key, note_lost, put_sources, take_sources};
use crate::options::Compress;
use crate::output::Output;
use crate::output::gen5_file::{Destination, check_level};
use crate::terminal::shown;
use crate::transfer::latents::{Parcel, carry};

/// The JSON report of a repacked file.
#[derive(Serialize)]
struct RepackReport {
    file_size_before: u64,
}

pub(crate) fn run(args: &RepackArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    let destination = Destination::of(&args.out, output)?;
    check_level(args.compress, args.level)?;
    refuse_incompatible_words(args)?;
    let options = ReadOptions::new().check_hashes(true);
    let reader = if args.force && is_own(&args.file, &args.out) {
        open_own(&options, &args.file, input, output)?
    } else {
        input.open_with(options, &args.file)?
    };
    let parcels = parcels(&reader, args)?;
    let others: Vec<&ChunkRecord> = reader.chunks().iter().filter(|chunk| is_kept(chunk, args)).collect();
    if args.compatible {
        refuse_what_does_not_fit(&parcels, &others, args)?;
    }
    let model_info = model_info(&reader, &parcels, args, output)?;

    let size = parcels.iter().map(|parcel| stored_size(parcel, args)).sum();
    let progress = output.progress("repacking", size);
    let mut options = progress
        .options()
        // Stored values stay unchanged.
        .non_finite(NonFinite::Keep);
    if args.compatible {
        options = options.max_version(Version::V1_0);
    }
    if let Some(level) = args.level {
        options = options.level(level);
    }
    if let Some(alignment) = args.align {
        options = options.alignment(alignment);
    }
    let mut writer = destination.create(options, args.force)?;
    carry(&mut writer, parcels)?;
    for chunk in others {
        writer.copy_chunk(&reader, chunk).map_err(|error| of_file(error, &args.file))?;
    }
    let summary = writer.finish_like(&reader, &model_info)?;
    drop(progress);
    let report = RepackReport { file_size_before: reader.file_size() };
    let before = human_size(report.file_size_before);
    destination.finish(&summary, &format!(" ({before} before)"), &report, output)
}

/// Rejects options that conflict with version 1.0.
fn refuse_incompatible_words(args: &RepackArgs) -> Result<()> {
    let words = match (args.compress, args.dtype) {
        _ if !args.compatible => return Ok(()),
        (Some(Compress::Shuffled), _) => "--compress shuffled",
        (_, Some(StoredType::Bfloat16)) => "--dtype bfloat16",
        _ => return Ok(()),
    };
    Err(usage_error(format!("{words} needs version 1.1, but --compatible writes version 1.0")))
}

/// Whether to keep a chunk other than a latent.
fn is_kept(chunk: &ChunkRecord, args: &RepackArgs) -> bool {
    match chunk.kind() {
        ChunkType::LATENT => false,
        ChunkType::IMAGE => !args.no_image,
        ChunkType::ENVIRONMENT => !args.no_environment,
        _ => true,
    }
}

/// The latents to keep, in their new form.
fn parcels<'a>(reader: &Reader, args: &'a RepackArgs) -> Result<Vec<Parcel<'a>>> {
    let position = |key: &String| Ok(find(reader, key, &args.file)?.index());
    let dropped: HashSet<usize> = args.drop.iter().map(position).collect::<Result<_>>()?;
    let only: HashSet<usize> = args.only.iter().map(position).collect::<Result<_>>()?;
    let mut names = renames(reader, args)?;
    let is_kept =
        |index: usize| if args.only.is_empty() { !dropped.contains(&index) } else { only.contains(&index) };
    let mut given: Vec<&str> = names.values().copied().collect();
    given.sort_unstable();
    let mut parcels = Vec::new();
    for latent in reader.latents().filter(|latent| is_kept(latent.index())) {
        let name = names.remove(&latent.index());
        let mut parcel = Parcel::of(latent, &args.file);
        let dtype = stored_dtype(&parcel, args);
        let compression = compression(&parcel, args);
        parcel.entry = parcel.entry.dtype(dtype).compression(compression);
        if let Some(name) = name {
            parcel.entry = parcel.entry.renamed(name);
        }
        parcels.push(parcel);
    }
    if let Some(name) = names.values().min() {
        return Err(usage_error(format!("--rename …={name}: that latent is left out")));
    }
    refuse_clashes(&parcels, &given)?;
    Ok(parcels)
}

/// The new keys, by the latent's position.
fn renames<'a>(reader: &Reader, args: &'a RepackArgs) -> Result<HashMap<usize, &'a str>> {
    let mut names = HashMap::new();
    for text in &args.rename {
        // Keys may contain `=`: the first split whose left side is an existing key is used.
        let mut parted = text.match_indices('=').filter_map(|(at, sign)| {
            let old = text.get(..at)?;
            let new = text.get(at + sign.len()..)?;
            Some((find(reader, old, &args.file), new)).filter(|_| !new.is_empty())
        });
        let first = parted.next();
        let found = match first {
            Some((Err(_), _)) => parted.find(|(latent, _)| latent.is_ok()).or(first),
            first => first,
        };
        let Some((latent, new)) = found else {
            let problem = format!("--rename {text}: expected OLD=NEW, such as noise=initial_noise");
            return Err(usage_error(problem));
        };
        let latent = latent?;
        if let Some(other) = names.insert(latent.index(), new) {
            let problem =
                format!("--rename: latent #{} cannot be called both {other:?} and {new:?}", latent.index());
            return Err(usage_error(problem));
        }
    }
    Ok(names)
}

/// Rejects a new key that another latent also has or receives.
fn refuse_clashes(parcels: &[Parcel<'_>], names: &[&str]) -> Result<()> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for key in parcels.iter().filter_map(|parcel| parcel.entry.key()) {
        *seen.entry(key).or_default() += 1;
    }
    match names.iter().find(|new| seen.get(*new).is_some_and(|&count| count > 1)) {
        Some(new) => {
            bail!(
                "--rename …={new}: the file would have several latents with that key; --drop leaves one out"
            )
        }
        None => Ok(()),
    }
}

/// The metadata, unchanged except for sources, which follow their latents.
fn model_info<'r>(
    reader: &'r Reader,
    parcels: &[Parcel<'_>],
    args: &RepackArgs,
    output: &mut Output<'_>,
) -> Result<Cow<'r, str>> {
    let text = reader.model_info_json();
    let has_sources = |model_info: Extra| model_info.get(SOURCES).is_some();
    let all_stay = args.rename.is_empty() && args.drop.is_empty() && args.only.is_empty();
    if all_stay || !serde_json::from_str(&without_bare_words(text)).is_ok_and(has_sources) {
        return Ok(text.into());
    }
    let mut model_info = stored_model_info(reader, &args.file, output)?;
    let before = take_sources(&mut model_info, &args.file, output);
    let keys = parcels.iter().filter_map(|parcel| Some((parcel.index()?, parcel.entry.key()?)));
    let (keys, latents): (HashMap<usize, &str>, _) = (keys.collect(), latents_by_key(reader));
    let to = |key: &str, row| Some(((*keys.get(&latents.get(key)?.index())?).to_owned(), row));
    let lost = before.len();
    let after: Vec<_> = before.into_iter().filter_map(|source| source.moved(to)).collect();
    note_lost(lost - after.len(), &args.file, output);
    put_sources(&mut model_info, &after)?;
    Ok(model_info.to_json()?.into())
}

/// The dtype in which a latent is stored.
fn stored_dtype(parcel: &Parcel<'_>, args: &RepackArgs) -> Dtype {
    match (args.dtype, parcel.dtype()) {
        (Some(dtype), _) => dtype.into(),
        (None, Dtype::BF16) if args.compatible => Dtype::F32,
        (None, dtype) => dtype,
    }
}

/// Size in bytes of the stored values before compression.
fn stored_size(parcel: &Parcel<'_>, args: &RepackArgs) -> u64 {
    parcel.payload_size() / parcel.dtype().size() as u64 * stored_dtype(parcel, args).size() as u64
}

/// The compression of a latent: the requested one, or its current one.
fn compression(parcel: &Parcel<'_>, args: &RepackArgs) -> Compression {
    let stored = parcel.entry.stored_compression().unwrap_or_default();
    match args.compress {
        Some(compress) => compress.into(),
        None if args.compatible && stored == Compression::Shuffled => Compression::Zstd,
        None => stored,
    }
}

/// Rejects content that version 1.0 cannot hold, before any work is done.
fn refuse_what_does_not_fit(
    parcels: &[Parcel<'_>],
    others: &[&ChunkRecord],
    args: &RepackArgs,
) -> Result<()> {
    let file = shown(&args.file);
    if let Some(chunk) = others.iter().find(|chunk| !chunk.kind().is_known()) {
        let kind = chunk.kind();
        bail!(
            "{file}: chunk {} is of type {kind}, which the Python package gen5 does not read",
            chunk.index()
        );
    }
    let raw = parcels.iter().filter(|parcel| compression(parcel, args) == Compression::Raw);
    let size = raw.map(|parcel| stored_size(parcel, args)).fold(0, u64::saturating_add);
    if size > u64::from(u32::MAX) {
        let size = human_size(size);
        bail!(
            "{file}: a file of version 1.0 holds less than 4 GiB, but its raw latents take \
             {size}; --compress zstd may help"
        );
    }
    Ok(())
}
