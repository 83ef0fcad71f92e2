//! The chunk table.

use gen5::error::Fault;
use gen5::{Metadata, Reader};

use crate::content::{self, frame_as_it_is};

/// The bytes between the file header and the table, as space for chunks.
const ROOM: usize = 72 << 10;

/// Uses the input as the manifest of an otherwise valid file. The first byte is the minor version;
/// the second is added to the number of records in the header. For an accepted file, all chunks lie
/// within it, the text is kept, and the metadata matches `model_info`. For a refused one, the error
/// blames the file and is short.
pub fn parse_table(data: &[u8]) {
    let Some((&[minor, more], text)) = data.split_first_chunk() else { return };
    let records = text.windows(7).filter(|window| window == b"\"index\"").count() as u32;
    let file = file(minor % 2, records.wrapping_add_signed(i32::from(more as i8)), text);
    let table = (file.len() - content::table_size(&file)) as u64;
    let reader = match gen5::ReadOptions::new().limits(content::limits()).from_bytes(file) {
        Ok(reader) => reader,
        Err(error) => {
            assert!(matches!(error.fault(), Fault::Format | Fault::Limit), "{error:?}");
            let told = error.to_string();
            assert!(told.len() < 5000, "{} bytes: {told}", told.len());
            return;
        }
    };
    assert_eq!(reader.manifest_json().as_bytes(), text, "the text is kept");
    content::check_places(&reader, table);
    content::check_keys(&reader);
    has_metadata(&reader);
}

/// Checks that metadata parses the same without the file, and survives a round trip.
fn has_metadata(reader: &Reader) {
    let alone = Metadata::from_json(reader.model_info_json());
    let Ok(metadata) = reader.metadata() else { return };
    let model = metadata.model_info();
    assert_eq!(alone.as_ref().map(Metadata::model_info).ok(), Some(model));
    assert_eq!(Metadata::new(model).as_ref().map(Metadata::model_info).ok(), Some(model));

    let mut out = std::io::Cursor::new(Vec::new());
    let writer = gen5::WriteOptions::new().to_writer(&mut out).expect("it can be written");
    writer.finish(&metadata).expect("what was read can be written");
    let again = Reader::from_bytes(out.into_inner()).expect("what was written can be read");
    assert_eq!(again.metadata().ok(), Some(metadata));
}

/// A file that contains only this table.
fn file(minor: u8, records: u32, text: &[u8]) -> Vec<u8> {
    let table = frame_as_it_is(&crate::build::chunk_bytes("META", b"0000", text));
    let mut file = vec![b'G', b'E', b'N', b'5', 1, minor, 0, 0];
    let end = 32 + ROOM + table.len();
    file.extend(
        [32 + ROOM, table.len(), records as usize, end]
            .map(|value| value as u32)
            .map(u32::to_le_bytes)
            .as_flattened(),
    );
    file.resize(32 + ROOM, 0);
    file.extend(table);
    file
}
