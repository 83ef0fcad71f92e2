//! Two threads against one: the same call in a pool of each size.

use std::time::Duration;

use rayon::ThreadPool;

use super::common::{Batch, Scratch, clear, map, write_options};
use super::compare::{Goal, Outcome, Run, Table, pool, timed};
use super::compressed;

const GOAL: Goal = Goal::AtLeast(1.85);

pub(crate) fn rows(table: &mut Table) {
    let run = table.run;
    let mib = |mib: usize| mib / run.divisor;
    let name = format!("verify 8 raw latents, {} MiB, two threads against one", mib(512));
    table.row(&name, GOAL, || verify(run));
    let name = format!("compress 1 latent of {} MiB, two threads against one", mib(256));
    table.row(&name, GOAL, || compress(run));
    let name = format!("decompress 1 latent of {} MiB, two threads against one", mib(256));
    table.row(&name, GOAL, || decompress(run));
}

/// Times `work` with pools of two threads and of one.
fn two_against_one(run: Run, size: usize, work: impl FnMut(&ThreadPool) -> Duration) -> Outcome {
    let (one, two) = (pool(1), pool(2));
    let work = std::cell::RefCell::new(work);
    let time = |pool: &ThreadPool| (*work.borrow_mut())(pool);
    run.in_turn(|| time(&two), || time(&one)).speeds(size)
}

fn verify(run: Run) -> Outcome {
    let (batch, scratch) = (Batch::noise(8, run.size(512) / 8), Scratch::new());
    let reader = map(&scratch.stored(&batch, write_options()));
    two_against_one(run, batch.size(), |pool| {
        let (took, report) = timed(|| pool.install(|| reader.verify().unwrap()));
        assert_eq!(report.payload_size(), batch.size() as u64);
        took
    })
}

fn compress(run: Run) -> Outcome {
    let (batch, scratch) = (Batch::noise(1, run.size(256)), Scratch::new());
    let options = compressed::options(run);
    two_against_one(run, batch.size(), |pool| {
        let path = scratch.fresh();
        let (took, _) = timed(|| pool.install(|| batch.write(options.clone(), &path)));
        batch.assert_stored(&path);
        took
    })
}

fn decompress(run: Run) -> Outcome {
    let (batch, scratch) = (Batch::noise(1, run.size(256)), Scratch::new());
    let reader = map(&scratch.stored(&batch, compressed::options(run)));
    let mut buffers = batch.warm_buffers();
    two_against_one(run, batch.size(), |pool| {
        clear(&mut buffers);
        let (took, ()) = timed(|| pool.install(|| batch.load_into(&reader, &mut buffers)));
        batch.assert_read(&buffers);
        took
    })
}
