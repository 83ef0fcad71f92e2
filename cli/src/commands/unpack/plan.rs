//! The plan of `unpack`: the files to write and their contents.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use gen5::metadata::Extra;
use gen5::{Dtype, Latent, Reader};
use gen5_picture::text::{count, escape, human_size};
use gen5_picture::{Normalization, Previews};
use serde_json::value::RawValue;

use super::LATENTS;
use super::derive::{
    DerivedFile, SIZES_ARE_DERIVED, Unit, comfyui_files, comfyui_texts, kohya_files, marker, units,
};
use super::options::Format;
use super::options::UnpackArgs;
use super::planned::{PieceData, PlannedFile, SharedTexts, UnpackPlan, Used};
use super::unscale::Unscale;
use crate::budget::{MADE_FILES, REPEATED_BY_UNPACK};
use crate::convert::layouts::{FileLayout, SourceArray, SourceFile, comfyui};
use crate::convert::recast::Fits;
use crate::convert::texts::Texts;
use crate::convert::types::Type;
use crate::convert::write::{Container, Piece};
use crate::embedded::{members, without_bare_words};
use crate::metadata::origins::sources;
use crate::names::file_names;
use crate::options::PreviewArg;
use crate::progress::Progress;

/// Plans the requested files.
pub(super) fn plan_files(reader: &Reader, args: &UnpackArgs, progress: &Progress) -> Result<UnpackPlan> {
    let latents: Vec<Latent> = reader.latents().collect();
    let together = |container, texts, extension: &str| {
        let pieces = latents.iter().zip(member_names(&latents));
        let pieces = pieces.map(|(latent, name)| whole(latent, name, container)).collect();
        let path = format!("{LATENTS}.{extension}");
        UnpackPlan {
            files: vec![PlannedFile { path, container, pieces, texts, source: None }],
            notes: Vec::new(),
        }
    };
    let layout = match args.format {
        Format::Npy => return Ok(UnpackPlan { files: one_each(&latents), notes: Vec::new() }),
        Format::Npz => return Ok(together(Container::Npz, SharedTexts::default(), "npz")),
        Format::Safetensors => return Ok(together(Container::Safetensors, texts(reader)?, "safetensors")),
        Format::Original => None,
        Format::Comfyui => Some(FileLayout::Comfyui),
        Format::Kohya => Some(FileLayout::Kohya),
        Format::Musubi => Some(FileLayout::Musubi),
    };
    let model_info = model_info(reader)?;
    let unscale = args.unscale.map(PreviewArg::previews);
    Planner::new(&latents, &sources(&model_info)?, progress).plan_layout(layout, &model_info, unscale)
}

/// One `.npy` file per latent.
fn one_each(latents: &[Latent]) -> Vec<PlannedFile> {
    let names = file_names(latents.iter().map(Latent::key), "npy");
    latents.iter().zip(names).map(|(latent, name)| npy_file(latent, &name)).collect()
}

fn npy_file(latent: &Latent, name: &str) -> PlannedFile {
    PlannedFile {
        path: format!("{LATENTS}/{name}"),
        container: Container::Npy,
        pieces: vec![whole(latent, String::new(), Container::Npy)],
        texts: SharedTexts::default(),
        source: None,
    }
}

fn whole(latent: &Latent, name: String, container: Container) -> Piece<PieceData> {
    Piece {
        name,
        kind: container.holds(latent.dtype()).into(),
        shape: latent.shape().to_vec(),
        values: PieceData::Latent { latent: latent.clone(), row: None, unscale: None },
    }
}

/// Names for latents in a common file: their keys if all are valid names, otherwise names derived
/// from them.
fn member_names(latents: &[Latent]) -> Vec<String> {
    let keys: Vec<&str> = latents.iter().filter_map(Latent::key).collect();
    let distinct: HashSet<&str> = keys.iter().copied().collect();
    if distinct.len() == latents.len() && keys.iter().all(|key| is_member_name(key)) {
        return keys.into_iter().map(str::to_owned).collect();
    }
    let names = file_names(latents.iter().map(Latent::key), "npy");
    names.into_iter().map(|name| name.strip_suffix(".npy").unwrap_or(&name).to_owned()).collect()
}

/// Whether a name is safe in any file format: programs that extract a zip file turn such names into
/// paths.
fn is_member_name(name: &str) -> bool {
    let is_part = |part: &str| !matches!(part, "" | "." | "..");
    name != "__metadata__"
        && name.len() <= usize::from(u16::MAX) / 2
        && name.split('/').all(is_part)
        && !name.contains(|character: char| character.is_control() || matches!(character, '\\' | ':'))
}

/// The metadata by member.
fn model_info(reader: &Reader) -> Result<Extra> {
    members(&without_bare_words(reader.model_info_json())).context("the metadata is not a JSON object")
}

/// The metadata as texts: strings as they are, other values as JSON.
fn texts(reader: &Reader) -> Result<SharedTexts> {
    let is_text = |json: &str| serde_json::from_str::<String>(json).is_ok();
    let model_info = model_info(reader)?;
    let mut object = String::from("{");
    for (at, (name, json)) in model_info.iter().enumerate() {
        let json = if is_text(json) { json.into() } else { Cow::Owned(serde_json::to_string(json)?) };
        object += if at > 0 { "," } else { "" };
        object += &serde_json::to_string(name)?;
        object += ":";
        object += &json;
    }
    object += "}";
    drop(model_info);
    Ok(Arc::new(Texts::of_json(RawValue::from_string(object)?)?))
}

/// Restores the scale of values that ComfyUI saved before it had its marker. The shift of -0.0
/// keeps the sign of zeros.
const SCALED_AGAIN: Normalization = Normalization { shift: -0.0, factor: comfyui::UNSCALE };

/// Planner for files in the ecosystem's layouts.
struct Planner<'a> {
    latents: &'a [Latent],
    /// Sources whose latents are all present.
    sources: Vec<&'a SourceFile>,
    by_key: HashMap<&'a str, &'a Latent>,
    /// The latents and rows that already have a file.
    used: Used,
    /// Whether another dtype represents all values of a latent (by position), either as they are or
    /// scaled.
    fits: HashMap<(usize, Dtype, bool), bool>,
    /// Latents already reported as not restored to their original dtype.
    misfits: HashSet<usize>,
    progress: &'a Progress,
    /// The texts of files without any.
    no_texts: SharedTexts,
    plan: UnpackPlan,
}

impl<'a> Planner<'a> {
    fn new(latents: &'a [Latent], sources: &'a [SourceFile], progress: &'a Progress) -> Self {
        // Of latents that share a key, the first counts, as everywhere.
        let by_key: HashMap<_, _> =
            latents.iter().rev().filter_map(|latent| Some((latent.key()?, latent))).collect();
        let (sources, torn): (Vec<_>, Vec<_>) =
            sources.iter().partition(|source| missing(source, &by_key).is_none());
        let plan =
            UnpackPlan { files: Vec::new(), notes: note_of_torn(&torn, &by_key).into_iter().collect() };
        Self {
            latents,
            sources,
            by_key,
            used: HashSet::new(),
            fits: HashMap::new(),
            misfits: HashSet::new(),
            progress,
            no_texts: SharedTexts::default(),
            plan,
        }
    }

    /// Plans all files of a layout, or the original files.
    fn plan_layout(
        mut self,
        layout: Option<FileLayout>,
        model_info: &Extra,
        unscale: Option<Previews>,
    ) -> Result<UnpackPlan> {
        let mut wanted = self.sources.clone();
        wanted.retain(|source| layout.is_none_or(|layout| source.layout == layout));
        let names = source_names(&wanted);
        for (source, name) in wanted.iter().zip(names) {
            let file = self.file(source, &name).with_context(|| escape(&source.file).into_owned())?;
            self.plan.files.push(file);
        }
        if !wanted.is_empty() && matches!(unscale, Some(Previews::By(_))) {
            let files = count(wanted.len(), "file");
            self.plan
                .notes
                .push(format!("{files} written as packed: --unscale does not apply to their latents"));
        }
        let left = self.left();
        match layout {
            _ if left.is_empty() => {}
            None => self.rest(&left),
            Some(layout @ FileLayout::Comfyui) => {
                let texts = comfyui_texts(model_info)?;
                let unscale = Unscale::new(layout, unscale, model_info);
                self.derive(&left, layout, unscale, |unit, by| comfyui_files(unit, &texts, by))?;
            }
            Some(layout @ FileLayout::Kohya) => {
                let unscale = Unscale::new(layout, unscale, model_info);
                if self.derive(&left, layout, unscale, kohya_files)? {
                    self.plan.notes.push(SIZES_ARE_DERIVED.to_owned());
                }
            }
            Some(_) => self.plan.notes.push(format!(
                "{} skipped: only a musubi-tuner cache records the model's architecture",
                count(left.len(), "latent")
            )),
        }
        let layout = layout.map_or("any", FileLayout::name);
        let why = self.plan.notes.join("; ");
        ensure!(!self.plan.files.is_empty(), "there is nothing to write as a file of {layout}: {why}");
        Ok(self.plan)
    }

    /// Restores the file of a source.
    fn file(&mut self, source: &SourceFile, name: &str) -> Result<PlannedFile> {
        let container = container(source.layout);
        let mut names = HashSet::new();
        let mut pieces = Vec::new();
        for member in &source.arrays {
            let shown = escape(&member.name);
            ensure!(names.insert(&member.name), "two of its arrays are called {shown}");
            ensure!(
                container == Container::Npy || is_member_name(&member.name),
                "{shown} is not a valid name for an array"
            );
            pieces.push(self.piece(source, member, container)?);
        }
        let is_unmarked = source.arrays.iter().all(|member| member.name != comfyui::MARKER);
        let is_scaled =
            |piece: &Piece<PieceData>| matches!(piece.values, PieceData::Latent { unscale: Some(_), .. });
        if source.layout == FileLayout::Comfyui && is_unmarked && !pieces.iter().any(is_scaled) {
            pieces.push(marker());
        }
        ensure!(container != Container::Npy || pieces.len() == 1, "a .npy file holds only one array");
        let texts = if source.metadata.is_empty() {
            Arc::clone(&self.no_texts)
        } else {
            Arc::new(source.metadata.clone())
        };
        Ok(PlannedFile {
            path: format!("{LATENTS}/{name}"),
            container,
            pieces,
            texts,
            source: Some(source.file.clone()),
        })
    }

    /// Restores an array of a source, after checking its record against the latents.
    fn piece(
        &mut self,
        source: &SourceFile,
        member: &SourceArray,
        container: Container,
    ) -> Result<Piece<PieceData>> {
        let name = member.name.clone();
        let shape = member.shape.clone();
        let Some(key) = &member.key else {
            let values = PieceData::Bytes(member.bytes()?);
            return Ok(Piece { name, kind: member.kind()?, shape, values });
        };
        let shown = escape(key);
        let latent =
            *self.by_key.get(key.as_str()).with_context(|| format!("the file has no latent {shown}"))?;
        ensure!(
            self.used.insert((latent.index(), member.row)),
            "latent {shown} occurs in two files, or twice in one"
        );
        let of_row = latent.shape().get(usize::from(member.row.is_some())..).unwrap_or_default();
        let long = |shape: &[usize]| shape.iter().copied().filter(|axis| *axis != 1).collect::<Vec<_>>();
        ensure!(
            long(of_row) == long(&shape),
            "latent {shown} now has the shape {of_row:?}, not {shape:?}; --format npy writes it as it is"
        );
        let there = match member.kind()? {
            Type::Latent(there) => container.holds(there),
            Type::Other(_) => container.holds(latent.dtype()),
        };
        let is_scaled = member.scaled && source.layout == FileLayout::Comfyui;
        let mut unscale = is_scaled.then_some(SCALED_AGAIN);
        let mut dtype = there;
        if !self.fits(latent, there, is_scaled.then_some(comfyui::UNSCALE))? {
            (dtype, unscale) = (container.holds(latent.dtype()), None);
            if self.misfits.insert(latent.index()) {
                let file = escape(&source.file);
                let note = if is_scaled {
                    format!(
                        "latent {shown} is written unscaled as {dtype}, with {}: {file} had it \
                         scaled as {there}, which would not preserve all its values",
                        comfyui::MARKER
                    )
                } else {
                    format!(
                        "latent {shown} is written as {dtype}: {file} had {there}, which can no \
                         longer hold all its values"
                    )
                };
                self.plan.notes.push(note);
            }
        }
        let values = PieceData::Latent { latent: latent.clone(), row: member.row, unscale };
        Ok(Piece { name, kind: dtype.into(), shape, values })
    }

    /// Whether a dtype represents all values of a latent, or numbers that give them when multiplied
    /// by a factor.
    fn fits(&mut self, latent: &Latent, dtype: Dtype, multiplied_by: Option<f32>) -> Result<bool> {
        if multiplied_by.is_none() && (dtype == latent.dtype() || dtype == Dtype::F32) {
            return Ok(true);
        }
        match self.fits.entry((latent.index(), dtype, multiplied_by.is_some())) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(unknown) => {
                self.progress.extend(latent.payload_size());
                let mut fits = Fits::new(latent.dtype(), dtype, multiplied_by);
                latent.write_to(&mut self.progress.writer(&mut fits))?;
                Ok(*unknown.insert(fits.all()))
            }
        }
    }

    /// The latents that are not yet completely in files.
    fn left(&self) -> Vec<&'a Latent> {
        let mut rows: HashMap<usize, usize> = HashMap::new();
        for (index, row) in &self.used {
            if row.is_some() {
                *rows.entry(*index).or_default() += 1;
            }
        }
        let is_used = |latent: &Latent| {
            let all = latent.shape().first().copied().unwrap_or(1);
            self.used.contains(&(latent.index(), None))
                || rows.get(&latent.index()).is_some_and(|rows| *rows == all)
        };
        self.latents.iter().filter(|latent| !is_used(latent)).collect()
    }

    /// Unused file names for these keys.
    fn free_names(&self, keys: &[Option<&str>], extension: &str) -> Vec<String> {
        let taken: Vec<&str> = self.plan.files.iter().filter_map(|file| file.stem(extension)).collect();
        let all = taken.iter().copied().map(Some).chain(keys.iter().copied());
        file_names(all, extension).split_off(taken.len())
    }

    /// Plans `.npy` files for latents without a known source.
    fn rest(&mut self, left: &[&Latent]) {
        let names = self.free_names(&left.iter().map(|latent| latent.key()).collect::<Vec<_>>(), "npy");
        self.plan.files.extend(left.iter().zip(names).map(|(latent, name)| npy_file(latent, &name)));
        let latents = count(left.len(), "latent");
        self.plan.notes.push(format!("{latents} written as .npy: no source file is recorded"));
    }

    /// Plans files of a layout from latents of other origin; `files_of` makes them. Masks and
    /// similar arrays are skipped. Returns whether there are any files.
    fn derive(
        &mut self,
        left: &[&Latent],
        layout: FileLayout,
        mut unscale: Unscale,
        files_of: impl Fn(&Unit<'_>, &mut Unscale) -> Result<Vec<DerivedFile>>,
    ) -> Result<bool> {
        let mut derived: Vec<DerivedFile> = Vec::new();
        let mut companions = HashSet::new();
        let mut no_images = HashSet::new();
        let mut repeated = 0_u64;
        for unit in units(left, &self.sources, &self.used) {
            if unit.is_companion() {
                companions.insert(unit.index());
                continue;
            }
            let files = files_of(&unit, &mut unscale)?;
            if files.is_empty() {
                no_images.insert(unit.index());
            }
            repeated += files.iter().map(|file| file.repeated(&unit)).sum::<u64>();
            derived.extend(files);
            ensure!(
                self.plan.files.len() + derived.len() <= MADE_FILES,
                "more than {MADE_FILES} files would be made; --format safetensors makes only one"
            );
            ensure!(
                repeated <= REPEATED_BY_UNPACK,
                "keys, prompt and workflow would be repeated in each file, more than {} in \
                 total; --format safetensors stores them once",
                human_size(REPEATED_BY_UNPACK)
            );
        }
        for (latents, why) in [
            (companions, "they accompany other latents in files of another layout, as masks do"),
            (no_images, "they are not images of channels, height and width"),
        ] {
            if !latents.is_empty() {
                self.plan.notes.push(format!("{} skipped: {why}", count(latents.len(), "latent")));
            }
        }
        self.plan.notes.extend(unscale.notes());
        let stems: Vec<Option<&str>> = derived.iter().map(|file| file.stem.as_deref()).collect();
        let names = self.free_names(&stems, layout.extension());
        let any = !derived.is_empty();
        self.plan.files.extend(derived.into_iter().zip(names).map(
            |(DerivedFile { pieces, texts, .. }, name)| PlannedFile {
                path: format!("{LATENTS}/{name}"),
                container: container(layout),
                pieces,
                texts,
                source: None,
            },
        ));
        Ok(any)
    }
}

/// The first array of a source whose latent or row is missing.
fn missing<'s>(source: &'s SourceFile, by_key: &HashMap<&str, &Latent>) -> Option<&'s SourceArray> {
    source.latents().map(|(_, member)| member).find(|member| {
        let latent = by_key.get(member.key.as_deref().unwrap_or_default());
        latent.is_none_or(|latent| member.row.is_some_and(|row| latent.shape().first() <= Some(&row)))
    })
}

/// Notes sources that cannot be restored, if any.
fn note_of_torn(torn: &[&SourceFile], by_key: &HashMap<&str, &Latent>) -> Option<String> {
    let (first, others) = torn.split_first()?;
    let member = missing(first, by_key)?;
    let what = match member.row {
        Some(row) => format!("row {row} of latent"),
        None => "latent".to_owned(),
    };
    let key = member.key.as_deref().unwrap_or_default();
    let more = match others.len() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!("{}{more}: not restored, because {what} {key} is missing", first.file))
}

fn container(layout: FileLayout) -> Container {
    match layout {
        FileLayout::Npy => Container::Npy,
        FileLayout::Npz | FileLayout::Kohya => Container::Npz,
        FileLayout::Comfyui | FileLayout::Musubi | FileLayout::Safetensors => Container::Safetensors,
    }
}

/// File names for sources. Duplicates with the same extension are numbered.
fn source_names(sources: &[&SourceFile]) -> Vec<String> {
    let mut names = vec![String::new(); sources.len()];
    let extensions: HashSet<&str> = sources.iter().map(|source| source.layout.extension()).collect();
    for extension in extensions {
        let of_this = |source: &&SourceFile| source.layout.extension() == extension;
        let stems = sources.iter().copied().filter(of_this).map(|source| Some(source.stem()));
        let places = names.iter_mut().zip(sources).filter(|(_, source)| of_this(source));
        for ((place, _), name) in places.zip(file_names(stems, extension)) {
            *place = name;
        }
    }
    names
}
