//! The members of one record, and the checks that need no other record.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::TableContext;
use super::extra::Extra;
use super::json::{Count, Text};
use super::record::{ChunkRecord, LatentRecord, Part};
use crate::element::Dtype;
use crate::error::{Error, Place, Result};
use crate::excerpt::{quote, shorten, shorten_error};
use crate::limits::Limits;
use crate::wire::{CHUNK_HEADER_SIZE, ChunkType, FILE_HEADER_SIZE, Version};

/// The typed members of a record that is not checked yet.
pub(crate) struct Claims<'a> {
    pub(crate) index: u64,
    pub(crate) kind: Cow<'a, str>,
    pub(crate) flags: Cow<'a, str>,
    pub(crate) offset: u64,
    pub(crate) stored_size: u64,
    pub(crate) payload_size: u64,
    pub(crate) hash: Cow<'a, str>,
    pub(crate) compressed: bool,
    /// The members of `extra` that were parsed as members of a latent's record.
    pub(crate) latent: LatentMembers<'a>,
    /// The other members of `extra`.
    pub(crate) extra: ExtraMembers<'a>,
    pub(crate) unknown: Extra,
}

/// Members of `extra` that are not parsed yet.
#[derive(Default)]
pub(crate) struct ExtraMembers<'a> {
    /// Those that have a meaning in a latent's record.
    known: Vec<(&'static str, &'a RawValue)>,
    /// The others, with `null` in the place of each known member.
    others: Extra,
}

impl<'a> ExtraMembers<'a> {
    pub(crate) fn push(&mut self, name: &str, value: &'a RawValue) {
        match MEANINGFUL.into_iter().find(|known| *known == name) {
            Some(known) => {
                self.known.push((known, value));
                self.others.push(name, "null");
            }
            None => self.others.push(name, value.get()),
        }
    }

    /// Returns an error for duplicate names, after all members were read.
    pub(crate) fn complete<E: de::Error>(self) -> Result<Self, E> {
        Ok(Self { others: self.others.complete()?, ..self })
    }
}

/// The members of `extra` that have a meaning in a latent's record.
const MEANINGFUL: [&str; 4] = ["shape", "dtype", "key", "part"];

/// The largest payload of a compressed chunk, and of any chunk in version 1.0: a chunk header
/// cannot express a larger size.
const MAX_PAYLOAD: u64 = u32::MAX as u64;

/// Returns `text` as the four bytes of a tag, padded with NUL.
fn parse_tag(text: &str) -> Option<[u8; 4]> {
    let mut tag = [0; 4];
    tag.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
    Some(tag)
}

impl Claims<'_> {
    /// Performs all checks of the record at `position` that need no other record.
    pub(crate) fn check(self, position: usize, file: &TableContext<'_>) -> Result<ChunkRecord> {
        let at = || Place::Chunk { index: position, offset: Some(self.offset), kind: None, key: None };
        let refuse = |member: &str, expected: String, found: String| {
            Err(Error::Value { place: at(), member: member.into(), expected, found })
        };
        if self.index != position as u64 {
            return refuse("index", position.to_string(), self.index.to_string());
        }
        let Some(kind) = parse_tag(&self.kind).filter(|_| self.kind.len() == 4).map(ChunkType) else {
            return refuse("type", "four characters".into(), quote(&self.kind));
        };
        let Some(flags) = parse_tag(&self.flags) else {
            return refuse("flags", "at most four characters".into(), quote(&self.flags));
        };
        let Ok(sha256) = self.hash.parse() else {
            let expected = "a SHA-256, 64 hexadecimal digits";
            return refuse("hash", expected.into(), quote(&self.hash));
        };
        self.check_sizes(kind, file, &at)?;

        let mut record = ChunkRecord::new(kind, flags);
        record.index = position;
        record.offset = self.offset;
        record.stored_size = self.stored_size;
        record.payload_size = self.payload_size;
        record.compressed = self.compressed;
        record.sha256 = sha256;
        record.unknown = self.unknown;
        let mut members = self.latent;
        let ExtraMembers { known, others: mut extra } = self.extra;
        for (name, value) in known {
            if kind == ChunkType::LATENT && members.claim(name, value, &record, file.limits)? {
                extra.discard(name);
            } else {
                extra.put(name, value.get());
            }
        }
        record.extra = extra;
        if kind == ChunkType::LATENT {
            record.latent = Some(members.check(&record, file.version)?);
        }
        Ok(record)
    }

    /// Checks that the chunk lies between the file header and the table, and that its sizes are
    /// consistent.
    fn check_sizes(&self, kind: ChunkType, file: &TableContext<'_>, at: &dyn Fn() -> Place) -> Result<()> {
        let refuse = |member: &str, expected: String, found: String| {
            Err(Error::Value { place: at(), member: member.into(), expected, found })
        };
        let end = self.offset.checked_add(self.stored_size);
        if self.offset < FILE_HEADER_SIZE || end.is_none_or(|end| end > file.offset) {
            return refuse(
                "offset",
                format!("a chunk between the file header (32) and the chunk table ({})", file.offset),
                format!("{} with a size of {}", self.offset, self.stored_size),
            );
        }
        if self.stored_size < CHUNK_HEADER_SIZE {
            return refuse("compressed_size", "at least 12".into(), self.stored_size.to_string());
        }
        // For larger chunks, only the record has the size, and only if they are raw.
        let may_be_larger = !self.compressed && file.version >= Version::V1_1;
        if self.payload_size > MAX_PAYLOAD && !may_be_larger {
            let expected =
                format!("at most {MAX_PAYLOAD}, the largest size that its chunk header can express");
            return refuse("uncompressed_size", expected, self.payload_size.to_string());
        }
        let whole = self.payload_size.saturating_add(CHUNK_HEADER_SIZE);
        if !self.compressed && whole != self.stored_size {
            let expected = format!("{whole} (12 more than the payload, since the chunk is raw)");
            return refuse("compressed_size", expected, self.stored_size.to_string());
        }
        // The sizes of image and environment are checked when they are read, so that they cannot
        // make the latents unreadable.
        let is_aside = matches!(kind, ChunkType::IMAGE | ChunkType::ENVIRONMENT);
        if self.compressed && !is_aside && self.payload_size > file.limits.chunk_bytes {
            let limit = file.limits.chunk_bytes;
            return Err(Error::limit(at(), "chunk_bytes", "bytes", limit, self.payload_size));
        }
        Ok(())
    }
}

/// The members of a latent's `extra` that have a meaning.
#[derive(Default)]
pub(crate) struct LatentMembers<'a> {
    pub(crate) key: Option<String>,
    pub(crate) dtype: Option<Cow<'a, str>>,
    pub(crate) shape: Option<Vec<usize>>,
    part: Option<Box<Part>>,
}

/// A description of valid shapes for error messages.
const SHAPE: &str = "a list of axis lengths: integers of 0 or more that memory can address";

impl<'a> LatentMembers<'a> {
    /// Takes the member if it is one of these, and returns whether it is.
    fn claim(
        &mut self,
        name: &str,
        value: &'a RawValue,
        record: &ChunkRecord,
        limits: &Limits,
    ) -> Result<bool> {
        let text = value.get();
        match name {
            "shape" => self.shape = Some(parse_shape(text, "extra.shape", record, limits)?),
            "dtype" => match serde_json::from_str::<Text<'a>>(text) {
                Ok(dtype) => self.dtype = Some(dtype.0),
                Err(_) => return Err(refuse(record, "extra.dtype", "a string", text)),
            },
            "key" => match serde_json::from_str(text) {
                Ok(key) => self.key = Some(key),
                Err(_) => return Ok(false),
            },
            "part" if text.starts_with('{') => self.part = Some(Box::new(parse_part(text, record, limits)?)),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn check(self, record: &ChunkRecord, version: Version) -> Result<LatentRecord> {
        let flags = || record.flags.escape_ascii().to_string();
        let Some((dtype, shuffled)) = Dtype::from_flags(record.flags) else {
            let expected = "F16, BF16, F32, F16S, B16S or F32S (others need a newer version of GEN5)";
            return Err(refuse(record, "flags", expected, &flags()));
        };
        if version < Version::V1_1 && dtype.needs_1_1(shuffled) {
            let expected = "F16 or F32, because bfloat16 and byte shuffle need version 1.1, and the file \
                 has version 1.0";
            return Err(refuse(record, "flags", expected, &flags()));
        }
        if shuffled && !record.compressed {
            return Err(refuse(
                record,
                "flags",
                "flags without byte shuffle, because the chunk is \
                raw",
                &flags(),
            ));
        }
        match &self.dtype {
            Some(name) if name == dtype.name() => {}
            Some(name) => return Err(refuse(record, "extra.dtype", dtype.name(), &quote(name))),
            None => return Err(refuse(record, "extra.dtype", dtype.name(), "missing")),
        }
        let Some(shape) = self.shape else { return Err(refuse(record, "extra.shape", SHAPE, "missing")) };
        if dtype.size_of_array(&shape) != Some(record.payload_size) {
            let expected = format!("a shape of {} bytes of {dtype}", record.payload_size);
            return Err(refuse(record, "extra.shape", &expected, &format!("{shape:?}")));
        }
        Ok(LatentRecord { key: self.key, dtype, shuffled, shape, part: self.part })
    }
}

fn refuse(record: &ChunkRecord, member: &str, expected: &str, found: &str) -> Error {
    let found = shorten(found);
    Error::Value { place: record.place(), member: member.into(), expected: expected.into(), found }
}

fn parse_shape(text: &str, member: &str, record: &ChunkRecord, limits: &Limits) -> Result<Vec<usize>> {
    let most = usize::try_from(limits.rank).unwrap_or(usize::MAX);
    let mut parser = serde_json::Deserializer::from_str(text);
    let axes = (ShapeWithin { most }).deserialize(&mut parser).and_then(|axes| parser.end().map(|()| axes));
    match axes {
        Ok((axes, rank)) if rank <= limits.rank => Ok(axes),
        Ok((_, found)) => Err(Error::limit(record.place(), "rank", "axes", limits.rank, found)),
        Err(_) => Err(refuse(record, member, SHAPE, text)),
    }
}

/// Reads a list of axis lengths, keeps the first `most`, and counts all of them.
pub(crate) struct ShapeWithin {
    pub(crate) most: usize,
}

impl<'de> DeserializeSeed<'de> for ShapeWithin {
    type Value = (Vec<usize>, u64);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ShapeWithin {
    type Value = (Vec<usize>, u64);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SHAPE)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut axes = Vec::new();
        let mut rank = 0;
        while let Some(axis) = list.next_element::<Count>()? {
            rank += 1;
            if axes.len() < self.most {
                axes.push(axis.to_usize()?);
            }
        }
        Ok((axes, rank))
    }
}

fn parse_part(text: &str, record: &ChunkRecord, limits: &Limits) -> Result<Part> {
    #[derive(serde::Deserialize)]
    struct Members<'a> {
        of: String,
        index: Count,
        count: Count,
        axis: Count,
        start: Count,
        #[serde(borrow)]
        shape: &'a RawValue,
    }
    let malformed = |error: serde_json::Error| {
        let expected = "a part: of, index, count, axis, start, shape";
        refuse(record, "extra.part", expected, &shorten_error(&error))
    };
    let members: Members<'_> = serde_json::from_str(text).map_err(malformed)?;
    Ok(Part {
        of: members.of,
        index: members.index.to_usize().map_err(malformed)?,
        count: members.count.to_usize().map_err(malformed)?,
        axis: members.axis.to_usize().map_err(malformed)?,
        start: members.start.to_usize().map_err(malformed)?,
        shape: parse_shape(members.shape.get(), "extra.part.shape", record, limits)?,
    })
}
