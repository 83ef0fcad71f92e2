//! Metadata operations shared by commands.

pub(crate) mod image_text;
pub(crate) mod model_info;
pub(crate) mod origins;
