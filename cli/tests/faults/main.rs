//! Files after failed or interrupted writes: system calls that return errors, full disks, limits,
//! SIGKILL, and loss of power. These tests need Linux with strace, a C compiler, and either root or
//! user namespaces, so plain `cargo test` leaves them out:
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

/// A generator of the same numbers in each run (SplitMix64).
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

    /// Returns true with this probability.
    fn happens(&mut self, likelihood: f64) -> bool {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64 <= likelihood
    }
}
