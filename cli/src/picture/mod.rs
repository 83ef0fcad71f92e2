//! What latents look like: statistics, tiles by channel, previews. No command, and nothing that is printed.
//!
//! From the ground up: `layout` (which axis is which), `statistics`, `tiles` and `preview` (values as colours), `scan`
//! (one pass over a latent that gives all of it), `files` (pictures as files).

mod files;
mod layout;
mod preview;
mod scan;
mod statistics;
mod tiles;

pub use files::{Stored, decode, dimensions, png};
pub use layout::{Axis, Hints, Layout, Role};
pub use preview::{Guess, Preview, guess};
pub use scan::{Item, Plane, Request, Scan, scan};
pub use statistics::{Histogram, Statistics, figure};
pub use tiles::{NAN, Scale, tile};
