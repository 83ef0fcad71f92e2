//! Ours against a limit of the machine, or against a peer, in turn and in one run.
//!
//! ```sh
//! cargo bench --bench ratios                  # all, some minutes
//! cargo bench --bench ratios -- --quick       # at a eighth of the sizes and fewer pairs
//! cargo bench --bench ratios -- "write 1"     # the scenarios with this in their names
//! ```
//!
//! Each side is warmed up once and then timed in turn, ours first. A ratio is the median of the ratios of the pairs, as
//! how many times the speed of the other ours is, unless the scenario says "size" or "times the time". Every round's
//! result is checked, outside what is timed: sums, values, hashes.
//!
//! Everything runs in pools of [`THREADS`] threads, where "one thread" is not said. Values are standard normal noise.
//! What is written goes to a new file each time, unsynced on both sides, and is removed outside what is timed.
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

/// What the goals were set for.
const THREADS: usize = 2;

fn main() {
    let (mut run, mut filter) = (Run::FULL, String::new());
    for argument in std::env::args().skip(1) {
        match &*argument {
            "--quick" => run = Run::QUICK,
            "--bench" => {} // says that cargo has called
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
