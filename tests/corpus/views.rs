//! V1 to V3: latents that cannot be borrowed return a reason, and `read` copies them.

use std::borrow::Cow;

use gen5::error::NotBorrowable;
use gen5::{Error, Reader, f16};
use serde_json::json;

use crate::case::{Case, read};
use crate::good::{VALUES, raw};
use crate::support::{Builder, Chunk, le_bytes};

pub(crate) fn cases() -> Vec<Case> {
    let halves = json!({"shape": [2], "dtype": "float16", "key": "x"});
    let half = Chunk::raw("LATN", b"F16\0", &[0, 0x3c, 0, 0x40], halves);
    let parts = [(0, 0, 4), (1, 4, 6)].map(|(index, start, end)| {
        Chunk::part("x", index, 2, start, &[6], &VALUES[start..end]).after_gap(&[0; 20])
    });
    let shifted = |gap: usize| Builder::new([raw("x").after_gap(&vec![0; gap])]).build();
    let mut cases = Vec::new();
    for gap in 1..4 {
        let name = format!("float32, {gap} bytes behind a multiple of 4");
        cases.push(read("V1", &name, shifted(gap), |reader| is_copied(reader, 4)));
    }
    cases.push(read(
        "V1",
        "float16 at an odd byte",
        Builder::new([half.after_gap(b"x")]).build(),
        |reader| {
            let latent = reader.latent("x").unwrap();
            assert!(!latent.is_borrowable());
            let reason = reason(latent.as_slice::<f16>().map(|_| ()));
            assert!(matches!(
                reason,
                NotBorrowable::NotMapped | NotBorrowable::Misaligned { alignment: 2, .. }
            ));
            assert_eq!(latent.read_as::<f32>().unwrap(), [1.0, 2.0]);
        },
    ));
    cases.push(read("V2", "compressed", Builder::new([raw("x").compressed()]).build(), |reader| {
        let latent = reader.latent("x").unwrap();
        assert_eq!(reason(latent.as_slice::<f32>().map(|_| ())), NotBorrowable::Compressed);
        assert!(matches!(latent.read::<f32>().unwrap(), Cow::Owned(values) if values == VALUES));
    }));
    cases.push(read("V2", "in parts", Builder::new(parts).build(), |reader| {
        let latent = reader.latent("x").unwrap();
        assert_eq!(reason(latent.as_slice::<f32>().map(|_| ())), NotBorrowable::Parts { count: 2 });
        assert!(matches!(latent.read::<f32>().unwrap(), Cow::Owned(values) if values == VALUES));
    }));
    cases.push(read("V3", "of another dtype", shifted(20), |reader| {
        let latent = reader.latent("x").unwrap();
        for error in [latent.as_slice::<f16>().map(|_| ()), latent.read::<f16>().map(|_| ())] {
            assert!(matches!(error, Err(Error::Dtype { .. })), "{error:?}");
        }
        assert_eq!(latent.read_as::<f32>().unwrap(), VALUES);
        let mut bytes = Vec::new();
        latent.write_to(&mut bytes).unwrap();
        assert_eq!(bytes, le_bytes(&VALUES));
    }));
    cases
}

/// Bytes in memory have a known alignment; those of a file are never borrowed.
fn is_copied(reader: &Reader, wanted: usize) {
    let latent = reader.latent("x").unwrap();
    assert!(!latent.is_borrowable());
    match reason(latent.as_slice::<f32>().map(|_| ())) {
        NotBorrowable::NotMapped => {}
        NotBorrowable::Misaligned { address, alignment } => {
            assert_eq!(alignment, wanted);
            assert_ne!(address % alignment, 0);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(latent.read::<f32>().unwrap(), Cow::Owned(values) if values == VALUES));
}

fn reason(borrowed: gen5::Result<()>) -> NotBorrowable {
    match borrowed {
        Err(Error::NotBorrowable { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}
