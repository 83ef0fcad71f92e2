//! Element types, and checked views between values and bytes.

use std::fmt;
use std::ops::Range;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use zerocopy::{FromBytes, IntoBytes};

/// The type of a latent's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// IEEE 754 binary16, `float16`.
    F16,
    /// bfloat16: the upper half of a float32. Files with it have version 1.1.
    BF16,
    /// IEEE 754 binary32, `float32`.
    F32,
}

impl Dtype {
    /// All dtypes.
    pub const ALL: &'static [Self] = &[Self::F16, Self::BF16, Self::F32];

    /// Returns the size of one element in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::F16 | Self::BF16 => 2,
            Self::F32 => 4,
        }
    }

    /// Returns the size in bytes of an array with this shape, or `None` if it does not fit into a
    /// `u64`.
    pub fn size_of_array(self, shape: &[usize]) -> Option<u64> {
        element_count(shape)?.checked_mul(self.size() as u64)
    }

    /// Returns the name in a record, which is also numpy's name: `float16`, `bfloat16`, `float32`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::BF16 => "bfloat16",
            Self::F32 => "float32",
        }
    }

    /// Returns whether it needs version 1.1, with or without byte shuffle.
    pub(crate) const fn needs_1_1(self, shuffled: bool) -> bool {
        shuffled || matches!(self, Self::BF16)
    }

    /// Returns the chunk header flags for it, with or without byte shuffle.
    pub(crate) const fn flags(self, shuffled: bool) -> [u8; 4] {
        match (self, shuffled) {
            (Self::F16, false) => *b"F16\0",
            (Self::BF16, false) => *b"BF16",
            (Self::F32, false) => *b"F32\0",
            (Self::F16, true) => *b"F16S",
            (Self::BF16, true) => *b"B16S",
            (Self::F32, true) => *b"F32S",
        }
    }

    /// Returns the dtype that these chunk header flags encode, and whether the bytes are shuffled.
    pub(crate) fn from_flags(flags: [u8; 4]) -> Option<(Self, bool)> {
        Self::ALL
            .iter()
            .copied()
            .flat_map(|dtype| [(dtype, false), (dtype, true)])
            .find(|(dtype, shuffled)| dtype.flags(*shuffled) == flags)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

mod sealed {
    use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

    /// Closes [`Element`](super::Element), and makes its values bytes.
    pub trait Sealed: FromBytes + IntoBytes + Immutable + KnownLayout {}

    impl Sealed for half::f16 {}
    impl Sealed for half::bf16 {}
    impl Sealed for f32 {}
}

/// A type of latent elements: [`struct@f16`], [`struct@bf16`] or [`f32`]. This trait is sealed.
pub trait Element: sealed::Sealed + Copy + Default + fmt::Debug + Send + Sync + 'static {
    /// The dtype of these values.
    const DTYPE: Dtype;

    /// Converts to float32, which represents all values exactly. The payload of a NaN is kept.
    fn to_f32(self) -> f32;

    /// Returns whether it is neither NaN nor infinite.
    fn is_finite(self) -> bool;
}

impl Element for f16 {
    const DTYPE: Dtype = Dtype::F16;

    fn to_f32(self) -> f32 {
        let sign = self.to_bits() >> 15;
        let exponent = self.to_bits() & 0x7c00;
        let mantissa = self.to_bits() & 0x3ff;
        // Processors and `half` make a signalling NaN quiet.
        if exponent == 0x7c00 {
            return f32::from_bits(u32::from(sign) << 31 | 0x7f80_0000 | u32::from(mantissa) << 13);
        }
        Self::to_f32(self)
    }

    fn is_finite(self) -> bool {
        Self::is_finite(self)
    }
}

impl Element for bf16 {
    const DTYPE: Dtype = Dtype::BF16;

    fn to_f32(self) -> f32 {
        // The upper half of a float32. `half` makes a signalling NaN quiet.
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    fn is_finite(self) -> bool {
        Self::is_finite(self)
    }
}

impl Element for f32 {
    const DTYPE: Dtype = Dtype::F32;

    fn to_f32(self) -> f32 {
        self
    }

    fn is_finite(self) -> bool {
        Self::is_finite(self)
    }
}

/// Returns `values` with their type as a run-time value.
pub(crate) fn erase<T: Element>(values: &[T]) -> Values<'_> {
    // Values of a type are always aligned for it.
    Values::from_bytes(T::DTYPE, values.as_bytes()).unwrap_or(Values::F32(&[]))
}

/// Converts values into `to`, which has the same length, rounding to nearest, ties to even.
pub(crate) fn convert<T: Element>(values: Values<'_>, to: &mut [T]) {
    let bytes = to.as_mut_bytes();
    // One of the types is `T`, so its view of the bytes is aligned.
    match T::DTYPE {
        Dtype::F16 => _ = <[f16]>::mut_from_bytes(bytes).map(|to| convert_to_f16(values, to)),
        Dtype::BF16 => _ = <[bf16]>::mut_from_bytes(bytes).map(|to| convert_to_bf16(values, to)),
        Dtype::F32 => _ = <[f32]>::mut_from_bytes(bytes).map(|to| convert_to_f32(values, to)),
    }
}

fn convert_to_f16(values: Values<'_>, to: &mut [f16]) {
    match values {
        Values::F16(values) => to.copy_from_slice(values),
        Values::BF16(values) => by_way_of_f32(values, to),
        Values::F32(values) => to.convert_from_f32_slice(values),
        Values::Unaligned(values) => values.convert(to),
    }
}

fn convert_to_bf16(values: Values<'_>, to: &mut [bf16]) {
    match values {
        Values::F16(values) => by_way_of_f32(values, to),
        Values::BF16(values) => to.copy_from_slice(values),
        Values::F32(values) => to.convert_from_f32_slice(values),
        Values::Unaligned(values) => values.convert(to),
    }
}

fn convert_to_f32(values: Values<'_>, to: &mut [f32]) {
    match values {
        Values::F16(values) => widen(values, to),
        Values::BF16(values) => {
            to.iter_mut().zip(values).for_each(|(to, value)| *to = Element::to_f32(*value));
        }
        Values::F32(values) => to.copy_from_slice(values),
        Values::Unaligned(values) => values.convert(to),
    }
}

/// Converts float16 with processor instructions. These make signalling NaNs quiet, so those are
/// converted in software.
fn widen(values: &[f16], to: &mut [f32]) {
    for (values, to) in values.chunks(LANE_BLOCK).zip(to.chunks_mut(LANE_BLOCK)) {
        values.convert_to_f32_slice(to);
        // Without branches, so that the compiler can vectorize it.
        if values.iter().fold(false, |found, value| found | is_signalling(*value)) {
            to.iter_mut().zip(values).for_each(|(to, value)| *to = Element::to_f32(*value));
        }
    }
}

/// Returns whether a float16 is a signalling NaN: the first mantissa bit is 0 and another is not
/// (IEEE 754, 6.2.1).
fn is_signalling(value: f16) -> bool {
    let magnitude = value.to_bits() & 0x7fff;
    magnitude > 0x7c00 && magnitude < 0x7e00
}

/// Converts between 16-bit types through float32. That is fast, and rounds only once, since float32
/// holds both.
fn by_way_of_f32<S, T>(values: &[S], to: &mut [T])
where
    [S]: HalfFloatSliceExt,
    [T]: HalfFloatSliceExt,
{
    let mut wide = [0.0; LANE_BLOCK];
    for (values, to) in values.chunks(LANE_BLOCK).zip(to.chunks_mut(LANE_BLOCK)) {
        let (wide, _) = wide.split_at_mut(values.len());
        values.convert_to_f32_slice(wide);
        to.convert_from_f32_slice(wide);
    }
}

/// Values of one of the types.
#[derive(Clone, Copy)]
pub(crate) enum Values<'a> {
    F16(&'a [f16]),
    BF16(&'a [bf16]),
    F32(&'a [f32]),
    Unaligned(UnalignedValues<'a>),
}

/// Values whose bytes do not have the alignment of their type.
#[derive(Clone, Copy)]
pub(crate) struct UnalignedValues<'a> {
    dtype: Dtype,
    bytes: &'a [u8],
}

impl UnalignedValues<'_> {
    fn len(self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Calls `find` with aligned copies of the values, a block at a time, and with the position of
    /// the block, until it returns something.
    fn find<R>(self, mut find: impl FnMut(usize, Values<'_>) -> Option<R>) -> Option<R> {
        fn blocks<T: Element, R>(bytes: &[u8], mut find: impl FnMut(usize, &[T]) -> Option<R>) -> Option<R> {
            let mut aligned = [T::default(); LANE_BLOCK];
            bytes.chunks(LANE_BLOCK * size_of::<T>()).enumerate().find_map(|(number, block)| {
                let (values, _) = aligned.split_at_mut(block.len() / size_of::<T>());
                values.as_mut_bytes().copy_from_slice(block);
                find(number * LANE_BLOCK, values)
            })
        }
        match self.dtype {
            Dtype::F16 => blocks(self.bytes, |start, block| find(start, Values::F16(block))),
            Dtype::BF16 => blocks(self.bytes, |start, block| find(start, Values::BF16(block))),
            Dtype::F32 => blocks(self.bytes, |start, block| find(start, Values::F32(block))),
        }
    }

    fn convert<T: Element>(self, to: &mut [T]) {
        self.find(|start, block| {
            if let Some(to) = to.get_mut(start..start + block.len()) {
                convert(block, to);
            }
            None::<()>
        });
    }
}

/// Does not print the values, which can be gigabytes.
impl fmt::Debug for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}; {}]", self.dtype(), self.len())
    }
}

/// Returns a position in a block as one in the whole.
fn after(start: usize, found: Option<(usize, f32)>) -> Option<(usize, f32)> {
    found.map(|(at, value)| (start + at, value))
}

impl<'a> Values<'a> {
    /// Returns bytes as values of this dtype, or `None` if they are not a whole number of values.
    pub(crate) fn from_bytes(dtype: Dtype, bytes: &'a [u8]) -> Option<Self> {
        if !bytes.len().is_multiple_of(dtype.size()) {
            return None;
        }
        let aligned = match dtype {
            Dtype::F16 => <[f16]>::ref_from_bytes(bytes).map(Self::F16).ok(),
            Dtype::BF16 => <[bf16]>::ref_from_bytes(bytes).map(Self::BF16).ok(),
            Dtype::F32 => <[f32]>::ref_from_bytes(bytes).map(Self::F32).ok(),
        };
        Some(aligned.unwrap_or(Self::Unaligned(UnalignedValues { dtype, bytes })))
    }

    pub(crate) fn dtype(self) -> Dtype {
        match self {
            Self::F16(_) => Dtype::F16,
            Self::BF16(_) => Dtype::BF16,
            Self::F32(_) => Dtype::F32,
            Self::Unaligned(values) => values.dtype,
        }
    }

    pub(crate) fn len(self) -> usize {
        match self {
            Self::F16(values) => values.len(),
            Self::BF16(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::Unaligned(values) => values.len(),
        }
    }

    /// Returns the elements of `range`, which must be in bounds.
    pub(crate) fn slice(self, range: Range<usize>) -> Self {
        match self {
            Self::F16(values) => Self::F16(values.get(range).unwrap_or_default()),
            Self::BF16(values) => Self::BF16(values.get(range).unwrap_or_default()),
            Self::F32(values) => Self::F32(values.get(range).unwrap_or_default()),
            Self::Unaligned(UnalignedValues { dtype, bytes }) => {
                let range = range.start * dtype.size()..range.end * dtype.size();
                Self::Unaligned(UnalignedValues { dtype, bytes: bytes.get(range).unwrap_or_default() })
            }
        }
    }

    /// Returns the bytes in memory, which are the same as in a file.
    pub(crate) fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::F16(values) => values.as_bytes(),
            Self::BF16(values) => values.as_bytes(),
            Self::F32(values) => values.as_bytes(),
            Self::Unaligned(values) => values.bytes,
        }
    }

    /// Returns the first NaN or infinite element and its position.
    pub(crate) fn first_non_finite(self) -> Option<(usize, f32)> {
        match self {
            Self::F16(values) => first_match(values, |value| !value.is_finite()),
            Self::BF16(values) => first_match(values, |value| !value.is_finite()),
            Self::F32(values) => first_match(values, |value| !value.is_finite()),
            Self::Unaligned(values) => values.find(|start, block| after(start, block.first_non_finite())),
        }
    }

    /// Returns the first finite element that would become infinite as `dtype`, and its position.
    pub(crate) fn first_overflow(self, dtype: Dtype) -> Option<(usize, f32)> {
        fn find<T: Element>(values: &[T], least: f32) -> Option<(usize, f32)> {
            first_match(values, |value| value.is_finite() && value.to_f32().abs() >= least)
        }
        match (self, dtype) {
            (Self::BF16(values), Dtype::F16) => find(values, FLOAT16_OVERFLOW),
            (Self::F32(values), Dtype::F16) => find(values, FLOAT16_OVERFLOW),
            (Self::F32(values), Dtype::BF16) => find(values, BFLOAT16_OVERFLOW),
            (Self::Unaligned(values), _) => {
                values.find(|start, block| after(start, block.first_overflow(dtype)))
            }
            // All values of the source type are values of the target type, or smaller than its
            // largest.
            (Self::F16(_), _) | (Self::BF16(_), Dtype::BF16 | Dtype::F32) | (Self::F32(_), Dtype::F32) => {
                None
            }
        }
    }

    /// Returns the values as `dtype`: in place if they have it, otherwise converted into `scratch`,
    /// rounding to nearest.
    pub(crate) fn converted<'s>(self, dtype: Dtype, scratch: &'s mut Scratch) -> Values<'s>
    where
        'a: 's,
    {
        fn fill<T: Element>(values: Values<'_>, to: &mut Vec<T>) {
            to.resize(values.len(), T::default());
            convert(values, to);
        }
        if self.dtype() == dtype {
            return self;
        }
        match dtype {
            Dtype::F16 => fill(self, &mut scratch.half),
            Dtype::BF16 => fill(self, &mut scratch.brain),
            Dtype::F32 => fill(self, &mut scratch.single),
        }
        scratch.values(dtype)
    }
}

/// Memory for converted values.
#[derive(Default)]
pub(crate) struct Scratch {
    half: Vec<f16>,
    brain: Vec<bf16>,
    single: Vec<f32>,
}

impl Scratch {
    /// Returns the values that were last converted to `dtype`.
    pub(crate) fn values(&self, dtype: Dtype) -> Values<'_> {
        match dtype {
            Dtype::F16 => Values::F16(&self.half),
            Dtype::BF16 => Values::BF16(&self.brain),
            Dtype::F32 => Values::F32(&self.single),
        }
    }
}

/// The smallest magnitude that overflows float16: halfway between 65504, its largest value, and
/// 65536. Ties go to the even neighbour, which is infinity here (IEEE 754, roundTiesToEven).
const FLOAT16_OVERFLOW: f32 = 65520.0;

/// The same for bfloat16: halfway between its largest value, 0x7f7f, and 2^128.
const BFLOAT16_OVERFLOW: f32 = f32::from_bits(0x7f7f_8000);

/// Elements to check together: enough for vector instructions, few enough for the first-level
/// cache.
const LANE_BLOCK: usize = 4096;

/// Returns the first value that is `wanted`, and its position. Whole blocks are checked without
/// branches, so that the compiler can vectorize it.
fn first_match<T: Element>(values: &[T], wanted: impl Fn(&T) -> bool) -> Option<(usize, f32)> {
    let block = values
        .chunks(LANE_BLOCK)
        .position(|block| block.iter().fold(false, |found, value| found | wanted(value)))?;
    let start = block * LANE_BLOCK;
    let (at, value) = values.iter().enumerate().skip(start).find(|(_, value)| wanted(value))?;
    Some((at, value.to_f32()))
}

/// Returns the number of elements of a shape, or `None` if it does not fit into a `u64`. A scalar
/// (no axes) has one.
pub(crate) fn element_count(shape: &[usize]) -> Option<u64> {
    // An axis of 0 makes the whole empty, however large the other axes are.
    if shape.contains(&0) {
        return Some(0);
    }
    shape.iter().try_fold(1_u64, |count, &axis| count.checked_mul(u64::try_from(axis).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_flags_are_pinned() {
        let table: Vec<_> = Dtype::ALL
            .iter()
            .map(|dtype| (dtype.name(), dtype.flags(false), dtype.flags(true), dtype.size()))
            .collect();
        let expected = [
            ("float16", *b"F16\0", *b"F16S", 2),
            ("bfloat16", *b"BF16", *b"B16S", 2),
            ("float32", *b"F32\0", *b"F32S", 4),
        ];
        assert_eq!(table, expected);
        for dtype in Dtype::ALL.iter().copied() {
            for shuffled in [false, true] {
                assert_eq!(Dtype::from_flags(dtype.flags(shuffled)), Some((dtype, shuffled)));
            }
        }
        assert_eq!(Dtype::from_flags(*b"F64\0"), None);
    }

    #[test]
    fn non_finite_values_are_found_where_they_are() {
        let mut values = vec![1.0_f32; 3 * LANE_BLOCK + 5];
        let first = |values: &[f32]| Values::F32(values).first_non_finite().map(|(at, _)| at);
        assert_eq!(first(&values), None);
        for at in [0, 1, LANE_BLOCK - 1, LANE_BLOCK, 3 * LANE_BLOCK + 4] {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                values[at] = bad;
                assert_eq!(first(&values), Some(at));
                values[at] = 1.0;
            }
        }
        let half = [f16::MAX, f16::INFINITY];
        assert_eq!(Values::F16(&half).first_non_finite(), Some((1, f32::INFINITY)));
        assert_eq!(first(&[]), None);
    }

    /// The reported first overflow must match the result of the conversion.
    #[test]
    fn overflow_is_where_conversion_makes_an_infinity() {
        let mut half = vec![f16::ZERO; LANE_BLOCK + 2];
        let mut values = vec![65504.0_f32; LANE_BLOCK + 2];
        for (value, overflows) in [
            (65504.0, false),
            (65519.996, false), // the largest that rounds down
            (65520.0, true),    // the smallest that does not
            (-65520.0, true),
            (f32::MAX, true),
            (f32::INFINITY, false), // it was there already
            (f32::NAN, false),
        ] {
            values[LANE_BLOCK + 1] = value;
            convert::<f16>(Values::F32(&values), &mut half);
            let made = value.is_finite() && half[LANE_BLOCK + 1].is_infinite();
            assert_eq!(made, overflows, "{value}");
            let expected = overflows.then_some((LANE_BLOCK + 1, value));
            assert_eq!(Values::F32(&values).first_overflow(Dtype::F16), expected, "{value}");
        }
        let mut brain = [bf16::ZERO];
        for (bits, overflows) in [(0x7f7f_7fff, false), (0x7f7f_8000, true), (0xff7f_ffff, true)] {
            let value = f32::from_bits(bits);
            convert::<bf16>(Values::F32(&[value]), &mut brain);
            assert_eq!(brain[0].is_infinite(), overflows, "{value}");
            let expected = overflows.then_some((0, value));
            assert_eq!(Values::F32(&[value]).first_overflow(Dtype::BF16), expected, "{value}");
        }
        let large = [bf16::from_f32(65280.0), bf16::from_f32(65536.0)];
        assert_eq!(Values::BF16(&large).first_overflow(Dtype::F16), Some((1, 65536.0)));
        assert_eq!(Values::BF16(&large).first_overflow(Dtype::F32), None);
    }

    #[test]
    fn types_of_16_bits_convert_as_one_by_one() {
        let half: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let brain: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
        let mut to_brain = vec![bf16::ZERO; half.len()];
        let mut to_half = vec![f16::ZERO; brain.len()];
        convert::<bf16>(Values::F16(&half), &mut to_brain);
        convert::<f16>(Values::BF16(&brain), &mut to_half);
        for at in 0..half.len() {
            let expected = bf16::from_f32(Element::to_f32(half[at]));
            assert!(to_brain[at] == expected || (to_brain[at].is_nan() && expected.is_nan()));
            let expected = f16::from_f32(brain[at].to_f32());
            assert!(to_half[at] == expected || (to_half[at].is_nan() && expected.is_nan()));
        }
    }

    #[test]
    fn to_f32_keeps_every_bit_of_a_nan() {
        let every = (0..=u16::MAX).collect::<Vec<_>>();
        let half: Vec<f16> = every.iter().copied().map(f16::from_bits).collect();
        let brain: Vec<bf16> = every.iter().copied().map(bf16::from_bits).collect();
        let mut of_half = vec![0.0_f32; half.len()];
        let mut of_brain = vec![0.0_f32; brain.len()];
        convert::<f32>(Values::F16(&half), &mut of_half);
        convert::<f32>(Values::BF16(&brain), &mut of_brain);
        for (at, bits) in every.iter().copied().enumerate() {
            assert_eq!(of_brain[at].to_bits(), u32::from(bits) << 16, "{bits:#x}");
            assert_eq!(Element::to_f32(brain[at]).to_bits(), u32::from(bits) << 16, "{bits:#x}");
            assert_eq!(Element::to_f32(half[at]).to_bits(), of_half[at].to_bits(), "{bits:#x}");
            if half[at].is_nan() {
                let sign = u32::from(bits >> 15);
                let mantissa = u32::from(bits & 0x3ff);
                assert_eq!(of_half[at].to_bits(), sign << 31 | 0x7f80_0000 | mantissa << 13, "{bits:#x}");
            } else {
                assert_eq!(of_half[at], half[at].to_f32(), "{bits:#x}");
            }
        }
    }

    #[test]
    fn every_f16_survives_the_way_through_f32() {
        let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        let mut wide = vec![0.0_f32; all.len()];
        let mut back = vec![f16::ZERO; all.len()];
        convert::<f32>(Values::F16(&all), &mut wide);
        convert::<f16>(Values::F32(&wide), &mut back);
        for (before, after) in all.iter().zip(&back) {
            assert!(before.to_bits() == after.to_bits() || (before.is_nan() && after.is_nan()));
        }
    }

    #[test]
    fn unaligned_values_are_as_aligned_ones() {
        let mut values: Vec<f32> = (0..10_000_u16).map(f32::from).collect();
        values[9_000] = f32::NAN;
        values[8_000] = 1e6;
        for dtype in Dtype::ALL.iter().copied() {
            let mut scratch = Scratch::default();
            let aligned = Values::F32(&values).converted(dtype, &mut scratch);
            let mut bytes = vec![0];
            bytes.extend_from_slice(aligned.as_bytes());
            let shifted = Values::from_bytes(dtype, &bytes[1..]).unwrap();
            // One of two neighbours is not aligned.
            let other = Values::from_bytes(dtype, aligned.as_bytes()).unwrap();
            assert!(matches!(shifted, Values::Unaligned(_)) || matches!(other, Values::Unaligned(_)));
            let position = |found: Option<(usize, f32)>| found.map(|(at, _)| at);
            for unaligned in [shifted, other] {
                assert_eq!((unaligned.dtype(), unaligned.len()), (dtype, values.len()));
                assert_eq!(unaligned.as_bytes(), aligned.as_bytes());
                assert_eq!(position(unaligned.first_non_finite()), position(aligned.first_non_finite()));
                assert_eq!(unaligned.first_overflow(Dtype::F16), aligned.first_overflow(Dtype::F16));
                let (mut one, mut two) = (Scratch::default(), Scratch::default());
                for to in Dtype::ALL.iter().copied() {
                    let range = 5_000..9_500;
                    let converted = unaligned.slice(range.clone()).converted(to, &mut one);
                    let expected = aligned.slice(range).converted(to, &mut two);
                    assert_eq!(converted.as_bytes(), expected.as_bytes(), "{dtype} to {to}");
                }
            }
        }
        assert!(Values::from_bytes(Dtype::F32, &[0; 6]).is_none());
    }

    #[test]
    fn counts_do_not_wrap() {
        assert_eq!(element_count(&[]), Some(1));
        assert_eq!(element_count(&[usize::MAX, usize::MAX, 0]), Some(0));
        assert_eq!(element_count(&[usize::MAX, usize::MAX, usize::MAX]), None);
        assert_eq!(Dtype::F32.size_of_array(&[usize::MAX, 0]), Some(0));
        #[cfg(target_pointer_width = "64")]
        assert_eq!(Dtype::F32.size_of_array(&[usize::MAX / 2]), None);
        assert_eq!(Dtype::F16.size_of_array(&[3, 5]), Some(30));
    }
}
