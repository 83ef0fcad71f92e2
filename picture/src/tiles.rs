//! Channels as pictures: the colour of each value.

use std::sync::LazyLock;

use image::{Rgb, RgbImage};

use crate::plane::Plane;
use crate::statistics::Statistics;
use crate::text::four_digits;

/// The colour of NaN. No map has a similar one.
pub const NAN_COLOR: Rgb<u8> = Rgb([255, 0, 220]);

/// Number of deviations from the mean at which colours end, so that outliers do not make everything
/// else grey.
const DEVIATIONS: f64 = 3.0;

/// The mapping from a channel's values to colours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scale {
    /// For values of both signs: blue at minus this, white at zero, red at this.
    Signed(f32),
    /// For values of one sign: dark at the first, light at the second.
    Between(f32, f32),
}

impl Scale {
    /// The best scale for these values: up to their ends, but at most three deviations from the
    /// mean.
    pub fn of(values: &Statistics) -> Self {
        let ends = values.min().zip(values.max());
        let (Some((min, max)), Some((mean, deviation))) = (ends, values.mean().zip(values.deviation()))
        else {
            return Self::Signed(1.0);
        };
        let low = narrow(mean - DEVIATIONS * deviation).max(min);
        let high = narrow(mean + DEVIATIONS * deviation).min(max);
        if low < 0.0 && high > 0.0 { Self::Signed(high.max(-low)) } else { Self::Between(low, high) }
    }

    /// The values at which colours start and end.
    pub fn ends(self) -> (f32, f32) {
        match self {
            Self::Signed(end) => (-end, end),
            Self::Between(low, high) => (low, high),
        }
    }

    /// The range in words: `±3.14`, or `0.10 … 4.00`.
    pub fn words(self) -> String {
        match self {
            Self::Signed(end) => format!("±{}", short(end)),
            Self::Between(low, high) => format!("{} … {}", short(low), short(high)),
        }
    }

    /// The colour of a value; values beyond the ends have the colour of the nearest end.
    pub fn color(self, value: f32) -> Rgb<u8> {
        if value.is_nan() {
            return NAN_COLOR;
        }
        let (low, high) = self.ends();
        // Halved, since the distance between the ends can exceed the range of float32.
        let place = if high > low { (value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0) } else { 0.5 };
        let map = match self {
            Self::Signed(_) => &SIGNED,
            Self::Between(..) => &RISING,
        };
        map.get(usize::from(byte(place))).copied().unwrap_or(NAN_COLOR)
    }
}

/// The colours used on a page, for a legend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColorKey {
    signed: bool,
    rising: bool,
    nan: bool,
    infinite: bool,
    preview: bool,
}

impl ColorKey {
    /// The key for tiles with these channels, and for their preview if there is one.
    pub fn of(channels: &[Statistics], preview: bool) -> Self {
        let mut key = Self { preview, ..Self::default() };
        for channel in channels {
            key.nan |= channel.nan > 0;
            key.infinite |= channel.infinite > 0;
            match Scale::of(channel) {
                _ if channel.finite == 0 => {}
                Scale::Signed(_) => key.signed = true,
                Scale::Between(..) => key.rising = true,
            }
        }
        key
    }

    /// Adds the colours of another key.
    pub fn merge(&mut self, other: Self) {
        self.signed |= other.signed;
        self.rising |= other.rising;
        self.nan |= other.nan;
        self.infinite |= other.infinite;
        self.preview |= other.preview;
    }

    /// The meaning of the colours of tiles: a line of pixels of each kind, with its words.
    pub fn bars(self) -> impl Iterator<Item = (RgbImage, &'static str)> {
        const WIDTH: u32 = 96;
        let bar = |scale: Scale| {
            let (low, high) = scale.ends();
            RgbImage::from_fn(WIDTH, 1, |x, _| {
                scale.color(low + (high - low) * x as f32 / (WIDTH - 1) as f32)
            })
        };
        let signed = "below zero, zero, above zero (blue, white, red; like RdBu)";
        let rising = "on one side of zero, smallest to largest (violet to yellow; viridis)";
        let bars = [
            self.signed.then(|| (bar(Scale::Signed(1.0)), signed)),
            self.rising.then(|| (bar(Scale::Between(0.0, 1.0)), rising)),
            self.nan.then(|| (RgbImage::from_pixel(WIDTH, 1, NAN_COLOR), "NaN (magenta)")),
        ];
        bars.into_iter().flatten()
    }

    /// Further explanation of the colours; empty if there are none.
    pub fn words(self) -> String {
        let tiles = "Colours end three standard deviations from the channel’s mean, or at its smallest and largest value.";
        let infinite = "Infinite values have the colours of the ends.";
        let preview = "Previews are channels times published factors, close to the decoder's output.";
        let has_tiles = self.signed || self.rising;
        let words = [(has_tiles, tiles), (self.infinite, infinite), (self.preview, preview)];
        words
            .into_iter()
            .filter_map(|(is_there, words)| is_there.then_some(words))
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Paints a channel, one pixel per value.
pub fn paint_tile(plane: &Plane, scale: Scale) -> RgbImage {
    RgbImage::from_fn(plane.width(), plane.height(), |x, y| scale.color(plane.value(x, y)))
}

/// A number in short form.
pub(crate) fn short(value: f32) -> String {
    let text = format!("{value:.2}");
    if (0.01..1000.0).contains(&value.abs()) {
        text.replace('-', "−")
    } else {
        four_digits(f64::from(value))
    }
}

/// A fraction as a byte: 0 or less is 0, and 1 or more is 255.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // clamped to 0 to 255; a cast makes NaN 0
pub(crate) fn byte(part: f32) -> u8 {
    (part.clamp(0.0, 1.0) * 255.0).round() as u8
}

#[allow(clippy::cast_possible_truncation)] // rounds to the nearest f32, which is enough for a colour
fn narrow(value: f64) -> f32 {
    value as f32
}

/// A colour map, interpolated between equidistant anchors.
type Map = [Rgb<u8>; 256];

/// Blue over white to red. Values of equal magnitude have equal lightness.
static SIGNED: LazyLock<Map> = LazyLock::new(|| {
    map(&[
        [5, 48, 110],
        [46, 116, 181],
        [146, 197, 222],
        [247, 246, 244],
        [240, 165, 130],
        [198, 62, 62],
        [103, 0, 31],
    ])
});

/// Dark violet over green to light yellow, with evenly increasing lightness.
static RISING: LazyLock<Map> = LazyLock::new(|| {
    map(&[[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81], [253, 231, 37]])
});

fn map(anchors: &[[u8; 3]]) -> Map {
    let anchors: Vec<[f32; 3]> = anchors.iter().map(|color| to_oklab(*color)).collect();
    std::array::from_fn(|at| {
        let place = at as f32 / 255.0 * (anchors.len() - 1) as f32;
        let pairs = anchors.windows(2).enumerate();
        let mut pairs = pairs.filter(|(left, _)| *left as f32 <= place);
        let Some((left, [from, to])) =
            pairs.next_back().and_then(|(at, pair)| Some((at, pair.as_array::<2>()?)))
        else {
            return NAN_COLOR;
        };
        let share = place - left as f32;
        from_oklab(std::array::from_fn(|part| match (from.get(part), to.get(part)) {
            (Some(from), Some(to)) => from + (to - from) * share,
            _ => 0.0,
        }))
    })
}

/// Converts sRGB to Oklab, a perceptually uniform colour space (Ottosson 2020).
fn to_oklab(color: [u8; 3]) -> [f32; 3] {
    let [red, green, blue] = color.map(|part| {
        let part = f32::from(part) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    });
    let long = (0.412_221_46 * red + 0.536_332_55 * green + 0.051_445_995 * blue).cbrt();
    let middle = (0.211_903_5 * red + 0.680_699_5 * green + 0.107_396_96 * blue).cbrt();
    let short = (0.088_302_46 * red + 0.281_718_85 * green + 0.629_978_7 * blue).cbrt();
    [
        0.210_454_26 * long + 0.793_617_8 * middle - 0.004_072_047 * short,
        1.977_998_5 * long - 2.428_592_2 * middle + 0.450_593_7 * short,
        0.025_904_037 * long + 0.782_771_77 * middle - 0.808_675_77 * short,
    ]
}

fn from_oklab([light, a, b]: [f32; 3]) -> Rgb<u8> {
    let long = (light + 0.396_337_78 * a + 0.215_803_76 * b).powi(3);
    let middle = (light - 0.105_561_346 * a - 0.063_854_17 * b).powi(3);
    let short = (light - 0.089_484_18 * a - 1.291_485_5 * b).powi(3);
    let linear = [
        4.076_741_7 * long - 3.307_711_6 * middle + 0.230_969_94 * short,
        -1.268_438 * long + 2.609_757_4 * middle - 0.341_319_4 * short,
        -0.004_196_086_3 * long - 0.703_418_6 * middle + 1.707_614_7 * short,
    ];
    Rgb(linear.map(|part| {
        byte(if part <= 0.003_130_8 { part * 12.92 } else { 1.055 * part.powf(1.0 / 2.4) - 0.055 })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(values: &[f32]) -> Statistics {
        let mut statistics = Statistics::default();
        statistics.add(values);
        statistics
    }

    #[test]
    fn anchors_are_the_colours_of_the_ends_and_of_zero() {
        let scale = Scale::Signed(2.0);
        assert_eq!(scale.color(-2.0), Rgb([5, 48, 110]));
        assert_eq!(scale.color(2.0), Rgb([103, 0, 31]));
        assert_eq!(scale.color(f32::INFINITY), scale.color(2.0));
        assert_eq!(scale.color(f32::NEG_INFINITY), scale.color(-9.0));
        assert_eq!(scale.color(f32::NAN), NAN_COLOR);
        // Zero lies between two of 256 colours; both appear white.
        assert!(scale.color(0.0).0.iter().all(|part| *part > 240));
        assert_eq!(Scale::Between(1.0, 3.0).color(1.0), Rgb([68, 1, 84]));
        assert_eq!(Scale::Between(1.0, 3.0).color(3.0), Rgb([253, 231, 37]));
    }

    #[test]
    fn scales_reach_three_deviations_or_the_ends() {
        assert_eq!(Scale::of(&statistics(&[-1.0, 2.0])), Scale::Signed(2.0));
        assert_eq!(Scale::of(&statistics(&[1.0, 5.0])), Scale::Between(1.0, 5.0));
        assert_eq!(Scale::of(&statistics(&[])), Scale::Signed(1.0));
        // 99 values of ±1 and one of 100: mean 1, deviation about 10.
        let mut values = [1.0, -1.0].repeat(50);
        values.push(100.0);
        let Scale::Signed(end) = Scale::of(&statistics(&values)) else { panic!() };
        assert!((30.0..32.0).contains(&end), "{end}");
    }

    #[test]
    fn a_key_has_the_colours_that_are_used() {
        let of = |values: &[&[f32]]| {
            let channels: Vec<Statistics> = values.iter().map(|values| statistics(values)).collect();
            ColorKey::of(&channels, false)
        };
        let words =
            |key: ColorKey| key.bars().map(|(_, words)| words.split(' ').next().unwrap()).collect::<Vec<_>>();
        assert_eq!(words(of(&[&[-1.0, 1.0]])), ["below"]);
        assert_eq!(words(of(&[&[1.0, 2.0], &[f32::NAN]])), ["on", "NaN"]);
        assert_eq!((words(of(&[&[]])), of(&[&[]]).words()), (vec![], String::new()));
        let mut all = of(&[&[-1.0, 1.0, f32::NAN]]);
        all.merge(ColorKey::of(&[statistics(&[0.0, 2.0])], true));
        assert_eq!(words(all), ["below", "on", "NaN"]);
        assert!(all.words().contains("Previews") && !all.words().contains("Infinite"));
        all.merge(of(&[&[f32::INFINITY]]));
        assert!(all.words().contains(" Infinite values"));
        let (bar, _) = all.bars().next().unwrap();
        assert_eq!((*bar.get_pixel(0, 0), *bar.get_pixel(95, 0)), (Rgb([5, 48, 110]), Rgb([103, 0, 31])));
    }

    #[test]
    fn the_largest_ends_are_told_apart() {
        let scale = Scale::of(&statistics(&[f32::MIN, f32::MAX]));
        assert_ne!(scale.color(f32::MIN), scale.color(f32::MAX));
        // A constant has the middle colour of its map.
        assert_eq!(Scale::Between(3.0, 3.0).color(3.0), RISING[128]);
    }

    #[test]
    fn no_colour_of_a_map_is_near_that_of_nan() {
        for color in SIGNED.iter().chain(RISING.iter()) {
            let distance: u32 =
                color.0.iter().zip(NAN_COLOR.0).map(|(part, other)| u32::from(part.abs_diff(other))).sum();
            assert!(distance > 150, "{color:?}");
        }
    }

    #[test]
    fn oklab_comes_back() {
        for color in [[0, 0, 0], [255, 255, 255], [12, 200, 99], [255, 0, 0]] {
            assert_eq!(from_oklab(to_oklab(color)).0, color);
        }
    }
}
