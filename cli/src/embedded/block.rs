//! The block of `Name: value` pairs in text of AUTOMATIC1111's format, wherever it starts.
//!
//! ```text
//! Steps: 20, Sampler: Euler, Styles: ["ink"], Hires prompt: "storm, \"lightning\"", Seed: 42
//! ```
//!
//! The block usually starts on the last line. Values in quotes may have line breaks, other programs
//! append text, and exporters replace line breaks by spaces or dots. A prompt may contain the same
//! words, so only the values of a block tell it apart.

use super::MAX_SETTINGS;
use super::generation::snake_case;
use super::pairs::{Mark, Pairs, SpelledValue, is_integer, is_template, split_name};

/// The label of the negative prompt.
pub(super) const NEGATIVE: &str = "Negative prompt:";

/// The name of the first pair in most blocks.
const STEPS: &str = "Steps:";

/// Characters before a label that is not at the start of its line. Some exporters replace line
/// breaks by dots.
pub(super) const SEPARATORS: [char; 5] = [' ', '\t', '.', ',', ';'];

/// Limit on the places examined as the start of a block, from the end of the text.
const MAX_CANDIDATES: usize = 64;

/// Bytes of a possible block that are examined. The pairs that identify a block come first.
const WINDOW: usize = 64 << 10;

/// The pairs of a text.
pub(super) struct Block<'a> {
    /// The text before the pairs.
    pub(super) before: &'a str,
    /// Whether the pairs start on a line of their own.
    pub(super) has_own_line: bool,
    /// Names and values, within the limit.
    pub(super) pairs: Vec<(&'a str, SpelledValue<'a>)>,
    /// The text after the line with the last pair.
    pub(super) after: &'a str,
}

/// Finds the block of a text with `\n` as line breaks. Unless `may_be_inline`, it must start on its
/// own line.
///
/// # Errors
///
/// If there may be a block, but which one it is cannot be known.
pub(super) fn find(text: &str, may_be_inline: bool) -> Result<Option<Block<'_>>, Unclear> {
    let start = find_start(text, may_be_inline)?;
    Ok(start.and_then(|(start, has_own_line)| block_at(text, start, has_own_line)))
}

/// The error of [`find`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unclear;

fn block_at(text: &str, start: usize, has_own_line: bool) -> Option<Block<'_>> {
    let (before, from) = text.split_at_checked(start)?;
    let mut pairs = Pairs::new(from);
    let found = pairs.by_ref().take(MAX_SETTINGS).map(|pair| (pair.name, pair.value)).collect();
    let after = from.get(pairs.line_end..).unwrap_or_default();
    Some(Block { before, has_own_line, pairs: found, after: after.strip_prefix('\n').unwrap_or(after) })
}

/// The start of each line, as its offset and its text after indentation.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = 0;
    text.split('\n').map(move |line| {
        let trimmed = line.trim_start();
        let at = next + (line.len() - trimmed.len());
        next += line.len() + 1;
        (at, trimmed)
    })
}

/// A place where a block may start, and what its first pairs are.
struct Candidate {
    at: usize,
    has_own_line: bool,
    /// Offset of the end of the pairs, as far as they were examined.
    end: usize,
    marks: Vec<(usize, Mark)>,
    /// The names of the pairs.
    names: Vec<std::ops::Range<usize>>,
    /// Quoted values and JSON.
    opaque: Vec<std::ops::Range<usize>>,
    starts_with_steps: bool,
    has_steps: bool,
    pairs: usize,
}

impl Candidate {
    fn new(text: &str, at: usize, has_own_line: bool) -> Self {
        let window = text.get(at..text.floor_char_boundary(at.saturating_add(WINDOW))).unwrap_or_default();
        let mut found = Self {
            at,
            has_own_line,
            end: at,
            marks: Vec::new(),
            names: Vec::new(),
            opaque: Vec::new(),
            starts_with_steps: false,
            has_steps: false,
            pairs: 0,
        };
        let mut pairs = Pairs::new(window);
        for pair in pairs.by_ref().take(MAX_SETTINGS) {
            let is_number = matches!(pair.value, SpelledValue::Plain(value) if is_integer(value));
            if pair.name == "Steps" && is_number {
                found.has_steps = true;
                found.starts_with_steps |= found.pairs == 0;
            }
            match Mark::of(pair.name) {
                Some(Mark::Seed) if !is_number => {}
                Some(mark) => found.marks.push((at + pair.at, mark)),
                None => {}
            }
            found.names.push(at + pair.at..at + pair.name_end);
            if !matches!(pair.value, SpelledValue::Plain(_)) {
                found.opaque.push(at + pair.at..at + pair.end);
            }
            found.pairs += 1;
        }
        found.end = at + pairs.line_end;
        found
    }

    /// Whether the pairs cannot be part of a prompt.
    fn is_certain(&self) -> bool {
        let marks = distinct(self.marks.iter().map(|(_, mark)| *mark));
        marks.len() >= 3 && marks.contains(&Mark::Seed) || self.has_steps && marks.len() >= 2
    }

    /// Whether this place is in a value that is quoted or JSON.
    fn covers(&self, at: usize) -> bool {
        self.opaque.iter().any(|range| range.contains(&at))
    }

    /// How a later candidate among these pairs relates to them.
    fn relation_to(&self, later: &Self, text: &str) -> Relation {
        if self.covers(later.at) || !later.is_certain() {
            return Relation::Part;
        }
        let between = text.get(self.at..later.at).unwrap_or_default();
        if between.match_indices(NEGATIVE).any(|(at, _)| !self.covers(self.at + at)) {
            return Relation::Block;
        }
        let before = self.marks.iter().filter(|(at, _)| *at < later.at).map(|(_, mark)| *mark);
        let repeated = before.filter(|mark| later.marks.iter().any(|(_, other)| mark == other));
        // `Hires Steps` is the end of a name.
        let is_in_name = self.names.iter().any(|range| range.contains(&later.at));
        if self.has_own_line || is_in_name && distinct(repeated).len() < 2 {
            Relation::Part
        } else {
            Relation::Unclear
        }
    }
}

/// The relation of pairs to a place among the pairs of an earlier place.
enum Relation {
    /// They are part of the earlier block.
    Part,
    /// They are the block, and the earlier pairs are part of the prompt.
    Block,
    /// Either may be the block.
    Unclear,
}

fn distinct(marks: impl Iterator<Item = Mark>) -> Vec<Mark> {
    let mut found = Vec::new();
    for mark in marks {
        if !found.contains(&mark) {
            found.push(mark);
        }
    }
    found
}

/// The start of the block: the last certain one on its own line, or otherwise the last certain one,
/// or otherwise a last line that starts with the steps. Where either of two could be the block, there
/// is none.
///
/// # Errors
///
/// If no place but such unclear ones was found.
fn find_start(text: &str, may_be_inline: bool) -> Result<Option<(usize, bool)>, Unclear> {
    let last_negative = lines(text).filter(|(_, line)| line.starts_with(NEGATIVE)).last();
    let mut places = places(text, may_be_inline).into_iter().peekable();
    let mut found: Option<Candidate> = None;
    let mut likely = None;
    let mut is_unclear = false;
    while let Some((at, has_own_line)) = places.next() {
        let mut candidate = Candidate::new(text, at, has_own_line);
        if !candidate.is_certain() {
            let is_last = text.get(candidate.end..).is_some_and(|after| {
                let after = after.trim_start();
                after.is_empty() || is_template(after)
            });
            let is_likely = has_own_line
                && candidate.starts_with_steps
                && (candidate.pairs > 1 || last_negative.is_some());
            if is_last && is_likely {
                likely = Some((at, true));
            }
            continue;
        }
        let mut is_clear = true;
        while let Some((at, has_own_line)) = places.next_if(|(at, _)| *at < candidate.end) {
            let later = Candidate::new(text, at, has_own_line);
            match candidate.relation_to(&later, text) {
                Relation::Part => {}
                Relation::Block => (candidate, is_clear) = (later, true),
                Relation::Unclear => is_clear = false,
            }
        }
        // If a negative prompt follows, these pairs are part of the prompt.
        if !is_clear || last_negative.is_some_and(|(negative, _)| negative >= candidate.end) {
            is_unclear = true;
            continue;
        }
        let is_better = found.as_ref().is_none_or(|known| candidate.has_own_line || !known.has_own_line);
        let after = text.get(candidate.end..).unwrap_or_default();
        let is_before_template = candidate.has_own_line && is_template(after.trim_start());
        if is_better {
            found = Some(candidate);
        }
        if is_before_template {
            break;
        }
    }
    match found.map(|found| (found.at, found.has_own_line)).or(likely) {
        None if is_unclear => Err(Unclear),
        found => Ok(found),
    }
}

/// The places where a block may start, in order, and whether each has its own line.
fn places(text: &str, may_be_inline: bool) -> Vec<(usize, bool)> {
    let mut places = std::collections::VecDeque::new();
    let mut add = |at, has_own_line| {
        if places.len() == MAX_CANDIDATES {
            places.pop_front();
        }
        places.push_back((at, has_own_line));
    };
    for (start, line) in lines(text) {
        if split_name(line).is_some_and(|(name, _)| is_first_name(name)) {
            add(start, true);
        }
        if !may_be_inline {
            continue;
        }
        for (at, _) in line.match_indices(STEPS) {
            let (before, from) = line.split_at(at);
            let number = from.strip_prefix(STEPS).unwrap_or_default().trim_start_matches(' ');
            let number = number.split([',', ' ']).next().unwrap_or_default();
            if before.ends_with(SEPARATORS) && is_integer(number) {
                add(start + at, false);
            }
        }
    }
    places.into()
}

/// Whether a block starts with this name, in some program.
fn is_first_name(name: &str) -> bool {
    let other = || {
        matches!(
            snake_case(name).as_str(),
            "schedule_type"
                | "scheduler"
                | "distilled_cfg_scale"
                | "clip_skip"
                | "denoising_strength"
                | "eta"
        )
    };
    name == "Steps" || Mark::of(name).is_some() || other()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(text: &str) -> Option<&str> {
        find_start(text, true).unwrap().and_then(|(at, _)| text.get(at..))
    }

    #[test]
    fn a_prompt_with_colons_is_no_block() {
        for text in [
            "Steps: carved in stone, Sampler: quilt, Seed: apple",
            "a: 1, b: 2, c: 3",
            "Seed: 5",
            "Steps: 20",
            "Seed: 5, b: 2, c: 3",
            "ten Steps: 20, by the sea",
            "ten Steps: 20, Sampler: by the sea",
            "Steps: 20, b: 1\nmore of the prompt",
            "",
        ] {
            assert_eq!(start(text), None, "{text}");
        }
    }

    #[test]
    fn of_two_blocks_neither_is_taken_unless_one_is_certain() {
        for text in [
            "Steps: 3, Sampler: a, Seed: 8\nNegative prompt: b",
            "sign: Steps: 3, Sampler: none, Seed: 8. Steps: 12, Sampler: Euler, Seed: 5",
            "sign: Steps: 3, Sampler: none, Seed: 8, Steps: 12, Sampler: Euler, Seed: 5",
        ] {
            assert_eq!(find_start(text, true), Err(Unclear), "{text}");
        }
    }

    #[test]
    fn the_block_is_found_wherever_it_starts() {
        for (before, block) in [
            ("", "Steps: 1, Seed: 2"),
            ("a\nNegative prompt: b\n", "Steps: 20"),
            ("", "Sampler: Euler a, Seed: 18446744073709551615, Size: 8x8"),
            ("a ", "Steps: 12.0, Sampler: Euler, Seed: 5"),
            ("a.", "Steps: 12, Sampler: Euler, Seed: 5"),
            ("Steps: 3, Sampler: none, Seed: 8 Negative prompt: b ", "Steps: 12, Sampler: Euler, Seed: 5"),
            ("a Steps: 3, Sampler: b, Seed: 8\n", "Steps: 12, Sampler: Euler, Seed: 5\nfoo"),
            ("a\n", "Steps: 12, Sampler: Euler, Seed: 5\na Steps: 3, Sampler: b, Seed: 8"),
            ("a\n", "Steps: 12, Sampler: Euler, Seed: 5\nTemplate: b\nSteps: 3, Sampler: b, Seed: 8"),
            ("a\n", "Steps: 12, P: \"\nSteps: 3, Sampler: b, Seed: 8\n\", Sampler: Euler, Seed: 5"),
            ("a\n", "Steps: 12, Sampler: Euler, Seed: 5, P: of Steps: 3, Sampler: b, Seed: 8"),
            ("a ", "Steps: 12, Sampler: Euler, CFG scale: 7, Seed: 5, Hires Steps: 4, Size: 8x8, Model: b"),
        ] {
            assert_eq!(start(&format!("{before}{block}")), Some(block), "{before}");
        }
        assert_eq!(find_start("a Steps: 12, Sampler: Euler, Seed: 5", false), Ok(None));
    }
}
