//! Differences between two environments, in the words of the reference implementation.

use std::collections::HashMap;
use std::fmt;

use crate::snapshot::{Component, Environment};

/// One difference between the environment of a file and another, usually the current one.
///
/// Its `Display` text is the warning that the reference decoder prints.
///
/// ```
/// use gen5::Environment;
/// use gen5::environment::{Comparison, Component, Severity};
///
/// let file = Environment::new([Component::new("torch", "name=torch;version=2.14.0;cuda=13.2")]);
/// let current = Environment::new([Component::new("torch", "name=torch;version=2.15.0;cuda=13.2")]);
/// let drift = Comparison { file: &file, current: &current }.drift();
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

/// How much a difference matters when making the same image again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Severity {
    /// Not a difference: one side has no information. For example, the reference implementation can
    /// write files without a `gpu` component on machines that have a GPU, so its absence means
    /// nothing.
    Note,
    /// Seldom changes pixels: operating system, processor, Python, packages that load and save.
    Low,
    /// Likely to change pixels: the GPU and its driver, CUDA, and the packages that compute or
    /// sample.
    High,
}

/// The components that change pixels. Builds of TensorFlow and ONNX Runtime for one kind of device
/// have their own names, such as `onnxruntime-gpu`.
const HIGH: [&str; 11] = [
    "gpu",
    "torch",
    "cuda",
    "rocm",
    "diffusers",
    "xformers",
    "tensorflow",
    "jax",
    "jaxlib",
    "flax",
    "onnxruntime",
];

impl Severity {
    /// Returns how much a difference in this component matters.
    fn of(id: &str) -> Self {
        let builds = ["tensorflow-", "onnxruntime-"];
        let is_high = HIGH.contains(&id) || builds.iter().any(|name| id.starts_with(name));
        if is_high { Self::High } else { Self::Low }
    }
}

/// The origin of an environment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Teller {
    /// A file, whose writer may record less.
    File,
    /// The current system.
    System,
}

impl Teller {
    /// Returns whether the absence of this id from an environment means that the component does not
    /// exist. An environment without `python` had no interpreter to query, so it has no information
    /// about Python's packages.
    fn rules_out(self, environment: &ById<'_>, id: &str) -> bool {
        let has_python = environment.has("python");
        match (self, id) {
            (_, "os") => true,
            (_, "python" | "torch" | "numpy" | "cuda") => has_python,
            (Self::System, "gpu" | "cpu") => true,
            (Self::System, _) => has_python,
            // The reference implementation records none of the others, and GPUs only sometimes.
            (Self::File, _) => false,
        }
    }
}

impl Drift {
    fn new(id: &str, change: Change) -> Self {
        Self { id: id.to_owned(), change, severity: Severity::of(id) }
    }

    /// Returns `self`, reduced to a note unless the side without the component rules the component
    /// out.
    fn unless_unsaid(self, is_said: bool) -> Self {
        let severity = if is_said { self.severity } else { Severity::Note };
        Self { severity, ..self }
    }

    /// Returns the id of the component: `torch`, `gpu`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the canonical text in the file, or `None` if the file has no such component, or
    /// fewer of them.
    pub fn file(&self) -> Option<&str> {
        match &self.change {
            Change::Differs { file, .. } | Change::MissingInCurrent { file } => Some(file),
            Change::MissingInFile { .. } => None,
        }
    }

    /// Returns the canonical text in the current environment, or `None` if it has no such
    /// component, or fewer of them.
    pub fn current(&self) -> Option<&str> {
        match &self.change {
            Change::Differs { current, .. } | Change::MissingInFile { current } => Some(current),
            Change::MissingInCurrent { .. } => None,
        }
    }

    /// Returns how much the difference matters.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Returns whether this is a difference, not just missing information.
    pub fn is_difference(&self) -> bool {
        self.severity > Severity::Note
    }

    /// Returns the lines of the reference decoder's warning. The texts of both sides are not
    /// escaped, so escape them before printing to a terminal.
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

/// A comparison of the environment of a file with another one.
///
/// The fields have names because the order matters: each side records other things.
///
/// ```
/// use gen5::Environment;
/// use gen5::environment::{Comparison, Component};
///
/// let file = Environment::new([Component::new("os", "name=os;version=Linux 6.1")]);
/// let current = Environment::new([Component::new("os", "name=os;version=Linux 6.18")]);
/// assert_eq!(Comparison { file: &file, current: &current }.drift().len(), 1);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'e> {
    /// The environment of a file.
    pub file: &'e Environment,
    /// The environment of the current system, or of another file.
    pub current: &'e Environment,
}

impl Comparison<'_> {
    /// Returns the differences between the environment of a file and the current system. They are in file order, followed by components that the file does not have.
    ///
    /// Components with the same id are compared as a multiset, so the order of GPUs does not matter
    /// and each one counts. (The reference decoder compares only the last component of each id. If
    /// ids are unique, it prints exactly these warnings, including those of [`Severity::Note`].)
    ///
    /// A missing component is a difference only if that side would have recorded it; otherwise it
    /// is a note. Files are expected to record `os`, and, if they have `python`, also `torch`,
    /// `numpy` and `cuda`. Files of the reference implementation have these five and seldom others.
    /// The current system is expected to record everything, except Python's packages if it has no
    /// `python`, and except components that its `Capture` left out, such as GPUs whose driver
    /// hangs.
    pub fn drift(self) -> Vec<Drift> {
        self.compare(Teller::System)
    }

    /// Returns the differences as [`drift`](Self::drift) does, but between two files, which may omit
    /// the same components.
    pub fn drift_between_files(self) -> Vec<Drift> {
        self.compare(Teller::File)
    }

    fn compare(self, teller: Teller) -> Vec<Drift> {
        let mut stored = by_id(self.file);
        let mut now = by_id(self.current);
        let mut drift = Vec::new();
        for (id, texts) in std::mem::take(&mut stored.in_order) {
            let (changed, left) = without_common(texts, now.take(id));
            let is_said = (now.has(id) || teller.rules_out(&now, id)) && !self.current.leaves_out(id);
            let mut left = left.into_iter().map(str::to_owned);
            for file in changed.into_iter().map(str::to_owned) {
                drift.push(match left.next() {
                    Some(current) => Drift::new(id, Change::Differs { file, current }),
                    None => Drift::new(id, Change::MissingInCurrent { file }).unless_unsaid(is_said),
                });
            }
            drift.extend(left.map(|current| Drift::new(id, Change::MissingInFile { current })));
        }
        for (id, texts) in std::mem::take(&mut now.in_order) {
            let is_said = Teller::File.rules_out(&stored, id);
            let texts = texts.into_iter().map(str::to_owned);
            drift.extend(
                texts.map(|current| Drift::new(id, Change::MissingInFile { current }).unless_unsaid(is_said)),
            );
        }
        drift
    }

    /// Returns the differences as [`drift`](Self::drift) does, and logs each through the crate
    /// `log`: differences as warnings, notes as information.
    pub fn log_drift(self) -> Vec<Drift> {
        let drift = self.drift();
        for one in &drift {
            let level = if one.is_difference() { log::Level::Warn } else { log::Level::Info };
            log::log!(level, "{one}");
        }
        drift
    }
}

/// The canonical texts of components, grouped by id. Ids are in the order of their first component.
struct ById<'e> {
    in_order: Vec<(&'e str, Vec<&'e str>)>,
    places: HashMap<&'e str, usize>,
}

impl<'e> ById<'e> {
    /// Returns whether there is a component with this id, even if its texts were taken.
    fn has(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }

    /// Removes and returns the texts of an id.
    fn take(&mut self, id: &str) -> Vec<&'e str> {
        let texts = self.places.get(id).and_then(|&place| self.in_order.get_mut(place));
        texts.map(|(_, texts)| std::mem::take(texts)).unwrap_or_default()
    }
}

/// Removes the common texts from two multisets, keeping the order of the rest.
fn without_common<'e>(file: Vec<&'e str>, current: Vec<&'e str>) -> (Vec<&'e str>, Vec<&'e str>) {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for text in &current {
        *counts.entry(text).or_default() += 1;
    }
    // Every text removed from the file's side is also removed from the other.
    let mut common: HashMap<&str, usize> = HashMap::new();
    let take = |counts: &mut HashMap<&'e str, usize>, text: &'e str| match counts.get_mut(text) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    };
    let mut changed = file;
    changed.retain(|text| {
        let is_common = take(&mut counts, text);
        if is_common {
            *common.entry(text).or_default() += 1;
        }
        !is_common
    });
    let mut left = current;
    left.retain(|text| !take(&mut common, text));
    (changed, left)
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

    fn drift(file: &Environment, current: &Environment) -> Vec<Drift> {
        Comparison { file, current }.drift()
    }

    fn environment(components: &[(&str, &str)]) -> Environment {
        Environment::new(components.iter().map(|&(id, text)| Component::new(id, text)))
    }

    fn told(file: &[(&str, &str)], current: &[(&str, &str)]) -> Vec<(String, Severity)> {
        let drift = drift(&environment(file), &environment(current));
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
        let a = ("gpu", "A");
        let b = ("gpu", "B");
        let c = ("gpu", "C");
        assert_eq!(told(&[a, b, a], &[b, a, a]), []);
        let differs = "Environment component 'gpu' differs:\n  File: A\n  Current: C";
        assert_eq!(told(&[a, b, a], &[a, b, c]), [(differs.to_owned(), Severity::High)]);
        let fewer = "Environment component 'gpu' missing in current system";
        assert_eq!(told(&[a, a], &[a]), [(fewer.to_owned(), Severity::High)]);
        let more = "Environment component 'gpu' missing in file";
        assert_eq!(told(&[a], &[a, b]), [(more.to_owned(), Severity::High)]);
    }

    #[test]
    fn what_one_side_does_not_say_is_a_note() {
        let severities = |drift: Vec<Drift>| -> Vec<(String, Severity)> {
            drift.into_iter().map(|one| (one.id().to_owned(), one.severity())).collect()
        };
        let rich =
            environment(&[("python", "P"), ("torch", "T"), ("gpu", "A"), ("cpu", "B"), ("diffusers", "C")]);
        let bare = environment(&[("os", "x")]);
        let python = environment(&[("os", "x"), ("python", "P")]);
        let of = |all: [(&str, Severity); 5]| all.map(|(id, severity)| (id.to_owned(), severity));
        use Severity::{High, Low, Note};

        // Neither side queried an interpreter; the system has no GPU.
        let notes = of([("os", Low), ("python", Note), ("torch", Note), ("gpu", Note), ("cpu", Note)]);
        assert_eq!(severities(drift(&bare, &rich))[..5], notes);
        let told = severities(drift(&rich, &bare));
        assert_eq!(
            told[..4],
            of([("python", Note), ("torch", Note), ("gpu", High), ("cpu", Low), ("os", Low)])[..4]
        );

        // An interpreter was queried, and has no torch and no diffusers; a file may omit more than
        // torch.
        let told = severities(drift(&rich, &python));
        assert_eq!(
            told,
            of([("torch", High), ("gpu", High), ("cpu", Low), ("diffusers", High), ("os", Low)])
        );
        let told = severities(Comparison { file: &rich, current: &python }.drift_between_files());
        assert_eq!(
            told,
            of([("torch", High), ("gpu", Note), ("cpu", Note), ("diffusers", Note), ("os", Low)])
        );
        let told = severities(drift(&python, &rich));
        assert_eq!(
            told,
            of([("os", Low), ("torch", High), ("gpu", Note), ("cpu", Note), ("diffusers", Note)])
        );
    }

    #[test]
    #[cfg(feature = "capture")]
    fn what_a_capture_left_out_is_a_note() {
        let file = environment(&[("os", "a"), ("gpu", "NVIDIA"), ("cpu", "C")]);
        let severities = |current: &Environment| -> Vec<(String, Severity)> {
            drift(&file, current).into_iter().map(|one| (one.id().to_owned(), one.severity())).collect()
        };
        let mut current = environment(&[("os", "a")]);
        let missing = |gpu| [("gpu".to_owned(), gpu), ("cpu".to_owned(), Severity::Low)];
        assert_eq!(severities(&current), missing(Severity::High));
        current.leave_out(&["gpu"]);
        assert_eq!(severities(&current), missing(Severity::Note));
        current.push(Component::new("gpu", "AMD"));
        current.push(Component::new("cpu", "C"));
        assert_eq!(severities(&current), [("gpu".to_owned(), Severity::High)], "another one is there");
        let file = environment(&[("os", "a"), ("gpu", "AMD"), ("gpu", "NVIDIA"), ("cpu", "C")]);
        assert_eq!(drift(&file, &current)[0].severity(), Severity::Note);
    }

    #[test]
    fn what_computes_is_of_high_severity() {
        for id in ["gpu", "rocm", "jaxlib", "onnxruntime-gpu", "tensorflow-rocm", "xformers"] {
            assert_eq!(Severity::of(id), Severity::High, "{id}");
        }
        for id in ["os", "python", "safetensors", "onnxruntimes", "gpus"] {
            assert_eq!(Severity::of(id), Severity::Low, "{id}");
        }
    }

    /// The most components that a file can hold.
    #[test]
    fn many_components_take_no_long_time() {
        let many = |shift: usize| {
            let gpus = (0..60_000).map(|n| Component::new("gpu", format!("name=gpu;model={}", n + shift)));
            let others = (0..60_000).map(|n| Component::new(format!("{n}"), "same"));
            Environment::new(gpus.chain(others))
        };
        let file = many(0);
        let current = many(30_000);
        let start = std::time::Instant::now();
        assert_eq!(drift(&file, &current).len(), 30_000);
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    }

    proptest! {
        /// For any environments: equal ones have no drift, both directions report the same texts,
        /// and each text of one side is either present on the other or reported.
        #[test]
        fn every_text_is_found_or_told(
            file in prop::collection::vec(("[abg]", "[xyz]"), 0..8),
            current in prop::collection::vec(("[abg]", "[xyz]"), 0..8),
        ) {
            let make = |parts: &[(String, String)]| {
                Environment::new(parts.iter().map(|(id, text)| Component::new(id.as_str(), text.as_str())))
            };
            let file = make(&file);
            let current = make(&current);
            prop_assert!(drift(&file, &file).is_empty());
            let there = drift(&file, &current);
            let back = drift(&current, &file);
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
