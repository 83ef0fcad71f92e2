//! What is left when writing fails, or ends in its midst: system calls that return an error, full disks, limits, SIGKILL, and
//! the loss of power. It takes Linux with strace, a C compiler and either root or user namespaces, so plain `cargo test`
//! leaves it out:
//!
//! ```sh
//! cargo test --test faults
//! ```
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, unreachable_pub)]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]

mod changes;
mod disk;
mod errors;
mod kills;
mod power;
mod room;
mod scene;
mod short;
mod strace;
#[allow(dead_code)]
#[path = "../it/support.rs"]
mod support;

/// Numbers that are the same in each run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Whether something of this likelihood happens.
    fn happens(&mut self, likelihood: f64) -> bool {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64 <= likelihood
    }
}
