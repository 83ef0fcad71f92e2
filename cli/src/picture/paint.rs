//! Painting of a latent's pictures.

use image::RgbImage;
use image::imageops::{self, FilterType};

use super::arrangement::{Measures, Side};
use super::canvas::{Canvas, Face, Style, Theme};
use super::look::Look;
use super::scan::{Item, Scan};
use super::tiles::{Scale, short, tile};

/// The pictures of a latent, previews and channels; `None` if there are none.
pub fn pictures(look: &Look, theme: &Theme) -> Option<RgbImage> {
    let mut canvas = Canvas::new(look.arrangement.width(), theme.paper);
    (paint(&mut canvas, (0, 0), look, theme) > 0).then(|| canvas.finish())
}

/// Paints the pictures of a latent at a position; returns their height.
pub(super) fn paint(canvas: &mut Canvas, (x, y): (u32, u32), look: &Look, theme: &Theme) -> u32 {
    let (Ok(scan), arrangement) = (&look.scan, &look.arrangement) else { return 0 };
    let Some(bottom) = u32::try_from(scan.items.len()).ok().filter(|items| *items > 0) else { return 0 };
    let scales = look.scales();
    let ((width, height), gutter) = (arrangement.item(), arrangement.measures.gutter);
    for (at, item) in (0..).zip(&scan.items) {
        let (column, line) = (at % arrangement.across, at / arrangement.across);
        let place = (x + column * (width + gutter), y + line * (height + gutter));
        paint_item(canvas, place, (scan, item), look, &scales, theme);
    }
    bottom.div_ceil(arrangement.across) * (height + gutter) - gutter
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
    let Measures { gap, gutter, caption: caption_height, .. } = arrangement.measures;
    let caption = Style { face: Face::Mono, size: 12.5, color: theme.muted };
    let has_captions = arrangement.is_captioned() && caption_height > 0;
    if arrangement.item_caption() > 0 {
        let name = scan.layout.item_name(item.index);
        canvas.text(x, y, caption, &caption.fitted(&name, arrangement.item().0 + gutter - 4));
        y += caption_height;
    }
    let mut corner = (x, y);
    let preview = look.preview.as_ref().and_then(|(preview, _)| preview.picture(&item.planes, look.scaling));
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
        canvas.picture(x, y, &tile(plane, *scale), arrangement.scale);
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
