//! Output printed instead of running a command: help, or an error in the command line. clap words
//! both.

use clap::CommandFactory;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};
use gen5_picture::text::escape;

use crate::cli::Cli;
use crate::suggest::likely_meant;

/// The text of help or of an error, safe on a terminal except for clap's colours, if `coloured`.
pub(crate) fn text(error: clap::Error, coloured: bool) -> String {
    let text = harmless(with_suggestion(error)).render();
    if coloured { text.ansi().to_string() } else { text.to_string() }
}

/// Adds the command that was probably meant, which `gen5 help` omits.
fn with_suggestion(mut error: clap::Error) -> clap::Error {
    let command = Cli::command();
    let meant = match (error.get(ContextKind::InvalidSubcommand), error.get(ContextKind::SuggestedSubcommand))
    {
        (Some(ContextValue::String(name)), None) => {
            likely_meant(name, command.get_subcommands().map(clap::Command::get_name))
        }
        _ => None,
    };
    if let Some(meant) = meant {
        let meant = ContextValue::Strings(vec![meant.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, meant);
    }
    error
}

/// Escapes texts from the command line in an error.
fn harmless(mut error: clap::Error) -> clap::Error {
    let context: Vec<(ContextKind, ContextValue)> =
        error.context().map(|(kind, value)| (kind, value.clone())).collect();
    let given: Vec<String> = context.iter().flat_map(|(_, value)| unsafe_texts(value)).collect();
    // Styled texts contain colours, which must be kept, and texts from the command line, which are
    // known.
    let styled = |text: StyledStr| {
        let text = text.ansi().to_string();
        StyledStr::from(given.iter().fold(text, |text, given| text.replace(given, &escape(given))))
    };
    for (kind, value) in context {
        let value = match value {
            ContextValue::String(text) => ContextValue::String(escape(&text).into_owned()),
            ContextValue::Strings(texts) => {
                ContextValue::Strings(texts.iter().map(|text| escape(text).into_owned()).collect())
            }
            ContextValue::StyledStr(text) => ContextValue::StyledStr(styled(text)),
            ContextValue::StyledStrs(texts) => {
                ContextValue::StyledStrs(texts.into_iter().map(styled).collect())
            }
            other => other,
        };
        error.insert(kind, value);
    }
    error
}

/// The unsafe texts in a value.
fn unsafe_texts(value: &ContextValue) -> Vec<String> {
    let texts = match value {
        ContextValue::String(text) => std::slice::from_ref(text),
        ContextValue::Strings(texts) => texts,
        _ => &[],
    };
    texts.iter().filter(|text| escape(text) != text.as_str()).cloned().collect()
}
