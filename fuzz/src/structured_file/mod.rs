//! Almost valid files.

mod mistake;
mod model;

use arbitrary::{Arbitrary, Unstructured};
use gen5::{Metadata, ReadOptions, Reader};
use serde_json::json;

use self::mistake::{Mistake, Position};
use self::model::{Content, Piece, pieces};
use crate::build::{Builder, FrameStyle, frame};
use crate::{content, copies};

/// Builds a valid file of arbitrary contents, then adds up to three mistakes. Data that depends on
/// a mistake is updated, so that earlier checks do not hide it. A file without mistakes is read as
/// built. A file with mistakes, if accepted, meets the invariants in [`content`] and [`copies`].
pub fn structured_file(data: &[u8]) {
    let Ok(file) = File::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let pieces = pieces(&file.contents);
    let mistakes = file.mistakes.get(..3).unwrap_or(&file.mistakes);
    let bytes = file.build(&pieces, mistakes);
    let options = ReadOptions::new().limits(content::limits());
    match options.from_bytes(bytes.clone()) {
        Ok(reader) => {
            if mistakes.is_empty() {
                file.is_what(&reader, &pieces);
            }
            content::check(&reader, &bytes);
            copies::check(&reader, &bytes);
        }
        Err(error) => assert!(!mistakes.is_empty(), "{error}"),
    }
}

/// The description of a file.
#[derive(Arbitrary, Debug)]
struct File {
    minor: bool,
    large: bool,
    contents: Vec<Content>,
    prompt: String,
    tag: String,
    mistakes: Vec<Mistake>,
}

impl File {
    fn build(&self, pieces: &[Piece], mistakes: &[Mistake]) -> Vec<u8> {
        let count = pieces.len();
        let chunks = pieces.iter().enumerate();
        let chunks = chunks.map(|(index, piece)| piece.chunk(Position { index, count }, mistakes));
        let is_newer = self.minor || self.large || pieces.iter().any(Piece::is_newer);
        let builder = Builder::new(chunks)
            .minor(is_newer.into())
            .manifest(|manifest| {
                manifest["gen5_metadata"]["model_info"]["prompt"] = json!(self.prompt);
                manifest["gen5_metadata"]["model_info"]["tags"] = json!([self.tag]);
                mistakes.iter().for_each(|mistake| mistake.make_in_manifest(manifest));
            })
            .text(|text| mistakes.iter().for_each(|mistake| mistake.make_in_text(text)))
            .table(|meta| {
                let mut table = frame(meta, FrameStyle::default());
                mistakes.iter().for_each(|mistake| mistake.make_in_table(&mut table));
                table
            })
            .header(|header| mistakes.iter().for_each(|mistake| mistake.make_in_header(count, header)));
        if self.large { builder.large().build() } else { builder.build() }
    }

    /// Compares a file without mistakes with its description.
    fn is_what(&self, reader: &Reader, pieces: &[Piece]) {
        reader.verify().expect("it is right");
        for (index, piece) in pieces.iter().enumerate() {
            let record = &reader.chunks()[index];
            assert_eq!(record.kind().to_string(), piece.tag);
            assert_eq!(*reader.payload(index).expect("it is right"), piece.payload);
            assert_eq!(record.key(), piece.extra["key"].as_str());
            let shape: Option<Vec<usize>> = serde_json::from_value(piece.extra["shape"].clone()).ok();
            assert_eq!(record.shape(), shape.as_deref());
        }
        let metadata = reader.metadata().expect("it is right");
        assert_eq!(metadata.model_info().prompt, self.prompt);
        assert_eq!(metadata.model_info().tags, [self.tag.as_str()]);
        assert_eq!(Metadata::from_json(reader.model_info_json()).ok().as_ref(), Some(&metadata));
        let of =
            |tag: &str| pieces.iter().find(|piece| piece.tag == tag).map(|piece| piece.payload.as_slice());
        assert_eq!(reader.image().expect("it is right").as_deref(), of("DATA"));
        assert_eq!(reader.environment_json().expect("it is right").as_deref(), of("ENVC"));
        assert_eq!(reader.environment().expect("it is right").is_some(), of("ENVC").is_some());
    }
}
