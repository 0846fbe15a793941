//! Parses, runs, and sets the exit code.

use std::io;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use connledger::cli::Cli;
use connledger::cli::Request;
use connledger::collector;
use connledger::schema::JSON_SCHEMA;
use connledger::verify;

fn main() -> ExitCode {
    // Prints help and errors itself, and exits with 0 or 2.
    let request = Cli::parse().request().unwrap_or_else(|err| err.exit());
    let result = match request {
        Request::Trace(config) => collector::run(&config).map(|()| ExitCode::SUCCESS),
        Request::Schema => print(JSON_SCHEMA).map(|()| ExitCode::SUCCESS).map_err(Into::into),
        Request::Verify(request) => verify::run(&request).map_err(Into::into),
    };
    match result {
        Ok(code) => code,
        Err(err) => {
            // Nobody may be there to read it; the exit code says it too.
            let _ = writeln!(io::stderr(), "connledger: {err:#}");
            ExitCode::FAILURE
        }
    }
}

/// Prints; a reader that went away has seen what it wanted.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}
