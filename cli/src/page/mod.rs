//! A page that shows files.
//!
//! From the bottom up: the content (`model`), its formatting (`text`, `chart`), the code that fills
//! it from a file (`image`, `latents`, `read`), and the page itself (`html`).

mod chart;
mod html;
mod image;
mod latents;
mod model;
mod read;
mod text;

pub(crate) use html::render;
pub(crate) use model::{Content, HtmlPage, Integrity, ShownFile};
pub(crate) use read::Reading;
