//! Writing: refused calls leave no trace, streams, and properties that all files share.

use std::fs;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use gen5::error::Fault;
use gen5::metadata::Extra;
use gen5::{
    Array, Compression, Dtype, Entry, Environment, Error, NonFinite, Reader, WriteOptions, Writer, f16,
};
use rayon::prelude::*;

use crate::support::{PNG, environment, in_pool, metadata, noise, open, within_a_minute, write};

fn zstd(part_size: Option<u64>) -> WriteOptions {
    WriteOptions::new().compression(Compression::Zstd).part_size(part_size)
}

/// Ways to store latents: raw, raw because they are too small to compress, compressed, in parts of
/// 64 bytes, and shuffled in such parts.
fn ways() -> [(&'static str, WriteOptions); 5] {
    [
        ("raw", WriteOptions::new().compression(Compression::Raw)),
        ("auto", WriteOptions::new()),
        ("zstd", zstd(None)),
        ("parts", zstd(Some(64))),
        ("shuffled parts", zstd(Some(64)).compression(Compression::Shuffled)),
    ]
}

fn is_raw(way: &str) -> bool {
    ["raw", "auto"].contains(&way)
}

fn is_in_parts(way: &str) -> bool {
    way.ends_with("parts")
}

fn read(reader: &Reader, key: &str) -> Vec<f32> {
    reader.latent(key).unwrap().read::<f32>().unwrap().into_owned()
}

/// The gaps before each chunk and before the table.
fn gaps(file: &[u8]) -> Vec<&[u8]> {
    let reader = open(file.to_vec());
    let table = u32::from_le_bytes(file[8..12].try_into().unwrap()) as usize;
    let mut end = 32;
    let mut gaps = Vec::new();
    for chunk in reader.chunks() {
        gaps.push(&file[end..chunk.offset() as usize]);
        end = (chunk.offset() + chunk.stored_size()) as usize;
    }
    gaps.push(&file[end..table]);
    gaps
}

#[track_caller]
fn gaps_are_zero(file: &[u8]) {
    assert!(gaps(file).concat().iter().all(|&byte| byte == 0));
}

#[test]
fn of_latents_written_together_all_are_there_or_none() {
    let good = noise(1, 100);
    for at in [0, 50, 99] {
        let mut bad = good.clone();
        bad[at] = f32::NAN;
        for (way, options) in ways() {
            for threads in [1, 2, 5] {
                let (file, summary) = in_pool(threads, || {
                    write(options.clone(), |writer| {
                        writer.latent("before", &[100], &good)?;
                        let arrays = [("a", &good), ("b", &bad), ("c", &good)];
                        let refused =
                            writer.latents(arrays.map(|(key, values)| Array::new(key, &[100], values)));
                        match refused.unwrap_err() {
                            Error::NonFinite { key, index, value, .. } => {
                                assert_eq!(
                                    (key.as_deref(), index, value.is_nan()),
                                    (Some("b"), at as u64, true),
                                    "{way}"
                                );
                            }
                            other => panic!("{way}: {other}"),
                        }
                        writer.latent("c", &[100], &good)?;
                        writer.latents([Array::new("b", &[10, 10], &good), Array::new("a", &[100], &good)])
                    })
                    .unwrap()
                });
                let reader = open(file.clone());
                reader.verify().unwrap();
                let keys: Vec<_> = reader.latents().map(|latent| latent.key().unwrap().to_owned()).collect();
                assert_eq!(keys, ["before", "c", "b", "a"], "{way}");
                assert!(summary.latents.iter().filter_map(|latent| latent.key.as_ref()).eq(&keys), "{way}");
                keys.iter().for_each(|key| assert_eq!(read(&reader, key), good, "{way}"));
                gaps_are_zero(&file);
            }
        }
    }
}

#[test]
fn the_same_calls_give_the_same_bytes_even_if_one_of_them_was_refused() {
    let good = noise(1, 200);
    for at in [0, 60, 120, 199] {
        let mut bad = good.clone();
        bad[at] = f32::INFINITY;
        for (way, options) in ways() {
            let run = |threads| {
                in_pool(threads, || {
                    write(options.clone(), |writer| {
                        assert!(writer.latent("x", &[200], &bad).is_err());
                        writer.latent("x", &[200], &good)
                    })
                    .unwrap()
                    .0
                })
            };
            let alone = run(1);
            for threads in [2, 3, 8] {
                assert!(run(threads) == alone, "{way}: {threads} threads, refused at {at}");
            }
        }
    }
}

#[test]
fn the_first_value_that_is_refused_is_named_on_any_number_of_threads() {
    let bad = vec![f32::NAN; 4000];
    for (way, options) in ways() {
        in_pool(4, || {
            for round in 0..300 {
                let written = write(options.clone(), |writer| writer.latent("x", &[4000], &bad));
                let error = written.unwrap_err();
                assert!(matches!(error, Error::NonFinite { index: 0, .. }), "{way}, round {round}: {error}");
            }
        });
    }
}

#[test]
fn the_first_latent_that_is_refused_is_named_on_any_number_of_threads() {
    let (bad, good) = ([f32::NAN; 100], noise(1, 100));
    let keys: Vec<String> = (0..40).map(|n| format!("k{n}")).collect();
    for (way, options) in ways() {
        for round in 0..60 {
            let arrays = keys.iter().enumerate().map(|(n, key)| {
                let values = if n < 7 { &good[..] } else { &bad };
                Array::new(key.as_str(), &[100], values)
            });
            let arrays: Vec<_> = arrays.collect();
            let error = in_pool(4, || write(options.clone(), |writer| writer.latents(arrays))).unwrap_err();
            let first =
                matches!(error, Error::NonFinite { ref key, index: 0, .. } if key.as_deref() == Some("k7"));
            assert!(first, "{way}, round {round}: {error}");
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_and_the_writer_goes_on() {
    let values = noise(1, 6);
    for (way, options) in ways() {
        let (file, _) = write(options, |writer| {
            for shape in
                [&[5][..], &[7], &[2, 2], &[0], &[], &[usize::MAX, 2], &[usize::MAX / 2, usize::MAX / 2]]
            {
                let error = writer.latent("x", shape, &values).unwrap_err();
                assert!(matches!(error, Error::Argument { .. }), "{way} {shape:?}: {error}");
                assert_eq!(error.fault(), Fault::Caller);
            }
            // Slices of 4 GiB are too large for a compressed chunk.
            #[cfg(target_pointer_width = "64")]
            if !is_raw(way) {
                let error = writer.latent("x", &[2, 1 << 30], &values).unwrap_err();
                assert!(matches!(error, Error::TooLarge { .. }), "{way}: {error}");
            }
            for name in ["shape", "dtype", "key", "part"] {
                let mut extra = Extra::new();
                extra.insert(name, &1).unwrap();
                let array = Array::new("x", &[6], &values).extra(extra.clone());
                let refused = [
                    writer.latents([array]).unwrap_err(),
                    writer.stream::<f32>(Entry::new("x").extra(extra), &[6]).map(|_| ()).unwrap_err(),
                ];
                for error in refused {
                    assert!(
                        matches!(error, Error::Argument { .. }) && error.to_string().contains(name),
                        "{error}"
                    );
                }
            }
            writer.latent("x", &[2, 3], &values)
        })
        .unwrap();
        let reader = open(file);
        assert_eq!((reader.latents().len(), read(&reader, "x")), (1, values.clone()), "{way}");
    }
}

#[test]
fn keys_are_unique_those_of_parts_too() {
    let values = noise(1, 32);
    #[track_caller]
    fn duplicate<T>(result: gen5::Result<T>, expected: &str) {
        match result.map(|_| ()).unwrap_err() {
            Error::DuplicateKey { key, .. } => assert_eq!(key, expected),
            other => panic!("{other:?}"),
        }
    }
    for (way, options) in ways() {
        let (file, _) = write(options, |writer| {
            writer.latent("x", &[32], &values)?;
            duplicate(writer.latent("x", &[32], &values), "x");
            duplicate(writer.stream::<f16>("x", &[1]), "x");
            duplicate(writer.latents(["y", "y"].map(|key| Array::new(key, &[32], &values))), "y");
            duplicate(writer.latents(["z", "x"].map(|key| Array::new(key, &[32], &values))), "x");
            let mut stream = writer.stream::<f32>("y", &[32])?;
            duplicate(writer.latent("y", &[32], &values), "y");
            stream.push(&values)?;
            stream.finish()?;
            duplicate(writer.latent("y", &[32], &values), "y");
            if is_in_parts(way) {
                duplicate(writer.latent("x[0:16]", &[1], &values[..1]), "x[0:16]");
                writer.latent("w[16:32]", &[1], &values[..1])?;
                duplicate(writer.latent("w", &[32], &values), "w[16:32]");
                duplicate(writer.stream::<f32>("w", &[32]), "w[16:32]");
                writer.latent("w[0:16]", &[1], &values[..1])?;
            }
            writer.latent("z", &[32], &values)
        })
        .unwrap();
        let reader = open(file);
        reader.verify().unwrap();
        ["x", "y", "z"].iter().for_each(|key| assert_eq!(read(&reader, key), values, "{way}"));
    }
}

#[test]
fn values_that_are_not_finite_are_kept_on_request() {
    let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1.0];
    for (way, options) in ways() {
        let keep = options.clone().non_finite(NonFinite::Keep);
        let (file, _) = write(keep.clone(), |writer| {
            writer.latent("x", &[4], &values)?;
            let mut stream = writer.stream::<f32>("s", &[4])?;
            stream.push(&values)?;
            stream.finish()
        })
        .unwrap();
        let reader = open(file);
        reader.verify().unwrap();
        for key in ["x", "s"] {
            let bits: Vec<u32> = read(&reader, key).iter().map(|value| value.to_bits()).collect();
            assert_eq!(bits, values.map(f32::to_bits), "{way}");
        }
        let (file, _) = write(keep.dtype(Dtype::F16), |writer| {
            let error = writer.latent("x", &[5], &[f32::NAN, f32::INFINITY, 1.0, -65520.0, 7e4]).unwrap_err();
            assert!(matches!(error, Error::Overflow { index: 3, value: -65520.0, .. }), "{way}: {error}");
            writer.latent("x", &[4], &values)
        })
        .unwrap();
        let half = open(file).latent("x").unwrap().read::<f16>().unwrap().into_owned();
        assert!(half[0].is_nan() && half[1..] == [f16::INFINITY, f16::NEG_INFINITY, f16::ONE], "{way}");
    }
}

#[test]
fn a_value_that_float16_cannot_hold_is_named_by_its_place_in_the_latent() {
    let mut values = noise(1, 300);
    values[123] = 65520.0;
    values[250] = 1e9;
    for (way, options) in ways() {
        write(options.clone().dtype(Dtype::F16), |writer| {
            let error = writer.latent("x", &[300], &values).unwrap_err();
            match error {
                Error::Overflow { ref latent, index: 123, value: 65520.0, .. } => {
                    assert_eq!(latent, "\"x\"");
                }
                other => panic!("{way}: {other}"),
            }
            let mut stream = writer.stream::<f32>("s", &[300])?;
            stream.push(&values[..100])?;
            let error = stream.push(&values[100..200]).unwrap_err();
            assert!(matches!(error, Error::Overflow { index: 123, .. }), "{way}: {error}");
            values[100..].chunks(50).for_each(|chunk| {
                let sound: Vec<f32> = chunk.iter().map(|value| value.min(65504.0)).collect();
                stream.push(&sound).unwrap();
            });
            stream.finish()
        })
        .unwrap();
        // The value is valid as float32.
        write(options, |writer| writer.latent("x", &[300], &values)).unwrap();
    }
}

#[test]
fn a_stream_takes_just_the_values_of_its_shape() {
    let values = noise(1, 100);
    for (way, options) in ways() {
        let (file, _) = write(options, |writer| {
            let mut stream = writer.stream::<f32>("x", &[10, 10])?;
            assert_eq!(stream.remaining(), 100);
            stream.push(&values[..30])?;
            stream.push(&[])?;
            let error = stream.push(&values[..71]).unwrap_err();
            assert!(
                matches!(error, Error::Argument { .. }) && error.to_string().contains("70"),
                "{way}: {error}"
            );
            assert_eq!(stream.remaining(), 70);
            let mut bad = values[30..].to_vec();
            bad[69] = f32::NEG_INFINITY;
            let error = stream.push(&bad).unwrap_err();
            assert!(
                matches!(error, Error::NonFinite { ref key, index: 99, .. } if key.as_deref() == Some("x")),
                "{way}: {error}"
            );
            assert_eq!(stream.remaining(), 70);
            stream.push(&values[30..])?;
            assert!(matches!(stream.push(&[1.0]), Err(Error::Argument { .. })), "{way}");
            stream.finish()?;

            for (key, shape) in [("empty", &[3, 0][..]), ("scalar", &[])] {
                let mut stream = writer.stream::<f32>(key, shape)?;
                if shape.is_empty() {
                    stream.push(&[2.5])?;
                }
                stream.finish()?;
            }
            Ok(())
        })
        .unwrap();
        let reader = open(file.clone());
        reader.verify().unwrap();
        assert_eq!(
            (read(&reader, "x"), read(&reader, "empty"), read(&reader, "scalar")),
            (values.clone(), vec![], vec![2.5])
        );
        assert_eq!(reader.latents().len(), 3, "{way}");
        gaps_are_zero(&file);
    }
}

#[test]
fn a_stream_without_all_its_values_makes_finish_fail_and_is_named() {
    for (way, options) in ways() {
        let mut writer = options.clone().to_writer(Cursor::new(Vec::new())).unwrap();
        let mut stream = writer.stream::<f32>("short", &[40]).unwrap();
        stream.push(&noise(1, 39)).unwrap();
        let short = |error: &Error| match error {
            Error::Incomplete { key, expected: 40, found: 39, .. } => key.as_deref() == Some("short"),
            _ => false,
        };
        let error = stream.finish().unwrap_err();
        assert!(short(&error), "{way}: {error}");
        let error = writer.finish(&metadata()).unwrap_err();
        assert!(short(&error), "{way}: {error}");

        for pushed in [0, 7, 40] {
            let error = write(options.clone(), |writer| {
                writer.latent("whole", &[40], &noise(1, 40))?;
                writer.stream::<f32>("dropped", &[40])?.push(&noise(1, pushed))
            })
            .unwrap_err();
            match error {
                Error::Incomplete { ref key, expected: 40, found, .. } => {
                    assert_eq!((key.as_deref(), found), (Some("dropped"), pushed as u64), "{way}");
                }
                other => panic!("{way}: {other}"),
            }
        }
    }
}

#[test]
fn streams_are_filled_in_turn_and_beside_latents() {
    let (first, second) = (noise(1, 120), noise(2, 240));
    for (way, options) in ways() {
        let (file, summary) = write(options, |writer| {
            let mut one = writer.stream::<f32>("one", &[12, 10])?;
            let mut two = writer.stream::<f32>("two", &[240])?;
            for (n, (a, b)) in first.chunks(7).zip(second.chunks(14)).enumerate() {
                one.push(a)?;
                two.push(b)?;
                writer.latent(format!("step {n}"), &[b.len()], b)?;
            }
            two.finish()?;
            writer.environment(&environment())?;
            one.finish()
        })
        .unwrap();
        let reader = open(file.clone());
        reader.verify().unwrap();
        assert_eq!((read(&reader, "one"), read(&reader, "two")), (first.clone(), second.clone()), "{way}");
        for (n, values) in second.chunks(14).enumerate() {
            assert_eq!(read(&reader, &format!("step {n}")), values, "{way}");
        }
        assert_eq!(summary.latents.len(), 20, "{way}");
        gaps_are_zero(&file);
    }
}

#[test]
fn streams_are_filled_from_several_threads() {
    for (_, options) in ways() {
        let (file, _) = within_a_minute(|| {
            write(options, |writer| {
                let streams =
                    [1, 2, 3].map(|n| (n, writer.stream::<f32>(format!("{n}"), &[500, 4]).unwrap()));
                std::thread::scope(|scope| {
                    for (n, mut stream) in streams {
                        scope.spawn(move || {
                            noise(n, 2000).chunks(37).for_each(|values| stream.push(values).unwrap());
                            stream.finish().unwrap();
                        });
                    }
                    (0..10).try_for_each(|n| writer.latent(format!("beside {n}"), &[20], &noise(n, 20)))
                })
            })
            .unwrap()
        });
        let reader = open(file.clone());
        reader.verify().unwrap();
        for n in [1, 2, 3] {
            assert_eq!(read(&reader, &n.to_string()), noise(n, 2000));
        }
        (0..10).for_each(|n| assert_eq!(read(&reader, &format!("beside {n}")), noise(n, 20)));
        gaps_are_zero(&file);
    }
}

#[test]
fn streams_are_filled_from_rayon_tasks() {
    for threads in [1, 2, 4] {
        for (_, options) in ways() {
            let (file, _) = within_a_minute(move || {
                in_pool(threads, || {
                    write(options, |writer| {
                        let mut streams = Vec::new();
                        for n in 0..6_u64 {
                            streams.push((n, writer.stream::<f32>(n.to_string(), &[300])?));
                        }
                        streams.par_iter_mut().for_each(|(n, stream)| {
                            noise(*n, 300).par_chunks(300).for_each(|_| ()); // work to steal
                            noise(*n, 300).chunks(11).for_each(|values| stream.push(values).unwrap());
                        });
                        streams.into_par_iter().try_for_each(|(_, stream)| stream.finish())
                    })
                    .unwrap()
                })
            });
            let reader = open(file);
            reader.verify().unwrap();
            (0..6).for_each(|n| assert_eq!(read(&reader, &n.to_string()), noise(n, 300)));
        }
    }
}

#[test]
fn there_is_one_image_and_one_environment_at_most() {
    let (file, _) = write(WriteOptions::new(), |writer| {
        writer.image(PNG)?;
        writer.environment(&environment())?;
        assert!(matches!(writer.image(PNG), Err(Error::Argument { .. })));
        assert!(matches!(writer.environment(&Environment::default()), Err(Error::Argument { .. })));
        Ok(())
    })
    .unwrap();
    let reader = open(file);
    assert_eq!((reader.chunks().len(), reader.image().unwrap().as_deref()), (2, Some(PNG)));
    assert_eq!(reader.environment().unwrap(), Some(environment()));
    assert!(
        reader
            .chunks()
            .iter()
            .any(|chunk| chunk.kind() == gen5::chunk::ChunkType::ENVIRONMENT && chunk.is_compressed())
    );
}

#[cfg(feature = "image")]
#[test]
fn a_damaged_image_is_refused_and_an_unknown_one_noted() {
    let mut flipped = PNG.to_vec();
    flipped[45] ^= 1;
    let (file, summary) = write(WriteOptions::new(), |writer| {
        for damaged in [&PNG[..PNG.len() - 20], &PNG[..20], &flipped] {
            let error = writer.image(damaged).unwrap_err();
            assert!(matches!(error, Error::Image { .. }), "{error}");
        }
        writer.image(PNG)
    })
    .unwrap();
    assert_eq!((open(file).image().unwrap().as_deref(), summary.notes.len()), (Some(PNG), 0));

    let unknown = b"\0\0\0\x0cJXL \r\n\x87\n";
    let (file, summary) = write(WriteOptions::new(), |writer| writer.image(unknown)).unwrap();
    let reader = open(file);
    assert_eq!(reader.image().unwrap().as_deref(), Some(&unknown[..]));
    assert_eq!(summary.notes.len(), 1);
    assert!(
        summary.notes[0].contains("image") && summary.notes[0].contains("unchecked"),
        "{}",
        summary.notes[0]
    );
    // Encoded images are stored compressed only if that makes them smaller, which is rare.
    assert!(!reader.chunks()[0].is_compressed());
    let flat = [&unknown[..], &[0; 4096]].concat();
    let (file, _) = write(WriteOptions::new(), |writer| writer.image(&flat)).unwrap();
    assert!(open(file).chunks()[0].is_compressed());
}

/// Decoders fill in the rest of a JPEG, so that they accept one that is cut short.
#[cfg(feature = "image")]
#[test]
fn a_jpeg_without_its_end_is_refused() {
    let mut jpeg = Vec::new();
    let picture = image::RgbImage::from_fn(64, 48, |x, y| {
        image::Rgb([x * 4, y * 5, x * y].map(|value| u8::try_from(value % 256).unwrap()))
    });
    picture.write_to(&mut Cursor::new(&mut jpeg), image::ImageFormat::Jpeg).unwrap();
    // A thumbnail in Exif with its own end, and fill bytes before a marker.
    let exif = b"\xff\xe1\0\x0cExif\0\0\xff\xd8\xff\xd9";
    let whole = [&jpeg[..2], exif, b"\xff\xff", &jpeg[2..]].concat();
    let scan = whole.windows(2).position(|marker| marker == [0xff, 0xda]).unwrap();
    for length in (scan..whole.len()).step_by(7).chain(whole.len() - 2..whole.len()) {
        let result = write(WriteOptions::new(), |writer| writer.image(&whole[..length]));
        let error = result.map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::Image { .. }), "{error}");
    }
    let error = write(WriteOptions::new(), |writer| writer.image(&whole[..whole.len() - 2]));
    let message = error.map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("cut short") && message.contains("complete copy"), "{message}");
    for more in [&b""[..], b"\0", b"trailer", &jpeg] {
        let image = [&whole[..], more].concat();
        let (file, summary) = write(WriteOptions::new(), |writer| writer.image(&image)).unwrap();
        assert_eq!(open(file).image().unwrap().as_deref(), Some(&image[..]));
        assert!(summary.notes.is_empty(), "{:?}", summary.notes);
    }
}

/// A one-pixel JPEG that claims 12,000 x 12,000 pixels: 432 MB, and a decoder may take four times
/// that.
#[cfg(feature = "image")]
#[test]
fn an_image_that_takes_too_much_memory_to_decode_is_stored_unchecked() {
    let mut jpeg = Vec::new();
    let pixel = image::RgbImage::new(1, 1);
    pixel.write_to(&mut Cursor::new(&mut jpeg), image::ImageFormat::Jpeg).unwrap();
    let start = jpeg.windows(2).position(|marker| marker == [0xff, 0xc0]).unwrap();
    jpeg[start + 5..start + 9]
        .copy_from_slice(&[12_000_u16.to_be_bytes(), 12_000_u16.to_be_bytes()].concat());
    let (file, summary) = write(WriteOptions::new(), |writer| writer.image(&jpeg)).unwrap();
    assert_eq!(open(file).image().unwrap().unwrap(), jpeg);
    assert!(summary.notes[0].starts_with("the image is stored unchecked: "), "{:?}", summary.notes);
}

#[test]
fn options_out_of_range_are_refused() {
    for (options, words) in [
        (WriteOptions::new().level(23), "level"),
        (WriteOptions::new().level(i32::MIN), "level"),
        (WriteOptions::new().alignment(0), "alignment"),
        (WriteOptions::new().alignment(2), "alignment"),
        (WriteOptions::new().alignment(96), "alignment"),
        (WriteOptions::new().alignment(1 << 63), "alignment"),
        (WriteOptions::new().part_size(Some(0)), "part size"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gen5");
        let mut out = Cursor::new(Vec::new());
        let results = [
            options.clone().to_writer(&mut out).map(|_| ()),
            options.clone().create(&path).map(|_| ()),
            options.create_new(&path).map(|_| ()),
        ];
        for result in results {
            let error = result.unwrap_err();
            assert!(matches!(error, Error::Argument { ref what, .. } if what.contains(words)), "{error}");
        }
        assert!(out.into_inner().is_empty());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    for level in [-131_072, 22] {
        write(zstd(None).level(level), |writer| writer.latent("x", &[3], &noise(1, 3))).unwrap();
    }
}

#[test]
fn values_of_raw_latents_are_aligned_and_gaps_are_zero() {
    for alignment in [4, 64, 4096, 1 << 21] {
        // The old content shows which bytes were not written.
        let mut out = Cursor::new(vec![0xff; 20 << 20]);
        let mut writer = WriteOptions::new().alignment(alignment).to_writer(&mut out).unwrap();
        writer.latent("a", &[3], &noise(1, 3)).unwrap();
        let mut stream = writer.stream::<f16>("b", &[5]).unwrap();
        writer.environment(&environment()).unwrap();
        stream.push(&[f16::ONE; 5]).unwrap();
        stream.finish().unwrap();
        assert!(writer.latent("bad", &[100], &[f32::NAN; 100]).is_err());
        writer.latents([Array::new("c", &[0], &[0.0_f32; 0]), Array::new("d", &[1], &[1.0_f32])]).unwrap();
        let size = writer.finish(&metadata()).unwrap().file_size as usize;
        let mut file = out.into_inner();
        assert!(file[size..].iter().all(|&byte| byte == 0xff));
        file.truncate(size);
        let reader = open(file.clone());
        reader.verify().unwrap();
        let raw: Vec<u64> = reader
            .chunks()
            .iter()
            .filter(|chunk| !chunk.is_compressed())
            .map(gen5::chunk::ChunkRecord::offset)
            .collect();
        assert_eq!(raw.len(), 4);
        assert!(raw.iter().all(|offset| (offset + 12).is_multiple_of(alignment)), "{alignment}: {raw:?}");
        gaps_are_zero(&file);
    }
}

#[test]
fn every_file_knows_its_length_and_every_frame_its_size_and_checksum() {
    for n in 0..200_usize {
        let (_, options) = ways()[n % 5].clone();
        let (file, summary) = write(options, |writer| {
            for key in 0..n % 7 {
                writer.latent("k".repeat(key + n), &[1, n], &noise(n as u64, n))?;
            }
            if n % 2 == 0 { writer.environment(&environment()) } else { Ok(()) }
        })
        .unwrap();
        let reader = open(file.clone());
        let manifest: serde_json::Value = serde_json::from_str(reader.manifest_json()).unwrap();
        let info = &manifest["gen5_metadata"]["file_info"];
        assert_eq!(info["file_size"], file.len(), "file {n}");
        assert_eq!(
            (info["chunk_count"].as_u64(), summary.file_size),
            (Some(summary.chunks as u64), file.len() as u64)
        );
        assert_eq!(
            (&info["version_major"], &info["version_minor"]),
            (&1.into(), &reader.version().minor.into())
        );

        let table = u32::from_le_bytes(file[8..12].try_into().unwrap()) as usize;
        let compressed = reader.chunks().iter().filter(|chunk| chunk.is_compressed());
        for at in compressed.map(|chunk| chunk.offset() as usize).chain([table]) {
            // RFC 8878, 3.1.1.1.1: a content size in two bits or a single segment, and the checksum
            // bit.
            let descriptor = file[at + 4];
            assert_eq!(file[at..at + 4], [0x28, 0xb5, 0x2f, 0xfd], "file {n}");
            assert!(descriptor & 0b1110_0000 != 0 && descriptor & 0b100 != 0, "file {n}: {descriptor:#010b}");
        }
        assert!(gaps(&file).last().unwrap().len() < 64, "file {n}");
        gaps_are_zero(&file);
    }
}

#[test]
fn a_file_starts_where_its_sink_stands() {
    for (_, options) in ways() {
        let fill = |writer: &mut Writer<'_>| {
            writer.latent("x", &[100], &noise(1, 100))?;
            writer.image(PNG)
        };
        let (expected, _) = write(options.clone(), fill).unwrap();
        for start in [1, 100, 4096] {
            let mut out = Cursor::new(vec![0xee; start]);
            out.set_position(start as u64);
            let mut writer = options.clone().to_writer(&mut out).unwrap();
            fill(&mut writer).unwrap();
            let summary = writer.finish(&metadata()).unwrap();
            let bytes = out.into_inner();
            assert!(bytes[..start].iter().all(|&byte| byte == 0xee));
            assert_eq!(bytes[start..], expected);
            assert_eq!(summary.file_size, expected.len() as u64);
        }
    }
}

#[test]
fn a_file_that_is_open_is_written_from_its_start() {
    for (way, options) in ways() {
        let fill = |writer: &mut Writer<'_>| {
            writer.latent("x", &[100], &noise(1, 100))?;
            writer.image(PNG)
        };
        let (expected, _) = write(options.clone(), fill).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[0xee; 100_000]).unwrap();
        let mut writer = options.to_file(file.try_clone().unwrap()).unwrap();
        fill(&mut writer).unwrap();
        let summary = writer.finish(&metadata()).unwrap();
        let mut bytes = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert!(bytes == expected && summary.file_size == bytes.len() as u64, "{way}");
    }
}

#[test]
fn a_file_that_cannot_be_written_at_offsets_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    fs::write(&path, "precious").unwrap();
    let opened = [
        fs::File::open(&path),
        #[cfg(unix)]
        fs::File::options().append(true).open(&path),
        #[cfg(unix)]
        fs::File::options().write(true).open("/dev/null"),
    ];
    for file in opened {
        let error = WriteOptions::new().to_file(file.unwrap()).unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error}");
    }
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

/// A sink that accepts some bytes, and then fails permanently.
struct Failing {
    inner: Cursor<Vec<u8>>,
    left: usize,
    flush: bool,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.left);
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left -= count;
        self.inner.write(&bytes[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.flush { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

/// Makes calls of every kind and returns their results.
fn every_call(options: WriteOptions, sink: &mut Failing) -> Vec<gen5::Result<()>> {
    let mut results = Vec::new();
    let mut writer = match options.to_writer(sink) {
        Ok(writer) => writer,
        Err(error) => return vec![Err(error)],
    };
    results.push(writer.latent("a", &[40], &noise(1, 40)));
    let mut stream = None;
    results.push(writer.stream::<f32>("s", &[50]).map(|opened| stream = Some(opened)));
    results.push(writer.latents(["b", "c"].map(|key| Array::new(key, &[2, 10], &[1.0_f32; 20]))));
    if let Some(mut stream) = stream {
        let values = noise(2, 50);
        results.extend(values.chunks(20).map(|values| stream.push(values)));
        results.push(stream.finish());
    }
    results.push(writer.image(PNG));
    results.push(writer.environment(&environment()));
    results.push(writer.latent("d", &[], &[1.0_f32]));
    results.push(writer.finish(&metadata()).map(|_| ()));
    results
}

#[test]
fn a_sink_that_fails_at_any_byte_is_an_error_and_the_end() {
    for (way, options) in ways() {
        let mut sink = Failing { inner: Cursor::default(), left: usize::MAX, flush: true };
        every_call(options.clone(), &mut sink).into_iter().for_each(Result::unwrap);
        let written = usize::MAX - sink.left;
        let whole = sink.inner.into_inner();
        open(whole.clone()).verify().unwrap();

        for left in 0..written {
            let mut sink = Failing { inner: Cursor::default(), left, flush: true };
            let results = in_pool(1 + left % 2, || every_call(options.clone(), &mut sink));
            let first = results.iter().position(Result::is_err).expect("an error");
            let error = results[first].as_ref().unwrap_err();
            match error {
                Error::Io { source, .. } => assert_eq!(source.kind(), io::ErrorKind::StorageFull),
                other => panic!("{way}, {left} bytes: {other}"),
            }
            for later in &results[first + 1..] {
                let error = later.as_ref().expect_err("nothing works after that");
                assert!(matches!(error, Error::WriterFailed { .. }), "{way}, {left} bytes: {error}");
                assert!(error.to_string().contains("write"), "{error}");
                assert_eq!((error.fault(), error.io_kind()), (Fault::Io, Some(io::ErrorKind::StorageFull)));
            }
            // The header is written last over zeros, so only its trailing zeros may be missing.
            let missing = written - left;
            let complete = missing < 32 && whole[32 - missing..32].iter().all(|&byte| byte == 0);
            let torn = sink.inner.into_inner();
            assert_eq!(torn == whole, complete, "{way}, {left} bytes");
            assert_eq!(Reader::from_bytes(torn).is_ok(), complete, "{way}, {left} bytes");
        }
        let mut sink = Failing { inner: Cursor::default(), left: usize::MAX, flush: false };
        let results = every_call(options, &mut sink);
        let (last, before) = results.split_last().unwrap();
        assert!(before.iter().all(Result::is_ok) && matches!(last, Err(Error::Io { .. })), "{way}: {last:?}");
    }
}

/// A sink that accepts few bytes at a time, and is interrupted at every other call.
struct Halting {
    inner: Cursor<Vec<u8>>,
    calls: usize,
}

impl Write for Halting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.inner.write(&bytes[..bytes.len().min(1 + self.calls % 5)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Halting {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}

#[test]
fn short_and_interrupted_writes_are_gone_on_with() {
    for (_, options) in ways() {
        let fill = |writer: &mut Writer<'_>| writer.latent("x", &[100], &noise(1, 100));
        let (expected, _) = write(options.clone(), fill).unwrap();
        let mut out = Halting { inner: Cursor::default(), calls: 0 };
        let mut writer = options.to_writer(&mut out).unwrap();
        fill(&mut writer).unwrap();
        writer.finish(&metadata()).unwrap();
        assert_eq!(out.inner.into_inner(), expected);
    }
}

/// A sink that cannot seek.
struct Pipe;

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Pipe {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::NotSeekable.into())
    }
}

#[test]
fn a_sink_that_cannot_seek_is_refused_at_once() {
    let error = WriteOptions::new().to_writer(Pipe).map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
}

#[test]
fn progress_comes_to_all_bytes_of_values() {
    for (way, options) in ways() {
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&bytes);
        let options =
            options.dtype(Dtype::F16).progress(move |count| _ = counted.fetch_add(count, Ordering::Relaxed));
        write(options, |writer| {
            writer.latent("x", &[300_000], &noise(1, 300_000))?;
            writer.latents([Array::new("y", &[0], &[0.0_f32; 0]), Array::new("z", &[7], &[f16::ONE; 7])])?;
            let mut stream = writer.stream::<f32>("s", &[1000])?;
            noise(2, 1000).chunks(300).try_for_each(|values| stream.push(values))?;
            stream.finish()?;
            writer.image(PNG)?;
            writer.environment(&environment())
        })
        .unwrap();
        assert_eq!(bytes.load(Ordering::Relaxed), 2 * (300_000 + 7 + 1000), "{way}");
    }
}

#[test]
fn a_file_that_is_cancelled_is_not_published() {
    for (way, options) in ways() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gen5");
        let cancelled = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&cancelled);
        let options = options.cancel_when(move || asked.load(Ordering::Relaxed));
        let mut writer = options.clone().create(&path).unwrap();
        writer.latent("x", &[3000], &noise(1, 3000)).unwrap();
        cancelled.store(true, Ordering::Relaxed);
        let error = writer.latent("y", &[3000], &noise(2, 3000)).unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{way}: {error}");
        cancelled.store(false, Ordering::Relaxed);
        let error = writer.finish(&metadata()).map(|_| ()).unwrap_err();
        assert!(matches!(error, Error::WriterFailed { .. }), "{way}: {error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{way}");

        let mut writer = options.create(&path).unwrap();
        writer.latent("x", &[3000], &noise(1, 3000)).unwrap();
        cancelled.store(true, Ordering::Relaxed);
        assert!(matches!(writer.finish(&metadata()), Err(Error::Cancelled)), "{way}: at the very end");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{way}");
    }
}

#[test]
fn a_part_that_is_compressed_can_be_cancelled_in_its_midst() {
    let values = noise(1, 1 << 20);
    for compression in [Compression::Zstd, Compression::Shuffled] {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let options = WriteOptions::new().compression(compression).part_size(None);
        let options = options.cancel_when(move || count.fetch_add(1, Ordering::Relaxed) == 3);
        let result = write(options, |writer| writer.latent("x", &[1 << 20], &values));
        assert!(matches!(result, Err(Error::Cancelled)), "{compression:?}");
        assert_eq!(asked.load(Ordering::Relaxed), 4, "{compression:?}: nothing was compressed after that");
    }
}

#[test]
fn the_summary_says_how_each_latent_is_stored() {
    let values = noise(1, 100);
    for (way, options) in ways() {
        let (file, summary) = write(options.dtype(Dtype::F16), |writer| {
            writer.environment(&environment())?;
            writer.latent("x", &[1, 100], &values)?;
            let mut stream = writer.stream::<f32>("s", &[20])?;
            stream.push(&values[..20])?;
            stream.finish()
        })
        .unwrap();
        let reader = open(file.clone());
        assert_eq!((summary.file_size, summary.chunks), (file.len() as u64, reader.chunks().len()), "{way}");
        assert!(summary.notes.is_empty());
        assert_eq!(summary.latents.len(), 2, "{way}");
        for (latent, stored) in summary.latents.iter().zip(reader.latents()) {
            assert_eq!((latent.key.as_deref(), &*latent.shape), (stored.key(), stored.shape()), "{way}");
            assert_eq!((latent.dtype, latent.payload_size), (Dtype::F16, stored.payload_size()), "{way}");
            assert_eq!(
                latent.stored_size,
                stored.chunks().map(gen5::chunk::ChunkRecord::stored_size).sum::<u64>(),
                "{way}"
            );
            assert_eq!(latent.parts, stored.chunks().count(), "{way}");
            assert_eq!(latent.compressed, !is_raw(way), "{way}");
        }
        let parts: Vec<usize> = summary.latents.iter().map(|latent| latent.parts).collect();
        assert_eq!(parts, if is_in_parts(way) { [4, 1] } else { [1, 1] }, "{way}");
    }
}

/// Shapes that exceed the largest file; they exist only with 64-bit addresses.
#[cfg(target_pointer_width = "64")]
mod beyond {
    use super::*;

    #[test]
    fn what_one_file_cannot_hold_is_refused_before_it_is_written() {
        let (file, _) = write(WriteOptions::new(), |writer| {
            let error = writer.stream::<f32>("x", &[usize::MAX / 8]).map(|_| ()).unwrap_err();
            assert!(matches!(error, Error::TooLarge { .. }), "{error}");
            writer.latent("x", &[1], &[1.0_f32])
        })
        .unwrap();
        assert_eq!(read(&open(file), "x"), [1.0]);
    }

    /// A sink that discards all bytes.
    struct Nowhere;

    impl Write for Nowhere {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Nowhere {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            match to {
                SeekFrom::Start(at) => Ok(at),
                _ => Ok(0),
            }
        }
    }

    #[test]
    fn what_files_cannot_hold_together_is_refused_before_it_is_written() {
        let mut writer = WriteOptions::new().to_writer(Nowhere).unwrap();
        let half = writer.stream::<f32>("half", &[3 << 59]).unwrap();
        for _ in 0..2 {
            let error = writer.stream::<f32>("more", &[3 << 59]).map(|_| ()).unwrap_err();
            assert!(matches!(error, Error::TooLarge { .. }), "{error}");
        }
        writer.latent("more", &[1], &[1.0_f32]).unwrap();
        assert!(matches!(half.finish(), Err(Error::Incomplete { .. })));
    }
}

#[test]
fn a_conversion_is_checked_where_values_that_are_not_finite_are_kept() {
    let options = || WriteOptions::new().non_finite(NonFinite::Keep).dtype(Dtype::F16);
    write(options(), |writer| writer.latent("x", &[2], &[f32::INFINITY, f32::NAN])).unwrap();
    let error = write(options(), |writer| writer.latent("x", &[2], &[1.0, 1e30_f32])).unwrap_err();
    assert!(matches!(error, Error::Overflow { index: 1, .. }), "{error:?}");
}

#[test]
fn of_two_streams_the_one_that_is_not_finished_is_told() {
    let result = write(WriteOptions::new().compression(Compression::Raw), |writer| {
        let mut first = writer.stream::<f32>("first", &[1])?;
        let second = writer.stream::<f32>("second", &[1])?;
        first.push(&[1.0])?;
        first.finish()?;
        drop(second);
        Ok(())
    });
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::Incomplete { key: Some(key), .. } if key == "second"), "{error:?}");
}

/// A sink in memory that calls a function at each write.
pub(crate) struct Watched<F: FnMut()>(pub(crate) Cursor<Vec<u8>>, pub(crate) F);

impl<F: FnMut()> Write for Watched<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.1)();
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<F: FnMut()> Seek for Watched<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// The caller's code may use rayon, or depend on its thread.
#[test]
fn a_sink_of_the_callers_is_written_to_from_the_callers_thread() {
    let values = noise(1, 1 << 20);
    for compression in [Compression::Raw, Compression::Zstd] {
        let mut threads = Vec::new();
        let mut sink = Watched(Cursor::new(Vec::new()), || threads.push(std::thread::current().id()));
        let options = WriteOptions::new().compression(compression).part_size(Some(1 << 20));
        let mut writer = options.to_writer(&mut sink).unwrap();
        writer.latent("x", &[4, 1 << 18], &values).unwrap();
        let mut stream = writer.stream::<f32>("y", &[4, 1 << 18]).unwrap();
        stream.push(&values).unwrap();
        stream.finish().unwrap();
        writer.finish(&metadata()).unwrap();
        let own = std::thread::current().id();
        assert!(threads.len() > 4 && threads.iter().all(|thread| *thread == own), "{compression:?}");
    }
}

/// A raw stream reserves the space of its whole shape, so the next chunk would start past the last
/// countable byte.
#[test]
#[cfg(target_pointer_width = "64")]
fn what_would_lie_past_all_that_can_be_counted_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = || WriteOptions::new().compression(Compression::Raw).alignment(64);
    let mut writer = options().create(folder.path().join("x.gen5")).unwrap();
    let refused = writer.stream::<f32>("a", &[usize::MAX / 8]).map(|_| ()).unwrap_err();
    assert!(matches!(refused, Error::TooLarge { .. }), "{refused}");
    let stream = writer.stream::<f32>("a", &[(usize::MAX / 2 - 67) / 4]).unwrap();
    let refused = writer.latent("b", &[1], &[1.0_f32]).unwrap_err();
    assert!(matches!(refused, Error::TooLarge { .. }), "{refused}");
    assert!(refused.to_string().starts_with("the file is too large: a chunk of 16 bytes"), "{refused}");
    drop((stream, writer));
}
