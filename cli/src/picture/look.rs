//! The view of one latent on a page or a terminal: its pictures and their captions.

use gen5::{Latent, Reader};
use rayon::prelude::*;

use super::arrangement::{Arrangement, Medium, Room};
use super::clues::Clues;
use super::files::Stored;
use super::layout::{Layout, Role, Scaling};
use super::plan::Request;
use super::preview::{Guess, Preview, guess};
use super::scan::{Scan, scan};
use super::statistics::figure;
use super::tiles::{Key, Scale};
use crate::budget::ALL_PICTURES;
use crate::terminal::{count, dimensions, escape, escape_prose, human_size, shown_name};

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

/// The requested view.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Positions of the latents; `None` for all.
    pub latents: Option<Vec<usize>>,
    /// The first row and the exclusive end, for latents whose rows are whole pictures.
    pub rows: Option<(usize, Option<usize>)>,
    /// The previews to show.
    pub previews: Previews,
    /// Pictures per line; `None` for as many as fit.
    pub columns: Option<u32>,
    /// Available width in pixels.
    pub width: u32,
    /// The surface to paint on.
    pub medium: Medium,
}

/// The view of a latent.
#[derive(Debug)]
pub struct Look {
    /// The latent.
    pub latent: Latent,
    /// The scan, or the reason why it failed.
    pub scan: gen5::Result<Scan>,
    /// The factors of its previews, and, if guessed, the evidence.
    pub preview: Option<(Preview, Option<String>)>,
    /// The requested factors, if its channels do not match them.
    unfit: Option<Preview>,
    /// The scale of its values.
    pub(super) scaling: Scaling,
    /// Whether the whole latent is shown although rows were requested, since its rows are not
    /// pictures.
    is_whole: bool,
    pub(super) arrangement: Arrangement,
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

/// Scans the latents of a file in parallel. Also returns the number of latents left out because
/// there are too many.
pub fn look(reader: &Reader, wish: &Wish) -> (Vec<Look>, usize) {
    let latents: Vec<Latent> = match &wish.latents {
        Some(indices) => indices.iter().filter_map(|index| reader.latent_at(*index).ok()).collect(),
        None => reader.latents().take(MOST_LATENTS).collect(),
    };
    let all = wish.latents.as_ref().map_or(reader.latents().len(), Vec::len);
    let clues = Clues::of(reader);
    let shown = latents.len().min(MOST_LATENTS);
    let looks: Vec<Look> = latents
        .into_par_iter()
        .take(MOST_LATENTS)
        .map(|latent| look_at(latent, &clues, shown, wish))
        .collect();
    (looks, all - shown)
}

fn look_at(latent: Latent, clues: &Clues, shown_latents: usize, wish: &Wish) -> Look {
    let hints = clues.hints(&latent);
    let layout = Layout::guess(latent.shape(), hints);
    let (preview, unfit) = match wish.previews {
        Previews::Off => (None, None),
        Previews::By(preview) if preview.fits(&layout) => (Some((preview, None)), None),
        Previews::By(preview) => (None, Some(preview)),
        Previews::Auto => {
            let guess = guess_of(&layout, hints.model);
            (guess.map(|guess| (guess.preview, Some(guess.why))), None)
        }
    };
    let tiles = (ALL_TILES / shown_latents.max(1)).min(TILES);
    let most = match wish.medium {
        Medium::Pixels => (tiles / (layout.channels() + 1)).clamp(6, 64),
        Medium::Cells => 24,
    };
    let memory = ALL_PICTURES / shown_latents.max(1) as u64;
    let most = Request { items: most, memory, ..Request::default() }.items_within(&layout);
    let rows = wish.rows.zip(layout.items_in_row()).map(|((start, end), in_row)| {
        let count = layout.items() / in_row.max(1);
        start..end.unwrap_or(count)
    });
    let shown = match &rows {
        Some(rows) => layout.of_rows(rows.len()).choose(most).len(),
        None => layout.choose(most).len(),
    };
    let height = match wish.medium {
        Medium::Cells => IN_CELLS,
        Medium::Pixels if shown_latents == 1 || layout.channels() > 4 => ALONE,
        Medium::Pixels => AMONG_OTHERS,
    };
    let room = Room { width: wish.width, columns: wish.columns, height, medium: wish.medium };
    let arrangement = Arrangement::of(&layout, shown, preview.is_some(), room);
    let is_whole = wish.rows.is_some() && rows.is_none();
    let sample = (ALL_BYTES / shown_latents.max(1) as u64).min(Request::default().sample);
    let request = Request { items: shown, side: arrangement.side(), memory, sample, rows, bins: BINS };
    let (scan, scaling) = (scan(&latent, hints, &request), hints.scaling);
    Look { latent, scan, preview, unfit, scaling, is_whole, arrangement }
}

/// The factors for a latent with this layout, if any match. Video models are numerous, and their
/// latents have as many channels as those of images, so they require the model's name.
pub fn guess_of(layout: &Layout, model: &str) -> Option<Guess> {
    let is_video = layout.axes().iter().any(|axis| axis.name == "frame");
    guess(layout.channels(), model).filter(|guess| guess.by_name || !is_video)
}

impl Look {
    /// The latent's key, or its position if it has none.
    pub fn name(&self) -> String {
        shown_name(self.latent.key(), self.latent.index())
    }

    /// Dtype, shape and size.
    pub fn kind(&self) -> String {
        let (dtype, shape) = (self.latent.dtype(), dimensions(self.latent.shape(), " × "));
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
            figures.push(("min", figure(f64::from(min))));
            figures.push(("max", figure(f64::from(max))));
            figures.push(("mean", figure(mean)));
            figures.push(("std", figure(deviation)));
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
            notes.push("looked at whole, since its rows are no pictures".into());
        }
        if scan.values == 0 {
            notes.push("it has no values".into());
        } else if scan.is_sample() {
            let size = self.latent.dtype().size() as u64;
            let (read, all) = (scan.statistics.count() * size, scan.values * size);
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
            return vec!["none of its pictures is small enough to be shown".into()];
        }
        let mut notes = Vec::new();
        let (layout, shown) = (&scan.layout, scan.items.len());
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
            format!("no preview {}, which is of {} channels", preview.name(), preview.channels())
        }));
        if self.preview.is_some() && self.scaling == Scaling::Decoder {
            notes.push("values scaled for it, since they are as a decoder takes them".into());
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
    pub(super) fn key(&self) -> Key {
        match &self.scan {
            Ok(scan) if !scan.items.is_empty() => Key::of(&scan.channels, self.preview.is_some()),
            _ => Key::default(),
        }
    }

    /// The scale of each channel.
    pub fn scales(&self) -> Vec<Scale> {
        self.scan.as_ref().map(|scan| scan.channels.iter().map(Scale::of).collect()).unwrap_or_default()
    }
}

/// Facts about the file, one line each, and the prompt joined into one line; all escaped.
pub fn facts(reader: &Reader, image: Option<&Stored>) -> (Vec<String>, String) {
    let size = human_size(reader.file_size());
    let mut about = vec![size];
    about.extend(image.map(|stored| format!("image {} × {}", stored.width, stored.height)));
    let Ok(metadata) = reader.metadata() else {
        return (vec![about.join("  ·  "), "its metadata is not as the format has it".into()], String::new());
    };
    let model = metadata.model_info();
    let name = format!("{} {}", model.model_name, model.version);
    let mut lines = vec![name.trim().to_owned()];
    if let Some(settings) = &model.generation_settings {
        let mut said = vec![
            format!("seed {}", settings.seed),
            count(usize::try_from(settings.steps).unwrap_or(usize::MAX), "step"),
        ];
        said.push(settings.sampler.clone());
        said.extend(settings.cfg_scale.map(|scale| format!("cfg {scale}")));
        lines.push(said.join("  ·  "));
    }
    about.insert(0, model.date.split('.').next().unwrap_or_default().replace('T', " "));
    lines.push(about.join("  ·  "));
    let prompt: Vec<&str> = model.prompt.split_whitespace().take(SHOWN).collect();
    (
        lines.iter().map(|line| beginning(line)).filter(|line| !line.is_empty()).collect(),
        beginning(&prompt.join(" ")),
    )
}

/// Limit on the characters shown of a text.
const SHOWN: usize = 600;

/// The start of a text, escaped.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", escape_prose(text.split_at(end).0)),
        None => escape_prose(text).into_owned(),
    }
}
