//! Files made from the contents of other files. Everything is kept, unless the caller asks for a
//! change.

use gen5::chunk::{ChunkCopy, ChunkType};
use gen5::metadata::Extra;
use gen5::{
    Array, Compression, Dtype, Element, Entry, Error, Latent, Reader, Summary, Version, WriteOptions, Writer,
    bf16, f16,
};
use serde_json::{Value, json};

use super::support::{Builder, Chunk, noise, open, write};

/// Writes the values of a latent as an array or stream with this entry.
fn write_latent(writer: &mut Writer<'_>, latent: &Latent, entry: Entry, streamed: bool) -> gen5::Result<()> {
    fn write_as<T: Element>(
        writer: &mut Writer<'_>,
        latent: &Latent,
        entry: Entry,
        streamed: bool,
    ) -> gen5::Result<()> {
        let values = latent.read::<T>()?;
        if streamed {
            let mut stream = writer.stream::<T>(entry, latent.shape())?;
            values.chunks(7).try_for_each(|values| stream.push(values))?;
            return stream.finish();
        }
        writer.latents([Array::new(entry, latent.shape(), &values)])
    }
    match latent.dtype() {
        Dtype::F16 => write_as::<f16>(writer, latent, entry, streamed),
        Dtype::BF16 => write_as::<bf16>(writer, latent, entry, streamed),
        _ => write_as::<f32>(writer, latent, entry, streamed),
    }
}

/// Copies a file latent by latent and chunk by chunk.
fn copy(reader: &Reader, options: WriteOptions, streamed: bool) -> gen5::Result<(Reader, Summary)> {
    let mut out = std::io::Cursor::new(Vec::new());
    let mut writer = options.to_writer(&mut out)?;
    for latent in reader.latents() {
        write_latent(&mut writer, &latent, Entry::from(&latent), streamed)?;
    }
    for record in reader.chunks().iter().filter(|record| record.kind() != ChunkType::LATENT) {
        writer.copy_chunk(reader, record)?;
    }
    let summary = writer.finish_like(reader, reader.model_info_json())?;
    Ok((open(out.into_inner()), summary))
}

/// The manifest without the members that depend on the file's length.
fn manifest(reader: &Reader) -> Value {
    let text = reader.manifest_json().replace("NaN", "\"NaN\"");
    let mut manifest: Value = serde_json::from_str(&text).unwrap();
    manifest["gen5_metadata"]["file_info"]["file_size"] = Value::Null;
    for record in manifest["gen5_metadata"]["chunks"].as_array_mut().unwrap() {
        record["offset"] = Value::Null;
        record["compressed_size"] = Value::Null;
    }
    manifest
}

/// A file with unusual contents that the writer's API cannot produce.
fn odd() -> Vec<u8> {
    let latent = |extra: Value| Chunk::raw("LATN", b"F32\0", &[0, 0, 128, 63], extra);
    let plain = json!({"shape": [1], "dtype": "float32"});
    let with = |name: &str, value: Value| {
        let mut extra = plain.clone();
        extra[name] = value;
        extra
    };
    let mut member = with("key", json!("a"));
    member["n"] = json!({"deep": [1.50, "é"]});
    let chunks = [
        latent(member).record(|record| record["note"] = json!("of the record")),
        latent(with("key", json!("a"))).compressed(),
        latent(plain.clone()),
        latent(with("key", json!(17))),
        latent(with("part", json!("not one"))),
        Chunk::raw("MASK", b"U8\0\0", b"mask", json!({"n": 1})).record(|record| record["more"] = json!([])),
        Chunk::raw("é\u{1b}x", b"\"\n\0\0", b"text that is no ASCII", json!({"key": "k", "shape": "none"})),
        Chunk::raw("DATA", b"0000", b"no image at all", json!({})),
        Chunk::raw("HUGE", b"0000", &[7; 4096], json!({})).compressed(),
        Chunk::raw("FLAT", b"0000", &[7; 4096], json!({})),
    ];
    Builder::new(chunks)
        .manifest(|manifest| {
            manifest["beside"] = json!({"a": 1.0});
            manifest["gen5_metadata"]["file_info"]["more"] = json!("x");
            manifest["gen5_metadata"]["also"] = json!(2);
            manifest["gen5_metadata"]["model_info"]["loss"] = json!("here");
        })
        .replace("\"here\"", "NaN")
        .build()
}

#[test]
fn everything_comes_along() {
    let before = open(odd());
    before.metadata().unwrap_err(); // JSON has no NaN
    for streamed in [false, true] {
        let (after, summary) = copy(&before, WriteOptions::new(), streamed).unwrap();
        assert_eq!(manifest(&after), manifest(&before));
        assert_eq!(after.model_info_json(), before.model_info_json());
        after.verify().unwrap();
        for index in 0..before.chunks().len() {
            assert_eq!(after.payload(index).unwrap(), before.payload(index).unwrap(), "chunk {index}");
            let (after, before) = (&after.chunks()[index], &before.chunks()[index]);
            assert_eq!(after.is_compressed(), before.is_compressed(), "chunk {index}");
        }
        let keys: Vec<_> = summary.latents.iter().map(|latent| latent.key.as_deref()).collect();
        assert_eq!(keys, [Some("a"), Some("a"), None, None, None]);
        // A copy of the copy has the same bytes.
        let (again, _) = copy(&after, WriteOptions::new(), streamed).unwrap();
        assert_eq!(again.fingerprint().unwrap(), after.fingerprint().unwrap());
    }
}

/// A part names its latent by key, so a latent without a key, or with several of one key, cannot be
/// cut.
#[test]
fn only_what_has_a_key_of_its_own_is_cut() {
    let values = noise(1, 1000);
    let latent = |extra: Value| {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Chunk::raw("LATN", b"F32\0", &bytes, extra)
    };
    let shape = json!([10, 100]);
    let keys = [json!("a"), json!("b"), json!("a"), Value::Null];
    let chunks = keys.map(|key| latent(json!({"shape": shape, "dtype": "float32", "key": key})).compressed());
    let before = open(Builder::new(chunks).build());
    for streamed in [false, true] {
        let (after, summary) = copy(&before, WriteOptions::new().part_size(Some(800)), streamed).unwrap();
        assert_eq!(summary.latents.iter().map(|latent| latent.parts).collect::<Vec<_>>(), [1, 5, 1, 1]);
        for (after, before) in after.latents().zip(before.latents()) {
            assert_eq!((after.key(), after.shape()), (before.key(), before.shape()));
            assert_eq!(after.read::<f32>().unwrap(), before.read::<f32>().unwrap());
        }
    }
}

#[test]
fn a_key_is_shared_only_by_those_that_did_so_before() {
    let values = [1.0_f32];
    let before = open(odd());
    let shared = || Entry::from(&before.latent_at(0).unwrap());
    let is_duplicate = |result: gen5::Result<()>| {
        assert!(matches!(result, Err(Error::DuplicateKey { key, .. }) if key == "a"));
    };
    write(WriteOptions::new(), |writer| {
        writer.latent(shared(), &[1], &values)?;
        writer.latent(shared(), &[1], &values)?;
        is_duplicate(writer.latent("a", &[1], &values));
        is_duplicate(writer.latent(shared().renamed("a"), &[1], &values));
        writer.latent(shared().renamed("b"), &[1], &values)
    })
    .unwrap();
    write(WriteOptions::new(), |writer| {
        writer.latent("a", &[1], &values)?;
        is_duplicate(writer.latent(shared(), &[1], &values));
        Ok(())
    })
    .unwrap();
}

#[test]
fn a_new_key_takes_the_place_of_one_that_was_none() {
    let before = open(odd());
    let latent = before.latent_at(3).unwrap();
    assert_eq!(latent.extra().unwrap().get("key"), Some("17"));
    let (file, _) = write(WriteOptions::new(), |writer| {
        writer.latent(Entry::from(&latent).renamed("k"), &[1], &[1.0_f32])
    })
    .unwrap();
    let reader = open(file);
    assert!(reader.latent("k").unwrap().extra().unwrap().is_empty());
}

/// A part names its latent and needs no key.
#[test]
fn a_latent_whose_parts_have_no_text_as_key_comes_along() {
    let values = noise(3, 6);
    let part = |index: usize, values: &[f32]| {
        Chunk::part("a", index, 2, index, &[2, 3], values).record(|record| record["extra"]["key"] = json!(17))
    };
    let before = open(Builder::new([part(0, &values[..3]), part(1, &values[3..])]).build());
    for streamed in [false, true] {
        let (after, _) = copy(&before, WriteOptions::new(), streamed).unwrap();
        let latent = after.latent("a").unwrap();
        assert_eq!(*latent.read::<f32>().unwrap(), *values);
        assert!(latent.extra().unwrap().is_empty());
    }
}

/// An entry taken from a file cannot add members that the format defines.
#[test]
fn members_of_the_format_are_refused() {
    let before = open(odd());
    let mut extra = Extra::new();
    extra.insert("part", &1).unwrap();
    let entry = Entry::from(&before.latent_at(0).unwrap()).extra(extra);
    let refused = write(WriteOptions::new(), |writer| writer.latent(entry, &[1], &[1.0_f32]));
    assert!(matches!(refused, Err(Error::Argument { .. })));
}

fn values<T: Element>(latent: &Latent) -> Vec<u32> {
    latent.read::<T>().unwrap().iter().map(|value| value.to_f32().to_bits()).collect()
}

/// Every pair of types, compared with `half` value by value.
#[test]
fn values_are_stored_as_the_type_that_is_asked_for() {
    let mut single = noise(2, 5000);
    single.extend([0.0, -0.0, f32::INFINITY, 1e-8, -6e-8, 65280.0, f32::MIN_POSITIVE, 1e-40]);
    let half: Vec<f16> = single.iter().map(|&value| f16::from_f32(value)).collect();
    let brain: Vec<bf16> = single.iter().map(|&value| bf16::from_f32(value)).collect();
    let shape = [single.len()];
    let options = || WriteOptions::new().non_finite(gen5::NonFinite::Keep).part_size(Some(4096));
    for to in Dtype::ALL.iter().copied() {
        for compression in [Compression::Auto, Compression::Raw, Compression::Zstd, Compression::Shuffled] {
            let entry = |name: &str| Entry::new(name).dtype(to).compression(compression);
            let (file, summary) = write(options(), |writer| {
                writer.latents([
                    Array::new(entry("f16"), &shape, &half),
                    Array::new(entry("bf16"), &shape, &brain),
                    Array::new(entry("f32"), &shape, &single),
                ])?;
                let mut stream = writer.stream::<f16>(entry("f16 stream"), &shape)?;
                half.chunks(999).try_for_each(|values| stream.push(values))?;
                stream.finish()?;
                let mut stream = writer.stream::<bf16>(entry("bf16 stream"), &shape)?;
                brain.chunks(999).try_for_each(|values| stream.push(values))?;
                stream.finish()?;
                let mut stream = writer.stream::<f32>(entry("f32 stream"), &shape)?;
                single.chunks(999).try_for_each(|values| stream.push(values))?;
                stream.finish()
            })
            .unwrap();
            assert!(summary.latents.iter().all(|latent| latent.dtype == to));
            let reader = open(file);
            for latent in reader.latents() {
                let from: Vec<f32> = match latent.key().unwrap().split(' ').next().unwrap() {
                    "f16" => half.iter().map(|value| value.to_f32()).collect(),
                    "bf16" => brain.iter().map(|value| value.to_f32()).collect(),
                    _ => single.clone(),
                };
                let (found, expected): (_, Vec<f32>) = match to {
                    Dtype::F16 => {
                        let expected = from.iter().map(|&value| f16::from_f32(value).to_f32());
                        (values::<f16>(&latent), expected.collect())
                    }
                    Dtype::BF16 => {
                        let expected = from.iter().map(|&value| bf16::from_f32(value).to_f32());
                        (values::<bf16>(&latent), expected.collect())
                    }
                    _ => (values::<f32>(&latent), from),
                };
                let expected: Vec<u32> = expected.iter().map(|value| value.to_bits()).collect();
                assert!(found == expected, "{:?} as {to}, {compression:?}", latent.key());
            }
        }
    }
}

#[test]
fn a_conversion_that_makes_an_infinity_is_refused() {
    let options = || WriteOptions::new().non_finite(gen5::NonFinite::Keep);
    let large = [0.0, f32::INFINITY, f32::MAX];
    for to in [Dtype::F16, Dtype::BF16] {
        let refused =
            write(options(), |writer| writer.latent(Entry::new("x").dtype(to), &[3], &large)).unwrap_err();
        let Error::Overflow { latent, index, dtype, .. } = refused else { panic!("{refused}") };
        assert_eq!((&*latent, index, dtype), ("\"x\"", 2, to));
    }
    let nameless = open(odd()).latent_at(2).unwrap();
    let entry = Entry::from(&nameless).dtype(Dtype::F16);
    let refused = write(options(), |writer| writer.latent(entry, &[1], &[1e6_f32])).unwrap_err();
    assert!(refused.to_string().contains("without a key"), "{refused}");
}

#[test]
fn what_has_to_be_compatible_is_of_1_0_or_refused() {
    let compatible = || WriteOptions::new().max_version(Version::V1_0);
    let refuse = |fill: &dyn Fn(&mut Writer<'_>) -> gen5::Result<()>| {
        let refused = write(compatible(), |writer| fill(writer)).unwrap_err();
        assert!(matches!(refused, Error::Argument { .. } | Error::TooLarge { .. }), "{refused}");
        refused.to_string()
    };
    let brain = refuse(&|writer| writer.latent("x", &[1], &[bf16::ONE]));
    assert!(brain.contains("version 1.0") && brain.contains("bfloat16"), "{brain}");
    let shuffled = Entry::new("x").compression(Compression::Shuffled);
    assert!(refuse(&|writer| writer.latent(shuffled.clone(), &[1], &[1.0_f32])).contains("byte shuffle"));
    let odd = open(odd());
    assert!(refuse(&|writer| writer.copy_chunk(&odd, &odd.chunks()[5])).contains("MASK"));
    // The size follows from the shape, before any value is pushed. With 32-bit addresses, this
    // shape is invalid.
    #[cfg(target_pointer_width = "64")]
    {
        let large = Entry::new("x").compression(Compression::Raw);
        let stream = |writer: &mut Writer<'_>| writer.stream::<f32>(large.clone(), &[1 << 30]).map(|_| ());
        assert!(refuse(&stream).contains("4 GiB"));
    }

    let (_, summary) = write(compatible(), |writer| {
        writer.latent(Entry::new("x").dtype(Dtype::F32), &[1], &[bf16::ONE])?;
        writer.latent("y", &[1], &[f16::ONE])
    })
    .unwrap();
    assert_eq!(summary.version, Version::V1_0);
}

#[test]
fn what_is_no_chunk_to_carry_is_refused() {
    let reader = open(odd());
    let refused = write(WriteOptions::new(), |writer| {
        let other = open(Builder::new([Chunk::raw("DATA", b"0000", b"an image", json!({}))]).build());
        for chunk in [&reader.chunks()[0], &other.chunks()[0]] {
            let refused = writer.copy_chunk(&reader, chunk);
            assert!(matches!(refused, Err(Error::Argument { .. })), "{refused:?}");
        }
        writer.copy_chunk(&reader, &reader.chunks()[7])?;
        writer.copy_chunk(&reader, &reader.chunks()[7])
    });
    assert!(matches!(refused, Err(Error::Argument { .. })), "a second image");
    let mut out = std::io::Cursor::new(Vec::new());
    let writer = WriteOptions::new().to_writer(&mut out).unwrap();
    let refused = writer.finish_like(&reader, "{\"prompt\": NaN}").unwrap_err();
    assert!(matches!(refused, Error::Metadata { .. }), "{refused}");
}

#[test]
fn damage_is_not_carried_under_a_hash_that_fits() {
    let damaged = Chunk::raw("MASK", b"U8\0\0", b"mask", json!({})).stored(|bytes| bytes[13] ^= 1);
    let reader = open(Builder::new([damaged]).minor(1).build());
    let mut out = std::io::Cursor::new(Vec::new());
    let mut writer = WriteOptions::new().to_writer(&mut out).unwrap();
    let error = writer.copy_chunk(&reader, &reader.chunks()[0]).unwrap_err();
    assert!(matches!(error, Error::Hash { .. }), "{error}");
}

#[test]
fn an_entry_says_how_its_latent_is_stored() {
    assert_eq!(Entry::new("x").stored_compression(), None);
    let entry = Entry::new("x").compression(Compression::Shuffled);
    assert_eq!(entry.stored_compression(), Some(Compression::Shuffled));
    let (file, _) = write(WriteOptions::new(), |writer| {
        writer.latent(Entry::new("raw").compression(Compression::Raw), &[64], &[0.5; 64])?;
        writer.latent(Entry::new("zstd").compression(Compression::Zstd), &[64], &[0.5; 64])
    })
    .unwrap();
    let reader = Reader::from_bytes(file).unwrap();
    let stored = |key: &str| Entry::from(&reader.latent(key).unwrap()).stored_compression();
    assert_eq!((stored("raw"), stored("zstd")), (Some(Compression::Raw), Some(Compression::Zstd)));
}

/// Contents that many files share are read only once.
#[test]
fn chunks_and_outline_of_a_file_serve_many() {
    let reader = open(
        Builder::new([
            Chunk::latent("a", &[2], &[0.5; 2]),
            Chunk::raw("DATA", b"0000", b"an image", json!({"note": 1})),
            Chunk::raw("XTRA", b"0000", b"unknown", json!({})).compressed(),
        ])
        .replace("\"model_info\"", "\"odd\":1e400,\"model_info\"")
        .build(),
    );
    let (image, unknown) = (
        ChunkCopy::read(&reader, &reader.chunks()[1]).unwrap(),
        ChunkCopy::read(&reader, &reader.chunks()[2]).unwrap(),
    );
    assert!(matches!(ChunkCopy::read(&reader, &reader.chunks()[0]), Err(Error::Argument { .. })));
    let outline = reader.outline().unwrap();
    for number in 0..3 {
        let model_info = format!(r#"{{"number":{number}}}"#);
        let mut out = std::io::Cursor::new(Vec::new());
        let mut writer = WriteOptions::new().to_writer(&mut out).unwrap();
        writer.latent("b", &[1], &[1.0_f32]).unwrap();
        [&image, &unknown].into_iter().try_for_each(|chunk| writer.write_chunk(chunk)).unwrap();
        writer.finish_with(&outline, &model_info).unwrap();
        let written = open(out.into_inner());
        written.verify().unwrap();
        assert_eq!((written.model_info_json(), written.chunks().len()), (&*model_info, 3));
        assert_eq!(written.image().unwrap().unwrap(), &b"an image"[..]);
        assert_eq!(written.chunks()[1].extra().get("note"), Some("1"));
        assert!(written.chunks()[2].is_compressed() && written.manifest_json().contains("\"odd\":1e400"));
    }
    let mut out = std::io::Cursor::new(Vec::new());
    let writer = WriteOptions::new().to_writer(&mut out).unwrap();
    assert!(matches!(writer.finish_with(&outline, "[]"), Err(Error::Metadata { .. })));
}

#[test]
fn a_damaged_chunk_is_not_carried() {
    let image = Chunk::raw("DATA", b"0000", b"an image", json!({})).stored(|stored| stored[15] ^= 1);
    let reader = open(Builder::new([image]).build());
    assert!(matches!(ChunkCopy::read(&reader, &reader.chunks()[0]), Err(Error::Hash { .. })));
}
