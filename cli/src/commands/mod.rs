//! The commands, one file or folder each.

pub(crate) mod cat;
pub(crate) mod completions;
pub(crate) mod diff;
pub(crate) mod env;
pub(crate) mod fingerprint;
pub(crate) mod info;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod merge;
pub(crate) mod pack;
pub(crate) mod render;
pub(crate) mod repack;
pub(crate) mod report;
pub(crate) mod set;
pub(crate) mod show;
pub(crate) mod split;
pub(crate) mod unpack;
pub(crate) mod verify;
