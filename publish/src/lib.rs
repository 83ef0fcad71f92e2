//! Files and folders that appear under their names when they are complete, or not at all.
//!
//! A [`Draft`] is a file under a temporary name, and a [`DraftFolder`] is a folder. Each gets its
//! own name by one rename when it is published. A draft that is dropped is removed. [`Original`]
//! remembers the file that a program has read, so that a draft replaces that file only if no other
//! program has changed it meanwhile, and [`lock_file`] makes programs wait for each other.
//!
//! The crates of gen5 are built on this one, which knows nothing of their format.
//!
//! ```
//! use std::io::Write;
//!
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("notes.txt");
//! let mut draft = gen5_publish::Draft::create_new(&path)?;
//! draft.write_all(b"noise and a lighthouse")?;
//! assert!(!path.exists());
//! draft.publish()?;
//! assert_eq!(std::fs::read(&path)?, b"noise and a lighthouse");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod file;
mod folder;
mod identity;
mod lock;
mod made;
mod original;
mod rename;
mod target;
mod temporary;

pub use error::{Error, Result};
pub use file::{Draft, Replace};
pub use folder::DraftFolder;
pub use identity::Identity;
pub use lock::{Patience, lock_file};
pub use made::abandon_drafts;
pub use original::Original;
pub use target::Target;
