//! The contents of a file through every call that returns them, and the invariants of all accepted
//! files.

use std::collections::HashMap;

use gen5::chunk::{ChunkRecord, ChunkType, Digest};
use gen5::{Dtype, Element, Error, Latent, Limits, ReadOptions, Reader, bf16, f16};
use zerocopy::IntoBytes;

/// Limits low enough for inputs to exceed them.
pub(crate) fn limits() -> Limits {
    const LITTLE: u64 = 1 << 20;
    Limits::default().table_bytes(LITTLE).latent_bytes(LITTLE).image_bytes(LITTLE).environment_bytes(LITTLE)
}

/// A frame of raw blocks with this content, which is fast to create (RFC 8878, 3.1.1).
pub(crate) fn frame_as_it_is(content: &[u8]) -> Vec<u8> {
    // A single segment with a content size of eight bytes. The window is the content.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0b1110_0000];
    frame.extend((content.len() as u64).to_le_bytes());
    let blocks = content.chunks(128 << 10);
    let last = blocks.len().saturating_sub(1);
    for (at, block) in blocks.enumerate() {
        let header = (block.len() as u32) << 3 | u32::from(at == last);
        frame.extend(&header.to_le_bytes()[..3]);
        frame.extend(block);
    }
    frame
}

/// Checks the invariants of an accepted file. `file` contains the bytes that `reader` reads.
pub(crate) fn check(reader: &Reader, file: &[u8]) {
    check_places(reader, (file.len() - table_size(file)) as u64);
    check_keys(reader);
    let checking = ReadOptions::new().limits(limits()).check_hashes(true).from_bytes(file.to_vec());
    check_payloads(reader, &checking.expect("it was accepted before"));
}

/// The size of the table from the header of a small file.
pub(crate) fn table_size(file: &[u8]) -> usize {
    file.get(12..16).and_then(|size| size.try_into().ok()).map_or(0, |size| u32::from_le_bytes(size) as usize)
}

/// Checks that chunks lie between header and table without overlaps, and that records match their
/// chunks.
pub(crate) fn check_places(reader: &Reader, table: u64) {
    let mut places: Vec<(u64, u64)> = Vec::new();
    for (position, record) in reader.chunks().iter().enumerate() {
        assert_eq!(record.index(), position);
        let end = record.offset().checked_add(record.stored_size()).expect("a place that can be counted");
        assert!(record.offset() >= 32 && end <= table, "{record:?}");
        assert!(record.stored_size() >= 12, "{record:?}");
        assert!(record.is_compressed() || record.stored_size() == record.payload_size() + 12, "{record:?}");
        if let (Some(dtype), Some(shape)) = (record.dtype(), record.shape()) {
            assert_eq!(dtype.size_of_array(shape), Some(record.payload_size()), "{record:?}");
        }
        places.push((record.offset(), end));
    }
    places.sort_unstable();
    assert!(places.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{places:?}");
    for kind in [ChunkType::IMAGE, ChunkType::ENVIRONMENT] {
        assert!(reader.chunks().iter().filter(|record| record.kind() == kind).count() <= 1);
    }
}

/// Checks that positions and unique keys find every latent, and that its chunks have its size.
pub(crate) fn check_keys(reader: &Reader) {
    let mut same: HashMap<String, usize> = HashMap::new();
    for key in reader.latents().filter_map(|latent| latent.key().map(str::to_owned)) {
        *same.entry(key).or_default() += 1;
    }
    for (position, latent) in reader.latents().enumerate() {
        assert_eq!(latent.index(), position);
        assert_eq!(latent.dtype().size_of_array(latent.shape()), Some(latent.payload_size()));
        assert_eq!(latent.chunks().map(ChunkRecord::payload_size).sum::<u64>(), latent.payload_size());
        let Some(key) = latent.key() else { continue };
        match reader.latent(key) {
            Ok(found) => assert_eq!((found.index(), same[key]), (position, 1)),
            Err(Error::AmbiguousKey { count, .. }) => assert_eq!((count, count > 1), (same[key], true)),
            Err(error) => panic!("{key:?}: {error}"),
        }
    }
}

/// A result with an error that can be compared.
type Told<T> = Result<T, String>;

fn told<T>(result: gen5::Result<T>) -> Told<T> {
    result.map_err(|error| error.to_string())
}

/// Everything that can be read from a file, or the errors.
#[derive(Debug, PartialEq)]
pub(crate) struct Content {
    version: gen5::Version,
    file_size: u64,
    manifest: String,
    model_info: String,
    metadata: Told<gen5::Metadata>,
    image: Told<Option<Vec<u8>>>,
    environment: Told<Option<gen5::Environment>>,
    fingerprint: Told<Digest>,
    verified: Vec<Option<String>>,
    payloads: Vec<Told<Vec<u8>>>,
    latents: Vec<Told<Vec<u8>>>,
}

impl Content {
    pub(crate) fn of(reader: &Reader) -> Self {
        let report = reader.verify_chunks(|_| {});
        Self {
            version: reader.version(),
            file_size: reader.file_size(),
            manifest: reader.manifest_json().to_owned(),
            model_info: reader.model_info_json().to_owned(),
            metadata: told(reader.metadata()),
            image: told(reader.image()).map(|image| image.map(std::borrow::Cow::into_owned)),
            environment: told(reader.environment()),
            fingerprint: told(reader.fingerprint()),
            verified: report
                .chunks()
                .iter()
                .map(|chunk| chunk.error.as_ref().map(Error::to_string))
                .collect(),
            payloads: (0..reader.chunks().len())
                .map(|chunk| told(reader.payload(chunk)).map(std::borrow::Cow::into_owned))
                .collect(),
            latents: reader.latents().filter(fits).map(|latent| told(written(&latent))).collect(),
        }
    }
}

impl Content {
    /// Whether the two files have equal chunks, including any damage.
    pub(crate) fn has_chunks_of(&self, other: &Self) -> bool {
        (&self.verified, &self.payloads, &self.latents) == (&other.verified, &other.payloads, &other.latents)
    }
}

/// Whether a latent is within the limit. Larger ones take time and exercise no other code.
fn fits(latent: &Latent) -> bool {
    latent.payload_size() <= limits().latent_bytes
}

/// The bytes of a latent, written in blocks.
fn written(latent: &Latent) -> gen5::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    latent.write_to(&mut bytes)?;
    Ok(bytes)
}

/// The bytes of a latent, read as values. Checks that all ways of reading values agree.
fn read(latent: &Latent) -> gen5::Result<Vec<u8>> {
    fn as_values<T: Element>(latent: &Latent) -> gen5::Result<Vec<u8>> {
        let values = latent.read::<T>()?;
        let mut buffer = vec![T::default(); values.len()];
        latent.read_into(&mut buffer)?;
        assert_eq!(values.as_bytes(), buffer.as_bytes());
        if let Ok(borrowed) = latent.as_slice::<T>() {
            assert_eq!(values.as_bytes(), borrowed.as_bytes());
        }
        Ok(buffer.as_bytes().to_vec())
    }
    match latent.dtype() {
        Dtype::F16 => as_values::<f16>(latent),
        Dtype::BF16 => as_values::<bf16>(latent),
        _ => as_values::<f32>(latent),
    }
}

/// Whether a chunk is readable despite this error: only its hash or the meaning of its contents is
/// wrong.
fn is_of_meaning(error: &Error) -> bool {
    matches!(
        error,
        Error::Hash { .. } | Error::ComponentDigest { .. } | Error::Json { .. } | Error::Value { .. }
    )
}

/// Checks that payloads can be read if they verify, and that their hashes match. A payload that
/// does not verify can only be read if just its hash or the meaning of its text is wrong. All ways
/// of reading must agree. `checking` reads the same file with [`gen5::ReadOptions::check_hashes`],
/// which also requires the hash to match.
fn check_payloads(reader: &Reader, checking: &Reader) {
    let report = reader.verify_chunks(|_| {});
    let errors: Vec<Option<&Error>> = report.chunks().iter().map(|chunk| chunk.error.as_ref()).collect();
    for (record, error) in reader.chunks().iter().zip(&errors) {
        check_payload(record, *error, reader, checking);
    }
    for latent in reader.latents().filter(fits) {
        let is_whole = latent.chunks().all(|chunk| errors[chunk.index()].is_none_or(is_of_meaning));
        check_latent(&latent, is_whole);
        let is_sound = latent.chunks().all(|chunk| errors[chunk.index()].is_none());
        let checked = checking.latent_at(latent.index()).expect("the same latents");
        assert_eq!((written(&checked).is_ok(), read(&checked).is_ok()), (is_sound, is_sound));
    }
}

/// Compares a payload with the result of its verification.
fn check_payload(record: &ChunkRecord, error: Option<&Error>, reader: &Reader, checking: &Reader) {
    let what = format!("{record:?}, verified: {error:?}");
    let is_of_hash = |error: &Error| matches!(error, Error::Hash { .. });
    let is_within_limit = record.payload_size() <= limits().latent_bytes || !record.is_compressed();
    match (reader.payload(record.index()), error) {
        (Ok(payload), Some(error)) => {
            assert!(is_of_meaning(error), "{what}");
            assert_eq!(Digest::of(&payload) != record.sha256(), is_of_hash(error), "{what}");
        }
        (Ok(payload), None) => assert_eq!(Digest::of(&payload), record.sha256(), "{what}"),
        (Err(Error::Limit { .. }), _) => assert!(!is_within_limit, "{what}"),
        (Err(_), Some(error)) => assert!(!is_of_meaning(error), "{what}"),
        (Err(error), None) => panic!("{what}, but {error}"),
    }
    if is_within_limit {
        let has_hash = error.is_none_or(|error| is_of_meaning(error) && !is_of_hash(error));
        assert_eq!(checking.payload(record.index()).is_ok(), has_hash, "{what}");
    }
}

/// Compares the ways of reading a latent and its rows.
fn check_latent(latent: &Latent, is_whole: bool) {
    let whole = written(latent);
    assert_eq!(whole.is_ok(), is_whole, "{:?}", whole.err());
    let Ok(whole) = whole else {
        read(latent).expect_err("a damaged latent");
        return;
    };
    assert_eq!(read(latent).expect("what can be written can be read"), whole);
    let Some(rows) = latent.row_axis().and_then(|axis| latent.shape().get(axis)).copied() else { return };
    let mut joined = Vec::new();
    for range in [0..rows / 3, rows / 3..rows - rows / 4, rows - rows / 4..rows] {
        let rows = latent.rows(range).expect("rows that it has");
        let bytes = written(&rows).expect("rows of what can be read");
        assert_eq!(read(&rows).expect("rows of what can be read"), bytes);
        joined.extend(bytes);
    }
    assert_eq!(joined, whole);
}
