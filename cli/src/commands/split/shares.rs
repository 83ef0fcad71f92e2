//! Distributes the metadata of a split file over its parts. Copying all of it into every part would
//! take quadratic space.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::{Range, RangeInclusive};

use anyhow::{Context, Result};
use gen5::metadata::Extra;
use gen5::{Latent, Reader};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::options::SplitArgs;
use crate::convert::layouts::{SourceFile, for_each};
use crate::metadata::origins::{MERGED_FROM, SOURCES, latents_by_key, note_lost, take_sources, to_text};
use crate::output::Output;
use crate::terminal::shown;

/// Metadata distributed over the parts.
#[derive(Default)]
pub(super) struct Shares {
    /// The shares by part number.
    parts: HashMap<usize, PartShare>,
    /// The elements of `merged_from`, concatenated: each is a JSON object that ends where its
    /// latents begin.
    merged_files: String,
    /// Total size of these elements in all parts.
    size: u64,
}

/// The share of one part.
#[derive(Default)]
struct PartShare {
    /// The source files of its latents.
    sources: Vec<SourceFile>,
    /// The files that its latents were merged from.
    merged_files: Vec<MergedFileShare>,
    /// The places of its latents, grouped by merged file: JSON values separated by commas.
    places: String,
}

/// A merged file in a part's share.
struct MergedFileShare {
    /// Its range in `merged_files`.
    merged_file: Range<usize>,
    /// The end of its latents in `places`; they start at the end of the previous ones.
    end: usize,
}

/// The place of a latent in the whole, as recorded in `merged_from`.
#[derive(Deserialize)]
struct MergedPosition {
    index: usize,
    rows: Option<[usize; 2]>,
}

/// The member of a merged file that lists its latents.
const LATENTS: &str = "latents";

impl Shares {
    /// Takes the data to distribute out of the metadata. Stops early once the parts would exceed
    /// `--room`.
    pub(super) fn take(
        model_info: &mut Extra,
        reader: &Reader,
        args: &SplitArgs,
        output: &mut Output<'_>,
    ) -> Result<Self> {
        let mut shares = Self::default();
        let rows = args.rows.map(NonZeroUsize::get);
        let sources = take_sources(model_info, &args.file, output);
        let lost = share_sources(sources, reader, rows, &mut shares.parts);
        note_lost(lost, &args.file, output);
        if let Some(text) = model_info.remove(MERGED_FROM)
            && let Err(error) = shares.share_merged_files(&text, reader, rows, u64::from(args.room) << 20)
        {
            shares.parts.values_mut().for_each(|share| share.merged_files.clear());
            output.note(&format!(
                "{}: {MERGED_FROM} is not valid: {error:#}; it is left out",
                shown(&args.file)
            ));
        }
        Ok(shares)
    }

    /// Total size of these elements in all parts; a lower bound if it exceeds the limit.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The members of a part's metadata, as JSON.
    pub(super) fn of(&self, part: usize) -> Result<Vec<(&'static str, String)>> {
        let mut members = Vec::new();
        let Some(share) = self.parts.get(&part) else { return Ok(members) };
        if !share.sources.is_empty() {
            members.push((SOURCES, to_text(&share.sources)?));
        }
        let mut merged_files = String::from("[");
        let mut start = 0;
        for MergedFileShare { merged_file, end } in &share.merged_files {
            let merged_file = self.merged_files.get(merged_file.clone()).context("an origin is missing")?;
            let places = share.places.get(start..*end).context("places are missing")?;
            let comma = if start > 0 { "," } else { "" };
            merged_files.extend([comma, merged_file, places, "]}"]);
            start = *end;
        }
        if !share.merged_files.is_empty() {
            members.push((MERGED_FROM, merged_files + "]"));
        }
        Ok(members)
    }

    /// Distributes the elements of `merged_from` to every part with latents from their files.
    /// Positions and rows still refer to the whole.
    fn share_merged_files(
        &mut self,
        text: &str,
        reader: &Reader,
        rows: Option<usize>,
        room: u64,
    ) -> Result<()> {
        let latents: Vec<Latent> = reader.latents().collect();
        let mut failed = Ok(());
        for_each(text, |merged_file: Extra| {
            if failed.is_ok() && self.size <= room {
                failed = self.share_merged_file(merged_file, &latents, rows, room);
            }
        })?;
        failed
    }

    fn share_merged_file(
        &mut self,
        mut merged_file: Extra,
        latents: &[Latent],
        rows: Option<usize>,
        room: u64,
    ) -> Result<()> {
        let places = merged_file.remove(LATENTS).context("a file has no latents")?;
        let mut head = merged_file.to_json()?;
        head.truncate(head.len() - 1);
        head.extend([if merged_file.is_empty() { "\"" } else { ",\"" }, LATENTS, "\":["]);
        let start = self.merged_files.len();
        let merged_file = start..start + head.len();
        let mut share = |text: &RawValue| -> Result<()> {
            let place: MergedPosition = serde_json::from_str(text.get())?;
            // A latent that `repack` dropped is in no part.
            let Some(latent) = latents.get(place.index) else { return Ok(()) };
            for part in parts(latent, place.rows, rows) {
                if self.size > room {
                    break;
                }
                // Keep only files that are used: a short text can have very many without latents.
                if self.merged_files.len() == start {
                    self.merged_files += &head;
                }
                self.size += self.parts.entry(part).or_default().add(&merged_file, text.get());
            }
            Ok(())
        };
        let mut failed = Ok(());
        for_each(&places, |text: &RawValue| {
            if failed.is_ok() {
                failed = share(text);
            }
        })?;
        failed
    }
}

impl PartShare {
    /// Adds the place of a latent from a merged file. Returns the size of the addition to the
    /// part's metadata.
    fn add(&mut self, merged_file: &Range<usize>, place: &str) -> u64 {
        let is_known = self.merged_files.last().is_some_and(|last| last.merged_file == *merged_file);
        if is_known {
            self.places += ",";
        }
        self.places += place;
        let end = self.places.len();
        match self.merged_files.last_mut().filter(|_| is_known) {
            Some(last) => last.end = end,
            None => self.merged_files.push(MergedFileShare { merged_file: merged_file.clone(), end }),
        }
        let size = if is_known { place.len() } else { place.len() + merged_file.len() };
        size as u64
    }
}

/// Distributes sources. Returns the number of those that belong to no single part.
fn share_sources(
    sources: Vec<SourceFile>,
    reader: &Reader,
    rows: Option<usize>,
    shares: &mut HashMap<usize, PartShare>,
) -> usize {
    let latents = latents_by_key(reader);
    // The part and the row in it, for a latent or a row of it.
    let place = |key: &str, row: Option<usize>| {
        let latent = latents.get(key)?;
        match (rows, rows_of(latent), row) {
            (None, ..) => Some((latent.index(), row)),
            (Some(_), None, row) => Some((0, row)),
            (Some(rows), Some(count), Some(row)) => (row < count).then_some((row / rows, Some(row % rows))),
            (Some(rows), Some(count), None) => (count <= rows).then_some((0, None)),
        }
    };
    let mut lost = 0;
    for source in sources {
        let number = match source.latents().next() {
            Some((_, member)) => {
                place(member.key.as_deref().unwrap_or_default(), member.row).map(|(number, _)| number)
            }
            None => Some(0),
        };
        let to = |key: &str, row| {
            let (part, row) = place(key, row)?;
            (Some(part) == number).then(|| (key.to_owned(), row))
        };
        match (number, source.moved(to)) {
            (Some(number), Some(source)) => shares.entry(number).or_default().sources.push(source),
            _ => lost += 1,
        }
    }
    lost
}

/// The parts that contain a latent, or some of its rows.
fn parts(latent: &Latent, of: Option<[usize; 2]>, rows: Option<usize>) -> RangeInclusive<usize> {
    match (rows, rows_of(latent)) {
        (None, _) => latent.index()..=latent.index(),
        (Some(_), None) => 0..=0,
        (Some(rows), Some(count)) => {
            let [start, end] = of.unwrap_or([0, count]);
            start / rows..=end.min(count).saturating_sub(1) / rows
        }
    }
}

/// Number of rows along the first axis; `None` for latents that are not split: scalars, empty ones,
/// and those with one row.
pub(super) fn rows_of(latent: &Latent) -> Option<usize> {
    latent.shape().first().copied().filter(|&rows| rows > 1 && !latent.is_empty())
}
