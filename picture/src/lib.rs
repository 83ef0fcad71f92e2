//! Pictures of the latents in GEN5 files: statistics, tiles by channel, previews in colour, contact
//! sheets.
//!
//! [`scan_latent`] reads a latent once and returns its statistics and its channels as [`Plane`]s.
//! [`paint_tile`] colours one channel, and a [`Preview`] mixes the channels to red, green and blue
//! by the factors that are published for a family of models. [`view_latents`] does both for the
//! latents of a file and arranges them, and [`Sheet::paint`] makes a page of the whole file. All
//! pictures are [`RgbImage`](image::RgbImage)s, and [`encode_png`] turns them into files.
//!
//! Files do not say what the axes of a latent mean or which model made it. A [`Layout`] is a guess
//! by shape, key and the model's name, and describes itself in words.
//!
//! Nothing here prints, and nothing needs a terminal. Memory is bounded whatever a file claims: see
//! [`IMAGE_MEMORY`], [`LATENT_MEMORY`] and [`VIEW_MEMORY`].
//!
//! ```
//! use gen5_picture::{Clues, Origins, ScanOptions, encode_png, guess_preview, scan_latent};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("run.gen5");
//! # let noise: Vec<f32> = (0..4 * 64 * 64).map(|at| (at as f32).sin()).collect();
//! let mut writer = gen5::WriteOptions::new().create(&path)?;
//! writer.latent("final", &[1, 4, 64, 64], &noise)?;
//! writer.finish(&gen5::Metadata::builder("SDXL", "1.0").build()?)?;
//!
//! let reader = gen5::Reader::open(&path)?;
//! let latent = reader.latent("final")?;
//! let clues = Clues::of(&reader, |_| Origins::default());
//! let hints = clues.hints(&latent);
//! let scan = scan_latent(&latent, hints, &ScanOptions::default())?;
//! assert_eq!(scan.layout.description(), "image × channel × height × width");
//! assert!(scan.statistics.max() <= Some(1.0));
//!
//! let guess = guess_preview(&scan.layout, hints.model).ok_or("no factors are known")?;
//! assert_eq!(guess.preview.name(), "sdxl");
//! let item = scan.items.first().ok_or("no pictures")?;
//! let picture = guess.preview.picture(&item.planes, hints.scaling).ok_or("other channels")?;
//! assert_eq!(picture.dimensions(), (64, 64));
//! # let path = folder.path().join("preview.png");
//! std::fs::write(&path, encode_png(&picture)?)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod arrangement;
mod canvas;
mod clues;
mod facts;
mod images;
mod layout;
mod limits;
mod painting;
mod plan;
mod plane;
mod preview;
mod scan;
mod sheet;
mod statistics;
pub mod text;
mod tiles;
mod view;

// What is known about a latent.
pub use clues::{Clues, Origins};
pub use layout::{Axis, Hints, Layout, Role, Scaling};

// One latent.
pub use plan::ScanOptions;
pub use plane::Plane;
pub use preview::{Guess, Normalization, Preview, guess_preview};
pub use scan::{Item, Scan, scan_latent};
pub use statistics::{Histogram, Normal, Statistics};
pub use tiles::{ColorKey, NAN_COLOR, Scale, paint_tile};

// The latents of a file.
pub use arrangement::Medium;
pub use canvas::Theme;
pub use facts::describe_file;
pub use sheet::Sheet;
pub use view::{Previews, View, ViewOptions, view_latents};

// Encoded images.
pub use images::{Thumbnail, decode_image, encode_png, image_memory, image_size, shrink_image};

// Memory.
pub use limits::{IMAGE_MEMORY, LATENT_MEMORY, VIEW_MEMORY};
