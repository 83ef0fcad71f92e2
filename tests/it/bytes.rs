//! Values as bytes, with a dtype known only at run time. They give the same file and the same
//! values as typed ones.

use std::io::Write;

use gen5::{Array, Compression, Dtype, Error, NonFinite, Reader, WriteOptions, bf16, f16};

use crate::support::{all_ways, noise, open, write};

/// Noise in each dtype, as bytes.
fn samples() -> Vec<(Dtype, Vec<u8>)> {
    let values = noise(7, 6000);
    let half: Vec<u8> = values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect();
    let brain: Vec<u8> = values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect();
    let single: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    vec![(Dtype::F16, half), (Dtype::BF16, brain), (Dtype::F32, single)]
}

fn options() -> [WriteOptions; 4] {
    let in_parts = || WriteOptions::new().part_size(Some(1000));
    [
        in_parts(),
        in_parts().compression(Compression::Raw),
        in_parts().compression(Compression::Zstd),
        in_parts().compression(Compression::Shuffled).dtype(Dtype::F16),
    ]
}

/// A file with one latent that is written from bytes of any alignment.
fn from_bytes(options: WriteOptions, dtype: Dtype, bytes: &[u8]) -> Vec<u8> {
    write(options, |writer| writer.latents([Array::from_bytes("x", dtype, &[60, 100], bytes)?])).unwrap().0
}

#[test]
fn bytes_are_written_as_values_are() {
    for options in options() {
        for (dtype, bytes) in samples() {
            let expected = from_bytes(options.clone(), dtype, &bytes);
            let typed = match dtype {
                Dtype::F16 => {
                    write(options.clone(), |writer| writer.latent("x", &[60, 100], &halves(&bytes)))
                }
                Dtype::BF16 => {
                    write(options.clone(), |writer| writer.latent("x", &[60, 100], &brains(&bytes)))
                }
                _ => write(options.clone(), |writer| writer.latent("x", &[60, 100], &singles(&bytes))),
            };
            assert!(typed.unwrap().0 == expected, "{dtype}");
            // Of two neighbouring bytes, one has an odd address.
            let shifted = [&[0], &*bytes].concat();
            assert!(from_bytes(options.clone(), dtype, &shifted[1..]) == expected, "{dtype}, shifted");
        }
    }
}

fn halves(bytes: &[u8]) -> Vec<f16> {
    bytes.chunks(2).map(|value| f16::from_le_bytes([value[0], value[1]])).collect()
}

fn brains(bytes: &[u8]) -> Vec<bf16> {
    bytes.chunks(2).map(|value| bf16::from_le_bytes([value[0], value[1]])).collect()
}

fn singles(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|value| f32::from_le_bytes(value.try_into().unwrap())).collect()
}

#[test]
fn a_stream_of_bytes_takes_pieces_of_any_length() {
    for options in options() {
        for (dtype, bytes) in samples() {
            let in_pieces = |length: usize| {
                let fill = |writer: &mut gen5::Writer<'_>| {
                    let mut stream = writer.stream_bytes("x", dtype, &[60, 100])?;
                    for piece in bytes.chunks(length) {
                        let before = stream.remaining();
                        stream.push(piece)?;
                        assert_eq!(stream.remaining(), before - piece.len() as u64);
                    }
                    stream.finish()
                };
                write(options.clone(), fill).unwrap().0
            };
            let expected = in_pieces(bytes.len());
            for length in [1, 3, 4, 5, 997, 4001] {
                assert!(in_pieces(length) == expected, "{dtype}, pieces of {length}");
            }
            open(expected).verify().unwrap();
        }
    }
}

#[test]
fn a_stream_of_bytes_refuses_what_does_not_fit() {
    let refused = write(WriteOptions::new(), |writer| {
        let mut stream = writer.stream_bytes("x", Dtype::F32, &[2])?;
        stream.write_all(&[0; 7]).unwrap();
        assert_eq!(stream.remaining(), 1);
        let error = stream.write_all(&[0; 9]).unwrap_err();
        let inner = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
        assert!(matches!(inner, Error::Argument { .. }), "{inner}");
        Ok(())
    });
    assert!(matches!(refused, Err(Error::Incomplete { expected: 2, found: 1, .. })), "{refused:?}");
    let unfinished = write(WriteOptions::new(), |writer| {
        let mut stream = writer.stream_bytes("x", Dtype::F32, &[2])?;
        stream.push(&[0; 7])?;
        stream.finish()
    });
    assert!(matches!(unfinished, Err(Error::Incomplete { expected: 2, found: 1, .. })), "{unfinished:?}");
    let nan = f32::NAN.to_le_bytes();
    let not_finite = write(WriteOptions::new(), |writer| {
        let mut stream = writer.stream_bytes("x", Dtype::F32, &[1])?;
        stream.push(&nan)
    });
    assert!(matches!(not_finite, Err(Error::NonFinite { index: 0, .. })), "{not_finite:?}");
    let kept = write(WriteOptions::new().non_finite(NonFinite::Keep), |writer| {
        let mut stream = writer.stream_bytes("x", Dtype::F32, &[1])?;
        stream.push(&nan)?;
        stream.finish()
    });
    assert_eq!(&*open(kept.unwrap().0).latent("x").unwrap().read_bytes().unwrap(), nan);
    let part = Array::from_bytes("x", Dtype::F32, &[2], &[0; 7]).unwrap_err();
    assert_eq!(
        part.to_string(),
        "values of latent \"x\": expected a multiple of 4 bytes, for float32, found 7 bytes"
    );
}

#[test]
fn bytes_are_read_as_values_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    for options in options() {
        for (dtype, bytes) in samples() {
            std::fs::write(&path, from_bytes(options.clone(), dtype, &bytes)).unwrap();
            for (way, reader) in all_ways(&path) {
                let reader = reader.unwrap();
                let latent = reader.latent("x").unwrap();
                let mut expected = Vec::new();
                latent.write_to(&mut expected).unwrap();
                assert_eq!(&*latent.read_bytes().unwrap(), expected, "{way}");
                let mut buffer = vec![0; expected.len()];
                latent.read_bytes_into(&mut buffer).unwrap();
                assert!(buffer == expected, "{way}");
                let mut loaded = vec![0; expected.len()];
                reader.load_bytes_into([("x", &mut *loaded)]).unwrap();
                assert!(loaded == expected, "{way}");
                let rows = latent.rows(7..31).unwrap();
                let row = expected.len() / 60;
                assert_eq!(&*rows.read_bytes().unwrap(), &expected[7 * row..31 * row], "{way}");
                let refused = latent.read_bytes_into(&mut buffer[1..]).unwrap_err();
                assert!(matches!(refused, Error::Argument { .. }), "{refused}");
                let refused = reader.load_bytes_into([("x", &mut loaded[1..])]).unwrap_err();
                assert!(matches!(refused, Error::Argument { .. }), "{refused}");
            }
        }
    }
}

/// `raw_range` gives the place of the values in the file.
#[test]
fn raw_values_lie_where_the_range_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.gen5");
    for options in options() {
        for (dtype, bytes) in samples() {
            let file = from_bytes(options.clone(), dtype, &bytes);
            std::fs::write(&path, &file).unwrap();
            let latent = Reader::open(&path).unwrap().latent("x").unwrap();
            let is_raw = latent.chunks().all(|chunk| !chunk.is_compressed());
            for rows in [latent.clone(), latent.rows(3..9).unwrap()] {
                let range = rows.raw_range().unwrap();
                assert_eq!(range.is_some(), is_raw);
                if let Some(range) = range {
                    let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                    assert_eq!(&file[range], &*rows.read_bytes().unwrap());
                }
            }
            if is_raw {
                assert_eq!(latent.rows(3..3).unwrap().raw_range().unwrap(), Some(0..0));
                let mut damaged = file.clone();
                let header = latent.chunks().next().unwrap().offset();
                damaged[usize::try_from(header).unwrap()] ^= 1;
                let error = open(damaged).latent("x").unwrap().raw_range().unwrap_err();
                assert!(matches!(error, Error::Contradiction { .. }), "{error}");
            }
        }
    }
}

/// Nothing of a refused piece is taken, not even the bytes that complete a value.
#[test]
fn a_refused_piece_leaves_the_stream_as_it_was() {
    let [one, two] = [1.0_f32, 2.0].map(f32::to_le_bytes);
    let (file, _) = write(WriteOptions::new(), |writer| {
        let mut stream = writer.stream_bytes("x", Dtype::F32, &[3])?;
        stream.push(&one[..2])?;
        let refused = [&one[2..], &f32::NAN.to_le_bytes()].concat();
        let error = stream.push(&refused).unwrap_err();
        assert!(matches!(error, Error::NonFinite { index: 1, .. }), "{error}");
        assert_eq!(stream.remaining(), 10);
        stream.push(&[&one[2..], &two[..], &two[..]].concat())?;
        stream.finish()
    })
    .unwrap();
    assert_eq!(*open(file).latent("x").unwrap().read::<f32>().unwrap(), [1.0, 2.0, 2.0]);
}

/// `io::copy` and its kin look at the kind.
#[test]
fn an_io_error_of_a_stream_keeps_its_kind() {
    let error = std::io::Error::from(Reader::open("no such folder/x.gen5").unwrap_err());
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.get_ref().unwrap().downcast_ref::<Error>().is_some());
    assert_eq!(std::io::Error::from(Error::Cancelled).kind(), std::io::ErrorKind::Other);
}

#[test]
fn empty_latents_are_borrowed_and_lie_nowhere() {
    for options in options() {
        let (file, _) = write(options, |writer| writer.latent::<f32>("x", &[3, 0, 2], &[])).unwrap();
        // One of two neighbours is not aligned.
        for shift in [0, 1] {
            let reader = Reader::from_bytes(Shifted::new(&file, shift)).unwrap();
            let latent = reader.latent("x").unwrap();
            assert_eq!(latent.is_borrowable(), latent.as_slice::<f32>().is_ok());
            assert_eq!(latent.raw_range().unwrap(), Some(0..0));
            assert!(latent.read_bytes().unwrap().is_empty());
        }
    }
}

/// A file in memory at another alignment.
struct Shifted {
    bytes: Vec<u8>,
    shift: usize,
}

impl Shifted {
    fn new(file: &[u8], shift: usize) -> Self {
        Self { bytes: [&vec![0; shift], file].concat(), shift }
    }
}

impl AsRef<[u8]> for Shifted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.shift..]
    }
}
