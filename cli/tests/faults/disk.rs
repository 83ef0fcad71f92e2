//! A model of a disk's possible contents after a loss of power.
//!
//! Only synced data is guaranteed: the bytes of a file by its `fsync`, the names in a folder by an
//! `fsync` of the folder. Any subset of the other changes may survive: writes in any order, any
//! sectors of each write, any of a file's lengths, and any of the names. Real file systems
//! guarantee more; on ext4, for example, the `fsync` of a file also keeps its name.

use std::collections::BTreeMap;

use crate::Random;

const SECTOR: usize = 512;

/// Identifies a file regardless of its name.
pub type Inode = usize;

/// A change to a folder or file. Changes are recorded in the order of the system calls.
#[derive(Clone, Debug)]
pub enum Change {
    Write { file: Inode, at: usize, bytes: Vec<u8> },
    Truncate { file: Inode, len: usize },
    Sync { file: Inode },
    Name { name: String, file: Inode },
    Rename { from: String, to: String, file: Inode },
    Remove { name: String },
    SyncFolder,
}

/// The files and names of a folder at the start, and the changes made since.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub files: Vec<Vec<u8>>,
    pub names: BTreeMap<String, Inode>,
    pub changes: Vec<Change>,
}

/// File contents by name.
pub type Files = BTreeMap<String, Vec<u8>>;

impl Recording {
    /// A possible state after a loss of power that follows the first `done` changes. Each change
    /// that is not guaranteed survives with this probability.
    pub fn lose_power(&self, done: usize, likelihood: f64, random: &mut Random) -> Files {
        let mut files: BTreeMap<Inode, File> =
            self.files.iter().cloned().enumerate().map(|(inode, bytes)| (inode, File::of(bytes))).collect();
        let mut names = self.names.clone();
        let mut pending: Vec<&Change> = Vec::new();
        for change in &self.changes[..done] {
            match change {
                Change::Write { file, .. } | Change::Truncate { file, .. } => {
                    files.entry(*file).or_default().pending.push(change);
                }
                Change::Sync { file } => files.entry(*file).or_default().sync(),
                Change::SyncFolder => pending.drain(..).for_each(|change| rename(&mut names, change)),
                Change::Name { .. } | Change::Rename { .. } | Change::Remove { .. } => pending.push(change),
            }
        }
        for change in pending {
            if random.happens(likelihood) {
                rename(&mut names, change);
            }
        }
        names
            .into_iter()
            .map(|(name, inode)| {
                (name, files.remove(&inode).unwrap_or_default().lose_power(likelihood, random))
            })
            .collect()
    }
}

fn rename(names: &mut BTreeMap<String, Inode>, change: &Change) {
    match change {
        Change::Name { name, file } => _ = names.insert(name.clone(), *file),
        Change::Rename { from, to, file } => {
            names.remove(from);
            names.insert(to.clone(), *file);
        }
        Change::Remove { name } => _ = names.remove(name),
        Change::Write { .. } | Change::Truncate { .. } | Change::Sync { .. } | Change::SyncFolder => {}
    }
}

/// The guaranteed bytes of a file, and the changes since the last sync.
#[derive(Default)]
struct File<'c> {
    synced: Vec<u8>,
    pending: Vec<&'c Change>,
}

impl File<'_> {
    fn of(synced: Vec<u8>) -> Self {
        Self { synced, pending: Vec::new() }
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Truncate { len, .. } => self.synced.resize(*len, 0),
                Change::Write { at, bytes, .. } => put(&mut self.synced, *at, bytes),
                _ => {}
            }
        }
    }

    fn lose_power(mut self, likelihood: f64, random: &mut Random) -> Vec<u8> {
        // Pending changes reach the disk in any order.
        for at in (1..self.pending.len()).rev() {
            self.pending.swap(at, random.below(at + 1));
        }
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Truncate { len, .. } if random.happens(likelihood) => self.synced.resize(*len, 0),
                Change::Write { at, bytes, .. } => {
                    for (number, sector) in bytes.chunks(SECTOR).enumerate() {
                        if random.happens(likelihood) {
                            put(&mut self.synced, at + number * SECTOR, sector);
                        }
                    }
                }
                _ => {}
            }
        }
        self.synced
    }
}

fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if file.len() < end {
        file.resize(end, 0);
    }
    file[at..end].copy_from_slice(bytes);
}
