//! How two environments differ, in the reference's words.

use std::collections::HashMap;
use std::fmt;

use crate::environment::{Component, Environment};

/// One way in which the environment of a file differs from another, usually the current one.
///
/// It displays as the reference's decoder warns of it.
///
/// ```
/// use gen5::{Component, Environment, Severity};
///
/// let file = Environment::new([Component::new("torch", "name=torch;version=2.14.0;cuda=13.2")]);
/// let current = Environment::new([Component::new("torch", "name=torch;version=2.15.0;cuda=13.2")]);
/// let drift = file.drift(&current);
/// assert_eq!(
///     drift[0].to_string(),
///     "Environment component 'torch' differs:\n  \
///        File: name=torch;version=2.14.0;cuda=13.2\n  \
///        Current: name=torch;version=2.15.0;cuda=13.2"
/// );
/// assert_eq!(drift[0].severity(), Severity::High);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    id: String,
    change: Change,
    severity: Severity,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    Differs { file: String, current: String },
    MissingInCurrent { file: String },
    MissingInFile { current: String },
}

/// How much a difference matters to whoever wants to make the same image again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// No difference: the file does not say what it was. A file without any `gpu` component, as the reference writes on
    /// machines that have one, says nothing about GPUs.
    Note,
    /// It seldom changes pixels: operating system, processor, Python, packages that load and save.
    Low,
    /// It is likely to change pixels: the GPU and its driver, CUDA, and the packages that compute or that sample.
    High,
}

/// The components that change pixels.
const HIGH: [&str; 9] =
    ["gpu", "torch", "cuda", "diffusers", "xformers", "tensorflow", "jax", "flax", "onnxruntime"];

/// The components that every file of the reference has.
const ALWAYS_RECORDED: [&str; 5] = ["torch", "numpy", "python", "cuda", "os"];

impl Drift {
    fn new(id: &str, change: Change) -> Self {
        let severity = if HIGH.contains(&id) { Severity::High } else { Severity::Low };
        Self { id: id.to_owned(), change, severity }
    }

    /// What differs: `torch`, `gpu`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The canonical text in the file; `None` if the file has no such component, or fewer of it.
    pub fn file(&self) -> Option<&str> {
        match &self.change {
            Change::Differs { file, .. } | Change::MissingInCurrent { file } => Some(file),
            Change::MissingInFile { .. } => None,
        }
    }

    /// The canonical text in the current environment; `None` if that has no such component, or fewer of it.
    pub fn current(&self) -> Option<&str> {
        match &self.change {
            Change::Differs { current, .. } | Change::MissingInFile { current } => Some(current),
            Change::MissingInCurrent { .. } => None,
        }
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Whether it is a difference, and not only something that the file does not say.
    pub fn is_difference(&self) -> bool {
        self.severity > Severity::Note
    }

    /// The reference's warning line by line, the texts of both sides as they are: whoever shows them on a terminal has
    /// to escape what is in them.
    pub fn lines(&self) -> Vec<String> {
        let id = &self.id;
        match &self.change {
            Change::Differs { file, current } => vec![
                format!("Environment component '{id}' differs:"),
                format!("  File: {file}"),
                format!("  Current: {current}"),
            ],
            Change::MissingInCurrent { .. } => {
                vec![format!("Environment component '{id}' missing in current system")]
            }
            Change::MissingInFile { .. } => vec![format!("Environment component '{id}' missing in file")],
        }
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Low => "low",
            Self::High => "high",
        })
    }
}

impl Environment {
    /// How this environment, a file's, differs from the current one: in the order of the file, then what the file does not
    /// have.
    ///
    /// Components of one id are compared as a multiset, so the order of GPUs does not matter and each counts. (The
    /// reference compares the last of an id alone; where no id stands twice, it warns of just these, including those of
    /// [`Severity::Note`].) What the file does not have is a difference if every file of the reference has it (`torch`, `numpy`,
    /// `python`, `cuda`, `os`) or if the file has others of that id, and a note otherwise: the file does not say.
    pub fn drift(&self, current: &Self) -> Vec<Drift> {
        let mut now = by_id(current);
        let mut drift = Vec::new();
        for (id, file) in by_id(self).in_order {
            let mut left = now.take(id);
            let mut changed = Vec::new();
            for text in file {
                match left.iter().position(|other| *other == text) {
                    Some(same) => drop(left.remove(same)),
                    None => changed.push(text),
                }
            }
            let mut left = left.into_iter();
            for file in changed.into_iter().map(str::to_owned) {
                let change = match left.next() {
                    Some(current) => Change::Differs { file, current: current.to_owned() },
                    None => Change::MissingInCurrent { file },
                };
                drift.push(Drift::new(id, change));
            }
            drift.extend(left.map(|text| Drift::new(id, Change::MissingInFile { current: text.to_owned() })));
        }
        for (id, texts) in now.in_order {
            for text in texts {
                let missing = Drift::new(id, Change::MissingInFile { current: text.to_owned() });
                let is_recorded = ALWAYS_RECORDED.contains(&id);
                let severity = if is_recorded { missing.severity } else { Severity::Note };
                drift.push(Drift { severity, ..missing });
            }
        }
        drift
    }

    /// As [`drift`](Self::drift); each difference is logged as a warning through the crate `log`, what the file does
    /// not say as information.
    pub fn log_drift(&self, current: &Self) -> Vec<Drift> {
        let drift = self.drift(current);
        for one in &drift {
            let level = if one.is_difference() { log::Level::Warn } else { log::Level::Info };
            log::log!(level, "{one}");
        }
        drift
    }
}

/// The canonical texts of components by their ids, which are in the order of their first.
struct ById<'e> {
    in_order: Vec<(&'e str, Vec<&'e str>)>,
    places: HashMap<&'e str, usize>,
}

impl<'e> ById<'e> {
    /// The texts of an id, which are not there any more after this.
    fn take(&mut self, id: &str) -> Vec<&'e str> {
        let texts = self.places.get(id).and_then(|&place| self.in_order.get_mut(place));
        texts.map(|(_, texts)| std::mem::take(texts)).unwrap_or_default()
    }
}

fn by_id(environment: &Environment) -> ById<'_> {
    let mut by_id = ById { in_order: Vec::new(), places: HashMap::new() };
    for (id, text) in environment.components().iter().map(|one: &Component| (one.id(), one.canonical())) {
        let place = *by_id.places.entry(id).or_insert(by_id.in_order.len());
        match by_id.in_order.get_mut(place) {
            Some((_, texts)) => texts.push(text),
            None => by_id.in_order.push((id, vec![text])),
        }
    }
    by_id
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn environment(components: &[(&str, &str)]) -> Environment {
        Environment::new(components.iter().map(|&(id, text)| Component::new(id, text)))
    }

    fn told(file: &[(&str, &str)], current: &[(&str, &str)]) -> Vec<(String, Severity)> {
        let drift = environment(file).drift(&environment(current));
        drift.iter().map(|one| (one.to_string(), one.severity())).collect()
    }

    #[test]
    fn the_words_are_those_of_the_reference() {
        let file = [("torch", "a"), ("os", "b"), ("python", "same"), ("gpu", "x")];
        let current = [("numpy", "c"), ("os", "d"), ("python", "same"), ("gpu", "x")];
        let expected = [
            ("Environment component 'torch' missing in current system", Severity::High),
            ("Environment component 'os' differs:\n  File: b\n  Current: d", Severity::Low),
            ("Environment component 'numpy' missing in file", Severity::Low),
        ];
        assert_eq!(told(&file, &current), expected.map(|(text, severity)| (text.to_owned(), severity)));
    }

    #[test]
    fn gpus_are_a_multiset() {
        let (a, b, c) = (("gpu", "A"), ("gpu", "B"), ("gpu", "C"));
        assert_eq!(told(&[a, b, a], &[b, a, a]), []);
        let differs = "Environment component 'gpu' differs:\n  File: A\n  Current: C";
        assert_eq!(told(&[a, b, a], &[a, b, c]), [(differs.to_owned(), Severity::High)]);
        let fewer = "Environment component 'gpu' missing in current system";
        assert_eq!(told(&[a, a], &[a]), [(fewer.to_owned(), Severity::High)]);
        let more = "Environment component 'gpu' missing in file";
        assert_eq!(told(&[a], &[a, b]), [(more.to_owned(), Severity::High)]);
    }

    #[test]
    fn what_a_file_does_not_say_is_a_note() {
        let current = [("gpu", "A"), ("cpu", "B"), ("diffusers", "C"), ("python", "D")];
        let severities: Vec<Severity> =
            told(&[("os", "x")], &current).into_iter().map(|(_, told)| told).collect();
        let all = [Severity::Low, Severity::Note, Severity::Note, Severity::Note, Severity::Low];
        assert_eq!(
            severities, all,
            "os is missing now, gpu, cpu and diffusers are not said, python is missing"
        );
    }

    proptest! {
        /// Whatever the environments: the same is no drift, both ways tell of the same texts, and each text of one side
        /// is either found on the other or told of.
        #[test]
        fn every_text_is_found_or_told(
            file in prop::collection::vec(("[abg]", "[xyz]"), 0..8),
            current in prop::collection::vec(("[abg]", "[xyz]"), 0..8),
        ) {
            let make = |parts: &[(String, String)]| {
                Environment::new(parts.iter().map(|(id, text)| Component::new(id.as_str(), text.as_str())))
            };
            let (file, current) = (make(&file), make(&current));
            prop_assert!(file.drift(&file).is_empty());
            let (there, back) = (file.drift(&current), current.drift(&file));
            prop_assert_eq!(there.len(), back.len());
            for (side, drift) in [(&file, &there), (&current, &back)] {
                for component in side.components() {
                    let count = |environment: &Environment| {
                        environment.components().iter().filter(|other| *other == component).count()
                    };
                    let told = drift
                        .iter()
                        .filter(|one| one.id() == component.id() && one.file() == Some(component.canonical()));
                    let other = if std::ptr::eq(side, &raw const file) { &current } else { &file };
                    prop_assert_eq!(told.count(), count(side).saturating_sub(count(other)));
                }
            }
        }
    }
}
