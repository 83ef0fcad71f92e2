//! Byte shuffle at its default level, against our own compression at level 3 without it: float16 noise.

use std::cell::RefCell;
use std::time::Duration;

use gen5::{Compression, WriteOptions, f16};

use super::common::{Batch, Scratch, clear, map, write_options};
use super::compare::{Goal, Outcome, Run, Table, timed};
use super::compressed;

pub(crate) fn rows(table: &mut Table) {
    let run = table.run;
    let mib = 256 / run.divisor;
    let name = format!("write 1 float16 latent of {mib} MiB, shuffled and compressed, against compressed");
    table.row(&name, Goal::AtLeast(1.8), || write(run));
    let name = format!("read 1 float16 latent of {mib} MiB, shuffled and compressed, against compressed");
    table.row(&name, Goal::AtLeast(2.3), || read(run));
    let name = format!("size of 1 float16 latent of {mib} MiB, shuffled and compressed, against raw");
    table.row(&name, Goal::AtMost(0.85), || size(run));
}

fn shuffled(run: Run) -> WriteOptions {
    write_options().compression(Compression::Shuffled).part_size(compressed::part_size(run))
}

fn noise(run: Run) -> Batch<f16> {
    Batch::noise(1, 2 * run.size(256)).to_float16()
}

fn write(run: Run) -> Outcome {
    let (batch, scratch) = (noise(run), Scratch::new());
    let (shuffled, plain) = (shuffled(run), compressed::options(run));
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
    let stored = |options| map(&scratch.stored(&batch, options));
    let (shuffled, plain) = (stored(shuffled(run)), stored(compressed::options(run)));
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
    let [ours, against] = [shuffled(run), write_options().compression(Compression::None)].map(|options| {
        let path = scratch.fresh();
        let summary = batch.write(options, &path);
        batch.assert_stored(&path);
        summary.file_size as f64
    });
    let show = |size: f64| format!("{:.1} MB", size / 1e6);
    Outcome { ours: show(ours), against: show(against), ratio: ours / against, range: None }
}
