//! Files that are nearly right.

use arbitrary::{Arbitrary, Unstructured};
use gen5::{Digest, Metadata, ReadOptions, Reader};
use serde_json::{Value, json};

use crate::build::{Builder, Chunk};
use crate::{backends_agree, content, copies};

/// A file of any content that the format has, right in all, and up to three things that are wrong with it; whatever depends on
/// these is right again, so that a mistake is come to and not stopped before. Without mistakes it is read as it was meant. With
/// them, what is accepted keeps what [`content`] and [`copies`] hold of every file.
pub fn structured_file(data: &[u8]) {
    let Ok(file) = File::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let pieces = file.pieces();
    let mistakes = file.mistakes.get(..3).unwrap_or(&file.mistakes);
    let bytes = file.build(&pieces, mistakes);
    let options = ReadOptions::new().limits(content::limits());
    match options.from_bytes(bytes.clone()) {
        Ok(reader) => {
            if mistakes.is_empty() {
                file.is_what(&reader, &pieces);
            }
            backends_agree::check(&reader, &bytes);
            copies::check(&reader);
        }
        Err(error) => assert!(!mistakes.is_empty(), "{error}"),
    }
}

/// What a file is made of.
#[derive(Arbitrary, Debug)]
struct File {
    minor: bool,
    large: bool,
    contents: Vec<Content>,
    prompt: String,
    tag: String,
    mistakes: Vec<Mistake>,
}

#[derive(Arbitrary, Debug)]
enum Content {
    Latent {
        key: Option<Key>,
        dtype: Dtype,
        storage: Storage,
        shape: [u8; 4],
        axes: u8,
        seed: u8,
        gap: u8,
    },
    /// A latent in parts of so many rows.
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

#[derive(Arbitrary, Debug)]
enum Key {
    Some(u8),
    Any(String),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Dtype {
    F32,
    F16,
    BF16,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Storage {
    Raw,
    Zstd,
    Shuffled,
}

/// One thing that is wrong. Chunks, members and places are counted round.
#[derive(Arbitrary, Clone, Debug)]
enum Mistake {
    /// A byte of a payload, whose hash is right again.
    Payload {
        chunk: u8,
        at: u16,
        byte: u8,
    },
    /// A byte of a chunk's own header.
    Head {
        chunk: u8,
        at: u8,
        byte: u8,
    },
    /// A byte of a chunk as it is stored.
    Stored {
        chunk: u8,
        at: u16,
        byte: u8,
    },
    /// A chunk is stored with some bytes less or more, and its record says so.
    Resized {
        chunk: u8,
        by: i8,
    },
    /// A member of a record, or of its `extra`, or of a part.
    Member {
        chunk: u8,
        member: u8,
        value: Json,
    },
    /// A number of a record is another.
    Nudged {
        chunk: u8,
        member: u8,
        by: i8,
    },
    /// A member is that of another record.
    Taken {
        chunk: u8,
        from: u8,
        member: u8,
    },
    /// A record is not there, or there twice.
    Missing {
        chunk: u8,
    },
    Twice {
        chunk: u8,
    },
    /// A member of the manifest beside the records.
    Manifest {
        member: u8,
        value: Json,
    },
    /// A token in the manifest's text.
    Token {
        at: u16,
        token: u8,
        instead: u8,
    },
    /// A byte of the table as it is stored.
    Table {
        at: u16,
        byte: u8,
    },
    /// A byte of the file header.
    Header {
        at: u8,
        byte: u8,
    },
}

#[derive(Arbitrary, Clone, Debug)]
enum Json {
    Null,
    Bool(bool),
    Small(u8),
    Number(i64),
    Edge(u8),
    Float(f64),
    Text(String),
    Numbers(Vec<u8>),
    Object(String),
}

const MEMBERS: [&str; 18] = [
    "/index",
    "/type",
    "/flags",
    "/offset",
    "/compressed_size",
    "/uncompressed_size",
    "/hash",
    "/extra",
    "/compressed",
    "/extra/shape",
    "/extra/dtype",
    "/extra/key",
    "/extra/part",
    "/extra/part/of",
    "/extra/part/index",
    "/extra/part/count",
    "/extra/part/start",
    "/extra/part/shape",
];

const OF_MANIFEST: [&str; 14] = [
    "",
    "/gen5_metadata",
    "/gen5_metadata/chunks",
    "/gen5_metadata/file_info",
    "/gen5_metadata/file_info/magic",
    "/gen5_metadata/file_info/version_major",
    "/gen5_metadata/file_info/version_minor",
    "/gen5_metadata/file_info/file_size",
    "/gen5_metadata/file_info/chunk_count",
    "/gen5_metadata/model_info",
    "/gen5_metadata/model_info/date",
    "/gen5_metadata/model_info/tags",
    "/gen5_metadata/model_info/generation_settings",
    "/gen5_metadata/model_info/generation_settings/steps",
];

const EDGES: [u64; 10] = [
    31,
    32,
    u16::MAX as u64,
    i32::MAX as u64,
    u32::MAX as u64,
    1 << 32,
    (1 << 53) + 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

const TOKENS: [&str; 16] = [
    "NaN",
    "-Infinity",
    "\"\\ud800\"",
    "1180591620717411303424",
    "1e400",
    "-0",
    "1.0",
    "\u{feff}",
    " ",
    ",",
    "null",
    "\"more\":1,",
    "{}",
    "[[[[",
    "\"",
    "\\",
];

/// A chunk before it is stored.
struct Piece {
    tag: String,
    flags: [u8; 4],
    payload: Vec<u8>,
    extra: Value,
    storage: Storage,
    element: usize,
    gap: usize,
}

impl Piece {
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

impl File {
    /// The chunks: of what can be there once, the first alone.
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        let mut names = Vec::new();
        for content in self.contents.iter().take(6) {
            match content {
                Content::Latent { key, dtype, storage, shape, axes, seed, gap } => {
                    let shape: Vec<usize> = shape
                        .iter()
                        .map(|axis| usize::from(*axis % 6))
                        .take(usize::from(*axes % 5))
                        .collect();
                    let mut extra = json!({"shape": shape, "dtype": dtype.name()});
                    match key {
                        Some(Key::Some(name)) => extra["key"] = json!(format!("k{}", name % 4)),
                        // A latent in parts has a name that no other has.
                        Some(Key::Any(key)) => extra["key"] = json!(key.replace('p', "q")),
                        None => {}
                    }
                    pieces.push(Piece {
                        tag: "LATN".into(),
                        flags: dtype.flags(*storage),
                        payload: values(*seed, shape.iter().product::<usize>() * dtype.size()),
                        extra,
                        storage: *storage,
                        element: dtype.size(),
                        gap: usize::from(*gap),
                    });
                }
                Content::Parts { name, rows, count, seed, storage } => {
                    let name = format!("p{}", name % 3);
                    if names.contains(&name) {
                        continue;
                    }
                    let rows: Vec<usize> = rows
                        .iter()
                        .map(|rows| usize::from(*rows % 4) + 1)
                        .take(usize::from(*count % 3) + 1)
                        .collect();
                    let whole = [rows.iter().sum(), 2];
                    for (index, own) in rows.iter().enumerate() {
                        let start = rows[..index].iter().sum::<usize>();
                        let part = json!({
                            "of": name, "index": index, "count": rows.len(), "axis": 0, "start": start, "shape": whole
                        });
                        let key = format!("{name}[{start}:{}]", start + own);
                        pieces.push(Piece {
                            tag: "LATN".into(),
                            flags: Dtype::F32.flags(*storage),
                            payload: values(seed.wrapping_add(index as u8), own * 8),
                            extra: json!({"shape": [own, 2], "dtype": "float32", "key": key, "part": part}),
                            storage: *storage,
                            element: 4,
                            gap: 0,
                        });
                    }
                    names.push(name);
                }
                Content::Image(bytes) if pieces.iter().all(|piece| piece.tag != "DATA") => {
                    pieces.push(Piece::single("DATA", bytes, false));
                }
                Content::Environment(components) if pieces.iter().all(|piece| piece.tag != "ENVC") => {
                    pieces.push(Piece::single("ENVC", environment(components).as_bytes(), true));
                }
                Content::Unknown { tag, payload, compressed } => {
                    let tag: String = tag.iter().map(|letter| char::from(b'A' + letter % 26)).collect();
                    pieces.push(Piece::single(&format!("X{tag}"), payload, *compressed));
                }
                Content::Image(_) | Content::Environment(_) => {}
            }
        }
        pieces
    }

    fn build(&self, pieces: &[Piece], mistakes: &[Mistake]) -> Vec<u8> {
        let count = pieces.len();
        let of = |chunk: &u8, index: usize| count > 0 && usize::from(*chunk) % count == index;
        let chunks = pieces.iter().enumerate().map(|(index, piece)| {
            let mut payload = piece.payload.clone();
            for mistake in mistakes {
                if let Mistake::Payload { chunk, at, byte } = mistake
                    && of(chunk, index)
                {
                    put(&mut payload, *at, *byte);
                }
            }
            let chunk =
                Chunk::raw(&piece.tag, &piece.flags, &payload, piece.extra.clone()).stored(|stored| {
                    for mistake in mistakes {
                        if let Mistake::Head { chunk, at, byte } = mistake
                            && of(chunk, index)
                        {
                            put(&mut stored[..12], u16::from(*at), *byte);
                        }
                    }
                });
            let chunk = match piece.storage {
                Storage::Raw => chunk,
                Storage::Zstd => chunk.compressed(),
                Storage::Shuffled => chunk.shuffled(piece.element),
            };
            chunk.after_gap(&vec![0; piece.gap]).stored(|stored| {
                for mistake in mistakes {
                    match mistake {
                        Mistake::Stored { chunk, at, byte } if of(chunk, index) => put(stored, *at, *byte),
                        Mistake::Resized { chunk, by } if of(chunk, index) => {
                            stored.resize(stored.len().saturating_add_signed(isize::from(*by)), 7);
                        }
                        _ => {}
                    }
                }
            })
        });
        let is_newer =
            pieces.iter().any(|piece| piece.storage == Storage::Shuffled || &piece.flags == b"BF16");
        let mut builder = Builder::new(chunks)
            .minor((self.minor || self.large || is_newer).into())
            .manifest(|manifest| {
                manifest["gen5_metadata"]["model_info"]["prompt"] = json!(self.prompt);
                manifest["gen5_metadata"]["model_info"]["tags"] = json!([self.tag]);
                mistakes.iter().for_each(|mistake| mistake.make_in_manifest(manifest));
            })
            .text(|text| mistakes.iter().for_each(|mistake| mistake.make_in_text(text)))
            .table(|meta| {
                let mut table = crate::build::frame(meta, crate::build::FrameStyle::default());
                for mistake in mistakes {
                    if let Mistake::Table { at, byte } = mistake {
                        put(&mut table, *at, *byte);
                    }
                }
                table
            })
            .header(|header| {
                for mistake in mistakes {
                    if let Mistake::Header { at, byte } = mistake {
                        put(header, u16::from(*at), *byte);
                    }
                }
            });
        if self.large {
            builder = builder.large();
        }
        builder.build()
    }

    /// Holds a file without mistakes against what it was made of.
    fn is_what(&self, reader: &Reader, pieces: &[Piece]) {
        reader.verify().expect("it is right");
        for (index, piece) in pieces.iter().enumerate() {
            let record = &reader.chunks()[index];
            assert_eq!(record.kind().to_string(), piece.tag);
            assert_eq!(*reader.payload(index).expect("it is right"), piece.payload);
            assert_eq!(record.key(), piece.extra["key"].as_str());
            let shape: Option<Vec<usize>> = serde_json::from_value(piece.extra["shape"].clone()).ok();
            assert_eq!(record.shape(), shape.as_deref());
        }
        let metadata = reader.metadata().expect("it is right");
        assert_eq!(metadata.model_info().prompt, self.prompt);
        assert_eq!(metadata.model_info().tags, [self.tag.as_str()]);
        assert_eq!(Metadata::from_json(reader.model_info_json()).ok().as_ref(), Some(&metadata));
        let of =
            |tag: &str| pieces.iter().find(|piece| piece.tag == tag).map(|piece| piece.payload.as_slice());
        assert_eq!(reader.image().expect("it is right").as_deref(), of("DATA"));
        assert_eq!(reader.environment_json().expect("it is right").as_deref(), of("ENVC"));
        assert_eq!(reader.environment().expect("it is right").is_some(), of("ENVC").is_some());
    }
}

impl Mistake {
    fn make_in_manifest(&self, manifest: &mut Value) {
        if let Self::Manifest { member, value } = self {
            set(manifest, OF_MANIFEST[usize::from(*member) % OF_MANIFEST.len()], value.value());
            return;
        }
        let Some(records) = manifest.pointer_mut("/gen5_metadata/chunks").and_then(Value::as_array_mut)
        else {
            return;
        };
        if records.is_empty() {
            return;
        }
        let count = records.len();
        let at = |chunk: &u8| usize::from(*chunk) % count;
        let name = |member: &u8| MEMBERS[usize::from(*member) % MEMBERS.len()];
        match self {
            Self::Member { chunk, member, value } => {
                set(&mut records[at(chunk)], name(member), value.value())
            }
            Self::Nudged { chunk, member, by } => {
                if let Some(number) = records[at(chunk)].pointer_mut(name(member))
                    && let Some(is) = number.as_i64()
                {
                    *number = json!(is.saturating_add(i64::from(*by)));
                }
            }
            Self::Taken { chunk, from, member } => {
                if let Some(value) = records[at(from)].pointer(name(member)).cloned() {
                    set(&mut records[at(chunk)], name(member), value);
                }
            }
            Self::Missing { chunk } => {
                records.remove(at(chunk));
            }
            Self::Twice { chunk } => records.push(records[at(chunk)].clone()),
            _ => {}
        }
        if matches!(self, Self::Missing { .. } | Self::Twice { .. }) {
            for (index, record) in records.iter_mut().enumerate() {
                record["index"] = json!(index);
            }
            set(manifest, "/gen5_metadata/file_info/chunk_count", json!(count));
        }
    }

    fn make_in_text(&self, text: &mut Vec<u8>) {
        if let Self::Token { at, token, instead } = self {
            let start = usize::from(*at) % (text.len() + 1);
            let end = (start + usize::from(*instead)).min(text.len());
            text.splice(start..end, TOKENS[usize::from(*token) % TOKENS.len()].bytes());
        }
    }
}

impl Json {
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Small(number) => json!(number),
            Self::Number(number) => json!(number),
            Self::Edge(edge) => json!(EDGES[usize::from(*edge) % EDGES.len()]),
            Self::Float(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::Numbers(numbers) => json!(numbers),
            Self::Object(name) => json!({ name: 1 }),
        }
    }
}

/// Sets what a pointer names, if that which it is in is there.
fn set(value: &mut Value, pointer: &str, to: Value) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        *value = to;
        return;
    };
    if let Some(Value::Object(members)) = value.pointer_mut(parent) {
        members.insert(name.to_owned(), to);
    }
}

fn put(bytes: &mut [u8], at: u16, byte: u8) {
    if !bytes.is_empty() {
        let at = usize::from(at) % bytes.len();
        bytes[at] = byte;
    }
}

/// Bytes that zstd has something to do with.
fn values(seed: u8, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 3) as u8 ^ seed).collect()
}

fn environment(components: &[(String, String)]) -> String {
    let component = |(id, text): &(String, String)| json!({"component_id": id, "cononical_str": text, "component_sha256_digest": Digest::of(text.as_bytes())});
    json!({"env_version": 1, "components": components.iter().map(component).collect::<Vec<_>>()}).to_string()
}
