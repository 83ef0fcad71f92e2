//! Files of a layout written from latents that come from elsewhere.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Result;
use gen5::metadata::Extra;
use gen5::{Dtype, Latent};
use gen5_picture::Normalization;

use super::planned::{PieceData, SharedTexts, Used};
use super::unscale::Unscale;
use crate::budget::MADE_FILES;
use crate::convert::layouts::{FileLayout, SourceArray, SourceFile, comfyui, kohya};
use crate::convert::texts::Texts;
use crate::convert::types::{Other, Type};
use crate::convert::write::Piece;
use crate::embedded::members;
use crate::names::NAMELESS;

/// The note for derived kohya caches.
pub(super) const SIZES_ARE_DERIVED: &str = "original_size and crop_ltrb assume an uncropped image of 8 pixels for \
                                            each value of a latent: the file does not record the true ones";

/// A latent or a row that becomes a file.
pub(super) struct Unit<'a> {
    latent: &'a Latent,
    row: Option<usize>,
    shape: Vec<usize>,
    origin: Option<UnitOrigin<'a>>,
}

/// The source file of a latent or a row.
#[derive(Clone, Copy)]
struct UnitOrigin<'a> {
    source: &'a SourceFile,
    row: Option<usize>,
    /// Whether it accompanies another latent of that file, as a mask does.
    is_companion: bool,
}

impl<'a> Unit<'a> {
    /// The suggested file name without extension.
    pub(super) fn stem(&self) -> Option<&'a str> {
        match self.origin {
            Some(origin) if !origin.is_companion => Some(origin.source.stem()),
            _ => self.latent.key(),
        }
    }

    /// The position of its latent.
    pub(super) fn index(&self) -> usize {
        self.latent.index()
    }

    /// Whether it is only data for another latent, such as a mask.
    pub(super) fn is_companion(&self) -> bool {
        self.origin.is_some_and(|origin| origin.is_companion)
    }

    fn layout(&self) -> Option<FileLayout> {
        self.origin.map(|origin| origin.source.layout)
    }

    /// The scaling to undo, if any.
    fn unscale(&self, by: &mut Unscale) -> Result<Option<Normalization>> {
        let is_unscaled = self.origin.is_some_and(|origin| origin.source.is_unscaled());
        match (self.layout(), self.shape.as_slice()) {
            // Musubi stores an image as a video of one frame.
            (Some(FileLayout::Musubi), [channels, 1, height, width]) => {
                by.of(self.latent, &[*channels, *height, *width], is_unscaled)
            }
            (_, shape) => by.of(self.latent, shape, is_unscaled),
        }
    }

    /// The values of the latent, or of one row.
    fn values(&self, row: Option<usize>, unscale: Option<Normalization>) -> PieceData {
        PieceData::Latent { latent: self.latent.clone(), row: self.row.or(row), unscale }
    }
}

/// A file written from a latent or a row.
pub(super) struct DerivedFile {
    /// The suggested file name without extension.
    pub(super) stem: Option<String>,
    pub(super) pieces: Vec<Piece<PieceData>>,
    pub(super) texts: SharedTexts,
}

impl DerivedFile {
    /// Size of the data that files of one latent repeat, including the index.
    pub(super) fn repeated(&self, unit: &Unit<'_>) -> u64 {
        (unit.latent.key().map_or(0, str::len) + self.texts.size()) as u64
    }
}

/// The latents, with those whose rows come from separate files split into rows, except rows that
/// already have a file.
pub(super) fn units<'a>(latents: &[&'a Latent], sources: &[&'a SourceFile], used: &Used) -> Vec<Unit<'a>> {
    let mut origins = origins(sources);
    let mut units = Vec::new();
    for &latent in latents {
        // Files refer to latents by key; of latents that share a key, the first is meant.
        let origins = latent.key().and_then(|key| origins.remove(key)).unwrap_or_default();
        let of_rows = origins.iter().filter_map(|origin| Some((origin.row?, *origin)));
        let of_rows: HashMap<usize, UnitOrigin<'_>> = of_rows.collect();
        match latent.shape().split_first() {
            // Rows without a source are included: another file's rows may have been stacked on
            // them.
            Some((&rows, shape))
                if rows <= MADE_FILES.saturating_sub(units.len())
                    && of_rows.keys().any(|row| *row < rows) =>
            {
                let left = (0..rows).filter(|row| !used.contains(&(latent.index(), Some(*row))));
                units.extend(left.map(|row| Unit {
                    latent,
                    row: Some(row),
                    shape: shape.to_vec(),
                    origin: of_rows.get(&row).copied(),
                }));
            }
            _ => {
                units.push(Unit {
                    latent,
                    row: None,
                    shape: latent.shape().to_vec(),
                    origin: origins.first().copied(),
                });
            }
        }
    }
    units
}

/// The source files of each key.
fn origins<'a>(sources: &[&'a SourceFile]) -> HashMap<&'a str, Vec<UnitOrigin<'a>>> {
    let mut origins: HashMap<&str, Vec<UnitOrigin<'_>>> = HashMap::new();
    for &source in sources {
        let latents: Vec<&SourceArray> = source.latents().map(|(_, member)| member).collect();
        let only = source.layout.only_latent(latents.iter().map(|member| member.name.as_str()));
        for (at, member) in latents.into_iter().enumerate() {
            let is_companion = only.is_some_and(|only| only != at);
            let origin = UnitOrigin { source, row: member.row, is_companion };
            origins.entry(member.key.as_deref().unwrap_or_default()).or_default().push(origin);
        }
    }
    origins
}

/// The texts that came with an image made by ComfyUI.
pub(super) fn comfyui_texts(model_info: &Extra) -> Result<SharedTexts> {
    let texts = model_info.get("image_text").and_then(|texts| members(texts).ok());
    let text = |name: &str| serde_json::from_str(texts.as_ref()?.get(name)?).ok();
    let texts = [comfyui::PROMPT, comfyui::WORKFLOW];
    let texts = texts.into_iter().filter_map(|name| Some((name.to_owned(), text(name)?))).collect();
    Ok(Arc::new(Texts::of_map(&texts)?))
}

/// A `.latent` file, if the shape allows it: ComfyUI expects batch, channels, height and width.
pub(super) fn comfyui_files(
    unit: &Unit<'_>,
    texts: &SharedTexts,
    unscale: &mut Unscale,
) -> Result<Vec<DerivedFile>> {
    let has_batch = unit.layout() != Some(FileLayout::Musubi);
    let shape = match unit.shape.len() {
        3 => [&[1], unit.shape.as_slice()].concat(),
        4 if !has_batch => [&[1], unit.shape.as_slice()].concat(),
        4.. => unit.shape.clone(),
        _ => return Ok(Vec::new()),
    };
    let unscale = unit.unscale(unscale)?;
    let dtype = if unscale.is_some() { Dtype::F32 } else { unit.latent.dtype() };
    let latent = Piece {
        name: comfyui::TENSOR.to_owned(),
        kind: dtype.into(),
        shape,
        values: unit.values(None, unscale),
    };
    Ok(vec![DerivedFile {
        stem: unit.stem().map(shortened),
        pieces: vec![latent, marker()],
        texts: Arc::clone(texts),
    }])
}

/// One kohya cache per image, if there are any. Values are float32, as in all such caches.
pub(super) fn kohya_files(unit: &Unit<'_>, unscale: &mut Unscale) -> Result<Vec<DerivedFile>> {
    let Some((rows, [channels, height, width])) = images(unit) else { return Ok(Vec::new()) };
    let pixels = |axis: usize| axis.checked_mul(kohya::PIXELS).and_then(|axis| i64::try_from(axis).ok());
    let (Some(width_in_pixels), Some(height_in_pixels)) = (pixels(width), pixels(height)) else {
        return Ok(Vec::new());
    };
    // For models with 16 channels, sd-scripts requires names with the size.
    let suffix = if channels == 16 { format!("_{height}x{width}") } else { String::new() };
    let sizes = |name: &str, values: &[i64]| Piece {
        name: format!("{name}{suffix}"),
        kind: Type::Other(Other::Int(8)),
        shape: vec![values.len()],
        values: PieceData::Bytes(values.iter().flat_map(|value| value.to_le_bytes()).collect()),
    };
    let unscale = unit.unscale(unscale)?;
    let file = |stem: Option<String>, row: Option<usize>| {
        let latents = Piece {
            name: format!("{}{suffix}", kohya::LATENTS),
            kind: Type::Latent(Dtype::F32),
            shape: vec![channels, height, width],
            values: unit.values(row, unscale),
        };
        let size = sizes(kohya::ORIGINAL_SIZE, &[width_in_pixels, height_in_pixels]);
        let crop = sizes(kohya::CROP, &[0, 0, width_in_pixels, height_in_pixels]);
        DerivedFile { stem, pieces: vec![latents, size, crop], texts: SharedTexts::default() }
    };
    Ok(match rows {
        None => vec![file(unit.stem().map(shortened), None)],
        Some(rows) => {
            let stem = shortened(unit.stem().unwrap_or(NAMELESS));
            let digits = rows.to_string().len();
            (0..rows).map(|row| file(Some(format!("{stem}_{row:0digits$}")), Some(row))).collect()
        }
    })
}

/// A stem shortened to leave room for a row number; there can be very many of them.
fn shortened(stem: &str) -> String {
    format!("{stem:.80}")
}

/// The channels, height and width of an image, and the number of rows if each row is one; `None`
/// for other shapes.
fn images(unit: &Unit<'_>) -> Option<(Option<usize>, [usize; 3])> {
    let is_musubi = unit.layout() == Some(FileLayout::Musubi);
    match *unit.shape.as_slice() {
        [channels, height, width] => Some((None, [channels, height, width])),
        // A video of one frame.
        [channels, 1, height, width] if is_musubi => Some((None, [channels, height, width])),
        [1, channels, height, width] if !is_musubi => Some((None, [channels, height, width])),
        [rows @ 0..=MADE_FILES, channels, height, width]
            if !is_musubi && unit.row.is_none() && !unit.latent.is_empty() =>
        {
            Some((Some(rows), [channels, height, width]))
        }
        _ => None,
    }
}

/// The marker of ComfyUI's files.
pub(super) fn marker() -> Piece<PieceData> {
    Piece {
        name: comfyui::MARKER.to_owned(),
        kind: Type::Latent(Dtype::F32),
        shape: vec![0],
        values: PieceData::Bytes(Vec::new()),
    }
}
