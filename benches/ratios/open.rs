//! Opening files of many latents. Both sides include the time to drop the result.

use std::path::{Path, PathBuf};
use std::time::Duration;

use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use zerocopy::IntoBytes;

use super::common::{Batch, KIB, Scratch, map, write_options};
use super::compare::{Goal, Table, timed};

/// The number of opens in one timing.
const REPEATS: u32 = 20;

pub(crate) fn rows(table: &mut Table) {
    let run = table.run;
    table.row(
        "open a file of 1,000 latents, against safetensors with 1,000 tensors",
        Goal::AtLeast(1.0),
        || {
            let scratch = Scratch::new();
            let batch = Batch::noise(1000, KIB);
            let (ours, theirs) = (scratch.stored(&batch, write_options()), safetensors(&scratch, &batch));
            run.in_turn(|| open(&ours, 1000), || open_safetensors(&theirs, 1000)).speeds_of(REPEATS)
        },
    );
    table.row("open a file of 10,000 latents, against 1,000, times the time", Goal::AtMost(11.0), || {
        let scratch = Scratch::new();
        let [many, few] =
            [10_000, 1000].map(|count| scratch.stored(&Batch::noise(count, KIB), write_options()));
        run.in_turn(|| open(&many, 10_000), || open(&few, 1000)).times_of(REPEATS)
    });
}

/// Maps the file and parses its records.
fn open(path: &Path, count: usize) -> Duration {
    let once = || assert_eq!(map(path).latents().len(), count);
    timed(|| (0..REPEATS).for_each(|_| once())).0
}

/// Maps the file and parses its records. `deserialize` keeps its records private, so `tensors` is
/// called to get usable ones, as ours are.
fn open_safetensors(path: &Path, count: usize) -> Duration {
    let once = || {
        let file = std::fs::File::open(path).unwrap();
        // SAFETY: the file is in a folder of this program, which does not change it after writing.
        let bytes = unsafe { Mmap::map(&file) }.unwrap();
        assert_eq!(SafeTensors::deserialize(&bytes).unwrap().tensors().len(), count);
    };
    timed(|| (0..REPEATS).for_each(|_| once())).0
}

/// Writes the same latents with safetensors.
fn safetensors(scratch: &Scratch, batch: &Batch<f32>) -> PathBuf {
    let tensors = batch.keys.iter().zip(&batch.values).map(|(key, values)| {
        (key, TensorView::new(Dtype::F32, batch.shape.clone(), values.as_bytes()).unwrap())
    });
    let path = scratch.path();
    safetensors::serialize_to_file(tensors, None, &path).unwrap();
    path
}
