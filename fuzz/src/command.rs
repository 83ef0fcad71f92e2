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
pub(crate) fn gen5(words: &[&str], input: &[u8]) -> Ran {
    let (code, out, messages) = gen5_for_bytes(words, input);
    let out = String::from_utf8(out).expect("what is for people is text");
    Ran { code, out, messages }
}

/// The same for a command whose results are no text: exit code, results, messages.
pub(crate) fn gen5_for_bytes(words: &[&str], input: &[u8]) -> (u8, Vec<u8>, String) {
    let args: Vec<OsString> = ["gen5"].iter().chain(words).map(OsString::from).collect();
    gen5_args(&args, input, false)
}

/// The same for any arguments, the program's name first, and with streams that may be a terminal.
pub(crate) fn gen5_args(args: &[OsString], mut input: &[u8], on_terminal: bool) -> (u8, Vec<u8>, String) {
    let (mut out, mut messages) = (Vec::new(), Vec::new());
    let streams = Streams {
        input: &mut input,
        out: &mut out,
        messages: &mut messages,
        is_terminal: on_terminal,
        messages_on_terminal: on_terminal,
    };
    let code = gen5_cli::run_in(args.iter().cloned(), streams);
    (code, out, String::from_utf8(messages).expect("messages are text"))
}
