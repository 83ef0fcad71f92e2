//! One pass over a latent that produces its statistics by channel, a histogram, and some of its
//! pictures, scaled down on the way if they are large.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use gen5::{Dtype, Latent};
use rayon::prelude::*;

use super::layout::{Axis, Hints, Layout, Role};
use super::plan::{Plan, Request};
use super::plane::Plane;
use super::statistics::{Histogram, Sketch, Statistics};
use crate::values::widen;

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
    let sketch = match pieces.first() {
        Some(first) if request.bins > 0 => Some(sketch(latent, first, &layout)?),
        _ => None,
    };
    let pass = || Pass::new(&frame, latent.dtype(), sketch.clone());
    let passes: Vec<gen5::Result<Pass<'_>>> =
        pieces.par_iter().map(|piece| read(latent, piece, Pass { left: most, ..pass() })).collect();
    let mut whole = pass();
    for pass in passes {
        whole.merge(pass?);
    }
    Ok(whole.finish(&layout, values, request.bins))
}

/// Bytes of the first look, which tells around what values are counted.
const START: u64 = 64 << 10;

/// What values are counted with, about a center that the first of these rows tells. Of several whole parts might be decompressed.
fn sketch(latent: &Latent, rows: &Range<usize>, layout: &Layout) -> gen5::Result<Sketch> {
    let nothing_kept = Frame::new(layout, Vec::new(), &Request::default());
    let pass = Pass { left: START, ..Pass::new(&nothing_kept, latent.dtype(), None) };
    let first = rows.start..rows.end.min(rows.start + 1);
    Ok(Sketch::around(&read(latent, &first, pass)?.statistics()))
}

/// Reads some rows, as much of them as the pass takes.
fn read<'a>(latent: &Latent, rows: &Range<usize>, mut pass: Pass<'a>) -> gen5::Result<Pass<'a>> {
    let read = match latent.row_axis() {
        Some(axis) => {
            let count = latent.shape().get(axis).map_or(1, |len| *len as u64);
            pass.start_at(rows.start as u64 * latent.len().checked_div(count).unwrap_or(0));
            latent.rows(rows.clone())?
        }
        None => latent.clone(),
    };
    match read.write_to(&mut pass) {
        Err(_) if pass.is_full => {}
        written => written?,
    }
    pass.settle();
    // Of other pieces there are as many, until all are read.
    (pass.block, pass.pending) = (Vec::new(), Vec::new());
    Ok(pass)
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
    fn new(frame: &'a Frame<'a>, dtype: Dtype, sketch: Option<Sketch>) -> Self {
        Self {
            frame,
            dtype,
            at: vec![0; frame.axes.len()],
            left: u64::MAX,
            is_full: false,
            block: Vec::new(),
            channels: vec![Statistics::default(); frame.channels],
            pending: vec![Vec::new(); frame.channels],
            sketch,
            planes: BTreeMap::new(),
        }
    }

    /// Has the value at this position as the next one.
    fn start_at(&mut self, mut position: u64) {
        for (at, axis) in self.at.iter_mut().zip(self.frame.axes).rev() {
            let len = axis.len.max(1) as u64;
            *at = usize::try_from(position % len).unwrap_or(0);
            position /= len;
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

    /// Of all channels together.
    fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::default();
        self.channels.iter().for_each(|channel| statistics.merge(channel));
        statistics
    }

    fn finish(self, layout: &Layout, values: u64, bins: usize) -> Scan {
        let frame = self.frame;
        let statistics = self.statistics();
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
