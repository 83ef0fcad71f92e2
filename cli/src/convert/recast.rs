//! Conversion of values to the type, or to the scale, of the file that receives them.

use std::io::{self, Write};

use gen5::Dtype;
use gen5_picture::Normalization;

/// Bytes converted at a time: they stay in cache.
const BLOCK: usize = 8 << 10;

/// A writer that converts the bytes of a latent's values to another dtype.
pub struct Recast<W> {
    out: W,
    from: Dtype,
    to: Dtype,
    unscale: Option<Normalization>,
    values: Vec<f32>,
    bytes: Vec<u8>,
}

impl<W: Write> Recast<W> {
    /// Converts values from `from` to `to`, rounding to nearest if necessary. With `unscale`, also
    /// converts them to the decoder's scale.
    pub fn new(out: W, from: Dtype, to: Dtype, unscale: Option<Normalization>) -> Self {
        Self { out, from, to, unscale, values: Vec::new(), bytes: Vec::new() }
    }
}

impl<W: Write> Write for Recast<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.from == self.to && self.unscale.is_none() {
            return self.out.write(bytes);
        }
        let whole = whole(bytes, self.from)?;
        for block in whole.chunks(BLOCK) {
            self.from.widen(block, &mut self.values);
            if let Some(scale) = self.unscale {
                self.values.iter_mut().for_each(|value| *value = scale.for_decoder(*value));
            }
            self.to.narrow(&self.values, &mut self.bytes);
            self.out.write_all(&self.bytes)?;
        }
        Ok(whole.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A writer that checks whether another dtype represents each value exactly, bit for bit.
pub struct Fits {
    from: Dtype,
    to: Dtype,
    multiplied_by: Option<f32>,
    all: bool,
    values: Vec<f32>,
}

impl Fits {
    /// Checks values of dtype `from` against `to`. With a factor, checks numbers that give the
    /// values when multiplied by it as float32.
    pub fn new(from: Dtype, to: Dtype, multiplied_by: Option<f32>) -> Self {
        Self { from, to, multiplied_by, all: true, values: Vec::new() }
    }

    /// Whether all values so far fit.
    pub fn all(&self) -> bool {
        self.all
    }
}

impl Write for Fits {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let whole = whole(bytes, self.from)?;
        for block in whole.chunks(BLOCK) {
            self.from.widen(block, &mut self.values);
            let again = |value: f32| match self.multiplied_by {
                None => self.to.round(value),
                Some(factor) => self.to.round(value / factor) * factor,
            };
            let fits = |value: &f32| again(*value).to_bits() == value.to_bits();
            self.all = self.all && self.values.iter().all(fits);
        }
        Ok(whole.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The complete values in these bytes.
fn whole(bytes: &[u8], dtype: Dtype) -> io::Result<&[u8]> {
    let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % dtype.size());
    if whole.is_empty() && !rest.is_empty() {
        Err(io::Error::new(io::ErrorKind::InvalidInput, "part of a value"))
    } else {
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use gen5::{Element, bf16, f16};

    use super::*;

    fn recast(bytes: &[u8], from: Dtype, to: Dtype, unscale: Option<Normalization>) -> Vec<u8> {
        let mut out = Vec::new();
        Recast::new(&mut out, from, to, unscale).write_all(bytes).unwrap();
        out
    }

    fn fits(values: &[f32], to: Dtype) -> bool {
        let mut fits = Fits::new(Dtype::F32, to, None);
        values.iter().for_each(|value| fits.write_all(&value.to_le_bytes()).unwrap());
        fits.all()
    }

    #[test]
    fn each_value_of_16_bits_is_the_same_after_a_way_through_float32() {
        let all: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        for dtype in [Dtype::F16, Dtype::BF16] {
            let wide = recast(&all, dtype, Dtype::F32, None);
            let mut check = Fits::new(Dtype::F32, dtype, None);
            let (values, _) = wide.as_chunks::<4>();
            for (value, bytes) in values.iter().zip(all.as_chunks::<2>().0) {
                let value = f32::from_le_bytes(*value);
                let expected = match dtype {
                    Dtype::F16 => Element::to_f32(f16::from_le_bytes(*bytes)),
                    _ => Element::to_f32(bf16::from_le_bytes(*bytes)),
                };
                assert_eq!(value.to_bits(), expected.to_bits());
                if !value.is_nan() {
                    check.write_all(&value.to_le_bytes()).unwrap();
                    assert_eq!(recast(&value.to_le_bytes(), Dtype::F32, dtype, None), bytes);
                }
            }
            assert!(check.all());
        }
    }

    #[test]
    fn what_does_not_fit_is_found() {
        assert!(fits(&[0.5, -0.0, 65504.0, f32::INFINITY], Dtype::F16));
        for value in [0.1, 65505.0, 1e-8, 1e30] {
            assert!(!fits(&[0.5, value], Dtype::F16), "{value}");
        }
        assert!(fits(&[0.5, 1e38_f32.round_ties_even(), 3.0 * 2_f32.powi(100)], Dtype::F32));
        assert!(fits(&[3.0 * 2_f32.powi(100)], Dtype::BF16) && !fits(&[1.0 + 2_f32.powi(-8)], Dtype::BF16));
    }

    #[test]
    fn values_are_unscaled_as_float32() {
        let scale = Normalization { shift: 0.5, factor: 0.25 };
        let half: Vec<u8> =
            [1.0, -3.0].iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
        let wide: Vec<u8> = [4.5_f32, -11.5].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(recast(&half, Dtype::F16, Dtype::F32, Some(scale)), wide);
    }

    #[test]
    fn values_in_pieces_are_put_together() {
        let mut out = Vec::new();
        let mut recast = Recast::new(&mut out, Dtype::BF16, Dtype::F32, None);
        assert_eq!(recast.write(&[0x80, 0x3f, 0x80]).unwrap(), 2);
        assert_eq!(recast.write(&[0x80]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(out, 1.0_f32.to_le_bytes());
    }
}
