//! Verification of a file's hashes after its values were read piece by piece.

use std::path::Path;

use anyhow::Result;
use gen5::Reader;

use crate::failure::of_file;
use crate::progress::Progress;

/// The bytes that [`check_all`] adds to the progress.
pub(crate) fn size_of_check(reader: &Reader) -> u64 {
    reader.chunks().iter().map(gen5::chunk::ChunkRecord::payload_size).fold(0, u64::saturating_add)
}

/// Checks all hashes of a file whose values were read piece by piece. Checking each piece would
/// hash its whole chunk every time. The check runs last, so that it also notices changes made in
/// the meantime. It counts towards the progress.
pub(crate) fn check_all(reader: &Reader, path: &Path, progress: &Progress) -> Result<()> {
    let report = reader.verify_chunks(|bytes| progress.add(bytes));
    report.into_result().map_err(|error| of_file(error, path))?;
    Ok(())
}
