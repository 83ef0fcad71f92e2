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
    /// No difference: one side does not say. A file without any `gpu` component, as the reference writes on machines that have
    /// one, says nothing about GPUs.
    Note,
    /// It seldom changes pixels: operating system, processor, Python, packages that load and save.
    Low,
    /// It is likely to change pixels: the GPU and its driver, CUDA, and the packages that compute or that sample.
    High,
}

/// The components that change pixels. Builds of TensorFlow and ONNX Runtime for one kind of device have names of their own,
/// `onnxruntime-gpu`.
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
    /// How much a difference in this component matters.
    fn of(id: &str) -> Self {
        let builds = ["tensorflow-", "onnxruntime-"];
        let is_high = HIGH.contains(&id) || builds.iter().any(|name| id.starts_with(name));
        if is_high { Self::High } else { Self::Low }
    }
}

/// Who tells of an environment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Teller {
    /// A file, which may come from a writer that records less.
    File,
    /// The current system.
    System,
}

impl Teller {
    /// Whether an environment that has no component of this id says that there is none. One without `python` says nothing
    /// of what a Python interpreter would: nobody asked one.
    fn rules_out(self, environment: &ById<'_>, id: &str) -> bool {
        let has_python = environment.has("python");
        match (self, id) {
            (_, "os") => true,
            (_, "python" | "torch" | "numpy" | "cuda") => has_python,
            (Self::System, "gpu" | "cpu") => true,
            (Self::System, _) => has_python,
            // The reference records none of the others, and GPUs only at times.
            (Self::File, _) => false,
        }
    }
}

impl Drift {
    fn new(id: &str, change: Change) -> Self {
        Self { id: id.to_owned(), change, severity: Severity::of(id) }
    }

    /// The same if the side that has no such component rules it out, or else a note.
    fn unless_unsaid(self, is_said: bool) -> Self {
        let severity = if is_said { self.severity } else { Severity::Note };
        Self { severity, ..self }
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
    /// How this environment, a file's, differs from that of the current system: in the order of the file, then what the file
    /// does not have.
    ///
    /// Components of one id are compared as a multiset, so the order of GPUs does not matter and each counts. (The
    /// reference compares the last of an id alone; where no id stands twice, it warns of just these, including those of
    /// [`Severity::Note`].)
    ///
    /// Something that one side does not have is a difference only if that side would have told of
    /// it. Files tell of `os`, and of `torch`, `numpy`, `cuda` if they tell of `python`; the
    /// reference's files have these five and seldom others. The current system is taken to tell of
    /// all there is, except Python's packages if it tells of no `python`, and except what its
    /// `Capture` left out, such as GPUs whose driver hangs.
    pub fn drift(&self, current: &Self) -> Vec<Drift> {
        self.compare(current, Teller::System)
    }

    /// As [`drift`](Self::drift), where the other environment is a file's, too, and may leave out as much.
    pub fn drift_between_files(&self, other: &Self) -> Vec<Drift> {
        self.compare(other, Teller::File)
    }

    fn compare(&self, current: &Self, teller: Teller) -> Vec<Drift> {
        let (mut stored, mut now) = (by_id(self), by_id(current));
        let mut drift = Vec::new();
        for (id, texts) in std::mem::take(&mut stored.in_order) {
            let (changed, left) = without_common(texts, now.take(id));
            let is_said = (now.has(id) || teller.rules_out(&now, id)) && !current.leaves_out(id);
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
    /// Whether there is a component of this id, or was before it was taken.
    fn has(&self, id: &str) -> bool {
        self.places.contains_key(id)
    }

    /// The texts of an id, which are not there any more after this.
    fn take(&mut self, id: &str) -> Vec<&'e str> {
        let texts = self.places.get(id).and_then(|&place| self.in_order.get_mut(place));
        texts.map(|(_, texts)| std::mem::take(texts)).unwrap_or_default()
    }
}

/// Two multisets of texts without what both have, in their order.
fn without_common<'e>(file: Vec<&'e str>, current: Vec<&'e str>) -> (Vec<&'e str>, Vec<&'e str>) {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for text in &current {
        *counts.entry(text).or_default() += 1;
    }
    // What is taken from the file's side is to be taken from the other, too.
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

        // Nobody asked an interpreter, on either side; the system has no GPU.
        let notes = of([("os", Low), ("python", Note), ("torch", Note), ("gpu", Note), ("cpu", Note)]);
        assert_eq!(severities(bare.drift(&rich))[..5], notes);
        let told = severities(rich.drift(&bare));
        assert_eq!(
            told[..4],
            of([("python", Note), ("torch", Note), ("gpu", High), ("cpu", Low), ("os", Low)])[..4]
        );

        // An interpreter was asked, and has no torch and no diffusers; a file may leave out more than torch.
        let told = severities(rich.drift(&python));
        assert_eq!(
            told,
            of([("torch", High), ("gpu", High), ("cpu", Low), ("diffusers", High), ("os", Low)])
        );
        let told = severities(rich.drift_between_files(&python));
        assert_eq!(
            told,
            of([("torch", High), ("gpu", Note), ("cpu", Note), ("diffusers", Note), ("os", Low)])
        );
        let told = severities(python.drift(&rich));
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
            file.drift(current).into_iter().map(|one| (one.id().to_owned(), one.severity())).collect()
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
        assert_eq!(file.drift(&current)[0].severity(), Severity::Note);
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

    /// As many as a file can hold.
    #[test]
    fn many_components_take_no_long_time() {
        let many = |shift: usize| {
            let gpus = (0..60_000).map(|n| Component::new("gpu", format!("name=gpu;model={}", n + shift)));
            let others = (0..60_000).map(|n| Component::new(format!("{n}"), "same"));
            Environment::new(gpus.chain(others))
        };
        let (file, current) = (many(0), many(30_000));
        let start = std::time::Instant::now();
        assert_eq!(file.drift(&current).len(), 30_000);
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
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
