//! Arrays in a `.safetensors` file: the length of a JSON header, the header, the values.

use std::collections::BTreeMap;
use std::io::Read;

use ::safetensors::Dtype as Tensor;
use ::safetensors::tensor::{Metadata, TensorInfo};
use anyhow::{Context, Result, anyhow, bail, ensure};
use gen5_picture::text::escape;

use super::ACCEPTED;
use super::array::{ArrayEntry, ValueLocation};
use super::input_file::InputFile;
use super::payload::Tail;
use super::types::Type;
use crate::budget::HEADER_OF_TENSORS;

/// Bytes of the length before the header.
const PREFIX: u64 = 8;

/// The header of a `.safetensors` file.
pub(super) struct Index<'a> {
    input: &'a InputFile,
    /// The offset of the values.
    start: u64,
    /// The tensors in the order of their values.
    tensors: Vec<(String, TensorInfo)>,
    /// The texts stored with the tensors.
    pub(super) metadata: BTreeMap<String, String>,
}

impl<'a> Index<'a> {
    /// Reads the header. The safetensors crate checks that the values of each tensor start where
    /// the previous ones end and match its shape; this function checks that the file ends after the
    /// last of them.
    pub(super) fn open(input: &'a InputFile) -> Result<Self> {
        let (mut file, size) = input.open()?;
        let name = input.name();
        ensure!(size >= PREFIX, "{name} is too short for a .safetensors file");
        let mut length = [0; 8];
        file.read_exact(&mut length).with_context(|| format!("cannot read {name}"))?;
        let length = u64::from_le_bytes(length);
        ensure!(
            length <= HEADER_OF_TENSORS,
            "{name} claims a header of {length} bytes; at most {HEADER_OF_TENSORS} are read: put fewer tensors into a file"
        );
        let start = PREFIX + length;
        ensure!(start <= size, "{name} ends within its header");

        let mut text = Vec::new();
        file.take(length).read_to_end(&mut text).with_context(|| format!("cannot read {name}"))?;
        let metadata: Metadata = serde_json::from_slice(&text)
            .map_err(|error| anyhow!("{name} has no valid header: {}", escape(&error.to_string())))?;
        let expected = start.checked_add(metadata.data_len() as u64);
        if expected != Some(size) {
            let data = size - start;
            let promised = metadata.data_len();
            bail!("{name} has {data} bytes of values, but its header promises {promised}");
        }
        let mut tensors: Vec<_> =
            metadata.tensors().into_iter().map(|(key, info)| (key, info.clone())).collect();
        // Empty tensors are sorted by name, since the crate returns them in any order.
        tensors.sort_by(|(a, left), (b, right)| {
            left.data_offsets.cmp(&right.data_offsets).then_with(|| a.cmp(b))
        });
        let metadata = metadata.metadata().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        Ok(Self { input, start, tensors, metadata })
    }

    /// The names of the arrays.
    pub(super) fn names(&self) -> Vec<&str> {
        self.tensors.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The array at this position in the names.
    pub(super) fn entry(&self, position: usize) -> Result<ArrayEntry> {
        let (key, info) = self.tensors.get(position).context("no such array")?;
        let name = format!("{}:{}", self.input.name(), escape(key));
        let refusal = || {
            format!(
                "{name} holds {} ({}): {ACCEPTED}; convert it first, for example tensor.to(torch.float32)",
                type_name(info.dtype),
                info.dtype
            )
        };
        let Some(kind) = Type::of_tensor(info.dtype) else { bail!("{}", refusal()) };
        let refusal = (!matches!(kind, Type::Latent(_))).then(refusal);
        let (start, end) = info.data_offsets;
        let location = ValueLocation::File {
            input: self.input.clone(),
            start: self.start + start as u64,
            tail: Tail::Any,
        };
        let values = end.saturating_sub(start) as u64;
        ArrayEntry::new(key.clone(), (kind, refusal), info.shape.clone(), false, (location, values), name)
    }
}

fn type_name(dtype: Tensor) -> &'static str {
    match dtype {
        Tensor::F64 => "float64",
        Tensor::BOOL => "bool",
        Tensor::U8 | Tensor::U16 | Tensor::U32 | Tensor::U64 => "unsigned integers",
        Tensor::I8 | Tensor::I16 | Tensor::I32 | Tensor::I64 => "integers",
        Tensor::C64 => "complex64",
        _ => "floats of 8 bits or fewer",
    }
}
