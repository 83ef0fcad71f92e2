//! Arrays in a `.safetensors` file: the length of a JSON header, the header, the values.

use std::io::Read;
use std::path::Path;

use ::safetensors::Dtype as Type;
use ::safetensors::tensor::{Metadata, TensorInfo};
use anyhow::{Context, Result, anyhow, bail, ensure};
use gen5::Dtype;

use super::payload::Tail;
use super::{ACCEPTED, Array, Place, open_file};
use crate::terminal::{escape, shown};

/// Bytes of the length before the header.
const PREFIX: u64 = 8;

/// Bytes of the header; the format allows no more.
const MAX_HEADER: u64 = 100_000_000;

/// The header of a `.safetensors` file.
pub(super) struct Index<'a> {
    path: &'a Path,
    /// Where the values begin.
    start: u64,
    /// In the order of their values.
    tensors: Vec<(String, TensorInfo)>,
}

impl<'a> Index<'a> {
    /// Reads the header. That the values of each tensor are where the ones before end, and as many as its shape says,
    /// is checked by the safetensors crate; that the file ends with the last of them, here.
    pub(super) fn open(path: &'a Path) -> Result<Self> {
        let (mut file, size) = open_file(path)?;
        let name = shown(path);
        ensure!(size >= PREFIX, "{name} is too short for a .safetensors file");
        let mut length = [0; 8];
        file.read_exact(&mut length).with_context(|| format!("cannot read {name}"))?;
        let length = u64::from_le_bytes(length);
        ensure!(
            length <= MAX_HEADER,
            "{name} claims a header of {length} bytes; at most {MAX_HEADER} are allowed"
        );
        let start = PREFIX + length;
        ensure!(start <= size, "{name} ends within its header");

        let mut text = Vec::new();
        file.take(length).read_to_end(&mut text).with_context(|| format!("cannot read {name}"))?;
        let metadata: Metadata = serde_json::from_slice(&text)
            .map_err(|error| anyhow!("{name} has no valid header: {}", escape(&error.to_string())))?;
        let expected = start.checked_add(metadata.data_len() as u64);
        if expected != Some(size) {
            let (data, promised) = (size - start, metadata.data_len());
            bail!("{name} has {data} bytes of values, but its header promises {promised}");
        }
        let mut tensors: Vec<_> =
            metadata.tensors().into_iter().map(|(key, info)| (key, info.clone())).collect();
        // By name where the values of several are empty, since the crate gives these in any order.
        tensors.sort_by(|(a, left), (b, right)| {
            left.data_offsets.cmp(&right.data_offsets).then_with(|| a.cmp(b))
        });
        Ok(Self { path, start, tensors })
    }

    /// The names of the arrays.
    pub(super) fn names(&self) -> Vec<&str> {
        self.tensors.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The array at this position of the names.
    pub(super) fn array(&self, position: usize) -> Result<Array> {
        let (key, info) = self.tensors.get(position).context("no such array")?;
        let name = format!("{}:{}", shown(self.path), escape(key));
        let dtype = match info.dtype {
            Type::F16 => Dtype::F16,
            Type::BF16 => Dtype::BF16,
            Type::F32 => Dtype::F32,
            other => bail!(
                "{name} holds {} ({other}): {ACCEPTED}; convert it first, for example tensor.to(torch.float32)",
                type_name(other)
            ),
        };
        let (start, end) = info.data_offsets;
        let place =
            Place::File { path: self.path.to_owned(), start: self.start + start as u64, tail: Tail::Any };
        let array = Array::new(key.clone(), dtype, info.shape.clone(), false, place, name)?;
        array.expect_size(end.saturating_sub(start) as u64)?;
        Ok(array)
    }
}

fn type_name(dtype: Type) -> &'static str {
    match dtype {
        Type::F64 => "float64",
        Type::BOOL => "bool",
        Type::U8 | Type::U16 | Type::U32 | Type::U64 => "unsigned integers",
        Type::I8 | Type::I16 | Type::I32 | Type::I64 => "integers",
        Type::C64 => "complex64",
        _ => "floats of 8 bits or fewer",
    }
}
