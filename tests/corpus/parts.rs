//! R10: latents in parts.

use serde_json::{Value, json};

use crate::case::{Case, read, refused};
use crate::good::{VALUES, raw};
use crate::support::{Builder, Chunk, le_bytes};

pub(crate) fn cases() -> Vec<Case> {
    let clauses = [misfits(), sound(), mixed()];
    clauses.into_iter().flatten().collect()
}

/// A file of a latent `x` of shape [6] in two parts; `edit` changes the record of the second.
fn parts(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let second = Chunk::part("x", 1, 2, 4, &[6], &VALUES[4..]).record(edit);
    Builder::new([Chunk::part("x", 0, 2, 0, &[6], &VALUES[..4]), second]).build()
}

fn misfits() -> Vec<Case> {
    let part = |name: &'static str, value: Value| parts(move |record| record["extra"]["part"][name] = value);
    let both = |edit: fn(&mut Value)| {
        let first = Chunk::part("x", 0, 2, 0, &[6], &VALUES[..4]).record(edit);
        Builder::new([first, Chunk::part("x", 1, 2, 4, &[6], &VALUES[4..]).record(edit)]).build()
    };
    let halves = {
        let mut extra = json!({"shape": [2], "dtype": "float16", "key": "x[4:6]"});
        extra["part"] = json!({"of": "x", "index": 1, "count": 2, "axis": 0, "start": 4, "shape": [6]});
        Chunk::raw("LATN", b"F16\0", &[0; 4], extra)
    };
    let first = || Chunk::part("x", 0, 2, 0, &[6], &VALUES[..4]);
    let late = || Chunk::part("x", 1, 2, 4, &[6], &VALUES[4..]);
    refused(
        "R10",
        [
            ("the first alone", Builder::new([first()]).build(), "Parts chunk 0 at 32", "1 of 2 parts"),
            ("the second alone", Builder::new([late()]).build(), "Parts chunk 0 at 32", "part 0 is missing"),
            ("an index twice", part("index", json!(0)), "Parts chunk 1 at 60", "part 0 occurs twice"),
            ("an index left out", part("index", json!(2)), "Parts chunk 1 at 60", "part 1 is missing"),
            (
                "a huge index",
                part("index", json!(usize::MAX / 2)),
                "Parts chunk 1 at 60",
                "part 1 is missing",
            ),
            ("another count", part("count", json!(3)), "Parts chunk 1 at 60", "count"),
            ("another axis", part("axis", json!(1)), "Parts chunk 1 at 60", "axis"),
            ("another whole", part("shape", json!([7])), "Parts chunk 1 at 60", "shape"),
            ("a gap", part("start", json!(5)), "Parts chunk 1 at 60", "starts at slice 5, expected 4"),
            ("slices twice", part("start", json!(3)), "Parts chunk 1 at 60", "starts at slice 3, expected 4"),
            ("a huge start", part("start", json!(usize::MAX / 2)), "Parts chunk 1 at 60", "expected 4"),
            (
                "a count of 3 in both",
                both(|r| r["extra"]["part"]["count"] = json!(3)),
                "Parts chunk 0 at 32",
                "2 of 3 parts",
            ),
            (
                "a count of 1 in both",
                both(|r| r["extra"]["part"]["count"] = json!(1)),
                "Parts chunk 0 at 32",
                "2 of 1 parts",
            ),
            (
                "too short a whole",
                both(|r| r["extra"]["part"]["shape"] = json!([5])),
                "Parts chunk 0 at 32",
                "6 of 5 slices",
            ),
            (
                "too long a whole",
                both(|r| r["extra"]["part"]["shape"] = json!([7])),
                "Parts chunk 0 at 32",
                "6 of 7 slices",
            ),
            (
                "a whole of no axes",
                both(|r| r["extra"]["part"]["shape"] = json!([])),
                "Parts chunk 0 at 32",
                "0 axes",
            ),
            (
                "an axis too many",
                both(|r| r["extra"]["part"]["axis"] = json!(1)),
                "Parts chunk 0 at 32",
                "axis 1",
            ),
            (
                "a huge axis",
                both(|r| r["extra"]["part"]["axis"] = json!(usize::MAX / 2)),
                "Parts chunk 0 at 32",
                "axes",
            ),
            (
                "a part of other rank",
                parts(|r| r["extra"]["shape"] = json!([1, 2])),
                "Parts chunk 1 at 60",
                "not a range of slices",
            ),
            (
                "another dtype",
                Builder::new([first(), halves]).build(),
                "Parts chunk 1 at 60",
                "its dtype is float16, but that of part 0 is float32",
            ),
            (
                "a cut that is not contiguous",
                both(|record| {
                    let len = record["extra"]["shape"][0].clone();
                    record["extra"]["shape"] = json!([1, len]);
                    record["extra"]["part"]["shape"] = json!([2, 6]);
                    record["extra"]["part"]["axis"] = json!(1);
                }),
                "Parts chunk 0 at 32",
                "an earlier axis is longer than 1",
            ),
            (
                "a part of no slices",
                Builder::new([
                    Chunk::part("x", 0, 3, 0, &[6], &VALUES[..4]),
                    Chunk::part("x", 1, 3, 4, &[6], &[]),
                    Chunk::part("x", 2, 3, 4, &[6], &VALUES[4..]),
                ])
                .build(),
                "Parts chunk 1 at 60",
                "not a range of slices",
            ),
            (
                "a plain key",
                Builder::new([first(), late(), raw("x")]).build(),
                "Parts chunk 0 at 32",
                "an undivided latent has the same key",
            ),
            ("of is missing", part("of", json!(null)), "Value chunk 1 at 60 extra.part", "of, index, count"),
            (
                "a negative start",
                part("start", json!(-1)),
                "Value chunk 1 at 60 extra.part",
                "of, index, count",
            ),
            (
                "a shape of text",
                part("shape", json!("6")),
                "Value chunk 1 at 60 extra.part.shape",
                "integers of 0 or more",
            ),
            ("a whole of 65 axes", part("shape", json!(vec![1; 65])), "Limit chunk 1 at 60 rank", "65"),
        ],
    )
}

fn sound() -> Vec<Case> {
    let whole = [1, 4, 2];
    let values: Vec<f32> = (0..8_u8).map(f32::from).collect();
    let part = |index: usize, start: usize, end: usize| {
        Chunk::part("x", index, 3, start, &whole, &values[start * 2..end * 2]).record(move |record| {
            record["extra"]["shape"] = json!([1, end - start, 2]);
            record["extra"]["part"]["axis"] = json!(1);
        })
    };
    let chunks =
        [part(2, 3, 4).compressed(), raw("a"), part(0, 0, 1), part(1, 1, 3).compressed().after_gap(&[0; 5])];
    let scattered = Builder::new(chunks).build();
    vec![
        read("R10", "two that fit", parts(|_| {}), |reader| {
            assert_eq!(*reader.latent("x").unwrap().read::<f32>().unwrap(), VALUES);
        }),
        read("R10", "anywhere, and stored in any way", scattered, move |reader| {
            let keys: Vec<_> = reader.latents().map(|latent| latent.key().unwrap().to_owned()).collect();
            assert_eq!(keys, ["x", "a"]);
            let latent = reader.latent("x").unwrap();
            let chunks: Vec<_> = latent.chunks().map(gen5::chunk::ChunkRecord::index).collect();
            assert_eq!((latent.shape(), chunks), (&whole[..], vec![2, 3, 0]));
            assert_eq!(*latent.read::<f32>().unwrap(), values);
            assert_eq!(*latent.rows(0..2).unwrap().read::<f32>().unwrap(), values[..4]);
            assert_eq!(*latent.rows(2..4).unwrap().read::<f32>().unwrap(), values[4..]);
        }),
    ]
}

/// Each part of a latent may be stored differently.
fn mixed() -> Vec<Case> {
    let values: Vec<f32> = (0..12_u8).map(f32::from).collect();
    let part = |index: usize, start: usize, end: usize| {
        Chunk::part("x", index, 3, start, &[6, 2], &values[start * 2..end * 2])
    };
    let shuffled = {
        let mut extra = json!({"shape": [3, 2], "dtype": "float32", "key": "x[2:5]"});
        extra["part"] = json!({"of": "x", "index": 1, "count": 3, "axis": 0, "start": 2, "shape": [6, 2]});
        Chunk::raw("LATN", b"F32S", &le_bytes(&values[4..10]), extra).shuffled(4)
    };
    let chunks = [part(0, 0, 2), shuffled, part(2, 5, 6).compressed()];
    let file = Builder::new(chunks).minor(1).build();
    vec![read("R10", "raw, shuffled and compressed", file, move |reader| {
        let latent = reader.latent("x").unwrap();
        let shuffled: Vec<_> = latent.chunks().map(gen5::chunk::ChunkRecord::is_shuffled).collect();
        assert_eq!(shuffled, [false, true, false]);
        assert_eq!(*latent.read::<f32>().unwrap(), values);
        for (start, end) in [(0, 6), (1, 3), (2, 5), (3, 4), (4, 6)] {
            assert_eq!(*latent.rows(start..end).unwrap().read::<f32>().unwrap(), values[start * 2..end * 2]);
        }
    })]
}
