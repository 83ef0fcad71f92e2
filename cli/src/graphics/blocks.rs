//! Half blocks: the upper half of a cell has its text colour, the lower half its background colour.

use std::io::{self, Write};

use image::{Rgb, RgbImage};

/// The colours of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colors {
    /// 24-bit colours.
    All,
    /// A palette of 256: a cube of 216 colours, and greys.
    Palette,
}

impl Colors {
    pub(super) fn of_terminal(variable: impl Fn(&str) -> Option<String>) -> Self {
        let depth = variable("COLORTERM").unwrap_or_default();
        let term = variable("TERM").unwrap_or_default();
        let known = ["direct", "kitty", "alacritty", "foot", "ghostty", "wezterm"];
        let is_windows = variable("WT_SESSION").is_some_and(|session| !session.is_empty());
        let has_all = is_windows
            || depth == "truecolor"
            || depth == "24bit"
            || known.iter().any(|name| term.contains(name));
        if has_all { Self::All } else { Self::Palette }
    }
}

/// The half of a cell.
#[derive(Clone, Copy)]
enum Half {
    Upper,
    Lower,
}

impl Half {
    /// The code that sets its colour: that of the text or of the background.
    fn code(self) -> u8 {
        match self {
            Self::Upper => 38,
            Self::Lower => 48,
        }
    }
}

pub(super) fn write(picture: &RgbImage, colors: Colors, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = picture.rows();
    while let Some(upper) = rows.next() {
        let mut lower = rows.next();
        let mut text = None;
        let mut background = None;
        for color in upper {
            if text != Some(*color) {
                set(Half::Upper, *color, colors, out)?;
                text = Some(*color);
            }
            // The last row may be single; its lower half then keeps the terminal's background.
            if let Some(color) = lower.as_mut().and_then(Iterator::next)
                && background != Some(*color)
            {
                set(Half::Lower, *color, colors, out)?;
                background = Some(*color);
            }
            out.write_all("▀".as_bytes())?;
        }
        out.write_all(b"\x1b[0m\n")?;
    }
    Ok(())
}

fn set(half: Half, color: Rgb<u8>, colors: Colors, out: &mut dyn Write) -> io::Result<()> {
    let code = half.code();
    match colors {
        Colors::All => {
            let [red, green, blue] = color.0;
            write!(out, "\x1b[{code};2;{red};{green};{blue}m")
        }
        Colors::Palette => write!(out, "\x1b[{code};5;{}m", nearest(color)),
    }
}

/// The levels of the palette's cube.
const LEVELS: [u8; 6] = [0, 95, 135, 175, 215, 255];

/// The nearest colour of the palette: in the cube, from 16, or in the greys, from 232.
fn nearest(color: Rgb<u8>) -> u8 {
    let distance = |other: [u8; 3]| -> u32 {
        color.0.iter().zip(other).map(|(part, other)| u32::from(part.abs_diff(other)).pow(2)).sum()
    };
    let level = |part: u8| (0..).zip(LEVELS).min_by_key(|(_, level)| level.abs_diff(part)).unwrap_or((0, 0));
    let parts = color.0.map(level);
    let cube = (parts.map(|(_, level)| level), parts.iter().fold(0, |code, (at, _)| code * 6 + at) + 16);
    let greys = (0..24).map(|at| ([8 + at * 10; 3], 232 + at));
    greys.chain([cube]).min_by_key(|(color, _)| distance(*color)).map_or(16, |(_, code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The colours of the half cells in each line of text, as a small terminal shows them.
    fn shown(text: &str) -> Vec<Vec<(String, Option<String>)>> {
        let mut lines = Vec::new();
        for line in text.lines() {
            let mut text = String::new();
            let mut background = None;
            let mut cells = Vec::new();
            let mut rest = line;
            while !rest.is_empty() {
                if let Some(later) = rest.strip_prefix('▀') {
                    cells.push((text.clone(), background.clone()));
                    rest = later;
                    continue;
                }
                let (code, later) = rest.strip_prefix("\x1b[").unwrap().split_once('m').unwrap();
                match code.split_once(';') {
                    Some(("38", color)) => text = color.to_owned(),
                    Some(("48", color)) => background = Some(color.to_owned()),
                    _ => assert_eq!((code, later), ("0", "")),
                }
                rest = later;
            }
            lines.push(cells);
        }
        lines
    }

    fn part(value: u32) -> u8 {
        u8::try_from(value).unwrap()
    }

    #[test]
    fn every_pixel_is_half_a_cell() {
        let color = |x: u32, y: u32| [part(x * 50), part(y * 40), 7];
        let picture = RgbImage::from_fn(4, 5, |x, y| Rgb(color(x / 2, y)));
        let mut out = Vec::new();
        write(&picture, Colors::All, &mut out).unwrap();
        let lines = shown(&String::from_utf8(out).unwrap());
        assert_eq!((lines.len(), lines[0].len()), (3, 4));
        let text = |x: u32, y: u32| {
            let [red, green, blue] = color(x / 2, y);
            format!("2;{red};{green};{blue}")
        };
        for (y, line) in (0..).step_by(2).zip(&lines) {
            for (x, (upper, lower)) in (0..).zip(line) {
                assert_eq!(*upper, text(x, y));
                assert_eq!(*lower, (y + 1 < 5).then(|| text(x, y + 1)));
            }
        }
    }

    #[test]
    fn the_palette_has_the_nearest_colour() {
        let table = [
            ([0, 0, 0], 16),
            ([255, 255, 255], 231),
            ([255, 0, 0], 196),
            ([95, 135, 175], 67),
            ([8, 8, 8], 232),
            ([120, 118, 119], 243),
            ([238, 238, 238], 255),
        ];
        for (color, code) in table {
            assert_eq!(nearest(Rgb(color)), code, "{color:?}");
        }
    }
}
