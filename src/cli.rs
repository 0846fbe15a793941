//! The command line. It becomes a [`Config`] in one step; what is wrong is said with the option's name and
//! the value.

mod filters;
mod verify;

use std::time::Duration;

use clap::CommandFactory as _;
use clap::Parser;
use clap::Subcommand;
use clap::error::ErrorKind;

use self::filters::FilterOptions;
use self::filters::RULE;
use self::verify::AFTER_HELP;
use self::verify::VerifyOptions;
use crate::config::Config;
use crate::config::KindList;
use crate::config::MAX_OUTPUTS;
use crate::config::Output;
use crate::config::OutputSpec;
use crate::config::default_ring_size;
use crate::config::parse_duration;
use crate::config::parse_ring_size;
use crate::config::smallest_ring_size;
use crate::encode::Format;
use crate::encode::SCHEMA_VERSION;
use crate::host;
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

const EXAMPLES: &str = "\
Examples:
  sudo connledger                            every connection, as NDJSON
  sudo connledger -f table -t                in columns, with the time
  sudo connledger -e connect -p 1479         what process 1479 connects to
  sudo connledger -u '!0' -6                 IPv6, by other users than root
  sudo connledger --no-loopback --remote-port '!80,!443'
  sudo connledger --cgroup /system.slice/nginx.service --remote-net 10.0.0.0/8
  sudo connledger | jq 'select(.outcome == \"refused\")'
  sudo connledger -n 100 >first-100.ndjson   the first hundred events";

const EXIT_CODES: &str = "\
Exit codes:
  0    stopped by SIGINT, SIGTERM, -n or -d, or because nobody reads the output
  1    could not trace or could not write; stderr says what is missing
  2    bad command line
  130  killed by a second SIGINT (143: SIGTERM) before everything was written

Records that are lost do not change the exit code: they stand in the output, as
`loss` records, and in the figures of its last record, `stop`.";

/// Every TCP connection this host makes or takes, one JSON object a line, and books that balance.
#[derive(Debug, Parser)]
#[command(
    name = "connledger",
    version = VERSION,
    max_term_width = 80,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = EXAMPLES,
    after_long_help = format!("{EXAMPLES}\n\n{RULE}\n\n{EXIT_CODES}"),
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the JSON Schema of the records
    Schema,
    /// Read logs back, and say whether anything is missing
    #[command(after_help = AFTER_HELP)]
    Verify(VerifyOptions),
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
struct Options {
    /// Kinds of events to write: connect, accept, close, open, listen,
    /// retransmit, reset, or all
    ///
    /// `open` tells of the connections that are there at start, and with `listen` of the listeners. `start`,
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

    /// Where to write: stdout, file:PATH, unix:PATH, unix-dgram:PATH, journald
    ///
    /// With options after commas, as in file:/var/log/conn.ndjson,rotate=100MiB,keep=7. Of every output:
    /// on-full=block|drop, queue=RECORDS, format=ndjson|table. Of a file: rotate=SIZE, rotate-every=TIME, keep=N,
    /// mode=OCTAL. Of a socket: send-buffer=SIZE. May be given several times; each output has its own queue.
    #[arg(
        short,
        long,
        value_name = "WHERE[,OPTION=VALUE]...",
        default_value = "stdout",
        help_heading = "Output"
    )]
    output: Vec<OutputSpec>,

    /// How to write, where the output does not say
    #[arg(
        short,
        long,
        value_enum,
        value_name = "FORMAT",
        default_value = "ndjson",
        help_heading = "Output"
    )]
    format: Format,

    /// Add the time to a table
    #[arg(short, long, help_heading = "Output")]
    timestamp: bool,

    /// Write the figures (observed, written, lost) this often; 0 for never
    #[arg(long, value_name = "SECONDS", default_value = "0", help_heading = "Output")]
    heartbeat: u32,

    /// Size of the ring buffer, in bytes, KiB or MiB [default: 1MiB a CPU, 8MiB to 128MiB]
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

    /// Print nothing but errors on stderr
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
    /// Print the schema.
    Schema,
    /// Verify logs.
    Verify(VerifyRequest),
}

impl Cli {
    /// What the command line asks for.
    ///
    /// # Errors
    /// If options that are right by themselves do not go together.
    pub fn request(self) -> Result<Request, clap::Error> {
        match self.command {
            Some(Command::Schema) => Ok(Request::Schema),
            Some(Command::Verify(options)) => Ok(Request::Verify(options.into())),
            None => self.options.config().map(|config| Request::Trace(Box::new(config))),
        }
    }
}

impl Options {
    fn config(self) -> Result<Config, clap::Error> {
        Ok(Config {
            events: KindList::merged(&self.events),
            filters: self.filters.filters(),
            mptcp_subflows: self.mptcp_subflows,
            outputs: outputs(&self.output, self.format, self.timestamp)?,
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

fn ring_size(asked: Option<u32>, cpus: u32) -> u32 {
    asked.map_or_else(|| default_ring_size(cpus), |size| size.max(smallest_ring_size(cpus)))
}

fn outputs(
    specs: &[OutputSpec],
    format: Format,
    timestamps: bool,
) -> Result<Vec<Output>, clap::Error> {
    let mut outputs: Vec<Output> = Vec::new();
    for spec in specs {
        let output = spec.clone().output(format, timestamps);
        let name = output.destination.to_string();
        if outputs.iter().any(|output| output.destination.to_string() == name) {
            return Err(conflict(&format!("--output names {name} twice")));
        }
        outputs.push(output);
    }
    if outputs.len() > MAX_OUTPUTS {
        return Err(conflict(&format!("there are more than {MAX_OUTPUTS} outputs")));
    }
    if timestamps && outputs.iter().all(|output| output.format != Format::Table) {
        return Err(conflict(
            "--timestamp adds a column to a table (-f table); NDJSON has the time in every record",
        ));
    }
    Ok(outputs)
}

fn conflict(message: &str) -> clap::Error {
    Cli::command().error(ErrorKind::ArgumentConflict, message)
}
