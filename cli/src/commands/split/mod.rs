//! `gen5 split`: splits a file into files of its latents, or of some of their rows.

mod options;
mod shares;

use std::io::Cursor;
use std::ops::Range;
use std::path::Path;

use anyhow::{Result, bail, ensure};
use gen5::chunk::{ChunkCopy, ChunkRecord};
use gen5::metadata::Outline;
use gen5::{Compression, Entry, Latent, Metadata, NonFinite, ReadOptions, Reader, WriteOptions};
use gen5_picture::text::{count, human_size};
use serde::Serialize;
use serde_json::value::RawValue;

pub(crate) use self::options::SplitArgs;
use self::shares::{Shares, rows_of};
use crate::budget::MADE_FILES;
use crate::context::Context;
use crate::failure::of_file;
use crate::metadata::model_info::stored_model_info;
use crate::metadata::origins::{MERGED_FROM, PART_OF};
use crate::names::file_names;
use crate::output::folder::{OutputFolder, check_destination, write_json};
use crate::output::{Output, file_name};
use crate::progress::Progress;
use crate::terminal::shown;
use crate::transfer::batch::BATCH;
use crate::transfer::check::{check_all, size_of_check};
use crate::transfer::latents::{Parcel, SourceLatent, carry, others};

/// The whole that a file is part of: `part_of` in its metadata.
#[derive(Serialize)]
struct PartOf<'a> {
    file: &'a str,
    fingerprint: &'a str,
    #[serde(flatten)]
    part: &'a PartExtent,
    /// The whole's own `part_of`, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    part_of: Option<&'a RawValue>,
}

/// The extent of a part.
#[derive(Serialize)]
#[serde(untagged)]
enum PartExtent {
    Latent {
        /// The latent's position.
        index: usize,
        key: Option<String>,
        shape: Vec<usize>,
        dtype: &'static str,
    },
    Rows {
        /// The first row and the exclusive end.
        rows: [usize; 2],
    },
}

/// The contents of one part: an element of `index.json`.
#[derive(Serialize)]
struct IndexedPart<'a> {
    file: &'a str,
    #[serde(flatten)]
    part: &'a PartExtent,
}

/// The JSON report of a split.
#[derive(Serialize)]
struct SplitReport<'a> {
    payload_size: u64,
    index: Vec<IndexedPart<'a>>,
}

/// The file to split.
struct Whole<'a> {
    path: &'a Path,
    reader: &'a Reader,
    name: String,
    fingerprint: String,
    part_of: Option<Box<RawValue>>,
    common: Common<'a>,
    /// The data that differs between parts.
    shares: Shares,
    /// The options of all parts, which share the memory that these hold.
    options: WriteOptions,
    progress: Progress,
}

/// The data common to all parts, prepared once.
struct Common<'a> {
    /// The members of `model_info` without `part_of`: an unfinished JSON object.
    model_info: String,
    outline: Outline,
    /// Image, environment, and chunks of unknown types.
    chunks: Vec<&'a ChunkRecord>,
}

pub(crate) fn run(args: &SplitArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    check_destination(&args.output, args.force)?;
    // Rows would check the hash of their whole chunk each time; in that mode, everything is checked
    // at the end.
    let check = args.rows.is_none();
    let reader = input.open_with(ReadOptions::new().check_hashes(check), &args.file)?;
    let whole = Whole::of(&reader, args, output)?;
    let draft = OutputFolder::create(&args.output, args.force)?;
    let carried = whole.common.chunks.iter().map(|chunk| ChunkCopy::read(&reader, chunk));
    let carried: Vec<ChunkCopy<'_>> =
        carried.collect::<gen5::Result<_>>().map_err(|error| of_file(error, &args.file))?;
    let parts = match args.rows {
        Some(rows) => {
            let parts = whole.write_rows(rows.get(), &carried, draft.path())?;
            check_all(&reader, whole.path, &whole.progress)?;
            parts
        }
        None => whole.write_latents(&carried, draft.path())?,
    };
    let index: Vec<IndexedPart<'_>> = parts.iter().map(|(file, part)| IndexedPart { file, part }).collect();
    write_json(&draft.path().join("index.json"), &index)?;
    draft.publish(&args.file)?;
    let payload_size = reader.latents().map(|latent| latent.payload_size()).sum();
    // The progress bar must disappear before the line is printed.
    drop(whole);
    let line = format!("{}, {} of values", count(parts.len(), "file"), human_size(payload_size));
    output.summarize(&args.output, &line, &SplitReport { payload_size, index })
}

impl<'a> Whole<'a> {
    /// Prepares the data to write, and checks that the parts do not repeat too much.
    fn of(reader: &'a Reader, args: &'a SplitArgs, output: &mut Output<'_>) -> Result<Self> {
        let path = args.file.as_path();
        let files = count_of_files(reader, args)?;
        let mut model_info = stored_model_info(reader, path, output)?;
        let part_of = model_info.remove(PART_OF).map(RawValue::from_string).transpose()?;
        let shares = Shares::take(&mut model_info, reader, args, output)?;
        let mut text = model_info.to_json()?;
        text.truncate(text.len() - 1);
        drop(model_info);
        let outline = reader.outline().map_err(|error| of_file(error, path))?;
        let chunks = others(reader).filter(|_| !args.latents_only).collect();
        let common = Common { model_info: text, outline, chunks };
        refuse_repetition(&common, &shares, files, args)?;
        let fingerprint = reader.fingerprint().map_err(|error| of_file(error, path))?.to_string();
        let progress =
            output.progress("splitting", reader.latents().map(|latent| latent.payload_size()).sum());
        if args.rows.is_some() {
            progress.extend(size_of_check(reader));
        }
        let options = progress
            .options()
            .non_finite(NonFinite::Keep) // what is stored stays what it is
            .sync(false); // as with other folders of results: the whole is there still
        let name = file_name(path);
        Ok(Self { path, name, reader, fingerprint, part_of, common, shares, options, progress })
    }

    /// Writes a file per latent. Returns the names and contents of the files.
    fn write_latents(&self, carried: &[ChunkCopy<'_>], folder: &Path) -> Result<Vec<(String, PartExtent)>> {
        let latents: Vec<Latent> = self.reader.latents().collect();
        let names = file_names(latents.iter().map(Latent::key), "gen5");
        let mut parts = Vec::new();
        for (latent, name) in latents.into_iter().zip(names) {
            let part = PartExtent::Latent {
                index: latent.index(),
                key: latent.key().map(str::to_owned),
                shape: latent.shape().to_vec(),
                dtype: latent.dtype().name(),
            };
            let parcels = vec![Parcel::of(latent, self.path)];
            self.write_part(parts.len(), &folder.join(&name), parcels, carried, &part)?;
            parts.push((name, part));
        }
        Ok(parts)
    }

    /// Writes a file per `rows` rows. Returns the names and contents of the files.
    fn write_rows(
        &self,
        rows: usize,
        carried: &[ChunkCopy<'_>],
        folder: &Path,
    ) -> Result<Vec<(String, PartExtent)>> {
        let mut latents: Vec<Latent> = self.reader.latents().collect();
        let total = latents.iter().filter_map(rows_of).max().unwrap_or(1);
        let count = total.div_ceil(rows);
        let row_size: u64 = latents
            .iter()
            .filter_map(|latent| Some(latent.payload_size() / rows_of(latent)? as u64))
            .fold(0, u64::saturating_add);
        // Compressed values are decompressed from the start of their chunk, so the rows of several
        // files are read together.
        let file_size = row_size.saturating_mul(rows as u64).max(1);
        let together = usize::try_from(BATCH / file_size)?.clamp(1, count);
        let names = self.numbered(count);
        let mut parts = Vec::new();
        for (group, names) in names.chunks(together).enumerate() {
            let start = group * together * rows;
            let mut held = match together {
                1 => latents.iter().map(Held::not).collect(),
                _ => hold(&latents, start..(start + together * rows).min(total), self.path)?,
            };
            for (number, name) in names.iter().enumerate() {
                let start = start + number * rows;
                let range = start..(start + rows).min(total);
                let parcels = self.rows(&held, range.clone())?;
                let part = PartExtent::Rows { rows: [range.start, range.end] };
                self.write_part(parts.len(), &folder.join(name), parcels, carried, &part)?;
                parts.push((name.clone(), part));
                // A latent without further rows is skipped from here on.
                held.retain(|held| held.has_rows_from(range.end));
                latents.retain(|latent| rows_of(latent).is_some_and(|rows| range.end < rows));
            }
        }
        Ok(parts)
    }

    /// The names of `count` files: `run-00.gen5`, `run-01.gen5`, in the order in which a shell
    /// sorts them.
    fn numbered(&self, count: usize) -> Vec<String> {
        let stem = file_names([self.path.file_stem().and_then(|stem| stem.to_str())].into_iter(), "");
        let stem = stem.first().map_or("part", |stem| stem.trim_end_matches('.'));
        let width = (count - 1).to_string().len();
        (0..count).map(|number| format!("{stem}-{number:0width$}.gen5")).collect()
    }

    /// The contents of the file for a range of rows. The first file also receives the latents that
    /// have no rows.
    fn rows(&self, all: &[Held], range: Range<usize>) -> Result<Vec<Parcel<'_>>> {
        let mut parcels = Vec::new();
        for Held { latent, values, from } in all {
            match rows_of(latent) {
                None if range.start == 0 => parcels.push(Parcel::of(latent.clone(), self.path)),
                Some(count) if range.start < count => {
                    let rows = cut(values, range.start - from..range.end.min(count) - from)?;
                    parcels.push(Parcel {
                        entry: Entry::from(latent),
                        shape: rows.shape().to_vec(),
                        sources: vec![SourceLatent { latent: rows, path: self.path }],
                    });
                }
                _ => {}
            }
        }
        Ok(parcels)
    }

    /// Writes these latents as the part with this number.
    fn write_part(
        &self,
        number: usize,
        path: &Path,
        parcels: Vec<Parcel<'_>>,
        carried: &[ChunkCopy<'_>],
        part: &PartExtent,
    ) -> Result<()> {
        let mut members = self.shares.of(number)?;
        let part_of = PartOf {
            file: &self.name,
            fingerprint: &self.fingerprint,
            part,
            part_of: self.part_of.as_deref(),
        };
        members.push((PART_OF, serde_json::to_string(&part_of)?));
        let size = |(name, value): &(&str, String)| name.len() + value.len() + 4;
        let room = self.common.model_info.len() + members.iter().map(size).sum::<usize>() + 1;
        let mut model_info = String::with_capacity(room);
        model_info += &self.common.model_info;
        for (name, value) in members {
            model_info += if model_info.len() > 1 { "," } else { "" };
            model_info += &serde_json::to_string(name)?;
            model_info += ":";
            model_info += &value;
        }
        model_info += "}";
        let mut writer = self.options.clone().create_new(path)?;
        carry(&mut writer, parcels)?;
        carried.iter().try_for_each(|chunk| writer.write_chunk(chunk))?;
        writer.finish_with(&self.common.outline, &model_info)?;
        Ok(())
    }
}

impl Common<'_> {
    /// Size of the common data in each part.
    fn size(&self) -> u64 {
        let text = self.model_info.len() + self.outline.size();
        self.chunks.iter().map(|chunk| chunk.payload_size()).fold(text as u64, u64::saturating_add)
    }

    /// Size of the common chunks in each part.
    fn size_of_chunks(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.payload_size()).fold(0, u64::saturating_add)
    }
}

/// The number of files to write.
fn count_of_files(reader: &Reader, args: &SplitArgs) -> Result<usize> {
    let file = shown(&args.file);
    match args.rows {
        None => {
            let count = reader.latents().len();
            ensure!(
                count <= MADE_FILES,
                "{file}: {count} latents would make as many files, but the limit is \
                 {MADE_FILES}; gen5 repack --only KEY copies some into one file"
            );
            Ok(count)
        }
        Some(rows) => {
            let all = reader.latents().filter_map(|latent| rows_of(&latent)).max().unwrap_or(1);
            let count = all.div_ceil(rows.get());
            ensure!(
                count <= MADE_FILES,
                "{file}: --rows {rows} makes {count} files, but the limit is {MADE_FILES}; \
                 --rows {} makes fewer",
                all.div_ceil(MADE_FILES)
            );
            Ok(count)
        }
    }
}

/// Rejects the repetition of large images or metadata in thousands of files.
fn refuse_repetition(common: &Common<'_>, shares: &Shares, files: usize, args: &SplitArgs) -> Result<()> {
    const MIB: u64 = 1 << 20;
    let together = |each: u64| each.saturating_mul(files as u64).saturating_add(shares.size());
    let each = common.size();
    let room = u64::from(args.room) * MIB;
    if together(each) <= room {
        return Ok(());
    }
    let file = shown(&args.file);
    ensure!(
        shares.size() <= room,
        "{file}: {} would repeat more than {} of {MERGED_FROM}, the limit of --room; gen5 set \
         --unset {MERGED_FROM} removes it from the file",
        count(files, "file"),
        human_size(room)
    );
    let mut ways = Vec::new();
    if together(each - common.size_of_chunks()) <= room {
        ways.push("--latents-only leaves out the image, the environment and the like".to_owned());
    }
    let most_files = usize::try_from((room - shares.size()) / each.max(1)).unwrap_or(usize::MAX);
    if let (Some(rows), 1..) = (args.rows, most_files) {
        ways.push(format!(
            "--rows {} makes fewer files",
            rows.get().saturating_mul(files.div_ceil(most_files))
        ));
    }
    ways.push(format!("--room {} allows it", together(each).div_ceil(MIB)));
    bail!(
        "{file}: metadata, image, environment and chunks of unknown types, {}, would be in each \
         of {}, {} in total, but --room allows {}: {}",
        human_size(each),
        count(files, "file"),
        human_size(together(each)),
        human_size(room),
        ways.join(", or ")
    )
}

/// Rows of a latent along its first axis.
fn cut(latent: &Latent, rows: Range<usize>) -> gen5::Result<Latent> {
    // The library counts the rows of a latent with a single one along the next axis.
    if rows == (0..latent.shape().first().copied().unwrap_or(0)) {
        return Ok(latent.clone());
    }
    latent.rows(rows)
}

/// A latent, and the location of its values from a row on: in memory or in its file.
struct Held {
    latent: Latent,
    values: Latent,
    from: usize,
}

impl Held {
    /// A latent read from its file.
    fn not(latent: &Latent) -> Self {
        Self { latent: latent.clone(), values: latent.clone(), from: 0 }
    }

    fn has_rows_from(&self, row: usize) -> bool {
        rows_of(&self.latent).is_some_and(|rows| row < rows)
    }
}

/// Reads a range of rows into memory. Latents without rows there are unchanged.
fn hold(latents: &[Latent], range: Range<usize>, path: &Path) -> Result<Vec<Held>> {
    let mut rows = Vec::new();
    for latent in latents {
        let Some(count) = rows_of(latent).filter(|&count| range.start < count) else { continue };
        rows.push(cut(latent, range.start..range.end.min(count))?);
    }
    let parcels: Vec<Parcel<'_>> = rows
        .into_iter()
        .enumerate()
        .map(|(number, latent)| Parcel {
            entry: Entry::new(number.to_string()),
            shape: latent.shape().to_vec(),
            sources: vec![SourceLatent { latent, path }],
        })
        .collect();
    let mut bytes = Cursor::new(Vec::new());
    let options = WriteOptions::new().compression(Compression::Raw).non_finite(NonFinite::Keep);
    let mut writer = options.to_writer(&mut bytes)?;
    carry(&mut writer, parcels)?;
    writer.finish(&Metadata::builder("", "").build()?)?;
    let mut read = Reader::from_bytes(bytes.into_inner())?.latents().collect::<Vec<_>>().into_iter();
    let mut held = Vec::new();
    for latent in latents {
        let has_rows = rows_of(latent).is_some_and(|count| range.start < count);
        held.push(match has_rows.then(|| read.next()).flatten() {
            Some(values) => Held { latent: latent.clone(), values, from: range.start },
            None => Held::not(latent),
        });
    }
    Ok(held)
}
