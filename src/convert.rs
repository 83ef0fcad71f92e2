//! Conversions of values whose dtype is known at run time.

use half::{bf16, f16};
use zerocopy::{FromBytes, IntoBytes};

use crate::element::{Dtype, Element, Values, convert};

impl Dtype {
    /// Converts the bytes of values of this dtype to float32, which represents them exactly. The
    /// result replaces the contents of `values`. Bytes of an incomplete last value are ignored.
    ///
    /// ```
    /// let mut values = Vec::new();
    /// gen5::Dtype::BF16.widen(&[0x80, 0x3f, 0x00, 0x40], &mut values);
    /// assert_eq!(values, [1.0, 2.0]);
    /// ```
    pub fn widen(self, bytes: &[u8], values: &mut Vec<f32>) {
        let count = bytes.len() / self.size();
        values.resize(count, 0.0);
        let whole = bytes.get(..count * self.size()).unwrap_or_default();
        if let Some(narrow) = Values::from_bytes(self, whole) {
            convert(narrow, values);
        }
    }

    /// Converts float32 to the bytes of values of this dtype, rounding to nearest, ties to even. A
    /// finite value can become infinite. The result replaces the contents of `bytes`.
    ///
    /// ```
    /// let mut bytes = Vec::new();
    /// gen5::Dtype::F16.narrow(&[1.0, 1e9], &mut bytes);
    /// assert_eq!(bytes, [0x00, 0x3c, 0x00, 0x7c]); // 1 and infinity
    /// ```
    pub fn narrow(self, values: &[f32], bytes: &mut Vec<u8>) {
        fn fill<T: Element>(values: &[f32], bytes: &mut [u8]) {
            if let Ok(narrow) = <[T]>::mut_from_bytes(bytes) {
                return convert(Values::F32(values), narrow);
            }
            // The bytes are not aligned.
            let mut narrow = vec![T::default(); values.len()];
            convert(Values::F32(values), &mut narrow);
            bytes.copy_from_slice(narrow.as_bytes());
        }
        bytes.resize(values.len() * self.size(), 0);
        match self {
            Self::F16 => fill::<f16>(values, bytes),
            Self::BF16 => fill::<bf16>(values, bytes),
            Self::F32 => fill::<f32>(values, bytes),
        }
    }

    /// Returns the nearest value that this dtype has, ties to even. A finite value can become
    /// infinite.
    pub fn round(self, value: f32) -> f32 {
        match self {
            Self::F16 => f16::from_f32(value).to_f32(),
            Self::BF16 => bf16::from_f32(value).to_f32(),
            Self::F32 => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_widened_is_narrowed_to_the_same_bytes() {
        let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        for dtype in [Dtype::F16, Dtype::BF16] {
            let mut wide = Vec::new();
            dtype.widen(&all, &mut wide);
            let mut narrow = Vec::new();
            dtype.narrow(&wide, &mut narrow);
            for (value, (before, after)) in wide.iter().zip(all.chunks(2).zip(narrow.chunks(2))) {
                assert!(before == after || value.is_nan(), "{before:?} {after:?}");
                assert!(value.is_nan() || dtype.round(*value) == *value);
            }
        }
        let mut bytes = vec![7];
        Dtype::F32.narrow(&[1.5, -0.1], &mut bytes);
        assert_eq!(bytes.len(), 8);
        let mut wide = vec![7.0];
        Dtype::F32.widen(bytes.get(..7).unwrap(), &mut wide);
        assert_eq!(wide, [1.5]);
    }
}
