//! Transfer of values from one file to another.

pub(crate) mod arrays;
pub(crate) mod batch;
pub(crate) mod check;
pub(crate) mod latents;
pub(crate) mod read_ahead;
