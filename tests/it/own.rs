//! The files in `tests/data/own`, written by this crate: raw latents with image and environment;
//! parts; streams; and the kinds of version 1.1.

use std::path::PathBuf;

use gen5::{Compression, Dtype, Reader, WriteOptions, bf16, f16};

use crate::support::{PNG, data, environment, noise, write};

fn path(name: &str) -> PathBuf {
    data("own").join(format!("{name}.gen5"))
}

/// The stored files and their names.
pub(crate) fn own() -> Vec<(&'static str, Vec<u8>)> {
    written().into_iter().map(|(name, _)| (name, std::fs::read(path(name)).unwrap())).collect()
}

/// The files' names, and the bytes that this crate writes now.
pub(crate) fn written() -> Vec<(&'static str, Vec<u8>)> {
    let singles = noise(1, 96);
    let halves: Vec<f16> = noise(2, 150).into_iter().map(f16::from_f32).collect();
    let raw = write(WriteOptions::new(), |writer| {
        writer.latent("half", &[1, 6, 25], &halves)?;
        writer.environment(&environment())?;
        writer.latent("single", &[4, 24], &singles)?;
        writer.image(PNG)?;
        writer.latent("scalar", &[], &[1.5_f32])?;
        writer.latent::<f32>("empty", &[0, 7], &[])
    });
    let parts = write(WriteOptions::new().compression(Compression::Zstd).part_size(Some(150)), |writer| {
        writer.latent("single", &[8, 12], &singles)?;
        writer.image(PNG)?;
        writer.latent("half", &[150], &halves)?;
        writer.latent::<f32>("empty", &[0, 7], &[])?;
        writer.environment(&environment())
    });
    let streams = write(WriteOptions::new().compression(Compression::Zstd).part_size(Some(200)), |writer| {
        let mut first = writer.stream::<f32>("single", &[1, 96])?;
        let mut second = writer.stream::<f16>("half", &[15, 10])?;
        for (single, half) in singles.chunks(32).zip(halves.chunks(50)) {
            first.push(single)?;
            second.push(half)?;
        }
        second.finish()?;
        first.finish()?;
        writer.latent("plain", &[3], &singles[..3])
    });
    let streamed_raw = write(WriteOptions::new().alignment(256), |writer| {
        let mut stream = writer.stream::<f32>("single", &[96])?;
        stream.push(&singles[..5])?;
        writer.latent("half", &[150], &halves)?;
        stream.push(&singles[5..])?;
        stream.finish()
    });
    let brains: Vec<bf16> = noise(3, 50).into_iter().map(bf16::from_f32).collect();
    let options = WriteOptions::new().compression(Compression::Shuffled).part_size(Some(150));
    let shuffled = write(options, |writer| {
        writer.latent("single", &[8, 12], &singles)?;
        writer.latent("half", &[150], &halves)?;
        writer.latent("brain", &[5, 10], &brains)
    });
    let raw_brain = write(WriteOptions::new(), |writer| writer.latent("brain", &[50], &brains));
    [
        ("raw", raw),
        ("parts", parts),
        ("streams", streams),
        ("streamed_raw", streamed_raw),
        ("shuffled", shuffled),
        ("raw_bfloat16", raw_brain),
    ]
    .map(|(name, written)| (name, written.unwrap().0))
    .into()
}

/// Another release of zstd may write other frames. Then these files and `docs/reliability.md` must
/// be regenerated.
#[test]
fn what_is_stored_is_what_is_written_now() {
    for ((name, stored), (_, written)) in own().into_iter().zip(written()) {
        assert!(stored == written, "{name}: `cargo test --test it -- --ignored write_own` writes it anew");
    }
}

#[test]
#[ignore = "writes files"]
fn write_own() {
    std::fs::create_dir_all(data("own")).unwrap();
    for (name, file) in written() {
        std::fs::write(path(name), file).unwrap();
    }
}

/// The key, shape and dtype of a latent, and the bytes of its values.
type LatentContent = (Option<String>, Vec<usize>, Dtype, Vec<u8>);

/// Everything that can be read from a file.
#[derive(Debug, PartialEq)]
pub(crate) struct Content {
    latents: Vec<LatentContent>,
    image: Option<Vec<u8>>,
    environment: Option<gen5::Environment>,
    metadata: gen5::Metadata,
    manifest: String,
    model_info: String,
}

pub(crate) fn decode(reader: &Reader) -> gen5::Result<Content> {
    let latents = reader.latents().map(|latent| {
        let mut bytes = Vec::new();
        latent.write_to(&mut bytes)?;
        Ok((latent.key().map(str::to_owned), latent.shape().to_vec(), latent.dtype(), bytes))
    });
    Ok(Content {
        latents: latents.collect::<gen5::Result<_>>()?,
        image: reader.image()?.map(std::borrow::Cow::into_owned),
        environment: reader.environment()?,
        metadata: reader.metadata()?,
        manifest: reader.manifest_json().to_owned(),
        model_info: reader.model_info_json().to_owned(),
    })
}
