//! Values from the bytes that a file has them in.

use gen5::{Dtype, bf16, f16};

/// The values that these bytes are, as float32, which holds all of them exactly.
pub(crate) fn widen(dtype: Dtype, bytes: &[u8], to: &mut Vec<f32>) {
    to.clear();
    let (pairs, _) = bytes.as_chunks::<2>();
    let (quads, _) = bytes.as_chunks::<4>();
    match dtype {
        Dtype::F16 => to.extend(pairs.iter().map(|value| f16::from_le_bytes(*value).to_f32())),
        Dtype::BF16 => to.extend(pairs.iter().map(|value| bf16::from_le_bytes(*value).to_f32())),
        Dtype::F32 => to.extend(quads.iter().map(|value| f32::from_le_bytes(*value))),
        // Of a dtype that is not known here there are no values, which is told by their number.
        _ => {}
    }
}
