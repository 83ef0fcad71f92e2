//! One pass over a latent that produces its statistics by channel, a histogram, and some of its
//! pictures, scaled down on the way if they are large.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::ops::Range;

use gen5::{Dtype, Latent};
use rayon::prelude::*;

use crate::layout::{Axis, Hints, Layout, Role};
use crate::plan::{ScanOptions, ScanPlan};
use crate::plane::Plane;
use crate::statistics::{Histogram, Sketch, Statistics};

/// The results of a scan.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The interpretation of its axes.
    pub layout: Layout,
    /// Statistics of all values read.
    pub statistics: Statistics,
    /// Statistics by channel of the layout.
    pub channels: Vec<Statistics>,
    /// The histogram, if requested and if any value is finite.
    pub histogram: Option<Histogram>,
    /// Some of its pictures, in order.
    pub items: Vec<Item>,
    /// The number of requested values: those of the rows, or all. The count in the statistics is
    /// the number read.
    pub values: u64,
}

impl Scan {
    /// Whether the statistics cover only a sample.
    pub fn is_sample(&self) -> bool {
        self.statistics.count() < self.values
    }
}

/// A picture of a latent.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its position among all pictures, for [`Layout::item_name`].
    pub index: usize,
    /// Its channels.
    pub planes: Vec<Plane>,
}

/// Reads a latent once, in parallel, and returns its statistics and pictures. The latent may be a
/// range of another's rows ([`rows`](Latent::rows)).
///
/// # Errors
///
/// Those of reading the values, and of [`rows`](Latent::rows).
pub fn scan_latent(latent: &Latent, hints: Hints<'_>, options: &ScanOptions) -> gen5::Result<Scan> {
    let layout = Layout::guess(latent.shape(), hints);
    let all = latent.row_axis().and_then(|axis| latent.shape().get(axis)).copied().unwrap_or(1);
    let rows = options.rows.clone().unwrap_or(0..all);
    // Rejects rows out of range before they are used. A scalar has none.
    let values = if options.rows.is_none() && latent.row_axis().is_none() {
        latent.len()
    } else {
        latent.rows(rows.clone())?.len()
    };
    let ScanPlan { pieces, most, chosen } = ScanPlan::new(latent, &layout, &rows, options);
    let frame = KeptFrame::new(&layout, chosen, options);
    let sketch = match pieces.first() {
        Some(first) if options.bins > 0 => Some(sketch(latent, first, &layout)?),
        _ => None,
    };
    let pass = || ScanPass::new(&frame, latent.dtype(), sketch.clone());
    let passes: Vec<gen5::Result<ScanPass<'_>>> =
        pieces.par_iter().map(|piece| read(latent, piece, ScanPass { left: most, ..pass() })).collect();
    let mut whole = pass();
    for pass in passes {
        whole.merge(pass?);
    }
    Ok(whole.finish(&layout, values, options.bins))
}

/// Number of bytes read first, to choose the center of the counts.
const START: u64 = 64 << 10;

/// An empty sketch for the histogram, centered by the first of these rows. Reading several could
/// decompress several whole parts.
fn sketch(latent: &Latent, rows: &Range<usize>, layout: &Layout) -> gen5::Result<Sketch> {
    let nothing_kept = KeptFrame::new(layout, Vec::new(), &ScanOptions::default());
    let pass = ScanPass { left: START, ..ScanPass::new(&nothing_kept, latent.dtype(), None) };
    let first = rows.start..rows.end.min(rows.start + 1);
    Ok(Sketch::around(&read(latent, &first, pass)?.statistics()))
}

/// Reads a range of rows, up to the limit of the pass.
fn read<'a>(latent: &Latent, rows: &Range<usize>, mut pass: ScanPass<'a>) -> gen5::Result<ScanPass<'a>> {
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
    // Free the buffers: the results of all pieces are kept until the last is read.
    (pass.block, pass.pending) = (Vec::new(), Vec::new());
    Ok(pass)
}

/// The pictures to keep, and their size.
struct KeptFrame<'a> {
    axes: &'a [Axis],
    channels: usize,
    /// Ascending.
    items: Vec<usize>,
    /// Pixels merged into one, along each axis.
    factor: usize,
    /// Width of a kept plane.
    width: usize,
    height: usize,
    /// Width of a plane in the file.
    full_width: usize,
    full_height: usize,
}

impl<'a> KeptFrame<'a> {
    fn new(layout: &'a Layout, items: Vec<usize>, options: &ScanOptions) -> Self {
        let full_width = layout.width();
        let full_height = layout.height();
        let factor = full_width.max(full_height).div_ceil(options.side.max(1)).max(1);
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

/// Sums of a plane's pixels, and the number of values in them.
#[derive(Clone)]
struct Sums {
    pixels: Vec<f32>,
    values: usize,
}

/// The state of a pass over values: the position, and the results so far.
struct ScanPass<'a> {
    frame: &'a KeptFrame<'a>,
    dtype: Dtype,
    /// The position of the next value along each axis.
    at: Vec<usize>,
    /// Number of bytes that may still be read.
    left: u64,
    /// Whether the limit was exceeded.
    is_full: bool,
    /// Buffer for the values of a block.
    block: Vec<f32>,
    channels: Vec<Statistics>,
    /// Values of each channel that are not added yet.
    pending: Vec<Vec<f32>>,
    sketch: Option<Sketch>,
    /// By the picture's position among those that are kept.
    planes: BTreeMap<usize, Vec<Sums>>,
}

/// Number of values of a channel that are added together.
const PENDING: usize = 4096;

/// The destination of a value.
#[derive(Default)]
struct ValuePlace {
    item: usize,
    channel: usize,
    x: usize,
    y: usize,
}

impl<'a> ScanPass<'a> {
    fn new(frame: &'a KeptFrame<'a>, dtype: Dtype, sketch: Option<Sketch>) -> Self {
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

    /// Sets the position of the next value.
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
            // Along the innermost axis, if it is horizontal, values are adjacent.
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

    fn place(&self) -> ValuePlace {
        let mut place = ValuePlace::default();
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

    /// Adds adjacent values to their plane, if it is kept.
    fn keep(&mut self, place: &ValuePlace, values: &[f32]) {
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

    /// Adds the pending values.
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

    /// Statistics of all channels together.
    fn statistics(&self) -> Statistics {
        let mut statistics = Statistics::default();
        self.channels.iter().for_each(|channel| statistics.merge(channel));
        statistics
    }

    fn finish(self, layout: &Layout, values: u64, bins: usize) -> Scan {
        let frame = self.frame;
        let statistics = self.statistics();
        let histogram = self.sketch.and_then(|sketch| sketch.histogram(&statistics, bins));
        // A picture that was not read completely is dropped.
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

impl KeptFrame<'_> {
    /// The plane with these sums.
    fn plane(&self, mut pixels: Vec<f32>) -> Option<Plane> {
        if self.factor > 1 {
            // Pixels at the right and bottom edges may have fewer values.
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

impl Write for ScanPass<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Blocks are a whole number of values, and so are the parts taken from them.
        let some = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len()) / self.dtype.size()
            * self.dtype.size();
        if some == 0 {
            self.is_full = true;
            return Err(io::Error::other("enough was read"));
        }
        self.left -= some as u64;
        let mut values = std::mem::take(&mut self.block);
        self.dtype.widen(bytes.get(..some).unwrap_or_default(), &mut values);
        self.add(&values);
        self.block = values;
        Ok(some)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
