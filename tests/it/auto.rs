//! `Compression::Auto`: compressible values are compressed and others stay raw. The choice depends
//! neither on threads nor on how a stream is pushed.

use std::io::Cursor;

use gen5::{
    Array, Compression, Dtype, Element, Error, LatentStream, Reader, Summary, WriteOptions, Writer, f16,
};
use rayon::prelude::*;

use crate::support::{as_float16, in_pool, metadata, noise, open, within_a_minute, write};

/// Elements of each latent: 32 KiB as float32, several times the size from which `Auto` tries
/// compression.
const LEN: usize = 8000;

fn auto() -> WriteOptions {
    WriteOptions::new().sync(false)
}

/// Options that cut a latent into five parts.
fn in_parts() -> WriteOptions {
    auto().part_size(Some((LEN * 4 / 5) as u64))
}

/// Values that are compressible for three different reasons.
fn shrinking() -> [(&'static str, Vec<f32>); 3] {
    let quantised = noise(1, LEN).iter().map(|value| (value * 8.0).round() / 8.0).collect();
    let sparse = noise(2, LEN).iter().map(|&value| if value > 1.0 { value } else { 0.0 }).collect();
    [("quantised", quantised), ("sparse", sparse), ("constant", vec![0.25; LEN])]
}

fn half(values: &[f32]) -> Vec<f16> {
    values.iter().map(|&value| f16::from_f32(value)).collect()
}

fn stream<T: Element>(mut stream: LatentStream<'_, T>, values: &[T], pushed: usize) -> gen5::Result<()> {
    values.chunks(pushed).try_for_each(|values| stream.push(values))?;
    stream.finish()
}

/// The key of each latent of a summary, whether it is compressed, and the number of its parts.
fn stored(summary: &Summary) -> Vec<(&str, bool, usize)> {
    summary
        .latents
        .iter()
        .map(|latent| (latent.key.as_deref().unwrap(), latent.compressed, latent.parts))
        .collect()
}

fn read(reader: &Reader, key: &str) -> Vec<f32> {
    reader.latent(key).unwrap().read::<f32>().unwrap().into_owned()
}

#[test]
fn noise_stays_raw_and_can_be_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    let values = noise(1, LEN);
    let mut writer = in_parts().create(&path).unwrap();
    writer
        .latents([Array::new("x", &[5, LEN / 5], &values), Array::new("h", &[LEN], &half(&values))])
        .unwrap();
    stream(writer.stream::<f32>("s", &[5, LEN / 5]).unwrap(), &values, 777).unwrap();
    let summary = writer.finish(&metadata()).unwrap();
    assert_eq!(stored(&summary), [("x", false, 1), ("h", false, 1), ("s", false, 1)]);
    // SAFETY: nothing else touches the file while the test runs.
    #[allow(unsafe_code)]
    let mapped = unsafe { Reader::map(&path) }.unwrap();
    mapped.verify().unwrap();
    assert_eq!(mapped.slice::<f32>("x").unwrap(), values);
    assert_eq!(mapped.slice::<f32>("s").unwrap(), values);
    assert_eq!(mapped.slice::<f16>("h").unwrap(), half(&values));
}

#[test]
fn what_shrinks_is_compressed_and_told() {
    for (name, values) in shrinking() {
        for (options, parts) in [(auto(), 1), (in_parts(), 5)] {
            let (file, summary) = write(options.clone(), |writer| {
                writer.latent("x", &[5, LEN / 5], &values)?;
                stream(writer.stream::<f32>("s", &[5, LEN / 5])?, &values, 777)
            })
            .unwrap();
            assert_eq!(stored(&summary), [("x", true, parts), ("s", true, parts)], "{name}");
            for latent in &summary.latents {
                assert!(latent.stored_size * 100 <= latent.payload_size * 90, "{name}: {latent:?}");
            }
            let reader = open(file);
            reader.verify().unwrap();
            assert_eq!((read(&reader, "x"), read(&reader, "s")), (values.clone(), values.clone()), "{name}");
            let (_, summary) = write(options.dtype(Dtype::F16), |writer| {
                writer.latents([Array::new("x", &[LEN], &values), Array::new("h", &[LEN], &half(&values))])
            })
            .unwrap();
            assert!(summary.latents.iter().all(|latent| latent.compressed), "{name} as float16");
        }
    }
}

/// `Auto` writes the same bytes as the compression that it chooses.
#[test]
fn what_is_chosen_is_written_as_if_it_had_been_asked_for() {
    let values = [noise(1, LEN), shrinking()[0].1.clone()];
    for (values, asked) in values.iter().zip([Compression::Raw, Compression::Zstd]) {
        for options in [auto(), in_parts(), auto().level(9), auto().dtype(Dtype::F16)] {
            let file = |compression| {
                let options = options.clone().compression(compression);
                write(options, |writer| {
                    writer.latent("x", &[5, LEN / 5], values)?;
                    stream(writer.stream::<f32>("s", &[5, LEN / 5])?, values, 777)
                })
                .unwrap()
                .0
            };
            assert!(file(Compression::Auto) == file(asked), "{asked:?}, {options:?}");
        }
    }
}

#[test]
fn the_first_part_of_a_stream_decides() {
    let (noise, zeros) = (noise(1, LEN), vec![0.0; LEN]);
    for (first, rest, compressed) in [(&noise, &zeros, false), (&zeros, &noise, true)] {
        let values = [&first[..LEN / 5], &rest[LEN / 5..]].concat();
        for pushed in [1, LEN / 5, LEN / 5 + 1, LEN] {
            let (file, summary) = write(in_parts(), |writer| {
                stream(writer.stream::<f32>("x", &[5, LEN / 5])?, &values, pushed)
            })
            .unwrap();
            assert_eq!(stored(&summary), [("x", compressed, if compressed { 5 } else { 1 })]);
            let reader = open(file);
            reader.verify().unwrap();
            assert_eq!(read(&reader, "x"), values, "pushes of {pushed}");
        }
    }
}

#[test]
fn the_sizes_of_pushes_have_no_say() {
    for (name, values) in shrinking().into_iter().chain([("noise", noise(1, LEN))]) {
        for compression in [Compression::Auto, Compression::Raw, Compression::Zstd, Compression::Shuffled] {
            for float16 in [false, true] {
                let options = as_float16(in_parts().compression(compression), float16);
                let file = |pushed: usize| {
                    let fill = |writer: &mut Writer<'_>| {
                        stream(writer.stream::<f32>("x", &[1, 40, LEN / 40])?, &values, pushed)
                    };
                    write(options.clone(), fill).unwrap().0
                };
                let expected = file(LEN);
                for pushed in [1, 3, 999, LEN / 5 - 1, LEN / 5 + 1, LEN - 1] {
                    assert!(file(pushed) == expected, "{name}, {compression:?}, pushes of {pushed}");
                }
                let reader = open(expected);
                reader.verify().unwrap();
                let expected = if float16 { half(&values) } else { vec![] };
                match float16 {
                    true => assert_eq!(*reader.latent("x").unwrap().read::<f16>().unwrap(), expected),
                    false => assert_eq!(read(&reader, "x"), values),
                }
            }
        }
    }
}

#[test]
fn empty_and_tiny_latents_stay_raw() {
    let (file, summary) = write(in_parts(), |writer| {
        writer.latent::<f32>("empty", &[0, 7], &[])?;
        writer.latent("tiny", &[1000], &[0.0_f32; 1000])?;
        writer.stream::<f32>("empty stream", &[3, 0])?.finish()?;
        stream(writer.stream::<f16>("tiny stream", &[1000])?, &[f16::ONE; 1000], 10)?;
        stream(writer.stream::<f32>("scalar", &[])?, &[2.5], 1)?;
        let mut pushed_nothing = writer.stream::<f16>("pushed nothing", &[0])?;
        pushed_nothing.push(&[])?;
        pushed_nothing.finish()
    })
    .unwrap();
    let keys = ["empty", "tiny", "empty stream", "tiny stream", "scalar", "pushed nothing"];
    assert_eq!(stored(&summary), keys.map(|key| (key, false, 1)));
    let reader = open(file);
    reader.verify().unwrap();
    assert_eq!(reader.latent("empty stream").unwrap().shape(), [3, 0]);
    assert_eq!(read(&reader, "scalar"), [2.5]);
}

/// Writes compressible and incompressible streams, pushed in turn, together with latents.
fn in_turn(writer: &mut Writer<'_>) -> gen5::Result<()> {
    let mut all: Vec<(String, Vec<f32>)> =
        shrinking().into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
    all.extend((0..3).map(|seed| (format!("noise {seed}"), noise(seed, LEN))));
    let mut streams = Vec::new();
    for (key, _) in &all {
        streams.push(writer.stream::<f32>(key, &[20, LEN / 20])?);
    }
    for round in 0..8 {
        for (stream, (_, values)) in streams.iter_mut().zip(&all) {
            stream.push(&values[round * LEN / 8..(round + 1) * LEN / 8])?;
        }
        writer.latent(format!("beside {round}"), &[LEN], &all[round % 6].1)?;
    }
    streams.into_iter().try_for_each(LatentStream::finish)
}

fn check_in_turn(file: &[u8], summary: &Summary) {
    let reader = open(file.to_vec());
    reader.verify().unwrap();
    assert_eq!(summary.latents.len(), 14);
    for (name, values) in shrinking() {
        assert_eq!(read(&reader, name), values);
    }
    for seed in 0..3 {
        assert_eq!(read(&reader, &format!("noise {seed}")), noise(seed, LEN));
    }
    for latent in &summary.latents {
        let key = latent.key.as_deref().unwrap();
        let is_noise = match key.strip_prefix("beside ") {
            Some(round) => round.parse::<usize>().unwrap() % 6 >= 3,
            None => key.starts_with("noise"),
        };
        assert_eq!(latent.compressed, !is_noise, "{key}");
    }
}

#[test]
fn streams_side_by_side_are_the_same_on_any_number_of_threads() {
    let (expected, summary) = in_pool(1, || write(in_parts(), in_turn).unwrap());
    check_in_turn(&expected, &summary);
    for threads in [2, 4] {
        let (file, _) = in_pool(threads, || write(in_parts(), in_turn).unwrap());
        assert!(file == expected, "{threads} threads");
    }
    // The same outside a pool, and to a path, where chunks are written in parallel.
    assert!(write(in_parts(), in_turn).unwrap().0 == expected);
    let folder = tempfile::tempdir().unwrap();
    for threads in [1, 4] {
        let path = folder.path().join(format!("{threads}.gen5"));
        in_pool(threads, || {
            let mut writer = in_parts().create(&path).unwrap();
            in_turn(&mut writer).unwrap();
            writer.finish(&metadata()).unwrap();
        });
        assert!(std::fs::read(path).unwrap() == expected, "under a path, {threads} threads");
    }
}

#[test]
fn streams_are_decided_inside_rayon_tasks() {
    for threads in [1, 2, 4] {
        let (file, summary) = within_a_minute(move || {
            in_pool(threads, || {
                write(in_parts(), |writer| {
                    let mut streams = Vec::new();
                    for n in 0..6_u64 {
                        streams.push((n, writer.stream::<f32>(n.to_string(), &[50, LEN / 50])?));
                    }
                    streams.into_par_iter().try_for_each(|(n, stream)| {
                        let values = values_of(n);
                        values.par_chunks(100).for_each(|_| ()); // work to steal
                        self::stream(stream, &values, 333)
                    })
                })
                .unwrap()
            })
        });
        let reader = open(file);
        reader.verify().unwrap();
        for n in 0..6 {
            assert_eq!(read(&reader, &n.to_string()), values_of(n), "{threads} threads");
        }
        for latent in &summary.latents {
            let key = latent.key.as_deref().unwrap();
            assert_eq!(latent.compressed, key.parse::<u64>().unwrap() % 2 == 1, "{latent:?}");
        }
    }
}

/// Noise if `n` is even, otherwise a constant.
fn values_of(n: u64) -> Vec<f32> {
    if n % 2 == 1 { vec![n as f32; LEN] } else { noise(n, LEN) }
}

#[test]
fn a_refused_push_can_be_repeated_while_nothing_is_decided() {
    for (_, values) in shrinking().into_iter().chain([("noise", noise(1, LEN))]) {
        let plain = |writer: &mut Writer<'_>| stream(writer.stream::<f32>("x", &[5, LEN / 5])?, &values, LEN);
        let (expected, _) = write(in_parts(), plain).unwrap();
        // The refused push ends at the start, before the decision, across it, or after it.
        for (from, to) in
            [(0, 10), (700, 800), (1000, LEN), (LEN / 5 - 1, LEN / 5 + 1), (LEN / 5, LEN), (LEN - 1, LEN)]
        {
            let (file, _) = write(in_parts(), |writer| {
                let mut stream = writer.stream::<f32>("x", &[5, LEN / 5])?;
                stream.push(&values[..from])?;
                let mut bad = values[from..to].to_vec();
                for bad_value in [f32::NAN, f32::INFINITY] {
                    *bad.last_mut().unwrap() = bad_value;
                    match stream.push(&bad).unwrap_err() {
                        Error::NonFinite { index, .. } => assert_eq!(index, to as u64 - 1),
                        other => panic!("{other}"),
                    }
                    assert_eq!(stream.remaining(), (LEN - from) as u64);
                }
                stream.push(&values[from..])?;
                stream.finish()
            })
            .unwrap();
            assert!(file == expected, "{from}..{to}");
        }
    }
}

/// A raw push is checked as it is written, and the written part of a refused push is overwritten
/// later.
#[test]
fn a_large_push_whose_last_value_is_refused_takes_nothing() {
    let count = 1_500_000;
    let values: Vec<f32> = noise(1, 50_000).repeat(count / 50_000);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    for (name, options) in
        [("raw", auto().compression(Compression::Raw)), ("auto", auto().part_size(Some(1 << 20)))]
    {
        for float16 in [false, true] {
            let options = as_float16(options.clone(), float16);
            let fill = |writer: &mut Writer<'_>, refused: bool| -> gen5::Result<()> {
                let mut stream = writer.stream::<f32>("x", &[1500, count / 1500])?;
                stream.push(&values[..600_000])?;
                if refused {
                    let mut bad = values[600_000..].to_vec();
                    *bad.last_mut().unwrap() = f32::NAN;
                    let error = stream.push(&bad).unwrap_err();
                    assert!(
                        matches!(error, Error::NonFinite { index, .. } if index == count as u64 - 1),
                        "{error}"
                    );
                    *bad.last_mut().unwrap() = 1e6;
                    let taken = stream.push(&bad);
                    if float16 {
                        let error = taken.unwrap_err();
                        assert!(
                            matches!(error, Error::Overflow { index, .. } if index == count as u64 - 1),
                            "{error}"
                        );
                    } else {
                        taken?;
                        return stream.finish();
                    }
                    assert_eq!(stream.remaining(), (count - 600_000) as u64);
                }
                stream.push(&values[600_000..])?;
                stream.finish()
            };
            let (expected, summary) = write(options.clone(), |writer| fill(writer, false)).unwrap();
            assert_eq!(stored(&summary), [("x", false, 1)], "{name}");
            let (in_memory, _) = write(options.clone(), |writer| fill(writer, true)).unwrap();
            let mut writer = options.create(&path).unwrap();
            fill(&mut writer, true).unwrap();
            writer.finish(&metadata()).unwrap();
            for file in [in_memory, std::fs::read(&path).unwrap()] {
                let reader = open(file.clone());
                reader.verify().unwrap();
                if float16 {
                    assert!(file == expected, "{name}");
                } else {
                    let read = read(&reader, "x");
                    assert!(read[..count - 1] == values[..count - 1] && read[count - 1] == 1e6, "{name}");
                }
            }
        }
    }
}

#[test]
fn the_keys_of_parts_are_free_again_when_a_stream_stays_raw() {
    let taken = |error: Error, key: &str| {
        assert!(matches!(error, Error::DuplicateKey { key: ref found, .. } if found == key), "{error}");
    };
    let (noise, zeros) = (noise(1, LEN), vec![0.0_f32; LEN]);
    let (file, summary) = write(in_parts(), |writer| {
        let mut raw = writer.stream::<f32>("k", &[10, LEN / 10])?;
        let mut compressed = writer.stream::<f32>("z", &[10, LEN / 10])?;
        raw.push(&noise[..10])?;
        compressed.push(&zeros[..10])?;
        taken(writer.latent("k[0:2]", &[1], &noise[..1]).unwrap_err(), "k[0:2]");
        raw.push(&noise[10..LEN / 5])?;
        compressed.push(&zeros[10..LEN / 5])?;
        writer.latent("k[0:2]", &[1], &noise[..1])?;
        taken(writer.stream::<f32>("k[0:2]", &[1]).map(|_| ()).unwrap_err(), "k[0:2]");
        taken(writer.latent("z[0:2]", &[1], &noise[..1]).unwrap_err(), "z[0:2]");
        taken(writer.latent("k", &[1], &noise[..1]).unwrap_err(), "k");
        raw.push(&noise[LEN / 5..])?;
        compressed.push(&zeros[LEN / 5..])?;
        raw.finish()?;
        compressed.finish()?;
        taken(writer.latent("z[8:10]", &[1], &noise[..1]).unwrap_err(), "z[8:10]");
        writer.latent("k[8:10]", &[2], &noise[..2])
    })
    .unwrap();
    assert_eq!(
        stored(&summary),
        [("k", false, 1), ("z", true, 5), ("k[0:2]", false, 1), ("k[8:10]", false, 1)]
    );
    let reader = open(file);
    reader.verify().unwrap();
    assert_eq!((read(&reader, "k"), read(&reader, "z")), (noise.clone(), zeros));
    assert_eq!(
        (read(&reader, "k[0:2]"), read(&reader, "k[8:10]")),
        (noise[..1].to_vec(), noise[..2].to_vec())
    );
}

/// The decision may come with the last push or never; either way the error names the stream.
#[test]
fn an_undecided_stream_without_its_values_makes_finish_fail() {
    for pushed in [0, 10, LEN / 5, LEN - 1] {
        let mut writer = in_parts().to_writer(Cursor::new(Vec::new())).unwrap();
        let mut stream = writer.stream::<f32>("short", &[5, LEN / 5]).unwrap();
        stream.push(&noise(1, pushed)).unwrap();
        let short = |error: Error| {
            let expected = matches!(error, Error::Incomplete { ref key, found, .. } if key.as_deref() == Some("short") && found == pushed as u64);
            assert!(expected, "{error}");
        };
        short(stream.finish().unwrap_err());
        short(writer.finish(&metadata()).unwrap_err());
    }
}

#[test]
fn values_all_over_a_latent_are_tried() {
    // 4 MB of noise, some of it zeroed: at the front, at the end or in the middle.
    for (zeros, compressed) in [
        (0..0, false),
        (0..1 << 18, true),
        (3 << 18..1 << 20, true),
        (1 << 18..3 << 18, true),
        (0..100, false),
    ] {
        let mut values = noise(9, 1 << 20);
        values[zeros.clone()].fill(0.0);
        let (_, summary) = write(auto(), |writer| writer.latent("x", &[1 << 20], &values)).unwrap();
        assert_eq!(summary.latents[0].compressed, compressed, "{zeros:?}");
    }
}

/// The minimum size for compression applies to the latent, not to its parts.
#[test]
fn parts_may_be_smaller_than_what_is_tried() {
    let options = || auto().part_size(Some(1000));
    let zeros = vec![0.0_f32; 5000];
    let (whole, _) = write(options(), |writer| writer.latent("x", &[5000], &zeros)).unwrap();
    let (streamed, summary) =
        write(options(), |writer| stream(writer.stream::<f32>("x", &[5000])?, &zeros, 777)).unwrap();
    assert_eq!(stored(&summary), [("x", true, 20)]);
    assert!(whole == streamed);
}

#[test]
fn a_stream_tells_whether_it_is_compressed() {
    let values = vec![0.25_f32; LEN];
    for (compression, at_first, at_last) in [
        (Compression::Raw, Some(false), false),
        (Compression::Zstd, Some(true), true),
        (Compression::Shuffled, Some(true), true),
        (Compression::Auto, None, true),
    ] {
        write(auto().compression(compression), |writer| {
            let mut latent = writer.stream("x", &[LEN])?;
            assert_eq!(latent.is_compressed(), at_first, "{compression:?}");
            latent.push(&values)?;
            assert_eq!(latent.is_compressed(), Some(at_last), "{compression:?}");
            latent.finish()
        })
        .unwrap();
    }
    write(auto(), |writer| {
        let mut latent = writer.stream("x", &[LEN])?;
        latent.push(&noise(4, LEN))?;
        assert_eq!(latent.is_compressed(), Some(false));
        latent.finish()
    })
    .unwrap();
}
