//! A forked child has a copy of its parent's drafts, and drops it: the parent's temporaries stay.
#![cfg(unix)]
#![allow(unsafe_code, clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gen5_publish::{Draft, DraftFolder, abandon_drafts};

/// Runs `work` in a child, and waits for its end.
fn in_a_child(work: impl FnOnce()) {
    // SAFETY: There is one test in this program, so no other thread of it holds a lock that the child could wait for.
    match unsafe { libc::fork() } {
        0 => {
            let is_fine = catch_unwind(AssertUnwindSafe(work)).is_ok();
            // SAFETY: It ends the child without the parent's clean-up.
            unsafe { libc::_exit(i32::from(!is_fine)) }
        }
        child => {
            let mut status = 0;
            // SAFETY: The status is a place for an integer.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0);
        }
    }
}

#[test]
fn a_child_that_drops_its_copies_leaves_the_drafts_of_its_parent() {
    let folder = tempfile::tempdir().unwrap();
    let (file, inner) = (folder.path().join("a.txt"), folder.path().join("run"));
    let mut draft = Draft::create_new(&file).unwrap();
    let draft_folder = DraftFolder::create(&inner).unwrap();
    draft.write_all(b"noise").unwrap();
    fs::write(draft_folder.path().join("b.txt"), "and a lighthouse").unwrap();

    let mut copies = Some((draft, draft_folder));
    in_a_child(|| {
        drop(copies.take());
        abandon_drafts();
        // A child removes its own drafts.
        let own = folder.path().join("c.txt");
        drop(Draft::create_new(&own).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    });
    let (draft, draft_folder) = copies.unwrap();
    draft.publish().unwrap();
    draft_folder.publish().unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"noise");
    assert_eq!(fs::read(inner.join("b.txt")).unwrap(), b"and a lighthouse");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}
