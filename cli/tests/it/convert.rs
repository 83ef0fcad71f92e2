//! Arrays of `.npy`, `.npz` and `.safetensors` files, valid and invalid.

use std::fs;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};

use gen5::Dtype;
use gen5_cli::convert::{LatentArg, LatentArray, arrays, npy};
use proptest::prelude::*;
use safetensors::tensor::{Dtype as Type, TensorView};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

fn floats(count: u16) -> Vec<u8> {
    (0..count).flat_map(|at| f32::from(at).to_le_bytes()).collect()
}

fn npy_file(dtype: Dtype, shape: &[usize], values: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    npy::write_header(&mut file, dtype, shape).unwrap();
    file.extend_from_slice(values);
    file
}

/// Changes the header to Fortran order. The replacement has the same length.
fn fortran(mut file: Vec<u8>) -> Vec<u8> {
    let at = file.windows(7).position(|bytes| bytes == b"False, ").unwrap();
    file.splice(at..at + 7, *b"True , ");
    file
}

fn npz_file(members: &[(&str, Vec<u8>)], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in members {
        zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn safetensors_file(tensors: &[(&str, Type, &[usize], &[u8])]) -> Vec<u8> {
    let views = tensors
        .iter()
        .map(|&(name, dtype, shape, values)| (name, TensorView::new(dtype, shape.to_vec(), values).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// A `.safetensors` file with this header and `values` bytes of values.
fn raw_safetensors(header: &str, values: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(header.as_bytes());
    file.resize(file.len() + values, 7);
    file
}

fn save(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn arg(key: Option<&str>, path: &Path, member: Option<&str>) -> LatentArg {
    LatentArg { key: key.map(str::to_owned), path: path.to_owned(), member: member.map(str::to_owned) }
}

fn all(path: &Path) -> anyhow::Result<Vec<LatentArray>> {
    arrays(&arg(None, path, None))
}

fn values(array: &LatentArray) -> anyhow::Result<Vec<u8>> {
    let mut values = Vec::new();
    array.open()?.read_to_end(&mut values)?;
    Ok(values)
}

fn keys(arrays: &[LatentArray]) -> Vec<&str> {
    arrays.iter().map(|array| array.key.as_str()).collect()
}

/// The error from finding or reading the arrays. Checks that it names the file.
fn error(path: &Path) -> String {
    let error =
        all(path).and_then(|found| found.iter().map(values).collect::<Result<Vec<_>, _>>()).unwrap_err();
    let error = format!("{error:#}");
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    error
}

#[test]
fn a_npy_file_is_one_array() {
    let folder = TempDir::new().unwrap();
    let path = save(&folder, "initial_noise.NPY", &npy_file(Dtype::F32, &[2, 3], &floats(6)));
    let found = all(&path).unwrap();
    let [array] = &found[..] else { panic!("{found:?}") };
    assert_eq!(
        (array.key.as_str(), array.dtype, &array.shape[..]),
        ("initial_noise", Dtype::F32, &[2, 3][..])
    );
    assert_eq!(array.payload_size(), 24);
    assert_eq!(values(array).unwrap(), floats(6));
    assert_eq!(values(array).unwrap(), floats(6), "it can be opened again");
    assert_eq!(keys(&arrays(&arg(Some("a/b"), &path, None)).unwrap()), ["a/b"]);

    let scalar = save(&folder, "scalar.npy", &npy_file(Dtype::F16, &[], &[1, 2]));
    assert_eq!(values(&all(&scalar).unwrap()[0]).unwrap(), [1, 2]);
    let empty = save(&folder, "empty.npy", &npy_file(Dtype::F32, &[usize::MAX, 0, usize::MAX], b""));
    assert_eq!(values(&all(&empty).unwrap()[0]).unwrap(), b"");
}

#[test]
fn fortran_order_becomes_c_order() {
    let folder = TempDir::new().unwrap();
    // [[0, 1, 2], [3, 4, 5]] is stored as 0 3 1 4 2 5.
    let columns: Vec<u8> =
        [0.0_f32, 3.0, 1.0, 4.0, 2.0, 5.0].into_iter().flat_map(f32::to_le_bytes).collect();
    let file = fortran(npy_file(Dtype::F32, &[2, 3], &columns));
    let zip = npz_file(&[("x.npy", file.clone())], CompressionMethod::Deflated);
    for path in [save(&folder, "x.npy", &file), save(&folder, "x.npz", &zip)] {
        assert_eq!(values(&all(&path).unwrap()[0]).unwrap(), floats(6));
    }
}

#[test]
fn npy_files_of_another_size_are_refused() {
    let folder = TempDir::new().unwrap();
    let file = npy_file(Dtype::F32, &[2, 3], &floats(6));
    for (name, bytes) in [("short.npy", &file[..file.len() - 1]), ("long.npy", &[&file[..], b"x"].concat())] {
        let found = 24 + bytes.len() - file.len();
        let error = error(&save(&folder, name, bytes));
        assert!(
            error.ends_with(&format!("{name} has {found} bytes of values, but its shape and dtype say 24"))
        );
    }
    let huge = npy_file(Dtype::F32, &[usize::MAX, 2], b"");
    assert!(error(&save(&folder, "huge.npy", &huge)).contains("claims a size over 2^64 bytes"));
    assert!(error(&save(&folder, "empty.npy", b"")).contains("too short"));
}

#[test]
fn a_file_that_changes_is_noticed() {
    let folder = TempDir::new().unwrap();
    let file = npy_file(Dtype::F32, &[2, 3], &floats(6));
    let path = save(&folder, "x.npy", &file);
    let found = all(&path).unwrap();
    fs::write(&path, &file[..file.len() - 3]).unwrap();
    assert!(
        values(&found[0]).unwrap_err().to_string().ends_with("x.npy: it is 3 bytes too short for its values")
    );
    fs::write(&path, [&file[..], b"xyz"].concat()).unwrap();
    assert!(
        values(&found[0]).unwrap_err().to_string().ends_with("it has more bytes than its shape requires")
    );
}

fn two_members(method: CompressionMethod) -> Vec<u8> {
    let noise = npy_file(Dtype::F32, &[100, 3], &floats(300));
    let half = npy_file(Dtype::F16, &[2], &[1, 2, 3, 4]);
    npz_file(&[("z/noise.npy", noise), ("readme.txt", b"hi".to_vec()), ("a.npy", half)], method)
}

#[test]
fn npz_files_give_their_arrays_in_order() {
    let folder = TempDir::new().unwrap();
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let path = save(&folder, "two.npz", &two_members(method));
        let found = all(&path).unwrap();
        assert_eq!(keys(&found), ["z/noise", "a"]);
        assert_eq!(values(&found[0]).unwrap(), floats(300));
        assert_eq!((found[1].dtype, values(&found[1]).unwrap()), (Dtype::F16, vec![1, 2, 3, 4]));
        assert_eq!(keys(&arrays(&arg(None, &path, Some("a"))).unwrap()), ["a"]);
        assert_eq!(keys(&arrays(&arg(Some("k"), &path, Some("z/noise"))).unwrap()), ["k"]);
    }
}

#[test]
fn one_key_is_for_one_array() {
    let folder = TempDir::new().unwrap();
    let path = save(&folder, "two.npz", &two_members(CompressionMethod::Stored));
    let path_text = path.to_str().unwrap();
    let error = arrays(&arg(Some("k"), &path, None)).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "{path_text} holds 2 arrays (z/noise, a), too many for one key; pick one, for example k={path_text}:z/noise"
        )
    );
    let error = arrays(&arg(None, &path, Some("noise"))).unwrap_err().to_string();
    assert_eq!(error, format!("{path_text} has no array noise; did you mean z/noise?"));
    let error = arrays(&arg(None, &path, Some("x"))).unwrap_err().to_string();
    assert_eq!(error, format!("{path_text} has no array x; it holds z/noise, a"));

    let many: Vec<_> = (0..13).map(|at| format!("a{at}.npy")).collect();
    let members: Vec<_> =
        many.iter().map(|name| (name.as_str(), npy_file(Dtype::F16, &[1], &[0, 0]))).collect();
    let path = save(&folder, "many.npz", &npz_file(&members, CompressionMethod::Stored));
    let error = arrays(&arg(None, &path, Some("x"))).unwrap_err().to_string();
    assert!(error.ends_with("it holds a0, a1, a2, a3, a4, a5, a6, a7, a8, a9 and 3 more"), "{error}");

    let one = npz_file(&[("x.npy", npy_file(Dtype::F16, &[1], &[0, 0]))], CompressionMethod::Stored);
    let path = save(&folder, "one.npz", &one);
    assert_eq!(keys(&arrays(&arg(Some("k"), &path, None)).unwrap()), ["k"]);
}

/// The positions at which a signature occurs.
fn find_all(bytes: &[u8], signature: &[u8]) -> Vec<usize> {
    (0..bytes.len()).filter(|&at| bytes[at..].starts_with(signature)).collect()
}

#[test]
fn a_wrong_crc_is_an_error_of_the_last_read() {
    let folder = TempDir::new().unwrap();
    for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
        let mut bytes = two_members(method);
        for at in find_all(&bytes, b"PK\x01\x02") {
            bytes[at + 16] ^= 1;
        }
        let path = save(&folder, "crc.npz", &bytes);
        let array = &all(&path).unwrap()[0];
        let mut buffer = vec![0; usize::try_from(array.payload_size()).unwrap()];
        let error = array.open().unwrap().read_exact(&mut buffer).unwrap_err().to_string();
        assert!(error.ends_with("crc.npz:z/noise: its CRC is wrong"), "{error}");
    }
    let empty = npz_file(&[("x.npy", npy_file(Dtype::F16, &[0], b""))], CompressionMethod::Stored);
    let mut bytes = empty.clone();
    bytes[find_all(&empty, b"PK\x01\x02")[0] + 16] ^= 1;
    assert!(all(&save(&folder, "none.npz", &bytes)).unwrap()[0].open().is_err());
}

#[test]
fn bad_npz_files_are_refused() {
    let folder = TempDir::new().unwrap();
    let good = two_members(CompressionMethod::Stored);
    let patched = |offset: usize, value: u8| {
        let mut bytes = good.clone();
        for at in find_all(&good, b"PK\x01\x02") {
            bytes[at + offset] = value;
        }
        bytes
    };
    assert!(
        error(&save(&folder, "a.npz", &patched(8, 1)))
            .ends_with("z/noise is encrypted; save it without a password")
    );
    assert!(
        error(&save(&folder, "b.npz", &patched(10, 12))).contains("is compressed with bzip2, not deflate")
    );
    assert!(error(&save(&folder, "c.npz", &patched(10, 77))).contains("an unknown method"));
    assert!(
        error(&save(&folder, "d.npz", &patched(10, 8))).contains("d.npz:z/noise"),
        "stored, but called deflated"
    );
    assert!(error(&save(&folder, "e.npz", &good[..good.len() / 2])).contains("is not a valid .npz"));
    assert!(error(&save(&folder, "f.npz", b"")).contains("is not a valid .npz"));
    let nothing = npz_file(&[("readme.txt", Vec::new())], CompressionMethod::Stored);
    assert!(error(&save(&folder, "g.npz", &nothing)).ends_with("holds no arrays"));
    let short = npz_file(&[("x.npy", npy_file(Dtype::F32, &[5], &floats(4)))], CompressionMethod::Stored);
    assert!(
        error(&save(&folder, "h.npz", &short))
            .ends_with("h.npz:x has 16 bytes of values, but its shape and dtype say 20")
    );
    let mut twice = npz_file(
        &[("x.npy", npy_file(Dtype::F16, &[0], b"")), ("y.npy", npy_file(Dtype::F16, &[0], b""))],
        CompressionMethod::Stored,
    );
    for at in find_all(&twice, b"y.npy") {
        twice[at] = b'x';
    }
    assert!(error(&save(&folder, "i.npz", &twice)).ends_with("has several members with the same name"));
}

#[test]
fn safetensors_files_give_their_arrays_in_order() {
    let folder = TempDir::new().unwrap();
    let values_of_a = floats(6);
    let bytes = safetensors_file(&[
        ("b", Type::F16, &[2, 1], &[1, 2, 3, 4]),
        ("z", Type::F32, &[], &[0, 0, 128, 63]),
        ("a", Type::F32, &[2, 3], &values_of_a),
    ]);
    let path = save(&folder, "x.safetensors", &bytes);
    let found = all(&path).unwrap();
    // The safetensors crate orders tensors by alignment and name.
    assert_eq!(keys(&found), ["a", "z", "b"]);
    assert_eq!(values(&found[0]).unwrap(), floats(6));
    assert_eq!((found[2].dtype, &found[2].shape[..]), (Dtype::F16, &[2, 1][..]));
    assert_eq!(values(&found[2]).unwrap(), [1, 2, 3, 4]);
    let picked = arrays(&arg(Some("k"), &path, Some("z"))).unwrap();
    assert_eq!((keys(&picked), values(&picked[0]).unwrap()), (vec!["k"], vec![0, 0, 128, 63]));
    assert!(arrays(&arg(Some("k"), &path, None)).is_err());
    assert!(arrays(&arg(None, &path, Some("__metadata__"))).is_err());
}

#[test]
fn safetensors_of_other_types_are_refused_unless_not_asked_for() {
    let folder = TempDir::new().unwrap();
    let bytes = safetensors_file(&[("b", Type::I16, &[2], &[1, 2, 3, 4]), ("h", Type::F16, &[1], &[1, 2])]);
    let path = save(&folder, "x.safetensors", &bytes);
    let error = error(&path);
    assert!(error.ends_with(
        "x.safetensors:b holds integers (I16): GEN5 keeps float16, bfloat16 and float32; convert it first, for example tensor.to(torch.float32)"
    ));
    assert_eq!(keys(&arrays(&arg(None, &path, Some("h"))).unwrap()), ["h"]);
}

#[test]
fn bad_safetensors_files_are_refused() {
    let folder = TempDir::new().unwrap();
    let entry = |start: usize, end: usize| {
        format!(
            r#"{{"x":{{"dtype":"F32","shape":[2],"data_offsets":[{start},{end}]}},"__metadata__":{{"a":"b"}}}}"#
        )
    };
    let good = save(&folder, "good.safetensors", &raw_safetensors(&entry(0, 8), 8));
    assert_eq!(values(&all(&good).unwrap()[0]).unwrap(), [7; 8]);
    let twice = r#"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#;
    let table = [
        (b"".to_vec(), "too short"),
        (u64::MAX.to_le_bytes().to_vec(), "claims a header of 18446744073709551615 bytes"),
        (33_554_432_u64.to_le_bytes().to_vec(), "ends within its header"),
        (33_554_433_u64.to_le_bytes().to_vec(), "at most 33554432 are read: put fewer tensors into a file"),
        (raw_safetensors(&entry(0, 8), 7), "has 7 bytes of values, but its header promises 8"),
        (raw_safetensors(&entry(0, 8), 9), "has 9 bytes of values, but its header promises 8"),
        (raw_safetensors(&entry(8, 16), 16), "invalid offset for tensor `x`"),
        (raw_safetensors(&entry(0, 4), 4), "invalid shape"),
        (raw_safetensors(&entry(8, 0), 8), "invalid offset"),
        (raw_safetensors(twice, 8), "invalid offset"),
        (raw_safetensors("{", 0), "has no valid header"),
        (raw_safetensors("{}", 0), "holds no arrays"),
        (raw_safetensors(&entry(0, 8).replace("[2]", "[4294967296,4294967296,4]"), 8), "overflow"),
        (raw_safetensors(&entry(0, 8).replace("F32", "Q\\u001b"), 8), "Q\\u{1b}"),
        (raw_safetensors(&"[".repeat(100_000), 0), "has no valid header"),
    ];
    for (bytes, problem) in table {
        let error = error(&save(&folder, "bad.safetensors", &bytes));
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn other_files_are_refused() {
    let folder = TempDir::new().unwrap();
    assert!(error(&save(&folder, "x.pt", b"")).contains(
        "is not a .npy, .npz, .safetensors or .latent file, judging by its name; save it as one first"
    ));
    for name in ["gone.npy", "gone.npz", "gone.safetensors"] {
        assert!(error(&folder.path().join(name)).contains("cannot open"));
    }
    fs::create_dir(folder.path().join("folder.npy")).unwrap();
    assert!(error(&folder.path().join("folder.npy")).ends_with("is not a regular file"));
    let path = save(&folder, "x.npy", &npy_file(Dtype::F16, &[0], b""));
    assert!(arrays(&arg(None, &path, Some("x"))).is_err());
}

#[test]
fn arguments_are_taken_apart() {
    let table = [
        ("noise.npy", (None, "noise.npy", None)),
        ("k=noise.npy", (Some("k"), "noise.npy", None)),
        ("k=a=b.npy", (Some("k"), "a=b.npy", None)),
        ("a.npz:x", (None, "a.npz", Some("x"))),
        ("k=a.NPZ:x:y", (Some("k"), "a.NPZ", Some("x:y"))),
        ("k=a.SafeTensors:x/y.z", (Some("k"), "a.SafeTensors", Some("x/y.z"))),
        ("k=a.npz:x=y", (Some("k"), "a.npz", Some("x=y"))),
        ("C:\\x.npz", (None, "C:\\x.npz", None)),
        ("k=C:\\x.npz:y", (Some("k"), "C:\\x.npz", Some("y"))),
        ("a:b.npy", (None, "a:b.npy", None)),
        ("a.npy:b", (None, "a.npy:b", None)),
        ("schlüssel=ü.npz:ä", (Some("schlüssel"), "ü.npz", Some("ä"))),
    ];
    for (text, (key, path, member)) in table {
        assert_eq!(LatentArg::parse(text).unwrap(), arg(key, Path::new(path), member), "{text}");
    }
    for text in ["", "=x.npy", "k=", "k=a.npz:", "a.npz:"] {
        assert!(LatentArg::parse(text).is_err(), "{text}");
    }
}

#[cfg(unix)]
#[test]
fn files_that_are_there_are_meant() {
    let folder = TempDir::new().unwrap();
    for name in ["k=x.npy", "a.npz:b", "k=c.npz", "d.npz:e.npz"] {
        save(&folder, name, b"");
    }
    let root = folder.path().to_str().unwrap();
    let table = [
        ("k=x.npy", None, "k=x.npy", None),
        ("a.npz:b", None, "a.npz:b", None),
        ("a.npz:c", None, "a.npz", Some("c")),
        ("k=c.npz:x", None, "k=c.npz", Some("x")),
        ("d.npz:e.npz:x", None, "d.npz:e.npz", Some("x")),
    ];
    for (text, key, path, member) in table {
        let parsed = LatentArg::parse(format!("{root}/{text}")).unwrap();
        assert_eq!(parsed, arg(key, &folder.path().join(path), member), "{text}");
    }
    let parsed = LatentArg::parse(format!("k={root}/a.npz:b")).unwrap();
    assert_eq!(parsed, arg(Some("k"), &folder.path().join("a.npz:b"), None));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_files_give_errors_or_all_their_bytes(
        kind in 0_usize..4,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let values_of_a = floats(6);
        let (name, mut bytes) = match kind {
            0 => ("x.npy", fortran(npy_file(Dtype::F32, &[2, 3], &values_of_a))),
            1 => ("x.npz", two_members(CompressionMethod::Stored)),
            2 => ("x.npz", two_members(CompressionMethod::Deflated)),
            _ => ("x.safetensors", safetensors_file(&[("a", Type::F32, &[2, 3], &values_of_a)])),
        };
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let folder = TempDir::new().unwrap();
        for array in all(&save(&folder, name, &bytes)).unwrap_or_default() {
            if let Ok(values) = values(&array) {
                prop_assert_eq!(values.len() as u64, array.payload_size());
            }
        }
    }
}
