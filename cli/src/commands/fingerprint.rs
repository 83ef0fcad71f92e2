//! `gen5 fingerprint`: one digest that identifies a file's contents.

use std::path::Path;

use anyhow::Result;
use gen5::Limits;
use serde::Serialize;

use crate::context::Context;
use crate::failure::of_file;
use crate::input::each_file::{FileResult, each};
use crate::options::FileArgs;
use crate::output::path_text;
use crate::progress::FileShare;
use crate::terminal::shown;

#[derive(Serialize)]
struct FingerprintReport {
    path: String,
    fingerprint: String,
}

pub(crate) fn run(args: &FileArgs, context: &mut Context<'_>) -> Result<()> {
    let Context { input, output } = context;
    let look = |path: &Path, limits: Limits, _: &FileShare<'_>| {
        let reader = input.open_within(limits, path)?;
        reader.fingerprint().map_err(|error| of_file(error, path))
    };
    each(&args.files, None, output, look, |file, output| {
        let FileResult { path, several, result, .. } = file;
        match result {
            Ok(fingerprint) if args.json => {
                let report =
                    FingerprintReport { path: path_text(path), fingerprint: fingerprint.to_string() };
                output.json_of(&report, several)
            }
            Ok(fingerprint) => Ok(writeln!(output.out, "{fingerprint}  {}", shown(path))?),
            Err(error) => output.failed(path, &error, args.json, several),
        }
    })
}
