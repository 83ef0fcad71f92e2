//! Painting of a latent's pictures.

use image::RgbImage;
use image::imageops::{self, FilterType};

use crate::arrangement::{Measures, Side};
use crate::canvas::{Canvas, Face, Style, Theme};
use crate::scan::{Item, Scan};
use crate::tiles::{Scale, paint_tile, short};
use crate::view::View;

impl View {
    /// Paints the pictures of the latent on one picture: its previews and channels. Returns `None`
    /// if there are none.
    pub fn paint(&self, theme: &Theme) -> Option<RgbImage> {
        let mut canvas = Canvas::new(self.arrangement.width(), theme.paper);
        (self.paint_on(&mut canvas, (0, 0), theme) > 0).then(|| canvas.finish())
    }

    /// Paints the same on a canvas, from a position on; returns the height.
    pub(crate) fn paint_on(&self, canvas: &mut Canvas, (x, y): (u32, u32), theme: &Theme) -> u32 {
        let Ok(scan) = &self.scan else { return 0 };
        let Some(bottom) = u32::try_from(scan.items.len()).ok().filter(|items| *items > 0) else { return 0 };
        let arrangement = &self.arrangement;
        let scales = self.scales();
        let (width, height) = arrangement.item();
        let gutter = arrangement.measures.gutter;
        for (at, item) in (0..).zip(&scan.items) {
            let (column, line) = (at % arrangement.across, at / arrangement.across);
            let place = (x + column * (width + gutter), y + line * (height + gutter));
            paint_item(canvas, place, (scan, item), self, &scales, theme);
        }
        bottom.div_ceil(arrangement.across) * (height + gutter) - gutter
    }
}

fn paint_item(
    canvas: &mut Canvas,
    (x, mut y): (u32, u32),
    (scan, item): (&Scan, &Item),
    view: &View,
    scales: &[Scale],
    theme: &Theme,
) {
    let arrangement = &view.arrangement;
    let Measures { gap, gutter, caption: caption_height, .. } = arrangement.measures;
    let caption = Style { face: Face::Mono, size: 12.5, color: theme.muted };
    let has_captions = arrangement.is_captioned() && caption_height > 0;
    if arrangement.item_caption() > 0 {
        let name = scan.layout.item_name(item.index);
        canvas.text(x, y, caption, &caption.fitted(&name, arrangement.item().0 + gutter - 4));
        y += caption_height;
    }
    let mut corner = (x, y);
    let preview = view.preview.as_ref().and_then(|(preview, _)| preview.picture(&item.planes, view.scaling));
    if let (Some(picture), Some(side)) = (preview, arrangement.preview) {
        let (width, height) = arrangement.preview_size();
        canvas.picture(x, y, &imageops::resize(&picture, width, height, FilterType::CatmullRom), (1, 1));
        if has_captions {
            canvas.text(x, y + height + 2, caption, "preview");
        }
        match side {
            Side::Left => corner.0 += width + gap,
            Side::Top => corner.1 += height + gap + arrangement.channel_caption(),
        }
    }
    let (columns, _) = arrangement.channels;
    for (channel, (plane, scale)) in (0..).zip(item.planes.iter().zip(scales)) {
        let (column, line) = (channel % columns, channel / columns);
        let (x, y) = (corner.0 + column * (arrangement.tile.0 + gap), corner.1 + line * arrangement.line());
        canvas.picture(x, y, &paint_tile(plane, *scale), arrangement.scale);
        if has_captions {
            let (low, high) = scale.ends();
            let texts = [
                format!("{channel}  {} … {}", short(low), short(high)),
                format!("{channel} {}", scale.words()),
                channel.to_string(),
            ];
            if let Some(text) = texts.iter().find(|text| caption.width(text) <= arrangement.tile.0) {
                canvas.text(x, y + arrangement.tile.1 + 2, caption, text);
            }
        }
    }
}
