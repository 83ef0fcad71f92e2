//! Sixel: bands of six rows, in which each character is one column in one colour.

use std::collections::HashMap;
use std::io::{self, Write};

use color_quant::NeuQuant;
use image::{Rgb, RgbImage};

/// Number of colours that terminals with sixel support, at least in xterm, foot and mlterm.
const COLORS: usize = 256;

/// Approximate number of pixels sampled to choose the colours.
const SAMPLE: usize = 1 << 16;

/// Maximum number of rows in one character.
const BAND: u32 = 6;

pub(super) fn write(picture: &RgbImage, out: &mut dyn Write) -> io::Result<()> {
    let (width, height) = picture.dimensions();
    let (pixels, colors) = reduced(picture);
    // Unset pixels are left unchanged (P2 = 1); the shape of pixels and the size follow.
    write!(out, "\x1bP0;1;0q\"1;1;{width};{height}")?;
    for (at, color) in colors.iter().enumerate() {
        let [red, green, blue] = color.0.map(|part| (u32::from(part) * 100 + 127) / 255);
        write!(out, "#{at};2;{red};{green};{blue}")?;
    }
    let row = width as usize;
    for band in pixels.chunks(row * BAND as usize) {
        let mut used = vec![false; colors.len()];
        for color in band {
            if let Some(used) = used.get_mut(*color) {
                *used = true;
            }
        }
        for color in used.iter().enumerate().filter_map(|(color, used)| used.then_some(color)) {
            write!(out, "#{color}")?;
            let column = |x: usize| {
                let rows = band.chunks(row).enumerate();
                rows.fold(0_u8, |bits, (y, row)| bits | u8::from(row.get(x) == Some(&color)) << y)
            };
            runs((0..row).map(column), out)?;
            out.write_all(b"$")?; // back to the start of the band
        }
        out.write_all(b"-")?; // on to the next
    }
    out.write_all(b"\x1b\\\n")
}

/// Writes columns with run-length encoding. Empty columns at the end are omitted.
fn runs(columns: impl Iterator<Item = u8>, out: &mut dyn Write) -> io::Result<()> {
    let mut columns = columns.peekable();
    while let Some(bits) = columns.next() {
        let mut count = 1;
        while columns.next_if_eq(&bits).is_some() {
            count += 1;
        }
        if bits == 0 && columns.peek().is_none() {
            return Ok(());
        }
        let character = char::from(b'?' + bits);
        match count {
            1..=3 => (0..count).try_for_each(|_| write!(out, "{character}"))?,
            _ => write!(out, "!{count}{character}")?,
        }
    }
    Ok(())
}

/// The picture with a reduced palette: the index of each pixel's colour, and the colours.
fn reduced(picture: &RgbImage) -> (Vec<usize>, Vec<Rgb<u8>>) {
    let mut known: HashMap<Rgb<u8>, usize> = HashMap::new();
    for pixel in picture.pixels() {
        let next = known.len();
        known.entry(*pixel).or_insert(next);
        if known.len() > COLORS {
            return quantized(picture);
        }
    }
    let mut colors = vec![Rgb([0; 3]); known.len()];
    for (color, at) in &known {
        if let Some(place) = colors.get_mut(*at) {
            *place = *color;
        }
    }
    (picture.pixels().map(|pixel| known.get(pixel).copied().unwrap_or(0)).collect(), colors)
}

fn quantized(picture: &RgbImage) -> (Vec<usize>, Vec<Rgb<u8>>) {
    let rgba = |pixel: &Rgb<u8>| [pixel.0[0], pixel.0[1], pixel.0[2], 255];
    let pixels: Vec<u8> = picture.pixels().flat_map(rgba).collect();
    let every = i32::try_from(picture.pixels().len() / SAMPLE).unwrap_or(i32::MAX).clamp(1, 30);
    let network = NeuQuant::new(every, COLORS, &pixels);
    let colors = network.color_map_rgb().as_chunks().0.iter().map(|color| Rgb(*color)).collect();
    // In noise, every pixel has a different colour; those that only differ in their last bits are
    // looked up once.
    let mut known: HashMap<[u8; 3], usize> = HashMap::new();
    let indices = picture.pixels();
    let indices = indices.map(|pixel| {
        let near = pixel.0.map(|part| part & 0xfc);
        *known.entry(near).or_insert_with(|| network.index_of(&rgba(pixel)))
    });
    (indices.collect(), colors)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small terminal: returns the painted pixels, and checks that each is painted once.
    fn shown(sixel: &str) -> RgbImage {
        let body = sixel.strip_prefix("\x1bP0;1;0q\"1;1;").unwrap().strip_suffix("\x1b\\\n").unwrap();
        let (size, mut rest) = body.split_at(body.find('#').unwrap());
        let (width, height) = size.split_once(';').unwrap();
        let mut picture = RgbImage::new(width.parse().unwrap(), height.parse().unwrap());
        let mut painted = vec![0; picture.pixels().len()];
        let mut colors: HashMap<u32, Rgb<u8>> = HashMap::new();
        let mut color = 0;
        let mut x = 0;
        let mut top = 0;
        let number = |rest: &mut &str| {
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
            let (number, later) = rest.split_at(end);
            *rest = later;
            number.parse::<u32>().unwrap()
        };
        while let Some(first) = rest.chars().next() {
            rest = rest.split_at(1).1;
            let count = match first {
                '#' => {
                    color = number(&mut rest);
                    if let Some(later) = rest.strip_prefix(";2;") {
                        rest = later;
                        let mut parts = [0_u8; 3];
                        for (at, part) in parts.iter_mut().enumerate() {
                            *part = u8::try_from(number(&mut rest) * 255 / 100).unwrap();
                            rest = if at < 2 { rest.split_at(1).1 } else { rest };
                        }
                        colors.insert(color, Rgb(parts));
                    }
                    continue;
                }
                '$' => {
                    x = 0;
                    continue;
                }
                '-' => {
                    (x, top) = (0, top + 6);
                    continue;
                }
                '!' => number(&mut rest),
                _ => 1,
            };
            let bits = if first == '!' {
                let bits = rest.bytes().next().unwrap();
                rest = rest.split_at(1).1;
                bits
            } else {
                first as u8
            } - b'?';
            for x in x..x + count {
                for y in (0..6).filter(|y| bits >> y & 1 == 1) {
                    picture.put_pixel(x, top + y, colors[&color]);
                    painted[((top + y) * picture.width() + x) as usize] += 1;
                }
            }
            x += count;
        }
        assert!(painted.iter().all(|times| *times == 1));
        picture
    }

    fn sent(picture: &RgbImage) -> RgbImage {
        let mut out = Vec::new();
        write(picture, &mut out).unwrap();
        shown(&String::from_utf8(out).unwrap())
    }

    #[test]
    fn few_colours_come_as_they_are() {
        // Colour components that percentages can represent.
        let picture = RgbImage::from_fn(23, 14, |x, y| {
            Rgb([[0, 51, 255][x as usize / 5 % 3], 102, [0, 204][y as usize % 2]])
        });
        assert_eq!(sent(&picture), picture);
    }

    #[test]
    fn many_colours_come_near() {
        let picture = RgbImage::from_fn(64, 50, |x, y| {
            Rgb([x * 4, y * 5, (x + y) * 2].map(|part| u8::try_from(part).unwrap()))
        });
        let shown = sent(&picture);
        let total: u32 = picture
            .pixels()
            .zip(shown.pixels())
            .flat_map(|(one, other)| one.0.into_iter().zip(other.0))
            .map(|(one, other)| u32::from(one.abs_diff(other)))
            .sum();
        let mean = f64::from(total) / (64.0 * 50.0 * 3.0);
        assert!(mean < 8.0, "{mean}");
    }
}
