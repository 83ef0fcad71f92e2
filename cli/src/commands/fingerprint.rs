//! `gen5 fingerprint`: one digest that stands for a file.

use anyhow::Result;
use gen5::ReadOptions;
use serde::Serialize;

use super::{Failed, Output, of_file, path_text};
use crate::args::ReportArgs;
use crate::files::{Files, open};
use crate::terminal::shown;

#[derive(Serialize)]
struct Cited {
    path: String,
    fingerprint: String,
}

pub(crate) fn run(args: &ReportArgs, output: &mut Output<'_>) -> Result<()> {
    let files = Files::of(&args.files)?;
    let several = files.several;
    output.for_each(files, |_, path, output| {
        match open(path, ReadOptions::new()).and_then(|reader| reader.fingerprint()) {
            Ok(fingerprint) if args.json => {
                let fingerprint = fingerprint.to_string();
                output.json(&Cited { path: path_text(path), fingerprint }, several)
            }
            Ok(fingerprint) => Ok(writeln!(output.out, "{fingerprint}  {}", shown(path))?),
            Err(error) => {
                if args.json {
                    output.json(&Failed { path: path_text(path), error: error.to_string() }, several)?;
                }
                Err(of_file(error, path))
            }
        }
    })
}
