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

/// Which previews are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Previews {
    /// By what is guessed of each latent.
    Auto,
    /// None.
    Off,
    /// By these factors, of latents that have the channels for it.
    By(Preview),
}

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Which latents, by their positions; all of them if there are none.
    pub latents: Option<Vec<usize>>,
    /// The first row that is shown, and the first that is not any more, of latents whose rows are whole pictures.
    pub rows: Option<(usize, Option<usize>)>,
    /// Which previews.
    pub previews: Previews,
    /// Pictures side by side; as many as there is room for if it is not given.
    pub columns: Option<u32>,
    /// Pixels that there are from side to side.
    pub width: u32,
    /// What it is to be painted on.
    pub medium: Medium,
}

/// What can be shown of a latent.
#[derive(Debug)]
pub struct Look {
    /// The latent.
    pub latent: Latent,
    /// What was seen of it, or why it could not be.
    pub scan: gen5::Result<Scan>,
    /// The factors of its previews, and if they were guessed, from what.
    pub preview: Option<(Preview, Option<String>)>,
    /// Those that were asked for, if its channels are not theirs.
    unfit: Option<Preview>,
    /// How its values are scaled.
    pub(super) scaling: Scaling,
    /// Whether all of it is shown though rows were asked for, since these are no pictures of it.
    is_whole: bool,
    pub(super) arrangement: Arrangement,
}

/// Latents that are shown of one file, at most.
const MOST_LATENTS: usize = 48;

/// Tiles that are shown of one latent, about. Where there are many latents, each has fewer.
const TILES: usize = 320;

/// The same for all latents together.
const ALL_TILES: usize = 1600;

/// Bytes that are read of all latents together, at most.
const ALL_BYTES: u64 = 4 << 30;

/// Pixels that the only picture of a latent should not be higher than: of the only latent or one of many channels, and of
/// others.
const ALONE: u32 = 640;
const AMONG_OTHERS: u32 = 420;

/// The same where pixels are halves of cells.
const IN_CELLS: u32 = 72;

/// Bins of a histogram.
const BINS: usize = 56;

/// Looks at the latents of a file, side by side. Returns how many are left out because they are too many, too.
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

/// The factors for a latent of this layout, if any fit. Models of videos are many, and their latents have as many channels
/// as those of images, so they need the model's name.
pub fn guess_of(layout: &Layout, model: &str) -> Option<Guess> {
    let is_video = layout.axes().iter().any(|axis| axis.name == "frame");
    guess(layout.channels(), model).filter(|guess| guess.by_name || !is_video)
}

impl Look {
    /// Its key, or its position if it has none.
    pub fn name(&self) -> String {
        shown_name(self.latent.key(), self.latent.index())
    }

    /// Dtype, shape and size.
    pub fn kind(&self) -> String {
        let (dtype, shape) = (self.latent.dtype(), dimensions(self.latent.shape(), " × "));
        format!("{dtype} · {shape} · {}", human_size(self.latent.payload_size()))
    }

    /// Its statistics, name and number.
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

    /// What was assumed, and what the statistics are of.
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

    /// What is to be known of its pictures.
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

    /// Where which channel is, and its scale, if the pictures themselves do not say it.
    pub fn legend(&self) -> Option<(&'static str, Vec<String>)> {
        let scales = self.scales();
        let order = self.arrangement.order().filter(|_| !scales.is_empty())?;
        Some((
            order,
            scales.iter().enumerate().map(|(at, scale)| format!("{at} {}", scale.words())).collect(),
        ))
    }

    /// The colours of its pictures.
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

/// What the file says about itself, a line each, and the prompt, its lines in one; all of it escaped.
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

/// Characters of a text from the file that are shown, at most.
const SHOWN: usize = 600;

/// The beginning of a text, escaped.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", escape_prose(text.split_at(end).0)),
        None => escape_prose(text).into_owned(),
    }
}
