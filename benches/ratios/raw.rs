//! Raw latents: the only work is copying and hashing, since nothing is compressed.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use gen5::{Compression, Dtype, Element, NonFinite, ReadOptions, Reader, WriteOptions};
use memmap2::Mmap;
use zerocopy::{FromBytes, IntoBytes};

use super::THREADS;
use super::common::{Batch, Scratch, clear, map, sum, write_options};
use super::compare::{Goal, Outcome, Run, Table, timed};
use super::peers;

pub(crate) fn rows(table: &mut Table) {
    let run = table.run;
    let mib = |mib: usize| mib / run.divisor;
    let name =
        format!("map and sum a raw float32 latent of {} MiB, against the plain sum over a mapping", mib(256));
    table.row(&name, Goal::AtLeast(0.97), || map_and_sum(run));

    let name = format!("verify 8 raw latents, {} MiB, mapped, against sha2 alone on both threads", mib(512));
    table.row(&name, Goal::AtLeast(0.95), || verify(run));

    let name = format!(
        "write 8 raw latents, {} MiB, without the finite check, against the bound of two cores",
        mib(512)
    );
    table.row(&name, Goal::AtLeast(0.93), || write_many(run, NonFinite::Keep));
    let name = format!(
        "write 8 raw latents, {} MiB, against the bound of two cores with the finite check",
        mib(512)
    );
    table.row(&name, Goal::AtLeast(0.93), || write_many(run, NonFinite::Refuse));

    let name = format!("write 1 raw latent, {} MiB, against sha2 alone on one thread", mib(512));
    table.row(&name, Goal::AtLeast(0.93), || write_one(run));
    let name = format!(
        "write 1 raw float32 latent of {} MiB as float16, against sha2 alone on one thread",
        mib(512)
    );
    table.row(&name, Goal::AtLeast(0.85), || write_one_as_float16(run));

    let name =
        format!("write 1 raw latent of {} MiB that Auto tries, against one that is not tried", mib(64));
    table.row(&name, Goal::AtLeast(0.98), || write_tried(run));

    let name = format!("read 8 raw latents, {} MiB, opened, against plain pread on both threads", mib(512));
    table.row(&name, Goal::AtLeast(0.95), || read(run));
}

fn raw() -> WriteOptions {
    write_options().compression(Compression::Raw)
}

/// The offset of each latent's values in the file.
fn offsets(reader: &Reader) -> Vec<u64> {
    reader.chunks().iter().map(|chunk| chunk.offset() + chunk.stored_size() - chunk.payload_size()).collect()
}

/// In each timing, both sides map and unmap the same file.
fn map_and_sum(run: Run) -> Outcome {
    let batch = Batch::noise(1, run.size(256));
    let (scratch, expected) = (Scratch::new(), sum(&batch.values[0]));
    let path = scratch.stored(&batch, raw());
    let start = usize::try_from(offsets(&map(&path))[0]).unwrap();
    let ours = || {
        let (took, found) = timed(|| sum(map(&path).slice(&batch.keys[0]).unwrap()));
        assert_eq!(found, expected);
        took
    };
    let plain = || {
        let (took, found) = timed(|| {
            let file = File::open(&path).unwrap();
            // SAFETY: the file is in a folder of this program, which does not change it after
            // writing.
            let bytes = unsafe { Mmap::map(&file) }.unwrap();
            sum(<[f32]>::ref_from_bytes(&bytes[start..start + batch.size()]).unwrap())
        });
        assert_eq!(found, expected);
        took
    };
    run.in_turn(ours, plain).speeds(batch.size())
}

/// In each timing, both sides map and unmap the same file.
fn verify(run: Run) -> Outcome {
    let batch = Batch::noise(8, run.size(512) / 8);
    let scratch = Scratch::new();
    let path = scratch.stored(&batch, raw());
    let reader = map(&path);
    let expected: Vec<_> = reader.chunks().iter().map(|chunk| chunk.sha256().0).collect();
    let (starts, size) = (offsets(&reader), batch.size() / 8);
    let ours = || {
        let (took, report) = timed(|| map(&path).verify().unwrap());
        assert_eq!(report.payload_size(), batch.size() as u64);
        took
    };
    let plain = || {
        let (took, found) = timed(|| {
            let file = File::open(&path).unwrap();
            // SAFETY: the file is in a folder of this program, which does not change it after
            // writing.
            let bytes = unsafe { Mmap::map(&file) }.unwrap();
            let start = |start: &u64| usize::try_from(*start).unwrap();
            let slices: Vec<&[u8]> =
                starts.iter().map(start).map(|start| &bytes[start..start + size]).collect();
            peers::hash_side_by_side(&slices)
        });
        assert_eq!(found, expected);
        took
    };
    run.in_turn(ours, plain).speeds(batch.size())
}

/// The time to write a file, from creating to publishing it. The file is then compared with
/// `expected`.
fn time_write<G: Element, E: Element>(
    scratch: &Scratch,
    batch: &Batch<G>,
    options: WriteOptions,
    expected: &Batch<E>,
) -> Duration {
    let path = scratch.fresh();
    let (took, _) = timed(|| batch.write(options, &path));
    expected.assert_stored(&path);
    took
}

/// The bound for two cores: each byte is hashed and written once, which two threads can do in half
/// the time of one. If ours checks for finite values, the bound does too, at the speed of values in
/// cache.
fn write_many(run: Run, non_finite: NonFinite) -> Outcome {
    let batch = Batch::noise(8, run.size(512) / 8);
    let scratch = Scratch::new();
    let slices = || batch.values.iter().map(|values| values.as_bytes());
    let expected = peers::hash(slices());
    let bound = || {
        let path = scratch.fresh();
        let (hash, found) = timed(|| peers::hash(slices()));
        assert_eq!(found, expected);
        let (write, ()) = timed(|| peers::write_new(&path, slices()));
        assert_written(&path, batch.size());
        let check = match non_finite {
            NonFinite::Keep => Duration::ZERO,
            _ => timed(|| peers::check_finite_in_cache(&batch.values[0], batch.size() / size_of::<f32>())).0,
        };
        (hash + write + check) / u32::try_from(THREADS).unwrap()
    };
    let ours = || time_write(&scratch, &batch, raw().non_finite(non_finite), &batch);
    run.in_turn(ours, bound).speeds(batch.size())
}

fn assert_written(path: &Path, size: usize) {
    assert_eq!(std::fs::metadata(path).unwrap().len(), size as u64);
}

/// Two threads cannot share one hash, so hashing is the limit, and writing and checking must
/// overlap with it. Ours checks for finite values, as by default.
fn write_one(run: Run) -> Outcome {
    let batch = Batch::noise(1, run.size(512));
    let scratch = Scratch::new();
    let ours = || time_write(&scratch, &batch, raw(), &batch);
    run.in_turn(ours, || time_hash(&batch)).speeds(batch.size())
}

/// Like [`write_one`]. The hash covers the written bytes, half of those given.
fn write_one_as_float16(run: Run) -> Outcome {
    let batch = Batch::noise(1, run.size(512));
    let (scratch, half) = (Scratch::new(), batch.to_float16());
    let ours = || time_write(&scratch, &batch, raw().dtype(Dtype::F16), &half);
    run.in_turn(ours, || time_hash(&half)).speeds(half.size())
}

/// The cost of trying compression on values that stay raw: both sides write the same file.
fn write_tried(run: Run) -> Outcome {
    let batch = Batch::noise(1, run.size(64));
    let scratch = Scratch::new();
    let tried = || time_write(&scratch, &batch, raw().compression(Compression::Auto), &batch);
    run.in_turn(tried, || time_write(&scratch, &batch, raw(), &batch)).speeds(batch.size())
}

fn time_hash<T: Element>(batch: &Batch<T>) -> Duration {
    let (took, found) = timed(|| peers::hash(batch.values.iter().map(|values| values.as_bytes())));
    std::hint::black_box(found);
    took
}

/// Both sides have the file open, and read into the same buffers, whose pages are already mapped.
fn read(run: Run) -> Outcome {
    let batch = Batch::noise(8, run.size(512) / 8);
    let scratch = Scratch::new();
    let path = scratch.stored(&batch, raw());
    let reader = ReadOptions::new().open(&path).unwrap();
    let (file, offsets) = (File::open(&path).unwrap(), offsets(&reader));
    let buffers = std::cell::RefCell::new(batch.warm_buffers());
    let time = |read: &dyn Fn(&mut [Vec<f32>])| {
        let buffers = &mut *buffers.borrow_mut();
        clear(buffers);
        let (took, ()) = timed(|| read(buffers));
        batch.assert_read(buffers);
        took
    };
    let plain = |buffers: &mut [Vec<f32>]| {
        let mut places: Vec<_> = buffers.iter_mut().map(|buffer| buffer.as_mut_bytes()).collect();
        peers::read_side_by_side(&file, &offsets, &mut places);
    };
    run.in_turn(|| time(&|buffers| batch.load_into(&reader, buffers)), || time(&plain)).speeds(batch.size())
}
