//! Times two sides in turn, and tabulates the results.

use std::fmt;
use std::time::{Duration, Instant};

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::common::MIB;

/// The extent of a run.
#[derive(Clone, Copy)]
pub(crate) struct Run {
    /// The number of times each side is timed.
    pub(crate) pairs: usize,
    /// The divisor of all sizes.
    pub(crate) divisor: usize,
}

impl Run {
    pub(crate) const FULL: Self = Self { pairs: 9, divisor: 1 };
    pub(crate) const QUICK: Self = Self { pairs: 5, divisor: 8 };

    /// The size in bytes that corresponds to `mib` MiB of a full run.
    pub(crate) fn size(self, mib: usize) -> usize {
        mib * MIB / self.divisor
    }

    /// Times both sides in turn: ours, the other, ours, the other. Each closure returns the time of
    /// the relevant part, and prepares, checks and cleans up outside it. The first round of each is
    /// a warm-up.
    pub(crate) fn in_turn(
        self,
        mut ours: impl FnMut() -> Duration,
        mut against: impl FnMut() -> Duration,
    ) -> Pairs {
        ours();
        against();
        Pairs((0..self.pairs).map(|_| [ours().as_secs_f64(), against().as_secs_f64()]).collect())
    }
}

/// The time that `work` takes, and what it returns.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

/// The seconds of both sides, ours first.
pub(crate) struct Pairs(Vec<[f64; 2]>);

impl Pairs {
    /// Each side's median speed for `bytes` bytes, and the ratio of our speed to the other's.
    pub(crate) fn speeds(&self, bytes: usize) -> Outcome {
        let speed = |seconds: f64| format!("{:.2} GB/s", bytes as f64 / seconds / 1e9);
        self.outcome(speed, |[ours, against]| against / ours)
    }

    /// Each side's median time for one of `repeats`, and the ratio of our speed to the other's.
    pub(crate) fn speeds_of(&self, repeats: u32) -> Outcome {
        self.outcome(|seconds| milliseconds(seconds / f64::from(repeats)), |[ours, against]| against / ours)
    }

    /// Each side's median time for one of `repeats`, and the ratio of our time to the other's.
    pub(crate) fn times_of(&self, repeats: u32) -> Outcome {
        self.outcome(|seconds| milliseconds(seconds / f64::from(repeats)), |[ours, against]| ours / against)
    }

    /// The ratio is the median over the pairs, since a temporary slowdown of the machine affects
    /// both sides of a pair.
    fn outcome(&self, show: impl Fn(f64) -> String, ratio: impl Fn([f64; 2]) -> f64) -> Outcome {
        let ratios: Vec<f64> = self.0.iter().map(|pair| ratio(*pair)).collect();
        let [ours, against] = [0, 1].map(|side| show(median(self.0.iter().map(|pair| pair[side]))));
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        Outcome { ours, against, ratio: median(ratios), range: Some((least, most)) }
    }
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.3} ms", seconds * 1e3)
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

/// The result of a comparison.
pub(crate) struct Outcome {
    pub(crate) ours: String,
    pub(crate) against: String,
    pub(crate) ratio: f64,
    /// The least and greatest ratio of a pair; `None` unless times are compared.
    pub(crate) range: Option<(f64, f64)>,
}

/// The threshold for a ratio.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

impl Goal {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(goal) => ratio >= goal,
            Self::AtMost(goal) => ratio <= goal,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(goal) => write!(f, ">= {goal:.2}"),
            Self::AtMost(goal) => write!(f, "<= {goal:.2}"),
        }
    }
}

/// A rayon pool. Both sides run in pools of known size.
pub(crate) fn pool(threads: usize) -> ThreadPool {
    ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// The table of comparisons.
pub(crate) struct Table {
    pub(crate) run: Run,
    filter: String,
    pool: ThreadPool,
    rows: Vec<[String; 6]>,
}

impl Table {
    /// A table of the scenarios whose names contain `filter`, measured on `threads` threads.
    pub(crate) fn new(run: Run, filter: String, threads: usize) -> Self {
        Self { run, filter, pool: pool(threads), rows: Vec::new() }
    }

    /// Measures one scenario on a thread of the pool, unless it is filtered out.
    pub(crate) fn row(&mut self, scenario: &str, goal: Goal, measure: impl FnOnce() -> Outcome + Send) {
        if !scenario.contains(&self.filter) {
            return;
        }
        eprint!("{scenario}: ");
        let (took, Outcome { ours, against, ratio, range }) = timed(|| self.pool.install(measure));
        let range = range.map_or_else(String::new, |(least, most)| format!(" ({least:.3} to {most:.3})"));
        eprintln!("{ratio:.3}{range}, goal {goal}, measured in {:.1} s", took.as_secs_f64());
        let verdict = if goal.holds(ratio) { "holds" } else { "short" };
        self.rows.push([
            scenario.to_owned(),
            ours,
            against,
            format!("{ratio:.3}"),
            goal.to_string(),
            verdict.into(),
        ]);
    }

    /// The table in Markdown.
    pub(crate) fn print(&self) {
        println!("| scenario | ours | against | ratio | goal | holds or short |");
        println!("|---|---|---|---|---|---|");
        for row in &self.rows {
            println!("| {} |", row.join(" | "));
        }
    }
}
