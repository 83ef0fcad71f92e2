//! bfloat16: written in every way, and read as bfloat16 or as another type, with the rounding and
//! overflow of IEEE 754.

use gen5::{Compression, Dtype, Error, NonFinite, Reader, WriteOptions, bf16, f16};

use crate::support::{all_ways, open, write};

/// Ways to store a latent of 4000 elements: raw, automatic, compressed, and shuffled in parts.
fn ways() -> [(&'static str, WriteOptions); 4] {
    let options = |compression| WriteOptions::new().compression(compression).non_finite(NonFinite::Keep);
    [
        ("raw", options(Compression::Raw)),
        ("auto", options(Compression::Auto)),
        ("zstd", options(Compression::Zstd)),
        ("shuffled", options(Compression::Shuffled).part_size(Some(900))),
    ]
}

fn bits(values: &[bf16]) -> Vec<u16> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Every bfloat16: numbers, subnormal numbers, infinities and NaNs.
fn all() -> Vec<bf16> {
    (0..=u16::MAX).map(bf16::from_bits).collect()
}

#[test]
fn every_value_comes_back_bit_by_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    let (values, shape) = (all(), [1, 256, 256]);
    for (name, options) in ways() {
        let (file, summary) = write(options, |writer| {
            writer.latent("x", &shape, &values)?;
            let mut stream = writer.stream::<bf16>("s", &shape)?;
            values.chunks(3001).try_for_each(|values| stream.push(values))?;
            stream.finish()
        })
        .unwrap();
        assert!(summary.latents.iter().all(|latent| latent.dtype == Dtype::BF16), "{name}");
        std::fs::write(&path, file).unwrap();
        for (way, reader) in all_ways(&path) {
            let reader = reader.unwrap();
            reader.verify().unwrap();
            for key in ["x", "s"] {
                let latent = reader.latent(key).unwrap();
                assert_eq!((latent.dtype(), latent.shape()), (Dtype::BF16, &shape[..]), "{name} by {way}");
                assert!(bits(&latent.read::<bf16>().unwrap()) == bits(&values), "{name} by {way}");
                assert!(bits(&latent.read_as::<bf16>().unwrap()) == bits(&values), "{name} by {way}");
                let rows = latent.rows(100..103).unwrap();
                assert!(
                    bits(&rows.read::<bf16>().unwrap()) == bits(&values[25_600..26_368]),
                    "{name} by {way}"
                );
            }
        }
    }
}

#[test]
fn raw_values_are_borrowed_as_bfloat16_and_as_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    let values = [bf16::ONE, bf16::from_f32(-2.5)];
    let (file, _) = write(WriteOptions::new(), |writer| writer.latent("x", &[2], &values)).unwrap();
    std::fs::write(&path, file).unwrap();
    // SAFETY: nothing else touches the file while the test runs.
    #[allow(unsafe_code)]
    let mapped = unsafe { Reader::map(&path) }.unwrap();
    assert_eq!(mapped.slice::<bf16>("x").unwrap(), values);
    let latent = mapped.latent("x").unwrap();
    assert!(latent.is_borrowable());
    let errors = [
        latent.as_slice::<f16>().map(|_| ()),
        latent.read::<f16>().map(|_| ()),
        latent.read::<f32>().map(|_| ()),
        latent.read_into(&mut [f16::ONE; 2]),
        mapped.slice::<f16>("x").map(|_| ()),
    ];
    for error in errors {
        assert!(matches!(error, Err(Error::Dtype { stored: Dtype::BF16, .. })), "{error:?}");
    }
    let (file, _) = write(WriteOptions::new(), |writer| writer.latent("x", &[1], &[f16::ONE])).unwrap();
    let half = open(file).latent("x").unwrap();
    assert!(matches!(half.read::<bf16>(), Err(Error::Dtype { stored: Dtype::F16, asked: Dtype::BF16, .. })));
}

/// Rounds a float32 to bfloat16 by its bits: to nearest, ties to even.
fn rounded(value: f32) -> bf16 {
    let bits = value.to_bits();
    let half = 0x7fff + (bits >> 16 & 1);
    bf16::from_bits(((bits + half) >> 16) as u16)
}

fn read_as_brain(values: &[f32]) -> gen5::Result<Vec<bf16>> {
    let options = WriteOptions::new().non_finite(NonFinite::Keep);
    let (file, _) = write(options, |writer| writer.latent("x", &[values.len()], values)).unwrap();
    open(file).latent("x").unwrap().read_as::<bf16>()
}

#[test]
fn float32_is_rounded_to_nearest_even() {
    let mut values: Vec<f32> = [
        0x3f80_0000, // 1
        0x3f80_7fff, // just below the midpoint
        0x3f80_8000, // a midpoint whose lower neighbour is even
        0x3f80_8001,
        0x3f81_8000, // a midpoint whose upper neighbour is even
        0x0000_7fff, // subnormal numbers
        0x0000_8000,
        0x0001_8000,
        0x007f_ffff,
        0x7f7f_7fff, // the largest that stays finite
    ]
    .map(f32::from_bits)
    .into();
    values.extend((0..5000_u32).map(|n| f32::from_bits(n.wrapping_mul(0x9e37_79b9) & 0xbfff_ffff)));
    let negative: Vec<f32> = values.iter().map(|value| -value).collect();
    values.extend(negative);
    let expected: Vec<bf16> = values.iter().map(|&value| rounded(value)).collect();
    assert_eq!(bits(&read_as_brain(&values).unwrap()), bits(&expected));
}

#[test]
fn what_would_become_infinite_is_refused() {
    for (at, value) in [(0, f32::MAX), (5000, f32::MIN), (4099, f32::from_bits(0x7f7f_8000))] {
        let mut values = vec![1.0_f32; 5001];
        values[at] = value;
        match read_as_brain(&values).unwrap_err() {
            Error::Overflow { latent, index, value: found, dtype: Dtype::BF16, .. } => {
                assert_eq!((&*latent, index, found), ("\"x\"", at as u64, value));
            }
            other => panic!("{other}"),
        }
    }
    // Infinities and NaNs are kept.
    let kept = read_as_brain(&[f32::INFINITY, f32::NEG_INFINITY, f32::NAN]).unwrap();
    assert!(kept[..2] == [bf16::INFINITY, bf16::NEG_INFINITY] && kept[2].is_nan());
}

/// The value of a float16 or bfloat16, computed from its bits as a float64.
fn value_of(bits: u16, exponent_bits: i32) -> f64 {
    let mantissa_bits = 15 - exponent_bits;
    let (exponent, mantissa) = (i32::from(bits & 0x7fff) >> mantissa_bits, bits & ((1 << mantissa_bits) - 1));
    let bias = (1 << (exponent_bits - 1)) - 1;
    let fraction = f64::from(mantissa) / f64::from(1 << mantissa_bits);
    let magnitude = match exponent {
        0 => fraction * 2.0_f64.powi(1 - bias),
        _ => (1.0 + fraction) * 2.0_f64.powi(exponent - bias),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[test]
fn bfloat16_is_read_as_the_other_types() {
    let finite: Vec<bf16> = all().into_iter().filter(|value| value.is_finite()).collect();
    let fits: Vec<bf16> = finite.iter().copied().filter(|value| value.to_f32().abs() < 65520.0).collect();
    for (name, options) in ways() {
        let (file, _) = write(options.clone(), |writer| {
            writer.latent("all", &[finite.len()], &finite)?;
            writer.latent("fits", &[fits.len()], &fits)
        })
        .unwrap();
        let reader = open(file);
        let single = reader.latent("all").unwrap().read_as::<f32>().unwrap();
        for (value, single) in finite.iter().zip(single) {
            assert_eq!(f64::from(single), value_of(value.to_bits(), 8), "{name}: {value}");
        }
        let half = reader.latent("fits").unwrap().read_as::<f16>().unwrap();
        for (value, half) in fits.iter().zip(&half) {
            let (wanted, found) = (value_of(value.to_bits(), 8), value_of(half.to_bits(), 5));
            // Half the distance between two neighbouring float16 values there.
            let exponent = ((value.to_bits() & 0x7fff) >> 7) as i32 - 127;
            assert!(
                (wanted - found).abs() <= 2.0_f64.powi(exponent.max(-14) - 11),
                "{name}: {value} as {half}"
            );
        }
        let at = finite.iter().position(|value| value.to_f32().abs() >= 65520.0).unwrap();
        match reader.latent("all").unwrap().read_as::<f16>().unwrap_err() {
            Error::Overflow { index, value: 65536.0, dtype: Dtype::F16, .. } => assert_eq!(index, at as u64),
            other => panic!("{name}: {other}"),
        }
        // Writing as float16 rounds and refuses the same values.
        let (file, _) =
            write(options.clone().dtype(Dtype::F16), |writer| writer.latent("x", &[fits.len()], &fits))
                .unwrap();
        assert!(open(file).latent("x").unwrap().read::<f16>().unwrap()[..] == half[..], "{name}");
        let error = write(options.dtype(Dtype::F16), |writer| writer.latent("x", &[finite.len()], &finite))
            .unwrap_err();
        assert!(matches!(error, Error::Overflow { index, .. } if index == at as u64), "{name}: {error}");
    }
}

#[test]
fn float16_is_read_as_bfloat16() {
    let values: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).filter(|value| value.is_finite()).collect();
    let (file, _) =
        write(WriteOptions::new(), |writer| writer.latent("x", &[values.len()], &values)).unwrap();
    let brain = open(file).latent("x").unwrap().read_as::<bf16>().unwrap();
    let expected: Vec<bf16> =
        values.iter().map(|value| rounded(value_of(value.to_bits(), 5) as f32)).collect();
    assert_eq!(bits(&brain), bits(&expected));
}

#[test]
fn values_that_are_not_finite_are_refused_unless_they_are_asked_for() {
    for (name, options) in ways() {
        for bad in [bf16::NAN, bf16::INFINITY, bf16::NEG_INFINITY] {
            let mut values = vec![bf16::ONE; 4000];
            values[3999] = bad;
            let refuse = options.clone().non_finite(NonFinite::Refuse);
            let (file, _) = write(refuse, |writer| {
                let index_of = |error: Error| match error {
                    Error::NonFinite { index, .. } => index,
                    other => panic!("{name}: {other}"),
                };
                assert_eq!(index_of(writer.latent("x", &[40, 100], &values).unwrap_err()), 3999, "{name}");
                let mut stream = writer.stream::<bf16>("x", &[40, 100])?;
                stream.push(&values[..2000])?;
                assert_eq!(index_of(stream.push(&values[2000..]).unwrap_err()), 3999, "{name}");
                stream.push(&values[..2000])?;
                stream.finish()
            })
            .unwrap();
            assert_eq!(*open(file).latent("x").unwrap().read::<bf16>().unwrap(), values[..1].repeat(4000));
            let (file, _) = write(options.clone(), |writer| writer.latent("x", &[40, 100], &values)).unwrap();
            let reader = open(file);
            reader.verify().unwrap();
            assert_eq!(bits(&reader.latent("x").unwrap().read::<bf16>().unwrap()), bits(&values), "{name}");
        }
    }
}
