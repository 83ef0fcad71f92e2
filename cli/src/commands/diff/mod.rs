//! `gen5 diff`: compares two files.

mod latents;
mod members;
mod options;
mod values;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context as _, Result};
use gen5::chunk::{ChunkRecord, ChunkType};
use gen5::{ReadOptions, Reader};
use gen5_picture::text::{count, escape};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::Serialize;

use self::latents::{LatentReport, pair};
use self::members::{Change, Listing, changes, manifest_changes};
pub(crate) use self::options::DiffArgs;
use crate::context::Context;
use crate::failure::Status;
use crate::failure::of_file;
use crate::input::Inputs;
use crate::output::environment::SortedDrift;
use crate::output::{Output, path_text};
use crate::terminal::{Tone, shown};

/// The result of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    /// Neither file has it.
    None,
    Equal,
    /// Different, but within the given tolerance.
    Close,
    Differs,
    OnlyInFile,
    OnlyInOther,
    /// The data could not be read.
    Failed,
}

impl Outcome {
    /// Compares an optional part of a file.
    fn of<T>(file: Option<&T>, other: Option<&T>, is_same: impl FnOnce(&T, &T) -> bool) -> Self {
        match (file, other) {
            (None, None) => Self::None,
            (Some(_), None) => Self::OnlyInFile,
            (None, Some(_)) => Self::OnlyInOther,
            (Some(file), Some(other)) if is_same(file, other) => Self::Equal,
            _ => Self::Differs,
        }
    }

    fn is_same(self) -> bool {
        matches!(self, Self::None | Self::Equal | Self::Close)
    }
}

/// One of the two files.
struct ComparedFile<'a> {
    path: &'a Path,
    reader: Reader,
    /// The thread that reads its latents, block by block.
    pool: ThreadPool,
}

impl<'a> ComparedFile<'a> {
    fn open(path: &'a Path, input: &Inputs<'_>) -> Result<Self> {
        let reader = input.open_with(ReadOptions::new().check_hashes(true), path)?;
        let pool = ThreadPoolBuilder::new().num_threads(1).build().context("could not start a thread")?;
        Ok(Self { path, reader, pool })
    }

    /// The chunks of unknown types, by type.
    fn unknown(&self) -> BTreeMap<String, Vec<&ChunkRecord>> {
        let mut chunks: BTreeMap<String, Vec<&ChunkRecord>> = BTreeMap::new();
        for record in self.reader.chunks().iter().filter(|record| !record.kind().is_known()) {
            chunks.entry(record.kind().to_string()).or_default().push(record);
        }
        chunks
    }

    fn image(&self) -> Option<&ChunkRecord> {
        self.reader.chunks().iter().find(|record| record.kind() == ChunkType::IMAGE)
    }
}

/// The JSON report of the differences.
#[derive(Serialize)]
struct DiffReport {
    path: String,
    other: String,
    same: bool,
    metadata: Vec<Change>,
    /// Different members of the manifest that the format does not define.
    manifest: Vec<Change>,
    image: Outcome,
    environment: Outcome,
    /// Differences between the environments.
    drift: Option<SortedDrift>,
    latents: Vec<LatentReport>,
    /// Number of differing members that are not listed, if any.
    #[serde(skip_serializing_if = "is_zero")]
    unlisted: usize,
    /// Chunks of unknown types, if any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    chunks: Vec<ChunkPairReport>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A pair of chunks of the same unknown type, matched in order.
#[derive(Serialize)]
struct ChunkPairReport {
    #[serde(rename = "type")]
    kind: String,
    result: Outcome,
}

/// The JSON report of files that cannot be compared.
#[derive(Serialize)]
struct FailedComparison {
    path: String,
    other: String,
    error: String,
}

pub(crate) fn run(args: &DiffArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    let opened = ComparedFile::open(&args.file, input)
        .and_then(|file| Ok((file, ComparedFile::open(&args.other, input)?)));
    let (file, other) = match opened {
        Ok(files) => files,
        Err(error) => {
            if args.json {
                output.json(&FailedComparison {
                    path: path_text(&args.file),
                    other: path_text(&args.other),
                    error: format!("{error:#}"),
                })?;
            }
            return Err(error);
        }
    };
    let report = compare(&file, &other, args.tolerance, output);
    if !report.same {
        output.remember(Status::Different);
    }
    if args.json { output.json(&report) } else { print(args, &report, output) }
}

fn compare(
    file: &ComparedFile<'_>,
    other: &ComparedFile<'_>,
    tolerance: Option<f64>,
    output: &mut Output<'_>,
) -> DiffReport {
    let mut listing = Listing::default();
    let metadata = changes(file.reader.model_info_json(), other.reader.model_info_json(), &mut listing);
    let manifest = manifest_changes(file.reader.manifest_json(), other.reader.manifest_json(), &mut listing);
    let image = compare_chunks(file.image(), other.image());
    let (environment, drift) = compare_environments(file, other, output);
    let latents = compare_latents(file, other, tolerance, &mut listing, output);
    let chunks = compare_unknown(file, other);
    let same = metadata.is_empty()
        && manifest.is_empty()
        && image.is_same()
        && environment.is_same()
        && latents.iter().all(LatentReport::is_same)
        && chunks.iter().all(|chunk| chunk.result.is_same());
    DiffReport {
        path: path_text(file.path),
        other: path_text(other.path),
        same,
        metadata,
        manifest,
        image,
        environment,
        drift,
        latents,
        unlisted: listing.unlisted,
        chunks,
    }
}

/// Compares the records of two chunks.
fn compare_chunks(file: Option<&ChunkRecord>, other: Option<&ChunkRecord>) -> Outcome {
    Outcome::of(file, other, |file, other| {
        file.payload_size() == other.payload_size() && file.sha256() == other.sha256()
    })
}

fn compare_unknown(file: &ComparedFile<'_>, other: &ComparedFile<'_>) -> Vec<ChunkPairReport> {
    let mut file = file.unknown();
    let mut other = other.unknown();
    let kinds: BTreeSet<String> = file.keys().chain(other.keys()).cloned().collect();
    let mut reports = Vec::new();
    for kind in kinds {
        let file = file.remove(&kind).unwrap_or_default();
        let other = other.remove(&kind).unwrap_or_default();
        for at in 0..file.len().max(other.len()) {
            let result = compare_chunks(file.get(at).copied(), other.get(at).copied());
            reports.push(ChunkPairReport { kind: kind.clone(), result });
        }
    }
    reports
}

fn compare_environments(
    file: &ComparedFile<'_>,
    other: &ComparedFile<'_>,
    output: &mut Output<'_>,
) -> (Outcome, Option<SortedDrift>) {
    let mut read = |file: &ComparedFile<'_>| {
        file.reader.environment().map_err(|error| output.report(&of_file(error, file.path)))
    };
    let (Ok(file), Ok(other)) = (read(file), read(other)) else { return (Outcome::Failed, None) };
    let drift = file.as_ref().zip(other.as_ref()).map(|(file, other)| SortedDrift::with_file(file, other));
    let is_same = drift.as_ref().is_some_and(SortedDrift::is_same);
    (Outcome::of(file.as_ref(), other.as_ref(), |_, _| is_same), drift)
}

fn compare_latents(
    file: &ComparedFile<'_>,
    other: &ComparedFile<'_>,
    tolerance: Option<f64>,
    listing: &mut Listing,
    output: &mut Output<'_>,
) -> Vec<LatentReport> {
    let pairs = pair(&file.reader, &other.reader);
    let progress = output.progress("comparing", pairs.iter().map(latents::Pair::bytes).sum());
    let mut reports = Vec::new();
    for pair in &pairs {
        let (report, failure) = pair.compare((file, other), tolerance, listing, &progress);
        if let Err(error) = failure {
            progress.suspend(|| output.report(&error));
        }
        reports.push(report);
    }
    reports
}

fn print(args: &DiffArgs, report: &DiffReport, output: &mut Output<'_>) -> Result<()> {
    let is_close = report.latents.iter().any(|latent| latent.result == Outcome::Close);
    let verdict = match (report.same, is_close) {
        (true, false) => output.painted(Tone::Good, "are the same"),
        (true, true) => output.painted(Tone::Good, "are the same within the tolerance"),
        (false, _) => output.painted(Tone::Bad, "differ"),
    };
    writeln!(output.out, "{} and {} {verdict}", shown(&args.file), shown(&args.other))?;
    for (name, text) in differences(report) {
        writeln!(output.out, "  {name:<12} {}", escape(&text))?;
    }
    Ok(())
}

/// Names and texts of the differences.
fn differences(report: &DiffReport) -> Vec<(&'static str, String)> {
    let mut differences: Vec<_> = report.metadata.iter().map(|change| ("metadata", change.line())).collect();
    differences.extend(report.manifest.iter().map(|change| ("manifest", change.line())));
    match (report.environment, &report.drift) {
        (Outcome::Differs, Some(drift)) => differences.push(("environment", drift.summary())),
        (_, Some(drift)) if !drift.lines().is_empty() => differences.push(("environment", "the same".into())),
        (outcome, _) => differences.extend(described(outcome).map(|text| ("environment", text.to_owned()))),
    }
    let lines = report.drift.iter().flat_map(SortedDrift::lines);
    differences.extend(lines.map(|line| ("", line)));
    differences.extend(described(report.image).map(|text| ("image", text.to_owned())));
    differences.extend(report.latents.iter().flat_map(LatentReport::lines).map(|line| ("latent", line)));
    differences.extend(equal_latents(&report.latents).map(|text| ("latents", text)));
    if report.unlisted > 0 {
        differences
            .push(("also", format!("{} also differ, but are not listed", count(report.unlisted, "member"))));
    }
    let unequal = report.chunks.iter().filter_map(|chunk| Some((&chunk.kind, described(chunk.result)?)));
    differences.extend(unequal.map(|(kind, text)| ("chunk", format!("{kind}: {text}"))));
    differences
}

/// The number of equal latents, and of those equal by their records alone.
fn equal_latents(latents: &[LatentReport]) -> Option<String> {
    let equal = latents.iter().filter(|latent| latent.result == Outcome::Equal);
    let by_record = equal.clone().filter(|latent| !latent.was_read()).count();
    match equal.count() {
        0 => None,
        all if by_record == 0 => Some(format!("{} equal", count(all, "latent"))),
        all => {
            let some = if by_record == all { String::new() } else { format!(", {by_record} of them") };
            Some(format!("{} equal{some} by recorded hashes, which gen5 verify checks", count(all, "latent")))
        }
    }
}

/// The word for a part that differs as a whole.
fn described(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::None | Outcome::Equal | Outcome::Close => None,
        Outcome::Differs => Some("differs"),
        Outcome::OnlyInFile => Some("only in the first file"),
        Outcome::OnlyInOther => Some("only in the second file"),
        Outcome::Failed => Some("could not be compared"),
    }
}
