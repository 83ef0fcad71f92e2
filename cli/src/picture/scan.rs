//! One pass over a latent that gives all that is shown of it: statistics by channel, a histogram, and some of its pictures,
//! made smaller on the way where they are large.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use gen5::{ChunkRecord, Dtype, Latent};
use rayon::prelude::*;

use super::layout::{Axis, Hints, Layout, Role};
use super::statistics::{Histogram, Sketch, Statistics};
use crate::values::widen;

/// What a scan is to find out.
#[derive(Clone, Debug)]
pub struct Request {
    /// Pictures that are kept, at most; those that [`Layout::choose`] chooses.
    pub items: usize,
    /// Pixels of the longer side of a picture, at most. Larger ones are made smaller by the mean of squares of pixels.
    pub side: usize,
    /// Bytes that are read. Of a latent that has more, statistics are those of a sample.
    pub sample: u64,
    /// Rows that are looked at; all of them if there are none.
    pub rows: Option<Range<usize>>,
    /// Bins of the histogram; 0 for none.
    pub bins: usize,
}

impl Default for Request {
    fn default() -> Self {
        Self { items: 64, side: 256, sample: 256 << 20, rows: None, bins: 0 }
    }
}

/// What a latent looks like.
#[derive(Clone, Debug)]
pub struct Scan {
    /// How its axes were read.
    pub layout: Layout,
    /// Of all values that were read.
    pub statistics: Statistics,
    /// The same by channel: as many as the layout has.
    pub channels: Vec<Statistics>,
    /// How values spread, if it was asked for and any is finite.
    pub histogram: Option<Histogram>,
    /// Some of its pictures, in their order.
    pub items: Vec<Item>,
    /// How many values were asked for: those of the rows, or all. What was read of them is the statistics' count.
    pub values: u64,
}

impl Scan {
    /// Whether the statistics are those of a sample.
    pub fn is_sample(&self) -> bool {
        self.statistics.count() < self.values
    }
}

/// One picture of a latent.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its position among all of them, for [`Layout::item_name`].
    pub index: usize,
    /// Its channels.
    pub planes: Vec<Plane>,
}

/// The values of a channel, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    width: u32,
    height: u32,
    values: Vec<f32>,
}

impl Plane {
    /// A plane of these values; such as are missing are NaN.
    pub fn new(width: u32, height: u32, values: Vec<f32>) -> Self {
        Self { width, height, values }
    }

    /// Values to the right.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Values down.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The value at a place; NaN if there is none.
    pub fn value(&self, x: u32, y: u32) -> f32 {
        let at = u64::from(y) * u64::from(self.width) + u64::from(x);
        usize::try_from(at).ok().and_then(|at| self.values.get(at)).copied().unwrap_or(f32::NAN)
    }
}

/// Looks at a latent.
///
/// # Errors
///
/// Those of reading it, and of rows that it does not have.
pub fn scan(latent: &Latent, hints: Hints<'_>, request: &Request) -> gen5::Result<Scan> {
    let layout = Layout::guess(latent.shape(), hints);
    let all = latent.row_axis().and_then(|axis| latent.shape().get(axis)).copied().unwrap_or(1);
    let rows = request.rows.clone().unwrap_or(0..all);
    // Rows that are not there are refused here, before anything is asked of them.
    let values = match latent.row_axis() {
        Some(_) => latent.rows(rows.clone())?.len(),
        None => latent.len(),
    };
    let Plan { pieces, most, chosen } = Plan::new(latent, &layout, &rows, request);
    let frame = Frame::new(&layout, chosen, request);
    let row_len = latent.len().checked_div(all as u64).unwrap_or(0);
    let read = |piece: &Range<usize>| -> gen5::Result<Pass<'_>> {
        let first = piece.start as u64 * row_len;
        let mut pass = Pass { left: most, ..Pass::new(&frame, latent.dtype(), first, request.bins > 0) };
        let rows = match latent.row_axis() {
            Some(_) => latent.rows(piece.clone())?,
            None => latent.clone(),
        };
        match rows.write_to(&mut pass) {
            Err(_) if pass.is_full => {}
            written => written?,
        }
        pass.settle();
        Ok(pass)
    };
    let passes: Vec<gen5::Result<Pass<'_>>> = pieces.par_iter().map(read).collect();
    let mut whole = Pass::new(&frame, latent.dtype(), 0, request.bins > 0);
    for pass in passes {
        whole.merge(pass?);
    }
    Ok(whole.finish(&layout, values, request.bins))
}

/// Bytes that one task reads of a large raw latent.
const PIECE: u64 = 16 << 20;

/// Places from which a sample is taken.
const PLACES: usize = 32;

/// What is read, and what is kept of it.
struct Plan {
    /// Rows that can be read side by side.
    pieces: Vec<Range<usize>>,
    /// Bytes that are read of each of them.
    most: u64,
    /// The pictures that are kept.
    chosen: Vec<usize>,
}

impl Plan {
    fn new(latent: &Latent, layout: &Layout, rows: &Range<usize>, request: &Request) -> Self {
        let count = rows.len();
        let row_bytes = latent.payload_size().checked_div(row_count(latent)).unwrap_or(0).max(1);
        let bytes = row_bytes.saturating_mul(count as u64);
        let is_raw = !latent.chunks().any(ChunkRecord::is_compressed);
        let chosen = match layout.items_in_row() {
            // The layout of these rows alone chooses among them.
            Some(in_row) => {
                let chosen = layout.of_rows(count).choose(request.items).into_iter();
                chosen.map(|item| item + rows.start * in_row).collect()
            }
            None => layout.choose(request.items),
        };
        if bytes <= request.sample {
            // Parts are decompressed side by side anyway.
            let tasks =
                if is_raw { usize::try_from(bytes / PIECE).unwrap_or(1) } else { 1 }.clamp(1, count.max(1));
            let cut = |at: usize| rows.start + count / tasks * at + (count % tasks).min(at);
            let pieces = (0..tasks).map(|at| cut(at)..cut(at + 1)).collect();
            return Self { pieces, most: u64::MAX, chosen };
        }
        let share = request.sample / PLACES as u64;
        let some = usize::try_from(share / row_bytes).unwrap_or(count).clamp(1, count);
        let (pieces, chosen) = match layout.items_in_row() {
            _ if is_raw => {
                let rows_of =
                    |item: usize| layout.items_in_row().map(|in_row| item / in_row..item / in_row + 1);
                let shown = chosen.iter().filter_map(|item| rows_of(*item));
                (joined(spread(rows, some).into_iter().chain(shown).collect()), chosen)
            }
            // Only what is read anyway is shown.
            Some(in_row) => {
                let pieces = part_starts(latent, rows, some);
                let chosen = choose_among(&pieces, in_row, layout.is_spread(), request.items);
                (pieces, chosen)
            }
            None => (part_starts(latent, rows, some), chosen),
        };
        // A row can be larger than all that is to be read.
        let most = if row_bytes > share { request.sample / pieces.len().max(1) as u64 } else { u64::MAX };
        Self { pieces, most, chosen }
    }
}

/// Some rows at a time, from places spread over all of them.
fn spread(rows: &Range<usize>, some: usize) -> Vec<Range<usize>> {
    let places = PLACES.min(rows.len() / some).max(2);
    let place = |at: usize| rows.start + at * (rows.len() - some) / (places - 1);
    (0..places).map(place).map(|start| start..start + some).collect()
}

fn row_count(latent: &Latent) -> u64 {
    latent.row_axis().and_then(|axis| latent.shape().get(axis)).map_or(1, |&len| len as u64)
}

/// The first rows of parts that are spread over the latent: to reach those behind them, these would have to be decompressed
/// too.
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
    let place = |at: usize| starts.get(at * (starts.len() - 1) / (places - 1).max(1)).cloned();
    let pieces = (0..places).filter_map(place);
    pieces.map(|part| part.start..part.end.min(part.start.saturating_add(share))).collect()
}

/// Some of the pictures of these rows: spread over them, or the first.
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
    let places = (0..count).map(|at| if is_spread && count > 1 { at * (all - 1) / (count - 1) } else { at });
    places.filter_map(nth).collect()
}

/// Ranges in order, those that touch made one.
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

/// Which pictures are kept, and how large.
struct Frame<'a> {
    axes: &'a [Axis],
    channels: usize,
    /// Ascending.
    items: Vec<usize>,
    /// Pixels that become one, each way.
    factor: usize,
    /// Of a plane, as it is kept.
    width: usize,
    height: usize,
    /// Of a plane, as it is in the file.
    full_width: usize,
    full_height: usize,
}

impl<'a> Frame<'a> {
    fn new(layout: &'a Layout, items: Vec<usize>, request: &Request) -> Self {
        let (full_width, full_height) = (layout.width(), layout.height());
        let factor = full_width.max(full_height).div_ceil(request.side.max(1)).max(1);
        Self {
            axes: layout.axes(),
            channels: layout.channels(),
            items,
            factor,
            width: full_width.div_ceil(factor),
            height: full_height.div_ceil(factor),
            full_width,
            full_height,
        }
    }
}

/// The sums of a plane's pixels, and how many values they have.
#[derive(Clone)]
struct Sums {
    pixels: Vec<f32>,
    values: usize,
}

/// Values on their way: where they are, and what became of them.
struct Pass<'a> {
    frame: &'a Frame<'a>,
    dtype: Dtype,
    /// The position of the next value along each axis.
    at: Vec<usize>,
    /// Bytes that may still come.
    left: u64,
    /// Whether more came than may.
    is_full: bool,
    /// Memory for the values of a block.
    block: Vec<f32>,
    channels: Vec<Statistics>,
    /// Values of each channel that were not added yet.
    pending: Vec<Vec<f32>>,
    sketch: Option<Sketch>,
    /// By the position of their picture among those that are kept.
    planes: BTreeMap<usize, Vec<Sums>>,
}

/// Values of a channel that are added together.
const PENDING: usize = 4096;

/// Where a value belongs.
#[derive(Default)]
struct Place {
    item: usize,
    channel: usize,
    x: usize,
    y: usize,
}

impl<'a> Pass<'a> {
    fn new(frame: &'a Frame<'a>, dtype: Dtype, first: u64, sketch: bool) -> Self {
        let mut at = vec![0; frame.axes.len()];
        let mut rest = first;
        for (at, axis) in at.iter_mut().zip(frame.axes).rev() {
            let len = axis.len.max(1) as u64;
            *at = usize::try_from(rest % len).unwrap_or(0);
            rest /= len;
        }
        Self {
            frame,
            dtype,
            at,
            left: u64::MAX,
            is_full: false,
            block: Vec::new(),
            channels: vec![Statistics::default(); frame.channels],
            pending: vec![Vec::new(); frame.channels],
            sketch: sketch.then(Sketch::new),
            planes: BTreeMap::new(),
        }
    }

    fn add(&mut self, mut values: &[f32]) {
        if let Some(sketch) = &mut self.sketch {
            sketch.add(values);
        }
        while !values.is_empty() {
            // Along the innermost axis, if that is to the right, values lie side by side.
            let run = match self.frame.axes.last().zip(self.at.last()) {
                Some((axis, at)) if axis.role == Role::Right(1) => axis.len.saturating_sub(*at).max(1),
                _ => 1,
            };
            let (now, later) = values.split_at(run.min(values.len()));
            values = later;
            let place = self.place();
            self.keep(&place, now);
            if let Some(pending) = self.pending.get_mut(place.channel) {
                pending.extend_from_slice(now);
                if pending.len() >= PENDING {
                    if let Some(statistics) = self.channels.get_mut(place.channel) {
                        statistics.add(pending);
                    }
                    pending.clear();
                }
            }
            self.advance(now.len());
        }
    }

    fn place(&self) -> Place {
        let mut place = Place::default();
        for (axis, at) in self.frame.axes.iter().zip(&self.at) {
            match axis.role {
                Role::Item => place.item = place.item * axis.len + at,
                Role::Channel => place.channel = place.channel * axis.len + at,
                Role::Down(step) => place.y += at * step,
                Role::Right(step) => place.x += at * step,
            }
        }
        place
    }

    fn advance(&mut self, by: usize) {
        let mut carry = by;
        for (at, axis) in self.at.iter_mut().zip(self.frame.axes).rev() {
            *at += carry;
            if *at < axis.len {
                return;
            }
            (*at, carry) = (0, 1);
        }
    }

    /// Adds values that lie side by side to the plane they belong to, if it is kept.
    fn keep(&mut self, place: &Place, values: &[f32]) {
        let frame = self.frame;
        let Ok(item) = frame.items.binary_search(&place.item) else { return };
        let size = frame.width * frame.height;
        let planes = self
            .planes
            .entry(item)
            .or_insert_with(|| vec![Sums { pixels: vec![0.0; size], values: 0 }; frame.channels]);
        let Some(plane) = planes.get_mut(place.channel) else { return };
        plane.values += values.len();
        let start = place.y / frame.factor * frame.width;
        if let Some(line) = plane.pixels.get_mut(start..start + frame.width) {
            for (x, value) in (place.x..).zip(values) {
                if let Some(pixel) = line.get_mut(x / frame.factor) {
                    *pixel += value;
                }
            }
        }
    }

    /// Adds what waits.
    fn settle(&mut self) {
        for (statistics, pending) in self.channels.iter_mut().zip(&mut self.pending) {
            statistics.add(pending);
            pending.clear();
        }
    }

    fn merge(&mut self, other: Self) {
        for (statistics, more) in self.channels.iter_mut().zip(&other.channels) {
            statistics.merge(more);
        }
        if let Some((sketch, more)) = self.sketch.as_mut().zip(other.sketch.as_ref()) {
            sketch.merge(more);
        }
        for (item, more) in other.planes {
            let Some(planes) = self.planes.get_mut(&item) else {
                self.planes.insert(item, more);
                continue;
            };
            for (plane, more) in planes.iter_mut().zip(&more) {
                plane.values += more.values;
                plane.pixels.iter_mut().zip(&more.pixels).for_each(|(pixel, more)| *pixel += more);
            }
        }
    }

    fn finish(self, layout: &Layout, values: u64, bins: usize) -> Scan {
        let frame = self.frame;
        let mut statistics = Statistics::default();
        self.channels.iter().for_each(|channel| statistics.merge(channel));
        let histogram = self.sketch.and_then(|sketch| sketch.histogram(&statistics, bins));
        // A picture of which something was not read is none.
        let whole = frame.full_width.saturating_mul(frame.full_height);
        let items =
            self.planes.into_iter().filter(|(_, planes)| planes.iter().all(|plane| plane.values == whole));
        let items = items.filter_map(|(item, planes)| {
            let planes = planes.into_iter().map(|plane| frame.plane(plane.pixels)).collect::<Option<_>>()?;
            Some(Item { index: *frame.items.get(item)?, planes })
        });
        let items = items.collect();
        Scan { layout: layout.clone(), statistics, channels: self.channels, histogram, items, values }
    }
}

impl Frame<'_> {
    /// The plane of which these are the sums.
    fn plane(&self, mut pixels: Vec<f32>) -> Option<Plane> {
        if self.factor > 1 {
            // At the right and at the bottom there may be less to a pixel.
            let weight = |at: usize, full: usize| self.factor.min(full - at * self.factor) as f32;
            for (y, line) in pixels.chunks_mut(self.width).enumerate() {
                for (x, pixel) in line.iter_mut().enumerate() {
                    *pixel /= weight(x, self.full_width) * weight(y, self.full_height);
                }
            }
        }
        Some(Plane::new(u32::try_from(self.width).ok()?, u32::try_from(self.height).ok()?, pixels))
    }
}

impl Write for Pass<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Blocks are whole values, and so is what is taken of them.
        let some = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len()) / self.dtype.size()
            * self.dtype.size();
        if some == 0 {
            self.is_full = true;
            return Err(io::Error::other("enough was read"));
        }
        self.left -= some as u64;
        let mut values = std::mem::take(&mut self.block);
        widen(self.dtype, bytes.get(..some).unwrap_or_default(), &mut values);
        self.add(&values);
        self.block = values;
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
