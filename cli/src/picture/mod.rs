//! Pictures of latents: statistics, tiles by channel, previews. Independent of commands and of
//! printing.
//!
//! From the bottom up: `layout` (the meaning of the axes), `statistics`, `plane` (values in rows),
//! `tiles` and `preview` (values as colours), `plan` (the values to read), `scan` (one pass over a
//! latent that produces all results), `files` (pictures as files), `clues` (other information about
//! the latents in a file), `canvas` (a surface to paint on), `arrangement` (sizes and positions),
//! `look` (the view of one latent), `paint`, `sheet` (everything on one page).

mod arrangement;
mod canvas;
mod clues;
mod files;
mod layout;
mod look;
mod paint;
mod plan;
mod plane;
mod preview;
mod scan;
mod sheet;
mod statistics;
mod tiles;

pub use arrangement::Medium;
pub use canvas::Theme;
pub use clues::Clues;
pub use files::{Stored, decode, dimensions, fitted, memory_of, png, stored};
pub use layout::{Axis, Hints, Layout, Role, Scaling};
pub use look::{Look, Previews, Wish, facts, guess_of, look};
pub use paint::pictures;
pub use plan::Request;
pub use plane::Plane;
pub use preview::{Guess, Preview, guess};
pub use scan::{Item, Scan, scan};
pub use sheet::{Sheet, sheet};
pub use statistics::{Histogram, Normal, Statistics, figure};
pub use tiles::{Key, NAN, Scale, tile};
