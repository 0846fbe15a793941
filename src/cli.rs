//! The command line. It becomes a [`Config`] in one step; what is wrong is said with the option's name and
//! the value.

use std::time::Duration;

use clap::CommandFactory as _;
use clap::Parser;
use clap::Subcommand;
use clap::error::ErrorKind;

use crate::config::Config;
use crate::config::Destination;
use crate::config::Families;
use crate::config::Filters;
use crate::config::NumberList;
use crate::config::Output;
use crate::config::parse_duration;
use crate::config::parse_ring_size;
use crate::encode::Format;
use crate::encode::SCHEMA_VERSION;
use crate::event::Kind;

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
  sudo connledger | jq 'select(.outcome == \"refused\")'
  sudo connledger -n 100 >first-100.ndjson   the first hundred events";

const EXIT_CODES: &str = "\
Filters:
  A connection is wanted if every filter that is given admits it. A list
  admits what it names or, if it only excludes (!), what it does not name; an
  exclusion outweighs an inclusion. A connection is judged once, when its
  process becomes known, and its close follows the verdict.

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
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"),
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
}

#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags")]
struct Options {
    /// Kinds of events to write: connect, accept, close
    ///
    /// `start`, `ready`, `loss`, `heartbeat` and `stop` are the ledger's own and are always written.
    #[arg(
        short,
        long,
        value_enum,
        value_name = "KIND",
        value_delimiter = ',',
        default_value = "connect,accept,close",
        hide_possible_values = true,
        help_heading = "What to trace"
    )]
    events: Vec<Kind>,

    /// Only these processes; `!` excludes (a list: 1,2 or '!3')
    #[arg(
        short,
        long,
        value_name = "PID",
        help_heading = "What to trace",
        allow_hyphen_values = true
    )]
    pid: Vec<NumberList>,

    /// Only processes of these user ids; `!` excludes
    #[arg(
        short,
        long,
        value_name = "UID",
        help_heading = "What to trace",
        allow_hyphen_values = true
    )]
    uid: Vec<NumberList>,

    /// Only IPv4, also where an IPv6 socket speaks it
    #[arg(short = '4', long, help_heading = "What to trace", conflicts_with = "ipv6")]
    ipv4: bool,

    /// Only IPv6
    #[arg(short = '6', long, help_heading = "What to trace")]
    ipv6: bool,

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

    /// Where to write: stdout
    #[arg(short, long, value_name = "WHERE", default_value = "stdout", help_heading = "Output")]
    output: Vec<Destination>,

    /// How to write
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

    /// Size of the ring buffer: bytes, KiB or MiB; rounded up to a power of two
    #[arg(
        long,
        value_name = "SIZE",
        value_parser = parse_ring_size,
        default_value = "8MiB",
        help_heading = "Tuning"
    )]
    ring_size: u32,

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
}

impl Cli {
    /// What the command line asks for.
    ///
    /// # Errors
    /// If options that are right by themselves do not go together.
    pub fn request(self) -> Result<Request, clap::Error> {
        match self.command {
            Some(Command::Schema) => Ok(Request::Schema),
            None => self.options.config().map(|config| Request::Trace(Box::new(config))),
        }
    }
}

impl Options {
    fn config(self) -> Result<Config, clap::Error> {
        if self.timestamp && self.format != Format::Table {
            return Err(conflict(
                "--timestamp adds a column to a table (-f table); NDJSON has the time in every record",
            ));
        }
        Ok(Config {
            events: without_doubles(self.events),
            filters: Filters {
                pids: merged(&self.pid),
                uids: merged(&self.uid),
                families: match (self.ipv4, self.ipv6) {
                    (true, false) => Families::Ipv4,
                    (false, true) => Families::Ipv6,
                    _ => Families::Both,
                },
            },
            outputs: outputs(&self.output, self.format, self.timestamp)?,
            max_events: self.max_events,
            duration: self.duration,
            ring_size: self.ring_size,
            flush_interval: self.flush_interval,
            heartbeat: (self.heartbeat != 0).then(|| Duration::from_secs(self.heartbeat.into())),
            quiet: self.quiet,
            verbose: self.verbose,
        })
    }
}

fn without_doubles(mut kinds: Vec<Kind>) -> Vec<Kind> {
    kinds.sort_by_key(|&kind| kind as u8);
    kinds.dedup();
    kinds
}

fn merged(lists: &[NumberList]) -> NumberList {
    let mut all = NumberList::default();
    for list in lists {
        all.extend(list);
    }
    all
}

fn outputs(
    destinations: &[Destination],
    format: Format,
    timestamps: bool,
) -> Result<Vec<Output>, clap::Error> {
    let mut outputs: Vec<Output> = Vec::new();
    for destination in destinations {
        if outputs.iter().any(|output| output.destination == *destination) {
            return Err(conflict(&format!("--output names {destination} twice")));
        }
        outputs.push(Output { destination: destination.clone(), format, timestamps });
    }
    Ok(outputs)
}

fn conflict(message: &str) -> clap::Error {
    Cli::command().error(ErrorKind::ArgumentConflict, message)
}
