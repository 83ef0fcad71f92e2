//! A corpus case: a file and its expected outcome, checked for every way to open it and under a
//! memory bound.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use gen5::chunk::ChunkType;
use gen5::error::{Fault, Place};
use gen5::{Dtype, Element, Error, Latent, Limits, ReadOptions, Reader, bf16, f16};
use peak_alloc::PeakAlloc;

use crate::support::{chunk_of, place_of, tell};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// The default value of every limit. It is small, so that a case notices any allocation above it.
const LITTLE: u64 = 1 << 20;

/// Memory that a case may allocate above its limits.
const SLACK: u64 = 1 << 20;

/// Additional memory of a thread that decodes a frame piece by piece: the frame's window, 512 KiB
/// in the files written here, and two blocks. Frames with wider windows have no more content than
/// this.
const RING: u64 = (512 + 2 * 128) << 10;

/// Runs `run` while nothing else in this process is measured.
pub(crate) fn in_turn<T>(run: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    run()
}

/// A way to open the file of a case.
type Open<'a> = dyn Fn(ReadOptions) -> gen5::Result<Reader> + 'a;

pub(crate) struct Case {
    pub(crate) clause: &'static str,
    pub(crate) name: String,
    pub(crate) file: Arc<[u8]>,
    limits: Limits,
    /// The factor by which memory may exceed the limits.
    times: u64,
    fate: Fate,
}

enum Fate {
    /// Opening the file fails.
    Refused(Told),
    /// The file opens. Reading or verifying the chunk that the error names fails.
    Damaged(Told),
    /// The file opens and is sound; the closure checks the rest.
    Read(Box<dyn Fn(&Reader)>),
}

/// An error as [`tell`] abbreviates it, and a substring of its message.
struct Told {
    error: String,
    words: String,
}

/// A name, a file, an error as [`tell`] abbreviates it, and a substring of its message.
pub(crate) type Row<'a> = (&'a str, Vec<u8>, &'a str, &'a str);

/// Cases whose file fails to open.
pub(crate) fn refused<'a>(clause: &'static str, rows: impl IntoIterator<Item = Row<'a>>) -> Vec<Case> {
    told(clause, rows, Fate::Refused)
}

/// Cases whose file opens and has one chunk that fails to read.
pub(crate) fn damaged<'a>(clause: &'static str, rows: impl IntoIterator<Item = Row<'a>>) -> Vec<Case> {
    told(clause, rows, Fate::Damaged)
}

/// A case whose file is sound and passes `check`.
pub(crate) fn read(
    clause: &'static str,
    name: &str,
    file: Vec<u8>,
    check: impl Fn(&Reader) + 'static,
) -> Case {
    Case::new(clause, name, file, Fate::Read(Box::new(check)))
}

fn told<'a>(
    clause: &'static str,
    rows: impl IntoIterator<Item = Row<'a>>,
    fate: fn(Told) -> Fate,
) -> Vec<Case> {
    let case = |(name, file, error, words): Row<'a>| {
        Case::new(clause, name, file, fate(Told { error: error.to_owned(), words: words.to_owned() }))
    };
    rows.into_iter().map(case).collect()
}

impl Case {
    fn new(clause: &'static str, name: &str, file: Vec<u8>, fate: Fate) -> Self {
        let limits = Limits::default()
            .table_bytes(LITTLE)
            .latent_bytes(LITTLE)
            .image_bytes(LITTLE)
            .environment_bytes(LITTLE);
        Self { clause, name: name.to_owned(), file: file.into(), limits, times: 1, fate }
    }

    /// Changes the limits of this case.
    pub(crate) fn limited(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Allows a multiple of the limits, since a parsed table may take more memory than its text;
    /// see `Limits`.
    pub(crate) fn costing(mut self, times: u64) -> Self {
        self.times = times;
        self
    }

    /// A unique file name for the case at this position.
    pub(crate) fn file_name(&self, position: usize) -> String {
        let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let name: String = self.name.chars().map(word).collect();
        format!("{}-{name}-{position:03}.gen5", self.clause)
    }

    /// Opens the file in every way, from a copy in `folder` or from memory, and checks the outcome.
    /// Returns the error if one was expected.
    pub(crate) fn run(&self, folder: &Path) -> Option<Error> {
        let path = folder.join("case.gen5");
        std::fs::write(&path, &self.file).unwrap();
        let ways: [(&str, &Open<'_>); 4] = [
            ("open", &|options| options.open(&path)),
            ("open file", &|options| options.from_file(File::open(&path).unwrap())),
            ("map", &|options| map(options, &path)),
            ("bytes", &|options| options.from_bytes(Arc::clone(&self.file))),
        ];
        let mut found = ways.map(|(way, open)| self.by(way, open));
        let texts = found.each_ref().map(|error| error.as_ref().map(Error::to_string));
        assert!(texts.iter().all(|text| *text == texts[0]), "{}: {texts:?}", self.name);
        found[0].take()
    }

    fn by(&self, way: &str, open: &Open<'_>) -> Option<Error> {
        let options = || ReadOptions::new().limits(self.limits.clone());
        let what = format!("{} {}, by {way}", self.clause, self.name);
        let opened = self.within_memory(&what, || open(options()));
        match (&self.fate, opened) {
            (Fate::Refused(told), opened) => {
                let error = opened.map(|_| ()).expect_err(&what);
                self.check(&what, told, &error);
                Some(error)
            }
            (Fate::Damaged(told), opened) => {
                let reader = opened.expect(&what);
                let report = self.within_memory(&what, || reader.verify_chunks(|_| {}));
                let damaged = report.damaged().map(|chunk| (chunk.index, true));
                let unchecked = report.unchecked().map(|chunk| (chunk.index, false));
                let found: Vec<_> = damaged.chain(unchecked).collect();
                let error = report.into_result().expect_err(&what);
                self.check(&what, told, &error);
                let index = chunk_of(&error).expect(&what);
                assert_eq!(found, [(index, error.fault() != Fault::Limit)], "{what}");
                let checking = open(options().check_hashes(true)).expect(&what);
                for (reader, checks) in [(reader, false), (checking, true)] {
                    for result in self.within_memory(&what, || read_chunk(&reader, index, &error, checks)) {
                        self.check(&what, told, &result.expect_err(&what));
                    }
                    for latent in reader.latents().filter(|latent| !has_chunk(latent, index)) {
                        latent.write_to(&mut Vec::new()).expect("the others stay readable");
                    }
                }
                Some(error)
            }
            (Fate::Read(check), opened) => {
                let reader = opened.expect(&what);
                self.within_memory(&what, || {
                    reader.verify().expect(&what);
                    check(&reader);
                });
                None
            }
        }
    }

    fn check(&self, what: &str, told: &Told, error: &Error) {
        assert_eq!(tell(error), told.error, "{what}: {error}");
        assert!(error.to_string().contains(&told.words), "{what}: {error}");
        if let Some(Place::Table { offset }) = place_of(error) {
            assert_eq!(*offset, table_of(&self.file), "{what}: {error}");
        }
    }

    /// Fails if `run` allocates more than the limits allow, on any thread. Allocations of zstd,
    /// which is C, are not counted.
    fn within_memory<T>(&self, what: &str, run: impl FnOnce() -> T) -> T {
        let Limits { table_bytes, latent_bytes, image_bytes, environment_bytes, .. } = self.limits;
        let most = table_bytes.max(latent_bytes).max(image_bytes).max(environment_bytes);
        let threads = rayon::current_num_threads() as u64 + 1;
        let limit = self.times * most + SLACK + threads * RING;
        let before = MEMORY.current_usage();
        MEMORY.reset_peak_usage();
        let result = run();
        let taken = (MEMORY.peak_usage() - before) as u64;
        assert!(taken <= limit, "{what}: {taken} bytes were allocated, over {limit}");
        result
    }
}

fn map(options: ReadOptions, path: &Path) -> gen5::Result<Reader> {
    // SAFETY: nothing else touches the file while the test runs.
    #[allow(unsafe_code)]
    unsafe {
        options.map(path)
    }
}

/// The offset of the table that the file header gives.
fn table_of(file: &[u8]) -> u64 {
    match file[6] & 1 {
        0 => u32::from_le_bytes(file[8..12].try_into().unwrap()).into(),
        _ => u64::from_le_bytes(file[24..32].try_into().unwrap()),
    }
}

fn has_chunk(latent: &Latent, index: usize) -> bool {
    latent.chunks().any(|chunk| chunk.index() == index)
}

/// The results of every way to read a chunk that must notice `error`, which verification found.
/// `checks` says whether the reader compares hashes.
fn read_chunk(reader: &Reader, index: usize, error: &Error, checks: bool) -> Vec<gen5::Result<()>> {
    if matches!(error, Error::Hash { .. }) && !checks {
        return Vec::new();
    }
    let kind = reader.chunks()[index].kind();
    if kind == ChunkType::ENVIRONMENT {
        let is_of_text =
            matches!(error, Error::Json { .. } | Error::Value { .. } | Error::ComponentDigest { .. });
        assert!(!is_of_text || reader.environment_json().unwrap().is_some(), "the text is handed out");
        return vec![reader.environment().map(|_| ())];
    }
    let mut results = vec![reader.payload(index).map(|_| ())];
    if kind == ChunkType::IMAGE {
        results.push(reader.image().map(|_| ()));
    }
    let is_of_header = matches!(error, Error::Contradiction { .. });
    if is_of_header {
        results.push(reader.payload_start(index, 1).map(|_| ()));
    }
    for latent in reader.latents().filter(|latent| has_chunk(latent, index)) {
        let mut sink = Vec::new();
        results.push(latent.write_to(&mut sink));
        assert!(sink.is_empty() || !is_of_header, "the header is looked at first");
        results.extend(match latent.dtype() {
            Dtype::F32 => read_latent::<f32>(&latent),
            Dtype::F16 => read_latent::<f16>(&latent),
            Dtype::BF16 => read_latent::<bf16>(&latent),
            other => panic!("{other}"),
        });
    }
    results
}

fn read_latent<T: Element + Default>(latent: &Latent) -> Vec<gen5::Result<()>> {
    let mut buffer = vec![T::default(); latent.len() as usize];
    let mut results = vec![
        latent.read::<T>().map(|_| ()),
        latent.read_as::<f32>().map(|_| ()),
        latent.read_into(&mut buffer),
    ];
    let borrowed = latent.as_slice::<T>().map(|_| ());
    if !matches!(borrowed, Err(Error::NotBorrowable { .. })) {
        results.push(borrowed);
    }
    results
}
