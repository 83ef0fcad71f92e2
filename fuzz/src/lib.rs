//! Fuzz targets of gen5. Each is a function of bytes that panics if what it looks at does not hold; whoever calls it, the
//! fuzzer or a test that replays inputs, needs to know nothing else.
//!
//! What the targets hold is said in `README.md` beside this, and at each of them.

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

/// A target.
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

/// Has rayon work on the calling thread alone, so that the same input takes the same way each time. For the fuzzer; where
/// several threads run targets, they would wait for this one.
pub fn on_one_thread() {
    let _ = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global();
}
