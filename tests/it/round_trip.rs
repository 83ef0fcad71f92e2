//! Any set of latents, written with any options, reads back equal in every way.

use gen5::metadata::Extra;
use gen5::{
    Array, Compression, Dtype, Element, Entry, NonFinite, ReadOptions, Reader, WriteOptions, Writer, bf16,
    f16,
};
use proptest::prelude::*;

use crate::support::{PNG, environment, metadata};

#[derive(Clone, Debug)]
struct Sample {
    shape: Vec<usize>,
    dtype: Dtype,
    streamed: bool,
    /// The sizes of a stream's pushes.
    pushes: Vec<usize>,
    seed: u32,
    extra: bool,
}

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let axis = prop_oneof![1 => Just(0_usize), 3 => Just(1), 8 => 2..7_usize];
    let sample = (
        prop::collection::vec(axis, 0..=6),
        prop::sample::select(Dtype::ALL.to_vec()),
        any::<bool>(),
        prop::collection::vec(1..400_usize, 1..4),
        any::<u32>(),
        any::<bool>(),
    );
    let sample = sample.prop_map(|(shape, dtype, streamed, pushes, seed, extra)| Sample {
        shape,
        dtype,
        streamed,
        pushes,
        seed,
        extra,
    });
    prop::collection::vec(sample, 0..6)
}

fn options() -> impl Strategy<Value = WriteOptions> {
    (
        prop::sample::select(vec![
            Compression::Auto,
            Compression::Raw,
            Compression::Zstd,
            Compression::Shuffled,
        ]),
        prop_oneof![Just(-5), Just(1), Just(3), Just(9)],
        any::<bool>(),
        prop_oneof![Just(4_u64), Just(64), Just(4096)],
        prop_oneof![Just(None), (1..5000_u64).prop_map(Some)],
    )
        .prop_map(|(compression, level, float16, alignment, part_size)| {
            let options = if float16 { WriteOptions::new().dtype(Dtype::F16) } else { WriteOptions::new() };
            options
                .compression(compression)
                .level(level)
                .alignment(alignment)
                .part_size(part_size)
                .non_finite(NonFinite::Keep)
        })
}

/// Values over the whole range of float16, including infinities and those NaNs that survive a
/// conversion to float32 and back. For bfloat16, the bits that it cannot hold are zero.
fn values(sample: &Sample) -> Vec<f16> {
    let len: usize = sample.shape.iter().product();
    let mask = if sample.dtype == Dtype::BF16 { 0xfff8 } else { 0xffff };
    let value =
        |n: u32| f16::from_bits((sample.seed.wrapping_add(n.wrapping_mul(40_503)) >> 3) as u16 & mask);
    (0..len as u32).map(|n| f16::from_f32(value(n).to_f32())).collect()
}

fn write(samples: &[Sample], options: WriteOptions, image: bool) -> Vec<u8> {
    let mut out = std::io::Cursor::new(Vec::new());
    let mut writer = options.to_writer(&mut out).unwrap();
    let halves: Vec<Vec<f16>> = samples.iter().map(values).collect();
    let singles: Vec<Vec<f32>> =
        halves.iter().map(|half| half.iter().map(|value| value.to_f32()).collect()).collect();
    let brains: Vec<Vec<bf16>> =
        singles.iter().map(|single| single.iter().map(|&value| bf16::from_f32(value)).collect()).collect();
    let mut together = Vec::new();
    for (index, sample) in samples.iter().enumerate() {
        let key = format!("latent {index}");
        let mut extra = Extra::new();
        if sample.extra {
            extra.insert("note", &index).unwrap();
        }
        match (sample.streamed, sample.dtype) {
            (true, Dtype::F16) => stream(&mut writer, key, sample, extra, &halves[index]),
            (true, Dtype::BF16) => stream(&mut writer, key, sample, extra, &brains[index]),
            (true, _) => stream(&mut writer, key, sample, extra, &singles[index]),
            (false, Dtype::F16) => together.push(Array::new(key, &sample.shape, &halves[index]).extra(extra)),
            (false, Dtype::BF16) => {
                together.push(Array::new(key, &sample.shape, &brains[index]).extra(extra));
            }
            (false, _) => together.push(Array::new(key, &sample.shape, &singles[index]).extra(extra)),
        }
    }
    writer.latents(together).unwrap();
    if image {
        writer.image(PNG).unwrap();
        writer.environment(&environment()).unwrap();
    }
    writer.finish(&metadata()).unwrap();
    out.into_inner()
}

fn stream<T: Element>(writer: &mut Writer<'_>, key: String, sample: &Sample, extra: Extra, values: &[T]) {
    let mut stream = writer.stream::<T>(Entry::new(key).extra(extra), &sample.shape).unwrap();
    pushed(values, &sample.pushes).for_each(|piece| stream.push(piece).unwrap());
    stream.finish().unwrap();
}

/// Cuts `values` into pieces of these sizes, repeated as needed.
fn pushed<'a, T>(mut values: &'a [T], sizes: &'a [usize]) -> impl Iterator<Item = &'a [T]> {
    sizes.iter().cycle().map_while(move |&size| {
        let (piece, rest) = values.split_at(size.min(values.len()));
        values = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn bits(values: &[f16]) -> Vec<u16> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn check(reader: &Reader, samples: &[Sample], float16: bool) {
    reader.verify().unwrap();
    assert_eq!(reader.latents().len(), samples.len());
    for (index, sample) in samples.iter().enumerate() {
        let latent = reader.latent(&format!("latent {index}")).unwrap();
        let expected = values(sample);
        assert_eq!(latent.shape(), sample.shape);
        assert_eq!(latent.extra().unwrap().get("note").is_some(), sample.extra);
        let stored = if float16 { Dtype::F16 } else { sample.dtype };
        assert_eq!(latent.dtype(), stored);
        if stored == Dtype::F16 {
            assert_eq!(bits(&latent.read::<f16>().unwrap()), bits(&expected));
        } else if stored == Dtype::BF16 {
            let brains: Vec<u16> =
                expected.iter().map(|value| bf16::from_f32(value.to_f32()).to_bits()).collect();
            let read = latent.read::<bf16>().unwrap();
            assert_eq!(read.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), brains);
        } else {
            let singles: Vec<u32> = expected.iter().map(|value| value.to_f32().to_bits()).collect();
            let read = latent.read::<f32>().unwrap();
            assert_eq!(read.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), singles);
            let mut buffer = vec![0.0; expected.len()];
            latent.read_into(&mut buffer).unwrap();
            assert_eq!(buffer.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), singles);
        }
        assert_eq!(bits(&latent.read_as::<f16>().unwrap()), bits(&expected));

        let Some(axis) = sample.shape.iter().position(|&len| len > 1) else { continue };
        let (length, row) = (sample.shape[axis], expected.len() / sample.shape[axis]);
        for (start, end) in [(0, 1), (length / 2, length), (1, length - 1), (0, 0)] {
            let rows = latent.rows(start..end).unwrap();
            assert_eq!(rows.shape()[axis], end - start);
            assert_eq!(bits(&rows.read_as::<f16>().unwrap()), bits(&expected[start * row..end * row]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_reads_back(samples in samples(), options in options(), image in any::<bool>()) {
        let float16 = format!("{options:?}").contains("dtype: Some(F16)");
        let bytes = write(&samples, options.clone(), image);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.gen5");
        std::fs::write(&path, &bytes).unwrap();
        for (_, reader) in crate::support::all_ways(&path) {
            let reader = reader.unwrap();
            check(&reader, &samples, float16);
            prop_assert_eq!(reader.metadata().unwrap(), metadata());
            let stored = reader.image().unwrap();
            prop_assert_eq!(stored.as_deref(), image.then_some(PNG));
            prop_assert_eq!(reader.environment().unwrap(), image.then(environment));
        }
        check(&ReadOptions::new().check_hashes(true).from_bytes(bytes.clone()).unwrap(), &samples, float16);

        // The same input gives the same bytes on one thread, on three, and with other pushes.
        let mut other_pushes = samples.clone();
        other_pushes.iter_mut().for_each(|sample| sample.pushes = vec![17]);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            prop_assert_eq!(&pool.install(|| write(&other_pushes, options.clone(), image)), &bytes);
        }
    }
}
