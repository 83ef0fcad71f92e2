//! `read`: values from a file, borrowed and summed, or read into buffers whose pages are already
//! mapped.

use criterion::{BenchmarkId, Criterion};
use gen5::{ReadOptions, Reader, f16};

use super::common::{Batch, MIB, Scratch, map, sum};
use super::{scaled, storages, throughput};

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    for (count, each) in [(64, MIB), (1, 64 * MIB)] {
        let batch = Batch::noise(count, scaled(each));
        let size = format!("{count}x{}MiB", each / MIB);
        group.throughput(throughput(batch.size()));
        for (storage, options) in storages() {
            let scratch = Scratch::new();
            let path = scratch.stored(&batch, options);
            if storage == "raw" {
                let expected: f64 = batch.values.iter().map(|values| sum(values)).sum();
                group.bench_function(BenchmarkId::new("map_and_sum_raw", &size), |bencher| {
                    bencher.iter(|| {
                        let reader = map(&path);
                        let sums = batch.keys.iter().map(|key| sum(reader.slice(key).unwrap()));
                        assert_eq!(sums.sum::<f64>(), expected);
                    });
                });
            }
            let checked = ReadOptions::new().check_hashes(true).open(&path).unwrap();
            let readers = [
                ("mapped", map(&path)),
                ("opened", Reader::open(&path).unwrap()),
                ("opened_and_checked", checked),
            ];
            for (way, reader) in readers {
                let mut buffers = batch.warm_buffers();
                group.bench_function(BenchmarkId::new(format!("{way}_{storage}"), &size), |bencher| {
                    bencher.iter(|| batch.load_into(&reader, &mut buffers));
                    batch.assert_read(&buffers);
                });
            }
        }
    }
    rows_and_conversion(&mut group);
    group.finish();
}

fn rows_and_conversion(group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>) {
    let (batch, scratch) = (Batch::noise(1, scaled(64 * MIB)), Scratch::new());
    let values = &batch.values[0];
    let [(_, raw), ..] = storages();
    let reader = map(&scratch.stored(&batch, raw));
    let latent = reader.latent(&batch.keys[0]).unwrap();
    let (rows, row) = (batch.shape[0], values.len() / batch.shape[0]);
    group.throughput(throughput(batch.size()));
    group.bench_function("borrow_each_row/1x64MiB", |bencher| {
        bencher.iter(|| {
            for index in 0..rows {
                let slice = latent.rows(index..index + 1).unwrap();
                assert_eq!(slice.as_slice::<f32>().unwrap()[0], values[index * row]);
            }
        });
    });
    let half = batch.to_float16();
    group.bench_function("as_float16/1x64MiB", |bencher| {
        bencher.iter_with_large_drop(|| {
            let read = latent.read_as::<f16>().unwrap();
            assert_eq!((read.first(), read.last()), (half.values[0].first(), half.values[0].last()));
            read
        });
    });
}
