//! Writers of array files: `.npy`, `.npz` and `.safetensors`. Sizes are known in advance, so values
//! are streamed.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::Path;

use ::safetensors::Dtype as Tensor;
use anyhow::{Context, Result, ensure};
use gen5::Dtype;
use gen5_picture::text::escape;
use serde::{Serialize, Serializer};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::fails_once::FailsOnce;
use super::npy;
use super::texts::Texts;
use super::types::Type;
use crate::terminal::shown;

/// An array to write.
pub struct Piece<V> {
    /// Its name in the file, if arrays have names there.
    pub name: String,
    /// The type of its elements in the file.
    pub kind: Type,
    /// Its axes.
    pub shape: Vec<usize>,
    /// The source of its values.
    pub values: V,
}

/// The file formats that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A single array, as saved by numpy.
    Npy,
    /// Arrays in an uncompressed zip file.
    Npz,
    /// Tensors after a header.
    Safetensors,
}

impl Container {
    /// The dtype that stores a latent's values in this format. numpy has no bfloat16, and float32
    /// represents it exactly.
    pub fn holds(self, dtype: Dtype) -> Dtype {
        match (self, dtype) {
            (Self::Npy | Self::Npz, Dtype::BF16) => Dtype::F32,
            _ => dtype,
        }
    }
}

/// Writes the values of a piece in its type.
pub type WriteValues<'a, V> = dyn FnMut(&Piece<V>, &mut dyn Write) -> Result<()> + 'a;

/// Writes a new file of `pieces`.
///
/// # Errors
///
/// If `values` fails, if the file exists or cannot be written, if names are repeated, or if the
/// size is impossible for a file.
pub fn write_file<V>(
    path: &Path,
    container: Container,
    pieces: &[Piece<V>],
    texts: &Texts,
    values: &mut WriteValues<'_, V>,
) -> Result<()> {
    let failed = || format!("could not write {}", shown(path));
    let mut file = BufWriter::new(File::create_new(path).with_context(failed)?);
    let written = match container {
        Container::Npy => pieces.iter().try_for_each(|piece| {
            npy::write_header(&mut file, piece.kind, &piece.shape)?;
            values(piece, &mut file)
        }),
        Container::Npz => write_npz(&mut file, pieces, values),
        Container::Safetensors => write_safetensors(&mut file, pieces, texts, values),
    };
    written.and_then(|()| Ok(file.flush()?)).map_err(|error| match error.downcast_ref() {
        Some(gen5::Error::Io { .. }) | None => error.context(failed()),
        // This is an error of the source file.
        Some(_) => error,
    })
}

/// Size of its values in bytes.
fn size<V>(piece: &Piece<V>) -> Result<u64> {
    let size = piece.kind.size_of_array(&piece.shape);
    size.with_context(|| format!("{} has a size over 2^64 bytes", escape(&piece.name)))
}

fn write_npz<V>(
    file: &mut (impl Write + Seek),
    pieces: &[Piece<V>],
    values: &mut WriteValues<'_, V>,
) -> Result<()> {
    let mut zip = ZipWriter::new(FailsOnce::new(file));
    for piece in pieces {
        let header = npy::header(piece.kind, &piece.shape)?;
        let size = size(piece)?.saturating_add(header.len() as u64);
        let options = SimpleFileOptions::default().large_file(size >= u64::from(u32::MAX));
        zip.start_file(format!("{}.npy", piece.name), options)?;
        zip.write_all(&header)?;
        values(piece, &mut zip)?;
    }
    zip.finish()?;
    Ok(())
}

/// A member of a safetensors header.
#[derive(Serialize)]
#[serde(untagged)]
enum HeaderMember<'a> {
    Texts(&'a Texts),
    Tensor { dtype: Tensor, shape: &'a [usize], data_offsets: [u64; 2] },
}

/// Writes values of larger types first, so that all are aligned, and header members in the same
/// order. The format's own library does the same, so its files are restored byte for byte, except
/// for the order of several texts, which that library writes at random.
fn write_safetensors<V>(
    file: &mut impl Write,
    pieces: &[Piece<V>],
    texts: &Texts,
    values: &mut WriteValues<'_, V>,
) -> Result<()> {
    let mut sorted: Vec<_> = pieces.iter().collect();
    sorted.sort_by_key(|piece| std::cmp::Reverse(piece.kind.size()));
    let mut header = Vec::new();
    let mut names = HashSet::new();
    if !texts.is_empty() {
        header.push(("__metadata__", HeaderMember::Texts(texts)));
    }
    let mut start = 0_u64;
    for piece in &sorted {
        let name = &piece.name;
        let end = start.checked_add(size(piece)?).context("the values are over 2^64 bytes")?;
        let dtype = piece
            .kind
            .tensor()
            .with_context(|| format!("{} has a type that .safetensors files do not have", escape(name)))?;
        header.push((name, HeaderMember::Tensor { dtype, shape: &piece.shape, data_offsets: [start, end] }));
        ensure!(names.insert(name), "two tensors would be called {}", escape(name));
        start = end;
    }
    let mut text = Vec::new();
    serde_json::Serializer::new(&mut text).collect_map(header)?;
    text.resize(text.len().next_multiple_of(8), b' ');
    file.write_all(&(text.len() as u64).to_le_bytes())?;
    file.write_all(&text)?;
    sorted.into_iter().try_for_each(|piece| values(piece, file))
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::io::{self, Cursor, SeekFrom};
    use std::process::Command;

    use super::*;

    /// A disk of limited size.
    struct Disk(Cursor<Vec<u8>>, u64);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = usize::try_from(self.1.saturating_sub(self.0.position())).unwrap();
            match bytes.split_at(room.min(bytes.len())) {
                ([], [_, ..]) => Err(io::ErrorKind::StorageFull.into()),
                (bytes, _) => self.0.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Disk {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    fn write_on(room: u64) -> Result<u64> {
        let piece = |name: &str| Piece {
            name: name.to_owned(),
            kind: Type::Latent(Dtype::F32),
            shape: vec![5, 7],
            values: (),
        };
        let mut disk = Disk(Cursor::new(Vec::new()), room);
        let values = &mut |_: &Piece<()>, out: &mut dyn Write| Ok(out.write_all(&[1; 5 * 7 * 4])?);
        write_npz(&mut disk, &[piece("a"), piece("b")], values)?;
        Ok(disk.0.into_inner().len() as u64)
    }

    /// Runs this test again in a separate process, to capture printed output.
    #[test]
    fn a_full_disk_is_an_error_and_nothing_is_printed() {
        const INNER: &str = "GEN5_TEST_OF_A_FULL_DISK";
        if env::var_os(INNER).is_some() {
            let size = write_on(u64::MAX).unwrap();
            assert!((0..size).all(|room| write_on(room).is_err()));
            return;
        }
        let name = "convert::write::tests::a_full_disk_is_an_error_and_nothing_is_printed";
        let mut again = Command::new(env::current_exe().unwrap());
        let ran = again.args(["--exact", name, "--nocapture"]).env(INNER, "1").output().unwrap();
        let told = String::from_utf8_lossy(&ran.stdout);
        let printed = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success() && told.contains("1 passed"), "{told}{printed}");
        assert_eq!(printed, "");
    }
}
