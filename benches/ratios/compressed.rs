//! Compressed latents, against one-shot calls of zstd alone, with warm contexts and buffers.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::path::Path;

use gen5::chunk::ChunkRecord;
use gen5::{Compression, ReadOptions, Reader, WriteOptions};
use rayon::prelude::*;
use zerocopy::IntoBytes;
use zstd::zstd_safe::compress_bound;

use super::common::{Batch, KIB, MIB, Scratch, clear, write_options};
use super::compare::{Goal, Outcome, Run, Table, timed};
use super::peers;

/// The size of the chunk header at the start of every frame's content.
const CHUNK_HEADER: usize = 12;

/// The number of parts of a single latent, on both sides.
pub(crate) const PARTS: usize = 4;

pub(crate) fn rows(table: &mut Table) {
    let run = table.run;
    let whole = run.size(256);
    let (each, all) = (size(whole / 64), size(whole));
    table.row(
        &format!("load 64 compressed latents of {each}, against zstd alone on both threads"),
        Goal::AtLeast(0.92),
        || read(run, &Batch::noise(64, whole / 64), false),
    );
    table.row(
        &format!("write 1 compressed latent of {all}, against zstd alone on both threads"),
        Goal::AtLeast(0.92),
        || write(run, false),
    );
    table.row(
        &format!("write 1 compressed latent of {all}, against zstd, then sha2, then pwrite on both threads"),
        Goal::AtLeast(0.92),
        || write(run, true),
    );
    table.row(
        &format!("read 1 compressed latent of {all}, against zstd alone on both threads"),
        Goal::AtLeast(0.95),
        || read(run, &Batch::noise(1, whole), false),
    );
    table.row(
        &format!(
            "read 1 compressed latent of {all}, hashes checked, against zstd, then sha2 on both threads"
        ),
        Goal::AtLeast(0.95),
        || read(run, &Batch::noise(1, whole), true),
    );
}

fn size(bytes: usize) -> String {
    if bytes < MIB { format!("{} KiB", bytes / KIB) } else { format!("{} MiB", bytes / MIB) }
}

/// Ours writes a file. The other side compresses the same values in equally many parts; with `all`
/// it also hashes them and writes the frames to a new file.
fn write(run: Run, all: bool) -> Outcome {
    let batch = Batch::noise(1, run.size(256));
    // Reused for all files, so the memory for frames is reused, as on the other side.
    let (scratch, options) = (Scratch::new(), options(run));
    let ours = || {
        let path = scratch.fresh();
        let (took, _) = timed(|| batch.write(options.clone(), &path));
        batch.assert_stored(&path);
        took
    };
    let values = batch.values[0].as_bytes();
    let part = values.len() / PARTS;
    let mut frames = vec![vec![1_u8; compress_bound(part)]; PARTS];
    let plain = || {
        let file = all.then(|| File::create_new(scratch.fresh()).unwrap());
        let (took, sizes) = timed(|| {
            let jobs = values.par_chunks(part).zip(&mut frames).enumerate();
            jobs.map(|(index, (part, frame))| {
                let size = peers::compress(part, frame);
                if let Some(file) = &file {
                    black_box(peers::hash([part]));
                    file.write_all_at(&frame[..size], (index * frame.len()) as u64).unwrap();
                }
                size
            })
            .collect::<Vec<_>>()
        });
        let mut content = vec![0; part];
        for ((part, frame), size) in values.chunks(part).zip(&frames).zip(sizes) {
            peers::decompress(&frame[..size], &mut content);
            assert!(content == part);
        }
        took
    };
    run.in_turn(ours, plain).speeds(batch.size())
}

/// Our file is already mapped, and the other side has its frames in memory. Both fill buffers whose
/// pages are already mapped.
fn read(run: Run, batch: &Batch<f32>, check: bool) -> Outcome {
    let scratch = Scratch::new();
    let path = scratch.stored(batch, options(run));
    // SAFETY: the file is in a folder of this program, which does not change it after writing.
    let reader = unsafe { ReadOptions::new().check_hashes(check).map(&path) }.unwrap();
    let mut buffers = batch.warm_buffers();
    let ours = || {
        clear(&mut buffers);
        let (took, ()) = timed(|| batch.load_into(&reader, &mut buffers));
        batch.assert_read(&buffers);
        took
    };
    let mut frames = Frame::of(&path, &reader);
    let values: Vec<u8> = batch.values.iter().flat_map(|values| values.as_bytes()).copied().collect();
    let plain = || {
        frames.par_iter_mut().for_each(|frame| frame.content.fill(0));
        let (took, ()) = timed(|| frames.par_iter_mut().for_each(|frame| frame.decompress(check)));
        let found = frames.iter().flat_map(|frame| frame.content[CHUNK_HEADER..].chunks(KIB));
        assert!(found.eq(values.chunks(KIB)), "other values were decompressed");
        took
    };
    run.in_turn(ours, plain).speeds(batch.size())
}

/// A compressed chunk as stored, and a buffer for its content.
struct Frame {
    bytes: Vec<u8>,
    sha256: [u8; 32],
    content: Vec<u8>,
}

impl Frame {
    /// The frames of all chunks.
    fn of(path: &Path, reader: &Reader) -> Vec<Self> {
        let file = File::open(path).unwrap();
        let chunks = reader.chunks().iter();
        let frame = |chunk: &ChunkRecord| {
            let mut bytes = vec![0; chunk.stored_size().try_into().unwrap()];
            file.read_exact_at(&mut bytes, chunk.offset()).unwrap();
            let payload: usize = chunk.payload_size().try_into().unwrap();
            Self { bytes, sha256: chunk.sha256().0, content: vec![1; CHUNK_HEADER + payload] }
        };
        chunks.map(frame).collect()
    }

    fn decompress(&mut self, check: bool) {
        peers::decompress(&self.bytes, &mut self.content);
        if check {
            assert_eq!(peers::hash([&self.content[CHUNK_HEADER..]]), [self.sha256]);
        }
    }
}

pub(crate) fn options(run: Run) -> WriteOptions {
    write_options().compression(Compression::Zstd).level(peers::LEVEL).part_size(part_size(run))
}

/// The part size that cuts a single latent into [`PARTS`] parts.
pub(crate) fn part_size(run: Run) -> Option<u64> {
    Some((run.size(256) / PARTS) as u64)
}
