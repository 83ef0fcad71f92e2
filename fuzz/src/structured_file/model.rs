//! The possible contents of a file.

use arbitrary::Arbitrary;
use gen5::chunk::Digest;
use serde_json::{Value, json};

use super::mistake::{Mistake, Position};
use crate::build::Chunk;

/// A latent or another chunk.
#[derive(Arbitrary, Debug)]
pub(super) enum Content {
    Latent {
        key: Option<Key>,
        dtype: Dtype,
        storage: Storage,
        shape: [u8; 4],
        axes: u8,
        seed: u8,
        gap: u8,
    },
    /// A latent in parts with these numbers of rows.
    Parts {
        name: u8,
        rows: [u8; 3],
        count: u8,
        seed: u8,
        storage: Storage,
    },
    Image(Vec<u8>),
    Environment(Vec<(String, String)>),
    Unknown {
        tag: [u8; 3],
        payload: Vec<u8>,
        compressed: bool,
    },
}

/// The key of a latent: one of a few, or any.
#[derive(Arbitrary, Debug)]
pub(super) enum Key {
    Some(u8),
    Any(String),
}

/// The element type.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub(super) enum Dtype {
    F32,
    F16,
    BF16,
}

/// The storage of a chunk.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
pub(super) enum Storage {
    Raw,
    Zstd,
    Shuffled,
}

/// A chunk before it is stored.
pub(super) struct Piece {
    pub(super) tag: String,
    flags: [u8; 4],
    pub(super) payload: Vec<u8>,
    pub(super) extra: Value,
    storage: Storage,
    /// The size of an element in bytes.
    element: usize,
    /// The number of unused bytes before the chunk.
    gap: usize,
}

impl Piece {
    /// Whether the chunk requires version 1.1.
    pub(super) fn is_newer(&self) -> bool {
        self.storage == Storage::Shuffled || &self.flags == b"BF16"
    }

    /// The stored chunk with the mistakes that affect it.
    pub(super) fn chunk<'a>(&self, at: Position, mistakes: &[Mistake]) -> Chunk<'a> {
        let mut payload = self.payload.clone();
        mistakes.iter().for_each(|mistake| mistake.make_in_payload(at, &mut payload));
        let chunk = Chunk::raw(&self.tag, &self.flags, &payload, self.extra.clone())
            .stored(|stored| mistakes.iter().for_each(|mistake| mistake.make_in_head(at, &mut stored[..12])));
        let chunk = match self.storage {
            Storage::Raw => chunk,
            Storage::Zstd => chunk.compressed(),
            Storage::Shuffled => chunk.shuffled(self.element),
        };
        chunk
            .after_gap(&vec![0; self.gap])
            .stored(|stored| mistakes.iter().for_each(|mistake| mistake.make_in_stored(at, stored)))
    }

    fn latent(key: Option<&str>, dtype: Dtype, storage: Storage, shape: &[usize], seed: u8) -> Self {
        let mut extra = json!({"shape": shape, "dtype": dtype.name()});
        if let Some(key) = key {
            extra["key"] = json!(key);
        }
        Self {
            tag: "LATN".into(),
            flags: dtype.flags(storage),
            payload: values(seed, shape.iter().product::<usize>() * dtype.size()),
            extra,
            storage,
            element: dtype.size(),
            gap: 0,
        }
    }

    fn single(tag: &str, payload: &[u8], compressed: bool) -> Self {
        let storage = if compressed { Storage::Zstd } else { Storage::Raw };
        Self {
            tag: tag.to_owned(),
            flags: *b"0000",
            payload: payload.to_vec(),
            extra: json!({}),
            storage,
            element: 1,
            gap: 0,
        }
    }
}

impl Dtype {
    fn name(self) -> &'static str {
        ["float32", "float16", "bfloat16"][self as usize]
    }

    fn size(self) -> usize {
        [4, 2, 2][self as usize]
    }

    fn flags(self, storage: Storage) -> [u8; 4] {
        let plain = [b"F32\0", b"F16\0", b"BF16"];
        let shuffled = [b"F32S", b"F16S", b"B16S"];
        *(if storage == Storage::Shuffled { shuffled } else { plain })[self as usize]
    }
}

/// The chunks for these contents. If a chunk may only occur once, the first one is used.
pub(super) fn pieces(contents: &[Content]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut names = Vec::new();
    for content in contents.iter().take(6) {
        let is_there = |tag: &str| pieces.iter().any(|piece| piece.tag == tag);
        match content {
            Content::Latent { key, dtype, storage, shape, axes, seed, gap } => {
                let shape: Vec<usize> = shape.iter().map(|axis| usize::from(*axis % 6)).collect();
                let shape = &shape[..usize::from(*axes % 5)];
                let key = key.as_ref().map(|key| match key {
                    Key::Some(name) => format!("k{}", name % 4),
                    // The name of a latent in parts must be unique.
                    Key::Any(key) => key.replace('p', "q"),
                });
                let latent = Piece::latent(key.as_deref(), *dtype, *storage, shape, *seed);
                pieces.push(Piece { gap: usize::from(*gap), ..latent });
            }
            Content::Parts { name, rows, count, seed, storage } if !names.contains(&(name % 3)) => {
                names.push(name % 3);
                let rows: Vec<usize> = rows.iter().map(|rows| usize::from(*rows % 4) + 1).collect();
                let rows = &rows[..usize::from(*count % 3) + 1];
                pieces.extend(parts(&format!("p{}", name % 3), rows, *seed, *storage));
            }
            Content::Image(bytes) if !is_there("DATA") => pieces.push(Piece::single("DATA", bytes, false)),
            Content::Environment(components) if !is_there("ENVC") => {
                pieces.push(Piece::single("ENVC", environment(components).as_bytes(), true));
            }
            Content::Unknown { tag, payload, compressed } => {
                let tag: String = tag.iter().map(|letter| char::from(b'A' + letter % 26)).collect();
                pieces.push(Piece::single(&format!("X{tag}"), payload, *compressed));
            }
            Content::Parts { .. } | Content::Image(_) | Content::Environment(_) => {}
        }
    }
    pieces
}

/// The parts of a latent with these numbers of rows.
fn parts(name: &str, rows: &[usize], seed: u8, storage: Storage) -> Vec<Piece> {
    let whole = [rows.iter().sum(), 2];
    let part = |(index, own): (usize, &usize)| {
        let start = rows[..index].iter().sum::<usize>();
        let key = format!("{name}[{start}:{}]", start + own);
        let seed = seed.wrapping_add(index as u8);
        let mut piece = Piece::latent(Some(&key), Dtype::F32, storage, &[*own, 2], seed);
        piece.extra["part"] = json!({
            "of": name, "index": index, "count": rows.len(), "axis": 0, "start": start, "shape": whole
        });
        piece
    };
    rows.iter().enumerate().map(part).collect()
}

/// Bytes that compress.
fn values(seed: u8, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 3) as u8 ^ seed).collect()
}

fn environment(components: &[(String, String)]) -> String {
    let component = |(id, text): &(String, String)| {
        let digest = Digest::of(text.as_bytes());
        json!({"component_id": id, "cononical_str": text, "component_sha256_digest": digest})
    };
    json!({"env_version": 1, "components": components.iter().map(component).collect::<Vec<_>>()}).to_string()
}
