//! Flips every bit of a file. Opening or verification must notice the flip, unless all decoded
//! values stay the same. `docs/reliability.md` publishes the count of each outcome, and its rows
//! are compared with the counts here.

use std::collections::BTreeMap;
use std::ops::Range;

use gen5::Reader;
use rayon::prelude::*;

use crate::damage::golden;
use crate::own::{Content, decode, own};

/// The outcome of a flipped bit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Opening,
    Verify,
    /// Everything decodes to the same values.
    NoEffect,
    /// Other values are decoded without an error.
    Unnoticed,
}

/// The number of bits for each outcome and area of the file.
type Counts = BTreeMap<(Outcome, &'static str), usize>;

fn outcome(damaged: Vec<u8>, content: &Content) -> Outcome {
    let Ok(reader) = Reader::from_bytes(damaged) else { return Outcome::Opening };
    if reader.verify().is_err() {
        return Outcome::Verify;
    }
    match decode(&reader) {
        Ok(found) if found == *content => Outcome::NoEffect,
        _ => Outcome::Unnoticed,
    }
}

/// The areas of a file in the order of their offsets. Bytes outside all of them are gaps.
fn areas(reader: &Reader, file: &[u8]) -> Vec<(Range<usize>, &'static str)> {
    let table = u32::from_le_bytes(file[8..12].try_into().unwrap()) as usize;
    let chunks = reader.chunks().iter().map(|chunk| {
        let range = chunk.offset() as usize..(chunk.offset() + chunk.stored_size()) as usize;
        (range, if chunk.is_compressed() { "frames" } else { "raw chunks" })
    });
    let ends = [(0..32, "header"), (table..file.len(), "table")];
    ends.into_iter().chain(chunks).collect()
}

fn count(file: &[u8]) -> Counts {
    let reader = Reader::from_bytes(file.to_vec()).unwrap();
    let content = decode(&reader).unwrap();
    let areas = areas(&reader, file);
    let flip = |bit: usize| {
        let mut damaged = file.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let area =
            areas.iter().find(|(range, _)| range.contains(&(bit / 8))).map_or("gaps", |(_, name)| *name);
        (outcome(damaged, &content), area)
    };
    let add = |mut counts: Counts, bit: usize| {
        *counts.entry(flip(bit)).or_default() += 1;
        counts
    };
    let join = |mut left: Counts, right: Counts| {
        right.into_iter().for_each(|(key, bits)| *left.entry(key).or_default() += bits);
        left
    };
    (0..file.len() * 8).into_par_iter().fold(Counts::new, add).reduce(Counts::new, join)
}

fn of(counts: &Counts, wanted: Outcome) -> usize {
    counts.iter().filter(|((outcome, _), _)| *outcome == wanted).map(|(_, bits)| bits).sum()
}

/// The areas whose bits have this outcome, with their counts: `gaps 320, table 7`.
fn places(counts: &Counts, wanted: Outcome) -> String {
    let places = counts.iter().filter(|((outcome, _), _)| *outcome == wanted);
    let places: Vec<String> = places.map(|((_, area), bits)| format!("{area} {bits}")).collect();
    if places.is_empty() { "–".to_owned() } else { places.join(", ") }
}

/// Fails if `docs/reliability.md` lacks any of these rows, and prints the missing ones.
fn published(rows: &[String]) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reliability.md");
    let text = std::fs::read_to_string(path).unwrap();
    let missing: Vec<&String> = rows.iter().filter(|row| !text.lines().any(|line| line == **row)).collect();
    assert!(missing.is_empty(), "docs/reliability.md lacks, of\n{}\n{missing:#?}", rows.join("\n"));
}

#[test]
fn every_bit_is_noticed_or_without_effect() {
    let mut rows = Vec::new();
    for (name, file) in own() {
        let counts = count(&file);
        assert_eq!(of(&counts, Outcome::Unnoticed), 0, "{name}: {}", places(&counts, Outcome::Unnoticed));
        for area in ["header", "raw chunks"] {
            assert!(
                !counts.contains_key(&(Outcome::NoEffect, area)),
                "{name}: no bit there is without meaning"
            );
        }
        for outcome in [Outcome::Opening, Outcome::Verify] {
            assert!(!counts.contains_key(&(outcome, "gaps")), "{name}: nothing looks at gaps");
        }
        rows.push(format!(
            "| `own/{name}.gen5` | {} | {} | {} | {} | {} |",
            file.len() * 8,
            of(&counts, Outcome::Opening),
            of(&counts, Outcome::Verify),
            of(&counts, Outcome::NoEffect),
            places(&counts, Outcome::NoEffect),
        ));
    }
    published(&rows);
}

/// The Python package writes no checksums, so nothing covers its tables.
#[test]
#[ignore = "a million bits: `just deep` runs it in release"]
fn the_share_of_the_bits_of_the_reference_that_is_noticed() {
    let mut rows = Vec::new();
    for (name, file) in golden() {
        let counts = count(&file);
        let [opening, verify, no_effect, unnoticed] =
            [Outcome::Opening, Outcome::Verify, Outcome::NoEffect, Outcome::Unnoticed]
                .map(|kind| of(&counts, kind));
        let share = 100.0 * (opening + verify) as f64 / (opening + verify + unnoticed) as f64;
        let places = places(&counts, Outcome::Unnoticed);
        rows.push(format!(
            "| `{name}` | {} | {opening} | {verify} | {no_effect} | {unnoticed} | {share:.1}% | {places} |",
            file.len() * 8,
        ));
    }
    published(&rows);
}
