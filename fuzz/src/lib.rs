//! Fuzz targets of gen5. Each is a function of bytes that panics if an invariant fails. The fuzzer
//! and the tests call the same functions.
//!
//! `README.md` and the documentation of each target list the invariants.

mod backends_agree;
#[allow(dead_code, reason = "the tests build files with it, too, and each uses a part of it")]
#[path = "../../tests/support/build.rs"]
mod build;
mod chunk_decode;
mod command;
mod command_line;
mod content;
mod copies;
mod extract_paths;
mod image_text;
mod other_decoders;
mod parse_table;
mod show_text;
mod structured_file;
mod trickle;
mod writer_ops;

pub use backends_agree::backends_agree;
pub use chunk_decode::chunk_decode;
pub use command_line::command_line;
pub use extract_paths::extract_paths;
pub use image_text::image_text;
pub use parse_table::parse_table;
pub use show_text::show_text;
pub use structured_file::structured_file;
pub use writer_ops::writer_ops;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// The targets by name.
pub const TARGETS: [(&str, Target); 9] = [
    ("backends_agree", backends_agree),
    ("chunk_decode", chunk_decode),
    ("command_line", command_line),
    ("extract_paths", extract_paths),
    ("image_text", image_text),
    ("parse_table", parse_table),
    ("show_text", show_text),
    ("structured_file", structured_file),
    ("writer_ops", writer_ops),
];

/// Makes rayon use only the calling thread, so that an input always runs the same way. Only the
/// fuzzer calls this: tests that run targets on several threads would wait for one another.
pub fn on_one_thread() {
    let _ = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global();
}
