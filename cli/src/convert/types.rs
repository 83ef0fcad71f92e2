//! The types of array elements in foreign files, under all their names there.

use ::safetensors::Dtype as Tensor;
use gen5::Dtype;

/// A supported element type: of latents, or, in a known layout, of small arrays stored with the
/// latents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A type that GEN5 supports.
    Latent(Dtype),
    /// Any other type.
    Other(Other),
}

/// An element type that GEN5 does not support. All are little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// One byte, 0 or 1.
    Bool,
    /// A signed integer of this many bytes.
    Int(usize),
    /// An unsigned integer of this many bytes.
    Uint(usize),
    /// An 8-byte float.
    F64,
}

impl Other {
    const ALL: [Self; 10] = [
        Self::Bool,
        Self::Int(1),
        Self::Int(2),
        Self::Int(4),
        Self::Int(8),
        Self::Uint(1),
        Self::Uint(2),
        Self::Uint(4),
        Self::Uint(8),
        Self::F64,
    ];
}

impl From<Dtype> for Type {
    fn from(dtype: Dtype) -> Self {
        Self::Latent(dtype)
    }
}

impl Type {
    /// Size of an element in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::Latent(dtype) => dtype.size(),
            Self::Other(Other::Bool) => 1,
            Self::Other(Other::Int(size) | Other::Uint(size)) => size,
            Self::Other(Other::F64) => 8,
        }
    }

    /// Size of an array in bytes; `None` on overflow.
    pub fn size_of_array(self, shape: &[usize]) -> Option<u64> {
        // If an axis is 0, the others do not matter.
        if shape.contains(&0) {
            Some(0)
        } else {
            shape.iter().try_fold(self.size() as u64, |size, &axis| size.checked_mul(axis as u64))
        }
    }

    /// Its name in numpy and torch: `float32`, `int64`.
    pub fn name(self) -> String {
        let bits = self.size() * 8;
        match self {
            Self::Latent(dtype) => dtype.name().to_owned(),
            Self::Other(Other::Bool) => "bool".to_owned(),
            Self::Other(Other::Int(_)) => format!("int{bits}"),
            Self::Other(Other::Uint(_)) => format!("uint{bits}"),
            Self::Other(Other::F64) => "float64".to_owned(),
        }
    }

    /// The type with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        let latents = [Dtype::F16, Dtype::BF16, Dtype::F32].map(Self::Latent);
        latents.into_iter().chain(Other::ALL.map(Self::Other)).find(|kind| kind.name() == name)
    }

    /// Its code in the header of a `.npy` array; `None` for bfloat16, which numpy lacks.
    pub(super) fn npy_code(self) -> Option<String> {
        let size = self.size();
        match self {
            Self::Latent(Dtype::BF16) => None,
            Self::Latent(_) | Self::Other(Other::F64) => Some(format!("<f{size}")),
            Self::Other(Other::Bool) => Some("|b1".to_owned()),
            Self::Other(Other::Int(_)) => Some(format!("{}i{size}", if size == 1 { '|' } else { '<' })),
            Self::Other(Other::Uint(_)) => Some(format!("{}u{size}", if size == 1 { '|' } else { '<' })),
        }
    }

    /// The type with this code in the header of a `.npy` array.
    pub(super) fn of_npy_code(code: &str) -> Option<Self> {
        let latents = [Dtype::F16, Dtype::F32].map(Self::Latent);
        let mut all = latents.into_iter().chain(Other::ALL.map(Self::Other));
        all.find(|kind| kind.npy_code().as_deref() == Some(code))
    }

    /// Its safetensors type.
    pub(super) fn tensor(self) -> Option<Tensor> {
        Some(match self {
            Self::Latent(Dtype::F16) => Tensor::F16,
            Self::Latent(Dtype::BF16) => Tensor::BF16,
            Self::Latent(Dtype::F32) => Tensor::F32,
            Self::Other(Other::Bool) => Tensor::BOOL,
            Self::Other(Other::Int(1)) => Tensor::I8,
            Self::Other(Other::Int(2)) => Tensor::I16,
            Self::Other(Other::Int(4)) => Tensor::I32,
            Self::Other(Other::Int(8)) => Tensor::I64,
            Self::Other(Other::Uint(1)) => Tensor::U8,
            Self::Other(Other::Uint(2)) => Tensor::U16,
            Self::Other(Other::Uint(4)) => Tensor::U32,
            Self::Other(Other::Uint(8)) => Tensor::U64,
            Self::Other(Other::F64) => Tensor::F64,
            _ => return None,
        })
    }

    /// The type for a safetensors type.
    pub(super) fn of_tensor(tensor: Tensor) -> Option<Self> {
        let latents = [Dtype::F16, Dtype::BF16, Dtype::F32].map(Self::Latent);
        let mut all = latents.into_iter().chain(Other::ALL.map(Self::Other));
        all.find(|kind| kind.tensor() == Some(tensor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back() {
        let all = Other::ALL.map(Type::Other).into_iter().chain([Dtype::F16, Dtype::F32].map(Type::Latent));
        for kind in all {
            assert_eq!(Type::of_name(&kind.name()), Some(kind));
            assert_eq!(Type::of_npy_code(&kind.npy_code().unwrap()), Some(kind));
            assert_eq!(Type::of_tensor(kind.tensor().unwrap()), Some(kind));
        }
        let bfloat16 = Type::Latent(Dtype::BF16);
        assert_eq!((bfloat16.npy_code(), Type::of_name("bfloat16")), (None, Some(bfloat16)));
        assert_eq!(Type::of_tensor(Tensor::BF16), Some(bfloat16));
        for name in ["", "int24", "float8", "complex64"] {
            assert_eq!(Type::of_name(name), None);
        }
    }
}
