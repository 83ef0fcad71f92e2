//! What commands do with the metadata of files.

pub(crate) mod image_text;
pub(crate) mod model_info;
pub(crate) mod origins;
