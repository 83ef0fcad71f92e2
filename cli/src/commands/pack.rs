//! `gen5 pack`: a file of latents, image and metadata.

use std::collections::HashMap;

use anyhow::{Result, bail};
use gen5::{Captured, Compression, Dtype, Environment, Metadata, NonFinite, Summary, WriteOptions, Writer};

use super::feed::write_latents;
use super::image_text::ImageText;
use super::inputs::Inputs;
use super::metadata::metadata;
use super::{Output, hint_at_force, of_file, read, read_text};
use crate::args::{Compress, PackArgs};
use crate::convert::Array;
use crate::environment;
use crate::failure::UsageError;
use crate::progress;
use crate::terminal::{count, human_size, shown};

pub(crate) fn run(args: &PackArgs, output: &mut Output<'_>) -> Result<()> {
    if args.out.extension().is_none_or(|extension| extension != "gen5") {
        let problem = format!("{} has to end in .gen5, so that it is known for what it is", shown(&args.out));
        return Err(UsageError(problem).into());
    }
    let image = args.image.as_deref().map(read).transpose()?;
    let mut texts = Vec::new();
    if let (Some(image), Some(path)) = (&image, &args.image) {
        texts.push(ImageText::read(image, path));
    }
    let mut inputs = Inputs::read(args, output)?;
    refuse_repeated_keys(&inputs.arrays)?;
    texts.append(&mut inputs.texts);
    if args.metadata.no_image_text {
        texts.clear();
    }
    let metadata = metadata(&args.metadata, &texts, inputs.sources()?.as_deref(), output)?;
    let latents = inputs.arrays;
    let captured = capture(args, output);
    let metadata = with_hardware(metadata, captured.as_ref())?;
    let environment = environment(args, captured)?;

    let stored_size = |array: &Array| match args.float16 {
        true => array.payload_size() / array.dtype.size() as u64 * Dtype::F16.size() as u64,
        false => array.payload_size(),
    };
    let bar = progress::bytes(latents.iter().map(stored_size).fold(0, u64::saturating_add));
    let counted = bar.clone();
    let mut options = WriteOptions::new()
        .compression(match args.compress {
            Compress::Auto => Compression::Auto,
            Compress::Zstd => Compression::Zstd,
            Compress::Shuffled => Compression::Shuffled,
            Compress::None => Compression::None,
        })
        .float16(args.float16)
        .non_finite(if args.allow_non_finite { NonFinite::Keep } else { NonFinite::Refuse })
        .progress(move |bytes| counted.inc(bytes));
    if let Some(level) = args.level {
        options = options.level(level);
    }
    let mut writer = create(args, options)?;
    write_latents(&mut writer, &latents).map_err(in_own_words)?;
    if let (Some(image), Some(path)) = (&image, &args.image) {
        writer.image(image).map_err(|error| of_file(error, path))?;
    }
    if let Some(environment) = &environment {
        writer.environment(environment)?;
    }
    let summary = writer.finish(&metadata)?;
    bar.finish_and_clear();
    tell(args, &summary, output)
}

/// Options that are out of range are the caller's mistake; everything else is not.
fn create(args: &PackArgs, options: WriteOptions) -> Result<Writer<'static>> {
    let writer = if args.force { options.create(&args.out) } else { options.create_new(&args.out) };
    writer.map_err(|error| match error {
        gen5::Error::Argument { .. } => UsageError(error.to_string()).into(),
        _ => hint_at_force(error),
    })
}

fn tell(args: &PackArgs, summary: &Summary, output: &mut Output<'_>) -> Result<()> {
    for note in &summary.notes {
        output.note(&format!("{}: {note}", shown(&args.out)));
    }
    if summary.version > (1, 0) {
        let (major, minor) = summary.version;
        output.note(&format!(
            "{} is of version {major}.{minor}, which the Python package gen5 cannot read: it has {}",
            shown(&args.out),
            newer_features(summary)
        ));
    }
    let values: u64 = summary.latents.iter().map(|latent| latent.payload_size).sum();
    let compressed = summary.latents.iter().filter(|latent| latent.compressed).count();
    let choice = match compressed {
        0 => "stored raw".to_owned(),
        all if all == summary.latents.len() => "compressed".to_owned(),
        some => format!("{some} of them compressed"),
    };
    writeln!(
        output.out,
        "{}: {} ({choice}), {} of values, {} in all",
        shown(&args.out),
        count(summary.latents.len(), "latent"),
        human_size(values),
        human_size(summary.file_size),
    )?;
    Ok(())
}

/// What a file has that version 1.0 does not know.
fn newer_features(summary: &Summary) -> String {
    let features = [
        ("4 GiB or more", summary.file_size > u64::from(u32::MAX)),
        ("latents of bfloat16", summary.latents.iter().any(|latent| latent.dtype == Dtype::BF16)),
        ("shuffled bytes", summary.latents.iter().any(|latent| latent.shuffled)),
    ];
    let there = features.into_iter().filter(|(_, there)| *there).map(|(name, _)| name);
    there.collect::<Vec<_>>().join(", ")
}

/// Two latents of one key are refused before anything is written, with both their files.
fn refuse_repeated_keys(latents: &[Array]) -> Result<()> {
    let mut names = HashMap::new();
    for latent in latents {
        if let Some(other) = names.insert(&latent.key, latent.name()) {
            let (key, name) = (&latent.key, latent.name());
            bail!("the key {key:?} is used twice, by {other} and {name}: give one another, as KEY=FILE");
        }
    }
    Ok(())
}

/// This machine, unless the image was made elsewhere, or the file is to be free of where it was made.
fn capture(args: &PackArgs, output: &mut Output<'_>) -> Option<Captured> {
    if args.environment.is_some() || args.no_environment {
        return None;
    }
    Some(environment::capture(args.python.python.as_deref(), output))
}

/// The metadata, with what was captured of the machine if it tells of none.
fn with_hardware(metadata: Metadata, captured: Option<&Captured>) -> Result<Metadata> {
    let Some(captured) = captured else { return Ok(metadata) };
    let mut model_info = metadata.into_model_info();
    if model_info.hardware_info.is_none() && model_info.extra.get("hardware_info").is_none() {
        model_info.hardware_info = Some(captured.hardware.clone());
    }
    Ok(Metadata::new(&model_info)?)
}

/// The environment to be stored, if there is to be one.
fn environment(args: &PackArgs, captured: Option<Captured>) -> Result<Option<Environment>> {
    match &args.environment {
        Some(path) => {
            let environment = Environment::from_json(&read_text(path)?);
            environment.map(Some).map_err(|error| of_file(error, path))
        }
        None => Ok(captured.map(|captured| captured.environment)),
    }
}

/// An error whose remedy has another name here than in the library.
fn in_own_words(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(gen5::Error::NonFinite { key, index, value }) => {
            anyhow::anyhow!(
                "latent {key:?}: element {index} is {value}; --allow-non-finite keeps such values"
            )
        }
        _ => error,
    }
}
