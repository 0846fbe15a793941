//! Parses, runs, and sets the exit code.

use std::env;
use std::io;
use std::io::Write as _;
use std::process::ExitCode;

use connledger::check;
use connledger::cli;
use connledger::cli::Refusal;
use connledger::cli::Request;
use connledger::collector;
use connledger::schema::JSON_SCHEMA;

fn main() -> ExitCode {
    let request = match cli::request(env::args_os()) {
        Ok(request) => request,
        // Prints help, too, and exits with 0 or 2.
        Err(Refusal::CommandLine(err)) => err.exit(),
        Err(Refusal::File(said)) => {
            let _ = writeln!(io::stderr(), "connledger: {said}");
            return ExitCode::from(2);
        }
    };
    let result = match request {
        Request::Trace(config) => collector::run(&config),
        Request::Check { config, file } => check::run(&config, file.as_deref()),
        Request::Schema => print(JSON_SCHEMA).map_err(anyhow::Error::from),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
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
