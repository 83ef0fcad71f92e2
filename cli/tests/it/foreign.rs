//! Support for tests of other formats: files written by numpy and safetensors
//! (`data/layouts/make.py`), and readers that use those libraries.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use gen5::{Dtype, Reader, f16};
use gen5_cli::convert::npy::write_header;
use gen5_cli::convert::types::{Other, Type};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype as Tensor, TensorView};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use crate::support::Folder;

pub const MODEL: [&str; 5] = ["--model-name", "x", "--model-version", "1", "--no-environment"];

pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/layouts").join(name)
}

/// Packs `words` into `x.gen5`. Returns the messages.
pub fn pack(folder: &Folder, words: &[&str]) -> String {
    let ran = folder.run(&[&["pack", "@/x.gen5", "--force"], words, &MODEL].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.messages
}

/// Unpacks `x.gen5` into a new folder. Returns the folder and the messages.
pub fn unpack(folder: &Folder, format: &str) -> (PathBuf, String) {
    let out = format!("@/{format}");
    let ran = folder.run(&["unpack", "@/x.gen5", "-o", &out, "--format", format]);
    assert_eq!(ran.code, 0, "{ran:?}");
    (folder.path(format), ran.messages)
}

/// The members of an `.npz` file: their names and bytes, each a `.npy` file.
pub fn npz(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut zip = ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut members = BTreeMap::new();
    for index in 0..zip.len() {
        let mut member = zip.by_index(index).unwrap();
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        members.insert(member.name().unwrap().to_string(), bytes);
    }
    members
}

pub type Tensors = BTreeMap<String, (Tensor, Vec<usize>, Vec<u8>)>;

/// The tensors and texts of a `.safetensors` file.
pub fn tensors(path: &Path) -> (Tensors, BTreeMap<String, String>) {
    let bytes = fs::read(path).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |(name, view): (String, TensorView<'_>)| {
        (name, (view.dtype(), view.shape().to_vec(), view.data().to_vec()))
    };
    let texts = header.metadata().iter().flatten().map(|(name, text)| (name.clone(), text.clone())).collect();
    (file.tensors().into_iter().map(tensor).collect(), texts)
}

pub fn eighths(count: u16) -> Vec<f32> {
    (0..count).map(|n| f32::from(n) / 8.0).collect()
}

pub fn values(folder: &Folder, key: &str) -> Vec<f32> {
    Reader::open(folder.path("x.gen5")).unwrap().latent(key).unwrap().read_as::<f32>().unwrap()
}

/// Creates the folder `in` with twelve arrays, whose numeric order differs from the alphabetical
/// one.
pub fn rows(folder: &Folder) {
    fs::create_dir(folder.path("in")).unwrap();
    for n in 0..12_u8 {
        folder.npy(&format!("in/img{n}.npy"), &[1, 2, 3], &[f32::from(n); 6]);
    }
}

/// A `.npy` file whose values are all `value`.
pub fn npy_of(dtype: Dtype, shape: &[usize], value: f32) -> Vec<u8> {
    let mut file = Vec::new();
    write_header(&mut file, dtype, shape).unwrap();
    let value = match dtype {
        Dtype::F16 => f16::from_f32(value).to_le_bytes().to_vec(),
        _ => value.to_le_bytes().to_vec(),
    };
    file.extend(value.repeat(shape.iter().product()));
    file
}

/// A `.npy` file of `count` int64 zeros.
pub fn npy_of_ints(count: usize) -> Vec<u8> {
    let mut file = Vec::new();
    write_header(&mut file, Type::Other(Other::Int(8)), &[count]).unwrap();
    file.resize(file.len() + count * 8, 0);
    file
}

/// Writes an `.npz` file with these `.npy` files.
pub fn write_npz(path: &Path, arrays: &[(&str, Vec<u8>)]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for (name, npy) in arrays {
        zip.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        zip.write_all(npy).unwrap();
    }
    zip.finish().unwrap();
}
