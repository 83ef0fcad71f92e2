//! Charts as inline SVG. The style sheet sets the colours by class, and each chart also states its
//! content in words.

use std::fmt::Write;
use std::ops::RangeInclusive;

use gen5_picture::text::four_digits;
use gen5_picture::{Histogram, Statistics};
use maud::{Markup, html};

use super::model::ShownFrame;

/// The box of a chart, in its own units.
const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 136.0;

/// The area for values inside the box.
const LEFT: f64 = 10.0;
const RIGHT: f64 = 310.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 110.0;

/// Number of points of the curve.
const CURVE: u32 = 80;

/// The bars of a histogram, with the normal curve of all values over them, if there are enough
/// values.
pub(super) fn histogram(histogram: &Histogram, values: &Statistics) -> Markup {
    let low = f64::from(histogram.low);
    let high = f64::from(histogram.high);
    let counts = &histogram.counts;
    let normal = histogram.normal(values);
    let top = histogram.top(normal.as_ref());
    let x = ChartScale::new((low, high), (LEFT, RIGHT));
    let y = ChartScale::new((0.0, top), (BOTTOM, TOP));

    let mut bars = String::new();
    for (position, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
        let edge = |bin: usize| LEFT + (RIGHT - LEFT) * bin as f64 / counts.len() as f64;
        let left = edge(position);
        let right = edge(position + 1);
        let top = y.at(*count);
        let _ = write!(bars, "M{left:.1} {BOTTOM}V{top:.1}H{right:.1}V{BOTTOM}z");
    }
    let curve = normal.map(|normal| {
        path((0..=CURVE).map(|point| {
            let value = low + (high - low) * f64::from(point) / f64::from(CURVE);
            (x.at(value), y.at(normal.count(value).min(top)))
        }))
    });
    let mut words = format!("Histogram of values from {} to {}", four_digits(low), four_digits(high));
    words +=
        if curve.is_some() { ", and the normal curve of their mean and standard deviation." } else { "." };
    let caption =
        if curve.is_some() { "Values, and the normal curve of their mean and std" } else { "Values" };
    html! {
        figure {
            svg.chart role="img" aria-label=(words) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } {
                path.bars d=(bars) {}
                @if let Some(curve) = curve { path.curve d=(curve) {} }
                (axis(&x, low..=high))
            }
            figcaption { (caption) }
        }
    }
}

/// Mean and standard deviation of steps, as a line with a band around it; `None` unless at least
/// two steps have them.
pub(super) fn steps(steps: &[ShownFrame]) -> Option<Markup> {
    let known = |step: &ShownFrame| {
        let values = step.statistics.as_ref()?;
        Some((step.at as f64, values.mean().zip(values.deviation())?))
    };
    let points: Vec<(f64, (f64, f64))> = steps.iter().filter_map(known).collect();
    let [first, .., end] = &*points else { return None };
    let start = steps.first()?.at as f64;
    let last = steps.last()?.at as f64;
    let low = points.iter().map(|(_, (mean, std))| mean - std).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|(_, (mean, std))| mean + std).fold(f64::NEG_INFINITY, f64::max);
    let x = ChartScale::new((start, last), (LEFT + LABELS, RIGHT));
    let y = ChartScale::new((low, high), (BOTTOM, TOP + 2.0));
    let along = |sign: f64| points.iter().map(move |(at, (mean, std))| (*at, mean + sign * std));
    let placed = |(at, value): (f64, f64)| (x.at(at), y.at(value));
    let band = path(along(1.0).chain(along(-1.0).rev()).map(placed));
    let mean = path(along(0.0).map(placed));
    let words =
        |(_, (mean, std)): &(f64, (f64, f64))| format!("{} ± {}", four_digits(*mean), four_digits(*std));
    let words = format!(
        "Mean and standard deviation of each, one after the other: {} at first, {} at last.",
        words(first),
        words(end)
    );
    Some(html! {
        svg.chart.steps role="img" aria-label=(words) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } {
            path.band d={ (band) "z" } {}
            path.mean d=(mean) {}
            line.now data-first=(x.at(start)) data-last=(x.at(last))
                x1=(x.at(last)) x2=(x.at(last)) y1=(TOP) y2=(BOTTOM) {}
            @for value in ticks(low, high, 4) {
                @let middle = format!("{:.1}", y.at(value) + 3.5);
                text.tick text-anchor="end" x=(LEFT + LABELS - 6.0) y=(middle) { (number(value)) }
            }
            (axis(&x, start..=last))
        }
    })
}

/// Space for numbers at the left.
const LABELS: f64 = 34.0;

/// A line along the bottom with some round numbers below it.
fn axis(x: &ChartScale, range: RangeInclusive<f64>) -> Markup {
    let (left, right) = x.ends;
    html! {
        path.axis d={ "M" (left) " " (BOTTOM) "H" (right) } {}
        @for value in ticks(*range.start(), *range.end(), 5) {
            @let at = format!("{:.1}", x.at(value));
            path.axis d={ "M" (at) " " (BOTTOM) "v4" } {}
            text.tick text-anchor="middle" x=(at) y=(BOTTOM + 17.0) { (number(value)) }
        }
    }
}

/// A linear mapping from values to positions. A single value is in the middle.
struct ChartScale {
    from: f64,
    factor: f64,
    to: f64,
    ends: (f64, f64),
}

impl ChartScale {
    fn new((low, high): (f64, f64), (start, end): (f64, f64)) -> Self {
        let (factor, to) =
            if high > low { ((end - start) / (high - low), start) } else { (0.0, (start + end) / 2.0) };
        Self { from: low, factor, to, ends: (start, end) }
    }

    fn at(&self, value: f64) -> f64 {
        self.to + (value - self.from) * self.factor
    }
}

/// The line through these points.
fn path(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (position, (x, y)) in points.enumerate() {
        let _ = write!(path, "{}{x:.1} {y:.1}", if position == 0 { 'M' } else { 'L' });
    }
    path
}

/// About `wanted` round numbers in a range: multiples of 1, 2 or 5 times a power of ten.
fn ticks(low: f64, high: f64, wanted: u32) -> Vec<f64> {
    let rough = (high - low) / f64::from(wanted);
    if !(rough > 0.0 && rough.is_finite()) {
        return vec![low];
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough);
    let step = step.unwrap_or(power * 10.0);
    let first = (low / step).ceil();
    let multiples = (0..=2 * wanted).map(|count| (first + f64::from(count)) * step);
    // Zero may come out negative.
    multiples.take_while(|value| *value <= high).map(|value| value + 0.0).collect()
}

/// A round number as an axis label.
fn number(value: f64) -> String {
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    let text = match rounded.abs() {
        0.0 => "0".into(),
        size if (1e-3..1e6).contains(&size) => format!("{rounded}"),
        _ => format!("{rounded:e}"),
    };
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let table = [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0 / 3.0, "0.3333"),
            (-4.25, "−4.25"),
            (1.5e-7, "1.5e−7"),
            (123_456.0, "123500"),
            (3.0e38, "3e38"),
        ];
        for (value, text) in table {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn ticks_are_round_and_in_range() {
        assert_eq!(ticks(-3.9, 4.1, 5), [-2.0, 0.0, 2.0, 4.0]);
        assert_eq!(ticks(0.0, 49.0, 5), [0.0, 10.0, 20.0, 30.0, 40.0]);
        assert_eq!(ticks(2.0, 2.0, 5), [2.0]);
        assert_eq!(ticks(f64::NAN, 2.0, 5).len(), 1);
        assert!(ticks(-f64::MAX, f64::MAX, 5).len() <= 11);
    }

    fn of(values: &[f32]) -> Statistics {
        let mut statistics = Statistics::default();
        statistics.add(values);
        statistics
    }

    #[test]
    fn charts_of_anything_are_drawn_with_numbers() {
        let extremes =
            [&[-1.0, 0.5, 2.0][..], &[1.0], &[0.0, 1e-45], &[f32::MIN, f32::MAX], &[f32::NAN], &[]];
        for values in extremes {
            for counts in [vec![1.0, 5.5, 1.0], vec![0.0, 0.0], vec![1e18, 1.0], vec![]] {
                let statistics = of(values);
                let low = statistics.min().unwrap_or(0.0);
                let high = statistics.max().unwrap_or(0.0);
                let chart = histogram(&Histogram { low, high, counts }, &statistics).into_string();
                let (_, drawn) = chart.split_once("viewBox").unwrap();
                assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{values:?}: {chart}");
            }
            let chart = steps(&[step(0, Some(values)), step(1, Some(values))])
                .map(Markup::into_string)
                .unwrap_or_default();
            assert!(!chart.contains("NaN") && !chart.contains("inf"), "{values:?}: {chart}");
        }
    }

    #[test]
    fn a_constant_is_a_bar_in_the_middle() {
        let counts = vec![0.0, 5.0, 0.0];
        let chart = histogram(&Histogram { low: 0.5, high: 0.5, counts }, &of(&[0.5; 5])).into_string();
        assert!(chart.contains("class=\"bars\" d=\"M110.0 110V8.0H210.0V110z\""), "{chart}");
        assert!(chart.contains("x=\"160.0\" y=\"127\">0.5<"), "{chart}");
    }

    fn step(at: usize, values: Option<&[f32]>) -> ShownFrame {
        ShownFrame {
            at,
            label: String::new(),
            statistics: values.map(of),
            preview: None,
            channels: Vec::new(),
        }
    }

    #[test]
    fn steps_that_are_not_known_are_left_out() {
        let some = [step(0, Some(&[0.0, 2.0])), step(500, None), step(999, Some(&[1.0]))];
        let chart = steps(&some).unwrap().into_string();
        assert!(chart.contains(">800<"), "the axis counts all steps: {chart}");
        assert!(chart.contains("1.000 ± 1.000 at first, 1.000 ± 0 at last"), "{chart}");
        assert!(chart.contains("class=\"mean\" d=\"M44.0 60.0L310.0 60.0\""), "{chart}");
        assert!(steps(&[step(0, None), step(1, Some(&[1.0]))]).is_none());
        assert!(steps(&[]).is_none());
    }
}
