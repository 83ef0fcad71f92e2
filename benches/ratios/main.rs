//! Compares this crate with a limit of the machine or with a peer, in turn and in one run.
//!
//! ```sh
//! cargo bench --bench ratios                  # all, some minutes
//! cargo bench --bench ratios -- --quick       # an eighth of the sizes, fewer pairs
//! cargo bench --bench ratios -- "write 1"     # scenarios with this in their names
//! ```
//!
//! Each side is warmed up once; then both are timed in turn, ours first. A ratio is the median over
//! the pairs of our speed divided by the other's, unless the scenario says "size" or "times the
//! time". Sums, values or hashes of every round are checked outside the measured time.
//!
//! All scenarios run in pools of [`THREADS`] threads, unless they say "one thread". Values are
//! standard normal noise. Written files are new each time, not synced on either side, and removed
//! outside the measured time.
#![allow(unsafe_code, clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)]

#[path = "../common/mod.rs"]
mod common;
mod compare;
mod compressed;
mod open;
mod peers;
mod raw;
mod shuffle;
mod threads;

use compare::{Run, Table};

/// The number of threads that the goals assume.
const THREADS: usize = 2;

fn main() {
    let (mut run, mut filter) = (Run::FULL, String::new());
    for argument in std::env::args().skip(1) {
        match &*argument {
            "--quick" => run = Run::QUICK,
            "--bench" => {} // added by cargo
            _ if argument.starts_with('-') => {
                eprintln!("usage: cargo bench --bench ratios -- [--quick] [SCENARIO]");
                std::process::exit(2);
            }
            _ => filter = argument,
        }
    }
    let mut table = Table::new(run, filter, THREADS);
    open::rows(&mut table);
    raw::rows(&mut table);
    compressed::rows(&mut table);
    shuffle::rows(&mut table);
    threads::rows(&mut table);
    let Run { pairs, divisor } = run;
    println!("{THREADS} threads, medians of {pairs} pairs, files in {}.", std::env::temp_dir().display());
    if divisor > 1 {
        println!(
            "Quick: sizes are those that the goals are for, divided by {divisor}. What is short here may hold there."
        );
    }
    println!();
    table.print();
}
