//! Byte shuffle, against our own compression without it, each at its default level: float16 noise.

use std::cell::RefCell;
use std::time::Duration;

use gen5::{Compression, WriteOptions, f16};

use super::common::{Batch, Scratch, clear, map, write_options};
use super::compare::{Goal, Outcome, Run, Table, timed};
use super::compressed;

pub(crate) fn rows(table: &mut Table) {
    let run = table.run;
    let mib = 256 / run.divisor;
    let name = format!("write 1 float16 latent of {mib} MiB, shuffled, against level 3 without");
    table.row(&name, Goal::AtLeast(1.8), || write(run));
    let name = format!("read 1 float16 latent of {mib} MiB, shuffled, against level 3 without");
    table.row(&name, Goal::AtLeast(2.3), || read(run));
    let name = format!("size of 1 float16 latent of {mib} MiB, shuffled, against its values");
    table.row(&name, Goal::AtMost(0.85), || size(run));
}

/// What shuffled latents are written with, at the level that is their default, and what others.
fn both_options(run: Run) -> [WriteOptions; 2] {
    let plain = compressed::options(run);
    let part_size = Some((run.size(256) / compressed::PARTS) as u64);
    [write_options().compression(Compression::Shuffled).part_size(part_size), plain]
}

fn noise(run: Run) -> Batch<f16> {
    Batch::noise(1, 2 * run.size(256)).to_float16()
}

fn write(run: Run) -> Outcome {
    let (batch, scratch) = (noise(run), Scratch::new());
    let [shuffled, plain] = both_options(run);
    let time = |options: &WriteOptions| {
        let path = scratch.fresh();
        let (took, _) = timed(|| batch.write(options.clone(), &path));
        batch.assert_stored(&path);
        took
    };
    run.in_turn(|| time(&shuffled), || time(&plain)).speeds(batch.size())
}

/// Both files are mapped already, and read into the same buffer.
fn read(run: Run) -> Outcome {
    let (batch, scratch) = (noise(run), Scratch::new());
    let [shuffled, plain] = both_options(run).map(|options| map(&scratch.stored(&batch, options)));
    let buffers = RefCell::new(batch.warm_buffers());
    let time = |reader| -> Duration {
        let buffers = &mut *buffers.borrow_mut();
        clear(buffers);
        let (took, ()) = timed(|| batch.load_into(reader, buffers));
        batch.assert_read(buffers);
        took
    };
    run.in_turn(|| time(&shuffled), || time(&plain)).speeds(batch.size())
}

fn size(run: Run) -> Outcome {
    let (batch, scratch) = (noise(run), Scratch::new());
    let [shuffled, _] = both_options(run);
    let path = scratch.fresh();
    let summary = batch.write(shuffled, &path);
    batch.assert_stored(&path);
    let (ours, against) = (summary.file_size, batch.size() as u64);
    let show = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    Outcome { ours: show(ours), against: show(against), ratio: ours as f64 / against as f64, range: None }
}
