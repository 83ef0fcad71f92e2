//! Reads a file into the page's model.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use gen5::Reader;
use gen5::chunk::{ChunkRecord, ChunkType};
use gen5::metadata::Extra;
use gen5_picture::{Clues, Previews, image_memory};
use serde::Serialize;

use super::image::embed;
use super::latents;
use super::model::{
    Content, ImagePictures, Integrity, PageRoom, ShownEnvironment, ShownFile, ShownImage, ShownLatent,
    ShownMetadata,
};
use super::text::{shown_size, value};
use crate::budget::{PICTURES_BESIDE_OTHERS, Shared};
use crate::convert::layouts::SourceFile;
use crate::failure::Status;
use crate::interrupt;
use crate::output::environment::SortedDrift;
use crate::progress::FileShare;
use crate::terminal::shown;
use crate::unknown;

/// Maximum number of latents of a file whose values are shown.
const MAX_LATENTS: usize = 100;

/// Maximum number of errors reported for one file.
const MAX_FAILURES: usize = 100;

/// Maximum number of members, tags and latents listed.
const MAX_LISTED: usize = 1000;

/// Maximum size of an environment that is shown, in bytes.
const MAX_ENVIRONMENT: u64 = 256 << 10;

/// The settings for reading files.
pub(crate) struct Reading<'a> {
    /// The environment to compare with.
    pub(crate) machine: Option<&'a gen5::Environment>,
    /// Whether to check hashes.
    pub(crate) verify: bool,
    /// Whether each file has a card.
    pub(crate) with_card: bool,
    /// Bytes of the page for each file, in addition to its fixed parts.
    pub(crate) room: usize,
    /// The previews of latents.
    pub(crate) previews: Previews,
    /// Memory for images decoded at the same time: files are read in parallel.
    pub(crate) images: Shared,
}

/// An error of a file, which the page also shows.
pub(crate) struct Failure {
    pub(crate) message: String,
    pub(crate) status: Status,
}

/// Errors of damaged chunks by position.
type Damage = BTreeMap<usize, String>;

impl Reading<'_> {
    /// The number of passes over a file.
    pub(crate) fn passes(&self) -> u64 {
        if self.verify { 2 } else { 1 }
    }

    /// Whether the file's pictures take so much memory that it should be read alone.
    pub(crate) fn is_for_alone(&self, reader: &Reader) -> bool {
        let clues = Clues::of(reader, SourceFile::origins);
        let memory = |latent: gen5::Latent| latents::memory_for(&latent, clues.hints(&latent));
        reader.latents().take(MAX_LATENTS).any(|latent| memory(latent) > PICTURES_BESIDE_OTHERS)
    }

    /// Reads as much as possible of an open file. Its share of the progress covers one pass.
    ///
    /// # Errors
    ///
    /// If a signal has arrived.
    pub(crate) fn file(
        &self,
        path: &Path,
        opened: anyhow::Result<Reader>,
        share: &FileShare<'_>,
    ) -> io::Result<(ShownFile, Vec<Failure>)> {
        let mut failures = Vec::new();
        let mut count = 0;
        let mut fail = |error: &gen5::Error| {
            let message = match error {
                gen5::Error::Io { .. } => format!("{error:#}"),
                _ => format!("{}: {error:#}", shown(path)),
            };
            count += 1;
            if count <= MAX_FAILURES {
                failures.push(Failure { message, status: Status::of_library(error) });
            }
            format!("{error:#}")
        };
        let content = match opened {
            Ok(reader) => Ok(self.content(&reader, share, &mut fail)?),
            Err(error) => {
                failures.push(Failure { message: format!("{error:#}"), status: Status::of(&error) });
                // The path is shown above it.
                let of_library = error.downcast_ref::<gen5::Error>().map(|error| format!("{error:#}"));
                Err(of_library.unwrap_or_else(|| error.root_cause().to_string()))
            }
        };
        if let (more @ 1.., Some(last)) = (count.saturating_sub(MAX_FAILURES), failures.last()) {
            let message = format!("{}: {more} more are damaged", shown(path));
            failures.push(Failure { message, status: last.status });
        }
        Ok((ShownFile { path: path.to_owned(), content }, failures))
    }

    /// The contents of a file. `fail` receives errors and returns their text.
    fn content(
        &self,
        reader: &Reader,
        share: &FileShare<'_>,
        fail: &mut dyn FnMut(&gen5::Error) -> String,
    ) -> io::Result<Content> {
        let damage = if self.verify { Some(damage(reader, share, fail)?) } else { None };
        let mut room = PageRoom::new(self.room);
        let unknown = unknown::describe(reader);
        let mut problems: Vec<String> =
            unknown.into_iter().map(|what| format!("{what}, not shown.")).collect();
        let stored = reader.metadata();
        let mut metadata = metadata(reader, stored.as_ref(), &mut room, &mut problems);
        let environment = self.environment(reader, &mut problems).unwrap_or_else(|error| {
            problems.push(fail(&error));
            ShownEnvironment { components: None, drift: None }
        });
        let file =
            OpenFile { reader, clues: Clues::of(reader, SourceFile::origins), damage: damage.as_ref() };
        let image = self.image(&file, &mut room, fail);
        let mut latents = keep(reader.latents(), "latents", |_| 0, &mut room, &mut problems)
            .iter()
            .map(latents::describe)
            .collect::<Vec<_>>();
        self.values(&file, &mut room, share, fail, &mut latents)?;
        if let Ok(stored) = &stored {
            let extra = stored.model_info().extra.iter();
            metadata.extra = keep(extra, "further members", size_of_member, &mut room, &mut problems)
                .into_iter()
                .map(|(name, json)| (name.to_owned(), json.to_owned()))
                .collect();
        }
        Ok(Content {
            version: reader.version(),
            size: reader.file_size(),
            chunks: reader.chunks().len(),
            fingerprint: reader.fingerprint().map(|digest| digest.to_string()),
            integrity: match damage {
                None => Integrity::Unchecked,
                Some(damage) if damage.is_empty() => Integrity::Verified,
                Some(damage) => {
                    let more = damage.len().saturating_sub(MAX_FAILURES);
                    let mut failures: Vec<String> = damage.into_values().take(MAX_FAILURES).collect();
                    failures.extend((more > 0).then(|| format!("{more} more are damaged.")));
                    Integrity::Damaged(failures)
                }
            },
            metadata,
            image,
            latents,
            environment,
            problems,
        })
    }

    fn image(
        &self,
        file: &OpenFile<'_>,
        room: &mut PageRoom,
        fail: &mut dyn FnMut(&gen5::Error) -> String,
    ) -> Option<ShownImage> {
        let record = file.reader.chunks().iter().find(|record| record.kind() == ChunkType::IMAGE)?;
        let mut image = ShownImage {
            media_type: None,
            size: record.payload_size(),
            embedded: Ok(ImagePictures::default()),
        };
        let _taken = self.images.take(image_memory(file.clues.image(), image.size));
        image.embedded = match (file.damage_of(record.index()), file.reader.image()) {
            (Some(damage), _) => Err(damage.to_owned()),
            (None, Err(error)) => Err(fail(&error)),
            (None, Ok(encoded)) => {
                let encoded = encoded.unwrap_or_default();
                image.media_type = infer::get(&encoded).map(|kind| kind.mime_type());
                embed(&encoded, self.with_card, room).map_err(|error| error.to_string())
            }
        };
        Some(image)
    }

    /// Scans the first latents.
    fn values(
        &self,
        file: &OpenFile<'_>,
        room: &mut PageRoom,
        share: &FileShare<'_>,
        fail: &mut dyn FnMut(&gen5::Error) -> String,
        described: &mut [ShownLatent],
    ) -> io::Result<()> {
        let looked_at = || file.reader.latents().take(MAX_LATENTS);
        let done = share.of(looked_at().map(|latent| latent.payload_size()).sum());
        for (latent, described) in looked_at().zip(described) {
            let is_damaged = latent.chunks().any(|chunk| file.damage_of(chunk.index()).is_some());
            described.values = if is_damaged {
                Err("damaged, and not shown".into())
            } else {
                let values = latents::values(&latent, file.clues.hints(&latent), self.previews, room);
                interrupt::check()?;
                values.map_err(|error| fail(&error))
            };
            done(latent.payload_size());
        }
        Ok(())
    }

    fn environment(&self, reader: &Reader, problems: &mut Vec<String>) -> gen5::Result<ShownEnvironment> {
        let environment = reader.environment()?;
        let records = reader.chunks().iter().filter(|record| record.kind() == ChunkType::ENVIRONMENT);
        if records.map(ChunkRecord::payload_size).sum::<u64>() > MAX_ENVIRONMENT {
            problems.push("The environment is too long for a page; gen5 info --json shows it.".into());
            return Ok(ShownEnvironment { components: None, drift: None });
        }
        let compared = environment.as_ref().zip(self.machine);
        Ok(ShownEnvironment {
            drift: compared.map(|(file, machine)| SortedDrift::with_machine(file, machine)),
            components: environment.map(|environment| environment.components().to_vec()),
        })
    }
}

/// A file that is being read.
struct OpenFile<'a> {
    reader: &'a Reader,
    clues: Clues,
    /// Its damaged chunks, if hashes were checked.
    damage: Option<&'a Damage>,
}

impl OpenFile<'_> {
    /// What is wrong with a chunk.
    fn damage_of(&self, chunk: usize) -> Option<&str> {
        self.damage?.get(&chunk).map(String::as_str)
    }
}

/// Checks all hashes.
fn damage(
    reader: &Reader,
    share: &FileShare<'_>,
    fail: &mut dyn FnMut(&gen5::Error) -> String,
) -> io::Result<Damage> {
    let report = reader.verify_chunks(share.of(reader.chunks().iter().map(ChunkRecord::payload_size).sum()));
    // Chunks left unchecked because of a signal are not damaged.
    interrupt::check()?;
    // Read errors are reported in the same place.
    let chunks = report.chunks().iter();
    Ok(chunks.filter_map(|chunk| Some((chunk.index, fail(chunk.error.as_ref()?)))).collect())
}

/// The items of a list that fit into the room and the limit.
fn keep<T>(
    list: impl Iterator<Item = T>,
    what: &str,
    size: impl Fn(&T) -> usize,
    room: &mut PageRoom,
    problems: &mut Vec<String>,
) -> Vec<T> {
    let mut kept = Vec::new();
    let mut all = 0_usize;
    for one in list {
        all += 1;
        if kept.len() < MAX_LISTED && room.take_bytes(size(&one)) {
            kept.push(one);
        }
    }
    if kept.len() < all {
        problems.push(format!(
            "There is room for {} of {all} {what} on this page; gen5 info --json shows all.",
            kept.len()
        ));
    }
    kept
}

fn size_of_member((name, value): &(&str, &str)) -> usize {
    shown_size(name) + shown_size(value)
}

/// The metadata as the page shows it, without further members.
fn metadata(
    reader: &Reader,
    stored: Result<&gen5::Metadata, &gen5::Error>,
    room: &mut PageRoom,
    problems: &mut Vec<String>,
) -> ShownMetadata {
    let model = match stored {
        Ok(metadata) => metadata.model_info(),
        Err(error) => {
            let raw = Some((format!("{error:#}"), room.excerpt(reader.model_info_json())));
            return ShownMetadata { raw, ..ShownMetadata::default() };
        }
    };
    let mut members = |object: Option<Extra>, what| -> Vec<(String, String)> {
        let object = object.unwrap_or_default();
        let kept = keep(object.iter(), what, size_of_member, room, problems).into_iter();
        kept.map(|(name, json)| (name.to_owned(), value(json))).collect()
    };
    let settings = members(model.generation_settings.as_ref().map(extra), "settings");
    let hardware = members(model.hardware_info.as_ref().map(extra), "members of hardware_info");
    let tags = keep(model.tags.iter(), "tags", |tag| shown_size(tag), room, problems);
    ShownMetadata {
        model: room.excerpt(&model.model_name),
        version: room.excerpt(&model.version),
        date: room.excerpt(&model.date),
        prompt: room.excerpt(&model.prompt),
        tags: tags.into_iter().cloned().collect(),
        settings,
        hardware,
        extra: Vec::new(),
        raw: None,
    }
}

/// The members of an object, in the order of the schema.
fn extra(object: &impl Serialize) -> Extra {
    let members = serde_json::to_string(object).and_then(|text| serde_json::from_str(&text));
    members.unwrap_or_default()
}
