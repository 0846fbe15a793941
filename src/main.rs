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
use connledger::stderr;
use connledger::verify;

fn main() -> ExitCode {
    let request = match cli::request(env::args_os()) {
        Ok(request) => request,
        // Prints help, too, and exits with 0 or 2.
        Err(Refusal::CommandLine(err)) => err.exit(),
        Err(Refusal::File(said)) => {
            stderr::say(said);
            return ExitCode::from(2);
        }
    };
    let done = |()| ExitCode::SUCCESS;
    let result = match request {
        Request::Trace(config) => collector::run(&config).map(done),
        Request::Check { config, file } => check::run(&config, file.as_deref()).map(done),
        Request::Schema => print(JSON_SCHEMA).map(done).map_err(Into::into),
        Request::Generate(what) => print(&what.text()).map(done).map_err(Into::into),
        Request::Verify(request) => verify::run(&request).map_err(Into::into),
    };
    match result {
        Ok(code) => code,
        Err(err) => {
            // Nobody may be there to read it; the exit code says it too.
            stderr::say(format_args!("{err:#}"));
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
