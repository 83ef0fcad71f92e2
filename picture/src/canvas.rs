//! A canvas to paint on: pixels that grow downwards, rectangles, pictures, text.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};
use image::{Rgb, RgbImage};

/// The colours of a page.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// The background.
    pub paper: Rgb<u8>,
    /// The most important text.
    pub ink: Rgb<u8>,
    /// Other text.
    pub muted: Rgb<u8>,
    /// Lines and background shapes.
    pub rule: Rgb<u8>,
}

impl Theme {
    /// Dark on white, as in print.
    pub const LIGHT: Self = Self {
        paper: Rgb([255, 255, 255]),
        ink: Rgb([24, 26, 30]),
        muted: Rgb([98, 103, 112]),
        rule: Rgb([218, 221, 226]),
    };

    /// Light on dark.
    pub const DARK: Self = Self {
        paper: Rgb([22, 24, 28]),
        ink: Rgb([236, 237, 240]),
        muted: Rgb([158, 164, 174]),
        rule: Rgb([58, 62, 70]),
    };
}

/// A typeface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// For sentences.
    Sans,
    /// For names and numbers.
    Mono,
}

/// The fonts, or none if the compiled-in bytes are invalid, which tests rule out.
static FONTS: LazyLock<Option<[FontRef<'static>; 2]>> = LazyLock::new(|| {
    let font = |bytes| FontRef::try_from_slice(bytes).ok();
    Some([font(epaint_default_fonts::UBUNTU_LIGHT)?, font(epaint_default_fonts::HACK_REGULAR)?])
});

/// The style of text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) face: Face,
    /// Line height in pixels, without the space between lines.
    pub(crate) size: f32,
    pub(crate) color: Rgb<u8>,
}

impl Style {
    /// Width of a text in pixels.
    pub(crate) fn width(self, text: &str) -> u32 {
        whole(text.chars().map(|character| self.advance(character)).sum::<f32>().ceil())
    }

    /// A text cut to the available width, with an ellipsis if shortened. Only the start of a very
    /// long text is examined.
    pub(crate) fn fitted(self, text: &str, room: u32) -> String {
        let mut width = 0.0;
        let mut cut = 0;
        let with_ellipsis = room as f32 - self.advance('…');
        for (at, character) in text.char_indices() {
            if width <= with_ellipsis {
                cut = at;
            }
            width += self.advance(character);
            if width > room as f32 {
                return format!("{}…", text.split_at(cut).0.trim_end());
            }
        }
        text.to_owned()
    }

    /// A text wrapped to the available width, with at most `most` lines; the last one is cut.
    pub(crate) fn wrapped(self, text: &str, room: u32, most: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() && lines.len() < most {
            if lines.len() + 1 == most {
                lines.push(self.fitted(rest, room));
                break;
            }
            let (line, later) = rest.split_at(self.break_at(rest, room));
            lines.push(line.trim_end().to_owned());
            rest = later.trim_start();
        }
        lines
    }

    /// The end of a line: after the last word that fits, or within a word that is longer than the
    /// line.
    fn break_at(self, text: &str, room: u32) -> usize {
        let mut width = 0.0;
        let mut last_space = None;
        for (at, character) in text.char_indices() {
            if character == ' ' {
                last_space = Some(at + 1);
            }
            width += self.advance(character);
            if width > room as f32 && at > 0 {
                return last_space.unwrap_or(at);
            }
        }
        text.len()
    }

    fn advance(self, character: char) -> f32 {
        self.glyph(character).map_or(0.0, |(font, glyph)| font.as_scaled(self.scale()).h_advance(glyph))
    }

    fn scale(self) -> PxScale {
        PxScale::from(self.size)
    }

    /// Whether the font lacks a glyph for a character.
    fn lacks(self, character: char) -> bool {
        self.glyph(character).is_none_or(|(_, glyph)| glyph.0 == 0)
    }

    /// The glyph for a character: from the other font if this one lacks it, or a box if both do.
    fn glyph(self, character: char) -> Option<(&'static FontRef<'static>, GlyphId)> {
        let [sans, mono] = FONTS.as_ref()?;
        let fonts = if self.face == Face::Sans { [sans, mono] } else { [mono, sans] };
        let glyphs = fonts.map(|font| (font, font.glyph_id(character)));
        let missing = glyphs.first().copied();
        glyphs.into_iter().find(|(_, glyph)| glyph.0 != 0).or(missing)
    }
}

/// A whole number of pixels, at least 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to 0 to 1e9
pub(crate) fn whole(pixels: f32) -> u32 {
    pixels.clamp(0.0, 1e9) as u32
}

/// A page that grows as it is painted on. Anything beyond its sides is clipped.
pub(crate) struct Canvas {
    width: u32,
    paper: Rgb<u8>,
    pixels: Vec<u8>,
    has_boxes: bool,
}

impl Canvas {
    pub(crate) fn new(width: u32, paper: Rgb<u8>) -> Self {
        Self { width, paper, pixels: Vec::new(), has_boxes: false }
    }

    /// Whether a text contained characters that no font has.
    pub(crate) fn has_boxes(&self) -> bool {
        self.has_boxes
    }

    /// Extends the page to at least this height.
    pub(crate) fn grow(&mut self, height: u32) {
        let line: Vec<u8> = self.paper.0.iter().copied().cycle().take(self.width as usize * 3).collect();
        while self.pixels.len() < line.len() * height as usize {
            self.pixels.extend_from_slice(&line);
        }
    }

    /// The painted picture.
    pub(crate) fn finish(self) -> RgbImage {
        let height = self.pixels.len() / (self.width as usize * 3).max(1);
        let height = u32::try_from(height).unwrap_or(u32::MAX);
        RgbImage::from_raw(self.width, height, self.pixels).unwrap_or_default()
    }

    /// Part of a line, starting at `x`.
    fn line(&mut self, x: u32, y: u32, width: u32) -> &mut [u8] {
        let width = width.min(self.width.saturating_sub(x));
        let start = (y as usize * self.width as usize + x as usize) * 3;
        self.pixels.get_mut(start..start + width as usize * 3).unwrap_or_default()
    }

    pub(crate) fn fill(&mut self, x: u32, y: u32, width: u32, height: u32, color: Rgb<u8>) {
        self.grow(y + height);
        for y in y..y + height {
            for pixel in self.line(x, y, width).as_chunks_mut().0 {
                *pixel = color.0;
            }
        }
    }

    /// Paints a picture, with each pixel as a rectangle of this size.
    pub(crate) fn picture(&mut self, x: u32, y: u32, picture: &RgbImage, (across, down): (u32, u32)) {
        self.grow(y + picture.height() * down);
        for (row, top) in picture.rows().zip((y..).step_by(down.max(1) as usize)) {
            let wide: Vec<u8> =
                row.flat_map(|pixel| std::iter::repeat_n(pixel.0, across as usize)).flatten().collect();
            for y in top..top + down {
                let line = self.line(x, y, picture.width() * across);
                let shown = line.len().min(wide.len());
                if let (Some(to), Some(from)) = (line.get_mut(..shown), wide.get(..shown)) {
                    to.copy_from_slice(from);
                }
            }
        }
    }

    /// Writes a text whose line starts at `y`; returns the position of its right end.
    pub(crate) fn text(&mut self, x: u32, y: u32, style: Style, text: &str) -> u32 {
        self.grow(y + whole(style.size.ceil()));
        let mut pen = x as f32;
        self.has_boxes |= text.chars().any(|character| style.lacks(character));
        for character in text.chars() {
            let Some((font, glyph)) = style.glyph(character) else { continue };
            let scaled = font.as_scaled(style.scale());
            let placed = glyph.with_scale_and_position(style.scale(), point(pen, y as f32 + scaled.ascent()));
            pen += scaled.h_advance(glyph);
            if let Some(outline) = font.outline_glyph(placed) {
                let bounds = outline.px_bounds();
                outline.draw(|dx, dy, cover| {
                    let (x, y) = (bounds.min.x + dx as f32, bounds.min.y + dy as f32);
                    if x >= 0.0 && y >= 0.0 {
                        self.blend(whole(x), whole(y), style.color, cover);
                    }
                });
            }
        }
        whole(pen.ceil())
    }

    /// Blends a colour into part of a pixel.
    pub(crate) fn blend(&mut self, x: u32, y: u32, color: Rgb<u8>, cover: f32) {
        let Some(pixel) = self.line(x, y, 1).first_chunk_mut::<3>() else { return };
        for (under, over) in pixel.iter_mut().zip(color.0) {
            let (from, to) = (f32::from(*under), f32::from(over));
            *under = crate::tiles::byte((from + (to - from) * cover.clamp(0.0, 1.0)) / 255.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLACK: Rgb<u8> = Rgb([0, 0, 0]);
    const STYLE: Style = Style { face: Face::Sans, size: 16.0, color: BLACK };

    #[test]
    fn text_is_as_wide_as_it_says() {
        for face in [Face::Sans, Face::Mono] {
            let style = Style { face, ..STYLE };
            let mut canvas = Canvas::new(200, Rgb([255; 3]));
            let end = canvas.text(10, 4, style, "latent −1.5");
            let width = style.width("latent −1.5");
            assert!(end.abs_diff(10 + width) <= 1);
            let picture = canvas.finish();
            let dark: Vec<u32> =
                picture.enumerate_pixels().filter(|(.., p)| p.0[0] < 128).map(|(x, ..)| x).collect();
            assert!(dark.len() > 50 && dark.iter().all(|x| (10..=10 + width).contains(x)), "{face:?}");
        }
    }

    #[test]
    fn what_no_font_has_is_a_box() {
        let mut canvas = Canvas::new(100, Rgb([255; 3]));
        canvas.text(0, 0, STYLE, "the sea, −1.5 × ±3 … é");
        assert!(!canvas.has_boxes());
        canvas.text(0, 0, STYLE, "世");
        assert!(canvas.has_boxes());
        assert!(canvas.finish().pixels().any(|pixel| pixel.0[0] < 128));
    }

    #[test]
    fn text_is_cut_and_wrapped_to_its_room() {
        let text = "a lighthouse at dusk, and the sea";
        assert_eq!(STYLE.fitted(text, 1000), text);
        let cut = STYLE.fitted(text, 90);
        assert!(cut.ends_with('…') && STYLE.width(&cut) <= 90, "{cut}");
        let lines = STYLE.wrapped(text, 90, 3);
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().all(|line| STYLE.width(line) <= 92), "{lines:?}");
        let long = STYLE.wrapped(&"x".repeat(100), 90, 2);
        assert!(long.len() == 2 && long.iter().all(|line| STYLE.width(line) <= 90), "{long:?}");
        assert!(STYLE.wrapped("", 90, 2).is_empty());
    }

    #[test]
    fn pictures_are_painted_pixel_by_pixel() {
        let mut canvas = Canvas::new(5, Rgb([255; 3]));
        let picture = RgbImage::from_fn(2, 1, |x, _| Rgb([u8::from(x == 1) * 100, 0, 0]));
        canvas.picture(2, 1, &picture, (2, 2));
        let page = canvas.finish();
        assert_eq!(page.dimensions(), (5, 3));
        let line: Vec<u8> = (0..5).map(|x| page.get_pixel(x, 2).0[0]).collect();
        assert_eq!(line, [255, 255, 0, 0, 100]); // cut at the side
    }
}
