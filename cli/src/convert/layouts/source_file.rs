//! A record of a file's data other than latents, and the restoration of the file from it.

use std::fmt;
use std::marker::PhantomData;

use anyhow::{Context, Result, anyhow, bail, ensure};
use gen5::Dtype;
use gen5_picture::Origins;
use gen5_picture::text::escape;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::{FileLayout, kohya, musubi};
use crate::convert::texts::Texts;
use crate::convert::types::{Other, Type};
use crate::terminal::shorten;

/// Limit on the bytes of arrays kept in addition to the latents of a file.
pub const MAX_KEPT: u64 = 64 << 10;

/// A file that latents came from: an element of `source_files` in `model_info`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceFile {
    /// Its name without folders.
    pub file: String,
    /// Its layout.
    pub layout: FileLayout,
    /// Its arrays, in the order of the file.
    pub arrays: Vec<SourceArray>,
    /// The texts of its header.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub metadata: Texts,
}

/// An array of a file: a latent, a row of one, or values kept in this record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceArray {
    /// Its name in the file.
    pub name: String,
    /// The name of its element type in the file.
    pub dtype: String,
    /// Its axes in the file.
    pub shape: Vec<usize>,
    /// Whether ComfyUI had scaled its values before saving. The latent was unscaled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scaled: bool,
    /// The key of its latent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The row of the latent along the first axis; `None` for the whole latent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
    /// The values of an array that is not a latent: numbers, or floats as hexadecimal digits of
    /// their bytes, which is exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Kept>,
}

/// Values as JSON text. Parsed into a tree, they would take many times the memory.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kept(Box<RawValue>);

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl SourceArray {
    /// A latent.
    pub(in crate::convert) fn latent(name: &str, dtype: Dtype, shape: &[usize], key: &str) -> Self {
        Self {
            name: name.to_owned(),
            dtype: Type::Latent(dtype).name(),
            shape: shape.to_vec(),
            scaled: false,
            key: Some(key.to_owned()),
            row: None,
            values: None,
        }
    }

    /// An array of another type, with its bytes.
    pub(in crate::convert) fn kept(name: &str, other: Other, shape: &[usize], bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            dtype: Type::Other(other).name(),
            shape: shape.to_vec(),
            scaled: false,
            key: None,
            row: None,
            values: to_raw_value(&to_json(other, bytes)).ok().map(Kept),
        }
    }

    /// The type of its elements. Data from a file is checked here, as in [`bytes`](Self::bytes).
    ///
    /// # Errors
    ///
    /// If the type is unknown.
    pub fn kind(&self) -> Result<Type> {
        Type::of_name(&self.dtype)
            .with_context(|| format!("{}: unknown dtype {}", escape(&self.name), escape(&self.dtype)))
    }

    /// The bytes of the kept values.
    ///
    /// # Errors
    ///
    /// If there are none, or if they do not match the dtype and shape.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let name = escape(&self.name);
        let (Type::Other(other), Some(values)) = (self.kind()?, &self.values) else {
            bail!("{name} has neither a latent's key nor values");
        };
        let bytes = from_json(other, values.0.get())
            .with_context(|| format!("{name}: its values do not have the dtype {}", escape(&self.dtype)))?;
        ensure!(
            Type::Other(other).size_of_array(&self.shape) == Some(bytes.len() as u64),
            "{name} has {} values, which does not match its shape",
            bytes.len() / other_size(other)
        );
        Ok(bytes)
    }
}

fn other_size(other: Other) -> usize {
    Type::Other(other).size()
}

/// Values as JSON.
fn to_json(other: Other, bytes: &[u8]) -> Value {
    let elements = bytes.chunks_exact(other_size(other));
    match other {
        // JSON has no NaN, and its readers disagree on the last digit.
        Other::F64 => Value::String(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        // A byte other than 0 or 1 can only be recorded as a number.
        Other::Bool if bytes.iter().all(|byte| *byte <= 1) => bytes.iter().map(|byte| *byte == 1).collect(),
        Other::Bool => bytes.to_vec().into(),
        Other::Uint(_) => elements.map(|bytes| u64::from_le_bytes(extended(bytes, 0))).collect(),
        Other::Int(_) => elements
            .map(|bytes| {
                let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
                i64::from_le_bytes(extended(bytes, if negative { 0xff } else { 0 }))
            })
            .collect(),
    }
}

/// Up to eight bytes, padded with `with`.
fn extended(bytes: &[u8], with: u8) -> [u8; 8] {
    let mut all = [with; 8];
    for (to, from) in all.iter_mut().zip(bytes) {
        *to = *from;
    }
    all
}

/// The bytes of values in JSON; `None` if they are not of this type, or too many.
fn from_json(other: Other, values: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    if other == Other::F64 {
        let digits: String = serde_json::from_str(values).ok()?;
        let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
        for pair in pairs {
            let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
            bytes.push(u8::try_from(digit(0)? * 16 + digit(1)?).ok()?);
        }
        return rest.is_empty().then_some(bytes);
    }
    let mut all_fit = true;
    let add = |value: &RawValue| {
        let has_room = (bytes.len() as u64) < MAX_KEPT;
        let added = if has_room { add_value(&mut bytes, other, value.get()) } else { None };
        all_fit &= added.is_some();
    };
    for_each(values, add).ok()?;
    all_fit.then_some(bytes)
}

/// Appends the bytes of one value.
fn add_value(bytes: &mut Vec<u8>, other: Other, value: &str) -> Option<()> {
    let number: i128 = match value {
        "true" => 1,
        "false" => 0,
        number => number.parse().ok()?,
    };
    let all = number.to_le_bytes();
    let (low, high) = all.split_at(other_size(other));
    // The value is in range if its bytes convert back to it.
    let same = match other {
        Other::Int(_) => low.last().is_some_and(|byte| (byte & 0x80 != 0) == (number < 0)),
        _ => number >= 0,
    };
    let fill = if number < 0 { 0xff } else { 0 };
    let fits = high.iter().all(|byte| *byte == fill);
    (same && fits).then(|| bytes.extend_from_slice(low))
}

impl SourceFile {
    /// Its name without the extension.
    pub fn stem(&self) -> &str {
        stem(&self.file, self.layout)
    }

    /// Its latents, with their positions among all arrays.
    pub fn latents(&self) -> impl Iterator<Item = (usize, &SourceArray)> {
        self.arrays.iter().enumerate().filter(|(_, member)| member.key.is_some())
    }

    /// The source after its latents moved: `to` returns the new key and row of a latent or a row of
    /// it. `None` if one of them is missing.
    pub fn moved(
        mut self,
        to: impl Fn(&str, Option<usize>) -> Option<(String, Option<usize>)>,
    ) -> Option<Self> {
        for member in &mut self.arrays {
            if let Some(key) = &member.key {
                let (key, row) = to(key, member.row)?;
                (member.key, member.row) = (Some(key), row);
            }
        }
        Some(self)
    }

    /// The sources in a `model_info`, from the text of its member; empty without the member.
    ///
    /// # Errors
    ///
    /// If the text is not a list of sources.
    pub fn list(member: Option<&str>) -> Result<Vec<Self>> {
        let mut sources = Vec::new();
        let mut failed = Ok(());
        let read = for_each(member.unwrap_or("[]"), |source: &RawValue| {
            if failed.is_ok() {
                failed = object(source.get()).map(|source| sources.push(source));
            }
        });
        let read =
            read.and(failed).map_err(|error| anyhow!("{}", escape(&shorten(&error.to_string(), SHOWN))));
        read.map(|()| sources)
    }

    /// The member of `model_info` that lists the sources.
    pub const MEMBER: &str = "source_files";

    /// Whether its latents are in the decoder's scale rather than the sampler's.
    pub fn is_unscaled(&self) -> bool {
        let latents = self.latents().map(|(_, member)| (&*member.name, &*member.shape));
        is_unscaled(self.layout, self.stem(), latents)
    }

    /// Information from the source files about latents, parsed from the member's text.
    pub fn origins(member: Option<&str>) -> Origins {
        #[derive(Deserialize)]
        struct ListedFile {
            file: String,
            layout: FileLayout,
            arrays: Vec<ListedArray>,
        }
        #[derive(Deserialize)]
        struct ListedArray {
            name: String,
            shape: Vec<usize>,
            key: Option<String>,
        }
        let mut origins = Origins::default();
        let listed = for_each(member.unwrap_or("[]"), |ListedFile { file, layout, arrays }| {
            let latents = arrays.iter().filter(|array| array.key.is_some());
            let latents = latents.map(|array| (&*array.name, &*array.shape));
            let is_unscaled = is_unscaled(layout, stem(&file, layout), latents);
            for ListedArray { shape, key, .. } in arrays {
                let Some(key) = key else { continue };
                let keys = match layout {
                    _ if is_unscaled => &mut origins.unscaled,
                    FileLayout::Musubi if shape.len() == musubi::VIDEO_AXES => &mut origins.videos,
                    _ => continue,
                };
                keys.insert(key);
            }
        });
        if listed.is_ok() { origins } else { Origins::default() }
    }
}

/// A file name without the extension of its layout.
fn stem(file: &str, layout: FileLayout) -> &str {
    match file.rsplit_once('.') {
        Some((stem, extension)) if extension.eq_ignore_ascii_case(layout.extension()) => stem,
        _ => file,
    }
}

/// Whether a file's latents, given by name and shape, are in the decoder's scale.
fn is_unscaled<'l>(
    layout: FileLayout,
    stem: &str,
    mut latents: impl Iterator<Item = (&'l str, &'l [usize])>,
) -> bool {
    match layout {
        FileLayout::Comfyui => true,
        FileLayout::Kohya => {
            let channels =
                latents.find(|(name, _)| kohya::is_latent(name)).and_then(|(_, shape)| shape.first());
            channels.is_some_and(|channels| kohya::is_unscaled(stem, *channels))
        }
        _ => false,
    }
}

/// The first and last file of a list of sources, and the number of files.
#[derive(Debug, Default, PartialEq)]
pub struct SourceOutline {
    /// The number of files.
    pub count: usize,
    /// Name and layout of the first.
    pub first: Option<(String, FileLayout)>,
    /// Name and layout of the last, if there are several.
    pub last: Option<(String, FileLayout)>,
}

impl SourceOutline {
    /// Parses the text of a member; `None` if it is not a list of sources. Other information is
    /// skipped.
    pub fn of(member: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct ListedName {
            file: String,
            layout: FileLayout,
        }
        let mut outline = Self::default();
        for_each(member, |ListedName { file, layout }| {
            outline.count += 1;
            let end = if outline.count == 1 { &mut outline.first } else { &mut outline.last };
            *end = Some((file, layout));
        })
        .ok()?;
        Some(outline)
    }
}

/// Parses an object. For any other text, the parser's error would repeat all of it.
fn object<'de, T: Deserialize<'de>>(text: &'de str) -> serde_json::Result<T> {
    serde_json::from_str(if text.starts_with('"') { "\"\"" } else { text })
}

/// Limit on the characters shown of an error.
const SHOWN: usize = 300;

/// Passes the elements of a JSON array to `take`, with only one in memory at a time: all together
/// can take many times the memory of their text.
///
/// # Errors
///
/// If it is not an array of such elements.
pub fn for_each<'de, T: Deserialize<'de>>(text: &'de str, take: impl FnMut(T)) -> serde_json::Result<()> {
    struct Elements<T, F>(F, PhantomData<T>);
    impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Elements<T, F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an array")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
            while let Some(element) = elements.next_element()? {
                (self.0)(element);
            }
            Ok(())
        }
    }
    // If the text is a string, the parser's error would repeat all of it.
    let text = if text.starts_with('"') { "\"\"" } else { text };
    serde_json::Deserializer::from_str(text).deserialize_seq(Elements(take, PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(dtype: &str, shape: &[usize], values: &str) -> SourceArray {
        SourceArray {
            name: "x".to_owned(),
            dtype: dtype.to_owned(),
            shape: shape.to_vec(),
            scaled: false,
            key: None,
            row: None,
            values: Some(serde_json::from_str(values).unwrap()),
        }
    }

    #[test]
    fn values_are_readable() {
        let table: [(Other, &[u8], &str); 5] = [
            (Other::Bool, &[1, 0], "[true,false]"),
            (Other::Bool, &[1, 7], "[1,7]"),
            (Other::Int(2), &[0xff, 0xff, 0x00, 0x80], "[-1,-32768]"),
            (Other::Uint(8), &[0xff; 8], "[18446744073709551615]"),
            (Other::F64, &[0, 0, 0, 0, 0, 0, 0xf8, 0x7f], "\"000000000000f87f\""),
        ];
        for (other, bytes, json) in table {
            assert_eq!(to_json(other, bytes).to_string(), json);
        }
    }

    #[test]
    fn values_that_are_none_of_their_type_are_refused() {
        for (dtype, values) in [
            ("uint8", "[256]"),
            ("uint8", "[-1]"),
            ("int8", "[128]"),
            ("int8", "[-129]"),
            ("int64", "[9223372036854775808]"),
            ("uint64", "[18446744073709551616]"),
            ("int32", "[1.5]"),
            ("int32", "[\"1\"]"),
            ("int32", "{}"),
            ("float64", "[1]"),
            ("float64", "\"000000000000f87\""),
            ("float64", "\"0000000000000x00\""),
        ] {
            let error = member(dtype, &[1], values).bytes().unwrap_err().to_string();
            assert_eq!(error, format!("x: its values do not have the dtype {dtype}"), "{values}");
        }
        for shape in [&[3][..], &[], &[usize::MAX, 2], &[usize::MAX, usize::MAX]] {
            let error = member("int32", shape, "[1,2]").bytes().unwrap_err().to_string();
            assert_eq!(error, "x has 2 values, which does not match its shape");
        }
        assert_eq!(member("int9", &[1], "[1]").bytes().unwrap_err().to_string(), "x: unknown dtype int9");
        assert!(member("float32", &[1], "[1]").bytes().is_err());
    }

    #[test]
    fn a_list_is_outlined() {
        let source = |file: &str| format!(r#"{{"file":"{file}","layout":"npy","arrays":[],"more":[1]}}"#);
        let name = |file: &str| Some((file.to_owned(), FileLayout::Npy));
        let outline = |files: &[&str]| {
            let texts: Vec<String> = files.iter().map(|file| source(file)).collect();
            SourceOutline::of(&format!("[{}]", texts.join(",")))
        };
        assert_eq!(outline(&[]), Some(SourceOutline::default()));
        assert_eq!(outline(&["a"]), Some(SourceOutline { count: 1, first: name("a"), last: None }));
        assert_eq!(
            outline(&["a", "b", "c"]),
            Some(SourceOutline { count: 3, first: name("a"), last: name("c") })
        );
        assert_eq!((SourceOutline::of("{}"), SourceOutline::of(r#"[{"file":"a"}]"#)), (None, None));
    }

    proptest! {
        #[test]
        fn all_bytes_come_back(
            bytes in prop::collection::vec(any::<u8>(), 0..20),
            kind in prop_oneof![
                Just("bool"), Just("int8"), Just("int16"), Just("int32"), Just("int64"), Just("uint8"),
                Just("uint16"), Just("uint32"), Just("uint64"), Just("float64")
            ],
        ) {
            let Some(Type::Other(other)) = Type::of_name(kind) else { panic!("{kind}") };
            let size = other_size(other);
            let bytes: Vec<u8> = bytes.iter().cycle().take(bytes.len() * size).copied().collect();
            let kept = SourceArray::kept("x", other, &[bytes.len() / size], &bytes);
            let text = serde_json::to_string(&kept).unwrap();
            let again: SourceArray = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&again, &kept);
            prop_assert_eq!(again.bytes().unwrap(), bytes);
        }
    }
}
