//! The mistakes that a file may contain.

use arbitrary::Arbitrary;
use serde_json::{Value, json};

/// A single mistake. Indices of chunks, members and positions wrap around.
#[derive(Arbitrary, Clone, Debug)]
pub(super) enum Mistake {
    /// Changes a byte of a payload, and updates the hash.
    Payload { chunk: u8, at: u16, byte: u8 },
    /// Changes a byte of a chunk's header.
    Head { chunk: u8, at: u8, byte: u8 },
    /// Changes a byte of a stored chunk.
    Stored { chunk: u8, at: u16, byte: u8 },
    /// Adds or removes stored bytes of a chunk, and updates its record.
    Resized { chunk: u8, by: i8 },
    /// Changes a member of a record, of its `extra`, or of a part.
    Member { chunk: u8, member: u8, value: Json },
    /// Adds to a number in a record.
    Nudged { chunk: u8, member: u8, by: i8 },
    /// Copies a member from another record.
    Taken { chunk: u8, from: u8, member: u8 },
    /// Removes a record.
    Missing { chunk: u8 },
    /// Duplicates a record.
    Twice { chunk: u8 },
    /// Changes a member of the manifest outside the records.
    Manifest { member: u8, value: Json },
    /// Replaces a token in the manifest's text.
    Token { at: u16, token: u8, instead: u8 },
    /// Changes a byte of the stored table.
    Table { at: u16, byte: u8 },
    /// Changes a byte of the file header.
    Header { at: u8, byte: u8 },
}

/// A JSON value.
#[derive(Arbitrary, Clone, Debug)]
pub(super) enum Json {
    Null,
    Bool(bool),
    Small(u8),
    Number(i64),
    Edge(u8),
    Float(f64),
    Text(String),
    Numbers(Vec<u8>),
    Object(String),
}

/// Members of a record.
const MEMBERS: [&str; 18] = [
    "/index",
    "/type",
    "/flags",
    "/offset",
    "/compressed_size",
    "/uncompressed_size",
    "/hash",
    "/extra",
    "/compressed",
    "/extra/shape",
    "/extra/dtype",
    "/extra/key",
    "/extra/part",
    "/extra/part/of",
    "/extra/part/index",
    "/extra/part/count",
    "/extra/part/start",
    "/extra/part/shape",
];

/// Members of the manifest.
const OF_MANIFEST: [&str; 14] = [
    "",
    "/gen5_metadata",
    "/gen5_metadata/chunks",
    "/gen5_metadata/file_info",
    "/gen5_metadata/file_info/magic",
    "/gen5_metadata/file_info/version_major",
    "/gen5_metadata/file_info/version_minor",
    "/gen5_metadata/file_info/file_size",
    "/gen5_metadata/file_info/chunk_count",
    "/gen5_metadata/model_info",
    "/gen5_metadata/model_info/date",
    "/gen5_metadata/model_info/tags",
    "/gen5_metadata/model_info/generation_settings",
    "/gen5_metadata/model_info/generation_settings/steps",
];

/// Numbers at the limits of integer types.
const EDGES: [u64; 10] = [
    31,
    32,
    u16::MAX as u64,
    i32::MAX as u64,
    u32::MAX as u64,
    1 << 32,
    (1 << 53) + 1,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// Tokens to insert into the manifest's text.
const TOKENS: [&str; 16] = [
    "NaN",
    "-Infinity",
    "\"\\ud800\"",
    "1180591620717411303424",
    "1e400",
    "-0",
    "1.0",
    "\u{feff}",
    " ",
    ",",
    "null",
    "\"more\":1,",
    "{}",
    "[[[[",
    "\"",
    "\\",
];

/// The index of a chunk and the number of chunks.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) index: usize,
    pub(super) count: usize,
}

impl Position {
    fn is(self, chunk: u8) -> bool {
        usize::from(chunk) % self.count == self.index
    }
}

/// Each method applies the mistakes of its kind and ignores the others.
impl Mistake {
    pub(super) fn make_in_payload(&self, of: Position, payload: &mut [u8]) {
        if let Self::Payload { chunk, at, byte } = self
            && of.is(*chunk)
        {
            put(payload, *at, *byte);
        }
    }

    pub(super) fn make_in_head(&self, of: Position, head: &mut [u8]) {
        if let Self::Head { chunk, at, byte } = self
            && of.is(*chunk)
        {
            put(head, u16::from(*at), *byte);
        }
    }

    pub(super) fn make_in_stored(&self, of: Position, stored: &mut Vec<u8>) {
        match self {
            Self::Stored { chunk, at, byte } if of.is(*chunk) => put(stored, *at, *byte),
            Self::Resized { chunk, by } if of.is(*chunk) => {
                stored.resize(stored.len().saturating_add_signed(isize::from(*by)), 7);
            }
            _ => {}
        }
    }

    pub(super) fn make_in_table(&self, table: &mut [u8]) {
        if let Self::Table { at, byte } = self {
            put(table, *at, *byte);
        }
    }

    /// Also updates the header's count of records after a record was removed or duplicated.
    pub(super) fn make_in_header(&self, of: usize, header: &mut [u8]) {
        match self {
            Self::Header { at, byte } => put(header, u16::from(*at), *byte),
            Self::Missing { .. } if of > 0 => header[16] = header[16].wrapping_sub(1),
            Self::Twice { .. } if of > 0 => header[16] = header[16].wrapping_add(1),
            _ => {}
        }
    }

    pub(super) fn make_in_manifest(&self, manifest: &mut Value) {
        if let Self::Manifest { member, value } = self {
            set(manifest, OF_MANIFEST[usize::from(*member) % OF_MANIFEST.len()], value.value());
            return;
        }
        let Some(records) = manifest.pointer_mut("/gen5_metadata/chunks").and_then(Value::as_array_mut)
        else {
            return;
        };
        if records.is_empty() {
            return;
        }
        let count = records.len();
        let at = |chunk: &u8| usize::from(*chunk) % count;
        let name = |member: &u8| MEMBERS[usize::from(*member) % MEMBERS.len()];
        match self {
            Self::Member { chunk, member, value } => {
                set(&mut records[at(chunk)], name(member), value.value());
            }
            Self::Nudged { chunk, member, by } => {
                if let Some(number) = records[at(chunk)].pointer_mut(name(member))
                    && let Some(is) = number.as_i64()
                {
                    *number = json!(is.saturating_add(i64::from(*by)));
                }
            }
            Self::Taken { chunk, from, member } => {
                if let Some(value) = records[at(from)].pointer(name(member)).cloned() {
                    set(&mut records[at(chunk)], name(member), value);
                }
            }
            Self::Missing { chunk } => {
                records.remove(at(chunk));
                count_again(manifest);
            }
            Self::Twice { chunk } => {
                records.push(records[at(chunk)].clone());
                count_again(manifest);
            }
            _ => {}
        }
    }

    pub(super) fn make_in_text(&self, text: &mut Vec<u8>) {
        if let Self::Token { at, token, instead } = self {
            let start = usize::from(*at) % (text.len() + 1);
            let end = (start + usize::from(*instead)).min(text.len());
            text.splice(start..end, TOKENS[usize::from(*token) % TOKENS.len()].bytes());
        }
    }
}

impl Json {
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Small(number) => json!(number),
            Self::Number(number) => json!(number),
            Self::Edge(edge) => json!(EDGES[usize::from(*edge) % EDGES.len()]),
            Self::Float(number) => json!(number),
            Self::Text(text) => json!(text),
            Self::Numbers(numbers) => json!(numbers),
            Self::Object(name) => json!({ name: 1 }),
        }
    }
}

/// Updates the indices and the count of the records.
fn count_again(manifest: &mut Value) {
    let records = manifest.pointer_mut("/gen5_metadata/chunks").and_then(Value::as_array_mut);
    let Some(records) = records else { return };
    records.iter_mut().enumerate().for_each(|(index, record)| set(record, "/index", json!(index)));
    let count = records.len();
    set(manifest, "/gen5_metadata/file_info/chunk_count", json!(count));
}

/// Sets the member at a JSON pointer if its parent exists.
fn set(value: &mut Value, pointer: &str, to: Value) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        *value = to;
        return;
    };
    if let Some(Value::Object(members)) = value.pointer_mut(parent) {
        members.insert(name.to_owned(), to);
    }
}

fn put(bytes: &mut [u8], at: u16, byte: u8) {
    if !bytes.is_empty() {
        let at = usize::from(at) % bytes.len();
        bytes[at] = byte;
    }
}
