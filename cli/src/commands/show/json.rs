//! `gen5 show --json`: the statistics of latents, for programs. They always cover all values.

use anyhow::Result;
use gen5::Latent;
use gen5_picture::text::shown_name;
use gen5_picture::{Clues, Scan, ScanOptions, Statistics, scan_latent};
use serde::Serialize;

use super::options::ShowArgs;
use crate::convert::layouts::SourceFile;
use crate::failure::of_file;
use crate::input::Inputs;
use crate::input::latents::{find, select};
use crate::interrupt;
use crate::output::{Output, path_text};

#[derive(Serialize)]
struct ShowReport {
    path: String,
    latents: Vec<LatentStatistics>,
}

#[derive(Serialize)]
struct LatentStatistics {
    index: usize,
    key: Option<String>,
    dtype: &'static str,
    /// The shape of the analysed values.
    shape: Vec<usize>,
    #[serde(flatten)]
    figures: Option<LatentFigures>,
    /// The reason why its values could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct LatentFigures {
    /// The inferred meaning of its axes.
    read_as: String,
    #[serde(flatten)]
    all: Figures,
    channels: Vec<Figures>,
}

/// Statistics. Those of finite values are null if there are none.
#[derive(Serialize)]
struct Figures {
    values: u64,
    nan: u64,
    infinite: u64,
    min: Option<f32>,
    max: Option<f32>,
    mean: Option<f64>,
    std: Option<f64>,
}

impl Figures {
    fn of(statistics: &Statistics) -> Self {
        Self {
            values: statistics.count(),
            nan: statistics.nan,
            infinite: statistics.infinite,
            min: statistics.min(),
            max: statistics.max(),
            mean: statistics.mean(),
            std: statistics.deviation(),
        }
    }
}

impl LatentFigures {
    fn of(scan: &Scan) -> Self {
        Self {
            read_as: scan.layout.description(),
            all: Figures::of(&scan.statistics),
            channels: scan.channels.iter().map(Figures::of).collect(),
        }
    }
}

/// Prints the report for the selected latents. A damaged latent does not stop the others.
pub(super) fn print(args: &ShowArgs, input: &Inputs<'_>, output: &mut Output<'_>) -> Result<()> {
    let reader = input.open(&args.file)?;
    let clues = Clues::of(&reader, SourceFile::origins);
    let mut latents: Vec<Latent> = if args.view.latents.is_empty() {
        reader.latents().collect()
    } else {
        args.view.latents.iter().map(|key| find(&reader, key, &args.file)).collect::<Result<_>>()?
    };
    if let Some(rows) = args.view.rows {
        for latent in &mut latents {
            *latent = select(latent, rows, &shown_name(latent.key(), latent.index()))?;
        }
    }
    let bytes = latents.iter().map(Latent::payload_size).fold(0, u64::saturating_add);
    let progress = output.progress("reading", bytes);
    let mut report = ShowReport { path: path_text(&args.file), latents: Vec::new() };
    for latent in &latents {
        let options = ScanOptions { items: 0, sample: u64::MAX, ..ScanOptions::default() };
        let seen = scan_latent(latent, clues.hints(latent), &options);
        interrupt::check()?;
        progress.add(latent.payload_size());
        let (figures, error) = match seen {
            Ok(scan) => (Some(LatentFigures::of(&scan)), None),
            Err(error) => {
                let error = of_file(error, &args.file);
                progress.suspend(|| output.report(&error));
                (None, Some(format!("{error:#}")))
            }
        };
        report.latents.push(LatentStatistics {
            index: latent.index(),
            key: latent.key().map(str::to_owned),
            dtype: latent.dtype().name(),
            shape: latent.shape().to_vec(),
            figures,
            error,
        });
    }
    drop(progress);
    if args.view.latents.is_empty() {
        output.note_unknown(&reader, &args.file, "not shown");
    }
    output.json(&report)
}
