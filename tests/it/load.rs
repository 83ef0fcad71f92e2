//! Loading several latents at once: which are borrowed, their values, and errors before anything is
//! read.

use gen5::{
    Array, Compression, Dtype, Error, Limits, Loaded, ReadOptions, Reader, Result, WriteOptions, bf16, f16,
};
use rayon::prelude::*;

use crate::support::{all_ways, chunk_of, in_pool, noise, write};

/// The keys of a raw float32 latent, a float16 latent in three compressed parts, a raw bfloat16
/// latent, and an empty one.
const KEYS: [&str; 4] = ["raw", "parts", "brain", "empty"];

fn values() -> (Vec<f32>, Vec<f16>, Vec<bf16>) {
    let raw = noise(1, 3000);
    // Noise rounded to bfloat16 would be compressible; these bits are not.
    let brain = raw.iter().map(|value| bf16::from_bits((value.to_bits() >> 3) as u16 & 0xbfff)).collect();
    (raw, (0..3000_u16).map(|n| f16::from_f32(f32::from(n / 7))).collect(), brain)
}

fn file() -> Vec<u8> {
    let (raw, parts, brain) = values();
    let options = WriteOptions::new().part_size(Some(2000));
    let (file, summary) = write(options, |writer| {
        writer.latents([
            Array::new("raw", &[3, 1000], &raw),
            Array::new("parts", &[3, 1000], &parts),
            Array::new("brain", &[3000], &brain),
            Array::new::<f32>("empty", &[0, 4], &[]),
        ])
    })
    .unwrap();
    assert_eq!(summary.latents.iter().map(|latent| latent.parts).collect::<Vec<_>>(), [1, 3, 1, 1]);
    file
}

fn with_file(check: impl Fn(&str, Reader)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    std::fs::write(&path, file()).unwrap();
    for (way, reader) in all_ways(&path) {
        check(way, reader.unwrap());
    }
}

fn check_values(loaded: &[Loaded<'_>]) {
    let (raw, parts, brain) = values();
    assert_eq!(loaded[0].as_slice::<f32>().unwrap(), raw);
    assert_eq!(loaded[1].as_slice::<f16>().unwrap(), parts);
    assert_eq!(loaded[2].as_slice::<bf16>().unwrap(), brain);
    assert!(loaded[3].as_slice::<f32>().unwrap().is_empty());
}

#[test]
fn latents_of_any_dtype_are_loaded_in_order_and_borrowed_where_they_can_be() {
    with_file(|way, reader| {
        for loaded in [reader.load(&KEYS).unwrap(), reader.load_all().unwrap()] {
            check_values(&loaded);
            let keys: Vec<_> = loaded.iter().map(|loaded| loaded.latent().key().unwrap()).collect();
            assert_eq!(keys, KEYS, "{way}");
            // The alignment of bytes in a vector is unknown.
            if way != "bytes" {
                let borrowed: Vec<bool> = loaded.iter().map(Loaded::is_borrowed).collect();
                let is_mapped = way == "map";
                assert_eq!(borrowed[..3], [is_mapped, false, is_mapped], "{way}");
            }
            let error = loaded[2].as_slice::<f16>().unwrap_err();
            let wrong = matches!(error, Error::Dtype { stored: Dtype::BF16, asked: Dtype::F16, .. });
            assert!(wrong, "{error}");
            assert_eq!(loaded[2].as_bytes().len(), 6000);
        }
        let twice = reader.load(&["brain", "raw", "brain"]).unwrap();
        assert_eq!(twice[0].as_bytes(), twice[2].as_bytes());
        assert!(reader.load::<&str>(&[]).unwrap().is_empty());
        reader.prefetch(&KEYS).unwrap();
        reader.latent("parts").unwrap().rows(1..2).unwrap().prefetch();
        for error in [reader.load(&["raw", "x"]).unwrap_err(), reader.prefetch(&["x"]).unwrap_err()] {
            assert!(matches!(error, Error::NoSuchLatent { ref key, .. } if key == "x"), "{error}");
        }
    });
}

#[test]
fn loading_needs_no_second_thread_and_may_be_part_of_a_task() {
    with_file(|_, reader| {
        in_pool(1, || check_values(&reader.load(&KEYS).unwrap()));
        in_pool(4, || {
            (0..20).into_par_iter().for_each(|_| check_values(&reader.load_all().unwrap()));
        });
    });
}

#[test]
fn buffers_are_filled_if_all_of_them_fit() {
    with_file(|way, reader| {
        let (raw, _, _) = values();
        let (mut one, mut other, mut none) = (vec![0.0_f32; 3000], vec![0.0_f32; 3000], vec![]);
        reader.load_into([("raw", &mut one[..]), ("empty", &mut none[..]), ("raw", &mut other[..])]).unwrap();
        assert!(one == raw && other == raw, "{way}");

        let refused = |key: &str, length: usize| -> Result<()> {
            let (mut good, mut bad) = (vec![7.0_f32; 3000], vec![7.0_f32; length]);
            let result = reader.load_into([("raw", &mut good[..]), (key, &mut bad[..])]);
            assert!(good.iter().all(|value| *value == 7.0), "{way}: written to before all were checked");
            result
        };
        assert!(matches!(refused("raw", 2999), Err(Error::Argument { .. })));
        assert!(matches!(refused("parts", 3000), Err(Error::Dtype { .. })));
        assert!(matches!(refused("x", 3000), Err(Error::NoSuchLatent { .. })));
    });
}

/// Borrowed latents take no memory, so only the others count.
#[test]
fn the_limit_is_that_of_one_call() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    std::fs::write(&path, file()).unwrap();
    let limits = |latent_bytes| Limits::default().latent_bytes(latent_bytes);
    let open = |bytes| ReadOptions::new().limits(limits(bytes)).open(&path).unwrap();
    // 12,000 bytes of float32, 6,000 each of float16 and bfloat16.
    check_values(&open(24_000).load_all().unwrap());
    let error = open(23_999).load_all().unwrap_err();
    assert!(matches!(error, Error::Limit { name: "latent_bytes", found: 24_000, .. }), "{error}");
    // SAFETY: nothing else touches the file while the test runs.
    #[allow(unsafe_code)]
    let mapped = |bytes| unsafe { ReadOptions::new().limits(limits(bytes)).map(&path) }.unwrap();
    check_values(&mapped(6000).load_all().unwrap());
    let error = mapped(5999).load_all().unwrap_err();
    assert!(matches!(error, Error::Limit { found: 6000, .. }), "{error}");
}

#[test]
fn the_first_damaged_latent_is_named() {
    let values = noise(3, 1000);
    let keys: Vec<String> = (0..30).map(|n| format!("k{n}")).collect();
    let options = WriteOptions::new().compression(Compression::Raw);
    let (mut file, _) = write(options, |writer| {
        writer.latents(keys.iter().map(|key| Array::new(key.as_str(), &[1000], &values)))
    })
    .unwrap();
    let offsets: Vec<u64> = Reader::from_bytes(file.clone())
        .unwrap()
        .chunks()
        .iter()
        .map(gen5::chunk::ChunkRecord::offset)
        .collect();
    for chunk in [25, 11] {
        file[offsets[chunk] as usize + 500] ^= 1;
    }
    let reader = ReadOptions::new().check_hashes(true).from_bytes(file).unwrap();
    for _ in 0..20 {
        let error = in_pool(4, || reader.load_all().map(|_| ())).unwrap_err();
        assert_eq!(chunk_of(&error), Some(11), "{error}");
    }
}
