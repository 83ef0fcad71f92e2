//! Difficult conditions for a writer: several threads, panics, unusual sinks, and refused calls in
//! between. A file that finishes successfully is sound.

use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gen5::environment::Component;
use gen5::{Compression, Environment, Error, Reader, WriteOptions};
use rayon::prelude::*;

use crate::support::{in_pool, metadata, noise, write};
use crate::writing::Watched;

fn zstd(part_size: u64) -> WriteOptions {
    WriteOptions::new().compression(Compression::Zstd).part_size(Some(part_size)).sync(false)
}

#[test]
fn refused_calls_beside_a_stream_cost_it_nothing() {
    let folder = tempfile::tempdir().unwrap();
    for (round, options) in [
        zstd(10_000),
        WriteOptions::new().compression(Compression::Raw).sync(false),
        WriteOptions::new().part_size(Some(10_000)).sync(false),
        zstd(10_000).compression(Compression::Shuffled),
        zstd(700),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{round}.gen5"));
        let row = noise(round as u64, 2500);
        let mut writer = options.create(&path).unwrap();
        let mut stream = writer.stream::<f32>("stream", &[60, 2500]).unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let mut bad = noise(7, 100_000);
        bad[99_999] = f32::NAN;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                (0..60).for_each(|_| stream.push(&row).unwrap());
                stream.finish().unwrap();
                done.store(true, Ordering::Release);
            });
            while !done.load(Ordering::Acquire) {
                assert!(matches!(writer.latent("beside", &[100_000], &bad), Err(Error::NonFinite { .. })));
            }
        });
        bad[99_999] = 0.0;
        writer.latent("beside", &[100_000], &bad).unwrap();
        writer.finish(&metadata()).unwrap();
        let reader = Reader::open(&path).unwrap();
        reader.verify().unwrap();
        let stream = reader.latent("stream").unwrap().read::<f32>().unwrap().into_owned();
        assert!(stream.chunks(2500).all(|read| read == row));
        assert_eq!(reader.latent("beside").unwrap().read::<f32>().unwrap(), bad);
        // The bytes of refused calls are overwritten with zeros.
        let file = std::fs::read(&path).unwrap();
        let mut end = 32;
        for chunk in reader.chunks() {
            let start = usize::try_from(chunk.offset()).unwrap();
            assert!(file[end..start].iter().all(|byte| *byte == 0), "{end}..{start}");
            end = usize::try_from(chunk.offset() + chunk.stored_size()).unwrap();
        }
    }
}

/// Writes a file to `path`, optionally with a large call that is refused after much of it was
/// written.
fn with_refusal(path: &Path, options: WriteOptions, refused: bool) -> Vec<u8> {
    let mut writer = options.create(path).unwrap();
    writer.latent("first", &[1000], &noise(1, 1000)).unwrap();
    if refused {
        let mut bad = noise(2, 400_000);
        bad[399_999] = f32::INFINITY;
        assert!(matches!(
            writer.latent("bad", &[400, 1000], &bad),
            Err(Error::NonFinite { index: 399_999, .. })
        ));
    }
    writer.latent("last", &[500], &noise(3, 500)).unwrap();
    writer.finish(&metadata()).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn a_refused_call_leaves_no_trace_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    let shuffled = zstd(64_000).compression(Compression::Shuffled);
    for options in [WriteOptions::new(), zstd(u64::MAX), zstd(64_000), shuffled] {
        let plain = with_refusal(&path, options.clone(), false);
        Reader::from_bytes(plain.clone()).unwrap().verify().unwrap();
        for threads in [1, 3] {
            assert_eq!(in_pool(threads, || with_refusal(&path, options.clone(), true)), plain, "{options:?}");
        }
    }
}

#[test]
fn a_panic_in_the_callers_code_spoils_the_file() {
    for compression in [Compression::Raw, Compression::Zstd, Compression::Shuffled, Compression::Auto] {
        for at in 0..6 {
            let calls = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&calls);
            let progress = move |_| assert_ne!(counted.fetch_add(1, Ordering::Relaxed), at, "stop here");
            let options =
                WriteOptions::new().compression(compression).part_size(Some(40_000)).progress(progress);
            let mut out = Cursor::new(Vec::new());
            let mut writer = options.to_writer(&mut out).unwrap();
            let mut stream = writer.stream::<f32>("stream", &[8, 10_000]).unwrap();
            let row = noise(1, 10_000);
            let panicked = (0..8).any(|_| catch_unwind(AssertUnwindSafe(|| stream.push(&row))).is_err())
                || catch_unwind(AssertUnwindSafe(|| writer.latent("all", &[80_000], &noise(2, 80_000))))
                    .is_err();
            assert!(panicked, "{compression:?}: only {} calls", calls.load(Ordering::Relaxed));
            let _ = stream.finish();
            assert!(
                matches!(writer.finish(&metadata()), Err(Error::WriterFailed { .. })),
                "{compression:?}, call {at}"
            );
        }
    }
}

/// The number of chunks in a file is limited, so a call can fail after its first windows were
/// written.
#[test]
fn calls_refused_for_their_number_of_chunks_leave_a_whole_file() {
    let values = noise(1, 150_000);
    let fill = |writer: &mut gen5::Writer<'_>| -> gen5::Result<()> {
        let arrays = ["a", "b"].map(|key| gen5::Array::new(key, &[150_000], &values));
        let error = writer.latents(arrays).unwrap_err();
        assert!(error.to_string().contains("chunks of a file"), "{error}");
        writer.latent("c", &[3], &values[..3])
    };
    let (file, _) = write(zstd(4), fill).unwrap();
    // Their bytes cannot be cut off in memory, so they are zeroed.
    let first = usize::try_from(Reader::from_bytes(file.clone()).unwrap().chunks()[0].offset()).unwrap();
    assert!(first > 3 << 18 && file[32..first].iter().all(|byte| *byte == 0), "{first}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    let mut writer = zstd(4).create(&path).unwrap();
    fill(&mut writer).unwrap();
    writer.finish(&metadata()).unwrap();
    for file in [file, std::fs::read(path).unwrap()] {
        let reader = Reader::from_bytes(file).unwrap();
        reader.verify().unwrap();
        assert_eq!(reader.latents().map(|latent| latent.len()).collect::<Vec<_>>(), [3]);
    }
}

/// If written bytes cannot be removed, a call writes nothing before it has checked all values.
#[test]
fn nothing_of_a_refused_call_is_written_where_it_would_stay() {
    let writes = AtomicU64::new(0);
    let mut sink = Watched(Cursor::new(Vec::new()), || _ = writes.fetch_add(1, Ordering::Relaxed));
    let mut writer = zstd(40_000).to_writer(&mut sink).unwrap();
    writer.latent("first", &[20_000], &noise(1, 20_000)).unwrap();
    let before = writes.load(Ordering::Relaxed);
    assert_ne!(before, 0);
    let (good, mut bad) = (noise(2, 20_000), noise(3, 20_000));
    bad[19_999] = f32::NAN;
    let arrays =
        [("good", &good), ("bad", &bad)].map(|(key, values)| gen5::Array::new(key, &[20_000], values));
    assert!(matches!(writer.latents(arrays), Err(Error::NonFinite { index: 19_999, .. })));
    assert_eq!(writes.load(Ordering::Relaxed), before);
    writer.finish(&metadata()).unwrap();
}

/// A sink that uses rayon in the middle of a write.
struct Parallel(Cursor<Vec<u8>>);

impl Write for Parallel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sum: u64 = (0..2000_u64).into_par_iter().map(|n| n ^ bytes.len() as u64).sum();
        std::hint::black_box(sum);
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Seek for Parallel {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_sink_may_use_rayon_itself() {
    let (done, wait) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for threads in [1, 2, 4] {
            in_pool(threads, || {
                for options in [WriteOptions::new(), zstd(4000)] {
                    let mut sink = Parallel(Cursor::new(Vec::new()));
                    let mut writer = options.to_writer(&mut sink).unwrap();
                    let latents: Vec<Vec<f32>> = (0..40).map(|seed| noise(seed, 3000)).collect();
                    let keys = (0..40).map(|key: usize| format!("{key}"));
                    let arrays =
                        keys.zip(&latents).map(|(key, values)| gen5::Array::new(key, &[3, 1000], values));
                    writer.latents(arrays).unwrap();
                    writer.finish(&metadata()).unwrap();
                    Reader::from_bytes(sink.0.into_inner()).unwrap().verify().unwrap();
                }
            });
        }
        done.send(()).unwrap();
    });
    wait.recv_timeout(std::time::Duration::from_secs(60)).expect("a deadlock");
}

#[test]
fn what_readers_refuse_by_default_is_not_written() {
    let (file, _) = write(WriteOptions::new(), |writer| {
        writer.latent("64 axes", &[1; 64], &[1.0_f32])?;
        let error = writer.latent("65 axes", &[1; 65], &[1.0_f32]).unwrap_err();
        assert!(error.to_string().contains("at most 64 axes"), "{error}");
        let long = Environment::new([Component::new("x", "y".repeat(17 << 20))]);
        let error = writer.environment(&long).unwrap_err();
        assert!(error.to_string().contains("at most 16777216 bytes"), "{error}");
        writer.environment(&Environment::default())
    })
    .unwrap();
    Reader::from_bytes(file).unwrap().verify().unwrap();

    let mut out = Cursor::new(Vec::new());
    let writer = WriteOptions::new().to_writer(&mut out).unwrap();
    let prompt = "p".repeat(129 << 20);
    let long = gen5::Metadata::builder("m", "1").prompt(prompt).build().unwrap();
    assert!(
        writer
            .finish(&long)
            .unwrap_err()
            .to_string()
            .starts_with("manifest: expected at most 134217728 bytes")
    );
}

#[test]
#[cfg(feature = "image")]
fn an_image_too_large_to_be_decoded_is_stored_and_noted() {
    let image = include_bytes!("../data/huge.png"); // its header claims 30,000 x 30,000 pixels
    let (file, summary) = write(WriteOptions::new(), |writer| writer.image(image)).unwrap();
    assert_eq!(summary.notes.len(), 1);
    assert!(summary.notes[0].starts_with("the image is stored unchecked"), "{:?}", summary.notes);
    assert_eq!(Reader::from_bytes(file).unwrap().image().unwrap().unwrap(), &image[..]);
}

/// The time to read rows one by one must be proportional to their number, not to the number of
/// parts.
#[test]
fn rows_of_many_parts_are_found_without_a_walk() {
    let rows = 20_000;
    let values: Vec<f32> = (0..rows as u16).map(f32::from).collect();
    let (file, summary) = write(zstd(4), |writer| writer.latent("x", &[rows], &values)).unwrap();
    assert_eq!(summary.latents[0].parts, rows);
    let latent = Reader::from_bytes(file).unwrap().latent("x").unwrap();
    for row in (0..rows).step_by(7) {
        assert_eq!(*latent.rows(row..row + 1).unwrap().read::<f32>().unwrap(), [row as f32]);
        assert_eq!(latent.rows(row..row + 1).unwrap().chunks().count(), 1);
    }
}
