//! Views of latents for a page or a terminal: their pictures, statistics and notes.

use gen5::{Latent, Reader};
use rayon::prelude::*;

use crate::arrangement::{Arrangement, Medium, Room};
use crate::clues::Clues;
use crate::layout::{Layout, Role, Scaling};
use crate::limits::VIEW_MEMORY;
use crate::plan::ScanOptions;
use crate::preview::{Preview, guess_preview};
use crate::scan::{Scan, scan_latent};
use crate::text::{count, dimensions, escape, four_digits, human_size, shown_name};
use crate::tiles::{ColorKey, Scale};

/// The previews to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Previews {
    /// Guessed for each latent.
    Auto,
    /// No previews.
    Off,
    /// With these factors, for latents with the matching channels.
    By(Preview),
}

/// The latents to view, and how.
#[derive(Clone, Debug)]
pub struct ViewOptions {
    /// Positions of the latents; `None` for all.
    pub latents: Option<Vec<usize>>,
    /// The first row and the exclusive end, for latents whose rows are whole pictures.
    pub rows: Option<(usize, Option<usize>)>,
    /// The previews to show.
    pub previews: Previews,
    /// Pictures per line; `None` for as many as fit.
    pub columns: Option<u32>,
    /// Available width in pixels, or in half cells of a terminal.
    pub width: u32,
    /// The surface to paint on.
    pub medium: Medium,
}

/// The view of a latent: its scan, and the size and place of each picture. [`paint`](Self::paint)
/// paints them.
#[derive(Debug)]
pub struct View {
    /// The latent.
    pub latent: Latent,
    /// The scan, or the reason why it failed.
    pub scan: gen5::Result<Scan>,
    /// The factors of its previews, and, if guessed, the evidence.
    pub preview: Option<(Preview, Option<String>)>,
    /// The requested factors, if its channels do not match them.
    unfit: Option<Preview>,
    /// The scale of its values.
    pub(crate) scaling: Scaling,
    /// Whether the whole latent is shown although rows were requested, since its rows are not
    /// pictures.
    is_whole: bool,
    pub(crate) arrangement: Arrangement,
}

/// Maximum number of latents shown of a file.
const MOST_LATENTS: usize = 48;

/// Approximate maximum number of tiles per latent. With many latents, each has fewer.
const TILES: usize = 320;

/// Maximum number of tiles for all latents together.
const ALL_TILES: usize = 1600;

/// Maximum number of bytes read from all latents together.
const ALL_BYTES: u64 = 4 << 30;

/// Maximum height in pixels of a latent's only picture, if it is the only latent or has many
/// channels, and otherwise.
const ALONE: u32 = 640;
const AMONG_OTHERS: u32 = 420;

/// The same for half cells.
const IN_CELLS: u32 = 72;

/// Bins of a histogram.
const BINS: usize = 56;

/// Scans the latents of a file in parallel, up to 48 of them, and arranges their pictures. Also
/// returns the number of latents left out because there are more.
///
/// A latent that cannot be read has the error as its scan.
pub fn view_latents(reader: &Reader, clues: &Clues, options: &ViewOptions) -> (Vec<View>, usize) {
    let latents: Vec<Latent> = match &options.latents {
        Some(indices) => indices.iter().filter_map(|index| reader.latent_at(*index).ok()).collect(),
        None => reader.latents().take(MOST_LATENTS).collect(),
    };
    let all = options.latents.as_ref().map_or(reader.latents().len(), Vec::len);
    let shown = latents.len().min(MOST_LATENTS);
    let views: Vec<View> = latents
        .into_par_iter()
        .take(MOST_LATENTS)
        .map(|latent| view_latent(latent, clues, shown, options))
        .collect();
    (views, all - shown)
}

fn view_latent(latent: Latent, clues: &Clues, shown_latents: usize, options: &ViewOptions) -> View {
    let hints = clues.hints(&latent);
    let layout = Layout::guess(latent.shape(), hints);
    let (preview, unfit) = match options.previews {
        Previews::Off => (None, None),
        Previews::By(preview) if preview.fits(&layout) => (Some((preview, None)), None),
        Previews::By(preview) => (None, Some(preview)),
        Previews::Auto => {
            let guess = guess_preview(&layout, hints.model);
            (guess.map(|guess| (guess.preview, Some(guess.why))), None)
        }
    };
    let tiles = (ALL_TILES / shown_latents.max(1)).min(TILES);
    let most = match options.medium {
        Medium::Pixels => (tiles / (layout.channels() + 1)).clamp(6, 64),
        Medium::Cells => 24,
    };
    let memory = VIEW_MEMORY / shown_latents.max(1) as u64;
    let most = ScanOptions { items: most, memory, ..ScanOptions::default() }.items_within(&layout);
    let rows = options.rows.zip(layout.items_in_row()).map(|((start, end), in_row)| {
        let count = layout.items() / in_row.max(1);
        start..end.unwrap_or(count)
    });
    let shown = match &rows {
        Some(rows) => layout.of_rows(rows.len()).choose(most).len(),
        None => layout.choose(most).len(),
    };
    let height = match options.medium {
        Medium::Cells => IN_CELLS,
        Medium::Pixels if shown_latents == 1 || layout.channels() > 4 => ALONE,
        Medium::Pixels => AMONG_OTHERS,
    };
    let room = Room { width: options.width, columns: options.columns, height, medium: options.medium };
    let arrangement = Arrangement::of(&layout, shown, preview.is_some(), room);
    let is_whole = options.rows.is_some() && rows.is_none();
    let sample = (ALL_BYTES / shown_latents.max(1) as u64).min(ScanOptions::default().sample);
    let request = ScanOptions { items: shown, side: arrangement.side(), memory, sample, rows, bins: BINS };
    let scaling = hints.scaling;
    let scan = scan_latent(&latent, hints, &request);
    View { latent, scan, preview, unfit, scaling, is_whole, arrangement }
}

impl View {
    /// The latent's key, or its position if it has none.
    pub fn name(&self) -> String {
        shown_name(self.latent.key(), self.latent.index())
    }

    /// Dtype, shape and size.
    pub fn kind(&self) -> String {
        let dtype = self.latent.dtype();
        let shape = dimensions(self.latent.shape(), " × ");
        format!("{dtype} · {shape} · {}", human_size(self.latent.payload_size()))
    }

    /// The statistics, as names and numbers.
    pub fn figures(&self) -> Vec<(&'static str, String)> {
        let Ok(scan) = &self.scan else { return Vec::new() };
        let of = &scan.statistics;
        let mut figures = Vec::new();
        if let (Some(min), Some(max), Some(mean), Some(deviation)) =
            (of.min(), of.max(), of.mean(), of.deviation())
        {
            figures.push(("min", four_digits(f64::from(min))));
            figures.push(("max", four_digits(f64::from(max))));
            figures.push(("mean", four_digits(mean)));
            figures.push(("std", four_digits(deviation)));
        }
        let counted =
            [("NaN", of.nan), ("infinite", of.infinite)].into_iter().filter(|(_, count)| *count > 0);
        figures.extend(counted.map(|(name, count)| (name, count.to_string())));
        figures
    }

    /// The assumptions, and the values that the statistics cover.
    pub fn notes(&self) -> Vec<String> {
        let scan = match &self.scan {
            Ok(scan) => scan,
            Err(error) => return vec![escape(&error.to_string()).into_owned()],
        };
        let mut notes = vec![format!("read as {}", scan.layout.description())];
        if self.is_whole {
            notes.push("shown as a whole, because its rows are not pictures".into());
        }
        if scan.values == 0 {
            notes.push("it has no values".into());
        } else if scan.is_sample() {
            let size = self.latent.dtype().size() as u64;
            let read = scan.statistics.count() * size;
            let all = scan.values * size;
            notes.push(format!("statistics of a sample, {} of {}", human_size(read), human_size(all)));
        } else if scan.values < self.latent.len() {
            notes.push("statistics of these rows".into());
        }
        notes
    }

    /// Notes about the pictures.
    pub fn picture_notes(&self) -> Vec<String> {
        let Some(scan) = self.scan.as_ref().ok().filter(|scan| scan.values > 0) else { return Vec::new() };
        if scan.items.is_empty() {
            return vec!["none of its pictures is small enough to show".into()];
        }
        let mut notes = Vec::new();
        let layout = &scan.layout;
        let shown = scan.items.len();
        if shown < layout.items() {
            let mut axes = layout.axes().iter().filter(|axis| axis.role == Role::Item && axis.len > 1);
            let what = match (axes.next(), axes.next()) {
                (Some(axis), None) => axis.name,
                _ => "picture",
            };
            notes.push(format!("{shown} of {} shown", count(layout.items(), what)));
        }
        if self.arrangement.factor() > 1 {
            let factor = self.arrangement.factor();
            notes.push(format!("a pixel is the mean of {factor}×{factor} values"));
        }
        notes.extend(self.preview.as_ref().map(|(preview, why)| match why {
            Some(why) => format!("preview {}, guessed from {why}", preview.name()),
            None => format!("preview {}", preview.name()),
        }));
        notes.extend(self.unfit.map(|preview| {
            format!("no preview {}, which needs {} channels", preview.name(), preview.channels())
        }));
        if self.preview.is_some() && self.scaling == Scaling::Decoder {
            notes.push("values scaled for it, because they are in the decoder's scale".into());
        }
        notes
    }

    /// The positions of channels and their scales, if the pictures do not show them.
    pub fn legend(&self) -> Option<(&'static str, Vec<String>)> {
        let scales = self.scales();
        let order = self.arrangement.order().filter(|_| !scales.is_empty())?;
        Some((
            order,
            scales.iter().enumerate().map(|(at, scale)| format!("{at} {}", scale.words())).collect(),
        ))
    }

    /// The key to the colours of its pictures.
    pub(crate) fn color_key(&self) -> ColorKey {
        match &self.scan {
            Ok(scan) if !scan.items.is_empty() => ColorKey::of(&scan.channels, self.preview.is_some()),
            _ => ColorKey::default(),
        }
    }

    /// The scale of each channel.
    pub fn scales(&self) -> Vec<Scale> {
        self.scan.as_ref().map(|scan| scan.channels.iter().map(Scale::of).collect()).unwrap_or_default()
    }
}
