//! Writing to a sink that may fail.

mod held;
mod script;
mod sink;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use arbitrary::{Arbitrary, Unstructured};
use gen5::environment::Component;
use gen5::{Array, Dtype, Environment, Error, LatentStream, ReadOptions, Writer, bf16, f16};

use self::held::{All, IMAGE, metadata};
use self::script::{Call, Options, Script, Spec, is_odd};
use self::sink::Sink;

/// Calls a writer in any order, with valid and invalid arguments. Valid calls succeed. Invalid
/// calls are refused without a trace, and the finished file holds the contents of the valid ones.
/// The sink makes short writes, is interrupted, and may fail permanently at any call. In that case
/// the writer's call returns the error, all later calls report the failure, and no file is
/// finished.
pub fn writer_ops(data: &[u8]) {
    let Ok(script) = Script::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let (mut sink, failed) = Sink::new(script.fault.clone());
    let run = Run::new(&script.options, &failed);
    let Some(all) = run.go(&script.calls, &mut sink) else { return };
    let reader = ReadOptions::new().check_hashes(true).from_bytes(sink.into_bytes());
    all.is_in(&reader.expect("what was finished can be read"));
}

/// An open stream.
struct Open<'w> {
    writer: Streaming<'w>,
    spec: Spec,
    pushed: usize,
}

/// A stream of any element type.
enum Streaming<'w> {
    F32(LatentStream<'w, f32>),
    F16(LatentStream<'w, f16>),
    BF16(LatentStream<'w, bf16>),
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

/// The state of a test run with one writer.
struct Run<'s, 'w> {
    options: &'s Options,
    /// Whether the sink has failed.
    has_failed: &'s AtomicBool,
    /// Whether a call has already reported the failure.
    is_told: bool,
    all: All,
    /// The keys in use.
    keys: HashSet<String>,
    streams: Vec<Open<'w>>,
    /// Whether a stream was dropped, or finished without all of its values.
    is_incomplete: bool,
}

impl<'s, 'w> Run<'s, 'w> {
    fn new(options: &'s Options, has_failed: &'s AtomicBool) -> Self {
        let (all, keys, streams) = Default::default();
        Self { options, has_failed, is_told: false, all, keys, streams, is_incomplete: false }
    }

    /// Makes the calls. Returns the expected contents if the file was finished.
    fn go(mut self, calls: &[Call], sink: &'w mut Sink) -> Option<All> {
        let started = self.options.write_options().to_writer(sink);
        let mut writer = self.told(started, false)?;
        calls.iter().take(16).for_each(|call| self.call(&mut writer, call));
        let is_incomplete = self.is_incomplete || !self.streams.is_empty();
        let summary = self.told(writer.finish(&metadata()), is_incomplete)?;
        assert_eq!(summary.latents.len(), self.all.latents.len());
        Some(self.all)
    }

    fn call(&mut self, writer: &mut Writer<'w>, call: &Call) {
        match call {
            Call::Latents(specs) => self.write(writer, specs.get(..4).unwrap_or(specs)),
            Call::Stream(spec) => self.open(writer, spec.streamed()),
            Call::Push { stream, count } => self.push(*stream, usize::from(*count)),
            Call::Finish { stream } => self.finish(*stream),
            Call::Drop { stream } => {
                let dropped = self.take(*stream);
                self.is_incomplete |= dropped.is_some();
            }
            Call::Image => {
                let is_second = self.all.image;
                self.all.image |= self.told(writer.image(IMAGE), is_second).is_some();
            }
            Call::NoImage => {
                self.told(writer.image(&IMAGE[..IMAGE.len() / 2]), true);
            }
            Call::Environment(id, text) => {
                let environment = Environment::new([Component::new(id, text)]);
                let is_second = self.all.environment.is_some();
                if self.told(writer.environment(&environment), is_second).is_some() {
                    self.all.environment = Some(environment);
                }
            }
        }
    }

    /// Writes latents in one call, which writes either all or none.
    fn write(&mut self, writer: &mut Writer<'w>, specs: &[Spec]) {
        let options = self.options;
        let mut keys = self.keys.clone();
        let mut is_wrong =
            |spec: &Spec| !keys.insert(spec.key()) || spec.is_odd(options) || spec.is_too_new(options);
        let is_wrong = specs.iter().any(&mut is_wrong);
        if self.told(latents(writer, specs), is_wrong).is_some() {
            self.keys = keys;
            self.all.latents.extend(specs.iter().map(|spec| spec.held(options)));
        }
    }

    fn open(&mut self, writer: &mut Writer<'w>, spec: Spec) {
        let is_wrong = self.keys.contains(&spec.key()) || spec.is_too_new(self.options);
        if let Some(writer) = self.told(Streaming::open(writer, &spec), is_wrong) {
            self.keys.insert(spec.key());
            self.streams.push(Open { writer, spec, pushed: 0 });
        }
    }

    /// Removes one of the open streams.
    fn take(&mut self, stream: u8) -> Option<Open<'w>> {
        let count = self.streams.len();
        (count > 0).then(|| self.streams.swap_remove(usize::from(stream) % count))
    }

    fn push(&mut self, stream: u8, count: usize) {
        let Some(mut open) = self.take(stream) else { return };
        let end = open.pushed + count;
        let piece = match open.spec.values().get(open.pushed..end) {
            Some(piece) => piece.to_vec(),
            None => vec![0.0; count],
        };
        let is_too_much = end > open.spec.len();
        let has_odd = piece.iter().any(|value| is_odd(*value)) && open.spec.is_odd(self.options);
        if self.told(open.writer.push(&piece), is_too_much || has_odd).is_some() {
            open.pushed = end;
        }
        self.streams.push(open);
    }

    fn finish(&mut self, stream: u8) {
        let Some(open) = self.take(stream) else { return };
        let is_whole = open.pushed == open.spec.len();
        match self.told(open.writer.finish(), !is_whole) {
            Some(()) => self.all.latents.push(open.spec.held(self.options)),
            None => self.is_incomplete = true,
        }
    }

    /// Checks the result of a call. Unless the sink has failed, the call succeeds if it is valid
    /// and fails if `is_wrong`.
    fn told<T>(&mut self, result: gen5::Result<T>, is_wrong: bool) -> Option<T> {
        let was_told = self.is_told;
        self.is_told = self.has_failed.load(Ordering::Relaxed);
        match result {
            Ok(value) => {
                assert!(!self.is_told, "a failure of the sink was passed over");
                assert!(!is_wrong, "what is wrong was taken");
                return Some(value);
            }
            Err(Error::WriterFailed { .. }) => assert!(was_told, "nothing had failed"),
            Err(Error::Io { source, .. }) => assert!(self.is_told && !was_told, "{source}"),
            Err(error) => {
                assert!(!was_told, "{error}, though the sink has failed");
                assert!(is_wrong || self.is_told, "{error}");
            }
        }
        None
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
