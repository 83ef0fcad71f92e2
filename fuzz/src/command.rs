//! Runs the command line in this process.

use std::ffi::OsString;

use gen5_cli::Streams;

/// The result of a command.
pub(crate) struct Ran {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) messages: String,
}

/// Runs `gen5` with these words and this standard input.
pub(crate) fn gen5(words: &[&str], input: &[u8]) -> Ran {
    let (code, out, messages) = gen5_for_bytes(words, input);
    let out = String::from_utf8(out).expect("what is for people is text");
    Ran { code, out, messages }
}

/// Like [`gen5`], for results that are not text. Returns the exit code, results and messages.
pub(crate) fn gen5_for_bytes(words: &[&str], input: &[u8]) -> (u8, Vec<u8>, String) {
    let args: Vec<OsString> = ["gen5"].iter().chain(words).map(OsString::from).collect();
    gen5_args(&args, input, false)
}

/// Like [`gen5_for_bytes`], for any arguments, starting with the program's name. The output streams
/// may be terminals.
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
