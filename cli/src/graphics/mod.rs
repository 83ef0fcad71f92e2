//! Pictures on terminals: by a graphics protocol where the terminal has one, or as half blocks,
//! which every terminal can show.

mod blocks;
mod inline;
mod sixel;

use std::io::{self, Write};

use image::RgbImage;

pub use blocks::Colors;

/// A terminal's protocol for pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// kitty's protocol, also supported by Ghostty and Konsole.
    Kitty,
    /// iTerm2's protocol, also supported by WezTerm, mintty and others.
    Iterm2,
    /// DEC's sixel, with 256 colours.
    Sixel,
    /// Upper half blocks in two colours: each cell has two pixels.
    Blocks(Colors),
}

/// The first Konsole with kitty's protocol, 22.04.
const KONSOLE: u32 = 220_400;

impl Protocol {
    /// The protocol of the terminal described by these variables; `None` if it only shows text, or
    /// if they do not say. The terminal is not queried: that means waiting for its response and
    /// separating it from typed input.
    pub fn of_terminal(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        let value = |name: &str| variable(name).unwrap_or_default();
        let term = value("TERM");
        let program = value("TERM_PROGRAM");
        // On Windows there is no TERM, and its terminal sets a variable of its own.
        let others = ["TERM_PROGRAM", "COLORTERM", "WT_SESSION"];
        if term == "dumb" || term.is_empty() && !others.into_iter().any(is_set) {
            return None;
        }
        let blocks = Self::Blocks(Colors::of_terminal(&variable));
        // Programs inside a multiplexer inherit the variables of the outer terminal, which does not
        // receive their output.
        if is_set("TMUX") || is_set("STY") || term.starts_with("tmux") || term.starts_with("screen") {
            return Some(blocks);
        }
        match program.as_str() {
            "iTerm.app" | "WezTerm" | "mintty" | "rio" => return Some(Self::Iterm2),
            "ghostty" => return Some(Self::Kitty),
            _ => {}
        }
        Some(if is_set("KITTY_WINDOW_ID") || term == "xterm-kitty" || term == "xterm-ghostty" {
            Self::Kitty
        } else if value("LC_TERMINAL") == "iTerm2" {
            Self::Iterm2
        } else if value("KONSOLE_VERSION").parse::<u32>().is_ok_and(|version| version >= KONSOLE) {
            Self::Kitty
        } else if term.starts_with("foot") || term.starts_with("mlterm") || term == "yaft-256color" {
            Self::Sixel
        } else {
            blocks
        })
    }

    /// Whether pixels are half cells.
    pub fn is_in_cells(self) -> bool {
        matches!(self, Self::Blocks(_))
    }

    /// Writes a picture and ends the line.
    ///
    /// # Errors
    ///
    /// If `out` fails.
    pub fn write(self, picture: &RgbImage, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Kitty => inline::kitty(picture, out),
            Self::Iterm2 => inline::iterm2(picture, out),
            Self::Sixel => sixel::write(picture, out),
            Self::Blocks(colors) => blocks::write(picture, colors, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_known_by_their_variables() {
        let blocks = Protocol::Blocks(Colors::Palette);
        let table: [(&[(&str, &str)], Protocol); 13] = [
            (&[("TERM", "xterm-kitty"), ("KITTY_WINDOW_ID", "1")], Protocol::Kitty),
            (&[("TERM_PROGRAM", "ghostty"), ("TERM", "xterm-ghostty")], Protocol::Kitty),
            (&[("TERM_PROGRAM", "iTerm.app"), ("TERM", "xterm-256color")], Protocol::Iterm2),
            (&[("TERM_PROGRAM", "WezTerm"), ("TERM", "xterm-256color")], Protocol::Iterm2),
            (&[("LC_TERMINAL", "iTerm2"), ("TERM", "xterm-256color")], Protocol::Iterm2),
            (&[("TERM", "xterm-256color"), ("KONSOLE_VERSION", "221203")], Protocol::Kitty),
            (&[("TERM", "xterm-256color"), ("KONSOLE_VERSION", "201200")], blocks),
            (&[("TERM", "foot")], Protocol::Sixel),
            (&[("TERM", "xterm-256color")], blocks),
            (&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")], Protocol::Blocks(Colors::All)),
            // tmux keeps the variables of the terminal in which it was started.
            (&[("TERM", "tmux-256color"), ("TMUX", "/tmp/x,1,0"), ("KITTY_WINDOW_ID", "1")], blocks),
            (&[("TERM", "screen"), ("STY", "1.x"), ("TERM_PROGRAM", "iTerm.app")], blocks),
            (&[("WT_SESSION", "1")], Protocol::Blocks(Colors::All)),
        ];
        for (variables, protocol) in table {
            let variable = |name: &str| {
                variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(Protocol::of_terminal(variable), Some(protocol), "{variables:?}");
        }
        for term in [Some("dumb"), Some(""), None] {
            let variable = |name: &str| term.filter(|_| name == "TERM").map(str::to_owned);
            assert_eq!(Protocol::of_terminal(variable), None, "{term:?}");
        }
    }
}
