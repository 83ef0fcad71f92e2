//! Writing, on a sink that may fail.

use std::collections::HashSet;
use std::io::{self, Cursor, Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arbitrary::{Arbitrary, Unstructured};
use gen5::{
    Array, Component, Compression, Dtype, Element, Entry, Environment, Error, LatentWriter, Metadata,
    NonFinite, ReadOptions, Reader, WriteOptions, Writer, bf16, f16,
};

/// Calls to a writer in any order, right ones and wrong ones. Each right one succeeds, each wrong one is refused and leaves no
/// trace, and the file that is finished holds what the right ones gave. The sink writes short, is interrupted, and may fail for
/// good at any call to it: then that call of the writer fails with this error, every later one says that it did, and no file is
/// finished.
pub fn writer_ops(data: &[u8]) {
    let Ok(script) = Script::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let failed = Arc::new(AtomicBool::new(false));
    let mut sink = Sink {
        out: Cursor::new(Vec::new()),
        fault: script.fault.clone(),
        calls: 0,
        failed: Arc::clone(&failed),
    };
    let run = Run { script: &script, has_failed: &|| failed.load(Ordering::Relaxed), known_failed: false };
    let Some(held) = run.go(&mut sink) else { return };
    let file = sink.out.into_inner();
    held.is_in(
        &ReadOptions::new().check_hashes(true).from_bytes(file).expect("what was finished can be read"),
    );
}

#[derive(Arbitrary, Debug)]
struct Script {
    options: Options,
    calls: Vec<Call>,
    fault: Fault,
}

#[derive(Arbitrary, Debug)]
struct Options {
    compression: u8,
    level: Option<i8>,
    float16: bool,
    keep: bool,
    alignment: u8,
    part_size: Option<u8>,
    compatible: bool,
}

#[derive(Arbitrary, Debug)]
enum Call {
    Latents(Vec<Spec>),
    Stream(Spec),
    /// So many values to one of the streams that are open.
    Push {
        stream: u8,
        count: u8,
    },
    Finish {
        stream: u8,
    },
    Drop {
        stream: u8,
    },
    Image,
    NoImage,
    Environment(String, String),
}

#[derive(Arbitrary, Clone, Debug)]
struct Spec {
    key: u8,
    /// The type of the values, and that they are stored as, if it is another.
    given: u8,
    stored: Option<u8>,
    compression: Option<u8>,
    shape: [u8; 3],
    axes: u8,
    seed: u8,
    odd: Odd,
}

/// What is odd about values.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq)]
enum Odd {
    Nothing,
    Nan,
    Infinite,
    /// Too large for float16.
    Large,
    /// Fewer than the shape asks for.
    Fewer,
}

/// When the sink fails: never, once, or from then on.
#[derive(Arbitrary, Clone, Debug)]
struct Fault {
    after: Option<u8>,
    once: bool,
    /// Writes take so many bytes at most, and each third call is interrupted.
    short: Option<u8>,
    full: bool,
}

/// Bytes in memory, with faults.
struct Sink {
    out: Cursor<Vec<u8>>,
    fault: Fault,
    calls: u64,
    failed: Arc<AtomicBool>,
}

impl Sink {
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        let due = self.fault.after.map(u64::from);
        let fails =
            due.is_some_and(|due| if self.fault.once { self.calls == due + 1 } else { self.calls > due });
        if fails {
            self.failed.store(true, Ordering::Relaxed);
            return Err(
                if self.fault.full { io::ErrorKind::StorageFull } else { io::ErrorKind::Other }.into()
            );
        }
        Ok(())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.call()?;
        match self.fault.short {
            Some(_) if self.calls.is_multiple_of(3) => Err(io::ErrorKind::Interrupted.into()),
            Some(most) => self.out.write(&bytes[..bytes.len().min(usize::from(most) + 1)]),
            None => self.out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.call()
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.call()?;
        self.out.seek(to)
    }
}

const DTYPES: [Dtype; 3] = [Dtype::F32, Dtype::F16, Dtype::BF16];
const COMPRESSIONS: [Compression; 4] =
    [Compression::Auto, Compression::None, Compression::Zstd, Compression::Shuffled];

/// A PNG of one pixel.
const IMAGE: &[u8] = include_bytes!("../../tests/data/pixel.png");

impl Options {
    fn compression(&self) -> Compression {
        COMPRESSIONS[usize::from(self.compression) % 4]
    }

    fn write_options(&self) -> WriteOptions {
        let options = WriteOptions::new()
            .compression(self.compression())
            .float16(self.float16)
            .non_finite(if self.keep { NonFinite::Keep } else { NonFinite::Refuse })
            .alignment(4 << (self.alignment % 12))
            .part_size(self.part_size.map(|size| u64::from(size) + 1))
            .compatible(self.compatible);
        // Higher levels take megabytes of tables, and have no other way through the code.
        self.level.map_or(options.clone(), |level| options.level(i32::from(level % 8)))
    }
}

impl Spec {
    fn key(&self) -> String {
        format!("k{}", self.key % 8)
    }

    fn shape(&self) -> Vec<usize> {
        self.shape.iter().map(|axis| usize::from(*axis % 8)).take(usize::from(self.axes % 4)).collect()
    }

    fn given(&self) -> Dtype {
        DTYPES[usize::from(self.given) % 3]
    }

    fn stored(&self, options: &Options) -> Dtype {
        let otherwise = if options.float16 { Dtype::F16 } else { self.given() };
        self.stored.map_or(otherwise, |stored| DTYPES[usize::from(stored) % 3])
    }

    fn compression(&self, options: &Options) -> Compression {
        self.compression.map_or(options.compression(), |one| COMPRESSIONS[usize::from(one) % 4])
    }

    fn entry(&self) -> Entry {
        let mut entry = Entry::new(self.key());
        if let Some(stored) = self.stored {
            entry = entry.dtype(DTYPES[usize::from(stored) % 3]);
        }
        match self.compression {
            Some(one) => entry.compression(COMPRESSIONS[usize::from(one) % 4]),
            None => entry,
        }
    }

    /// Values that all types hold exactly, but for the odd one.
    fn values(&self) -> Vec<f32> {
        let count = self.shape().iter().product::<usize>();
        let mut values: Vec<f32> =
            (0..count).map(|at| f32::from(self.seed.wrapping_add((at / 2) as u8) as i8) / 4.0).collect();
        let odd = match self.odd {
            Odd::Nothing => return values,
            Odd::Nan => f32::NAN,
            Odd::Infinite => f32::NEG_INFINITY,
            Odd::Large => 2_f32.powi(100),
            Odd::Fewer => {
                values.pop();
                return values;
            }
        };
        let at = usize::from(self.seed) % count.max(1);
        if let Some(value) = values.get_mut(at) {
            *value = odd;
        }
        values
    }

    /// The same for a stream, of which fewer values may be pushed at any time.
    fn streamed(&self) -> Self {
        let odd = if self.odd == Odd::Fewer { Odd::Nothing } else { self.odd };
        Self { odd, ..self.clone() }
    }

    fn len(&self) -> usize {
        self.shape().iter().product()
    }

    /// Whether its values are refused.
    fn is_odd(&self, options: &Options) -> bool {
        let becomes_infinite = self.stored(options) == Dtype::F16;
        let is_infinite = self.given() == Dtype::F16;
        self.len() > 0
            && match self.odd {
                Odd::Nothing => false,
                Odd::Nan | Odd::Infinite => !options.keep,
                // As float16 it was infinite before.
                Odd::Large if is_infinite => !options.keep,
                Odd::Large => becomes_infinite,
                Odd::Fewer => true,
            }
    }

    /// Whether version 1.0 has to hold it, and cannot.
    fn is_too_new(&self, options: &Options) -> bool {
        let is_newer =
            self.stored(options) == Dtype::BF16 || self.compression(options) == Compression::Shuffled;
        options.compatible && is_newer
    }

    /// What the file holds of it.
    fn held(&self, options: &Options) -> Held {
        fn stored<T: Element>(values: &[f32], convert: impl Fn(f32) -> T) -> Vec<u8> {
            values.iter().flat_map(|value| zerocopy::IntoBytes::as_bytes(&convert(*value)).to_vec()).collect()
        }
        let mut values = self.values();
        if self.given() == Dtype::F16 {
            values.iter_mut().for_each(|value| *value = f16::from_f32(*value).to_f32());
        }
        let dtype = self.stored(options);
        let bytes = match dtype {
            Dtype::F16 => stored(&values, f16::from_f32),
            Dtype::BF16 => stored(&values, bf16::from_f32),
            _ => stored(&values, |value| value),
        };
        Held { key: self.key(), shape: self.shape(), dtype, bytes }
    }
}

/// A latent that the file has.
#[derive(Debug)]
struct Held {
    key: String,
    shape: Vec<usize>,
    dtype: Dtype,
    bytes: Vec<u8>,
}

/// What the file has.
#[derive(Debug, Default)]
struct All {
    latents: Vec<Held>,
    image: bool,
    environment: Option<Environment>,
}

impl All {
    fn is_in(&self, reader: &Reader) {
        reader.verify().expect("what was written is sound");
        assert_eq!(reader.latents().len(), self.latents.len());
        for held in &self.latents {
            let latent = reader.latent(&held.key).expect("it was written");
            assert_eq!((latent.shape(), latent.dtype()), (&*held.shape, held.dtype));
            let mut bytes = Vec::new();
            latent.write_to(&mut bytes).expect("what was written can be read");
            assert_eq!(bytes, held.bytes, "{held:?}");
        }
        assert_eq!(reader.image().expect("it is sound").as_deref(), self.image.then_some(IMAGE));
        assert_eq!(reader.environment().expect("it is sound"), self.environment);
        assert_eq!(reader.metadata().ok(), Some(metadata()));
    }
}

fn metadata() -> Metadata {
    Metadata::builder("m", "1").date("2026-11-22T00:00:00+00:00").prompt("p").build().expect("it is valid")
}

/// A stream that is open.
struct Open<'w> {
    writer: Streaming<'w>,
    spec: Spec,
    pushed: usize,
}

enum Streaming<'w> {
    F32(LatentWriter<'w, f32>),
    F16(LatentWriter<'w, f16>),
    BF16(LatentWriter<'w, bf16>),
}

impl<'w> Streaming<'w> {
    fn open(writer: &mut Writer<'w>, spec: &Spec) -> gen5::Result<Self> {
        Ok(match spec.given() {
            Dtype::F16 => Self::F16(writer.stream(spec.entry(), &spec.shape())?),
            Dtype::BF16 => Self::BF16(writer.stream(spec.entry(), &spec.shape())?),
            _ => Self::F32(writer.stream(spec.entry(), &spec.shape())?),
        })
    }

    fn push(&mut self, values: &[f32]) -> gen5::Result<()> {
        match self {
            Self::F32(stream) => stream.push(values),
            Self::F16(stream) => stream.push(&halves(values)),
            Self::BF16(stream) => stream.push(&brains(values)),
        }
    }

    fn finish(self) -> gen5::Result<()> {
        match self {
            Self::F32(stream) => stream.finish(),
            Self::F16(stream) => stream.finish(),
            Self::BF16(stream) => stream.finish(),
        }
    }
}

fn halves(values: &[f32]) -> Vec<f16> {
    values.iter().copied().map(f16::from_f32).collect()
}

fn brains(values: &[f32]) -> Vec<bf16> {
    values.iter().copied().map(bf16::from_f32).collect()
}

/// A script that is gone through.
struct Run<'s> {
    script: &'s Script,
    /// Whether the sink has failed.
    has_failed: &'s dyn Fn() -> bool,
    /// Whether a call has told so.
    known_failed: bool,
}

impl Run<'_> {
    /// What is in the file, if it was finished.
    fn go(mut self, sink: &mut Sink) -> Option<All> {
        let options = &self.script.options;
        let started = options.write_options().write_to(sink);
        let mut writer = self.told(started, Some(false))?;
        let (mut all, mut streams) = (All::default(), Vec::<Open<'_>>::new());
        let (mut keys, mut dropped) = (HashSet::new(), false);
        for call in self.script.calls.iter().take(16) {
            match call {
                Call::Latents(specs) => {
                    let mut names = keys.clone();
                    let specs = specs.get(..4).unwrap_or(specs);
                    let is_wrong = specs.iter().any(|spec| {
                        !names.insert(spec.key()) || spec.is_odd(options) || spec.is_too_new(options)
                    });
                    let written = latents(&mut writer, specs);
                    if self.told(written, Some(is_wrong)).is_some() {
                        keys = names;
                        all.latents.extend(specs.iter().map(|spec| spec.held(options)));
                    }
                }
                Call::Stream(spec) => {
                    let spec = spec.streamed();
                    let is_wrong = keys.contains(&spec.key()) || spec.is_too_new(options);
                    let opened = Streaming::open(&mut writer, &spec);
                    if let Some(writer) = self.told(opened, Some(is_wrong)) {
                        keys.insert(spec.key());
                        streams.push(Open { writer, spec, pushed: 0 });
                    }
                }
                Call::Push { stream, count } => {
                    let count_open = streams.len().max(1);
                    if let Some(open) = streams.get_mut(usize::from(*stream) % count_open) {
                        self.push(open, usize::from(*count));
                    }
                }
                Call::Finish { stream } | Call::Drop { stream } if !streams.is_empty() => {
                    let open = streams.swap_remove(usize::from(*stream) % streams.len());
                    let is_whole = open.pushed == open.spec.len();
                    if matches!(call, Call::Drop { .. }) {
                        dropped = true;
                    } else if self.told(open.writer.finish(), Some(!is_whole)).is_some() {
                        all.latents.push(open.spec.held(options));
                    } else {
                        dropped = true;
                    }
                }
                Call::Finish { .. } | Call::Drop { .. } => {}
                Call::Image => {
                    let written = writer.image(IMAGE);
                    all.image |= self.told(written, Some(all.image)).is_some();
                }
                Call::NoImage => {
                    let written = writer.image(&IMAGE[..IMAGE.len() / 2]);
                    self.told(written, Some(true));
                }
                Call::Environment(id, text) => {
                    let environment = Environment::new([Component::new(id, text)]);
                    let written = writer.environment(&environment);
                    if self.told(written, Some(all.environment.is_some())).is_some() {
                        all.environment = Some(environment);
                    }
                }
            }
        }
        let is_incomplete = dropped || !streams.is_empty();
        let finished = writer.finish(&metadata());
        let summary = self.told(finished, Some(is_incomplete))?;
        assert_eq!(summary.latents.len(), all.latents.len());
        Some(all)
    }

    fn push(&mut self, open: &mut Open<'_>, count: usize) {
        let options = &self.script.options;
        let values = open.spec.values();
        let end = open.pushed + count;
        let piece = match values.get(open.pushed..end) {
            Some(piece) => piece.to_vec(),
            None => vec![0.0; count],
        };
        let is_too_much = end > open.spec.len();
        let has_odd =
            piece.iter().any(|value| !value.is_finite() || *value > 1e6) && open.spec.is_odd(options);
        let pushed = open.writer.push(&piece);
        if self.told(pushed, Some(is_too_much || has_odd)).is_some() {
            open.pushed = end;
        }
    }

    /// Holds the result of a call against what it has to be: that of a call that is wrong or is not, if the sink has not failed.
    fn told<T>(&mut self, result: gen5::Result<T>, is_wrong: Option<bool>) -> Option<T> {
        let failed_before = self.known_failed;
        self.known_failed = (self.has_failed)();
        match result {
            Ok(value) => {
                assert!(!self.known_failed, "a failure of the sink was passed over");
                assert_ne!(is_wrong, Some(true), "what is wrong was taken");
                Some(value)
            }
            Err(Error::WriterFailed { .. }) => {
                assert!(failed_before, "nothing had failed");
                None
            }
            Err(Error::Io { error, .. }) => {
                assert!(self.known_failed && !failed_before, "{error}");
                None
            }
            Err(error) => {
                assert!(!failed_before, "{error}, though the sink has failed");
                assert_ne!((is_wrong, self.known_failed), (Some(false), false), "{error}");
                None
            }
        }
    }
}

/// Writes latents in one call.
fn latents(writer: &mut Writer<'_>, specs: &[Spec]) -> gen5::Result<()> {
    let values: Vec<_> = specs.iter().map(Spec::values).collect();
    let halves: Vec<_> = values.iter().map(|values| halves(values)).collect();
    let brains: Vec<_> = values.iter().map(|values| brains(values)).collect();
    let arrays = specs.iter().enumerate().map(|(at, spec)| {
        let shape = spec.shape();
        match spec.given() {
            Dtype::F16 => Array::new(spec.entry(), &shape, &halves[at]),
            Dtype::BF16 => Array::new(spec.entry(), &shape, &brains[at]),
            _ => Array::new(spec.entry(), &shape, &values[at]),
        }
    });
    writer.latents(arrays)
}
