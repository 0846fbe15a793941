//! `connledger verify`: reads logs back, and says whether anything is missing.
//!
//! One pass over whatever was written, in any order: `input` reads and decompresses on a thread of its own, `record`
//! holds each line against the schema, `runs` keeps which numbers are there, `report` says what came of it.

mod doubles;
mod input;
mod problems;
mod progress;
mod ranges;
pub mod record;
mod report;
mod runs;
mod text;

use std::io;
use std::process::ExitCode;
use std::thread;

use self::input::Compression;
use self::input::Piece;
use self::input::Pieces;
pub use self::input::Source;
use self::problems::Kind;
use self::problems::Ledger;
use self::problems::Place;
pub(crate) use self::problems::printable;
use self::progress::Progress;
use self::record::Fault;
use self::report::Report;
use self::runs::Runs;

/// What to verify, and how.
#[derive(Debug)]
pub struct Request {
    /// The logs, in any order.
    pub sources: Vec<Source>,
    /// Declared losses, and runs without their `start` or `stop`, are not in order either.
    pub strict: bool,
    /// Whether the report is to be JSON.
    pub json: bool,
}

/// Verifies, and prints the report.
///
/// # Errors
/// If the report cannot be printed.
pub fn run(request: &Request) -> io::Result<ExitCode> {
    let report = Report::of(read(&request.sources), request);
    if request.json {
        text::print_json(&report)?;
    } else {
        text::print(&report)?;
    }
    Ok(report.verdict.exit_code())
}

/// One log, as it was read.
#[derive(Debug)]
struct Log {
    compression: Compression,
    lines: u64,
    /// Uncompressed.
    bytes: u64,
    /// Why it could not be read, or not to its end.
    error: Option<io::Error>,
}

/// What came of all logs.
#[derive(Debug, Default)]
struct Findings {
    logs: Vec<Log>,
    runs: Runs,
    problems: Ledger,
    /// Records of a newer minor than this program writes.
    newer: u64,
}

/// Reads all logs.
fn read(sources: &[Source]) -> Findings {
    let (reader, pieces) = input::channel();
    let progress = Progress::new(sources);
    let mut findings = Findings::default();
    thread::scope(|scope| {
        let progress = &progress;
        scope.spawn(move || reader.run(sources, progress));
        findings.take_all(&pieces);
    });
    progress.end();
    findings.runs.chain();
    runs::close(&findings.runs.all, &mut findings.problems);
    findings
}

impl Findings {
    fn take_all(&mut self, pieces: &Pieces) {
        let mut log = Log::default();
        for piece in &pieces.pieces {
            match piece {
                Piece::Begin(compression) => log.compression = compression,
                Piece::Lines(block) => {
                    self.lines(&mut log, &block);
                    // The reader may have read all that it needs blocks for.
                    let _ = pieces.used.send(block);
                }
                Piece::TooLong => {
                    log.lines += 1;
                    let place = Place { file: self.logs.len(), line: log.lines };
                    self.problems.add(Kind::Malformed, Some(place), || {
                        format!("longer than {} KiB", input::BLOCK >> 10)
                    });
                }
                Piece::End(end) => {
                    log.error = end.err();
                    self.logs.push(std::mem::take(&mut log));
                }
            }
        }
    }

    fn lines(&mut self, log: &mut Log, block: &[u8]) {
        log.bytes += block.len() as u64;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', block).chain([block.len()]) {
            // Behind the last newline there is nothing, but at the end of a log that has none.
            if start < block.len() {
                log.lines += 1;
                let place = Place { file: self.logs.len(), line: log.lines };
                self.line(&block[start..end], place);
            }
            start = end + 1;
        }
    }

    fn line(&mut self, line: &[u8], place: Place) {
        let fault = match record::decode(line) {
            Ok(record) => {
                self.newer += u64::from(record.newer);
                return self.runs.take(&record, line, place, &mut self.problems);
            }
            Err(fault) => fault,
        };
        let kind = match &fault {
            Fault::Torn(torn) => {
                self.runs.take_torn(*torn);
                Kind::Torn
            }
            Fault::Major(_) => Kind::OtherMajor,
            _ => Kind::Malformed,
        };
        self.problems.add(kind, Some(place), || fault.to_string());
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { compression: Compression::None, lines: 0, bytes: 0, error: None }
    }
}
