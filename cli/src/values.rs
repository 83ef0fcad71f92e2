//! Conversion of values to the bytes that store them.

use gen5::{Dtype, bf16, f16};

/// Converts values to the bytes of another dtype, rounding to nearest if necessary.
pub(crate) fn narrow(dtype: Dtype, values: &[f32], to: &mut Vec<u8>) {
    to.clear();
    match dtype {
        Dtype::F16 => to.extend(values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes())),
        Dtype::BF16 => to.extend(values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes())),
        Dtype::F32 => to.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        _ => {}
    }
}

/// The nearest value in another dtype.
pub(crate) fn rounded(dtype: Dtype, value: f32) -> f32 {
    match dtype {
        Dtype::F16 => f16::from_f32(value).to_f32(),
        Dtype::BF16 => bf16::from_f32(value).to_f32(),
        _ => value,
    }
}
