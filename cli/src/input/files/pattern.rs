//! Patterns of file names: `runs/*.gen5`, `**/final.gen5`, `step-[0-9]?.npy`.
//!
//! The existing crates do not fit. `globset` and `fast-glob` match bytes, so `?` and `[ä]` do not
//! match `ä`; both interpret `{a,b}`, and neither accepts a pattern that is not UTF-8. `glob` has
//! the right meaning but panics on names that are not UTF-8.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Component, Path, PathBuf, is_separator};

/// A path pattern.
#[derive(Debug)]
pub(super) struct Pattern {
    /// The folder to start from; empty for the working folder.
    pub(super) start: PathBuf,
    /// The remaining steps from there.
    pub(super) steps: Vec<Step>,
    /// Whether the pattern ends in a separator, and so matches folders only.
    pub(super) only_folders: bool,
}

/// A component of a pattern.
#[derive(Debug)]
pub(super) enum Step {
    /// A literal name.
    Exactly(OsString),
    /// Any name that matches the pattern.
    Matching(NamePattern),
    /// `**`: this folder and all folders below it, except those in hidden folders.
    AnyFolders,
}

/// The reason why a pattern is invalid.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Invalid {
    /// `[` without `]`.
    OpenClass,
    /// `**` next to anything other than a separator.
    PartialAnyFolders,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenClass => "a [ needs a closing ] in the same name; [[] matches the character [",
            Self::PartialAnyFolders => "** matches folders, and must be a whole name, as in **/*.gen5",
        })
    }
}

impl std::error::Error for Invalid {}

impl Pattern {
    /// Whether a path contains pattern characters.
    pub(super) fn is_one(path: &Path) -> bool {
        path.as_os_str().as_encoded_bytes().iter().any(|byte| matches!(byte, b'*' | b'?' | b'['))
    }

    pub(super) fn parse(path: &Path) -> Result<Self, Invalid> {
        let mut start = PathBuf::new();
        let mut steps = Vec::new();
        for component in path.components() {
            match Step::parse(component)? {
                Step::Exactly(name) if steps.is_empty() => start.push(name),
                Step::AnyFolders if matches!(steps.last(), Some(Step::AnyFolders)) => {}
                step => steps.push(step),
            }
        }
        let last = path.as_os_str().as_encoded_bytes().last();
        let only_folders = last.is_some_and(|&byte| is_separator(byte.into()));
        Ok(Self { start, steps, only_folders })
    }
}

impl Step {
    fn parse(component: Component<'_>) -> Result<Self, Invalid> {
        let name = component.as_os_str();
        match component {
            Component::Normal(_) if name == "**" => Ok(Self::AnyFolders),
            Component::Normal(_) if Pattern::is_one(Path::new(name)) => {
                NamePattern::parse(name).map(Self::Matching)
            }
            _ => Ok(Self::Exactly(name.to_owned())),
        }
    }
}

/// A pattern of one name, without separators.
#[derive(Debug)]
pub(super) struct NamePattern(Vec<Token>);

#[derive(Debug)]
enum Token {
    /// `*`: any characters, or none.
    Any,
    /// `?`, `[…]`, or a literal character.
    One(Class),
}

/// The characters allowed at one position of a name.
#[derive(Debug)]
enum Class {
    Only(Character),
    Any,
    In(Vec<(Character, Character)>),
    NotIn(Vec<(Character, Character)>),
}

/// A character of a name, or a byte that is not part of valid UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Character {
    Text(char),
    Byte(u8),
}

fn characters(name: &OsStr) -> Vec<Character> {
    let mut characters = Vec::with_capacity(name.len());
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        characters.extend(chunk.valid().chars().map(Character::Text));
        characters.extend(chunk.invalid().iter().copied().map(Character::Byte));
    }
    characters
}

impl NamePattern {
    pub(super) fn parse(name: &OsStr) -> Result<Self, Invalid> {
        let characters = characters(name);
        let mut rest = characters.as_slice();
        let mut tokens = Vec::new();
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            tokens.push(match first {
                Character::Text('*') if after.first() == Some(&Character::Text('*')) => {
                    return Err(Invalid::PartialAnyFolders);
                }
                Character::Text('*') => Token::Any,
                Character::Text('?') => Token::One(Class::Any),
                Character::Text('[') => {
                    let (class, after) = Class::parse(after).ok_or(Invalid::OpenClass)?;
                    rest = after;
                    Token::One(class)
                }
                other => Token::One(Class::Only(other)),
            });
        }
        Ok(Self(tokens))
    }

    /// Whether a name matches. A hidden name only matches a pattern that also starts with a dot.
    pub(super) fn matches(&self, name: &OsStr) -> bool {
        let starts_with_dot = matches!(self.0.first(), Some(Token::One(Class::Only(Character::Text('.')))));
        if super::is_hidden(name) && !starts_with_dot {
            return false;
        }
        let mut tokens = self.0.as_slice();
        let characters = characters(name);
        let mut rest = characters.as_slice();
        // The tokens after the last `*`, and the rest of the name to try them on next. Earlier `*`s
        // need no second try: the last one can skip any characters that they would leave to it.
        let mut again: Option<(&[Token], &[Character])> = None;
        loop {
            match (tokens.split_first(), rest.split_first()) {
                (Some((Token::Any, after)), _) => {
                    again = Some((after, rest));
                    tokens = after;
                    continue;
                }
                (Some((Token::One(class), after)), Some((&first, left))) if class.contains(first) => {
                    (tokens, rest) = (after, left);
                    continue;
                }
                (None, None) => return true,
                _ => {}
            }
            let Some((after, [_, left @ ..])) = again else { return false };
            again = Some((after, left));
            (tokens, rest) = (after, left);
        }
    }
}

impl Class {
    /// Parses the class after a `[`, and returns it with the text after its `]`. A `]` at the start
    /// is a member of the class.
    fn parse(text: &[Character]) -> Option<(Self, &[Character])> {
        let (is_negated, text) = match text {
            [Character::Text('!'), text @ ..] => (true, text),
            text => (false, text),
        };
        let end = 1 + text.iter().skip(1).position(|&character| character == Character::Text(']'))?;
        let mut inner = text.get(..end)?;
        let rest = text.get(end + 1..)?;
        let mut ranges = Vec::new();
        while let [first, after @ ..] = inner {
            let (last, after) = match after {
                [Character::Text('-'), last, after @ ..] => (last, after),
                after => (first, after),
            };
            ranges.push((*first, *last));
            inner = after;
        }
        Some((if is_negated { Self::NotIn(ranges) } else { Self::In(ranges) }, rest))
    }

    fn contains(&self, character: Character) -> bool {
        let is_in = |ranges: &[(Character, Character)]| {
            ranges.iter().any(|(first, last)| (first..=last).contains(&&character))
        };
        match self {
            Self::Only(only) => *only == character,
            Self::Any => true,
            Self::In(ranges) => is_in(ranges),
            Self::NotIn(ranges) => !is_in(ranges),
        }
    }
}
