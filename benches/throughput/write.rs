//! `write`: from values in memory to a published file, not synced. Each iteration writes a new file
//! and removes it outside the measured time.

use criterion::{BatchSize, BenchmarkId, Criterion};
use gen5::Dtype;
use gen5::NonFinite;

use super::common::{Batch, MIB, Scratch, write_options};
use super::{scaled, storages, throughput};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write");
    let scratch = Scratch::new();
    for (count, each) in [(64, MIB), (1, 64 * MIB)] {
        let batch = Batch::noise(count, scaled(each));
        let half = batch.to_float16();
        let size = format!("{count}x{}MiB", each / MIB);
        group.throughput(throughput(batch.size()));
        let [(_, raw), ..] = storages();
        let unchecked = ("raw_unchecked", raw.non_finite(NonFinite::Keep));
        for (storage, options) in storages().into_iter().chain([unchecked]) {
            group.bench_function(BenchmarkId::new(storage, &size), |bencher| {
                bencher.iter_batched(
                    || scratch.fresh(),
                    |path| {
                        assert_eq!(batch.write(options.clone(), &path).latents.len(), count);
                        path
                    },
                    BatchSize::PerIteration,
                );
                let path = scratch.fresh();
                batch.write(options.clone(), &path);
                batch.assert_stored(&path);
            });
        }
        group.bench_function(BenchmarkId::new("raw_as_float16", &size), |bencher| {
            bencher.iter_batched(
                || scratch.fresh(),
                |path| {
                    assert_eq!(batch.write(write_options().dtype(Dtype::F16), &path).latents.len(), count);
                    path
                },
                BatchSize::PerIteration,
            );
            let path = scratch.fresh();
            batch.write(write_options().dtype(Dtype::F16), &path);
            half.assert_stored(&path);
        });
    }
    group.finish();
}
