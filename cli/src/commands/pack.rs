//! `gen5 pack`: a file of latents, image and metadata.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek};

use anyhow::{Context, Result, bail};
use gen5::{Captured, Compression, Dtype, Environment, Metadata, NonFinite, Summary, WriteOptions, Writer};

use super::feed::write_latents;
use super::image_text::ImageText;
use super::input::is_dash;
use super::metadata::metadata;
use super::{Output, hint_at_force, of_file, storage};
use crate::args::{Compress, PackArgs};
use crate::convert::{Array, arrays};
use crate::environment;
use crate::failure::UsageError;
use crate::terminal::{count, dimensions, human_size, shown};

pub(crate) fn run(args: &PackArgs, output: &mut Output<'_>) -> Result<()> {
    let to_stdout = is_dash(&args.out);
    if to_stdout {
        output.refuse_terminal("the file is")?;
    } else if args.out.extension().is_none_or(|extension| extension != "gen5") {
        let problem = format!("{} has to end in .gen5, so that it is known for what it is", shown(&args.out));
        return Err(UsageError(problem).into());
    }
    let image = args.image.as_deref().map(|path| output.inputs.read(path)).transpose()?;
    let text = match (&image, &args.image) {
        (Some(image), Some(path)) if !args.metadata.no_image_text => Some(ImageText::read(image, path)),
        _ => None,
    };
    let metadata = metadata(&args.metadata, text.as_ref(), output)?;
    let mut latents = Vec::new();
    for latent in &args.latents {
        latents.extend(arrays(latent)?);
    }
    refuse_repeated_keys(&latents)?;
    let captured = capture(args, output);
    let metadata = with_hardware(metadata, captured.as_ref())?;
    let environment = environment(args, captured, output)?;

    let stored_size = |array: &Array| match args.float16 {
        true => array.payload_size() / array.dtype.size() as u64 * Dtype::F16.size() as u64,
        false => array.payload_size(),
    };
    let size = latents.iter().map(stored_size).fold(0, u64::saturating_add);
    let progress = output.writing("packing", size);
    let mut options = progress
        .options()
        .compression(match args.compress {
            Compress::Auto => Compression::Auto,
            Compress::Zstd => Compression::Zstd,
            Compress::Shuffled => Compression::Shuffled,
            Compress::None => Compression::None,
        })
        .float16(args.float16)
        .non_finite(if args.allow_non_finite { NonFinite::Keep } else { NonFinite::Refuse });
    if let Some(level) = args.level {
        options = options.level(level);
    }
    // Its header is written last, so it is a file without a name before it goes to standard output.
    let spooled = if to_stdout { Some(tempfile::tempfile().context(SPOOL)?) } else { None };
    let mut writer = create(args, options, spooled.as_ref())?;
    write_latents(&mut writer, &latents).map_err(in_own_words)?;
    if let (Some(image), Some(path)) = (&image, &args.image) {
        writer.image(image).map_err(|error| of_file(error, path))?;
    }
    if let Some(environment) = &environment {
        writer.environment(environment)?;
    }
    let summary = writer.finish(&metadata)?;
    drop(progress);
    if let Some(mut file) = spooled {
        file.rewind().context(SPOOL)?;
        io::copy(&mut file, output.out)?;
    }
    tell(args, &summary, output)
}

/// What fails where there is no room for a temporary file.
const SPOOL: &str = "could not keep the file in a temporary one";

/// Options that are out of range are the caller's mistake; everything else is not.
fn create(args: &PackArgs, options: WriteOptions, spooled: Option<&File>) -> Result<Writer<'static>> {
    let writer = match spooled {
        Some(file) => options.write_to(file.try_clone().context(SPOOL)?),
        None if args.force => options.create(&args.out),
        None => options.create_new(&args.out),
    };
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
    for latent in &summary.latents {
        output.detail(|| {
            let (key, shape) = (&latent.key, dimensions(&latent.shape, "x"));
            let how = storage(latent.compressed, latent.shuffled);
            format!("{key}: {} {shape}, {}, {how}", latent.dtype, human_size(latent.stored_size))
        });
    }
    let values: u64 = summary.latents.iter().map(|latent| latent.payload_size).sum();
    let compressed = summary.latents.iter().filter(|latent| latent.compressed).count();
    let choice = match compressed {
        0 => "stored raw".to_owned(),
        all if all == summary.latents.len() => "compressed".to_owned(),
        some => format!("{some} of them compressed"),
    };
    if is_dash(&args.out) {
        return Ok(());
    }
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
fn environment(
    args: &PackArgs,
    captured: Option<Captured>,
    output: &Output<'_>,
) -> Result<Option<Environment>> {
    match &args.environment {
        Some(path) => {
            let environment = Environment::from_json(&output.inputs.read_text(path)?);
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
