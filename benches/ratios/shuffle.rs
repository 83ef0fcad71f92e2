//! Byte shuffle, against our own compression without it: float16 noise, at the same level.

use std::cell::RefCell;
use std::time::Duration;

use gen5::{Compression, WriteOptions, f16};

use super::common::{Batch, Scratch, clear, map};
use super::compare::{Goal, Outcome, Run, Table, timed};
use super::compressed;

/// How latents are compressed with their bytes shuffled; `None` as long as there is no such way.
const SHUFFLED: Option<Compression> = None; // enable these rows: Some(Compression::Shuffled)

pub(crate) fn rows(table: &mut Table) {
    let Some(compression) = SHUFFLED else { return };
    let run = table.run;
    let mib = 256 / run.divisor;
    let name = format!("write 1 float16 latent of {mib} MiB, shuffled and compressed, against compressed");
    table.row(&name, Goal::AtLeast(1.8), || write(run, compression));
    let name = format!("read 1 float16 latent of {mib} MiB, shuffled and compressed, against compressed");
    table.row(&name, Goal::AtLeast(2.3), || read(run, compression));
    let name = format!("size of 1 float16 latent of {mib} MiB, shuffled and compressed, against compressed");
    table.row(&name, Goal::AtMost(0.85), || size(run, compression));
}

/// What shuffled latents are written with, and what others.
fn both_options(run: Run, compression: Compression) -> [WriteOptions; 2] {
    let plain = compressed::options(run);
    [plain.clone().compression(compression), plain]
}

fn noise(run: Run) -> Batch<f16> {
    Batch::noise(1, 2 * run.size(256)).to_float16()
}

fn write(run: Run, compression: Compression) -> Outcome {
    let (batch, scratch) = (noise(run), Scratch::new());
    let [shuffled, plain] = both_options(run, compression);
    let time = |options: &WriteOptions| {
        let path = scratch.fresh();
        let (took, _) = timed(|| batch.write(options.clone(), &path));
        batch.assert_stored(&path);
        took
    };
    run.in_turn(|| time(&shuffled), || time(&plain)).speeds(batch.size())
}

/// Both files are mapped already, and read into the same buffer.
fn read(run: Run, compression: Compression) -> Outcome {
    let (batch, scratch) = (noise(run), Scratch::new());
    let [shuffled, plain] =
        both_options(run, compression).map(|options| map(&scratch.stored(&batch, options)));
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

fn size(run: Run, compression: Compression) -> Outcome {
    let (batch, scratch) = (noise(run), Scratch::new());
    let [ours, against] = both_options(run, compression).map(|options| {
        let path = scratch.fresh();
        let summary = batch.write(options, &path);
        batch.assert_stored(&path);
        summary.file_size as f64 / batch.size() as f64
    });
    let show = |share: f64| format!("{share:.3} of the values");
    Outcome { ours: show(ours), against: show(against), ratio: ours / against, range: None }
}
