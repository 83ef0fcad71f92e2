//! `gen5 merge`: combines the latents of several files in one.

mod options;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use gen5::chunk::{ChunkRecord, ChunkType};
use gen5::metadata::Extra;
use gen5::{Latent, Limits, NonFinite, ReadOptions, Reader};
use gen5_picture::text::{dimensions, human_size};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

pub(crate) use self::options::MergeArgs;
use crate::budget::MERGED_TEXT;
use crate::context::Context;
use crate::convert::layouts::SourceFile;
use crate::embedded::{members, without_bare_words};
use crate::failure::of_file;
use crate::input::files::Files;
use crate::input::own::{is_own, open_own};
use crate::metadata::model_info::stored_model_info;
use crate::metadata::origins::{
    MERGED_FROM, PART_OF, SOURCES, latents_by_key, note_lost, put_sources, take_sources,
};
use crate::output::gen5_file::Destination;
use crate::output::{Output, file_name, path_text};
use crate::streams::is_dash;
use crate::terminal::shown;
use crate::transfer::latents::others;
use crate::transfer::latents::{Parcel, SourceLatent, carry};

/// The JSON report of a merge.
#[derive(Serialize)]
struct MergeReport {
    files: Vec<String>,
}

/// An input file.
struct Input<'a> {
    path: &'a Path,
    reader: Reader,
}

/// The record of an input file: an element of `merged_from`.
#[derive(Serialize)]
struct MergedFile<'a> {
    file: String,
    fingerprint: String,
    latents: &'a [MergedLatent],
    /// The whole that the file was part of, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    part_of: Option<Box<RawValue>>,
    /// The file's metadata if they differ from the first file's; a string if they are not JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_info: Option<Box<RawValue>>,
}

impl MergedFile<'_> {
    /// Size in bytes of the parts that grow.
    fn size(&self) -> u64 {
        let key = |key: &Option<SharedKey>| key.as_ref().map_or(0, |key| key.0.len());
        let keys: usize = self.latents.iter().map(|latent| key(&latent.key) + key(&latent.key_before)).sum();
        (keys + self.model_info.as_ref().map_or(0, |text| text.get().len())) as u64
    }
}

/// A key shared by several owners.
#[derive(Clone, PartialEq, Eq, Hash)]
struct SharedKey(Arc<str>);

impl Serialize for SharedKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The place of a latent in the new file: an element of `latents` in `merged_from`.
#[derive(Serialize)]
struct MergedLatent {
    /// Its position and key in the new file.
    index: usize,
    key: Option<SharedKey>,
    /// Its previous key, if it changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_before: Option<SharedKey>,
    /// Its row range in a joined latent, with an exclusive end.
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<[usize; 2]>,
    /// Differences of its record from the one it was joined to.
    #[serde(flatten)]
    unlike: Unlike,
}

/// Differences between the record of a joined latent and that of the latent it was joined to.
#[derive(Default, Serialize)]
struct Unlike {
    /// The members of `extra`.
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<Extra>,
    /// The members that the format does not define.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Extra>,
}

/// The parcels to write, and the new place of each latent of each file.
#[derive(Default)]
struct MergePlan<'a> {
    parcels: Vec<Parcel<'a>>,
    /// The parcel with each key.
    by_key: HashMap<SharedKey, usize>,
    /// The latents by input file.
    latents: Vec<Vec<MergedLatent>>,
}

pub(crate) fn run(args: &MergeArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    let destination = Destination::of(&args.output, output)?;
    allow_many_files();
    let found = Files::find(&args.files)?.found.into_iter();
    let paths: Vec<PathBuf> = found.map(|(path, found)| found.map(|()| path)).collect::<Result<_>>()?;
    refuse_own_result(&paths, args)?;
    let mut inputs = Vec::new();
    let mut text = 0_u64;
    let mut own = None;
    for path in &paths {
        let options = ReadOptions::new().check_hashes(true);
        // The same file may be listed twice.
        let is_first = own.is_none() && args.force && is_own(path, &args.output);
        let reader = if is_first {
            open_own(&options, path, input, output)?
        } else {
            input.open_with(options, path)?
        };
        if is_first {
            own = Some(reader.clone());
        }
        text = text.saturating_add(reader.manifest_json().len() as u64);
        ensure!(
            text <= MERGED_TEXT,
            "{}: its table and those of the files before it exceed {} together; merge fewer files at a time",
            shown(path),
            human_size(MERGED_TEXT)
        );
        inputs.push(Input { path, reader });
    }
    let mut plan = MergePlan::default();
    for input in &inputs {
        plan.add(input, args)?;
    }
    let Some(first) = inputs.first() else { return Ok(()) }; // the arguments have one
    let model_info = model_info(&inputs, &plan, &args.output, output)?;

    let size = plan.parcels.iter().map(Parcel::payload_size).fold(0, u64::saturating_add);
    let progress = output.progress("merging", size);
    // Stored values stay unchanged.
    let mut options = progress.options().non_finite(NonFinite::Keep);
    if let Some(own) = &own {
        options = options.replacing(own);
    }
    let mut writer = destination.create(options, args.force)?;
    let MergePlan { parcels, .. } = plan;
    carry(&mut writer, parcels)?;
    for chunk in others(&first.reader) {
        writer.copy_chunk(&first.reader, chunk).map_err(|error| of_file(error, first.path))?;
    }
    let summary = writer.finish_like(&first.reader, &model_info)?;
    drop(progress);
    note_what_is_left(&inputs, output);
    let report = MergeReport { files: paths.iter().map(|path| path_text(path)).collect() };
    destination.finish(&summary, "", &report, output)
}

/// Rejects an output that is among the inputs, unless it was named explicitly: a pattern or folder
/// would include the result of an earlier run of the same command.
fn refuse_own_result(paths: &[PathBuf], args: &MergeArgs) -> Result<()> {
    let Ok(output) = fs::canonicalize(&args.output) else { return Ok(()) };
    let is_output = |path: &PathBuf| fs::canonicalize(path).is_ok_and(|path| path == output);
    let is_named = args.files.files.iter().any(is_output);
    ensure!(
        is_named || !paths.iter().any(is_output),
        "the output {} is also among the files that were found; name the files, or write the \
         output elsewhere",
        shown(&args.output)
    );
    Ok(())
}

impl<'a> MergePlan<'a> {
    /// Adds the latents of a file.
    fn add(&mut self, input: &Input<'a>, args: &MergeArgs) -> Result<()> {
        let stem = if is_dash(input.path) {
            "stdin".into()
        } else {
            input.path.file_stem().unwrap_or_default().to_string_lossy()
        };
        let mut latents = Vec::new();
        for latent in input.reader.latents() {
            let before = latent.key().map(|key| SharedKey(key.into()));
            let key = if args.prefix {
                before.as_ref().map(|key| SharedKey(format!("{stem}/{}", key.0).into()))
            } else {
                before.clone()
            };
            let there = key.as_ref().and_then(|key| self.by_key.get(key)).copied();
            let mut unlike = Unlike::default();
            let (index, rows) = match there.and_then(|index| Some((index, self.parcels.get_mut(index)?))) {
                Some((index, parcel)) if args.stack => {
                    unlike = Unlike::of(&latent, parcel);
                    (index, Some(join(parcel, latent, input)?))
                }
                Some((_, parcel)) if args.prefix || !is_from(parcel, input) => {
                    return Err(collision(parcel, input, args));
                }
                _ => {
                    let rows = latent.shape().first().filter(|_| args.stack).map(|&rows| [0, rows]);
                    let mut parcel = Parcel::of(latent, input.path);
                    if let Some(key) = key.as_ref().filter(|_| args.prefix) {
                        parcel.entry = parcel.entry.renamed(&*key.0);
                    }
                    self.parcels.push(parcel);
                    (self.parcels.len() - 1, rows)
                }
            };
            if let Some(key) = &key {
                self.by_key.insert(key.clone(), index);
            }
            let key_before = before.filter(|_| args.prefix);
            latents.push(MergedLatent { index, key, key_before, rows, unlike });
        }
        self.latents.push(latents);
        Ok(())
    }

    /// The sources of an added file, updated to the new places of its latents.
    fn moved(&self, sources: Vec<SourceFile>, input: &Input<'_>, merged: &[MergedLatent]) -> Vec<SourceFile> {
        let latents = latents_by_key(&input.reader);
        let to = |key: &str, row: Option<usize>| {
            let latent = merged.get(latents.get(key)?.index())?;
            let whole = self.parcels.get(latent.index)?.shape.first().copied();
            let row = match (latent.rows, row) {
                (Some([0, end]), row) if whole == Some(end) => row,
                (Some([start, end]), Some(row)) if row < end - start => Some(start + row),
                (Some([start, end]), None) if end - start == 1 => Some(start),
                (Some(_), _) => return None,
                (None, row) => row,
            };
            Some((latent.key.as_ref()?.0.to_string(), row))
        };
        sources.into_iter().filter_map(|source| source.moved(to)).collect()
    }
}

impl Unlike {
    /// Compares the record of a latent with that of the parcel it joins.
    fn of(latent: &Latent, to: &Parcel<'_>) -> Self {
        let first = to.sources.first().and_then(|source| source.latent.chunks().next());
        let (Some(own), Some(first)) = (latent.chunks().next(), first) else { return Self::default() };
        let differing = |own: &Extra, first: &Extra| Some(own).filter(|own| *own != first).cloned();
        Self {
            extra: differing(own.extra(), first.extra()),
            record: differing(own.unknown(), first.unknown()),
        }
    }
}

/// Raises the limit on open files to the system's maximum. The default is often about a thousand.
fn allow_many_files() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};

        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        // If this fails, opening one file too many reports the problem.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// Whether a latent comes from this argument; one file may have a key several times.
fn is_from(parcel: &Parcel<'_>, input: &Input<'_>) -> bool {
    parcel.sources.last().is_some_and(|source| std::ptr::eq(source.path, input.path))
}

fn collision(parcel: &Parcel<'_>, input: &Input<'_>, args: &MergeArgs) -> anyhow::Error {
    let key = parcel.entry.key().unwrap_or_default();
    let there = parcel.sources.last().map(|source| shown(source.path)).unwrap_or_default();
    let hint = if args.prefix {
        "`gen5 repack --rename` gives one of them another key"
    } else {
        "--prefix puts the file names before the keys, and --stack joins latents with the same key"
    };
    anyhow::anyhow!("the key {key:?} is used twice, in {there} and in {}; {hint}", shown(input.path))
}

/// Joins a latent to one with the same key. Returns its row range in the result.
fn join<'a>(parcel: &mut Parcel<'a>, latent: Latent, input: &Input<'a>) -> Result<[usize; 2]> {
    let key = latent.key().unwrap_or_default();
    if is_from(parcel, input) {
        bail!("{}: several latents have the key {key:?}, so they cannot be stacked", shown(input.path));
    }
    let whole = (parcel.shape.split_first(), latent.shape().split_first());
    let (Some((&start, axes)), Some((&rows, others))) = whole else {
        bail!("latent {key:?} is a scalar, which has no axis to stack along");
    };
    if axes != others || parcel.dtype() != latent.dtype() {
        let there = parcel.sources.first().map(|source| shown(source.path)).unwrap_or_default();
        bail!(
            "latent {key:?} is {} of {} in {there} and {} of {} in {}; to stack them, their \
             dtypes and all axes but the first must match",
            dimensions(&parcel.shape, "x"),
            parcel.dtype(),
            dimensions(latent.shape(), "x"),
            latent.dtype(),
            shown(input.path),
        );
    }
    let end = start.checked_add(rows).with_context(|| format!("latent {key:?} has too many rows"))?;
    if let Some(first) = parcel.shape.first_mut() {
        *first = end;
    }
    parcel.sources.push(SourceLatent { latent, path: input.path });
    Ok([start, end])
}

/// The metadata of the first file, with the origins of all latents.
fn model_info(
    inputs: &[Input<'_>],
    plan: &MergePlan<'_>,
    destination: &Path,
    output: &mut Output<'_>,
) -> Result<String> {
    let Some(first) = inputs.first() else { return Ok(String::new()) };
    let mut model_info = stored_model_info(&first.reader, first.path, output)?;
    // The new file is no longer a part, and its origins have changed.
    for member in [PART_OF, MERGED_FROM, SOURCES] {
        model_info.remove(member);
    }
    let mut merged_files = Vec::new();
    let mut sources = Vec::new();
    let mut lost = 0;
    let mut size = 0;
    let most = Limits::default().table_bytes;
    for (input, latents) in inputs.iter().zip(&plan.latents) {
        let before = own_sources(input, output);
        let count = before.len();
        let after = plan.moved(before, input, latents);
        lost += count - after.len();
        sources.extend(after);
        let merged_file = merged_file(input, latents, &model_info)?;
        size += merged_file.size();
        ensure!(
            size <= most,
            "{}: the {MERGED_FROM} entries of it and of the files before it would exceed {}, the \
             limit on a file's table; merge fewer files",
            shown(input.path),
            human_size(most)
        );
        merged_files.push(merged_file);
    }
    note_lost(lost, destination, output);
    put_sources(&mut model_info, &sources)?;
    model_info.insert(MERGED_FROM, &merged_files)?;
    Ok(model_info.to_json()?)
}

/// The sources recorded in an input file.
fn own_sources(input: &Input<'_>, output: &mut Output<'_>) -> Vec<SourceFile> {
    let text = without_bare_words(input.reader.model_info_json());
    let mut members = members(&text).unwrap_or_default();
    take_sources(&mut members, input.path, output)
}

/// The element of `merged_from` for a file, given the merged metadata.
fn merged_file<'a>(input: &Input<'_>, latents: &'a [MergedLatent], merged: &Extra) -> Result<MergedFile<'a>> {
    let fingerprint = input.reader.fingerprint().map_err(|error| of_file(error, input.path))?.to_string();
    let text = input.reader.model_info_json();
    let (part_of, model_info) = match members(text) {
        Ok(mut members) => {
            members.remove(SOURCES);
            let part_of = members.remove(PART_OF).map(RawValue::from_string).transpose()?;
            let is_same = members == *merged;
            (part_of, if is_same { None } else { Some(to_raw_value(&members)?) })
        }
        Err(_) => (None, Some(to_raw_value(text)?)),
    };
    Ok(MergedFile { file: file_name(input.path), fingerprint, latents, part_of, model_info })
}

/// Notes contents of other files that the new file cannot have twice.
fn note_what_is_left(inputs: &[Input<'_>], output: &mut Output<'_>) {
    let Some((first, rest)) = inputs.split_first() else { return };
    let in_first: HashSet<_> = others(&first.reader).map(|chunk| (chunk.kind(), chunk.sha256())).collect();
    let is_in_first = |chunk: &ChunkRecord| in_first.contains(&(chunk.kind(), chunk.sha256()));
    let name_of = |kind: ChunkType| match kind {
        ChunkType::IMAGE => "image",
        ChunkType::ENVIRONMENT => "environment",
        _ => "chunks of unknown types",
    };
    for name in ["image", "environment", "chunks of unknown types"] {
        let has_other = |input: &&Input<'_>| {
            others(&input.reader).any(|chunk| name_of(chunk.kind()) == name && !is_in_first(chunk))
        };
        let mut left = rest.iter().filter(has_other);
        if let Some(input) = left.next() {
            let path = shown(input.path);
            let first = shown(first.path);
            let more = match left.count() {
                0 => String::new(),
                more => format!(" (and of {more} more)"),
            };
            let kept = if in_first.iter().any(|(kind, _)| name_of(*kind) == name) {
                format!("the new file keeps that of {first}")
            } else {
                format!("{first}, the first file, has none")
            };
            output.note(&format!("{name} of {path}{more} left out: {kept}"));
        }
    }
}
