//! The header of a `.npy` array, read and written as numpy does.
//!
//! ```text
//! 0   6  \x93NUMPY
//! 6   2  version: 1.0, 2.0 or 3.0
//! 8   n  length of the text, little-endian; n is 2 in version 1.0 and 4 in the others
//!        the text: {'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), }, spaces, a newline
//!        the values, at a multiple of 64
//! ```

use std::io::{self, Read, Write};

use anyhow::{Context, Result, anyhow, bail, ensure};
use gen5_picture::text::escape;

use super::ACCEPTED;
use super::types::Type;

const MAGIC: &[u8; 6] = b"\x93NUMPY";

/// The alignment of the values.
const ALIGNMENT: usize = 64;

/// Digits that numpy reserves so that the first axis can be extended in place.
const AXIS_DIGITS: usize = 21;

/// Limit on the header text in bytes. A header of 64 axes has less than 2000; numpy itself stops at
/// 10,000 characters.
const MAX_TEXT: u32 = 1 << 20;

/// The contents of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NpyHeader {
    pub(super) dtype: Type,
    /// The reason why it cannot be a latent, if so.
    pub(super) refusal: Option<String>,
    pub(super) shape: Vec<usize>,
    pub(super) fortran_order: bool,
    /// Number of bytes before the values.
    pub(super) length: u64,
}

/// Reads only the header of an array; errors call it `name`.
pub(super) fn read_header(source: &mut dyn Read, name: &str) -> Result<NpyHeader> {
    let mut prefix = [0; 8];
    read_exact(source, &mut prefix, name)?;
    let [magic @ .., major, minor] = prefix;
    ensure!(magic == *MAGIC, "{name} is not a .npy array: it does not begin with \\x93NUMPY");
    let mut length = [0; 4];
    let field = match (major, minor) {
        (1, 0) => 2,
        (2 | 3, 0) => 4,
        _ => bail!("{name} is a .npy array of version {major}.{minor}; this reads 1.0, 2.0 and 3.0"),
    };
    let (low, _) = length.split_at_mut(field);
    read_exact(source, low, name)?;
    let length = u32::from_le_bytes(length);
    ensure!(length <= MAX_TEXT, "{name} claims a header of {length} bytes; at most {MAX_TEXT} are read");

    let mut text = Vec::new();
    let read =
        source.take(length.into()).read_to_end(&mut text).with_context(|| format!("cannot read {name}"))?;
    ensure!(read as u64 == u64::from(length), "{name} ends within its header");
    let fields = Fields::parse(&text).map_err(|problem| anyhow!("{name} has no valid header: {problem}"))?;
    let refusal = fields.refusal.map(|refusal| format!("{name} holds {refusal}"));
    let Some(dtype) = fields.dtype else { bail!("{}", refusal.unwrap_or_default()) };
    let length = prefix.len() as u64 + field as u64 + u64::from(length);
    Ok(NpyHeader { dtype, refusal, shape: fields.shape, fortran_order: fields.fortran_order, length })
}

fn read_exact(source: &mut dyn Read, buf: &mut [u8], name: &str) -> Result<()> {
    source.read_exact(buf).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => anyhow!("{name} is too short for a .npy array"),
        _ => anyhow::Error::new(error).context(format!("cannot read {name}")),
    })
}

/// The members of the dictionary in a header.
///
/// A parser of Python literals would be less robust. Only three members of three known types are
/// needed. Nesting is not followed, so any text takes linear time and constant stack.
#[derive(Debug)]
struct Fields {
    /// `None` for an unknown dtype.
    dtype: Option<Type>,
    /// The reason why latents cannot have this dtype, if so.
    refusal: Option<String>,
    fortran_order: bool,
    shape: Vec<usize>,
}

impl Fields {
    fn parse(text: &[u8]) -> Result<Self, String> {
        let inner = text.trim_ascii().strip_prefix(b"{").and_then(|text| text.strip_suffix(b"}"));
        let mut rest = inner.ok_or("it is not a Python dictionary")?;
        let mut descr = None;
        let mut order = None;
        let mut shape = None;
        while !rest.trim_ascii().is_empty() {
            let (member, behind) = split(rest, b',').unwrap_or((rest, b""));
            rest = behind;
            let (key, value) = split(member, b':').ok_or("a member of it has no value")?;
            let value = value.trim_ascii();
            let known = match string(key) {
                Some(b"descr") => descr.replace(value),
                Some(b"fortran_order") => order.replace(value),
                Some(b"shape") => shape.replace(value),
                _ => return Err(format!("its member {} is unknown", shown(key))),
            };
            if known.is_some() {
                return Err(format!("its member {} occurs twice", shown(key)));
            }
        }
        let fortran_order = match order.ok_or("'fortran_order' is missing")? {
            b"True" => true,
            b"False" => false,
            other => return Err(format!("fortran_order is {}", shown(other))),
        };
        let shape = shape.ok_or("'shape' is missing")?;
        let shape = tuple(shape).ok_or_else(|| format!("shape is {}", shown(shape)))?;
        let descr = descr.ok_or("'descr' is missing")?;
        let dtype = string(descr).and_then(|code| Type::of_npy_code(str::from_utf8(code).ok()?));
        let refusal = (!matches!(dtype, Some(Type::Latent(_)))).then(|| refusal(descr));
        Ok(Self { dtype, refusal, fortran_order, shape })
    }
}

/// The text before and after the first `separator` outside strings and brackets.
fn split(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let mut depth = 0_usize;
    let mut quote = None;
    let mut escaped = false;
    let at = text.iter().position(|&byte| {
        match (quote, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, _) if depth == 0 && byte == separator => return true,
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'(' | b'[' | b'{') => depth += 1,
            (None, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
        false
    })?;
    let (before, rest) = text.split_at(at);
    rest.split_first().map(|(_, behind)| (before, behind))
}

/// The contents of a string literal without escapes.
fn string(literal: &[u8]) -> Option<&[u8]> {
    let [open @ (b'\'' | b'"'), text @ .., close] = literal.trim_ascii() else { return None };
    (open == close && !text.contains(open) && !text.contains(&b'\\')).then_some(text)
}

/// The integers of a tuple. Python 2 wrote some of them with the suffix `L`.
fn tuple(literal: &[u8]) -> Option<Vec<usize>> {
    let inner = literal.strip_prefix(b"(")?.strip_suffix(b")")?.trim_ascii();
    if inner.is_empty() {
        return Some(Vec::new());
    }
    // A single value in parentheses is only a tuple with a trailing comma.
    let items = match inner.strip_suffix(b",") {
        Some(items) => items,
        None if inner.contains(&b',') => inner,
        None => return None,
    };
    let axis = |item: &[u8]| {
        let item = item.trim_ascii();
        let digits = item.strip_suffix(b"L").unwrap_or(item);
        // `parse` would also accept a sign.
        let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
        str::from_utf8(digits).ok()?.parse().ok()
    };
    items.split(|&byte| byte == b',').map(axis).collect()
}

/// The description of a `descr` that latents cannot have, with a remedy.
fn refusal(descr: &[u8]) -> String {
    let code = string(descr).and_then(|code| str::from_utf8(code).ok());
    let Some(code) = code else {
        return format!("a structured dtype ({}): {ACCEPTED}; save its fields one by one", shown(descr));
    };
    let mut characters = code.chars();
    let order = characters.next();
    let kind = characters.next();
    let size = characters.as_str();
    let shown = shown(code.as_bytes());
    let convert = |what: String, expression: &str| {
        format!("{what} ('{shown}'): {ACCEPTED}; convert it first, for example {expression}")
    };
    let bits = size.parse().ok().and_then(|bytes: u32| bytes.checked_mul(8)).unwrap_or(0);
    let big = if order == Some('>') { "big-endian " } else { "" };
    match (order, kind, size) {
        (Some('>'), Some('f'), "2" | "4") => {
            convert(format!("{big}float{bits}"), &format!("array.astype(\"<f{size}\")"))
        }
        (_, Some('f'), _) => convert(format!("{big}float{bits}"), "array.astype(\"float32\")"),
        (_, Some('i'), _) => convert(format!("{big}int{bits}"), "array.astype(\"float32\")"),
        (_, Some('u'), _) => convert(format!("{big}uint{bits}"), "array.astype(\"float32\")"),
        (_, Some('b'), _) => convert("bool".to_owned(), "array.astype(\"float32\")"),
        (_, Some('c'), _) => {
            convert(format!("{big}complex{bits}"), "array.view(array.real.dtype).astype(\"float32\")")
        }
        // numpy has no bfloat16 and saves that of ml_dtypes as raw bytes.
        (_, Some('V'), "2") => convert(
            "values of two unnamed bytes, perhaps bfloat16".to_owned(),
            "array.view(ml_dtypes.bfloat16).astype(\"float32\")",
        ),
        (_, Some('O'), _) => format!("Python objects ('{shown}'): {ACCEPTED}, and pickles are not read"),
        (_, Some('S' | 'a' | 'U'), _) => format!("text ('{shown}'): {ACCEPTED}"),
        (_, Some('m' | 'M'), _) => format!("times ('{shown}'): {ACCEPTED}"),
        _ => format!("values of the dtype '{shown}': {ACCEPTED}"),
    }
}

/// A piece of a header for an error, escaped and shortened.
fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 60;
    let text = String::from_utf8_lossy(text.trim_ascii());
    let start: String = text.chars().take(LONGEST).collect();
    let more = if start.len() < text.len() { "…" } else { "" };
    format!("{}{more}", escape(&start))
}

/// Writes the header of a C-order array, byte for byte as numpy does: in version 1.0, or 2.0 if the
/// text is over 65535 bytes.
///
/// # Errors
///
/// If `out` fails, if numpy does not have the dtype, or if the shape's text is over 4 GiB.
pub fn write_header(out: &mut dyn Write, dtype: impl Into<Type>, shape: &[usize]) -> io::Result<()> {
    out.write_all(&header(dtype.into(), shape)?)
}

/// The header that [`write_header`] writes.
pub(super) fn header(dtype: Type, shape: &[usize]) -> io::Result<Vec<u8>> {
    let code = dtype.npy_code().ok_or(io::ErrorKind::InvalidInput)?;
    let text = header_text(&code, shape);
    let mut header = MAGIC.to_vec();
    if let Ok(length) = u16::try_from(padded(&text, 10)) {
        header.extend_from_slice(&[1, 0]);
        header.extend_from_slice(&length.to_le_bytes());
    } else {
        let length = u32::try_from(padded(&text, 12)).map_err(|_| io::ErrorKind::InvalidInput)?;
        header.extend_from_slice(&[2, 0]);
        header.extend_from_slice(&length.to_le_bytes());
    }
    let length = header.len() + padded(&text, header.len());
    header.extend_from_slice(text.as_bytes());
    header.resize(length - 1, b' ');
    header.push(b'\n');
    Ok(header)
}

/// The length of the text with padding and newline, after `before` bytes. Text that ends at a
/// boundary gets 64 spaces, as in numpy.
fn padded(text: &str, before: usize) -> usize {
    let end = before + text.len() + 1;
    text.len() + 1 + ALIGNMENT - end % ALIGNMENT
}

fn header_text(code: &str, shape: &[usize]) -> String {
    let mut text = format!("{{'descr': '{code}', 'fortran_order': False, 'shape': (");
    let mut separator = "";
    for axis in shape {
        text.push_str(separator);
        text.push_str(&axis.to_string());
        separator = ", ";
    }
    text.push_str(if shape.len() == 1 { ",), }" } else { "), }" });
    if let Some(first) = shape.first() {
        let room = AXIS_DIGITS.saturating_sub(first.to_string().len());
        text.extend(std::iter::repeat_n(' ', room));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use gen5::Dtype;
    use proptest::prelude::*;

    fn framed(version: u8, text: &[u8]) -> Vec<u8> {
        let mut file = MAGIC.to_vec();
        file.extend_from_slice(&[version, 0]);
        let length = u32::try_from(text.len()).unwrap().to_le_bytes();
        file.extend_from_slice(if version == 1 { &length[..2] } else { &length });
        file.extend_from_slice(text);
        file
    }

    fn read(file: &[u8]) -> Result<NpyHeader, String> {
        let header = read_header(&mut &*file, "x.npy").map_err(|error| format!("{error:#}"))?;
        match &header.refusal {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(header),
        }
    }

    fn read_text(text: &str) -> Result<NpyHeader, String> {
        read(&framed(1, text.as_bytes()))
    }

    fn written(dtype: Dtype, shape: &[usize]) -> Vec<u8> {
        let mut file = Vec::new();
        write_header(&mut file, dtype, shape).unwrap();
        file
    }

    #[test]
    fn headers_are_those_of_numpy() {
        // Output of numpy.save for zeros((1, 4), "<f4"), zeros(3, "<f2") and a scalar, numpy 2.4.6.
        let pad = |text: &str| format!("{text}{}\n", " ".repeat(117 - text.len()));
        for (dtype, shape, text) in [
            (Dtype::F32, &[1, 4][..], "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), }"),
            (Dtype::F16, &[3], "{'descr': '<f2', 'fortran_order': False, 'shape': (3,), }"),
        ] {
            let file = written(dtype, shape);
            assert_eq!(&file[..10], b"\x93NUMPY\x01\x00\x76\x00");
            assert_eq!(str::from_utf8(&file[10..]).unwrap(), pad(text));
        }
        let scalar = written(Dtype::F32, &[]);
        assert_eq!(&scalar[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert!(scalar[10..].starts_with(b"{'descr': '<f4', 'fortran_order': False, 'shape': (), }  "));
    }

    #[test]
    fn long_headers_are_of_version_2() {
        let shape = vec![1; 30_000];
        let file = written(Dtype::F16, &shape);
        assert_eq!(file[6..8], [2, 0]);
        assert_eq!(file.len() % 64, 0);
        assert_eq!(read(&file).unwrap().shape, shape);
    }

    #[test]
    fn every_version_and_spelling_is_read() {
        let text = "{'descr': '<f2', 'fortran_order': True, 'shape': (3, 4), }";
        for version in 1..=3 {
            let header = read(&framed(version, text.as_bytes())).unwrap();
            let length = if version == 1 { 10 } else { 12 } + text.len() as u64;
            assert_eq!(
                header,
                NpyHeader {
                    dtype: Dtype::F16.into(),
                    refusal: None,
                    shape: vec![3, 4],
                    fortran_order: true,
                    length
                }
            );
        }
        let same = [
            "{\"shape\":(3,4),\"fortran_order\":True,\"descr\":\"<f2\"}\n",
            "  { 'shape' : ( 3L , 4L , ) , 'descr' : '<f2' , 'fortran_order' : True }   \n",
        ];
        for text in same {
            assert_eq!(read_text(text).unwrap().shape, [3, 4]);
        }
    }

    #[test]
    fn other_dtypes_are_refused_by_name() {
        let table = [
            (
                "'<f8'",
                "float64 ('<f8'): GEN5 keeps float16, bfloat16 and float32; convert it first, for example array.astype(\"float32\")",
            ),
            (
                "'>f4'",
                "big-endian float32 ('>f4'): GEN5 keeps float16, bfloat16 and float32; convert it first, for example array.astype(\"<f4\")",
            ),
            (
                "'>f2'",
                "big-endian float16 ('>f2'): GEN5 keeps float16, bfloat16 and float32; convert it first, for example array.astype(\"<f2\")",
            ),
            ("'|b1'", "bool ("),
            ("'|u1'", "uint8 ("),
            ("'>i8'", "big-endian int64 ("),
            ("'<c8'", "complex64 ("),
            ("'|V2'", "values of two unnamed bytes, perhaps bfloat16 ("),
            ("'|O'", "Python objects ("),
            ("'<U7'", "text ("),
            ("'<M8[ns]'", "times ("),
            ("'<f99999999999'", "float0 ("),
            ("'\x1b[2J'", "values of the dtype '\\u{1b}[2J'"),
            ("''", "values of the dtype ''"),
            (
                "[('a', '<f4'), ('b,}', '<f4', (2,))]",
                "a structured dtype ([('a', '<f4'), ('b,}', '<f4', (2,))]): ",
            ),
        ];
        for (descr, refusal) in table {
            let text = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': (), }}");
            let error = read_text(&text).unwrap_err();
            assert!(error.starts_with(&format!("x.npy holds {refusal}")), "{error}");
        }
    }

    #[test]
    fn malformed_headers_are_errors() {
        let text = |order: &str, shape: &str| {
            format!("{{'descr': '<f4', 'fortran_order': {order}, 'shape': {shape}}}")
        };
        for shape in [
            "(3)",
            "[3, 4]",
            "(,)",
            "(3,,4)",
            "(-1,)",
            "(+1, 2)",
            "(1.0,)",
            "(True, 2)",
            "(L,)",
            "3",
            "((1, 2), 3)",
            "(99999999999999999999,)",
            "(1_0,)",
            "('1',)",
            "(1, 2",
            "",
        ] {
            assert!(read_text(&text("False", shape)).is_err(), "{shape}");
        }
        for order in ["0", "true", "None", ""] {
            assert!(read_text(&text(order, "(1,)")).is_err(), "{order}");
        }
        let good = text("False", "(1,)");
        assert!(read_text(&good).is_ok());
        for bad in ["", "{}", "[]", "{'descr': '<f4'}", "{'descr'}", "None"] {
            assert!(read_text(bad).unwrap_err().starts_with("x.npy has no valid header: "), "{bad}");
        }
        assert!(
            read_text(&good.replace('}', ", 'shape': (2,)}")).unwrap_err().contains("'shape' occurs twice")
        );
        assert!(read_text(&good.replace('}', ", 'x': 1}")).unwrap_err().contains("'x' is unknown"));
        assert!(read(&framed(4, good.as_bytes())).unwrap_err().contains("version 4.0"));
        assert!(read(b"PK\x03\x04....").unwrap_err().contains("does not begin"));
        let file = framed(1, good.as_bytes());
        for end in 0..file.len() {
            assert!(read(&file[..end]).is_err());
        }
    }

    #[test]
    fn hostile_headers_cost_little() {
        let mut file = b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec();
        assert!(read(&file).unwrap_err().contains("claims a header of 4294967295 bytes"));
        file.truncate(8);
        file.extend_from_slice(&MAX_TEXT.to_le_bytes());
        assert!(read(&file).unwrap_err().contains("ends within its header"));
        let long = format!("{{'descr': '<{}', 'fortran_order': False, 'shape': ()}}", "x".repeat(500_000));
        assert!(read(&framed(2, long.as_bytes())).unwrap_err().len() < 400);
        for open in ["[", "{", "(", "'", "\\", ",", "{'a':"] {
            let text = format!("{{'descr': {}", open.repeat(200_000));
            assert!(read(&framed(2, text.as_bytes())).is_err());
            assert!(read(&framed(2, format!("{text}}}").as_bytes())).unwrap_err().len() < 400);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back_here_and_in_npyz(
            half in any::<bool>(),
            shape in prop::collection::vec(prop_oneof![0_usize..4, Just(1 << 20)], 0..40),
            first in any::<usize>(),
        ) {
            let dtype = if half { Dtype::F16 } else { Dtype::F32 };
            // npyz multiplies the axes without overflow checks.
            let product = shape.iter().try_fold(1_usize, |product, &axis| product.checked_mul(axis.max(1)));
            let shape = if product.is_some() { shape } else { vec![first] };
            let file = written(dtype, &shape);
            prop_assert_eq!(file.len() % 64, 0);
            prop_assert_eq!(file.last(), Some(&b'\n'));
            let header = read(&file).unwrap();
            prop_assert_eq!(&header, &NpyHeader { dtype: dtype.into(), refusal: None, shape, fortran_order: false, length: file.len() as u64 });
            let other = npyz::NpyHeader::from_reader(&file[..]).unwrap();
            let axes: Vec<u64> = header.shape.iter().map(|&axis| axis as u64).collect();
            prop_assert_eq!(other.shape(), &axes[..]);
            prop_assert_eq!(other.order(), npyz::Order::C);
            prop_assert_eq!(other.dtype().descr(), if half { "'<f2'" } else { "'<f4'" });
        }

        #[test]
        fn no_text_panics(text in "[{}()\\[\\]'\",:L0-9a-f<> \\\\]{0,80}|\\PC{0,60}", version in 0_u8..5) {
            let _ = read(&framed(version, text.as_bytes()));
        }

        #[test]
        fn no_value_panics(descr in ".{0,30}", shape in "[(),0-9L ]{0,20}") {
            let _ = read_text(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"));
            let _ = read_text(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1,), }}"));
        }
    }
}
