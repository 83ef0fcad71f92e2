//! Latents copied from one file to another: small ones whole and in batches, large ones block by
//! block.

use std::path::Path;

use anyhow::{Context, Result};
use gen5::{Array, Dtype, Entry, Latent, Reader, Writer};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use crate::failure::of_file;
use crate::transfer::batch::together;
use crate::transfer::read_ahead::Blocks;
use gen5::chunk::{ChunkRecord, ChunkType};

/// A latent to write: the concatenated values of its sources.
pub(crate) struct Parcel<'a> {
    pub(crate) entry: Entry,
    pub(crate) shape: Vec<usize>,
    /// At least one source, all of the same dtype.
    pub(crate) sources: Vec<SourceLatent<'a>>,
}

/// A latent of a file, or some of its rows.
pub(crate) struct SourceLatent<'a> {
    pub(crate) latent: Latent,
    /// The path of the file, for errors.
    pub(crate) path: &'a Path,
}

impl<'a> Parcel<'a> {
    /// A whole latent.
    pub(crate) fn of(latent: Latent, path: &'a Path) -> Self {
        Self {
            entry: Entry::from(&latent),
            shape: latent.shape().to_vec(),
            sources: vec![SourceLatent { latent, path }],
        }
    }

    /// The position in its file of the first source's latent.
    pub(crate) fn index(&self) -> Option<usize> {
        self.sources.first().map(|source| source.latent.index())
    }

    /// The dtype of the source values.
    pub(crate) fn dtype(&self) -> Dtype {
        self.sources.first().map_or(Dtype::F32, |source| source.latent.dtype())
    }

    /// Approximate size in memory.
    fn size(&self) -> u64 {
        let key = self.entry.key().map_or(0, str::len) as u64;
        self.payload_size().saturating_add(key)
    }

    /// Size of the source values in bytes.
    pub(crate) fn payload_size(&self) -> u64 {
        self.sources.iter().map(|source| source.latent.payload_size()).fold(0, u64::saturating_add)
    }
}

/// Writes all parcels, in order. Hashes are checked if the readers check them.
pub(crate) fn carry(writer: &mut Writer<'_>, parcels: Vec<Parcel<'_>>) -> Result<()> {
    let mut parcels = parcels.into_iter();
    while !parcels.as_slice().is_empty() {
        let whole = together(parcels.as_slice().iter().map(Parcel::size));
        if whole > 0 {
            write_whole(writer, parcels.by_ref().take(whole).collect())?;
        } else if let Some(large) = parcels.next() {
            stream(writer, large)?;
        }
    }
    Ok(())
}

fn write_whole(writer: &mut Writer<'_>, parcels: Vec<Parcel<'_>>) -> Result<()> {
    let values = parcels.par_iter().map(read).collect::<Result<Vec<_>>>()?;
    let latents = parcels.into_iter().zip(&values).map(|(parcel, values)| {
        let dtype = parcel.dtype();
        Array::from_bytes(parcel.entry, dtype, &parcel.shape, values)
    });
    Ok(writer.latents(latents.collect::<gen5::Result<Vec<_>>>()?)?)
}

fn read(parcel: &Parcel<'_>) -> Result<Vec<u8>> {
    let mut values = vec![0; usize::try_from(parcel.payload_size())?];
    let mut rest = values.as_mut_slice();
    for SourceLatent { latent, path } in &parcel.sources {
        let (here, later) = rest.split_at_mut(usize::try_from(latent.payload_size())?);
        latent.read_bytes_into(here).map_err(|error| of_file(error, path))?;
        rest = later;
    }
    Ok(values)
}

fn stream(writer: &mut Writer<'_>, parcel: Parcel<'_>) -> Result<()> {
    // One thread reads while others write. It decompresses parts one at a time, which needs memory
    // for only one.
    let reading = ThreadPoolBuilder::new().num_threads(1).build().context("could not start a thread")?;
    let dtype = parcel.dtype();
    let mut stream = writer.stream_bytes(parcel.entry, dtype, &parcel.shape)?;
    for SourceLatent { latent, path } in &parcel.sources {
        reading.in_place_scope(|scope| {
            let mut blocks = Blocks::read(scope, latent);
            loop {
                let block = blocks.rest().map_err(|error| of_file(error, path))?;
                let size = block.len();
                if size == 0 {
                    return Ok::<_, anyhow::Error>(());
                }
                stream.push(block)?;
                blocks.take(size);
            }
        })?;
    }
    Ok(stream.finish()?)
}

/// The chunks that are not latents.
pub(crate) fn others(reader: &Reader) -> impl Iterator<Item = &ChunkRecord> {
    reader.chunks().iter().filter(|chunk| chunk.kind() != ChunkType::LATENT)
}
