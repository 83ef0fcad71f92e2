//! Comparison of two files' latents, key by key.

use std::collections::HashMap;

use anyhow::Result;
use gen5::{Latent, Reader};
use gen5_picture::text::{dimensions, shown_key, shown_name};
use serde::Serialize;

use super::members::{Change, Listing, extra_changes};
use super::values::{Distance, compare};
use super::{ComparedFile, Outcome, described};
use crate::progress::Progress;

/// Two latents to compare, or one without a counterpart.
pub(super) struct Pair {
    /// The key, or the position of a latent without a key.
    name: String,
    file: Option<Latent>,
    other: Option<Latent>,
}

/// The result of comparing a pair.
#[derive(Serialize)]
pub(super) struct LatentReport {
    #[serde(skip)]
    name: String,
    key: Option<String>,
    pub(super) result: Outcome,
    file: Option<Form>,
    other: Option<Form>,
    #[serde(flatten)]
    distance: Option<DistanceReport>,
    /// Different members of the records that the format does not define.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<Change>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// The position, dtype and shape of a latent.
#[derive(Serialize)]
struct Form {
    index: usize,
    dtype: &'static str,
    shape: Vec<usize>,
}

/// A distance in JSON; infinity becomes null.
#[derive(Serialize)]
struct DistanceReport {
    values: u64,
    differing: u64,
    max_abs_difference: f64,
    mean_abs_difference: f64,
}

impl DistanceReport {
    fn of(distance: &Distance) -> Self {
        let Distance { values, differing, largest, .. } = *distance;
        Self { values, differing, max_abs_difference: largest, mean_abs_difference: distance.mean() }
    }
}

impl Form {
    fn of(latent: &Latent) -> Self {
        Self { index: latent.index(), dtype: latent.dtype().name(), shape: latent.shape().to_vec() }
    }
}

/// The identity of a latent: its key, and the number of earlier latents with the same key (or
/// without one).
type Identity = (Option<String>, usize);

fn identified(reader: &Reader) -> Vec<(Identity, Latent)> {
    let mut seen: HashMap<Option<String>, usize> = HashMap::new();
    let identify = |latent: Latent| {
        let key = latent.key().map(str::to_owned);
        let before = seen.entry(key.clone()).or_default();
        let identity = (key, *before);
        *before += 1;
        (identity, latent)
    };
    reader.latents().map(identify).collect()
}

/// Pairs the latents of two files by key. Latents that share a key, or have none, are paired in
/// order.
pub(super) fn pair(file: &Reader, other: &Reader) -> Vec<Pair> {
    let mut others: HashMap<Identity, Latent> = identified(other).into_iter().collect();
    let mut pairs: Vec<Pair> = identified(file)
        .into_iter()
        .map(|(identity, latent)| {
            let other = others.remove(&identity);
            Pair { name: name(&latent, identity.1), file: Some(latent), other }
        })
        .collect();
    let mut rest: Vec<(Identity, Latent)> = others.into_iter().collect();
    rest.sort_by_key(|(_, latent)| latent.index());
    let only_in_other = |((_, before), latent): (Identity, Latent)| Pair {
        name: name(&latent, before),
        file: None,
        other: Some(latent),
    };
    pairs.extend(rest.into_iter().map(only_in_other));
    pairs
}

fn name(latent: &Latent, before: usize) -> String {
    match (latent.key(), before) {
        (Some(key), 1..) => format!("{} (#{})", shown_key(key), latent.index()),
        (key, _) => shown_name(key, latent.index()),
    }
}

impl Pair {
    /// Number of bytes to read for the comparison.
    pub(super) fn bytes(&self) -> u64 {
        match (&self.file, &self.other) {
            (Some(file), Some(other)) if file.shape() == other.shape() && !is_recorded_equal(file, other) => {
                file.payload_size() + other.payload_size()
            }
            _ => 0,
        }
    }

    /// The differences between other members of the records.
    fn members(&self, listing: &mut Listing) -> Vec<Change> {
        let extra = |latent: &Option<Latent>| latent.as_ref()?.extra().cloned();
        let (Some(file), Some(other)) = (extra(&self.file), extra(&self.other)) else { return Vec::new() };
        extra_changes(&file, &other, listing)
    }

    /// Compares the latents. With a tolerance, values that differ by no more count as close.
    pub(super) fn compare(
        &self,
        sides: (&ComparedFile<'_>, &ComparedFile<'_>),
        tolerance: Option<f64>,
        listing: &mut Listing,
        progress: &Progress,
    ) -> (LatentReport, Result<()>) {
        let (result, distance, failure) = match (&self.file, &self.other) {
            (None, _) => (Outcome::OnlyInOther, None, Ok(())),
            (_, None) => (Outcome::OnlyInFile, None, Ok(())),
            (Some(file), Some(other)) if file.shape() != other.shape() => (Outcome::Differs, None, Ok(())),
            (Some(file), Some(other)) if is_recorded_equal(file, other) => (Outcome::Equal, None, Ok(())),
            (Some(file), Some(other)) => match compare((sides.0, file), (sides.1, other), progress) {
                Ok(distance) => {
                    (judge(&distance, file.dtype() == other.dtype(), tolerance), Some(distance), Ok(()))
                }
                Err(error) => (Outcome::Failed, None, Err(error)),
            },
        };
        let latent = self.file.as_ref().or(self.other.as_ref());
        let report = LatentReport {
            name: self.name.clone(),
            key: latent.and_then(Latent::key).map(str::to_owned),
            result,
            file: self.file.as_ref().map(Form::of),
            other: self.other.as_ref().map(Form::of),
            distance: distance.as_ref().map(DistanceReport::of),
            members: self.members(listing),
            error: failure.as_ref().err().map(|error| format!("{error:#}")),
        };
        (report, failure)
    }
}

/// Whether the records prove that the values are equal: same dtype, shape, and hashes of all
/// chunks.
fn is_recorded_equal(one: &Latent, other: &Latent) -> bool {
    let payloads = |latent: &Latent| -> Vec<_> {
        latent.chunks().map(|chunk| (chunk.payload_size(), chunk.sha256())).collect()
    };
    one.dtype() == other.dtype() && one.shape() == other.shape() && payloads(one) == payloads(other)
}

fn judge(distance: &Distance, same_dtype: bool, tolerance: Option<f64>) -> Outcome {
    match tolerance {
        _ if same_dtype && distance.differing == 0 => Outcome::Equal,
        Some(tolerance) if distance.largest <= tolerance => Outcome::Close,
        _ => Outcome::Differs,
    }
}

impl LatentReport {
    /// Whether the pair is equal, or close within the given tolerance.
    pub(super) fn is_same(&self) -> bool {
        self.result.is_same() && self.members.is_empty()
    }

    /// Whether values were compared, and not only records.
    pub(super) fn was_read(&self) -> bool {
        self.distance.is_some()
    }

    /// The differences as text lines.
    pub(super) fn lines(&self) -> Vec<String> {
        let differences = match self.result {
            Outcome::Close => Some(format!("{} (within the tolerance)", self.differences().join(", "))),
            Outcome::Differs => Some(self.differences().join(", ")),
            other => described(other).map(str::to_owned),
        };
        let members = self.members.iter().map(Change::line);
        differences
            .into_iter()
            .chain(members)
            .map(|difference| format!("{}: {difference}", self.name))
            .collect()
    }

    fn differences(&self) -> Vec<String> {
        let mut differences = Vec::new();
        if let (Some(file), Some(other)) = (&self.file, &self.other) {
            if file.dtype != other.dtype {
                differences.push(format!("{} → {}", file.dtype, other.dtype));
            }
            if file.shape != other.shape {
                let file = dimensions(&file.shape, "×");
                let other = dimensions(&other.shape, "×");
                differences.push(format!("shape {file} → {other}"));
            }
        }
        match &self.distance {
            Some(distance) if distance.differing == 0 => differences.push("the same values".into()),
            Some(distance) => {
                let largest = number(distance.max_abs_difference);
                let mean = number(distance.mean_abs_difference);
                let DistanceReport { values, differing, .. } = distance;
                differences.push(format!(
                    "{differing} of {values} values differ, by {largest} at most and {mean} on average"
                ));
            }
            None => {}
        }
        differences
    }
}

/// A number with at most six digits.
fn number(value: f64) -> String {
    if value.is_infinite() {
        return "infinity".into();
    }
    let rounded = format!("{value:.5e}").parse().unwrap_or(value);
    if value == 0.0 || (1e-4..1e6).contains(&value) { format!("{rounded}") } else { format!("{rounded:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let table = [(0.0, "0"), (0.5, "0.5"), (1.0 / 3.0, "0.333333"), (1.25e-7, "1.25e-7"), (3e38, "3e38")];
        for (value, text) in table {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(f64::INFINITY), "infinity");
    }
}
