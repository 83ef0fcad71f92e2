//! `gen5 fingerprint`: one digest that stands for a file.

use anyhow::Result;
use gen5::Reader;
use serde::Serialize;

use super::{Failed, Output, of_file, path_text};
use crate::args::FileArgs;
use crate::terminal::shown;

#[derive(Serialize)]
#[serde(untagged)]
enum Report {
    Fine { path: String, fingerprint: String },
    Failed(Failed),
}

pub(crate) fn run(args: &FileArgs, output: &mut Output<'_>) -> Result<()> {
    let mut reports = Vec::new();
    for path in &args.files {
        match Reader::open(path).and_then(|reader| reader.fingerprint()) {
            Ok(fingerprint) if args.json => {
                reports.push(Report::Fine { path: path_text(path), fingerprint: fingerprint.to_string() });
            }
            Ok(fingerprint) => writeln!(output.out, "{fingerprint}  {}", shown(path))?,
            Err(error) => {
                reports.push(Report::Failed(Failed { path: path_text(path), error: error.to_string() }));
                output.report(&of_file(error, path));
            }
        }
    }
    if args.json {
        output.json(&reports, args.files.len() > 1)?;
    }
    Ok(())
}
