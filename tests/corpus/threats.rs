//! Checks that `docs/threats.md` and the tests agree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::case::in_turn;
use crate::corpus;

/// The letters of clauses about a file alone.
const OF_FILES: &str = "HZJRVE";

/// The number of clauses of each letter.
const COUNTS: [(char, usize); 13] = [
    ('B', 1),
    ('C', 8),
    ('E', 3),
    ('H', 15),
    ('J', 16),
    ('N', 6),
    ('P', 9),
    ('R', 20),
    ('S', 6),
    ('V', 3),
    ('W', 24),
    ('X', 6),
    ('Z', 15),
];

/// A row of a table in `docs/threats.md`.
struct Clause {
    number: String,
    /// The last cell.
    shown_by: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn clauses() -> Vec<Clause> {
    let text = std::fs::read_to_string(root().join("docs/threats.md")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let clauses = rows.filter_map(|row| {
        let (number, rest) = row.split_once(" | ")?;
        let digits = number.strip_prefix(|letter: char| letter.is_ascii_uppercase())?;
        let is_number = digits.parse::<u8>().is_ok();
        let shown_by = rest.rsplit(" | ").next().unwrap_or_default().to_owned();
        is_number.then(|| Clause { number: number.to_owned(), shown_by })
    });
    clauses.collect()
}

fn is_of_files(number: &str) -> bool {
    number.starts_with(|letter| OF_FILES.contains(letter))
}

#[test]
fn every_clause_on_files_has_cases_and_every_case_a_clause() {
    let numbers: Vec<String> = clauses().into_iter().map(|clause| clause.number).collect();
    let distinct: BTreeSet<&str> = numbers.iter().map(String::as_str).collect();
    assert_eq!(distinct.len(), numbers.len(), "a number is there twice: {numbers:?}");
    let of_files: BTreeSet<&str> = distinct.into_iter().filter(|number| is_of_files(number)).collect();

    let mut cases: BTreeMap<&str, usize> = BTreeMap::new();
    let mut names = BTreeSet::new();
    in_turn(|| {
        for case in corpus() {
            *cases.entry(case.clause).or_default() += 1;
            let name = format!("{} {}", case.clause, case.name);
            assert!(names.insert(name.clone()), "{name} is there twice");
        }
    });
    assert_eq!(cases.keys().copied().collect::<BTreeSet<_>>(), of_files);
    let all: usize = cases.values().sum();
    assert!(all >= 150, "{all} cases");
    let published = std::fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    assert!(
        published.contains(&format!("{all} files of {} clauses", cases.len())),
        "{all} and {}",
        cases.len()
    );
}

/// These clauses name their tests as `path::name`.
#[test]
fn every_other_clause_names_tests_that_are_there() {
    for Clause { number, shown_by } in clauses().into_iter().filter(|clause| !is_of_files(&clause.number)) {
        let tests: Vec<&str> = shown_by.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{number} is shown by no test");
        for test in tests {
            let (path, name) = test.split_once("::").unwrap_or_else(|| panic!("{number}: {test}"));
            let text = in_turn(|| std::fs::read_to_string(root().join(path)));
            let text = text.unwrap_or_else(|error| panic!("{path}: {error}"));
            let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
            let function = lines.iter().position(|line| line.starts_with(&format!("fn {name}(")));
            let function = function.unwrap_or_else(|| panic!("{number}: {test}"));
            let attributes = lines[..function].iter().rev().take_while(|line| line.starts_with("#["));
            let attributes: Vec<&str> = attributes.copied().collect();
            assert!(attributes.contains(&"#[test]"), "{number}: {test} is no test");
            assert!(
                !attributes.iter().any(|line| line.starts_with("#[ignore")),
                "{number}: {test} is not run"
            );
        }
    }
}

/// A gap in the numbers would be a lost clause.
#[test]
fn clauses_are_numbered_from_1_on() {
    let mut counts: BTreeMap<char, usize> = BTreeMap::new();
    for Clause { number, .. } in clauses() {
        let (letter, digits) = number.split_at(1);
        let count = counts.entry(letter.chars().next().unwrap()).or_default();
        *count += 1;
        assert_eq!(digits.parse(), Ok(*count), "{number}");
    }
    let counts: Vec<(char, usize)> = counts.into_iter().collect();
    assert_eq!(counts, COUNTS, "where one is added, its number is added here");
}
