//! Objects of the metadata as words.

use std::borrow::Cow;
use std::fmt;

use gen5::metadata::Extra;
use serde::Serialize;

/// The members of an object as one-line texts, in the order of the schema.
pub(crate) struct Members(Extra);

impl Members {
    /// The members of `object`.
    pub(crate) fn of(object: &impl Serialize) -> Self {
        let members = serde_json::to_string(object).ok().and_then(|text| serde_json::from_str(&text).ok());
        Self(members.unwrap_or_default())
    }

    /// One text per member: `seed 42`.
    pub(crate) fn texts(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.0.iter().map(|(name, value)| match serde_json::from_str::<String>(value) {
            Ok(text) => format!("{name} {text}").into(),
            Err(_) => format!("{name} {value}").into(),
        })
    }
}

impl fmt::Display for Members {
    /// All members, separated by commas: `seed 42, steps 50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(self.texts()).try_for_each(|text| f.write_str(&text))
    }
}

/// Texts separated by commas.
pub(crate) fn joined<'t>(texts: impl Iterator<Item = Cow<'t, str>>) -> impl Iterator<Item = Cow<'t, str>> {
    texts.enumerate().flat_map(|(at, text)| [Cow::Borrowed(if at > 0 { ", " } else { "" }), text])
}
