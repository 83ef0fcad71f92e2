//! A small file that is written in one step.

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::interrupt;
use crate::terminal::shown;

/// Writes a file beside its place, and puts it there in one step. One that is there already is replaced only if that is
/// asked for.
pub(super) fn put(path: &Path, bytes: &[u8], replace: bool) -> Result<()> {
    match write(path, bytes, replace) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            bail!("{} is there already; --force replaces it", shown(path))
        }
        written => written.with_context(|| format!("could not write {}", shown(path))),
    }
}

fn write(path: &Path, bytes: &[u8], replace: bool) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let prefix = format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy());
    builder.prefix(&prefix).suffix(".gen5-partial");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
    interrupt::arm();
    let mut file = builder.tempfile_in(folder)?;
    file.write_all(bytes)?;
    interrupt::check()?;
    match replace {
        true => file.persist(path)?,
        false => file.persist_noclobber(path)?,
    };
    Ok(())
}
