//! The options of `connledger verify`.

use std::path::PathBuf;

use crate::verify::Request;
use crate::verify::Source;

/// What follows `connledger verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyOptions {
    /// Logs: plain, gzip or zstd; `-` is stdin
    ///
    /// In any order: rotated generations, several runs in one file, one run in several files. Each line is held
    /// against the schema, each run's numbers and books are checked. Where a run names the one before it, the end that one
    /// lacks is missing, too, and the time in which nobody watched is told.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Admit no declared loss either, and no run without its start or stop
    ///
    /// Nor one that is missing as a whole: a `start` counts runs before it that left no line, or names one that is not
    /// there although an earlier one of the same host and output is. Nor logs without any record.
    #[arg(long)]
    strict: bool,

    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

impl From<VerifyOptions> for Request {
    fn from(options: VerifyOptions) -> Self {
        Self {
            sources: options.files.into_iter().map(Source::from).collect(),
            strict: options.strict,
            json: options.json,
        }
    }
}
