//! Conversion between values and the bytes that store them.

use gen5::{Dtype, Element, bf16, f16};

/// The values that these bytes are, as float32, which holds all of them exactly.
pub(crate) fn widen(dtype: Dtype, bytes: &[u8], to: &mut Vec<f32>) {
    to.clear();
    let (pairs, _) = bytes.as_chunks::<2>();
    let (quads, _) = bytes.as_chunks::<4>();
    match dtype {
        Dtype::F16 => to.extend(pairs.iter().map(|value| Element::to_f32(f16::from_le_bytes(*value)))),
        Dtype::BF16 => to.extend(pairs.iter().map(|value| Element::to_f32(bf16::from_le_bytes(*value)))),
        Dtype::F32 => to.extend(quads.iter().map(|value| f32::from_le_bytes(*value))),
        // Of a dtype that is not known here there are no values, which is told by their number.
        _ => {}
    }
}

/// The bytes of values as another type, rounded to nearest if it holds less.
pub(crate) fn narrow(dtype: Dtype, values: &[f32], to: &mut Vec<u8>) {
    to.clear();
    match dtype {
        Dtype::F16 => to.extend(values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes())),
        Dtype::BF16 => to.extend(values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes())),
        Dtype::F32 => to.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        _ => {}
    }
}

/// The value of another type that is nearest.
pub(crate) fn rounded(dtype: Dtype, value: f32) -> f32 {
    match dtype {
        Dtype::F16 => f16::from_f32(value).to_f32(),
        Dtype::BF16 => bf16::from_f32(value).to_f32(),
        _ => value,
    }
}

/// How a model has the values that its decoder takes: less the shift, times the factor. Samplers work on these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normalization {
    /// What is taken away.
    pub shift: f32,
    /// What the rest is multiplied by.
    pub factor: f32,
}

impl Normalization {
    /// The value for a sampler that is this one for the decoder.
    pub fn for_sampler(self, value: f32) -> f32 {
        (value - self.shift) * self.factor
    }

    /// The value for the decoder that is this one for a sampler.
    pub fn for_decoder(self, value: f32) -> f32 {
        value / self.factor + self.shift
    }
}
