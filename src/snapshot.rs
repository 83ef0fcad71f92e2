//! The environment in which an image was made: a list of components, each a line of text with its
//! digest.

use serde::Serialize;

use crate::codec::Digest;
use crate::error::{Error, Place, Result};
use crate::excerpt::{shorten, shorten_error};
use crate::manifest::{Extra, for_each_element, to_text};

/// A snapshot of the software and hardware that made an image: frameworks, operating system,
/// devices.
///
/// ```
/// use gen5::Environment;
/// use gen5::environment::Component;
///
/// let environment = Environment::new([
///     Component::new("torch", "name=torch;version=2.15.0;cuda=13.2"),
///     Component::new("python", "name=python;version=3.11.7"),
/// ]);
/// assert_eq!(environment.get("python").unwrap().canonical(), "name=python;version=3.11.7");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Environment {
    components: Vec<Component>,
    /// The ids of components that a capture left out. Files do not store them.
    left_out: Vec<&'static str>,
}

impl PartialEq for Environment {
    /// Returns whether both have the same components.
    fn eq(&self, other: &Self) -> bool {
        self.components == other.components
    }
}

/// One component of an environment.
///
/// Several components can have the same id. For example, a machine has one `gpu` component for each
/// GPU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Component {
    #[serde(rename = "component_id")]
    id: String,
    /// The misspelling is part of the format.
    #[serde(rename = "cononical_str")]
    canonical: String,
    #[serde(rename = "component_sha256_digest")]
    digest: Digest,
    /// Members that the format does not define.
    #[serde(flatten)]
    extra: Extra,
}

impl Component {
    /// Creates a component from its id (`torch`) and its canonical text
    /// (`name=torch;version=2.15.0;cuda=13.2`), and computes the digest of the text.
    pub fn new(id: impl Into<String>, canonical: impl Into<String>) -> Self {
        let canonical = canonical.into();
        Self { id: id.into(), digest: Digest::of(canonical.as_bytes()), canonical, extra: Extra::new() }
    }

    /// Reads the element at position `index` of the list.
    fn read(json: &str, index: usize, place: &Place) -> Result<Self> {
        let malformed = |problem: String| Error::Json { place: place.clone(), problem };
        let names = ["component_id", "cononical_str", "component_sha256_digest"];
        let (mut extra, values) = Extra::read_apart(json, names)
            .map_err(|error| malformed(format!("components: {}", shorten_error(&error))))?;
        let mut texts = [const { String::new() }; 3];
        for ((name, value), text) in names.into_iter().zip(values).zip(&mut texts) {
            let raw = value.ok_or_else(|| malformed(format!("component {index} has no {name}")))?;
            *text = serde_json::from_str(raw.get())
                .map_err(|error| malformed(format!("component {index}, {name}: {error}")))?;
            extra.discard(name);
        }
        let [id, canonical, stored] = texts;
        let digest = Digest::of(canonical.as_bytes());
        if stored.parse() != Ok(digest) {
            return Err(Error::ComponentDigest {
                place: place.clone(),
                id: shorten(&id),
                expected: shorten(&stored).into(),
                found: digest.to_text(),
            });
        }
        Ok(Self { id, canonical, digest, extra })
    }

    /// Returns the component's id: `torch`, `gpu`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the canonical text: `name=python;version=3.11.7`.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// Returns the members that the format does not define.
    pub fn extra(&self) -> &Extra {
        &self.extra
    }

    /// Returns the SHA-256 of the canonical text.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// The version of the chunk's own layout. Only this one exists.
const ENV_VERSION: u64 = 1;

impl Environment {
    /// Creates an environment with these components.
    pub fn new(components: impl IntoIterator<Item = Component>) -> Self {
        Self { components: components.into_iter().collect(), left_out: Vec::new() }
    }

    /// Returns the components, in file order.
    pub fn components(&self) -> &[Component] {
        &self.components
    }

    /// Returns the first component with this id.
    pub fn get(&self, id: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.id == id)
    }

    /// Appends a component.
    pub fn push(&mut self, component: Component) {
        self.components.push(component);
    }

    /// Records that a capture got no answer for these ids, so that their absence does not count as
    /// a difference.
    #[cfg(feature = "capture")]
    pub(crate) fn leave_out(&mut self, ids: &[&'static str]) {
        self.left_out.extend(ids);
    }

    /// Returns whether a capture got no answer for this id.
    pub(crate) fn leaves_out(&self, id: &str) -> bool {
        self.left_out.contains(&id)
    }

    /// Parses the JSON text that a file stores, `{"env_version": 1, "components": […]}`, and checks
    /// every component against its digest.
    ///
    /// # Errors
    ///
    /// [`Error::Json`] and [`Error::Value`] if the text does not have this form;
    /// [`Error::ComponentDigest`] if a digest does not match.
    pub fn from_json(json: &str) -> Result<Self> {
        Self::read(json.as_bytes(), &Place::Environment)
    }

    /// Parses the chunk's payload, and checks every component against its digest.
    pub(crate) fn read(json: &[u8], place: &Place) -> Result<Self> {
        let malformed = |problem: String| Error::Json { place: place.clone(), problem };
        let text = std::str::from_utf8(json)
            .map_err(|error| malformed(format!("not UTF-8 from byte {} on", error.valid_up_to())))?;
        let names = ["env_version", "components"];
        let (_, [version, list]) =
            Extra::read_apart(text, names).map_err(|error| malformed(shorten_error(&error)))?;
        let required =
            |name, value: Option<_>| value.ok_or_else(|| malformed(format!("member {name} is missing")));
        let version = required("env_version", version)?;
        let list = required("components", list)?;
        if version.get() != ENV_VERSION.to_string() {
            return Err(Error::Value {
                place: place.clone(),
                member: "env_version".into(),
                expected: ENV_VERSION.to_string(),
                found: shorten(version.get()),
            });
        }
        let mut components = Vec::new();
        let read = for_each_element(list.get(), |component| {
            components.push(Component::read(component.get(), components.len(), place)?);
            Ok(())
        });
        read.map_err(|error| malformed(format!("components: {}", shorten_error(&error))))??;
        Ok(Self::new(components))
    }

    /// Returns the JSON text that a file stores, which [`from_json`](Self::from_json) reads.
    ///
    /// # Errors
    ///
    /// No error is currently possible.
    pub fn to_json(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Stored<'a> {
            env_version: u64,
            components: &'a [Component],
        }
        let stored = Stored { env_version: ENV_VERSION, components: &self.components };
        to_text("environment", &stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = Place::Table { offset: 99 };

    #[test]
    fn json_round_trip_keeps_unknown_members() {
        let digest = Digest::of(b"name=numpy;version=2.4.6");
        let json = format!(
            r#"{{"env_version":1,"components":[{{"component_id":"numpy","cononical_str":"name=numpy;version=2.4.6","component_sha256_digest":"{digest}","note":1.50}}]}}"#
        );
        let environment = Environment::read(json.as_bytes(), &PLACE).unwrap();
        assert_eq!(environment.get("numpy").unwrap().digest(), digest);
        assert_eq!(environment.to_json().unwrap(), json);
    }

    #[test]
    fn an_altered_component_is_named() {
        let environment = Environment::new([Component::new("torch", "name=torch;version=2")]);
        let json = environment.to_json().unwrap();
        let altered = json.replace("version=2", "version=3");
        let error = Environment::read(altered.as_bytes(), &PLACE).unwrap_err();
        assert!(matches!(error, Error::ComponentDigest { ref id, .. } if id == "torch"), "{error}");
    }

    #[test]
    fn malformed_environments_are_refused() {
        for json in [
            "",
            "[]",
            "[1,[]]",
            "{}",
            r#"{"env_version":1}"#,
            r#"{"env_version":2,"components":[]}"#,
            r#"{"env_version":1,"components":[{}]}"#,
            r#"{"env_version":1,"components":[{"component_id":"a","cononical_str":1,"component_sha256_digest":""}]}"#,
        ] {
            assert!(Environment::read(json.as_bytes(), &PLACE).is_err(), "{json}");
        }
        assert!(Environment::read(b"\xff", &PLACE).is_err());
    }
}
