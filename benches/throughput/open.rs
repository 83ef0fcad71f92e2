//! `open`: mapping a file of many small latents and parsing its records. Throughput is in bytes of
//! the table's text, which is all that is read.

use criterion::{BenchmarkId, Criterion};
use gen5::Reader;

use super::common::{Batch, KIB, Scratch, map, write_options};
use super::throughput;

pub(crate) fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open");
    for count in [10, 1000, 10_000] {
        let scratch = Scratch::new();
        let path = scratch.stored(&Batch::noise(count, KIB), write_options());
        group.throughput(throughput(map(&path).manifest_json().len()));
        group.bench_function(BenchmarkId::new("map", count), |bencher| {
            bencher.iter(|| assert_eq!(map(&path).latents().len(), count));
        });
        group.bench_function(BenchmarkId::new("open", count), |bencher| {
            bencher.iter(|| assert_eq!(Reader::open(&path).unwrap().latents().len(), count));
        });
        // Keys are sorted at the first lookup.
        let last = format!("latent_{:05}", count - 1);
        group.bench_function(BenchmarkId::new("map_and_look_up", count), |bencher| {
            bencher.iter(|| assert_eq!(map(&path).latent(&last).unwrap().index(), count - 1));
        });
    }
    group.finish();
}
