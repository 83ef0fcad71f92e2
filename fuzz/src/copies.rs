//! Accepted files can be rewritten without a change of meaning.

use std::io::Cursor;

use gen5::chunk::ChunkType;
use gen5::{
    Dtype, Element, Entry, Error, Latent, NonFinite, ReadOptions, Reader, WriteOptions, Writer, bf16, f16,
};

use crate::backends_agree::file_of;
use crate::command::gen5_for_bytes;
use crate::content::{Content, limits};

/// Copies an accepted file through the library and `repack`, and rewrites it with the same metadata.
/// Each result is accepted and equals the original. `file` contains the bytes that `reader` reads.
pub(crate) fn check(reader: &Reader, file: &[u8]) {
    let is_json = reader.metadata().is_ok();
    let fits = reader.chunks().iter().all(|record| record.payload_size() <= limits().latent_bytes);
    if fits && reader.verify().is_ok() {
        match carried(reader) {
            Ok(file) => is_the_same(reader, &Reader::from_bytes(file).expect("what was carried can be read")),
            // The writer requires metadata to be valid JSON.
            Err(Error::Metadata { .. }) if !is_json => {}
            Err(error) => panic!("{error}"),
        }
        match gen5_for_bytes(&["repack", "-", "-"], file) {
            (0, file, _) => {
                is_the_same(reader, &Reader::from_bytes(file).expect("what was repacked can be read"))
            }
            (_, file, messages) => assert!(!is_json && file.is_empty(), "{messages}"),
        }
    }
    if let Ok(metadata) = reader.metadata() {
        let (file, path) = file_of(&[]);
        let written = WriteOptions::new()
            .to_file(file.try_clone().expect("another handle"))
            .and_then(|writer| writer.rewrite(reader, &metadata));
        written.expect("what was read can be rewritten");
        let again = ReadOptions::new().limits(limits()).open(&path).expect("what was rewritten can be read");
        is_rewritten(reader, &again);
    }
}

/// Writes the contents of a file into a new one, latents first.
fn carried(reader: &Reader) -> gen5::Result<Vec<u8>> {
    let mut out = Cursor::new(Vec::new());
    let mut writer = WriteOptions::new().non_finite(NonFinite::Keep).to_writer(&mut out)?;
    for latent in reader.latents() {
        match latent.dtype() {
            Dtype::F16 => write::<f16>(&mut writer, &latent)?,
            Dtype::BF16 => write::<bf16>(&mut writer, &latent)?,
            _ => write::<f32>(&mut writer, &latent)?,
        }
    }
    for record in reader.chunks().iter().filter(|record| record.kind() != ChunkType::LATENT) {
        writer.copy_chunk(reader, record)?;
    }
    writer.finish_like(reader, reader.model_info_json())?;
    Ok(out.into_inner())
}

fn write<T: Element>(writer: &mut Writer<'_>, latent: &Latent) -> gen5::Result<()> {
    writer.latent(Entry::from(latent), latent.shape(), &latent.read::<T>()?)
}

/// The key, shape, dtype, further members and bytes of each latent.
fn latents(reader: &Reader) -> Vec<impl PartialEq + std::fmt::Debug> {
    let latents = reader.latents().map(|latent| {
        let mut bytes = Vec::new();
        latent.write_to(&mut bytes).expect("it was verified");
        let key = latent.key().map(str::to_owned);
        let mut extra = latent.extra().cloned().unwrap_or_default();
        if key.is_some() {
            extra.remove("key"); // the key of a part may not be text
        }
        (key, latent.shape().to_vec(), latent.dtype(), extra, bytes)
    });
    latents.collect()
}

/// The type, compression, further members and payload of each chunk that is not a latent.
fn others(reader: &Reader) -> Vec<impl PartialEq + std::fmt::Debug> {
    let others = reader.chunks().iter().filter(|record| record.kind() != ChunkType::LATENT).map(|record| {
        let payload = reader.payload(record.index()).expect("it was verified").into_owned();
        (record.kind(), record.is_compressed(), record.extra().clone(), record.unknown().clone(), payload)
    });
    others.collect()
}

fn is_the_same(before: &Reader, after: &Reader) {
    after.verify().expect("what was carried is sound");
    assert_eq!(latents(after), latents(before));
    assert_eq!(others(after), others(before));
    assert_eq!(after.model_info_json(), before.model_info_json(), "the text is kept");
    assert_eq!(after.metadata().ok(), before.metadata().ok());
}

fn is_rewritten(before: &Reader, after: &Reader) {
    let places = |reader: &Reader| -> Vec<_> {
        let records = reader.chunks().iter();
        records
            .map(|record| (record.offset(), record.stored_size(), record.sha256(), record.extra().clone()))
            .collect()
    };
    assert_eq!(places(after), places(before));
    assert_eq!(after.metadata().ok(), before.metadata().ok());
    assert!(Content::of(after).has_chunks_of(&Content::of(before)));
}
