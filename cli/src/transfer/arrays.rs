//! Arrays of files copied into a GEN5 file: small ones whole and in batches, large ones block by
//! block.
//!
//! Compression is decided in the order of the latents, so a file's bytes do not depend on the
//! number of threads.

use std::io::Read;

use anyhow::Result;
use gen5::{Dtype, Element, LatentWriter, Writer, bf16, f16};
use rayon::prelude::*;
use zerocopy::IntoBytes;

use crate::convert::LatentArray;
use crate::transfer::batch::{BATCH, LatentValues, together, unsupported};

/// Number of arrays streamed in parallel: each keeps a file open.
const STREAMS: usize = 64;

/// Elements per read and push.
const BLOCK: usize = 1 << 20;

/// Writes all arrays, in order.
pub(crate) fn write_latents(writer: &mut Writer<'static>, mut arrays: &[LatentArray]) -> Result<()> {
    while !arrays.is_empty() {
        let whole = together(arrays.iter().map(LatentArray::payload_size));
        let large = arrays.iter().take_while(|array| array.payload_size() > BATCH).count().min(STREAMS);
        let (now, rest) = arrays.split_at(whole.max(large));
        if whole > 0 {
            write_whole(writer, now)?;
        } else {
            stream(writer, now)?;
        }
        arrays = rest;
    }
    Ok(())
}

fn write_whole(writer: &mut Writer<'static>, arrays: &[LatentArray]) -> Result<()> {
    let values = arrays.par_iter().map(read).collect::<Result<Vec<_>>>()?;
    let latents = arrays.iter().zip(&values);
    Ok(writer.latents(latents.map(|(array, values)| values.array(array.key.as_str(), &array.shape)))?)
}

fn read(array: &LatentArray) -> Result<LatentValues> {
    let mut values = LatentValues::zeroed(array.dtype, array.payload_size())?;
    let bytes = match &mut values {
        LatentValues::F16(values) => values.as_mut_bytes(),
        LatentValues::BF16(values) => values.as_mut_bytes(),
        LatentValues::F32(values) => values.as_mut_bytes(),
    };
    array.open()?.read_exact(bytes)?;
    Ok(values)
}

/// An array while it is streamed into the file.
trait Feed: Send {
    /// Whether the latent is compressed; `None` if the decision needs more values.
    fn is_compressed(&self) -> Option<bool>;

    /// Pushes a block of values, if any are left.
    fn push_block(&mut self) -> Result<()>;

    /// Pushes all remaining values.
    fn finish(self: Box<Self>) -> Result<()>;
}

struct Stream<T: Element> {
    values: Box<dyn Read + Send>,
    latent: LatentWriter<'static, T>,
    block: Vec<T>,
}

impl<T: Element> Feed for Stream<T> {
    fn is_compressed(&self) -> Option<bool> {
        self.latent.is_compressed()
    }

    fn push_block(&mut self) -> Result<()> {
        let left = usize::try_from(self.latent.remaining()).unwrap_or(usize::MAX);
        self.block.resize(left.min(BLOCK), T::default());
        self.values.read_exact(self.block.as_mut_bytes())?;
        Ok(self.latent.push(&self.block)?)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        while self.latent.remaining() > 0 {
            self.push_block()?;
        }
        Ok(self.latent.finish()?)
    }
}

fn open(writer: &mut Writer<'static>, array: &LatentArray) -> Result<Box<dyn Feed>> {
    fn open_as<T: Element>(writer: &mut Writer<'static>, array: &LatentArray) -> Result<Box<dyn Feed>> {
        let latent = writer.stream::<T>(array.key.as_str(), &array.shape)?;
        Ok(Box::new(Stream { values: array.open()?, latent, block: Vec::new() }))
    }
    match array.dtype {
        Dtype::F16 => open_as::<f16>(writer, array),
        Dtype::BF16 => open_as::<bf16>(writer, array),
        Dtype::F32 => open_as::<f32>(writer, array),
        other => Err(unsupported(other)),
    }
}

/// Streams arrays larger than a batch. Raw arrays, whose offsets are known, are streamed in
/// parallel. Compressed ones follow one at a time, since the parts of each are compressed in
/// parallel.
fn stream(writer: &mut Writer<'static>, arrays: &[LatentArray]) -> Result<()> {
    let mut raw = Vec::new();
    let mut compressed = Vec::new();
    for array in arrays {
        let mut feed = open(writer, array)?;
        while feed.is_compressed().is_none() {
            feed.push_block()?;
        }
        let same = if feed.is_compressed() == Some(true) { &mut compressed } else { &mut raw };
        same.push(feed);
    }
    raw.into_par_iter().try_for_each(Feed::finish)?;
    compressed.into_iter().try_for_each(Feed::finish)
}
