//! What several tests need: files in memory, metadata, values, and every way in.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use gen5::{
    Component, Digest, Environment, Error, GenerationSettings, Metadata, Place, ReadOptions, Reader, Summary,
    WriteOptions, Writer,
};
use serde_json::{Value, json};
use zstd::stream::raw::CParameter;

pub(crate) fn data(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", name].iter().collect()
}

/// The three ways in.
pub(crate) fn all_ways(path: &Path) -> [(&'static str, gen5::Result<Reader>); 4] {
    // SAFETY: nothing else touches the file while the test runs.
    #[allow(unsafe_code)]
    let mapped = unsafe { Reader::map(path) };
    [
        ("open", Reader::open(path)),
        ("open file", ReadOptions::new().open_file(std::fs::File::open(path).unwrap())),
        ("map", mapped),
        ("bytes", Reader::from_bytes(std::fs::read(path).unwrap())),
    ]
}

/// Metadata with a fixed date, so that equal input gives equal bytes.
pub(crate) fn metadata() -> Metadata {
    Metadata::builder("Stable Diffusion 3", "3.0")
        .date("2026-11-22T00:00:00+00:00")
        .prompt("a \"cat\"\n\u{0} 🐈")
        .tag("cat")
        .settings(GenerationSettings::new(u64::MAX, 30, "euler"))
        .build()
        .unwrap()
}

pub(crate) fn environment() -> Environment {
    Environment::new([
        Component::new("os", "name=os;version=Linux 6.1"),
        Component::new("gpu", "name=gpu;model=A;driver=1"),
        Component::new("gpu", "name=gpu;model=B;driver=1"),
    ])
}

/// A PNG of one black pixel.
pub(crate) const PNG: &[u8] = include_bytes!("../data/pixel.png");

/// A file in memory, filled by `fill`.
pub(crate) fn write(
    options: WriteOptions,
    fill: impl FnOnce(&mut Writer<'_>) -> gen5::Result<()>,
) -> gen5::Result<(Vec<u8>, Summary)> {
    let mut out = Cursor::new(Vec::new());
    let mut writer = options.write_to(&mut out)?;
    fill(&mut writer)?;
    let summary = writer.finish(&metadata())?;
    Ok((out.into_inner(), summary))
}

pub(crate) fn open(bytes: Vec<u8>) -> Reader {
    Reader::from_bytes(bytes).unwrap()
}

/// Runs in a rayon pool of its own.
pub(crate) fn in_pool<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(run)
}

/// Fails the test instead of hanging it.
pub(crate) fn within_a_minute<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(run()));
    receiver.recv_timeout(std::time::Duration::from_secs(60)).expect("a result, and no deadlock")
}

/// Standard normal values, the same for the same seed: sums of twelve uniform ones (Irwin-Hall) from SplitMix64.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed;
    let mut uniform = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1_u64 << 24) as f32
    };
    (0..len).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect()
}

/// The position of the chunk that an error names.
pub(crate) fn chunk_of(error: &Error) -> Option<usize> {
    match place_of(error)? {
        Place::Chunk { index, .. } => Some(*index),
        _ => None,
    }
}

/// Where an error says that it is.
pub(crate) fn place_of(error: &Error) -> Option<&Place> {
    match error {
        Error::Value { place, .. }
        | Error::Json { place, .. }
        | Error::Frame { place, .. }
        | Error::Contradiction { place, .. }
        | Error::Parts { place, .. }
        | Error::Hash { place, .. }
        | Error::ComponentDigest { place, .. }
        | Error::Limit { place, .. } => Some(place),
        Error::Overlap { second, .. } | Error::SecondChunk { second, .. } => Some(second),
        _ => None,
    }
}

/// Bytes of floats as they are in a file.
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

/// How a zstd frame is made.
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

/// A frame that claims `content_size` bytes and a window of 2^`window_log` bytes, with one raw block of `content`. It has
/// no checksum (RFC 8878, 3.1.1).
pub(crate) fn frame_by_hand(content_size: u64, window_log: u8, content: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1100_0000, (window_log - 10) << 3];
    frame.extend(content_size.to_le_bytes());
    let block = (content.len() as u32) << 3 | 1; // the last block, raw
    frame.extend(&block.to_le_bytes()[..3]);
    frame.extend(content);
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

/// The bytes of a payload as format.md, section 12, groups them: within each MiB all first bytes of the elements, all second
/// bytes, and so on.
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

/// A chunk of a [`Builder`], as it is stored, and its record, which lacks what depends on the place in the file.
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

    /// A raw chunk of a latent whose elements are of `dtype`, which `flags` may say, too.
    pub(crate) fn elements(
        key: &str,
        (dtype, flags): (&str, &[u8; 4]),
        shape: &[usize],
        payload: &[u8],
    ) -> Self {
        Self::raw("LATN", flags, payload, json!({"shape": shape, "dtype": dtype, "key": key}))
    }

    /// The same chunk as a frame of its bytes shuffled, for elements of `size` bytes.
    pub(crate) fn shuffled(mut self, size: usize) -> Self {
        let (header, payload) = self.stored.split_at(12);
        self.stored = [header, &shuffled(payload, size)].concat();
        self.compressed()
    }

    /// Part `index` of `count` of a float32 latent of shape `whole`, from slice `start` of its first axis on.
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

    /// Changes the bytes in the file; the record's size follows, its hash does not.
    pub(crate) fn stored(mut self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        change(&mut self.stored);
        self
    }

    /// Bytes before the chunk that belong to none.
    pub(crate) fn after_gap(mut self, gap: &[u8]) -> Self {
        self.gap = gap.to_vec();
        self
    }

    /// Changes the record, when it is complete.
    pub(crate) fn record(mut self, edit: impl FnOnce(&mut Value) + 'a) -> Self {
        self.edit = Some(Box::new(edit));
        self
    }
}

/// A file put together by hand: right in every respect, but for what is changed on the way.
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

    /// Replaces the first occurrence of `from` in the manifest's JSON text, of which there has to be one.
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

    /// Makes the stored table of the META chunk.
    pub(crate) fn table(mut self, store: impl FnOnce(&[u8]) -> Vec<u8> + 'a) -> Self {
        self.table = Some(Box::new(store));
        self
    }

    /// Changes the 32 bytes of the file header.
    pub(crate) fn header(mut self, edit: impl FnOnce(&mut Vec<u8>) + 'a) -> Self {
        self.header = Some(Box::new(edit));
        self
    }

    /// Makes it a file of version 1.`minor`.
    pub(crate) fn minor(mut self, minor: u8) -> Self {
        self.minor = minor;
        self
    }

    /// Has the header tell the table's place as in files of 4 GiB and more.
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
        let mut text = serde_json::to_vec(&manifest).unwrap();
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

fn apply<T>(edit: Edit<'_, T>, value: &mut T) {
    if let Some(edit) = edit {
        edit(value);
    }
}
