//! What of the metadata of a file that is split belongs to which part: all of it in each would grow with the square of the
//! parts.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use anyhow::{Context, Result};
use gen5::{Extra, Latent, Reader};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Output;
use super::sources::{MERGED_FROM, latents_by_key, note_lost, put_sources, take_sources};
use super::split::rows_of;
use crate::args::SplitArgs;
use crate::convert::layouts::Source;
use crate::terminal::shown;

/// What one part has of it.
#[derive(Default)]
pub(super) struct Share {
    /// The files that its latents came from.
    sources: Vec<Source>,
    /// Of `merged_from` the files that something of it came from, each with what is of this part.
    origins: Vec<Extra>,
}

/// Where a latent of a merged file went, as `merged_from` tells.
#[derive(Deserialize)]
struct Place {
    index: usize,
    rows: Option<[usize; 2]>,
}

impl Share {
    /// Puts it into the metadata of the part.
    pub(super) fn put(&self, model_info: &mut Extra) -> Result<()> {
        put_sources(model_info, &self.sources)?;
        if !self.origins.is_empty() {
            model_info.insert(MERGED_FROM, &self.origins)?;
        }
        Ok(())
    }
}

/// Takes all that is shared out of the metadata. Returns it by the numbers of the parts.
pub(super) fn shares(
    model_info: &mut Extra,
    reader: &Reader,
    args: &SplitArgs,
    output: &mut Output<'_>,
) -> Result<HashMap<usize, Share>> {
    let mut shares = HashMap::new();
    let rows = args.rows.map(NonZeroUsize::get);
    let sources = take_sources(model_info, &args.file, output);
    let lost = share_sources(sources, reader, rows, &mut shares);
    note_lost(lost, &args.file, output);
    if let Some(text) = model_info.remove(MERGED_FROM) {
        match origins_by_part(&text, reader, rows) {
            Ok(origins) => {
                for (part, origin) in origins {
                    shares.entry(part).or_default().origins.push(origin);
                }
            }
            Err(error) => output.note(&format!(
                "{}: {MERGED_FROM} is not as it has to be: {error:#}; it is left out",
                shown(&args.file)
            )),
        }
    }
    Ok(shares)
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

/// The files that a merged file is of, once for each part that has something of them, with its number. Positions and rows
/// stay those in the whole.
fn origins_by_part(text: &str, reader: &Reader, rows: Option<usize>) -> Result<Vec<(usize, Extra)>> {
    let latents: Vec<Latent> = reader.latents().collect();
    let mut shared = Vec::new();
    for origin in serde_json::from_str::<Vec<Extra>>(text)? {
        let places: Vec<&RawValue> =
            serde_json::from_str(origin.get("latents").context("a file has no latents")?)?;
        let mut by_part: BTreeMap<usize, Vec<&RawValue>> = BTreeMap::new();
        for text in places {
            let place: Place = serde_json::from_str(text.get())?;
            // What `repack` has left out is in no part.
            let Some(latent) = latents.get(place.index) else { continue };
            for part in parts(latent, place.rows, rows) {
                by_part.entry(part).or_default().push(text);
            }
        }
        for (part, places) in by_part {
            let mut origin = origin.clone();
            origin.insert("latents", &places)?;
            shared.push((part, origin));
        }
    }
    Ok(shared)
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
