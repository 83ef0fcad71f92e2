//! `gen5 info`: the contents of files, for people and for programs.

use std::borrow::Cow;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use gen5::chunk::{ChunkRecord, ChunkType};
use gen5::environment::Component;
use gen5::{Environment, Latent, Limits, Reader};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::context::Context;
use crate::convert::layouts::SourceOutline;
use crate::failure::Status;
use crate::input::each_file::{FileResult, each};
use crate::metadata::origins::SOURCES;
use crate::options::{CaptureArgs, FileArgs};
use crate::output::environment::describe;
use crate::output::environment::{SortedDrift, capture};
use crate::output::members::{Members, joined};
use crate::output::{Output, path_text};
use crate::progress::FileShare;
use crate::terminal::{Tone, shorten, shown};
use crate::unknown::{flags, unknown_chunks};
use clap::Args;
use gen5_picture::text::{EscapedProse, count, dimensions, escape, human_size, shown_key};

/// Options of `gen5 info`.
#[derive(Debug, Args)]
#[command(mut_group("CaptureArgs", |group| group.requires("check_environment")))]
pub(crate) struct InfoArgs {
    #[command(flatten)]
    pub(crate) files: FileArgs,

    /// Also report how the environment of each file differs from this machine's
    #[arg(long)]
    pub(crate) check_environment: bool,

    #[command(flatten)]
    pub(crate) capture: CaptureArgs,
}

/// A file that was read.
struct InspectedFile {
    reader: Reader,
    image: Option<ImageInfo>,
    environment: Option<Environment>,
    /// The differences from this machine's environment, if requested.
    drift: Option<SortedDrift>,
    /// Problems with the image or the environment, if any; the rest remains usable.
    problems: Vec<String>,
    status: Status,
}

/// The JSON report of a file.
#[derive(Serialize)]
struct FileInfo<'a> {
    path: String,
    version: String,
    file_size: u64,
    latents: Latents<'a>,
    image: Option<&'a ImageInfo>,
    environment: Option<&'a [Component]>,
    /// Chunks of unknown types, if any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chunks: Vec<UnknownInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<&'a SortedDrift>,
    /// `model_info` as stored; null if it is not valid JSON.
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    problems: &'a [String],
}

/// The latents of a file, serialized one at a time, since there can be very many.
struct Latents<'a>(&'a Reader);

impl Serialize for Latents<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.latents().map(|latent| LatentInfo::of(&latent)))
    }
}

#[derive(Serialize)]
struct LatentInfo {
    key: Option<String>,
    shape: Vec<usize>,
    dtype: &'static str,
    borrowable: bool,
    payload_size: u64,
    stored_size: u64,
    chunks: Vec<ChunkInfo>,
}

#[derive(Serialize)]
struct ChunkInfo {
    index: usize,
    offset: u64,
    stored_size: u64,
    payload_size: u64,
    compressed: bool,
    shuffled: bool,
    sha256: String,
}

#[derive(Serialize)]
struct ImageInfo {
    /// The media type, recognized by the first bytes; null if unknown.
    media_type: Option<&'static str>,
    #[serde(flatten)]
    chunk: ChunkInfo,
}

/// The JSON report of a chunk of an unknown type.
#[derive(Serialize)]
struct UnknownInfo {
    #[serde(rename = "type")]
    kind: String,
    flags: String,
    #[serde(flatten)]
    chunk: ChunkInfo,
}

impl UnknownInfo {
    fn of(record: &ChunkRecord) -> Self {
        Self { kind: record.kind().to_string(), flags: flags(record), chunk: ChunkInfo::of(record) }
    }
}

impl ChunkInfo {
    fn of(record: &ChunkRecord) -> Self {
        Self {
            index: record.index(),
            offset: record.offset(),
            stored_size: record.stored_size(),
            payload_size: record.payload_size(),
            compressed: record.is_compressed(),
            shuffled: record.is_shuffled(),
            sha256: record.sha256().to_string(),
        }
    }
}

/// Whether a mapped file can return the latent as a slice.
fn is_borrowable(latent: &Latent) -> bool {
    let mut chunks = latent.chunks();
    match (chunks.next(), chunks.next()) {
        (None, _) => true,
        (Some(chunk), None) => chunk.is_raw_and_aligned(),
        _ => false,
    }
}

impl LatentInfo {
    fn of(latent: &Latent) -> Self {
        let chunks: Vec<ChunkInfo> = latent.chunks().map(ChunkInfo::of).collect();
        Self {
            key: latent.key().map(str::to_owned),
            shape: latent.shape().to_vec(),
            dtype: latent.dtype().name(),
            borrowable: is_borrowable(latent),
            payload_size: latent.payload_size(),
            stored_size: chunks.iter().map(|chunk| chunk.stored_size).sum(),
            chunks,
        }
    }
}

impl InspectedFile {
    /// `current` is the environment to compare with, if any.
    fn at(reader: Reader, current: Option<&Environment>) -> Self {
        let mut inspected = Self {
            reader,
            image: None,
            environment: None,
            drift: None,
            problems: Vec::new(),
            status: Status::Fine,
        };
        let reader = inspected.reader.clone();
        if let Some(record) = reader.chunks().iter().find(|record| record.kind() == ChunkType::IMAGE) {
            let start = inspected.note_problem(reader.payload_start(record.index(), IMAGE_START));
            let kind = start.and_then(|start| infer::get(&start));
            let chunk = ChunkInfo::of(record);
            inspected.image = Some(ImageInfo { media_type: kind.map(|kind| kind.mime_type()), chunk });
        }
        inspected.environment = inspected.note_problem(reader.environment()).flatten();
        let compared = inspected.environment.as_ref().zip(current);
        inspected.drift = compared.map(|(file, current)| SortedDrift::with_machine(file, current));
        inspected
    }

    /// The JSON report.
    fn report(&self, path: &Path) -> FileInfo<'_> {
        FileInfo {
            path: path_text(path),
            version: self.reader.version().to_string(),
            file_size: self.reader.file_size(),
            latents: Latents(&self.reader),
            image: self.image.as_ref(),
            environment: self.environment.as_ref().map(Environment::components),
            chunks: unknown_chunks(&self.reader).map(UnknownInfo::of).collect(),
            drift: self.drift.as_ref(),
            metadata: serde_json::from_str(self.reader.model_info_json()).ok(),
            problems: &self.problems,
        }
    }

    fn note_problem<T>(&mut self, result: gen5::Result<T>) -> Option<T> {
        result
            .inspect_err(|error| {
                self.problems.push(format!("{error:#}"));
                self.status = self.status.max(Status::of_library(error));
            })
            .ok()
    }
}

/// Number of bytes that identify an image's format.
const IMAGE_START: usize = 8192;

pub(crate) fn run(args: &InfoArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    let captured = args.check_environment.then(|| capture(&args.capture, output)).transpose()?;
    let current = captured.map(|captured| captured.environment);
    let FileArgs { files, json } = &args.files;
    let look = |path: &Path, limits: Limits, _: &FileShare<'_>| {
        Ok(InspectedFile::at(input.open_within(limits, path)?, current.as_ref()))
    };
    each(files, None, output, look, |file, output| {
        let FileResult { path, position, several, result } = file;
        let inspected = match result {
            Ok(inspected) => inspected,
            Err(error) => return output.failed(path, &error, *json, several),
        };
        output.remember(inspected.status);
        if *json {
            return output.json_of(&inspected.report(path), several);
        }
        if position > 0 {
            writeln!(output.out)?;
        }
        print(path, &inspected, current.is_some(), output)
    })
}

fn print(
    path: &Path,
    inspected: &InspectedFile,
    check_environment: bool,
    output: &mut Output<'_>,
) -> Result<()> {
    let reader = &inspected.reader;
    let name = output.painted(Tone::Heading, &shown(path));
    let size = human_size(reader.file_size());
    writeln!(output.out, "{name}: GEN5 {}, {size}", reader.version())?;
    let bad = output.painted(Tone::Bad, "damaged     ");
    let mut writer = FactWriter { out: &mut *output.out, bad };
    write_facts(inspected, check_environment, &mut writer)?;
    if reader.chunks().is_empty() {
        return Ok(());
    }
    writeln!(output.out)?;
    let list = ChunkList::of(reader.chunks());
    for (number, cells) in list.lines().enumerate() {
        let mut line = String::from(" ");
        for (column, (cell, full)) in cells.zip(&list.widths).enumerate() {
            let fill = " ".repeat(full - cell.chars().count());
            line += " ";
            line += &if RIGHT.contains(&column) { fill + cell } else { cell.to_owned() + &fill };
            line += " ";
        }
        let line = if number == 0 { output.painted(Tone::Heading, line.trim_end()) } else { line };
        writeln!(output.out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// The list of chunks, headings first. All cells share one text; a separate string per cell would
/// take many times the memory.
struct ChunkList {
    text: String,
    /// Width of each column in characters.
    widths: [usize; HEADINGS.len()],
}

impl ChunkList {
    fn of(records: &[ChunkRecord]) -> Self {
        let mut list = Self { text: String::new(), widths: [0; HEADINGS.len()] };
        list.push(&HEADINGS);
        records.iter().for_each(|record| list.push(&line(record)));
        list
    }

    /// Adds a line. Cells must be on one line and contain no tabs.
    fn push(&mut self, cells: &[impl AsRef<str>; HEADINGS.len()]) {
        for (cell, width) in cells.iter().zip(&mut self.widths) {
            *width = cell.as_ref().chars().count().max(*width);
            self.text += cell.as_ref();
            self.text.push('\t');
        }
        self.text.push('\n');
    }

    fn lines(&self) -> impl Iterator<Item = impl Iterator<Item = &str>> {
        self.text.lines().map(|line| line.split('\t'))
    }
}

/// The column headings. The list has one line per chunk.
const HEADINGS: [&str; 8] = ["chunk", "type", "key", "dtype", "shape", "size", "stored", "as"];

/// Limit on the characters shown of a key; `ls` and --json print all of it.
const LONGEST_KEY: usize = 48;

/// The right-aligned columns.
const RIGHT: [usize; 3] = [0, 5, 6];

fn line(record: &ChunkRecord) -> [String; HEADINGS.len()] {
    let latent = record.shape().zip(record.dtype());
    let (shape, dtype) = match latent {
        Some((shape, dtype)) => (dimensions(shape, "×"), dtype.to_string()),
        None => Default::default(),
    };
    let stored = if record.is_compressed() {
        let percent = record.stored_size().saturating_mul(100) / record.payload_size().max(1);
        let how = if record.is_shuffled() { "shuffled, zstd" } else { "zstd" };
        format!("{how}, {percent} % of it")
    } else if record.is_raw_and_aligned() || latent.is_none() {
        // A raw latent without a remark can be memory-mapped.
        "raw".into()
    } else {
        "raw, misaligned".into()
    };
    [
        record.index().to_string(),
        escape(&record.kind().to_string()).into_owned(),
        record.key().map(|key| shorten(&shown_key(key), LONGEST_KEY)).unwrap_or_default(),
        dtype,
        shape,
        human_size(record.payload_size()),
        human_size(record.stored_size()),
        stored,
    ]
}

/// Writes the lines above the list of chunks.
struct FactWriter<'o> {
    out: &'o mut (dyn Write + Send),
    /// The coloured heading of damaged parts.
    bad: String,
}

impl FactWriter<'_> {
    /// Writes a named fact, unless it has no texts.
    fn write<T: AsRef<str>>(&mut self, name: &str, texts: impl IntoIterator<Item = T>) -> Result<()> {
        let mut texts = texts.into_iter().filter(|text| !text.as_ref().is_empty()).peekable();
        if texts.peek().is_none() {
            return Ok(());
        }
        match name {
            "damaged" => write!(self.out, "  {} ", self.bad)?,
            _ => write!(self.out, "  {name:<12} ")?,
        }
        for text in texts {
            write!(self.out, "{}", EscapedProse(text.as_ref()))?;
        }
        Ok(writeln!(self.out)?)
    }
}

/// Writes all facts about a file.
fn write_facts(
    inspected: &InspectedFile,
    check_environment: bool,
    writer: &mut FactWriter<'_>,
) -> Result<()> {
    write_metadata(&inspected.reader, writer)?;
    if let Some(image) = &inspected.image {
        let kind = image.media_type.unwrap_or("of unknown format");
        writer.write("image", [format!("{kind}, {}", human_size(image.chunk.payload_size))])?;
    }
    for component in inspected.environment.iter().flat_map(Environment::components) {
        writer.write("environment", [describe(component)])?;
    }
    if inspected.environment.is_none() && check_environment {
        writer.write("drift", ["unknown: the file has no environment"])?;
    }
    if let Some(drift) = &inspected.drift {
        let summary = if drift.is_same() { "none from this machine".into() } else { drift.summary() };
        writer.write("drift", [summary])?;
        drift.lines().into_iter().try_for_each(|line| writer.write("", [line]))?;
    }
    inspected.problems.iter().try_for_each(|problem| writer.write("damaged", [problem]))
}

fn write_metadata(reader: &Reader, writer: &mut FactWriter<'_>) -> Result<()> {
    let metadata = match reader.metadata() {
        Ok(metadata) => metadata,
        Err(error) => {
            writer.write("metadata", [format!("not valid ({error:#}); as stored:")])?;
            return writer.write("", [reader.model_info_json()]);
        }
    };
    let model = metadata.model_info();
    writer.write("model", [format!("{}, version {}", model.model_name, model.version)])?;
    writer.write("date", [&model.date])?;
    writer.write("prompt", [&model.prompt])?;
    writer.write("tags", joined(model.tags.iter().map(Cow::from)))?;
    if let Some(settings) = &model.generation_settings {
        writer.write("settings", joined(Members::of(settings).texts()))?;
    }
    if let Some(hardware) = &model.hardware_info {
        writer.write("hardware", joined(Members::of(hardware).texts()))?;
    }
    for (name, value) in model.extra.iter() {
        match sources(name, value) {
            Some(sources) => writer.write("files", [sources])?,
            None => writer.write("also", [name, " ", &beginning(value)])?,
        }
    }
    Ok(())
}

/// Limit on the characters shown of a member's value.
const SHOWN: usize = 400;

/// A summary of the latents' source files, if the member records them.
fn sources(name: &str, value: &str) -> Option<String> {
    if name != SOURCES {
        return None;
    }
    let SourceOutline { count: files, first, last } = SourceOutline::of(value)?;
    match (first?, last) {
        ((only, layout), None) => Some(format!("{} ({})", beginning(&only), layout.name())),
        ((first, _), Some((last, _))) => {
            Some(format!("{}: {} to {}", count(files, "file"), beginning(&first), beginning(&last)))
        }
    }
}

/// The start of a value that is too long to be shown whole (such as a workflow), and its length.
fn beginning(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => {
            let (start, _) = value.split_at(end);
            format!("{start}… ({} in all; --json shows it)", human_size(value.len() as u64))
        }
        None => value.to_owned(),
    }
}
