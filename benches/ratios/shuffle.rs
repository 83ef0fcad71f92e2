//! Byte shuffle of noise at its default level, against this crate's compression without it at level
//! 3.

use std::cell::RefCell;
use std::time::Duration;

use gen5::{Compression, Element, WriteOptions, bf16};

use super::common::{Batch, Scratch, clear, map, write_options};
use super::compare::{Goal, Outcome, Run, Table, timed};
use super::compressed;

/// The goals of one dtype.
#[derive(Clone, Copy)]
struct Goals {
    write: f64,
    read: f64,
    size: f64,
}

pub(crate) fn rows(table: &mut Table) {
    let run = table.run;
    let bytes = run.size(256);
    rows_of(table, Goals { write: 1.8, read: 2.3, size: 0.85 }, || Batch::noise(1, 2 * bytes).to_float16());
    rows_of(table, Goals { write: 1.0, read: 1.5, size: 0.84 }, || Batch::noise(1, bytes));
    rows_of(table, Goals { write: 1.0, read: 1.3, size: 0.68 }, || {
        Batch::noise(1, 2 * bytes).to(bf16::from_f32)
    });
}

/// Adds the rows of one dtype; `noise` returns one latent of it.
fn rows_of<T: Element>(table: &mut Table, goals: Goals, noise: impl Fn() -> Batch<T> + Sync) {
    let run = table.run;
    let what = format!("1 {} latent of {} MiB, shuffled and compressed", T::DTYPE, 256 / run.divisor);
    table.row(&format!("write {what}, against compressed"), Goal::AtLeast(goals.write), || {
        write(run, &noise())
    });
    table.row(&format!("read {what}, against compressed"), Goal::AtLeast(goals.read), || read(run, &noise()));
    table.row(&format!("size of {what}, against raw"), Goal::AtMost(goals.size), || size(run, &noise()));
}

fn shuffled(run: Run) -> WriteOptions {
    write_options().compression(Compression::Shuffled).part_size(compressed::part_size(run))
}

fn write<T: Element>(run: Run, batch: &Batch<T>) -> Outcome {
    let scratch = Scratch::new();
    let (shuffled, plain) = (shuffled(run), compressed::options(run));
    let time = |options: &WriteOptions| {
        let path = scratch.fresh();
        let (took, _) = timed(|| batch.write(options.clone(), &path));
        batch.assert_stored(&path);
        took
    };
    run.in_turn(|| time(&shuffled), || time(&plain)).speeds(batch.size())
}

/// Both files are already mapped, and read into the same buffer.
fn read<T: Element>(run: Run, batch: &Batch<T>) -> Outcome {
    let scratch = Scratch::new();
    let stored = |options| map(&scratch.stored(batch, options));
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

fn size<T: Element>(run: Run, batch: &Batch<T>) -> Outcome {
    let scratch = Scratch::new();
    let [ours, against] = [shuffled(run), write_options().compression(Compression::Raw)].map(|options| {
        let path = scratch.fresh();
        let summary = batch.write(options, &path);
        batch.assert_stored(&path);
        summary.file_size as f64
    });
    let show = |size: f64| format!("{:.1} MB", size / 1e6);
    Outcome { ours: show(ours), against: show(against), ratio: ours / against, range: None }
}
