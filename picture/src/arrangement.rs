//! The arrangement of a latent's pictures: the size of its tiles and their positions.

use std::cmp::Reverse;

use crate::layout::Layout;

/// Maximum size of an enlarged pixel.
const MOST_SCALE: u32 = 16;

/// The surface to paint on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Pixels of a page or a screen.
    Pixels,
    /// Half cells of a terminal, which are few.
    Cells,
}

/// The measures of a medium in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measures {
    /// Space between tiles of one picture.
    pub(crate) gap: u32,
    /// Space between pictures.
    pub(crate) gutter: u32,
    /// Distance from the top of a caption to the content below it; 0 for no captions.
    pub(crate) caption: u32,
    /// Maximum side of a tile if there are several channels.
    largest: u32,
    /// Preferred minimum side of a tile.
    least: u32,
    /// Maximum total height of a latent's pictures.
    height: u32,
    /// Minimum height of a single line of values.
    strip: u32,
}

impl Medium {
    fn measures(self) -> Measures {
        match self {
            Self::Pixels => {
                Measures { gap: 3, gutter: 18, caption: 17, largest: 264, least: 16, height: 2000, strip: 24 }
            }
            Self::Cells => {
                Measures { gap: 1, gutter: 2, caption: 0, largest: 64, least: 8, height: 160, strip: 2 }
            }
        }
    }
}

/// The available space.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    pub(crate) width: u32,
    /// Pictures per line, if specified.
    pub(crate) columns: Option<u32>,
    /// Maximum height of a latent's only picture in pixels.
    pub(crate) height: u32,
    pub(crate) medium: Medium,
}

/// The position of a preview.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Left,
    Top,
}

/// The size of tiles and their positions. All measures are in pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrangement {
    /// Number of values per picture pixel, along each axis.
    factor: u32,
    /// Size of a picture pixel.
    pub(crate) scale: (u32, u32),
    /// Size of a tile.
    pub(crate) tile: (u32, u32),
    /// Number of channels per line, and of lines.
    pub(crate) channels: (u32, u32),
    /// Values of a plane, horizontally and vertically.
    plane: (u32, u32),
    pub(crate) preview: Option<Side>,
    /// Number of pictures, and of those per line.
    items: u32,
    pub(crate) across: u32,
    pub(crate) measures: Measures,
}

impl Arrangement {
    /// The arrangement with the largest tiles for this number of pictures.
    pub(crate) fn of(layout: &Layout, items: usize, preview: bool, room: Room) -> Self {
        let pixels = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).max(1);
        let plane = (pixels(layout.width()), pixels(layout.height()));
        let channels = pixels(layout.channels());
        let sides = if preview { &[Some(Side::Top), Some(Side::Left)][..] } else { &[None] };
        let squarish = (1..=channels).find(|columns| columns * columns >= channels).unwrap_or(1);
        let mut columns = vec![squarish, channels.min(8), 1];
        columns.retain(|columns| *columns > 1 || channels <= 4);

        let items = pixels(items);
        let measures = room.medium.measures();
        let one = Self {
            factor: 1,
            scale: (1, 1),
            tile: plane,
            channels: (1, channels),
            plane,
            preview: None,
            items,
            across: 1,
            measures,
        };
        let all = sides.iter().flat_map(|preview| columns.iter().map(move |columns| (*preview, *columns)));
        let all = all.flat_map(|(preview, columns)| {
            let channels = (columns, channels.div_ceil(columns));
            sizes(plane, measures.least).map(move |size| Self { channels, preview, ..one }.sized(size))
        });
        let all = all.map(|arrangement| arrangement.in_columns(room));
        let limit = if items == 1 { room.height } else { measures.height };
        // A single channel may keep its own width.
        let is_small =
            |one: &Self| one.tile.1 <= measures.largest && (channels == 1 || one.tile.0 <= measures.largest);
        let fits: Vec<Self> = all.clone().filter(|one| one.width() <= room.width && is_small(one)).collect();
        let area = |(width, height): (u32, u32)| u64::from(width) * u64::from(height);
        let best = fits.iter().filter(|one| one.height() <= limit);
        let best = best.max_by_key(|one| (area(one.tile), area(one.preview_size()), Reverse(one.height())));
        let best = best.or_else(|| fits.iter().min_by_key(|one| one.height())).copied();
        best.or_else(|| all.min_by_key(Self::width)).unwrap_or(one)
    }

    fn sized(self, (factor, scale): (u32, u32)) -> Self {
        let small = (self.plane.0.div_ceil(factor), self.plane.1.div_ceil(factor));
        let scale = (scale, if small.1 == 1 { scale.max(self.measures.strip) } else { scale });
        let tile = (small.0.saturating_mul(scale.0), small.1.saturating_mul(scale.1));
        Self { factor, scale, tile, ..self }
    }

    fn in_columns(self, room: Room) -> Self {
        let gutter = self.measures.gutter;
        let fit = room.width.saturating_add(gutter) / self.item().0.saturating_add(gutter);
        Self { across: room.columns.unwrap_or(fit).clamp(1, self.items), ..self }
    }

    /// Pixels of the longer side at which to read a plane.
    pub(crate) fn side(&self) -> usize {
        self.plane.0.max(self.plane.1).div_ceil(self.factor) as usize
    }

    /// Whether channels have captions; otherwise pictures have them.
    pub(crate) fn is_captioned(&self) -> bool {
        self.items == 1
    }

    /// Height of the caption below each channel.
    pub(crate) fn channel_caption(&self) -> u32 {
        if self.is_captioned() { self.measures.caption } else { 0 }
    }

    /// Height of the caption above each picture.
    pub(crate) fn item_caption(&self) -> u32 {
        if self.is_captioned() { 0 } else { self.measures.caption }
    }

    /// Number of values per pixel, along each axis.
    pub(crate) fn factor(&self) -> u32 {
        self.factor
    }

    /// Distance between lines of channels.
    pub(crate) fn line(&self) -> u32 {
        self.tile.1.saturating_add(self.measures.gap).saturating_add(self.channel_caption())
    }

    /// Size of all channels of a picture, without the preview.
    fn grid(&self) -> (u32, u32) {
        let (columns, lines) = self.channels;
        let gap = self.measures.gap;
        (
            columns.saturating_mul(self.tile.0.saturating_add(gap)) - gap,
            lines.saturating_mul(self.line()) - gap,
        )
    }

    pub(crate) fn preview_size(&self) -> (u32, u32) {
        let (width, height) = self.grid();
        let scaled = |by: u32, from: u32, to: u32| {
            u32::try_from(u64::from(by) * u64::from(to) / u64::from(from.max(1))).unwrap_or(u32::MAX).max(1)
        };
        match self.preview {
            None => (0, 0),
            Some(Side::Top) => (width, scaled(width, self.tile.0, self.tile.1)),
            Some(Side::Left) => {
                let height = height - self.channel_caption();
                (scaled(height, self.tile.1, self.tile.0), height)
            }
        }
    }

    /// Size of a picture with its channels, preview and caption.
    pub(crate) fn item(&self) -> (u32, u32) {
        let grid = self.grid();
        let preview = self.preview_size();
        let gap = self.measures.gap;
        let (width, height) = match self.preview {
            None => grid,
            Some(Side::Top) => {
                let below = preview.1.saturating_add(gap + self.channel_caption());
                (grid.0, grid.1.saturating_add(below))
            }
            Some(Side::Left) => (grid.0.saturating_add(preview.0).saturating_add(gap), grid.1),
        };
        (width, height.saturating_add(self.item_caption()))
    }

    pub(crate) fn width(&self) -> u32 {
        let gutter = self.measures.gutter;
        self.across.saturating_mul(self.item().0.saturating_add(gutter)) - gutter
    }

    pub(crate) fn height(&self) -> u32 {
        let lines = self.items.div_ceil(self.across);
        let gutter = self.measures.gutter;
        lines.saturating_mul(self.item().1.saturating_add(gutter)) - gutter
    }

    /// The order of channels, if captions do not show it.
    pub(crate) fn order(&self) -> Option<&'static str> {
        if self.is_captioned() && self.measures.caption > 0 {
            return None;
        }
        match self.channels {
            (1, 1) => None,
            (1, _) => Some("channels from top to bottom"),
            (_, 1) => Some("channels from left to right"),
            _ => Some("channels line by line"),
        }
    }
}

/// Pairs of values per pixel and pixel size, from large to small.
fn sizes(plane: (u32, u32), least: u32) -> impl Iterator<Item = (u32, u32)> + Clone {
    let side = plane.0.max(plane.1);
    // Skip sizes that would be far too large.
    let start = (side / 4096).max(1);
    let smaller = std::iter::successors(Some(start), |factor| Some(factor + (factor / 8).max(1)));
    let smaller = smaller.take_while(move |factor| *factor == start || side / factor >= least);
    (2..=MOST_SCALE)
        .rev()
        .map(|scale| (1, scale))
        .filter(move |_| start == 1)
        .chain(smaller.map(|factor| (factor, 1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Hints;
    use proptest::prelude::*;

    fn arranged(shape: &[usize], items: usize, preview: bool, width: u32) -> Arrangement {
        let layout = Layout::guess(shape, Hints::default());
        Arrangement::of(
            &layout,
            items,
            preview,
            Room { width, columns: None, height: 420, medium: Medium::Pixels },
        )
    }

    #[test]
    fn tiles_are_as_large_as_there_is_room_for() {
        // A preview next to two by two channels, at the scale of the file.
        let alone = arranged(&[1, 4, 128, 128], 1, true, 1120);
        assert_eq!((alone.tile, alone.channels, alone.preview), ((128, 128), (2, 2), Some(Side::Left)));
        // 64 images as columns of a preview and four channels; each pixel is the mean of four
        // values.
        let batch = arranged(&[64, 4, 128, 128], 64, true, 1120);
        assert_eq!((batch.tile, batch.channels, batch.factor), ((64, 64), (1, 4), 2));
        // A vector becomes a visible strip.
        assert_eq!(arranged(&[21], 1, false, 1120).tile, (336, 24));
    }

    proptest! {
        #[test]
        fn pages_are_bounded(
            shape in prop::collection::vec(prop_oneof![0_usize..20, 20_usize..5000, Just(1 << 40)], 0..6),
            items in 1_usize..64,
            preview: bool,
            width in 1_u32..3000,
        ) {
            let arrangement = arranged(&shape, items, preview, width);
            prop_assert!(arrangement.across >= 1 && arrangement.across as usize <= items);
            prop_assert!(arrangement.side() <= 1 << 14, "{:?}", arrangement);
            // If it does not fit, it is the smallest possible.
            prop_assert!(arrangement.width() <= width.max(600), "{:?}", arrangement);
        }
    }
}
