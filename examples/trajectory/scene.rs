//! A lighthouse at dusk, drawn by a formula.

use image::{Rgb, RgbImage};

/// Red, green and blue, from 0 to 1.
type Colour = [f32; 3];

/// The height of the horizon between sea and sky.
const HORIZON: f32 = 0.64;

/// The centre of the sun.
const SUN: (f32, f32) = (0.27, 0.615);

/// The position of the lighthouse's lamp.
const LAMP: (f32, f32) = (0.72, 0.235);

/// The scene as `side` by `side` pixels.
pub(crate) fn scene(side: u32) -> RgbImage {
    // Each pixel is the mean of nine points.
    let points = [-1.0 / 3.0, 0.0, 1.0 / 3.0];
    RgbImage::from_fn(side, side, |column, row| {
        let mut sum = [0.0; 3];
        for (down, right) in points.iter().flat_map(|down| points.map(|right| (down, right))) {
            let x = (column as f32 + 0.5 + right) / side as f32;
            let y = (row as f32 + 0.5 + down) / side as f32;
            sum = add(sum, colour(x, y));
        }
        Rgb(sum.map(|part| (part / 9.0 * 255.0).round().clamp(0.0, 255.0) as u8))
    })
}

/// The colour at a point; both coordinates go from 0 to 1, right and down.
fn colour(x: f32, y: f32) -> Colour {
    if let Some(tower) = tower(x, y) {
        return tower;
    }
    if y > cliff(x) {
        return rock(x, y);
    }
    let background = if y < HORIZON { sky(x, y) } else { sea(x, y) };
    add(background, beam(x, y))
}

fn sky(x: f32, y: f32) -> Colour {
    let height = (1.0 - y / HORIZON).clamp(0.0, 1.0);
    let (night, violet, orange) = ([0.07, 0.10, 0.28], [0.45, 0.27, 0.47], [0.98, 0.60, 0.33]);
    let low = mix(orange, violet, smooth(0.0, 0.38, height));
    let sky = mix(low, night, smooth(0.25, 1.0, height));
    let (from_sun, ridge) =
        (distance((x, y), SUN), HORIZON - 0.035 - 0.012 * ((x * 9.0).sin() + (x * 23.0).sin() * 0.5));
    let glow = 0.75 * (-from_sun * from_sun / 0.045).exp();
    let lit = add(sky, scale([1.0, 0.62, 0.25], glow));
    let sun = mix([1.0, 0.93, 0.72], lit, smooth(0.052, 0.058, from_sun));
    // Distant hills, hidden by the sun's light near the sun.
    mix(
        sun,
        mix([0.33, 0.23, 0.38], sun, 0.35 * glow),
        smooth(ridge - 0.003, ridge + 0.003, y) * smooth(0.36, 0.44, x),
    )
}

fn sea(x: f32, y: f32) -> Colour {
    let depth = (y - HORIZON) / (1.0 - HORIZON);
    // Waves grow towards the viewer, and distort the reflected sky.
    let wave = (90.0 / (depth + 0.12) + 14.0 * (x * 7.0).sin()).sin() * (x * 31.0 + 60.0 * depth).sin();
    let mirrored = sky(x + 0.01 * wave, HORIZON * (1.0 - 0.9 * depth) - 0.05 * wave * depth);
    let water = scale(mix(mirrored, [0.05, 0.11, 0.24], 0.30 + 0.45 * depth), 0.9 + 0.10 * wave);
    let path = (-((x - SUN.0) / (0.03 + 0.10 * depth)).powi(2)).exp()
        * smooth(-0.3, 0.7, wave)
        * (1.0 - 0.6 * depth);
    add(water, scale([1.0, 0.66, 0.30], 0.8 * path))
}

/// The top edge of the rock under the lighthouse.
fn cliff(x: f32) -> f32 {
    let rise = smooth(0.50, 0.66, x) * 0.30 + smooth(0.86, 1.02, x) * 0.05;
    0.90 - rise + 0.010 * (x * 41.0).sin() + 0.006 * (x * 97.0).sin() + 0.5 * smooth(0.52, 0.44, x)
}

fn rock(x: f32, y: f32) -> Colour {
    let below = (y - cliff(x)).max(0.0);
    let grain = (x * 91.0 + 9.0 * (y * 13.0).sin()).sin() * (y * 67.0 + 7.0 * (x * 17.0).sin()).sin();
    let stone = mix([0.25, 0.17, 0.23], [0.05, 0.05, 0.11], smooth(0.0, 0.30, below));
    // The edge that faces the sun is lit.
    let edge = smooth(0.02, 0.0, below) * smooth(0.80, 0.50, x);
    add(scale(stone, 1.0 + 0.10 * grain), scale([0.75, 0.38, 0.20], 0.6 * edge))
}

/// The colour of the lighthouse, or `None` beside it.
fn tower(x: f32, y: f32) -> Option<Colour> {
    let (across, foot) = (x - LAMP.0, 0.625);
    let lit = |half: f32| 1.05 - 0.55 * smooth(-half, half, across); // the sun is on the left
    match y {
        // The dome, the lantern, the gallery.
        0.175..0.205 if across.abs() < 0.030 * ((y - 0.175) / 0.030).sqrt() => {
            Some(scale([0.45, 0.10, 0.10], lit(0.030)))
        }
        0.205..0.262 if across.abs() < 0.024 => {
            let pane = (across * 260.0).cos().abs();
            Some(mix([0.30, 0.16, 0.10], [1.0, 0.93, 0.62], smooth(0.12, 0.3, pane)))
        }
        0.262..0.277 if across.abs() < 0.044 => Some(scale([0.20, 0.13, 0.16], lit(0.044))),
        0.277..1.0 if y < foot => {
            let down = (y - 0.277) / (foot - 0.277);
            let half = 0.029 + 0.019 * down;
            let band = (down * 5.0).floor() as i32 % 2 == 0;
            let paint = if band { [0.90, 0.84, 0.80] } else { [0.72, 0.16, 0.14] };
            (across.abs() < half).then(|| scale(paint, lit(half)))
        }
        _ => None,
    }
}

/// The lamp's light in the air.
fn beam(x: f32, y: f32) -> Colour {
    let (right, down) = (x - LAMP.0, y - LAMP.1);
    let far = right.hypot(down);
    // Two beams, slightly downwards to the left and upwards to the right.
    let off = (down + 0.16 * right).abs() / (0.012 + 0.11 * far);
    let cone = (-off * off).exp() * (-far * 2.0).exp();
    let halo = (-far * far / 0.0035).exp();
    scale([1.0, 0.90, 0.62], 0.55 * cone + 0.65 * halo)
}

/// A smooth step from 0 to 1 while `at` goes from one edge to the other.
fn smooth(from: f32, to: f32, at: f32) -> f32 {
    let t = ((at - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn distance(one: (f32, f32), other: (f32, f32)) -> f32 {
    (one.0 - other.0).hypot(one.1 - other.1)
}

fn add(one: Colour, other: Colour) -> Colour {
    std::array::from_fn(|part| one[part] + other[part])
}

fn scale(colour: Colour, by: f32) -> Colour {
    colour.map(|part| part * by)
}

/// A blend of `one`, at `share` 0, and `other`, at `share` 1.
fn mix(one: Colour, other: Colour, share: f32) -> Colour {
    std::array::from_fn(|part| one[part] + (other[part] - one[part]) * share)
}
