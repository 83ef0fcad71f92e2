//! Statistics gathered block by block, in any order, with the same result as over all values at
//! once.

/// Number of values summed together: they stay in cache between the two passes.
const BLOCK: usize = 4096;

/// Count, range, mean and deviation of values, computed in float64. NaN and infinite values are
/// excluded and counted separately.
///
/// ```
/// let mut statistics = gen5_picture::Statistics::default();
/// statistics.add(&[1.0, 3.0, f32::NAN]);
/// assert_eq!((statistics.mean(), statistics.deviation()), (Some(2.0), Some(1.0)));
/// assert_eq!((statistics.finite, statistics.nan), (2, 1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Number of finite values. Everything except the other counts refers to these.
    pub finite: u64,
    /// Number of NaN values.
    pub nan: u64,
    /// Number of infinite values.
    pub infinite: u64,
    range: Option<(f32, f32)>,
    mean: f64,
    /// The sum of squared distances from the mean.
    squares: f64,
}

impl Statistics {
    /// Adds values. For each block, the mean is computed first and then the distances from it, so
    /// that large sums of squares do not cancel. Blocks are combined with the formula of Chan,
    /// Golub and LeVeque ("Updating formulae and a pairwise algorithm for computing sample
    /// variances", 1979).
    pub fn add(&mut self, values: &[f32]) {
        for block in values.chunks(BLOCK) {
            self.merge(&Self::of_block(block));
        }
    }

    fn of_block(values: &[f32]) -> Self {
        let (mut low, mut high, mut sum) = (f32::INFINITY, f32::NEG_INFINITY, 0.0);
        for &value in values {
            (low, high) = (low.min(value), high.max(value));
            sum += f64::from(value);
        }
        if !sum.is_finite() {
            // Rare: a value is NaN or infinite. (Sums of finite float32 do not overflow here.)
            return Self::of_some_finite(values);
        }
        if values.is_empty() {
            return Self::default();
        }
        let finite = values.len() as u64;
        let mean = sum / finite as f64;
        let squares = values.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum();
        Self { finite, nan: 0, infinite: 0, range: Some((low, high)), mean, squares }
    }

    fn of_some_finite(values: &[f32]) -> Self {
        let finite: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
        let nan = values.iter().filter(|value| value.is_nan()).count();
        let infinite = values.len() - finite.len() - nan;
        Self { nan: nan as u64, infinite: infinite as u64, ..Self::of_block(&finite) }
    }

    /// Adds statistics gathered elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.nan += other.nan;
        self.infinite += other.infinite;
        let Some((other_low, other_high)) = other.range else { return };
        let (one, two) = (self.finite as f64, other.finite as f64);
        let distance = other.mean - self.mean;
        self.mean += distance * (two / (one + two));
        self.squares += other.squares + distance * distance * (one * two / (one + two));
        self.finite += other.finite;
        let (low, high) = self.range.unwrap_or((other_low, other_high));
        self.range = Some((low.min(other_low), high.max(other_high)));
    }

    /// The total number of values.
    pub fn count(&self) -> u64 {
        self.finite + self.nan + self.infinite
    }

    /// The smallest value; `None` if no value is finite, as for the following methods.
    pub fn min(&self) -> Option<f32> {
        self.range.map(|(low, _)| low)
    }

    /// The largest value.
    pub fn max(&self) -> Option<f32> {
        self.range.map(|(_, high)| high)
    }

    /// The mean.
    pub fn mean(&self) -> Option<f64> {
        self.range.map(|_| self.mean)
    }

    /// The standard deviation of the population: the root of the mean squared distance from the
    /// mean.
    pub fn deviation(&self) -> Option<f64> {
        self.range.map(|_| (self.squares / self.finite as f64).sqrt())
    }
}

/// Number of cells. The values of a cell share their upper 16 bits as float32: sign, exponent and 7
/// bits of mantissa.
const CELLS: usize = 1 << 16;

/// Beyond this, distances between values could exceed the range of float32.
const FARTHEST: f32 = 1e30;

/// Counts in cells, from which a histogram of any range can be made after a single pass, without
/// knowing the range in advance. A cell's width is less than a hundredth of its distance from the
/// center. So if the center is a value or between two values, no cell is wider than a hundredth of
/// their range.
#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    center: f32,
    cells: Vec<u64>,
}

impl Sketch {
    pub(crate) fn new(center: f32) -> Self {
        Self { center, cells: vec![0; CELLS] }
    }

    /// Chooses the center from a sample of the values: zero if they have both signs, for which
    /// bfloat16 is counted exactly, otherwise the value nearest to zero.
    pub(crate) fn around(some: &Statistics) -> Self {
        let center = match some.range {
            Some((low, _)) if low > 0.0 => low,
            Some((_, high)) if high < 0.0 => high,
            _ => 0.0,
        };
        Self::new(if center.abs() <= FARTHEST { center } else { 0.0 })
    }

    pub(crate) fn add(&mut self, values: &[f32]) {
        // Most latents are centered on zero, which needs no subtraction.
        match self.center {
            0.0 => self.count(values.iter().copied()),
            center => self.count(values.iter().map(|value| value - center)),
        }
    }

    fn count(&mut self, distances: impl Iterator<Item = f32>) {
        for distance in distances {
            if let Some(count) = self.cells.get_mut((distance.to_bits() >> 16) as usize) {
                *count += 1;
            }
        }
    }

    /// Adds counts gathered elsewhere with the same center.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.cells.iter_mut().zip(&other.cells) {
            *count += more;
        }
    }

    /// The counts in `bins` equal bins from the smallest to the largest added value. A cell that
    /// spans several bins is divided in proportion.
    pub(crate) fn histogram(&self, values: &Statistics, bins: usize) -> Option<Histogram> {
        let (low, high) = values.range?;
        let (start, end) = (f64::from(low), f64::from(high));
        let width = (end - start) / bins as f64;
        let mut counts = vec![0.0; bins];
        for (cell, &count) in self.cells.iter().enumerate().filter(|(_, count)| **count > 0) {
            let Some((from, to)) = bounds(cell) else { continue };
            let center = f64::from(self.center);
            let (from, to) = ((from + center).clamp(start, end), (to + center).clamp(start, end));
            for (bin, total) in counts.iter_mut().enumerate() {
                let (left, right) = (start + width * bin as f64, start + width * (bin + 1) as f64);
                let share = if to > from {
                    (to.min(right) - from.max(left)).max(0.0) / (to - from)
                } else if width > 0.0 {
                    // The cell is a single value. It belongs to the bin that starts with it; the
                    // largest belongs to the last bin.
                    f64::from(u8::from((left..right).contains(&from) || bin + 1 == bins && from >= right))
                } else {
                    // All values are equal, and drawn in the middle.
                    f64::from(u8::from(bin == bins / 2))
                };
                *total += share * count as f64;
            }
        }
        Some(Histogram { low, high, counts })
    }
}

/// The range of a cell's distances from the center; `None` if not finite.
fn bounds(cell: usize) -> Option<(f64, f64)> {
    let bits = u32::try_from(cell).ok()? << 16;
    let (near, far) = (f32::from_bits(bits), f32::from_bits(bits | 0xffff));
    near.is_finite().then(|| {
        let (near, far) = (f64::from(near), f64::from(far));
        (near.min(far), near.max(far))
    })
}

/// The distribution of values between the smallest and the largest.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// The start of the first bin.
    pub low: f32,
    /// The end of the last bin.
    pub high: f32,
    /// The number of values in each bin. The bins have equal widths. Counts are estimates near the
    /// ends of a bin, within a hundredth of the whole range; their sum is exact.
    pub counts: Vec<f64>,
}

/// Minimum number of values for a normal curve: with fewer, it would suggest too much.
const FEW: u64 = 256;

impl Histogram {
    /// The normal curve with the mean and deviation of these values, if there are enough of them
    /// and they vary.
    pub fn normal(&self, values: &Statistics) -> Option<Normal> {
        let (mean, deviation) = values.mean().zip(values.deviation())?;
        let bin = (f64::from(self.high) - f64::from(self.low)) / self.counts.len() as f64;
        let peak = values.finite as f64 * bin / (deviation * std::f64::consts::TAU.sqrt());
        let is_drawn = values.finite >= FEW && peak.is_finite() && peak > 0.0;
        is_drawn.then_some(Normal { mean, deviation, peak })
    }

    /// The count at the top of a chart. A curve far above the bars may be cut off.
    pub fn top(&self, normal: Option<&Normal>) -> f64 {
        let tallest = self.counts.iter().copied().fold(0.0, f64::max);
        let top = normal.map_or(tallest, |normal| tallest.max(normal.peak.min(tallest * 1.5)));
        top.max(f64::MIN_POSITIVE)
    }
}

/// A normal curve over a histogram.
#[derive(Clone, Copy, Debug)]
pub struct Normal {
    mean: f64,
    deviation: f64,
    /// The count at the mean.
    peak: f64,
}

impl Normal {
    /// The number of values that a bin centered here would have.
    pub fn count(&self, value: f64) -> f64 {
        let deviations = (value - self.mean) / self.deviation;
        self.peak * (-0.5 * deviations * deviations).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Mean and deviation by definition, in two passes over all values.
    fn naive(values: &[f32]) -> (f64, f64) {
        let finite: Vec<f64> =
            values.iter().filter(|value| value.is_finite()).map(|&value| f64::from(value)).collect();
        let mean = finite.iter().sum::<f64>() / finite.len() as f64;
        let squares = finite.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        (mean, (squares / finite.len() as f64).sqrt())
    }

    #[test]
    fn large_offsets_do_not_cancel() {
        // Squares of 1e6 leave nothing of a deviation of 0.1 in float32, and little in float64
        // sums.
        let values: Vec<f32> = (0..10_000).map(|at| 1e6 + if at % 2 == 0 { 0.125 } else { -0.125 }).collect();
        let mut statistics = Statistics::default();
        statistics.add(&values);
        assert_eq!(statistics.mean(), Some(1e6));
        assert_eq!(statistics.deviation(), Some(0.125));
    }

    #[test]
    fn what_is_not_finite_is_counted_apart() {
        let mut statistics = Statistics::default();
        statistics.add(&[f32::NAN, 1.0, f32::INFINITY, 3.0, f32::NEG_INFINITY, f32::NAN]);
        assert_eq!((statistics.finite, statistics.nan, statistics.infinite), (2, 2, 2));
        assert_eq!((statistics.min(), statistics.max()), (Some(1.0), Some(3.0)));
        assert_eq!((statistics.mean(), statistics.deviation()), (Some(2.0), Some(1.0)));

        let mut nothing = Statistics::default();
        nothing.add(&[f32::NAN; 3]);
        assert_eq!(
            (nothing.count(), nothing.min(), nothing.mean(), nothing.deviation()),
            (3, None, None, None)
        );
        statistics.merge(&nothing);
        assert_eq!((statistics.nan, statistics.mean()), (5, Some(2.0)));
    }

    #[test]
    fn the_largest_values_do_not_overflow() {
        let mut statistics = Statistics::default();
        statistics.add(&vec![f32::MAX; 10_000]);
        assert_eq!(statistics.finite, 10_000);
        assert_eq!(statistics.mean(), Some(f64::from(f32::MAX)));
        assert_eq!(statistics.deviation(), Some(0.0));
    }

    #[test]
    fn a_histogram_has_every_value_once() {
        let values = [-1.0_f32, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, f32::NAN];
        let mut statistics = Statistics::default();
        let mut sketch = Sketch::new(0.0);
        statistics.add(&values);
        sketch.add(&values);
        let histogram = sketch.histogram(&statistics, 4).unwrap();
        assert_eq!((histogram.low, histogram.high), (-1.0, 1.0));
        assert!((histogram.counts.iter().sum::<f64>() - 8.0).abs() < 1e-9);
        // By hand: [-1, -0.5) has one, and -0.5 is at the end of its cell, which extends away from
        // zero.
        assert!(histogram.counts.iter().zip([2.0, 0.0, 2.0, 4.0]).all(|(is, was)| (is - was).abs() < 0.51));
    }

    #[allow(clippy::cast_possible_truncation)] // to the nearest
    fn narrow(value: f64) -> f32 {
        value as f32
    }

    /// Normally distributed values in random order.
    fn normal(count: u32, mean: f64, deviation: f64) -> Vec<f32> {
        let uniform = |n: u32, salt: u32| {
            let hash = (n ^ salt).wrapping_mul(0x9e37_79b1).rotate_left(15).wrapping_mul(0x85eb_ca6b);
            (f64::from(hash ^ hash >> 13) + 0.5) / f64::from(u32::MAX)
        };
        let normal =
            |n| (-2.0 * uniform(n, 0).ln()).sqrt() * (std::f64::consts::TAU * uniform(n, 0x5bd1_e995)).cos();
        (0..count).map(|n| narrow(mean + deviation * normal(n))).collect()
    }

    #[test]
    fn the_normal_curve_has_as_many_values() {
        let values = normal(10_000, 3.0, 0.5);
        let mut statistics = Statistics::default();
        statistics.add(&values);
        let (low, high) = statistics.range.unwrap();
        let histogram = Histogram { low, high, counts: vec![0.0; 50] };
        let curve = histogram.normal(&statistics).unwrap();
        let bin = f64::from(high - low) / 50.0;
        let sum: f64 = (0..50).map(|at| curve.count(f64::from(low) + bin * (f64::from(at) + 0.5))).sum();
        assert!((sum - 10_000.0).abs() < 50.0, "{sum}");
        assert!(curve.count(3.0) > curve.count(2.5) && curve.count(3.0) > curve.count(3.5));
        // Too few values, and constant ones.
        for values in [&values[..255], &[1.0; 1000]] {
            let mut statistics = Statistics::default();
            statistics.add(values);
            assert!(histogram.normal(&statistics).is_none());
        }
    }

    #[test]
    fn a_small_spread_far_from_zero_is_seen() {
        for (mean, deviation) in [(0.0, 1.0), (100.0, 0.1), (-3000.0, 1.0), (1e25, 1e22), (1e-30, 1e-33)] {
            let values = normal(100_000, mean, deviation);
            let mut statistics = Statistics::default();
            statistics.add(&values);
            let mut some = Statistics::default();
            some.add(&values[..100]);
            let mut sketch = Sketch::around(&some);
            sketch.add(&values);
            let histogram = sketch.histogram(&statistics, 56).unwrap();
            assert!((histogram.counts.iter().sum::<f64>() - 1e5).abs() < 1e-4);
            let (low, high) = (f64::from(histogram.low), f64::from(histogram.high));
            let width = (high - low) / 56.0;
            for (bin, count) in histogram.counts.iter().enumerate() {
                let (left, right) = (low + width * bin as f64, low + width * (bin as f64 + 1.0));
                let exact = values.iter().filter(|value| (left..right).contains(&f64::from(**value))).count();
                // At most the values that an end of the bin cuts wrongly.
                let off = (count - exact as f64).abs();
                assert!(off <= 150.0, "{mean} ± {deviation}, {bin}: {count}, not {exact}");
            }
        }
    }

    #[test]
    fn the_largest_distances_are_counted() {
        for values in [[f32::MAX, 1e30], [f32::MIN, 1e30], [f32::MIN, f32::MAX], [2e38, f32::MAX]] {
            let mut statistics = Statistics::default();
            statistics.add(&values[1..]);
            let mut sketch = Sketch::around(&statistics);
            statistics.add(&values[..1]);
            sketch.add(&values);
            let counts = sketch.histogram(&statistics, 9).unwrap().counts;
            assert!((counts.iter().sum::<f64>() - 2.0).abs() < 1e-9, "{values:?}: {counts:?}");
        }
    }

    #[test]
    fn a_constant_is_in_one_bin() {
        for value in [0.0, -0.0, 2.5] {
            let mut statistics = Statistics::default();
            let mut sketch = Sketch::new(0.0);
            statistics.add(&[value; 5]);
            sketch.add(&[value; 5]);
            let histogram = sketch.histogram(&statistics, 3).unwrap();
            assert_eq!(histogram.counts, [0.0, 5.0, 0.0], "{value}");
        }
    }

    proptest! {
        #[test]
        fn blocks_in_any_cut_give_the_same(
            values in prop::collection::vec(-1e4_f32..1e4, 1..9000),
            cut in any::<prop::sample::Index>(),
        ) {
            let (mut whole, mut first, mut second) = Default::default();
            let cut = cut.index(values.len());
            Statistics::add(&mut whole, &values);
            Statistics::add(&mut first, &values[..cut]);
            Statistics::add(&mut second, &values[cut..]);
            Statistics::merge(&mut first, &second);
            let (mean, deviation) = naive(&values);
            for found in [whole, first] {
                prop_assert!((found.mean().unwrap() - mean).abs() < 1e-9 * 1e4);
                prop_assert!((found.deviation().unwrap() - deviation).abs() < 1e-9 * 1e4);
                prop_assert_eq!(found.min(), values.iter().copied().reduce(f32::min));
                prop_assert_eq!(found.max(), values.iter().copied().reduce(f32::max));
            }
        }

        #[test]
        fn a_histogram_is_near_the_true_one(values in prop::collection::vec(-4.0_f32..4.0, 1..500)) {
            let mut statistics = Statistics::default();
            let mut sketch = Sketch::new(0.0);
            statistics.add(&values);
            sketch.add(&values);
            let histogram = sketch.histogram(&statistics, 32).unwrap();
            prop_assert!((histogram.counts.iter().sum::<f64>() - values.len() as f64).abs() < 1e-6);
            // The counts up to the end of a bin are exact, except for values that share a cell with
            // that end.
            let (low, high) = (f64::from(histogram.low), f64::from(histogram.high));
            let mut counted = 0.0;
            for (bin, count) in histogram.counts.iter().enumerate() {
                counted += count;
                let end = low + (high - low) * (bin + 1) as f64 / 32.0;
                let up_to = values.iter().filter(|value| f64::from(**value) < end).count() as f64;
                let near = |value: &&f32| (f64::from(**value) - end).abs() <= end.abs() / 64.0 + 1e-30;
                let unsure = values.iter().filter(near).count() as f64;
                prop_assert!((counted - up_to).abs() <= unsure + 1e-6, "{bin}: {counted}, not {up_to}");
            }
        }
    }
}
