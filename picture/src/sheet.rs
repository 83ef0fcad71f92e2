//! A contact sheet: the contents of a file on one page.

use gen5::Reader;
use image::{Rgb, RgbImage};

use crate::canvas::{Canvas, Face, Style, Theme, whole};
use crate::clues::Clues;
use crate::facts::describe_file;
use crate::images::Thumbnail;
use crate::statistics::{Histogram, Statistics};
use crate::text::{count, escape};
use crate::tiles::ColorKey;
use crate::view::{View, ViewOptions, view_latents};

/// Margin around the page in pixels.
const MARGIN: u32 = 40;

/// Width of a page in pixels: texts and keys need some, and each pixel takes memory.
const WIDTHS: (u32, u32) = (320, 16_384);

/// Maximum length of the image's longer side in pixels; on a narrow page it takes a third.
const IMAGE: u32 = 248;

/// Approximate maximum height and number of pixels of a page. Further latents are left out and
/// counted.
const HEIGHT: u32 = 16_000;
const PIXELS: u32 = 48 << 20;

/// Size of a histogram.
const HISTOGRAM: (u32, u32) = (224, 46);

/// A page, and information about omitted parts.
#[derive(Debug)]
pub struct Sheet {
    /// The page.
    pub picture: RgbImage,
    /// The reason why a sound image cannot be shown.
    pub image: Option<String>,
    /// Errors of latents and of the image that could not be read.
    pub damaged: Vec<gen5::Error>,
    /// The number of latents shown, and of those left out.
    pub latents: (usize, usize),
    /// Whether the page contains characters that the fonts lack.
    pub has_boxes: bool,
}

impl Sheet {
    /// Paints the page of a file with this name. The width of the options is that of the page, at
    /// least 320 and at most 16,384 pixels.
    pub fn paint(reader: &Reader, name: &str, clues: &Clues, options: &ViewOptions, theme: &Theme) -> Self {
        let options =
            ViewOptions { width: options.width.clamp(WIDTHS.0, WIDTHS.1) - 2 * MARGIN, ..options.clone() };
        let mut page = Page {
            canvas: Canvas::new(options.width + 2 * MARGIN, theme.paper),
            theme: *theme,
            width: options.width,
            y: MARGIN,
        };
        let mut damaged = Vec::new();
        let bytes = reader.image();
        let decode = |bytes: &_| {
            Thumbnail::decode(bytes, IMAGE.min(options.width / 3)).map_err(|error| error.to_string())
        };
        let image = match &bytes {
            Ok(bytes) => bytes.as_deref().map(decode),
            Err(error) => Some(Err(error.to_string())),
        };
        page.header(reader, name, image.as_ref());
        let (views, mut left_out) = view_latents(reader, clues, &options);
        let mut shown = 0;
        let mut key = ColorKey::default();
        for view in views {
            if page.y > HEIGHT.min(PIXELS / page.width) {
                left_out += 1;
                continue;
            }
            page.latent(&view);
            key.merge(view.color_key());
            shown += 1;
            damaged.extend(view.scan.err());
        }
        if left_out > 0 {
            let text = format!("{} not shown", count(left_out, "more latent"));
            page.canvas.text(MARGIN, page.y + 8, style(SMALL, theme.muted), &text);
            page.y += 40;
        }
        if key != ColorKey::default() {
            page.footer(key);
        }
        page.canvas.grow(page.y + MARGIN - 12);
        let image = if bytes.is_ok() { image.and_then(Result::err) } else { None };
        damaged.extend(bytes.err());
        let has_boxes = page.canvas.has_boxes();
        Self { picture: page.canvas.finish(), image, damaged, latents: (shown, left_out), has_boxes }
    }
}

/// Font and size of each kind of text.
const TITLE: (Face, f32) = (Face::Sans, 32.0);
const TEXT: (Face, f32) = (Face::Sans, 19.0);
const KEY: (Face, f32) = (Face::Mono, 20.0);
const NUMBER: (Face, f32) = (Face::Mono, 15.0);
const SMALL: (Face, f32) = (Face::Sans, 16.0);

fn style((face, size): (Face, f32), color: Rgb<u8>) -> Style {
    Style { face, size, color }
}

struct Page {
    canvas: Canvas,
    theme: Theme,
    /// Width between the margins.
    width: u32,
    /// The position of the next element.
    y: u32,
}

impl Page {
    /// The file's image, and next to it name, model and prompt.
    fn header(&mut self, reader: &Reader, name: &str, image: Option<&Result<Thumbnail, String>>) {
        let stored = image.and_then(|image| image.as_ref().ok());
        let top = self.y;
        let mut left = MARGIN;
        if let Some(stored) = stored {
            self.canvas.picture(MARGIN, top, &stored.picture, (1, 1));
            left += stored.picture.width() + 28;
        }
        let room = (MARGIN + self.width).saturating_sub(left);
        let ink = self.theme.ink;
        let muted = self.theme.muted;
        let title = style(TITLE, ink);
        let mut y = top;
        self.canvas.text(left, y, title, &title.fitted(name, room));
        y += 46;
        let (facts, prompt) = describe_file(reader, stored);
        let small = style(SMALL, muted);
        for fact in facts.iter().flat_map(|fact| small.wrapped(fact, room, 2)) {
            self.canvas.text(left, y, small, &fact);
            y += 22;
        }
        let text = style(TEXT, ink);
        if !prompt.is_empty() {
            y += 8;
        }
        for line in text.wrapped(&prompt, room, 4) {
            self.canvas.text(left, y, text, &line);
            y += 26;
        }
        let problem = image.and_then(|image| image.as_ref().err());
        let problem = problem.map(|error| format!("the image cannot be shown: {}", escape(error)));
        for line in problem.iter().flat_map(|problem| small.wrapped(problem, room, 3)) {
            self.canvas.text(left, y + 4, small, &line);
            y += 22;
        }
        let below = stored.map_or(0, |stored| stored.picture.height());
        self.y = y.max(top + below) + 24;
    }

    /// A latent: description, numbers, pictures.
    fn latent(&mut self, view: &View) {
        let Theme { ink, muted, rule, .. } = self.theme;
        self.canvas.fill(MARGIN, self.y, self.width, 1, rule);
        self.y += 18;
        let top = self.y;
        let histogram =
            view.scan.as_ref().ok().and_then(|scan| Some((scan.histogram.as_ref()?, &scan.statistics)));
        let is_wide = self.width > 3 * HISTOGRAM.0;
        let beside = if histogram.is_some() && is_wide { HISTOGRAM.0 + 24 } else { 0 };
        let room = self.width - beside;

        let key = style(KEY, ink);
        let kind = style(NUMBER, muted);
        let end = self.canvas.text(MARGIN, self.y, key, &key.fitted(&view.name(), room));
        let mut x = end + 20;
        let words = view.kind();
        if x + kind.width(&words) > MARGIN + room {
            (x, self.y) = (MARGIN, self.y + 24);
        }
        self.canvas.text(x, self.y + 4, kind, &kind.fitted(&words, room));
        self.y += 32;
        self.figures(view, room);
        let note = style(SMALL, muted);
        let notes = [view.notes(), view.picture_notes()].concat();
        for line in note.wrapped(&notes.join("  ·  "), room, 3) {
            self.canvas.text(MARGIN, self.y, note, &line);
            self.y += 21;
        }
        if let Some((histogram, statistics)) = histogram.filter(|_| is_wide) {
            self.histogram((MARGIN + room + 24, top + 4), histogram, statistics);
        }
        self.legend(view);
        self.y += 8;
        let high = view.paint_on(&mut self.canvas, (MARGIN, self.y), &self.theme);
        self.y += high + if high > 0 { 26 } else { 12 };
    }

    fn figures(&mut self, view: &View, room: u32) {
        let name = style(SMALL, self.theme.muted);
        let number = style(NUMBER, self.theme.ink);
        let mut x = MARGIN;
        let figures = view.figures();
        for (label, value) in &figures {
            let width = name.width(label) + 7 + number.width(value);
            if x + width > MARGIN + room && x > MARGIN {
                x = MARGIN;
                self.y += 24;
            }
            let end = self.canvas.text(x, self.y, name, label);
            x = self.canvas.text(end + 7, self.y + 1, number, value) + 26;
        }
        if !figures.is_empty() {
            self.y += 26;
        }
    }

    /// The positions of channels and their scales, if no captions show them.
    fn legend(&mut self, view: &View) {
        let Some((order, scales)) = view.legend() else { return };
        self.y += 2;
        let note = style(SMALL, self.theme.muted);
        let number = style(NUMBER, self.theme.muted);
        let mut x = self.canvas.text(MARGIN, self.y, note, order) + 14;
        for text in scales {
            if x + number.width(&text) > MARGIN + self.width {
                x = MARGIN;
                self.y += 20;
            }
            x = self.canvas.text(x, self.y + 1, number, &text) + 18;
        }
        self.y += 22;
    }

    /// The key to the colours on this page.
    fn footer(&mut self, key: ColorKey) {
        self.canvas.fill(MARGIN, self.y, self.width, 1, self.theme.rule);
        self.y += 16;
        let note = style(SMALL, self.theme.muted);
        for (bar, words) in key.bars() {
            self.canvas.picture(MARGIN, self.y + 5, &bar, (1, 10));
            let left = MARGIN + bar.width() + 12;
            for line in note.wrapped(words, self.width - (left - MARGIN), 3) {
                self.canvas.text(left, self.y, note, &line);
                self.y += 21;
            }
            self.y += 3;
        }
        for line in note.wrapped(&key.words(), self.width, 6) {
            self.canvas.text(MARGIN, self.y, note, &line);
            self.y += 21;
        }
    }

    /// A histogram, with the normal curve over it.
    fn histogram(&mut self, (x, y): (u32, u32), histogram: &Histogram, statistics: &Statistics) {
        let (width, height) = HISTOGRAM;
        let normal = histogram.normal(statistics);
        let top = histogram.top(normal.as_ref());
        #[allow(clippy::cast_possible_truncation)] // between 0 and 1; an f32 has enough digits for pixels
        let tall = |count: f64| (count / top).min(1.0) as f32 * height as f32;
        for dx in 0..width {
            let bin = dx as usize * histogram.counts.len() / width as usize;
            let bar = whole(tall(histogram.counts.get(bin).copied().unwrap_or(0.0)).round());
            self.canvas.fill(x + dx, y + height - bar, 1, bar, self.theme.rule);
        }
        self.canvas.fill(x, y + height, width, 1, self.theme.muted);
        let Some(normal) = normal else { return };
        // A line one and a half pixels wide, painted column by column.
        let (low, high) = (f64::from(histogram.low), f64::from(histogram.high));
        let value = |dx: u32| low + (high - low) * f64::from(dx) / f64::from(width);
        let curve = |dx: u32| height as f32 - tall(normal.count(value(dx)));
        for dx in 0..width {
            let (here, next) = (curve(dx), curve(dx + 1));
            let (from, to) = (here.min(next) - 0.75, here.max(next) + 0.75);
            for dy in whole(from)..=whole(to.ceil()).min(height) {
                let cover = (to.min(dy as f32 + 1.0) - from.max(dy as f32)).clamp(0.0, 1.0);
                self.canvas.blend(x + dx, y + dy, self.theme.ink, cover);
            }
        }
    }
}
