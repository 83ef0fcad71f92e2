//! Reads the manifest: parses its text into records in one pass. The number of records is checked
//! before they are kept. `write` has the other direction.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::ops::Range;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::TableContext;
use super::claims::{Claims, ExtraMembers, LatentMembers, ShapeWithin};
use super::extra::Extra;
use super::json::{Count, Name, Text, neutralize_non_numbers};
use super::locate::offset_of_record;
use super::record::ChunkRecord;
use crate::error::{Error, Place, Result};
use crate::excerpt::{quote, shorten, shorten_error};
use crate::wire::ChunkType;

/// The manifest, parsed as far as needed to find the chunks.
pub(crate) struct Manifest {
    /// The whole text, as stored.
    pub(crate) text: String,
    /// The range of the value of `model_info` in the text.
    pub(crate) model_info: Range<usize>,
    /// The records, in table order.
    pub(crate) records: Vec<ChunkRecord>,
}

impl Manifest {
    /// Parses the manifest and checks each record individually.
    pub(crate) fn parse(text: Vec<u8>, context: &TableContext<'_>) -> Result<Self> {
        let place = Place::Table { offset: context.offset };
        let text = String::from_utf8(text).map_err(|error| Error::Json {
            place: place.clone(),
            problem: format!("the manifest is not UTF-8 from byte {} on", error.utf8_error().valid_up_to()),
        })?;
        let parsed = Pass::new(context, Care::Quick, &text, &text).run().or_else(|quick| {
            // After a failure, the text is parsed again for a precise error. The first error, which
            // may be as long as the text, is dropped before that.
            drop(quick);
            match Pass::new(context, Care::Thorough, &text, &text).run() {
                // Only a syntax error can be due to NaN or infinity.
                Err(error) if matches!(error, Error::Json { .. }) => match neutralize_non_numbers(&text) {
                    Some(clean) => Pass::new(context, Care::Thorough, &clean, &text).run(),
                    None => Err(error),
                },
                result => result,
            }
        });
        let (model_info, records) = parsed?;
        Ok(Self { text, model_info, records })
    }

    /// Returns the text of `model_info`.
    pub(crate) fn model_info_json(&self) -> &str {
        self.text.get(self.model_info.clone()).unwrap_or_default()
    }

    /// Returns the text before `model_info` and the text after it.
    pub(crate) fn around_model_info(&self) -> (&str, &str) {
        let before = self.text.get(..self.model_info.start).unwrap_or_default();
        (before, self.text.get(self.model_info.end..).unwrap_or_default())
    }
}

/// How the members of a latent's `extra` are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Care {
    /// Directly as their types. Errors have little detail.
    Quick,
    /// As text first, which is twice the work but lets an error show the text.
    Thorough,
}

/// One pass over the text. It tracks the position for error messages.
struct Pass<'c> {
    context: &'c TableContext<'c>,
    care: Care,
    /// The parsed text.
    text: &'c str,
    /// The stored text: the same, except for tokens that are not JSON.
    stored: &'c str,
    record: Cell<Option<(usize, Option<u64>)>>,
    member: Cell<Option<&'static str>>,
    /// An error with more detail than the parser's own errors can carry.
    refusal: RefCell<Option<Error>>,
}

type Parsed = (Range<usize>, Vec<ChunkRecord>);

impl<'c> Pass<'c> {
    fn new(context: &'c TableContext<'c>, care: Care, text: &'c str, stored: &'c str) -> Self {
        let (record, member, refusal) = Default::default();
        Self { context, care, text, stored, record, member, refusal }
    }

    /// Returns the range of a parsed value in the text.
    fn range(&self, value: &RawValue) -> Range<usize> {
        // The value is a slice of the text, so its position is the difference of their addresses.
        let start = value.get().as_ptr().addr() - self.text.as_ptr().addr();
        start..start + value.get().len()
    }

    /// Returns whether a value is stored as it was parsed: no token in it was replaced.
    fn is_as_stored(&self, value: &RawValue) -> bool {
        self.stored.as_ptr() == self.text.as_ptr() || self.stored.get(self.range(value)) == Some(value.get())
    }

    /// Returns an error for a value in which a token was replaced, because every value of a record
    /// must be valid.
    fn refuse_replaced<E: de::Error>(
        &self,
        member: impl FnOnce() -> String,
        value: &RawValue,
    ) -> Result<(), E> {
        if self.is_as_stored(value) {
            return Ok(());
        }
        Err(self.refuse_value(&member(), "valid JSON".into(), NOT_JSON.into()))
    }

    fn run(&self) -> Result<Parsed> {
        let mut deserializer = serde_json::Deserializer::from_str(self.text);
        let parsed = (Root { pass: self })
            .deserialize(&mut deserializer)
            .and_then(|parsed| deserializer.end().map(|()| parsed));
        parsed.map_err(|error| match self.refusal.take() {
            Some(refusal) => refusal,
            None => Error::Json {
                place: self.place(),
                problem: match self.member.get() {
                    Some(member) => format!("{member}: {}", shorten_error(&error)),
                    None => shorten_error(&error),
                },
            },
        })
    }

    fn place(&self) -> Place {
        match self.record.get() {
            Some((index, offset)) => {
                let offset = offset.or_else(|| match self.care {
                    Care::Quick => None,
                    Care::Thorough => offset_of_record(self.text, index),
                });
                Place::Chunk { index, offset, kind: None, key: None }
            }
            None => Place::Table { offset: self.context.offset },
        }
    }

    /// Stops the parser and returns `error` to the caller.
    fn refuse<E: de::Error>(&self, error: Error) -> E {
        self.refusal.replace(Some(error));
        E::custom("refused")
    }

    fn refuse_value<E: de::Error>(&self, member: &str, expected: String, found: String) -> E {
        self.refuse(Error::Value { place: self.place(), member: shorten(member), expected, found })
    }

    /// Reads the value of a member that must not be duplicate.
    fn once<'de, T: de::Deserialize<'de>, A: MapAccess<'de>>(
        &self,
        slot: &mut Option<T>,
        name: &'static str,
        map: &mut A,
    ) -> Result<(), A::Error> {
        self.member.set(Some(name));
        if slot.is_some() {
            return Err(de::Error::duplicate_field(name));
        }
        *slot = Some(map.next_value()?);
        self.member.set(None);
        Ok(())
    }
}

fn required<T, E: de::Error>(slot: Option<T>, name: &'static str) -> Result<T, E> {
    slot.ok_or_else(|| E::missing_field(name))
}

/// The outermost object.
struct Root<'p> {
    pass: &'p Pass<'p>,
}

/// The value of `gen5_metadata`.
struct Body<'p> {
    pass: &'p Pass<'p>,
}

/// The value of `file_info`.
struct FileInfo<'p> {
    pass: &'p Pass<'p>,
}

/// The list of records.
struct Records<'p> {
    pass: &'p Pass<'p>,
}

/// One record.
struct Record<'p> {
    pass: &'p Pass<'p>,
}

/// Makes each of these types a seed that reads one JSON object or list, as its own visitor.
macro_rules! seeds {
    ($($seed:ident => $method:ident;)*) => {$(
        impl<'de> DeserializeSeed<'de> for $seed<'_> {
            type Value = <Self as Visitor<'de>>::Value;

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
                deserializer.$method(self)
            }
        }
    )*};
}

seeds! {
    Root => deserialize_map;
    Body => deserialize_map;
    FileInfo => deserialize_map;
    Records => deserialize_seq;
    Record => deserialize_map;
    LatentExtra => deserialize_map;
    OtherExtra => deserialize_map;
}

impl<'de> Visitor<'de> for Root<'_> {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the manifest, an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let mut parsed = None;
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                b"gen5_metadata" if parsed.is_some() => {
                    return Err(de::Error::duplicate_field("gen5_metadata"));
                }
                b"gen5_metadata" => {
                    parsed = Some(map.next_value_seed(Body { pass: self.pass })?);
                }
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        required(parsed, "gen5_metadata")
    }
}

impl<'de> Visitor<'de> for Body<'_> {
    type Value = Parsed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("gen5_metadata, an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let mut model_info = None;
        let mut count = None;
        let mut records = None;
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                b"model_info" => self.pass.once::<&RawValue, _>(&mut model_info, "model_info", &mut map)?,
                b"file_info" if count.is_some() => return Err(de::Error::duplicate_field("file_info")),
                b"file_info" => count = Some(map.next_value_seed(FileInfo { pass: self.pass })?),
                b"chunks" if records.is_some() => return Err(de::Error::duplicate_field("chunks")),
                b"chunks" => records = Some(map.next_value_seed(Records { pass: self.pass })?),
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        let model_info = required(model_info, "model_info")?;
        let count = required(count, "file_info")?;
        let records = required(records, "chunks")?;
        if count != records.len() as u64 {
            return Err(self.pass.refuse_value(
                "file_info.chunk_count",
                records.len().to_string(),
                count.to_string(),
            ));
        }
        if !model_info.get().starts_with('{') {
            let found = shorten(model_info.get());
            return Err(self.pass.refuse_value("model_info", "an object".into(), found));
        }
        Ok((self.pass.range(model_info), records))
    }
}

impl<'de> Visitor<'de> for FileInfo<'_> {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("file_info, an object")
    }

    /// Checks the values against the file header and returns `chunk_count`, which must match the
    /// number of records.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        let mut magic = None;
        let mut major = None;
        let mut minor = None;
        let mut size = None;
        let mut count = None;
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                b"magic" => self.pass.once::<Text<'_>, _>(&mut magic, "file_info.magic", &mut map)?,
                b"version_major" => self.pass.once(&mut major, "file_info.version_major", &mut map)?,
                b"version_minor" => self.pass.once(&mut minor, "file_info.version_minor", &mut map)?,
                // The reference implementation computes it too early, so it is ignored.
                b"file_size" => {
                    self.pass.once::<IgnoredAny, _>(&mut size, "file_info.file_size", &mut map)?;
                }
                b"chunk_count" => self.pass.once(&mut count, "file_info.chunk_count", &mut map)?,
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        required(size, "file_info.file_size")?;
        let Text(magic) = required(magic, "file_info.magic")?;
        if magic != "GEN5" {
            return Err(self.pass.refuse_value("file_info.magic", "\"GEN5\"".into(), quote(&magic)));
        }
        let version = self.pass.context.version;
        for (name, claimed, actual) in [
            ("file_info.version_major", major, version.major),
            ("file_info.version_minor", minor, version.minor),
        ] {
            let Count(claimed) = required(claimed, name)?;
            if claimed != u64::from(actual) {
                let expected = format!("{actual}, as in the file header");
                return Err(self.pass.refuse_value(name, expected, claimed.to_string()));
            }
        }
        let Count(count) = required(count, "file_info.chunk_count")?;
        Ok(count)
    }
}

impl<'de> Visitor<'de> for Records<'_> {
    type Value = Vec<ChunkRecord>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("chunks, a list of records")
    }

    /// Stops as soon as there are more records than the file header declares. The limits bound that
    /// number.
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<ChunkRecord>, A::Error> {
        let chunk_count = self.pass.context.chunk_count;
        // The declared number of records, or fewer if the text is too short for them.
        let most =
            usize::try_from(chunk_count).unwrap_or(usize::MAX).min(self.pass.text.len() / SHORTEST_RECORD);
        let mut records = Vec::with_capacity(most);
        loop {
            self.pass.record.set(Some((records.len(), None)));
            let Some(claims) = list.next_element_seed(Record { pass: self.pass })? else { break };
            if records.len() as u64 == chunk_count {
                self.pass.record.set(None);
                return Err(self.pass.refuse_value(
                    "chunks",
                    format!("{chunk_count} records"),
                    "more".into(),
                ));
            }
            match claims.check(records.len(), self.pass.context) {
                Ok(record) => records.push(record),
                Err(error) => return Err(self.pass.refuse(error)),
            }
        }
        self.pass.record.set(None);
        if records.len() as u64 != chunk_count {
            return Err(self.pass.refuse_value(
                "chunks",
                format!("{chunk_count} records"),
                records.len().to_string(),
            ));
        }
        Ok(records)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = Claims<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record, an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Claims<'de>, A::Error> {
        let pass = self.pass;
        let mut index = None;
        let mut offset = None;
        let mut stored_size = None;
        let mut payload_size = None;
        let mut kind = None;
        let mut flags = None;
        let mut hash = None;
        let mut latent = None;
        let mut extra = None;
        let mut compressed = None;
        let mut unknown = Extra::new();
        while let Some(Text(name)) = map.next_key()? {
            match &*name {
                "index" => pass.once(&mut index, "index", &mut map)?,
                "type" => pass.once(&mut kind, "type", &mut map)?,
                "flags" => pass.once(&mut flags, "flags", &mut map)?,
                "offset" => {
                    pass.once(&mut offset, "offset", &mut map)?;
                    let known = offset.map(|Count(offset)| offset);
                    pass.record.set(pass.record.get().map(|(index, _)| (index, known)));
                }
                "compressed_size" => pass.once(&mut stored_size, "compressed_size", &mut map)?,
                "uncompressed_size" => pass.once(&mut payload_size, "uncompressed_size", &mut map)?,
                "hash" => pass.once(&mut hash, "hash", &mut map)?,
                "extra" => {
                    pass.member.set(Some("extra"));
                    if extra.is_some() {
                        return Err(de::Error::duplicate_field("extra"));
                    }
                    if is_latent(&kind) && pass.care == Care::Quick {
                        let (known, others) = map.next_value_seed(LatentExtra { pass })?;
                        (latent, extra) = (Some(known), Some(others));
                    } else {
                        extra = Some(map.next_value_seed(OtherExtra { pass })?);
                    }
                    pass.member.set(None);
                }
                "compressed" => pass.once(&mut compressed, "compressed", &mut map)?,
                _ => {
                    let value: &RawValue = map.next_value()?;
                    pass.refuse_replaced(|| name.to_string(), value)?;
                    unknown.push(&name, value.get());
                }
            }
        }
        let extra = required(extra, "extra")?;
        let integer = |slot: Option<Count>, name| required(slot, name).map(|Count(value)| value);
        let text = |slot: Option<Text<'de>>, name| required(slot, name).map(|Text(text)| text);
        Ok(Claims {
            index: integer(index, "index")?,
            kind: text(kind, "type")?,
            flags: text(flags, "flags")?,
            offset: integer(offset, "offset")?,
            stored_size: integer(stored_size, "compressed_size")?,
            payload_size: integer(payload_size, "uncompressed_size")?,
            hash: text(hash, "hash")?,
            latent: latent.unwrap_or_default(),
            extra,
            // As in the reference implementation, a chunk is compressed unless its record says
            // otherwise.
            compressed: compressed.unwrap_or(true),
            unknown: unknown.complete()?,
        })
    }
}

/// The minimum length of a record in bytes: the names of its members and the hash are longer than
/// this.
const SHORTEST_RECORD: usize = 150;

/// The tokens that Python writes and JSON does not have.
const NOT_JSON: &str = "NaN or Infinity";

/// Returns whether the record's type is known at this point and is that of a latent.
fn is_latent(kind: &Option<Text<'_>>) -> bool {
    kind.as_ref().is_some_and(|Text(kind)| kind.as_bytes() == ChunkType::LATENT.0)
}

/// Reads the `extra` of a latent: key, dtype and shape as their types, the others as text.
struct LatentExtra<'p> {
    pass: &'p Pass<'p>,
}

impl<'de> Visitor<'de> for LatentExtra<'_> {
    type Value = (LatentMembers<'de>, ExtraMembers<'de>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let most = usize::try_from(self.pass.context.limits.rank).unwrap_or(usize::MAX);
        let mut known = LatentMembers::default();
        let mut others = ExtraMembers::default();
        while let Some(Text(name)) = map.next_key()? {
            match &*name {
                "key" if known.key.is_none() => known.key = Some(map.next_value()?),
                "dtype" if known.dtype.is_none() => known.dtype = Some(map.next_value::<Text<'de>>()?.0),
                "shape" if known.shape.is_none() => {
                    let (axes, rank) = map.next_value_seed(ShapeWithin { most })?;
                    if rank > axes.len() as u64 {
                        return Err(de::Error::invalid_length(
                            axes.len(),
                            &"no more axes than the limits allow",
                        ));
                    }
                    known.shape = Some(axes);
                }
                "key" | "dtype" | "shape" => return Err(de::Error::custom("a member is given twice")),
                _ => others.push(&name, map.next_value()?),
            }
        }
        Ok((known, others.complete()?))
    }
}

/// Reads the `extra` of any record, with all values as text.
struct OtherExtra<'p> {
    pass: &'p Pass<'p>,
}

impl<'de> Visitor<'de> for OtherExtra<'_> {
    type Value = ExtraMembers<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = ExtraMembers::default();
        while let Some((Text(name), value)) = map.next_entry::<Text<'de>, &RawValue>()? {
            self.pass.refuse_replaced(|| format!("extra.{name}"), value)?;
            members.push(&name, value);
        }
        members.complete()
    }
}
