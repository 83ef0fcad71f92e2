//! What latents look like: statistics, tiles by channel, previews. No command, and nothing that is printed.
//!
//! From the ground up: `layout` (which axis is which), `statistics`, `plane` (values in rows), `tiles` and `preview` (values as
//! colours), `plan` (what is read), `scan` (one pass over a latent that gives all of it), `files` (pictures as files), `clues`
//! (what else a file says of its latents), `canvas` (something to paint on), `arrangement` (how large, and where), `look` (what is shown of a latent), `paint`, `sheet` (a page with
//! all of it).

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
