//! The texts stored with a file's tensors.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// Texts by name, stored as the JSON object from the file: as separate strings, short ones would
/// take many times the memory.
#[derive(Clone, Debug, Default)]
pub struct Texts(Option<Box<RawValue>>);

impl Texts {
    /// The texts of a JSON object.
    ///
    /// # Errors
    ///
    /// If it is not an object, or if a value is not text.
    pub fn of_json(object: Box<RawValue>) -> serde_json::Result<Self> {
        let mut is_empty = true;
        visit(object.get(), |_, _| is_empty = false)?;
        Ok(Self(Some(object).filter(|_| !is_empty)))
    }

    /// The texts of a map.
    ///
    /// # Errors
    ///
    /// None known.
    pub fn of_map(texts: &BTreeMap<String, String>) -> serde_json::Result<Self> {
        Ok(if texts.is_empty() { Self::default() } else { Self(Some(to_raw_value(texts)?)) })
    }

    /// Whether there are no texts.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Their size in a file in bytes.
    pub fn size(&self) -> usize {
        self.0.as_ref().map_or(0, |object| object.get().len())
    }

    /// The text with this name.
    pub fn get(&self, name: &str) -> Option<String> {
        let mut found = None;
        let text = |known: &str, text: &str| {
            if known == name {
                found = Some(text.to_owned());
            }
        };
        visit(self.0.as_ref()?.get(), text).ok()?;
        found
    }
}

impl PartialEq for Texts {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().map(|object| object.get()) == other.0.as_ref().map(|object| object.get())
    }
}

impl Serialize for Texts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(object) => object.serialize(serializer),
            None => serializer.collect_map(std::iter::empty::<(&str, &str)>()),
        }
    }
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::of_json(Deserialize::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// Passes the names and texts of a JSON object to `take`.
fn visit(object: &str, take: impl FnMut(&str, &str)) -> serde_json::Result<()> {
    struct TextVisitor<F>(F);
    impl<'de, F: FnMut(&str, &str)> Visitor<'de> for TextVisitor<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of strings")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            while let Some((BorrowedText(name), BorrowedText(text))) = map.next_entry()? {
                (self.0)(&name, &text);
            }
            Ok(())
        }
    }
    /// Borrowed if it contains no escapes.
    #[derive(serde::Deserialize)]
    #[serde(transparent)]
    struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::Deserializer::from_str(object).deserialize_map(TextVisitor(take))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_as_they_are_spelled() {
        let json = r#"{"b":"\u00e9\n","a":""}"#;
        let texts: Texts = serde_json::from_str(json).unwrap();
        assert_eq!(
            (texts.get("b").as_deref(), texts.get("a").as_deref(), texts.get("c")),
            (Some("é\n"), Some(""), None)
        );
        assert_eq!((serde_json::to_string(&texts).unwrap().as_str(), texts.size()), (json, json.len()));
        assert!(serde_json::from_str::<Texts>("{}").unwrap().is_empty());
        assert_eq!(serde_json::to_string(&Texts::default()).unwrap(), "{}");
        for json in ["[]", r#"{"a":1}"#, r#"{"a":"\ud800"}"#, "null"] {
            assert!(serde_json::from_str::<Texts>(json).is_err(), "{json}");
        }
    }
}
