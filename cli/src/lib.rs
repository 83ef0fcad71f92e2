//! x

pub mod convert;
pub mod names;
pub mod terminal;
