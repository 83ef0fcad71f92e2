//! R4, R6, R9 and R15 to R20: records that open, and errors found when their chunks are read.

use gen5::chunk::{ChunkRecord, Digest};
use gen5::{Error, Reader, f16};
use serde_json::json;

use crate::case::{Case, damaged, read};
use crate::good::{VALUES, good, raw, stored};
use crate::records::{NEW, new_kind};
use crate::support::{Builder, Chunk, PNG, chunk_bytes, environment_json, le_bytes};

pub(crate) fn cases() -> Vec<Case> {
    let clauses = [other_flags(), hashes(), ambiguous(), unusual(), unknown(), of_1_1()];
    clauses.into_iter().flatten().collect()
}

/// A chunk whose flags differ from its record's would be decoded to wrong values.
fn other_flags() -> Vec<Case> {
    let kinds = [
        (b"F16S", b"F16\0"),
        (b"F16\0", b"F16S"),
        (b"F16\0", b"BF16"),
        (b"BF16", b"B16S"),
        (b"B16S", b"F16S"),
    ];
    let case = |(record, chunk): (&[u8; 4], &[u8; 4])| {
        let dtype = if record[0] == b'B' { "bfloat16" } else { "float16" };
        let bytes = stored(&chunk_bytes("LATN", chunk, &[0; 12]));
        let latent = Chunk::elements("x", (dtype, record), &[6], &[0; 12]).compressed();
        let file = Builder::new([latent.stored(|stored| *stored = bytes)]).minor(1).build();
        let [record, chunk] = [record, chunk].map(|flags| flags.escape_ascii().to_string());
        let (name, words) =
            (format!("{record}, in the chunk {chunk}"), format!("flags {record}, the chunk itself {chunk}"));
        damaged("R4", [(&*name, file, "Contradiction chunk 0 at 32 flags", &*words)])
    };
    kinds.into_iter().flat_map(|(record, chunk)| case((record, chunk))).collect()
}

fn hashes() -> Vec<Case> {
    let other = |record: &mut serde_json::Value| record["hash"] = json!(Digest::of(b"another payload"));
    let one = |chunk: Chunk<'_>| Builder::new([raw("a"), chunk]).minor(1).build();
    let told = "Hash chunk 1 at 68";
    let expected = format!("but {} is recorded", Digest::of(b"another payload"));
    let image = || Chunk::raw("DATA", b"0000", PNG, json!({}));
    let environment = || Chunk::raw("ENVC", b"0000", environment_json().as_bytes(), json!({}));
    let unknown = || Chunk::raw("MASK", b"v2\0\0", b"nobody knows", json!({}));
    damaged(
        "R6",
        [
            ("of a raw chunk", one(raw("x").record(other)), told, &*expected),
            ("of a compressed chunk", one(raw("x").compressed().record(other)), told, &*expected),
            ("of a shuffled chunk", one(new_kind(NEW[3]).record(other)), told, &*expected),
            ("of an image", one(image().record(other)), told, &*expected),
            ("of a compressed image", one(image().compressed().record(other)), told, &*expected),
            ("of an environment", one(environment().compressed().record(other)), told, &*expected),
            ("of a chunk of unknown type", one(unknown().record(other)), told, &*expected),
            (
                "of a compressed chunk of unknown type",
                one(unknown().compressed().record(other)),
                told,
                &*expected,
            ),
            (
                "a bit of a raw chunk",
                one(raw("x").stored(|stored| stored[35] ^= 1)),
                told,
                "the payload is damaged",
            ),
            (
                "the last bit of an image",
                one(image().stored(|stored| *stored.last_mut().unwrap() ^= 0x80)),
                told,
                "the payload is damaged",
            ),
        ],
    )
}

fn ambiguous() -> Vec<Case> {
    let keyless = Chunk::raw("LATN", b"F32\0", &le_bytes(&[3.0]), json!({"shape": [1], "dtype": "float32"}));
    let number = Chunk::latent("x", &[1], &[4.0]).record(|record| record["extra"]["key"] = json!(17));
    let half = Chunk::latent("x", &[1], &[5.0]);
    let chunks = [Chunk::latent("x", &[1], &[1.0]), keyless, Chunk::latent("x", &[1], &[2.0]), number, half];
    let file = Builder::new(chunks).text(|text| {
        let at = text.windows(9).rposition(|part| part == b"\"key\":\"x\"").unwrap();
        text.splice(at..at + 9, *b"\"key\":\"\\ud800\"");
    });
    let check = |reader: &Reader| {
        match reader.latent("x").unwrap_err() {
            Error::AmbiguousKey { key, count: 2, first: 0, .. } => assert_eq!(key, "x"),
            other => panic!("{other:?}"),
        }
        for (index, value) in [1.0, 3.0, 2.0, 4.0, 5.0].into_iter().enumerate() {
            assert_eq!(*reader.latent_at(index).unwrap().read::<f32>().unwrap(), [value]);
        }
        let keys: Vec<_> = reader.latents().map(|latent| latent.key().map(str::to_owned)).collect();
        let x = || Some("x".to_owned());
        assert_eq!(keys, [x(), None, x(), None, None]);
        assert_eq!(reader.latent_at(3).unwrap().extra().unwrap().get("key"), Some("17"));
        assert_eq!(reader.latent_at(4).unwrap().extra().unwrap().get("key"), Some("\"\\ud800\""));
        assert!(matches!(reader.latent("17"), Err(Error::NoSuchLatent { .. })));
        let error = reader.latent_at(1).unwrap().read::<f16>().unwrap_err();
        assert!(error.to_string().starts_with("latent number 1 "), "{error}");
    };
    let file = file.build();
    vec![
        read("R9", "two of five latents", file.clone(), check),
        read("R15", "missing, a number, half a pair", file, check),
    ]
}

fn unusual() -> Vec<Case> {
    let of = |chunk: Chunk<'_>| Builder::new([raw("a"), chunk]).build();
    let f32_raw = |payload: &[u8], extra| Chunk::raw("LATN", b"F32\0", payload, extra);
    let gap = Builder::new([
        Chunk::latent("", &[6], &VALUES).after_gap(b"not zeros"),
        raw("b").compressed().after_gap(&[0; 1000]),
    ]);
    let moved = good().manifest(|all| {
        let chunks = all["gen5_metadata"]["chunks"].as_array_mut().unwrap();
        chunks.swap(0, 1);
        chunks[0]["index"] = json!(0);
        chunks[1]["index"] = json!(1);
    });
    let empty = |reader: &Reader| {
        let latent = reader.latent_at(1).unwrap();
        assert!(latent.is_empty() && latent.read::<f32>().unwrap().is_empty());
    };
    let not_one = raw("x").record(|record| record["extra"]["part"] = json!("not one"));
    let upper =
        raw("x").record(|record| record["hash"] = json!(record["hash"].as_str().unwrap().to_uppercase()));
    let nan = Chunk::raw(
        "LATN",
        b"F16\0",
        &[0, 0x7e, 0, 0x7c],
        json!({"shape": [2.0], "dtype": "float16", "key": ["x"]}),
    );
    let huge = json!({"shape": [usize::MAX, 2, 0], "dtype": "float32", "key": 7});
    vec![
        read("R16", "of three", of(Chunk::latent("x", &[3, 0, 5], &[]).compressed()), empty),
        read("R16", "beside the longest axis", of(f32_raw(b"", huge)), empty),
        read("R17", "without axes", of(Chunk::latent("x", &[], &[1.5])), |reader| {
            let latent = reader.latent("x").unwrap();
            assert_eq!((latent.shape().len(), &*latent.read::<f32>().unwrap()), (0, &[1.5][..]));
        }),
        read("R18", "and infinity", of(nan), |reader| {
            let latent = reader.latent_at(1).unwrap();
            let values = latent.read::<f16>().unwrap();
            assert!(values[0].is_nan() && values[1] == f16::INFINITY);
            assert_eq!(latent.extra().unwrap().get("key"), Some("[\"x\"]"));
        }),
        read("R19", "with something in them", gap.build(), |reader| {
            assert_eq!(reader.chunks()[0].offset(), 41);
            assert_eq!(*reader.latent("").unwrap().read::<f32>().unwrap(), VALUES);
            assert_eq!(*reader.latent("b").unwrap().read::<f32>().unwrap(), VALUES);
        }),
        read("R19", "chunks in another order than their records", moved.build(), |reader| {
            assert_eq!(reader.chunks().iter().map(ChunkRecord::offset).min(), Some(32));
            assert_eq!(*reader.latent("a").unwrap().read::<f32>().unwrap(), VALUES);
        }),
        read("R7", "in upper case, which is legal", of(upper), |reader| {
            assert_eq!(*reader.latent("x").unwrap().read::<f32>().unwrap(), VALUES);
        }),
        read("J14", "a part that is no object", of(not_one), |reader| {
            assert_eq!(reader.latent("x").unwrap().extra().unwrap().get("part"), Some("\"not one\""));
        }),
    ]
}

fn unknown() -> Vec<Case> {
    let case = |name: &str, compressed: bool| {
        let chunk = Chunk::raw("MASK", b"v2\0\0", b"what this is, nobody knows", json!({"n": 1}))
            .record(|record| record["beside"] = json!([true]));
        let chunk = if compressed { chunk.compressed() } else { chunk };
        let file = Builder::new([Chunk::latent("x", &[1], &[1.0]), chunk]).build();
        read("R20", name, file, |reader| {
            assert_eq!((reader.chunks().len(), reader.latents().len()), (2, 1));
            let record = &reader.chunks()[1];
            assert_eq!((record.kind().to_string(), record.extra().get("n")), ("MASK".into(), Some("1")));
            assert_eq!(record.unknown().get("beside"), Some("[true]"));
            assert_eq!(*reader.payload(1).unwrap(), *b"what this is, nobody knows");
        })
    };
    let listed = Chunk::raw("META", b"0000", b"{}", json!({}));
    let file = Builder::new([listed]).build();
    vec![
        case("raw", false),
        case("compressed", true),
        read("R20", "a listed META", file, |reader| assert_eq!(*reader.payload(0).unwrap(), *b"{}")),
    ]
}

/// Kinds that are valid in 1.1 and that R12 refuses in 1.0.
fn of_1_1() -> Vec<Case> {
    let case = |kind: (&'static str, &'static [u8; 4], usize)| {
        let name = format!("{} in a file of 1.1, which has it", String::from_utf8_lossy(kind.1));
        read("R12", &name, Builder::new([new_kind(kind)]).minor(1).build(), move |reader| {
            let latent = reader.latent("x").unwrap();
            assert_eq!((latent.dtype().name(), latent.payload_size()), (kind.0, 6 * kind.2 as u64));
            let chunk = &reader.chunks()[0];
            assert_eq!(chunk.is_shuffled(), kind.1[3] == b'S');
            assert_eq!(chunk.sha256(), Digest::of(&[7; 24][..6 * kind.2]));
        })
    };
    NEW.map(case).into()
}
