//! A record of a file's data other than latents, and the restoration of the file from it.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use anyhow::{Context, Result, anyhow, bail, ensure};
use gen5::Dtype;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::{Layout, kohya, musubi};
use crate::convert::texts::Texts;
use crate::convert::types::{Other, Type};
use crate::terminal::{escape, shorten};

/// Limit on the bytes of arrays kept in addition to the latents of a file.
pub const MAX_KEPT: u64 = 64 << 10;

/// A file that latents came from: an element of `source_files` in `model_info`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// Its name, without folders.
    pub file: String,
    /// How it lays out its arrays.
    pub layout: Layout,
    /// Its arrays, in the order of the file.
    pub arrays: Vec<Member>,
    /// The texts of its header.
    #[serde(default, skip_serializing_if = "Texts::is_empty")]
    pub metadata: Texts,
}

/// An array of a file: a latent or a row of one, or values that are kept here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its name in the file.
    pub name: String,
    /// The type of its elements there.
    pub dtype: String,
    /// Its axes there.
    pub shape: Vec<usize>,
    /// Whether ComfyUI scaled its values before it saved them, which was undone for the latent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub scaled: bool,
    /// The key of the latent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Which row of the latent it is, along the first axis, unless it is the whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
    /// Its values, if they are no latent: numbers, or the bytes of floats as hexadecimal digits, which keep them exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<Kept>,
}

/// Values as JSON text. As a tree they would take a multiple of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kept(Box<RawValue>);

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Member {
    /// An array that is a latent.
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

    /// The type of its elements. What a file says is checked here, as in [`bytes`](Self::bytes).
    ///
    /// # Errors
    ///
    /// There is no such type.
    pub fn kind(&self) -> Result<Type> {
        Type::of_name(&self.dtype)
            .with_context(|| format!("{}: there is no dtype {}", escape(&self.name), escape(&self.dtype)))
    }

    /// The bytes of values that are kept here.
    ///
    /// # Errors
    ///
    /// There are none, or not those that dtype and shape ask for.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let name = escape(&self.name);
        let (Type::Other(other), Some(values)) = (self.kind()?, &self.values) else {
            bail!("{name} has neither a latent's key nor values");
        };
        let bytes = from_json(other, values.0.get())
            .with_context(|| format!("{name}: its values are not of the dtype {}", escape(&self.dtype)))?;
        ensure!(
            Type::Other(other).size_of_array(&self.shape) == Some(bytes.len() as u64),
            "{name} has {} values, which are not those of its shape",
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
        // JSON has no NaN, and its readers do not agree on the last digit.
        Other::F64 => Value::String(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        // Of a byte that is neither 0 nor 1 only a number tells which it is.
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

/// Up to eight bytes, with others behind them.
fn extended(bytes: &[u8], with: u8) -> [u8; 8] {
    let mut all = [with; 8];
    for (to, from) in all.iter_mut().zip(bytes) {
        *to = *from;
    }
    all
}

/// The bytes of values in JSON; `None` if they are no values of this type, or more than are kept.
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

/// Adds the bytes of one value.
fn add_value(bytes: &mut Vec<u8>, other: Other, value: &str) -> Option<()> {
    let number: i128 = match value {
        "true" => 1,
        "false" => 0,
        number => number.parse().ok()?,
    };
    let all = number.to_le_bytes();
    let (low, high) = all.split_at(other_size(other));
    // It is in range if the bytes that are kept give it back.
    let same = match other {
        Other::Int(_) => low.last().is_some_and(|byte| (byte & 0x80 != 0) == (number < 0)),
        _ => number >= 0,
    };
    let fill = if number < 0 { 0xff } else { 0 };
    let fits = high.iter().all(|byte| *byte == fill);
    (same && fits).then(|| bytes.extend_from_slice(low))
}

impl Source {
    /// Its name without the extension.
    pub fn stem(&self) -> &str {
        stem(&self.file, self.layout)
    }

    /// Its arrays that are latents, each with its position among all.
    pub fn latents(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.arrays.iter().enumerate().filter(|(_, member)| member.key.is_some())
    }

    /// The source, now that its latents are elsewhere: `to` tells under which key, and which row, for a latent or a row of
    /// it. `None` if one of them is nowhere.
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

    /// The sources that a `model_info` has, given as the text of its member; none if there is no such member.
    ///
    /// # Errors
    ///
    /// The text is no list of sources.
    pub fn list(member: Option<&str>) -> Result<Vec<Self>> {
        let (mut sources, mut failed) = (Vec::new(), Ok(()));
        let read = for_each(member.unwrap_or("[]"), |source: &RawValue| {
            if failed.is_ok() {
                failed = object(source.get()).map(|source| sources.push(source));
            }
        });
        let read =
            read.and(failed).map_err(|error| anyhow!("{}", escape(&shorten(&error.to_string(), SHOWN))));
        read.map(|()| sources)
    }

    /// The member of `model_info` that has a list of them.
    pub const MEMBER: &str = "source_files";

    /// Whether the values of its latents are as a decoder takes them, not as a sampler has them.
    pub fn is_unscaled(&self) -> bool {
        let latents = self.latents().map(|(_, member)| (&*member.name, &*member.shape));
        is_unscaled(self.layout, self.stem(), latents)
    }

    /// What sources say of latents by the files that these came from, going by the text of the member.
    pub fn origins(member: Option<&str>) -> Origins {
        #[derive(Deserialize)]
        struct Listed {
            file: String,
            layout: Layout,
            arrays: Vec<Array>,
        }
        #[derive(Deserialize)]
        struct Array {
            name: String,
            shape: Vec<usize>,
            key: Option<String>,
        }
        let mut origins = Origins::default();
        let listed = for_each(member.unwrap_or("[]"), |Listed { file, layout, arrays }| {
            let latents = arrays.iter().filter(|array| array.key.is_some());
            let latents = latents.map(|array| (&*array.name, &*array.shape));
            let is_unscaled = is_unscaled(layout, stem(&file, layout), latents);
            for Array { shape, key, .. } in arrays {
                let Some(key) = key else { continue };
                let keys = match layout {
                    _ if is_unscaled => &mut origins.unscaled,
                    Layout::Musubi if shape.len() == musubi::VIDEO_AXES => &mut origins.videos,
                    _ => continue,
                };
                keys.insert(key);
            }
        });
        if listed.is_ok() { origins } else { Origins::default() }
    }
}

/// A file's name without the extension of its layout.
fn stem(file: &str, layout: Layout) -> &str {
    match file.rsplit_once('.') {
        Some((stem, extension)) if extension.eq_ignore_ascii_case(layout.extension()) => stem,
        _ => file,
    }
}

/// Whether a file's latents, told by name and shape, are as a decoder takes them.
fn is_unscaled<'l>(
    layout: Layout,
    stem: &str,
    mut latents: impl Iterator<Item = (&'l str, &'l [usize])>,
) -> bool {
    match layout {
        Layout::Comfyui => true,
        Layout::Kohya => {
            let channels =
                latents.find(|(name, _)| kohya::is_latent(name)).and_then(|(_, shape)| shape.first());
            channels.is_some_and(|channels| kohya::is_unscaled(stem, *channels))
        }
        _ => false,
    }
}

/// What is known of latents by the files that they came from. All are keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Those whose values are as a decoder takes them, not as a sampler has them.
    pub unscaled: HashSet<String>,
    /// Those that are channels, frames, height and width.
    pub videos: HashSet<String>,
}

/// The files that a list of sources begins and ends with, and how many there are.
#[derive(Debug, Default, PartialEq)]
pub struct Outline {
    /// How many.
    pub count: usize,
    /// Name and layout of the first.
    pub first: Option<(String, Layout)>,
    /// Those of the last, if there are several.
    pub last: Option<(String, Layout)>,
}

impl Outline {
    /// Of the text of a member; `None` if that is no such list. What else it says is passed over.
    pub fn of(member: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Listed {
            file: String,
            layout: Layout,
        }
        let mut outline = Self::default();
        for_each(member, |Listed { file, layout }| {
            outline.count += 1;
            let end = if outline.count == 1 { &mut outline.first } else { &mut outline.last };
            *end = Some((file, layout));
        })
        .ok()?;
        Some(outline)
    }
}

/// Reads an object. The parser's error would repeat all of a text that is in its place.
fn object<'de, T: Deserialize<'de>>(text: &'de str) -> serde_json::Result<T> {
    serde_json::from_str(if text.starts_with('"') { "\"\"" } else { text })
}

/// Characters of an error that are shown.
const SHOWN: usize = 300;

/// Takes the elements of a JSON array in turn, of which one at a time is in memory: all of them can be many times the
/// size of their text.
///
/// # Errors
///
/// It is no such array.
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
    // The parser's error would repeat all of a text that is in the place of an array.
    let text = if text.starts_with('"') { "\"\"" } else { text };
    serde_json::Deserializer::from_str(text).deserialize_seq(Elements(take, PhantomData))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member(dtype: &str, shape: &[usize], values: &str) -> Member {
        let values = serde_json::from_str(values).unwrap();
        let (name, dtype) = ("x".to_owned(), dtype.to_owned());
        let (shape, scaled) = (shape.to_vec(), false);
        Member { name, dtype, shape, scaled, key: None, row: None, values: Some(values) }
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
            assert_eq!(error, format!("x: its values are not of the dtype {dtype}"), "{values}");
        }
        for shape in [&[3][..], &[], &[usize::MAX, 2], &[usize::MAX, usize::MAX]] {
            let error = member("int32", shape, "[1,2]").bytes().unwrap_err().to_string();
            assert_eq!(error, "x has 2 values, which are not those of its shape");
        }
        assert_eq!(member("int9", &[1], "[1]").bytes().unwrap_err().to_string(), "x: there is no dtype int9");
        assert!(member("float32", &[1], "[1]").bytes().is_err());
    }

    #[test]
    fn a_list_is_outlined() {
        let source = |file: &str| format!(r#"{{"file":"{file}","layout":"npy","arrays":[],"more":[1]}}"#);
        let name = |file: &str| Some((file.to_owned(), Layout::Npy));
        let outline = |files: &[&str]| {
            let texts: Vec<String> = files.iter().map(|file| source(file)).collect();
            Outline::of(&format!("[{}]", texts.join(",")))
        };
        assert_eq!(outline(&[]), Some(Outline::default()));
        assert_eq!(outline(&["a"]), Some(Outline { count: 1, first: name("a"), last: None }));
        assert_eq!(outline(&["a", "b", "c"]), Some(Outline { count: 3, first: name("a"), last: name("c") }));
        assert_eq!((Outline::of("{}"), Outline::of(r#"[{"file":"a"}]"#)), (None, None));
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
            let kept = Member::kept("x", other, &[bytes.len() / size], &bytes);
            let text = serde_json::to_string(&kept).unwrap();
            let again: Member = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&again, &kept);
            prop_assert_eq!(again.bytes().unwrap(), bytes);
        }
    }
}
