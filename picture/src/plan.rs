//! The values to read from a latent (all, or a sample of a large one) and the pictures to keep.

use std::ops::Range;

use gen5::Latent;
use gen5::chunk::ChunkRecord;

use crate::layout::{Layout, spread_evenly};
use crate::limits::LATENT_MEMORY;

/// What a [scan](crate::scan_latent) reads and keeps. By default, it reads up to 256 MiB of a
/// latent, keeps up to 64 pictures of at most 256 pixels a side, and makes no histogram.
///
/// ```
/// let statistics_alone = gen5_picture::ScanOptions { items: 0, ..Default::default() };
/// # let _ = statistics_alone;
/// ```
#[derive(Clone, Debug)]
pub struct ScanOptions {
    /// Maximum number of pictures to keep, as chosen by [`Layout::choose`].
    pub items: usize,
    /// Maximum length of a picture's longer side in pixels. Larger ones are scaled down by
    /// averaging squares of pixels.
    pub side: usize,
    /// Maximum memory for pictures in bytes. One is always kept.
    pub memory: u64,
    /// Maximum number of bytes to read. For larger latents, the statistics cover a sample.
    pub sample: u64,
    /// The rows to scan; `None` for all.
    pub rows: Option<Range<usize>>,
    /// Number of histogram bins; 0 for no histogram.
    pub bins: usize,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self { items: 64, side: 256, memory: LATENT_MEMORY, sample: 256 << 20, rows: None, bins: 0 }
    }
}

impl ScanOptions {
    /// Maximum number of pictures kept for this layout.
    pub fn items_within(&self, layout: &Layout) -> usize {
        let within = usize::try_from(self.memory / self.item(layout)).unwrap_or(usize::MAX);
        within.max(1).min(self.items)
    }

    /// The memory that they take in bytes.
    pub fn memory_for(&self, layout: &Layout) -> u64 {
        self.item(layout).saturating_mul(self.items_within(layout).min(layout.items()) as u64)
    }

    /// Maximum size of a picture in bytes.
    fn item(&self, layout: &Layout) -> u64 {
        let side = |pixels: usize| pixels.min(self.side.max(1)) as u64;
        let plane = side(layout.width()) * side(layout.height()) * size_of::<f32>() as u64;
        plane.saturating_mul(layout.channels() as u64).max(1)
    }
}

/// Minimum number of bytes that a task reads from a large raw latent.
const PIECE: u64 = 16 << 20;

/// Maximum number of tasks for one latent: each takes some memory.
const MOST_PIECES: usize = 256;

/// Number of places to sample.
const PLACES: usize = 32;

/// The values to read and the pictures to keep.
pub(crate) struct ScanPlan {
    /// Row ranges that can be read in parallel.
    pub(crate) pieces: Vec<Range<usize>>,
    /// Maximum number of bytes to read from each.
    pub(crate) most: u64,
    /// The pictures to keep.
    pub(crate) chosen: Vec<usize>,
}

impl ScanPlan {
    pub(crate) fn new(latent: &Latent, layout: &Layout, rows: &Range<usize>, options: &ScanOptions) -> Self {
        let count = rows.len();
        let row_bytes = latent.payload_size().checked_div(row_count(latent)).unwrap_or(0);
        let bytes = row_bytes.saturating_mul(count as u64);
        if bytes == 0 {
            // The axes say nothing about the amount of work: if one has length 0, the others can
            // have any length.
            return Self { pieces: Vec::new(), most: u64::MAX, chosen: Vec::new() };
        }
        let items = options.items_within(layout);
        let is_raw = !latent.chunks().any(ChunkRecord::is_compressed);
        let chosen = match layout.items_in_row() {
            // Chosen by the layout of these rows alone.
            Some(in_row) => {
                let chosen = layout.of_rows(count).choose(items).into_iter();
                chosen.map(|item| item + rows.start * in_row).collect()
            }
            None => layout.choose(items),
        };
        if bytes <= options.sample {
            // Parts are already decompressed in parallel.
            let tasks = if is_raw { usize::try_from(bytes / PIECE).unwrap_or(MOST_PIECES) } else { 1 }
                .clamp(1, count.min(MOST_PIECES));
            let cut = |at: usize| rows.start + count / tasks * at + (count % tasks).min(at);
            let pieces = (0..tasks).map(|at| cut(at)..cut(at + 1)).collect();
            return Self { pieces, most: u64::MAX, chosen };
        }
        let share = options.sample / PLACES as u64;
        let some = usize::try_from(share / row_bytes).unwrap_or(count).clamp(1, count);
        let (pieces, chosen) = match layout.items_in_row() {
            _ if is_raw => {
                let rows_of =
                    |item: usize| layout.items_in_row().map(|in_row| item / in_row..item / in_row + 1);
                let shown = chosen.iter().filter_map(|item| rows_of(*item));
                (joined(spread(rows, some).into_iter().chain(shown).collect()), chosen)
            }
            // Only pictures that are read for the sample are shown.
            Some(in_row) => {
                let pieces = part_starts(latent, rows, some);
                let chosen = choose_among(&pieces, in_row, layout.is_spread(), items);
                (pieces, chosen)
            }
            None => (part_starts(latent, rows, some), chosen),
        };
        // A single row can be larger than the limit.
        let most = if row_bytes > share { options.sample / pieces.len().max(1) as u64 } else { u64::MAX };
        Self { pieces, most, chosen }
    }
}

/// Groups of rows from places spread over the whole range.
fn spread(rows: &Range<usize>, some: usize) -> Vec<Range<usize>> {
    let places = PLACES.min(rows.len() / some).max(2);
    let place = |at: usize| rows.start + spread_evenly(at, places, rows.len() - some);
    (0..places).map(place).map(|start| start..start + some).collect()
}

fn row_count(latent: &Latent) -> u64 {
    latent.row_axis().and_then(|axis| latent.shape().get(axis)).map_or(1, |&len| len as u64)
}

/// The first rows of parts spread over the latent. Later rows of a part would require decompressing
/// the earlier ones.
fn part_starts(latent: &Latent, rows: &Range<usize>, share: usize) -> Vec<Range<usize>> {
    let starts: Vec<Range<usize>> = latent
        .chunks()
        .map(|chunk| {
            let part = chunk.part();
            let start = part.map_or(0, |part| part.start);
            let axis = part.map(|part| part.axis).or(latent.row_axis()).unwrap_or(0);
            let len = chunk.shape().and_then(|shape| shape.get(axis)).copied().unwrap_or(0);
            start.max(rows.start)..start.saturating_add(len).min(rows.end)
        })
        .filter(|part| !part.is_empty())
        .collect();
    let places = PLACES.min(starts.len());
    let place = |at: usize| starts.get(spread_evenly(at, places, starts.len() - 1)).cloned();
    let pieces = (0..places).filter_map(place);
    pieces.map(|part| part.start..part.end.min(part.start.saturating_add(share))).collect()
}

/// Some of the pictures in these rows: evenly spread, or the first ones.
fn choose_among(pieces: &[Range<usize>], in_row: usize, is_spread: bool, most: usize) -> Vec<usize> {
    let all: usize = pieces.iter().map(|piece| piece.len() * in_row).sum();
    let count = all.min(most);
    let nth = |mut at: usize| {
        for piece in pieces {
            let here = piece.len() * in_row;
            if at < here {
                return Some(piece.start * in_row + at);
            }
            at -= here;
        }
        None
    };
    let places = (0..count).map(|at| if is_spread { spread_evenly(at, count, all - 1) } else { at });
    places.filter_map(nth).collect()
}

/// Sorted ranges, with adjacent ones merged.
fn joined(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match joined.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => joined.push(range),
        }
    }
    joined
}
