//! Files assembled by hand, byte by byte.

use std::io::Write;

use gen5::chunk::Digest;
use serde_json::{Value, json};
use zstd::stream::raw::CParameter;

/// The little-endian bytes of floats, as files store them.
pub(crate) fn le_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// A `model_info` with every required member.
pub(crate) fn model_info() -> Value {
    json!({
        "model_name": "m", "version": "1", "date": "2026-11-22T00:00:00+00:00", "prompt": "p", "tags": ["t"],
        "generation_settings": {"seed": 7, "steps": 20, "sampler": "euler"},
    })
}

/// The parameters of a zstd frame.
#[derive(Clone, Copy)]
pub(crate) struct FrameStyle {
    pub(crate) checksum: bool,
    pub(crate) content_size: bool,
    pub(crate) window_log: Option<u32>,
}

impl Default for FrameStyle {
    fn default() -> Self {
        Self { checksum: true, content_size: true, window_log: None }
    }
}

/// `content` as one zstd frame.
pub(crate) fn frame(content: &[u8], style: FrameStyle) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
    compressor.set_parameter(CParameter::ChecksumFlag(style.checksum)).unwrap();
    compressor.set_parameter(CParameter::ContentSizeFlag(style.content_size)).unwrap();
    if let Some(log) = style.window_log {
        compressor.set_parameter(CParameter::WindowLog(log)).unwrap();
    }
    compressor.compress(content).unwrap()
}

/// A frame that claims `content_size` bytes and a window of 2^`window_log` bytes, with `content` as
/// one raw block. It has no checksum (RFC 8878, 3.1.1).
pub(crate) fn frame_by_hand(content_size: u64, window_log: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1100_0000, (window_log - 10) << 3];
    frame.extend(content_size.to_le_bytes());
    let block = (content.len() as u32) << 3 | 1; // the last block, raw
    frame.extend(&block.to_le_bytes()[..3]);
    frame.extend(content);
    frame
}

/// A frame of `head` followed by `blocks` run-length blocks, each of 128 Ki zero bytes (RFC 8878,
/// 3.1.1.2.2).
pub(crate) fn frame_of_zeros(head: &[u8], blocks: u32) -> Vec<u8> {
    const LENGTH: u32 = 128 << 10;
    let content_size = head.len() as u64 + u64::from(blocks * LENGTH);
    let mut frame = frame_by_hand(content_size, 20, head);
    frame[14] &= !1; // the head's block is not the last
    for block in 1..=blocks {
        let header = LENGTH << 3 | 1 << 1 | u32::from(block == blocks);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(0);
    }
    frame
}

/// A frame in blocks of 512 bytes whose matches reach 8 KiB back, with `window` as its window
/// descriptor (RFC 8878, 3.1.1.1.2), which may claim another size. It has no checksum.
pub(crate) fn frame_that_claims(window: u8, content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(13).unwrap();
    encoder.set_pledged_src_size(Some(content.len() as u64)).unwrap();
    for block in content.chunks(512) {
        encoder.write_all(block).unwrap();
        encoder.flush().unwrap();
    }
    let mut frame = encoder.finish().unwrap();
    assert_eq!(frame[4] & 0b10_0000, 0, "a content of under 8 KiB is a single segment, and has no such byte");
    frame[5] = window;
    frame
}

/// A skippable frame (RFC 8878, 3.1.2).
pub(crate) fn skippable_frame() -> Vec<u8> {
    let mut frame = 0x184d_2a50_u32.to_le_bytes().to_vec();
    frame.extend(4_u32.to_le_bytes());
    frame.extend(b"skip");
    frame
}

/// A chunk's header and payload, before any compression.
pub(crate) fn chunk_bytes(kind: &str, flags: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut chunk = kind.as_bytes().to_vec();
    chunk.extend(flags);
    chunk.extend((payload.len() as u32).to_le_bytes());
    chunk.extend(payload);
    chunk
}

/// The bytes of a payload, grouped as in section 12 of format.md: within each MiB, all first bytes
/// of the elements, then all second bytes, and so on.
pub(crate) fn shuffled(payload: &[u8], size: usize) -> Vec<u8> {
    let mut grouped = Vec::with_capacity(payload.len());
    for block in payload.chunks(1 << 20) {
        for byte in 0..size {
            grouped.extend(block.chunks(size).map(|element| element[byte]));
        }
    }
    grouped
}

type Edit<'a, T> = Option<Box<dyn FnOnce(&mut T) + 'a>>;
type Store<'a> = Option<Box<dyn FnOnce(&[u8]) -> Vec<u8> + 'a>>;

/// A stored chunk of a [`Builder`] and its record, without the members that depend on the place in
/// the file.
pub(crate) struct Chunk<'a> {
    gap: Vec<u8>,
    stored: Vec<u8>,
    record: Value,
    edit: Edit<'a, Value>,
}

impl<'a> Chunk<'a> {
    /// A raw chunk.
    pub(crate) fn raw(kind: &str, flags: &[u8; 4], payload: &[u8], extra: Value) -> Self {
        let mut record = json!({
            "type": kind,
            "flags": std::str::from_utf8(flags).unwrap().trim_end_matches('\0'),
            "uncompressed_size": payload.len(),
            "hash": Digest::of(payload),
            "compressed": false,
        });
        record["extra"] = extra;
        Self { gap: Vec::new(), stored: chunk_bytes(kind, flags, payload), record, edit: None }
    }

    /// A raw latent of float32.
    pub(crate) fn latent(key: &str, shape: &[usize], values: &[f32]) -> Self {
        let extra = json!({"shape": shape, "dtype": "float32", "key": key});
        Self::raw("LATN", b"F32\0", &le_bytes(values), extra)
    }

    /// A raw chunk of a latent whose elements are of `dtype`, which `flags` may repeat.
    pub(crate) fn elements(
        key: &str,
        (dtype, flags): (&str, &[u8; 4]),
        shape: &[usize],
        payload: &[u8],
    ) -> Self {
        Self::raw("LATN", flags, payload, json!({"shape": shape, "dtype": dtype, "key": key}))
    }

    /// The same chunk as a frame of its shuffled bytes, for elements of `size` bytes.
    pub(crate) fn shuffled(mut self, size: usize) -> Self {
        let (header, payload) = self.stored.split_at(12);
        self.stored = [header, &shuffled(payload, size)].concat();
        self.compressed()
    }

    /// Part `index` of `count` of a float32 latent of shape `whole`, starting at slice `start` of
    /// the first axis.
    pub(crate) fn part(
        of: &str,
        index: usize,
        count: usize,
        start: usize,
        whole: &[usize],
        values: &[f32],
    ) -> Self {
        let slices = values.len() / whole[1..].iter().product::<usize>();
        let mut shape = whole.to_vec();
        shape[0] = slices;
        let part =
            json!({"of": of, "index": index, "count": count, "axis": 0, "start": start, "shape": whole});
        let key = format!("{of}[{start}:{}]", start + slices);
        let extra = json!({"shape": shape, "dtype": "float32", "key": key, "part": part});
        Self::raw("LATN", b"F32\0", &le_bytes(values), extra)
    }

    /// The same chunk as a zstd frame.
    pub(crate) fn compressed(mut self) -> Self {
        self.stored = frame(&self.stored, FrameStyle::default());
        self.record["compressed"] = json!(true);
        self
    }

    /// Changes the stored bytes. The record's size follows; its hash does not.
    pub(crate) fn stored(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        change(&mut self.stored);
        self
    }

    /// Puts bytes before the chunk that belong to no chunk.
    pub(crate) fn after_gap(mut self, gap: &[u8]) -> Self {
        self.gap = gap.to_vec();
        self
    }

    /// Changes the record after it is complete.
    pub(crate) fn record(mut self, edit: impl FnOnce(&mut Value) + 'a) -> Self {
        self.edit = Some(Box::new(edit));
        self
    }
}

/// A file assembled by hand. It is valid except for the changes made through these methods.
#[derive(Default)]
pub(crate) struct Builder<'a> {
    chunks: Vec<Chunk<'a>>,
    manifest: Edit<'a, Value>,
    text: Edit<'a, Vec<u8>>,
    meta: Edit<'a, Vec<u8>>,
    table: Store<'a>,
    header: Edit<'a, Vec<u8>>,
    minor: u8,
    large: bool,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(chunks: impl IntoIterator<Item = Chunk<'a>>) -> Self {
        Self { chunks: chunks.into_iter().collect(), ..Self::default() }
    }

    /// Changes the manifest.
    pub(crate) fn manifest(mut self, edit: impl FnOnce(&mut Value) + 'a) -> Self {
        self.manifest = Some(Box::new(edit));
        self
    }

    /// Changes the manifest's JSON text.
    pub(crate) fn text(mut self, edit: impl FnOnce(&mut Vec<u8>) + 'a) -> Self {
        self.text = Some(Box::new(edit));
        self
    }

    /// Replaces the first occurrence of `from` in the manifest's JSON text. Panics if there is
    /// none.
    pub(crate) fn replace(self, from: &'a str, to: &'a str) -> Self {
        self.text(move |text| {
            let before = String::from_utf8(text.clone()).unwrap();
            assert!(before.contains(from), "{from} is not in {before}");
            *text = before.replacen(from, to, 1).into_bytes();
        })
    }

    /// Changes the META chunk: its 12-byte header and the text.
    pub(crate) fn meta(mut self, edit: impl FnOnce(&mut Vec<u8>) + 'a) -> Self {
        self.meta = Some(Box::new(edit));
        self
    }

    /// Stores the META chunk through `store`.
    pub(crate) fn table(mut self, store: impl FnOnce(&[u8]) -> Vec<u8> + 'a) -> Self {
        self.table = Some(Box::new(store));
        self
    }

    /// Changes the 32 bytes of the file header.
    pub(crate) fn header(mut self, edit: impl FnOnce(&mut Vec<u8>) + 'a) -> Self {
        self.header = Some(Box::new(edit));
        self
    }

    /// Sets the version to 1.`minor`.
    pub(crate) fn minor(mut self, minor: u8) -> Self {
        self.minor = minor;
        self
    }

    /// Stores the table's place in the header fields for files of 4 GiB and more.
    pub(crate) fn large(mut self) -> Self {
        self.large = true;
        self
    }

    /// Puts `bytes` into the file header at `at`.
    pub(crate) fn header_bytes(self, at: usize, bytes: &'a [u8]) -> Self {
        self.header(move |header| header[at..at + bytes.len()].copy_from_slice(bytes))
    }

    pub(crate) fn build(self) -> Vec<u8> {
        let mut file = vec![0; 32];
        let mut records = Vec::new();
        for (index, chunk) in self.chunks.into_iter().enumerate() {
            file.extend(chunk.gap);
            let mut record = chunk.record;
            record["index"] = json!(index);
            record["offset"] = json!(file.len());
            record["compressed_size"] = json!(chunk.stored.len());
            apply(chunk.edit, &mut record);
            file.extend(chunk.stored);
            records.push(record);
        }
        let count = records.len();
        let file_info = json!({"magic": "GEN5", "version_major": 1, "version_minor": self.minor, "file_size": 0, "chunk_count": count});
        let body = json!({"file_info": file_info, "model_info": model_info(), "chunks": records});
        let mut manifest = json!({ "gen5_metadata": body });
        apply(self.manifest, &mut manifest);
        let mut text = in_order(&manifest).into_bytes();
        apply(self.text, &mut text);
        let mut meta = chunk_bytes("META", b"0000", &text);
        apply(self.meta, &mut meta);
        let table = match self.table {
            Some(store) => store(&meta),
            None => frame(&meta, FrameStyle::default()),
        };
        let offset = file.len();
        file.extend(&table);

        let mut header = vec![b'G', b'E', b'N', b'5', 1, self.minor, u8::from(self.large), 0];
        let (fields, reserved) = match self.large {
            true => ([u32::MAX, 0, count as u32, u32::MAX], offset),
            false => ([offset, table.len(), count, file.len()].map(|value| value as u32), 0),
        };
        header.extend(fields.map(u32::to_le_bytes).as_flattened());
        header.extend((reserved as u64).to_le_bytes());
        apply(self.header, &mut header);
        file[..32].copy_from_slice(&header);
        file
    }
}

/// The order in which writers store the members of records.
const ORDER: [&str; 12] = [
    "index",
    "type",
    "flags",
    "offset",
    "compressed_size",
    "uncompressed_size",
    "hash",
    "extra",
    "compressed",
    "shape",
    "dtype",
    "key",
];

/// JSON with the members of objects in the order of writers, and unknown members last.
fn in_order(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let place = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(ORDER.len());
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| place(name));
            let texts = members.iter().map(|(name, value)| format!("{}:{}", json!(name), in_order(value)));
            format!("{{{}}}", texts.collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(in_order).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

fn apply<T>(edit: Edit<'_, T>, value: &mut T) {
    if let Some(edit) = edit {
        edit(value);
    }
}
