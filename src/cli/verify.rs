//! The options of `connledger verify`.

use std::path::PathBuf;

use crate::verify::Request;
use crate::verify::Source;

/// Behind the options.
pub const AFTER_HELP: &str = "\
Examples:
  connledger verify /var/log/connledger/*        all generations, in any order
  ssh web-1 cat conn.ndjson.zst | connledger verify -
  connledger verify --json conn.ndjson | jq '.runs[] | select(.missing)'

Exit codes:
  0    nothing is missing beyond declared loss, and nothing is malformed
  1    something is missing, malformed, torn, or does not add up
  2    bad command line, or a file could not be read";

/// What follows `connledger verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyOptions {
    /// Logs: plain, gzip or zstd; `-` is stdin
    ///
    /// In any order: rotated generations, several runs in one file, one run in several files. Each line is held
    /// against the schema, each run's numbers and books are checked.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Admit no declared loss either, and no run without its start or stop
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
