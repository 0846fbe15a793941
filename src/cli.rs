//! The command line, and the configuration file that it names. They become a [`Config`] in one step; what is wrong is
//! said with the option's name and the value.

mod epilogue;
mod filters;
mod generate;
mod layers;
mod verify;

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use clap::CommandFactory as _;
use clap::FromArgMatches as _;
use clap::Parser;
use clap::Subcommand;
use clap::error::ErrorKind;

use self::epilogue::COLUMNS;
use self::epilogue::EXAMPLES;
use self::epilogue::EXIT_CODES;
use self::epilogue::LOSSES;
use self::epilogue::VERIFY_EXAMPLES;
use self::epilogue::VERIFY_EXIT_CODES;
use self::epilogue::examples;
use self::epilogue::exit_codes;
use self::filters::FilterOptions;
use self::filters::RULE;
pub use self::generate::Generated;
use self::verify::VerifyOptions;
use crate::config::Config;
use crate::config::ConfigFile;
use crate::config::KindList;
use crate::config::MAX_OUTPUTS;
use crate::config::Output;
use crate::config::OutputSpec;
use crate::config::Remember;
use crate::config::default_ring_size;
use crate::config::parse_duration;
use crate::config::parse_ring_size;
use crate::config::smallest_ring_size;
use crate::encode::Format;
use crate::encode::SCHEMA_VERSION;
use crate::host;
use crate::journal_stream;
use crate::verify::Request as VerifyRequest;

const VERSION: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (commit ",
    env!("CONNLEDGER_COMMIT"),
    ", libbpf ",
    env!("CONNLEDGER_LIBBPF"),
    ", schema connledger/1.0)"
);
// concat! takes no constants.
const _: () = assert!(matches!(SCHEMA_VERSION.as_bytes(), b"connledger/1.0"));

/// Every TCP connection this host makes or takes, one JSON object a line, and books that balance.
#[derive(Debug, Parser)]
#[command(
    name = "connledger",
    version = VERSION,
    max_term_width = COLUMNS,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = examples(&EXAMPLES),
    after_long_help = format!("{}\n\n{RULE}\n\n{}\n\n{LOSSES}", examples(&EXAMPLES), exit_codes(&EXIT_CODES)),
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what would be traced with these options, without tracing
    ///
    /// Everything is looked up and nothing begun: no output is opened, nothing is loaded into the kernel. The exit code
    /// is 0 if tracing could begin, 1 if something is missing for it on this host or an output could not be opened, 2 if
    /// an option is wrong.
    Check(Box<Options>),
    /// Print the JSON Schema of the records
    Schema,
    /// Read logs back, and say whether anything is missing
    #[command(
        after_help = format!("{}\n\n{}", examples(&VERIFY_EXAMPLES), exit_codes(&VERIFY_EXIT_CODES))
    )]
    Verify(VerifyOptions),
    /// Print a manual page, or completions for a shell
    Generate {
        /// What to print
        #[arg(value_enum)]
        what: Generated,
    },
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
struct Options {
    /// Kinds of events to write: connect, accept, close, open, listen,
    /// retransmit, reset, or all
    ///
    /// `open` tells of the connections that are there at start, `listen` of the listeners that are, too. `start`,
    /// `ready`, `loss`, `heartbeat` and `stop` are the ledger's own and are always written.
    #[arg(
        short,
        long,
        value_name = "KINDS",
        default_value = "connect,accept,close,open",
        help_heading = "What to trace"
    )]
    events: Vec<KindList>,

    /// Tell the TCP connections within an MPTCP connection, too
    ///
    /// An MPTCP connection is told as the one connection that its application made or took. With this, its
    /// subflows have records of their own besides.
    #[arg(long, help_heading = "What to trace")]
    mptcp_subflows: bool,

    /// Stop after N events
    #[arg(
        short = 'n',
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..),
        help_heading = "What to trace"
    )]
    max_events: Option<u64>,

    /// Stop after this long: 10s, 500ms, 2h
    #[arg(short, long, value_name = "TIME", value_parser = parse_duration, help_heading = "What to trace")]
    duration: Option<Duration>,

    #[command(flatten)]
    filters: FilterOptions,

    /// Where to write: stdout, file:PATH, unix:PATH, unix-dgram:PATH, journald [default: stdout]
    ///
    /// With options after commas, as in file:/var/log/conn.ndjson,rotate=100MiB,keep=7. Of every output:
    /// on-full=block|drop, queue=RECORDS, format=ndjson|table. Of a file: rotate=SIZE, rotate-every=TIME, keep=N,
    /// mode=OCTAL. Of a socket: send-buffer=SIZE. May be given several times; each output has its own queue.
    /// journald takes fields instead of a format; journald:NAMESPACE is the journal of that namespace. Where stdout is
    /// the journal, as in a service, and neither an output nor a format is given, journald is the default.
    #[arg(short, long, value_name = "WHERE[,OPTION=VALUE]...", help_heading = "Output")]
    output: Vec<OutputSpec>,

    /// How to write, where the output does not say [default: ndjson]
    #[arg(short, long, value_enum, value_name = "FORMAT", help_heading = "Output")]
    format: Option<Format>,

    /// Add the time to a table
    #[arg(short, long, help_heading = "Output")]
    timestamp: bool,

    /// Write the figures (observed, written, lost) this often; 0 for never
    #[arg(long, value_name = "SECONDS", default_value = "0", help_heading = "Output")]
    heartbeat: u32,

    /// Remember there where this run ends, for the next one's `start`; `none`: nowhere
    ///
    /// So a restart, a crash or a reboot shows as a gap of known length. Each run needs a file of its own, and holds its
    /// lock. Without the option it is run.json in $STATE_DIRECTORY, as systemd sets it for a service; else .NAME.state
    /// beside the first file output; else there is none.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    state: Option<PathBuf>,

    /// Size of the ring buffer, in bytes, KiB, MiB or GiB [default: 1MiB a CPU, 8MiB to 128MiB]
    ///
    /// Rounded up to a power of two, and to 512 bytes a CPU. Events wait here for connledger to come round: at the highest rate that
    /// a CPU makes, a MiB lasts for a tenth of a second.
    #[arg(long, value_name = "SIZE", value_parser = parse_ring_size, help_heading = "Tuning")]
    ring_size: Option<u32>,

    /// How long events may wait for more of them
    ///
    /// The first event after a pause is written at once. While more events come, they are collected for
    /// this long and written together.
    #[arg(
        long,
        value_name = "TIME",
        value_parser = parse_duration,
        default_value = "10ms",
        help_heading = "Tuning"
    )]
    flush_interval: Duration,

    /// Take options from a file, too
    ///
    /// Its keys are the names of the long options; the file that comes with connledger explains each. What the command
    /// line says goes before what the file says: an option replaces the whole value, -o all outputs. A flag that is
    /// on in the file is turned off by its opposite, as --no-exclude-self, or --loopback for --no-loopback.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print nothing but warnings and errors on stderr
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Print what libbpf does on stderr
    #[arg(short, long)]
    verbose: bool,
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// Trace.
    Trace(Box<Config>),
    /// Say what would be traced.
    Check {
        /// With these options.
        config: Box<Config>,
        /// Which come from here, too.
        file: Option<PathBuf>,
    },
    /// Print the schema.
    Schema,
    /// Verify logs.
    Verify(VerifyRequest),
    /// Print what comes from the definition of the options.
    Generate(Generated),
}

/// Why it asks for nothing that could be done.
#[derive(Debug)]
pub enum Refusal {
    /// It asks for help, or is wrong.
    CommandLine(clap::Error),
    /// The configuration file is wrong, or what it says together with the command line.
    File(String),
}

impl From<clap::Error> for Refusal {
    fn from(err: clap::Error) -> Self {
        Self::CommandLine(err)
    }
}

/// Reads a command line, the program's name first, and the configuration file that it names.
///
/// # Errors
/// If an option or a key is wrong, or options do not go together.
pub fn request(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, Refusal> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command = || layers::with_opposites(Cli::command());
    let given = command().try_get_matches_from(&arguments)?;
    let Some(file) = layers::file(&given).map_err(Refusal::File)? else {
        return Cli::from_arg_matches(&given)?.request(None);
    };
    let layered = layers::with_defaults(command(), &file).try_get_matches_from(&arguments)?;
    Cli::from_arg_matches(&layered)?.request(Some(&file))
}

impl Cli {
    fn request(self, file: Option<&ConfigFile>) -> Result<Request, Refusal> {
        let refuse = |conflict: Conflict| conflict.blame(file);
        match self.command {
            Some(Command::Schema) => Ok(Request::Schema),
            Some(Command::Verify(options)) => Ok(Request::Verify(options.into())),
            Some(Command::Generate { what }) => Ok(Request::Generate(what)),
            Some(Command::Check(options)) => {
                let file = options.config.clone();
                let config = options.config().map_err(refuse)?;
                Ok(Request::Check { config: Box::new(config), file })
            }
            None => {
                let config = self.options.config().map_err(refuse)?;
                Ok(Request::Trace(Box::new(config)))
            }
        }
    }
}

impl Options {
    fn config(mut self) -> Result<Config, Conflict> {
        let nothing_said = self.output.is_empty() && self.format.is_none();
        let stdout_is_journal = nothing_said && journal_stream::is_stdout();
        if self.output.is_empty() {
            self.output.push(OutputSpec::default_of(stdout_is_journal));
        }
        let format = self.format.unwrap_or(Format::Ndjson);
        let outputs = outputs(&self.output, format, self.timestamp)?;
        let remember = remember(self.state.as_deref(), &outputs);
        if let Some(what) = remember.conflict(&outputs) {
            return Err(Conflict { option: "state", nth: 0, what });
        }
        Ok(Config {
            events: KindList::merged(&self.events),
            filters: self.filters.filters(),
            mptcp_subflows: self.mptcp_subflows,
            remember,
            outputs,
            stdout_is_journal,
            max_events: self.max_events,
            duration: self.duration,
            ring_size: ring_size(self.ring_size, host::online_cpus()),
            flush_interval: self.flush_interval,
            heartbeat: (self.heartbeat != 0).then(|| Duration::from_secs(self.heartbeat.into())),
            quiet: self.quiet,
            verbose: self.verbose,
        })
    }
}

fn remember(asked: Option<&Path>, outputs: &[Output]) -> Remember {
    let given = || env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    asked.map_or_else(|| Remember::default_of(given().as_deref(), outputs), Remember::asked)
}

fn ring_size(asked: Option<u32>, cpus: u32) -> u32 {
    asked.map_or_else(|| default_ring_size(cpus), |size| size.max(smallest_ring_size(cpus)))
}

fn outputs(
    specs: &[OutputSpec],
    format: Format,
    timestamps: bool,
) -> Result<Vec<Output>, Conflict> {
    let mut outputs: Vec<Output> = Vec::new();
    for spec in specs {
        let output = spec.clone().output(format, timestamps);
        let name = output.destination.to_string();
        let wrong = |what| Conflict { option: "output", nth: outputs.len(), what };
        if outputs.iter().any(|output| output.destination.to_string() == name) {
            return Err(wrong(format!("--output names {name} twice")));
        }
        if outputs.len() == MAX_OUTPUTS {
            return Err(wrong(format!("there are more than {MAX_OUTPUTS} outputs")));
        }
        outputs.push(output);
    }
    if timestamps && outputs.iter().all(|output| output.format != Format::Table) {
        let what =
            "--timestamp adds a column to a table (-f table); NDJSON has the time in every record";
        return Err(Conflict { option: "timestamp", nth: 0, what: what.to_owned() });
    }
    Ok(outputs)
}

/// Options that are right by themselves and do not go together.
#[derive(Debug)]
struct Conflict {
    /// The one that is too much.
    option: &'static str,
    /// Which of its values.
    nth: usize,
    what: String,
}

impl Conflict {
    /// Says where it stands.
    fn blame(self, file: Option<&ConfigFile>) -> Refusal {
        match file.and_then(|file| file.blame(self.option, self.nth, &self.what)) {
            Some(said) => Refusal::File(said),
            None => Cli::command().error(ErrorKind::ArgumentConflict, self.what).into(),
        }
    }
}
