//! How the pictures of a latent are laid out: how large its tiles are, and how they stand together.

use std::cmp::Reverse;

use image::imageops::{self, FilterType};

use super::canvas::{Canvas, Face, Style, Theme};
use super::layout::Layout;
use super::look::{Look, ends, short};
use super::scan::{Item, Scan};
use super::tiles::{Scale, tile};

/// Pixels between tiles of one picture.
const GAP: u32 = 3;

/// Pixels between pictures.
const GUTTER: u32 = 18;

/// Pixels that a caption takes.
const CAPTION: u32 = 17;

/// Pixels of a tile's side, at most, where there are several channels.
const LARGEST: u32 = 264;

/// Pixels that one pixel becomes, at most.
const MOST_SCALE: u32 = 16;

/// Pixels that several pictures of a latent should not be higher than.
const HEIGHT: u32 = 2000;

/// Pixels from top to bottom of what is a single line of values.
const STRIP: u32 = 24;

/// What there is room for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) width: u32,
    /// Pictures side by side, if it was asked for so many.
    pub(super) columns: Option<u32>,
    /// Pixels that a latent's only picture should not be higher than.
    pub(super) height: u32,
}

/// Where a preview is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Left,
    Top,
}

/// How large tiles are, and how they stand together. All pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrangement {
    /// Values that become one, each way.
    factor: u32,
    /// What one of these then becomes.
    scale: (u32, u32),
    /// A tile.
    tile: (u32, u32),
    /// Channels side by side, and one below the other.
    channels: (u32, u32),
    /// The values of a plane, to the right and down.
    plane: (u32, u32),
    preview: Option<Side>,
    /// Pictures, and how many of them are side by side.
    items: u32,
    across: u32,
}

impl Arrangement {
    /// The arrangement that has the largest tiles for so many pictures.
    pub(super) fn of(layout: &Layout, items: usize, preview: bool, room: Room) -> Self {
        let pixels = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).max(1);
        let (plane, channels) =
            ((pixels(layout.width()), pixels(layout.height())), pixels(layout.channels()));
        let sides = if preview { &[Some(Side::Top), Some(Side::Left)][..] } else { &[None] };
        let squarish = (1..=channels).find(|columns| columns * columns >= channels).unwrap_or(1);
        let mut columns = vec![squarish, channels.min(8), 1];
        columns.retain(|columns| *columns > 1 || channels <= 4);

        let items = pixels(items);
        let all = sides.iter().flat_map(|preview| columns.iter().map(move |columns| (*preview, *columns)));
        let all = all.flat_map(|(preview, columns)| {
            let channels = (columns, channels.div_ceil(columns));
            sizes(plane)
                .map(move |(factor, scale)| Self::sized(plane, factor, scale, channels, preview, items))
        });
        let all = all.map(|arrangement| arrangement.in_columns(room));
        let limit = if items == 1 { room.height } else { HEIGHT };
        let is_small =
            |arrangement: &Self| channels == 1 || arrangement.tile.0.max(arrangement.tile.1) <= LARGEST;
        let fits: Vec<Self> = all.clone().filter(|one| one.width() <= room.width && is_small(one)).collect();
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        let best = fits.iter().filter(|one| one.height() <= limit);
        let best = best.max_by_key(|one| (area(one.tile), area(one.preview_size()), Reverse(one.height())));
        let best = best.or_else(|| fits.iter().min_by_key(|one| one.height())).copied();
        best.or_else(|| all.min_by_key(Self::width))
            .unwrap_or_else(|| Self::sized(plane, plane.0.max(plane.1), 1, (1, 1), None, 1).in_columns(room))
    }

    fn sized(
        plane: (u32, u32),
        factor: u32,
        scale: u32,
        channels: (u32, u32),
        preview: Option<Side>,
        items: u32,
    ) -> Self {
        let small = (plane.0.div_ceil(factor), plane.1.div_ceil(factor));
        let scale = (scale, if small.1 == 1 { scale.max(STRIP) } else { scale });
        let tile = (small.0.saturating_mul(scale.0), small.1.saturating_mul(scale.1));
        Self { factor, scale, tile, channels, plane, preview, items, across: 1 }
    }

    fn in_columns(self, room: Room) -> Self {
        let fit = (room.width.saturating_add(GUTTER)) / (self.item().0.saturating_add(GUTTER));
        Self { across: room.columns.unwrap_or(fit).clamp(1, self.items), ..self }
    }

    /// Pixels of the longer side of a plane as it is to be read.
    pub(super) fn side(&self) -> usize {
        self.plane.0.max(self.plane.1).div_ceil(self.factor) as usize
    }

    fn is_captioned(&self) -> bool {
        self.items == 1
    }

    /// Pixels from one channel to the one below it.
    fn line(&self) -> u32 {
        self.tile.1.saturating_add(GAP) + if self.is_captioned() { CAPTION } else { 0 }
    }

    /// All channels of a picture, without the preview.
    fn grid(&self) -> (u32, u32) {
        let (columns, lines) = self.channels;
        (
            columns.saturating_mul(self.tile.0.saturating_add(GAP)) - GAP,
            lines.saturating_mul(self.line()) - GAP,
        )
    }

    fn preview_size(&self) -> (u32, u32) {
        let (width, height) = self.grid();
        let scaled = |by: u32, from: u32, to: u32| {
            u32::try_from(u64::from(by) * u64::from(to) / u64::from(from.max(1))).unwrap_or(u32::MAX).max(1)
        };
        match self.preview {
            None => (0, 0),
            Some(Side::Top) => (width, scaled(width, self.tile.0, self.tile.1)),
            Some(Side::Left) => {
                let height = height - if self.is_captioned() { CAPTION } else { 0 };
                (scaled(height, self.tile.1, self.tile.0), height)
            }
        }
    }

    /// A picture with all its channels, preview and caption.
    fn item(&self) -> (u32, u32) {
        let (grid, preview) = (self.grid(), self.preview_size());
        let caption = if self.is_captioned() { 0 } else { CAPTION };
        let (width, height) = match self.preview {
            None => grid,
            Some(Side::Top) => (
                grid.0,
                grid.1.saturating_add(preview.1 + GAP + if self.is_captioned() { CAPTION } else { 0 }),
            ),
            Some(Side::Left) => (grid.0.saturating_add(preview.0).saturating_add(GAP), grid.1),
        };
        (width, height.saturating_add(caption))
    }

    pub(super) fn width(&self) -> u32 {
        self.across.saturating_mul(self.item().0.saturating_add(GUTTER)) - GUTTER
    }

    pub(super) fn height(&self) -> u32 {
        let lines = self.items.div_ceil(self.across);
        lines.saturating_mul(self.item().1.saturating_add(GUTTER)) - GUTTER
    }

    /// In which order channels are seen, if no captions tell it.
    pub(super) fn order(&self) -> Option<&'static str> {
        match (self.is_captioned(), self.channels) {
            (true, _) | (_, (1, 1)) => None,
            (_, (1, _)) => Some("channels from top to bottom"),
            (_, (_, 1)) => Some("channels from left to right"),
            _ => Some("channels line by line"),
        }
    }
}

/// Values that become one pixel, and pixels that it becomes: from large to small.
fn sizes(plane: (u32, u32)) -> impl Iterator<Item = (u32, u32)> + Clone {
    let side = plane.0.max(plane.1);
    // What would be much too large is not tried.
    let start = (side / 4096).max(1);
    let smaller = (start..).take(64).take_while(move |factor| *factor == start || side / factor >= 16);
    (2..=MOST_SCALE)
        .rev()
        .map(|scale| (1, scale))
        .filter(move |_| start == 1)
        .chain(smaller.map(|factor| (factor, 1)))
}

/// Paints the pictures of a latent at a place; returns how high they are.
pub(super) fn paint(canvas: &mut Canvas, (x, y): (u32, u32), look: &Look, theme: &Theme) -> u32 {
    let (Ok(scan), arrangement) = (&look.scan, &look.arrangement) else { return 0 };
    let Some(bottom) = u32::try_from(scan.items.len()).ok().filter(|items| *items > 0) else { return 0 };
    let scales = look.scales();
    let (width, height) = arrangement.item();
    for (at, item) in (0..).zip(&scan.items) {
        let (column, line) = (at % arrangement.across, at / arrangement.across);
        let place = (x + column * (width + GUTTER), y + line * (height + GUTTER));
        paint_item(canvas, place, (scan, item), look, &scales, theme);
    }
    bottom.div_ceil(arrangement.across) * (height + GUTTER) - GUTTER
}

fn paint_item(
    canvas: &mut Canvas,
    (x, mut y): (u32, u32),
    (scan, item): (&Scan, &Item),
    look: &Look,
    scales: &[Scale],
    theme: &Theme,
) {
    let arrangement = &look.arrangement;
    let caption = Style { face: Face::Mono, size: 12.5, color: theme.muted };
    let (item_width, _) = arrangement.item();
    if !arrangement.is_captioned() {
        let name = scan.layout.item_name(item.index);
        canvas.text(x, y, caption, &caption.fitted(&name, item_width + GUTTER - 4));
        y += CAPTION;
    }
    let mut corner = (x, y);
    let preview = look.preview.as_ref().and_then(|(preview, _)| preview.picture(&item.planes));
    if let (Some(picture), Some(side)) = (preview, arrangement.preview) {
        let (width, height) = arrangement.preview_size();
        canvas.picture(x, y, &imageops::resize(&picture, width, height, FilterType::CatmullRom), (1, 1));
        match side {
            Side::Left => {
                if arrangement.is_captioned() {
                    canvas.text(x, y + height + 2, caption, "preview");
                }
                corner.0 += width + GAP;
            }
            Side::Top => {
                if arrangement.is_captioned() {
                    canvas.text(x, y + height + 2, caption, "preview");
                    corner.1 += CAPTION;
                }
                corner.1 += height + GAP;
            }
        }
    }
    let (columns, _) = arrangement.channels;
    for (channel, (plane, scale)) in (0..).zip(item.planes.iter().zip(scales)) {
        let (column, line) = (channel % columns, channel / columns);
        let (x, y) = (corner.0 + column * (arrangement.tile.0 + GAP), corner.1 + line * arrangement.line());
        canvas.picture(x, y, &tile(plane, *scale), arrangement.scale);
        if arrangement.is_captioned() {
            let (low, high) = scale.ends();
            let texts = [
                format!("{channel}  {} … {}", short(low), short(high)),
                format!("{channel} {}", ends(*scale)),
                channel.to_string(),
            ];
            if let Some(text) = texts.iter().find(|text| caption.width(text) <= arrangement.tile.0) {
                canvas.text(x, y + arrangement.tile.1 + 2, caption, text);
            }
        }
    }
}
