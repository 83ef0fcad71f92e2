//! A page that shows files. From the ground up: what it says (`model`), how that is put (`text`, `chart`), what of a file
//! goes into it (`image`, `latents`, `read`), and the page itself (`html`).

mod chart;
mod html;
mod image;
mod latents;
mod model;
mod read;
mod text;

pub(crate) use html::render;
pub(crate) use model::{Content, File, Integrity, Page};
pub(crate) use read::Reading;
