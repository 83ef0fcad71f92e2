//! `gen5 split`: a file taken apart into files of its latents, or of some rows of them.

use std::collections::HashMap;
use std::io::Cursor;
use std::ops::Range;
use std::path::Path;

use anyhow::{Result, ensure};
use gen5::{Compression, Entry, Extra, Latent, Metadata, NonFinite, ReadOptions, Reader, WriteOptions};
use serde::Serialize;
use serde_json::value::RawValue;

use super::carry::{Parcel, Source, carry};
use super::folder::{Draft, check_destination, write};
use super::merge::others;
use super::metadata::stored_model_info;
use super::shares::{Share, shares};
use super::sources::PART_OF;
use super::verify::{check_all, size_of_check};
use super::whole::BATCH;
use super::{Output, file_name, of_file};
use crate::args::SplitArgs;
use crate::names::file_names;
use crate::progress::Progress;
use crate::terminal::{count, human_size};

/// More files than this are a slip.
const MOST_FILES: usize = 100_000;

/// Bytes of metadata that all files together repeat.
const MAX_REPEATED: u64 = 4 << 30;

/// What a file is a part of: `part_of` in its metadata.
#[derive(Serialize)]
struct PartOf<'a> {
    file: &'a str,
    fingerprint: &'a str,
    #[serde(flatten)]
    part: &'a Part,
    /// What the whole is a part of, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    part_of: Option<&'a RawValue>,
}

/// Which part of a file another is.
#[derive(Serialize)]
#[serde(untagged)]
enum Part {
    Latent {
        /// Its position.
        index: usize,
        key: Option<String>,
        shape: Vec<usize>,
        dtype: &'static str,
    },
    Rows {
        /// The first, and the end, which is not included.
        rows: [usize; 2],
    },
}

/// Which file holds which part: an element of `index.json`.
#[derive(Serialize)]
struct IndexEntry<'a> {
    file: &'a str,
    #[serde(flatten)]
    part: &'a Part,
}

/// What was written, for programs.
#[derive(Serialize)]
struct Facts<'a> {
    payload_size: u64,
    index: Vec<IndexEntry<'a>>,
}

/// A file that is taken apart.
struct Whole<'a> {
    path: &'a Path,
    reader: Reader,
    name: String,
    fingerprint: String,
    /// Without what it is a part of, and what only some parts have a share of.
    model_info: Extra,
    part_of: Option<Box<RawValue>>,
    /// By the numbers of the parts.
    shares: HashMap<usize, Share>,
    /// Of all parts, which share the memory that these keep.
    options: WriteOptions,
    progress: Progress,
}

pub(crate) fn run(args: &SplitArgs, output: &mut Output<'_>) -> Result<()> {
    check_destination(&args.output, args.force)?;
    let whole = Whole::open(args, output)?;
    let draft = Draft::create(&args.output, args.force)?;
    let parts = match args.rows {
        Some(rows) => {
            let parts = whole.write_rows(rows.get(), draft.path())?;
            check_all(&whole.reader, whole.path, &whole.progress)?;
            parts
        }
        None => whole.write_latents(draft.path())?,
    };
    let index: Vec<IndexEntry<'_>> = parts.iter().map(|(file, part)| IndexEntry { file, part }).collect();
    write(
        &draft.path().join("index.json"),
        format!("{}\n", serde_json::to_string_pretty(&index)?).as_bytes(),
    )?;
    draft.publish(&args.file)?;
    let payload_size = whole.reader.latents().map(|latent| latent.payload_size()).sum();
    // The progress has to be gone before the line.
    drop(whole);
    let line = format!("{}, {} of values", count(parts.len(), "file"), human_size(payload_size));
    output.tell(&args.output, &line, &Facts { payload_size, index })
}

impl<'a> Whole<'a> {
    fn open(args: &'a SplitArgs, output: &mut Output<'_>) -> Result<Self> {
        let path = args.file.as_path();
        // Rows would have the hash of all that is stored beside them checked anew each time; there all is checked at the end.
        let check = args.rows.is_none();
        let reader = output.inputs.open_with(ReadOptions::new().check_hashes(check), path)?;
        let files = match args.rows {
            Some(rows) => count_of_files(&reader, rows.get())?,
            None => reader.latents().len(),
        };
        let mut model_info = stored_model_info(&reader, path, output)?;
        let part_of = model_info.remove(PART_OF).map(RawValue::from_string).transpose()?;
        let shares = shares(&mut model_info, &reader, args, output)?;
        refuse_repetition(&model_info, files)?;
        let fingerprint = reader.fingerprint().map_err(|error| of_file(error, path))?.to_string();
        let progress =
            output.progress("splitting", reader.latents().map(|latent| latent.payload_size()).sum());
        if !check {
            progress.extend(size_of_check(&reader));
        }
        let options = progress
            .options()
            .non_finite(NonFinite::Keep) // what is stored stays what it is
            .sync(false); // as with other folders of results: the whole is there still
        let name = file_name(path);
        Ok(Self { path, name, reader, fingerprint, model_info, part_of, shares, options, progress })
    }

    /// Writes a file for each latent. Returns the names of the files, and what they are.
    fn write_latents(&self, folder: &Path) -> Result<Vec<(String, Part)>> {
        let latents: Vec<Latent> = self.reader.latents().collect();
        let names = file_names(latents.iter().map(Latent::key), "gen5");
        let mut parts = Vec::new();
        for (latent, name) in latents.into_iter().zip(names) {
            let part = Part::Latent {
                index: latent.index(),
                key: latent.key().map(str::to_owned),
                shape: latent.shape().to_vec(),
                dtype: latent.dtype().name(),
            };
            self.write_part(parts.len(), &folder.join(&name), &[Parcel::of(latent, self.path)], &part)?;
            parts.push((name, part));
        }
        Ok(parts)
    }

    /// Writes a file for each `rows` rows. Returns the names of the files, and what they are.
    fn write_rows(&self, rows: usize, folder: &Path) -> Result<Vec<(String, Part)>> {
        let latents: Vec<Latent> = self.reader.latents().collect();
        let total = latents.iter().filter_map(rows_of).max().unwrap_or(1);
        let count = count_of_files(&self.reader, rows)?;
        let row_size: u64 = latents
            .iter()
            .filter_map(|latent| Some(latent.payload_size() / rows_of(latent)? as u64))
            .fold(0, u64::saturating_add);
        // Compressed values are decompressed from the start of their chunk on, so that those of several files are better
        // read together.
        let file_size = row_size.saturating_mul(rows as u64).max(1);
        let together = usize::try_from(BATCH / file_size)?.clamp(1, count);
        let names = self.numbered(count);
        let mut parts = Vec::new();
        for (group, names) in names.chunks(together).enumerate() {
            let start = group * together * rows;
            let held = match together {
                1 => latents.iter().map(|latent| (latent.clone(), 0)).collect(),
                _ => hold(&latents, start..(start + together * rows).min(total), self.path)?,
            };
            for (number, name) in names.iter().enumerate() {
                let start = start + number * rows;
                let range = start..(start + rows).min(total);
                let parcels = self.rows(&latents, &held, range.clone())?;
                let part = Part::Rows { rows: [range.start, range.end] };
                self.write_part(parts.len(), &folder.join(name), &parcels, &part)?;
                parts.push((name.clone(), part));
            }
        }
        Ok(parts)
    }

    /// Names of so many files: `run-00.gen5`, `run-01.gen5`, in the order in which a shell sorts them.
    fn numbered(&self, count: usize) -> Vec<String> {
        let stem = file_names([self.path.file_stem().and_then(|stem| stem.to_str())].into_iter(), "");
        let stem = stem.first().map_or("part", |stem| stem.trim_end_matches('.'));
        let width = (count - 1).to_string().len();
        (0..count).map(|number| format!("{stem}-{number:0width$}.gen5")).collect()
    }

    /// What the file for some rows has: these rows of the latents that have them, and the first file the latents that have
    /// none. `held` has them, each from a row on.
    fn rows(
        &self,
        latents: &[Latent],
        held: &[(Latent, usize)],
        range: Range<usize>,
    ) -> Result<Vec<Parcel<'_>>> {
        let mut parcels = Vec::new();
        for (latent, (held, from)) in latents.iter().zip(held) {
            match rows_of(latent) {
                None if range.start == 0 => parcels.push(Parcel::of(latent.clone(), self.path)),
                Some(count) if range.start < count => {
                    let rows = cut(held, range.start - from..range.end.min(count) - from)?;
                    let (entry, shape) = (Entry::from(latent), rows.shape().to_vec());
                    parcels.push(Parcel {
                        entry,
                        shape,
                        sources: vec![Source { latent: rows, path: self.path }],
                    });
                }
                _ => {}
            }
        }
        Ok(parcels)
    }

    /// Writes the file of these latents that is the part of this number.
    fn write_part(&self, number: usize, path: &Path, parcels: &[Parcel<'_>], part: &Part) -> Result<()> {
        let mut model_info = self.model_info.clone();
        if let Some(share) = self.shares.get(&number) {
            share.put(&mut model_info)?;
        }
        let (file, fingerprint) = (self.name.as_str(), self.fingerprint.as_str());
        let part_of = self.part_of.as_deref();
        model_info.insert(PART_OF, &PartOf { file, fingerprint, part, part_of })?;
        let mut writer = self.options.clone().create_new(path)?;
        carry(&mut writer, parcels)?;
        for chunk in others(&self.reader) {
            writer.carry(&self.reader, chunk.index()).map_err(|error| of_file(error, self.path))?;
        }
        writer.finish_as(&self.reader, &serde_json::to_string(&model_info)?)?;
        Ok(())
    }
}

/// How many files `rows` rows each make.
fn count_of_files(reader: &Reader, rows: usize) -> Result<usize> {
    let count = reader.latents().filter_map(|latent| rows_of(&latent)).max().unwrap_or(1).div_ceil(rows);
    ensure!(
        count <= MOST_FILES,
        "--rows {rows} makes {count} files, and more than {MOST_FILES} are too many"
    );
    Ok(count)
}

/// Refuses to repeat metadata of megabytes in thousands of files.
fn refuse_repetition(model_info: &Extra, files: usize) -> Result<()> {
    let size = model_info.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() as u64;
    ensure!(
        size.saturating_mul(files as u64) <= MAX_REPEATED,
        "{} would each have all of the metadata, {} of text, which comes to more than {}: make fewer files, or shorten \
         the metadata with `gen5 set`",
        count(files, "file"),
        human_size(size),
        human_size(MAX_REPEATED)
    );
    Ok(())
}

/// How many rows a latent has along its first axis; `None` if it is not cut: a scalar, one without values, or of one row.
pub(super) fn rows_of(latent: &Latent) -> Option<usize> {
    latent.shape().first().copied().filter(|&rows| rows > 1 && !latent.is_empty())
}

/// Rows of a latent along its first axis.
fn cut(latent: &Latent, rows: Range<usize>) -> gen5::Result<Latent> {
    // Of one row the library counts along the axis behind.
    if rows == (0..latent.shape().first().copied().unwrap_or(0)) {
        return Ok(latent.clone());
    }
    latent.rows(rows)
}

/// Some rows of the latents in memory, and which is the first of them. What has no rows there is as it was.
fn hold(latents: &[Latent], range: Range<usize>, path: &Path) -> Result<Vec<(Latent, usize)>> {
    let mut rows = Vec::new();
    for latent in latents {
        let Some(count) = rows_of(latent).filter(|&count| range.start < count) else { continue };
        rows.push(cut(latent, range.start..range.end.min(count))?);
    }
    let parcels: Vec<Parcel<'_>> = rows
        .into_iter()
        .enumerate()
        .map(|(number, latent)| {
            let (entry, shape) = (Entry::new(number.to_string()), latent.shape().to_vec());
            Parcel { entry, shape, sources: vec![Source { latent, path }] }
        })
        .collect();
    let mut bytes = Cursor::new(Vec::new());
    let options = WriteOptions::new().compression(Compression::None).non_finite(NonFinite::Keep);
    let mut writer = options.write_to(&mut bytes)?;
    carry(&mut writer, &parcels)?;
    writer.finish(&Metadata::builder("", "").build()?)?;
    let mut held = Reader::from_bytes(bytes.into_inner())?.latents().collect::<Vec<_>>().into_iter();
    let has_rows = |latent: &Latent| rows_of(latent).is_some_and(|count| range.start < count);
    let mut found = Vec::new();
    for latent in latents {
        found.push(match has_rows(latent).then(|| held.next()).flatten() {
            Some(held) => (held, range.start),
            None => (latent.clone(), 0),
        });
    }
    Ok(found)
}
