//! `gen5 info`: what files hold, for people and for programs.

use std::path::Path;

use anyhow::Result;
use gen5::{ChunkRecord, ChunkType, Component, Environment, Extra, Latent, Reader};
use serde::Serialize;
use serde_json::value::RawValue;

use super::each::{Seen, each};
use super::sources::SOURCES;
use super::{Output, path_text, version_text};
use crate::args::{FileArgs, InfoArgs};
use crate::convert::layouts::Outline;
use crate::environment::{Comparison, capture, without_name};
use crate::failure::Status;
use crate::progress::Share;
use crate::terminal::{Tone, count, dimensions, escape, escape_prose, human_size, shorten, shown, shown_key};
use crate::unknown::{flags, unknown_chunks};

#[derive(Serialize)]
struct FileInfo {
    path: String,
    version: String,
    file_size: u64,
    latents: Vec<LatentInfo>,
    image: Option<ImageInfo>,
    environment: Option<Vec<Component>>,
    /// Chunks of unknown types, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chunks: Vec<UnknownInfo>,
    /// How it differs from this machine's, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    drift: Option<Comparison>,
    /// `model_info` as it is stored; null if it is not valid JSON.
    metadata: Option<Box<RawValue>>,
    /// What is wrong with image or environment, if anything is; the rest can be used all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    problems: Vec<String>,
    #[serde(skip)]
    status: Status,
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
    /// Its media type, as its first bytes tell; null if they do not.
    media_type: Option<&'static str>,
    #[serde(flatten)]
    chunk: ChunkInfo,
}

/// A chunk of an unknown type.
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

impl LatentInfo {
    fn of(latent: &Latent) -> Self {
        let chunks: Vec<ChunkInfo> = latent.chunks().map(ChunkInfo::of).collect();
        Self {
            key: latent.key().map(str::to_owned),
            shape: latent.shape().to_vec(),
            dtype: latent.dtype().name(),
            borrowable: latent.is_borrowable(),
            payload_size: latent.payload_size(),
            stored_size: chunks.iter().map(|chunk| chunk.stored_size).sum(),
            chunks,
        }
    }
}

impl FileInfo {
    /// `current` is the environment to compare with, if there is one.
    fn of(path: &Path, reader: &Reader, current: Option<&Environment>) -> Self {
        let mut info = Self {
            path: path_text(path),
            version: version_text(reader.version()),
            file_size: reader.file_size(),
            latents: reader.latents().map(|latent| LatentInfo::of(&latent)).collect(),
            image: None,
            environment: None,
            chunks: unknown_chunks(reader).map(UnknownInfo::of).collect(),
            drift: None,
            metadata: RawValue::from_string(reader.model_info_json().to_owned()).ok(),
            problems: Vec::new(),
            status: Status::Fine,
        };
        if let Some(record) = reader.chunks().iter().find(|record| record.kind() == ChunkType::IMAGE) {
            let start = info.note_problem(reader.payload_start(record.index(), IMAGE_START));
            let kind = start.and_then(|start| infer::get(&start));
            let chunk = ChunkInfo::of(record);
            info.image = Some(ImageInfo { media_type: kind.map(|kind| kind.mime_type()), chunk });
        }
        let environment = info.note_problem(reader.environment()).flatten();
        info.drift =
            environment.as_ref().zip(current).map(|(file, current)| Comparison::with_machine(file, current));
        info.environment = environment.map(|environment| environment.components().to_vec());
        info
    }

    fn note_problem<T>(&mut self, result: gen5::Result<T>) -> Option<T> {
        result
            .inspect_err(|error| {
                self.problems.push(error.to_string());
                self.status = self.status.max(Status::of_library(error));
            })
            .ok()
    }
}

/// Bytes of an image that tell its format.
const IMAGE_START: usize = 8192;

pub(crate) fn run(args: &InfoArgs, output: &mut Output<'_>) -> Result<()> {
    let captured = args.check_environment.then(|| capture(&args.capture, output)).transpose()?;
    let current = captured.map(|captured| captured.environment);
    let FileArgs { files, json } = &args.files;
    let inputs = output.inputs;
    let look = |path: &Path, _: &Share<'_>| {
        let reader = inputs.open(path)?;
        Ok((FileInfo::of(path, &reader, current.as_ref()), reader))
    };
    each(files, None, output, look, |seen, output| {
        let Seen { path, position, several, result } = seen;
        let (info, reader) = match result {
            Ok(found) => found,
            Err(error) => return output.failed(path, &error, *json, several),
        };
        output.remember(info.status);
        if *json {
            return output.json_of(&info, several);
        }
        if position > 0 {
            writeln!(output.out)?;
        }
        print(path, &info, &reader, current.is_some(), output)
    })
}

fn print(
    path: &Path,
    info: &FileInfo,
    reader: &Reader,
    check_environment: bool,
    output: &mut Output<'_>,
) -> Result<()> {
    let (path, size) = (output.painted(Tone::Heading, &shown(path)), human_size(info.file_size));
    writeln!(output.out, "{path}: GEN5 {}, {size}", info.version)?;
    for (name, text) in facts(info, reader, check_environment) {
        let name = format!("{name:<12}");
        let name = if name.starts_with("damaged") { output.painted(Tone::Bad, &name) } else { name };
        writeln!(output.out, "  {name} {}", escape_prose(&text))?;
    }
    if !reader.chunks().is_empty() {
        writeln!(output.out)?;
    }
    let rows: Vec<[String; 8]> =
        std::iter::once(HEADINGS.map(str::to_owned)).chain(reader.chunks().iter().map(row)).collect();
    let widths: Vec<usize> = (0..HEADINGS.len())
        .map(|column| rows.iter().map(|row| width(row, column)).max().unwrap_or(0))
        .collect();
    for (number, row) in rows.iter().enumerate().filter(|_| !reader.chunks().is_empty()) {
        let mut line = String::from(" ");
        for (column, (cell, full)) in row.iter().zip(&widths).enumerate() {
            let fill = " ".repeat(full - width(row, column));
            line += " ";
            line += &if RIGHT.contains(&column) { fill + cell } else { cell.clone() + &fill };
            line += " ";
        }
        let line = if number == 0 { output.painted(Tone::Heading, line.trim_end()) } else { line };
        writeln!(output.out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// One line a chunk.
const HEADINGS: [&str; 8] = ["chunk", "type", "key", "dtype", "shape", "size", "stored", "as"];

/// Characters of a key that are shown; `ls` and --json have all.
const LONGEST_KEY: usize = 48;

/// The columns of numbers.
const RIGHT: [usize; 3] = [0, 5, 6];

fn width(row: &[String; 8], column: usize) -> usize {
    row.get(column).map_or(0, |cell| cell.chars().count())
}

fn row(record: &ChunkRecord) -> [String; 8] {
    let latent = record.shape().zip(record.dtype());
    let (shape, dtype) = match latent {
        Some((shape, dtype)) => (dimensions(shape, "×"), dtype.to_string()),
        None => Default::default(),
    };
    let stored = match record.is_compressed() {
        true => {
            let percent = record.stored_size().saturating_mul(100) / record.payload_size().max(1);
            let how = if record.is_shuffled() { "shuffled, zstd" } else { "zstd" };
            format!("{how}, {percent} % of it")
        }
        // Where nothing is said it can be mapped.
        false if record.is_borrowable() || latent.is_none() => "raw".into(),
        false => "raw, misaligned".into(),
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

/// What the page says before the table, name and text.
fn facts(info: &FileInfo, reader: &Reader, check_environment: bool) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    match reader.metadata() {
        Ok(metadata) => {
            let model = metadata.model_info();
            facts.push(("model", format!("{}, version {}", model.model_name, model.version)));
            facts.push(("date", model.date.clone()));
            facts.push(("prompt", model.prompt.clone()));
            facts.push(("tags", model.tags.join(", ")));
            facts.push(("settings", model.generation_settings.as_ref().map(members).unwrap_or_default()));
            facts.push(("hardware", model.hardware_info.as_ref().map(members).unwrap_or_default()));
            facts.extend(model.extra.iter().map(|(name, value)| match sources(name, value) {
                Some(sources) => ("files", sources),
                None => ("also", format!("{name} {}", beginning(value))),
            }));
        }
        Err(error) => {
            facts.push(("metadata", format!("not as the format has it ({error}); as stored:")));
            facts.push(("", reader.model_info_json().to_owned()));
        }
    }
    if let Some(image) = &info.image {
        let kind = image.media_type.unwrap_or("of unknown format");
        facts.push(("image", format!("{kind}, {}", human_size(image.chunk.payload_size))));
    }
    let environment = info.environment.iter().flatten();
    facts.extend(environment.map(|component| ("environment", describe(component))));
    if info.environment.is_none() && check_environment {
        facts.push(("drift", "unknown: the file has no environment".into()));
    }
    if let Some(drift) = &info.drift {
        let summary = if drift.is_same() { "none from this machine".into() } else { drift.summary() };
        facts.push(("drift", summary));
        facts.extend(drift.lines().into_iter().map(|line| ("", line)));
    }
    facts.extend(info.problems.iter().map(|problem| ("damaged", problem.clone())));
    facts.retain(|(_, text)| !text.is_empty());
    facts
}

/// Characters of a member's value that the page shows.
const SHOWN: usize = 400;

/// The files that latents came from, if this member tells them.
fn sources(name: &str, value: &str) -> Option<String> {
    if name != SOURCES {
        return None;
    }
    let Outline { count: files, first, last } = Outline::of(value)?;
    match (first?, last) {
        ((only, layout), None) => Some(format!("{} ({})", beginning(&only), layout.name())),
        ((first, _), Some((last, _))) => {
            Some(format!("{}: {} to {}", count(files, "file"), beginning(&first), beginning(&last)))
        }
    }
}

/// The beginning of a value that is too long for a page, such as a whole workflow, and how long it is.
fn beginning(value: &str) -> String {
    match value.char_indices().nth(SHOWN) {
        Some((end, _)) => {
            let (start, _) = value.split_at(end);
            format!("{start}… ({} in all; --json shows it)", human_size(value.len() as u64))
        }
        None => value.to_owned(),
    }
}

/// A component without the name that its text repeats: `os version=Linux 6.1`.
pub(super) fn describe(component: &Component) -> String {
    format!("{} {}", component.id(), without_name(component))
}

/// An object on one line: `seed 42, steps 50`. Its members come in the order of the schema.
pub(super) fn members(object: &impl Serialize) -> String {
    let members: Option<Extra> =
        serde_json::to_string(object).ok().and_then(|text| serde_json::from_str(&text).ok());
    let members = members.unwrap_or_default();
    let member = |(name, value): (&str, &str)| match serde_json::from_str::<String>(value) {
        Ok(text) => format!("{name} {text}"),
        Err(_) => format!("{name} {value}"),
    };
    members.iter().map(member).collect::<Vec<_>>().join(", ")
}
