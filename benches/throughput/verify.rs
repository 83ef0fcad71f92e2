//! `verify`: every hash of a file. Throughput is in bytes of the values.

use criterion::{BenchmarkId, Criterion};
use gen5::Reader;

use super::common::{Batch, MIB, Scratch, map};
use super::{scaled, storages, throughput};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("verify");
    for (count, each) in [(64, MIB), (8, 8 * MIB)] {
        let batch = Batch::noise(count, scaled(each));
        let size = format!("{count}x{}MiB", each / MIB);
        group.throughput(throughput(batch.size()));
        for (storage, options) in storages() {
            let scratch = Scratch::new();
            let path = scratch.stored(&batch, options);
            for (way, reader) in [("mapped", map(&path)), ("opened", Reader::open(&path).unwrap())] {
                group.bench_function(BenchmarkId::new(format!("{way}_{storage}"), &size), |bencher| {
                    bencher.iter(|| {
                        assert_eq!(reader.verify().unwrap().payload_size(), batch.size() as u64);
                    });
                });
            }
        }
    }
    group.finish();
}
