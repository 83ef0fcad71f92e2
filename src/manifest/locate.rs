//! Finds the offset of a chunk whose record was rejected, for the error message. A member before
//! `offset` may be the invalid one.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::json::{Count, Name};

/// Returns the offset in record `index` of this manifest, if the text is valid JSON up to there.
pub(super) fn offset_of_record(text: &str, index: usize) -> Option<u64> {
    let found = Cell::new(None);
    let path =
        [Step::Member("gen5_metadata"), Step::Member("chunks"), Step::Item(index), Step::Member("offset")];
    // The text after it is not read, which the parser reports as an error.
    let _ = (Seek { path: &path, found: &found }).deserialize(&mut serde_json::Deserializer::from_str(text));
    found.get()
}

/// One step from a JSON value into it.
enum Step {
    Member(&'static str),
    Item(usize),
}

/// Follows a path and stores the integer at its end.
struct Seek<'a> {
    path: &'a [Step],
    found: &'a Cell<Option<u64>>,
}

impl<'de> DeserializeSeed<'de> for Seek<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.path.first() {
            Some(Step::Member(_)) => deserializer.deserialize_map(self),
            Some(Step::Item(_)) => deserializer.deserialize_seq(self),
            None => Count::deserialize(deserializer).map(|Count(value)| self.found.set(Some(value))),
        }
    }
}

impl<'de> Visitor<'de> for Seek<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a manifest")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Member(wanted), path)) = self.path.split_first() else { return Ok(()) };
        while let Some(Name(name)) = map.next_key()? {
            if *name == *wanted.as_bytes() {
                return map.next_value_seed(Seek { path, found: self.found });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Some((Step::Item(wanted), path)) = self.path.split_first() else { return Ok(()) };
        for _ in 0..*wanted {
            list.next_element::<IgnoredAny>()?;
        }
        list.next_element_seed(Seek { path, found: self.found }).map(|_| ())
    }
}
