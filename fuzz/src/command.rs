//! The command line, run in this process.

use std::ffi::OsString;

use gen5_cli::Streams;

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) messages: String,
}

/// Runs `gen5` with these words, and this on standard input.
pub(crate) fn gen5(words: &[&str], mut input: &[u8]) -> Ran {
    let (mut out, mut messages) = (Vec::new(), Vec::new());
    let args = ["gen5"].iter().chain(words).map(OsString::from);
    let streams = Streams {
        input: &mut input,
        out: &mut out,
        messages: &mut messages,
        is_terminal: false,
        messages_on_terminal: false,
    };
    let code = gen5_cli::run_in(args, streams);
    let text = |bytes| String::from_utf8(bytes).expect("what is for people is text");
    Ran { code, out: text(out), messages: text(messages) }
}
