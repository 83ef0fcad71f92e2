//! `gen5 pack`: a file of latents, image and metadata.

mod inputs;
mod options;

use std::collections::HashMap;

use anyhow::{Result, bail};
use gen5::environment::Captured;
use gen5::{Dtype, Environment, Metadata, NonFinite};

use self::inputs::PackInputs;
pub(crate) use self::options::PackArgs;
use crate::context::Context;
use crate::convert::LatentArray;
use crate::failure::of_file;
use crate::input::Inputs;
use crate::metadata::image_text::ImageText;
use crate::metadata::model_info::metadata;
use crate::output::Output;
use crate::output::environment;
use crate::output::gen5_file::{Destination, check_level};
use crate::transfer::arrays::write_latents;

pub(crate) fn run(args: &PackArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    let destination = Destination::of(&args.out, output)?;
    check_level(Some(args.compress), args.level)?;
    let image = args.image.as_deref().map(|path| input.read_image(path)).transpose()?;
    let mut texts = Vec::new();
    if let (Some(image), Some(path)) = (&image, &args.image) {
        texts.push(ImageText::read(image, path));
    }
    let mut inputs = PackInputs::read(args, input, output)?;
    refuse_repeated_keys(&inputs.arrays)?;
    texts.append(&mut inputs.texts);
    if args.metadata.no_image_text {
        texts.clear();
    }
    let metadata = metadata(&args.metadata, &texts, inputs.sources()?.as_deref(), input, output)?;
    let latents = inputs.arrays;
    let captured = capture(args, output)?;
    let metadata = with_hardware(metadata, captured.as_ref())?;
    let environment = environment(args, captured, input)?;

    let stored_size = |array: &LatentArray| {
        if args.float16 {
            array.payload_size() / array.dtype.size() as u64 * Dtype::F16.size() as u64
        } else {
            array.payload_size()
        }
    };
    let size = latents.iter().map(stored_size).fold(0, u64::saturating_add);
    let progress = output.progress("packing", size);
    let mut options = progress
        .options()
        .compression(args.compress.into())
        .non_finite(if args.allow_non_finite { NonFinite::Keep } else { NonFinite::Refuse });
    if args.float16 {
        options = options.dtype(Dtype::F16);
    }
    if let Some(level) = args.level {
        options = options.level(level);
    }
    let mut writer = destination.create(options, args.force)?;
    write_latents(&mut writer, &latents).map_err(in_own_words)?;
    if let (Some(image), Some(path)) = (&image, &args.image) {
        writer.image(image).map_err(|error| of_file(error, path))?;
    }
    if let Some(environment) = &environment {
        writer.environment(environment)?;
    }
    let summary = writer.finish(&metadata)?;
    drop(progress);
    destination.finish(&summary, "", &(), output)
}

/// Rejects two latents with the same key before anything is written, naming both files.
fn refuse_repeated_keys(latents: &[LatentArray]) -> Result<()> {
    let mut names = HashMap::new();
    for latent in latents {
        if let Some(other) = names.insert(&latent.key, latent.name()) {
            let key = &latent.key;
            let name = latent.name();
            bail!(
                "the key {key:?} is used twice, by {other} and {name}: give another key, as \
                 --latent KEY=FILE or --from KEY=DIR"
            );
        }
    }
    Ok(())
}

/// Captures this machine, unless the image was made elsewhere or the file must not describe the
/// machine.
fn capture(args: &PackArgs, output: &mut Output<'_>) -> Result<Option<Captured>> {
    if args.environment.is_some() || args.no_environment {
        return Ok(None);
    }
    Ok(Some(environment::capture(&args.capture, output)?))
}

/// The metadata, with the captured hardware if they have none.
fn with_hardware(metadata: Metadata, captured: Option<&Captured>) -> Result<Metadata> {
    let Some(captured) = captured else { return Ok(metadata) };
    let mut model_info = metadata.into_model_info();
    if model_info.hardware_info.is_none() && model_info.extra.get("hardware_info").is_none() {
        model_info.hardware_info = Some(captured.hardware.clone());
    }
    Ok(Metadata::new(&model_info)?)
}

/// The environment to store, if any.
fn environment(
    args: &PackArgs,
    captured: Option<Captured>,
    input: &Inputs<'_>,
) -> Result<Option<Environment>> {
    match &args.environment {
        Some(path) => {
            let environment = Environment::from_json(&input.read_text(path)?);
            environment.map(Some).map_err(|error| of_file(error, path))
        }
        None => Ok(captured.map(|captured| captured.environment)),
    }
}

/// Rewords an error whose remedy has a different name here than in the library.
fn in_own_words(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(gen5::Error::NonFinite { key, index, value, .. }) => {
            anyhow::anyhow!(
                "latent {:?}: element {index} is {value}; --allow-non-finite keeps such values",
                key.as_deref().unwrap_or_default()
            )
        }
        _ => error,
    }
}
