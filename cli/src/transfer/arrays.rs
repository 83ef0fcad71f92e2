//! Arrays of files copied into a GEN5 file: small ones whole and in batches, large ones block by
//! block.
//!
//! Compression is decided in the order of the latents, so a file's bytes do not depend on the
//! number of threads.

use std::io::Read;

use anyhow::Result;
use gen5::{ByteStream, Writer};
use rayon::prelude::*;

use crate::convert::LatentArray;
use crate::transfer::batch::{BATCH, together};

/// Number of arrays streamed in parallel: each keeps a file open.
const STREAMS: usize = 64;

/// Bytes per read and push.
const BLOCK: usize = 4 << 20;

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
    let latents = arrays.iter().zip(&values).map(|(array, values)| {
        gen5::Array::from_bytes(array.key.as_str(), array.dtype, &array.shape, values)
    });
    Ok(writer.latents(latents.collect::<gen5::Result<Vec<_>>>()?)?)
}

fn read(array: &LatentArray) -> Result<Vec<u8>> {
    let mut values = vec![0; usize::try_from(array.payload_size())?];
    array.open()?.read_exact(&mut values)?;
    Ok(values)
}

/// An array while it is streamed into the file.
struct ArrayStream {
    values: Box<dyn Read + Send>,
    latent: ByteStream<'static>,
    block: Vec<u8>,
}

impl ArrayStream {
    fn open(writer: &mut Writer<'static>, array: &LatentArray) -> Result<Self> {
        let latent = writer.stream_bytes(array.key.as_str(), array.dtype, &array.shape)?;
        Ok(Self { values: array.open()?, latent, block: Vec::new() })
    }

    /// Pushes a block of values, if any are left.
    fn push_block(&mut self) -> Result<()> {
        let left = usize::try_from(self.latent.remaining()).unwrap_or(usize::MAX);
        self.block.resize(left.min(BLOCK), 0);
        self.values.read_exact(&mut self.block)?;
        Ok(self.latent.push(&self.block)?)
    }

    /// Pushes all remaining values.
    fn finish(mut self) -> Result<()> {
        while self.latent.remaining() > 0 {
            self.push_block()?;
        }
        Ok(self.latent.finish()?)
    }
}

/// Streams arrays larger than a batch. Raw arrays, whose offsets are known, are streamed in
/// parallel. Compressed ones follow one at a time, since the parts of each are compressed in
/// parallel.
fn stream(writer: &mut Writer<'static>, arrays: &[LatentArray]) -> Result<()> {
    let mut raw = Vec::new();
    let mut compressed = Vec::new();
    for array in arrays {
        let mut stream = ArrayStream::open(writer, array)?;
        while stream.latent.is_compressed().is_none() {
            stream.push_block()?;
        }
        let same = if stream.latent.is_compressed() == Some(true) { &mut compressed } else { &mut raw };
        same.push(stream);
    }
    raw.into_par_iter().try_for_each(ArrayStream::finish)?;
    compressed.into_iter().try_for_each(ArrayStream::finish)
}
