//! Distributes the metadata of a split file over its parts. Copying all of it into every part would
//! take quadratic space.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::ops::{Range, RangeInclusive};

use anyhow::{Context, Result};
use gen5::{Extra, Latent, Reader};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::options::SplitArgs;
use crate::convert::layouts::{Source, for_each};
use crate::metadata::origins::{MERGED_FROM, SOURCES, latents_by_key, note_lost, take_sources, to_text};
use crate::output::Output;
use crate::terminal::shown;

/// What the parts have of it.
#[derive(Default)]
pub(super) struct Shares {
    /// By the numbers of the parts.
    parts: HashMap<usize, Share>,
    /// The files that a merged file is of, one after the other: each a JSON object that ends where its latents begin.
    origins: String,
    /// Bytes that origins take in all parts together.
    size: u64,
}

/// What one part has of it.
#[derive(Default)]
struct Share {
    /// The files that its latents came from.
    sources: Vec<Source>,
    /// The files that they were merged from.
    origins: Vec<OriginShare>,
    /// Where its latents went, for one origin after the other: JSON values with commas between.
    places: String,
}

/// A file that a part's latents were merged from.
struct OriginShare {
    /// Where it is among the origins.
    origin: Range<usize>,
    /// Where its latents end among the part's places; they begin where those of the one before end.
    end: usize,
}

/// Where a latent of a merged file went, as `merged_from` tells.
#[derive(Deserialize)]
struct Place {
    index: usize,
    rows: Option<[usize; 2]>,
}

/// The member of an origin that says which latents came of it.
const LATENTS: &str = "latents";

impl Shares {
    /// Takes all that is shared out of the metadata. Once it is sure that the parts would have more of it than `--room` allows,
    /// the rest is not looked at.
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
            && let Err(error) = shares.share_origins(&text, reader, rows, u64::from(args.room) << 20)
        {
            shares.parts.values_mut().for_each(|share| share.origins.clear());
            output.note(&format!(
                "{}: {MERGED_FROM} is not as it has to be: {error:#}; it is left out",
                shown(&args.file)
            ));
        }
        Ok(shares)
    }

    /// Bytes that origins take in all parts together: at least, if that is more than there is room for.
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
        let (mut origins, mut start) = (String::from("["), 0);
        for OriginShare { origin, end } in &share.origins {
            let origin = self.origins.get(origin.clone()).context("an origin is missing")?;
            let places = share.places.get(start..*end).context("places are missing")?;
            let comma = if start > 0 { "," } else { "" };
            origins.extend([comma, origin, places, "]}"]);
            start = *end;
        }
        if !share.origins.is_empty() {
            members.push((MERGED_FROM, origins + "]"));
        }
        Ok(members)
    }

    /// Shares out the files that a merged file is of, each to every part that has something of it. Positions and rows stay
    /// those in the whole.
    fn share_origins(&mut self, text: &str, reader: &Reader, rows: Option<usize>, room: u64) -> Result<()> {
        let latents: Vec<Latent> = reader.latents().collect();
        let mut failed = Ok(());
        for_each(text, |origin: Extra| {
            if failed.is_ok() && self.size <= room {
                failed = self.share_origin(origin, &latents, rows, room);
            }
        })?;
        failed
    }

    fn share_origin(
        &mut self,
        mut origin: Extra,
        latents: &[Latent],
        rows: Option<usize>,
        room: u64,
    ) -> Result<()> {
        let places = origin.remove(LATENTS).context("a file has no latents")?;
        let mut head = origin.to_json()?;
        head.truncate(head.len() - 1);
        head.extend([if origin.is_empty() { "\"" } else { ",\"" }, LATENTS, "\":["]);
        let start = self.origins.len();
        let origin = start..start + head.len();
        let mut share = |text: &RawValue| -> Result<()> {
            let place: Place = serde_json::from_str(text.get())?;
            // What `repack` has left out is in no part.
            let Some(latent) = latents.get(place.index) else { return Ok(()) };
            for part in parts(latent, place.rows, rows) {
                if self.size > room {
                    break;
                }
                // Only what is in a part is kept: a short text can have very many origins of which nothing came.
                if self.origins.len() == start {
                    self.origins += &head;
                }
                self.size += self.parts.entry(part).or_default().add(&origin, text.get());
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

impl Share {
    /// Adds that a latent of an origin went to this place. Returns the bytes that this takes in the part's metadata.
    fn add(&mut self, origin: &Range<usize>, place: &str) -> u64 {
        let is_known = self.origins.last().is_some_and(|last| last.origin == *origin);
        if is_known {
            self.places += ",";
        }
        self.places += place;
        let end = self.places.len();
        match self.origins.last_mut().filter(|_| is_known) {
            Some(last) => last.end = end,
            None => self.origins.push(OriginShare { origin: origin.clone(), end }),
        }
        let size = if is_known { place.len() } else { place.len() + origin.len() };
        size as u64
    }
}

/// Shares out sources. Returns how many are left, since they are of several parts, or of none.
fn share_sources(
    sources: Vec<Source>,
    reader: &Reader,
    rows: Option<usize>,
    shares: &mut HashMap<usize, Share>,
) -> usize {
    let latents = latents_by_key(reader);
    // Which part has a latent, or a row of it, and as which row.
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

/// The parts that some rows of a latent are in, or all of it.
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

/// How many rows a latent has along its first axis; `None` if it is not cut: a scalar, one without values, or of one row.
pub(super) fn rows_of(latent: &Latent) -> Option<usize> {
    latent.shape().first().copied().filter(|&rows| rows > 1 && !latent.is_empty())
}
