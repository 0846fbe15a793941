//! Who is measured: connledger, and other tools that watch connections.

use std::env;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::load::PORT;

/// A tool that is measured.
#[derive(Clone, Debug)]
pub struct Contestant {
    /// Its name in the report.
    pub name: &'static str,
    /// How it is called.
    pub command: Vec<String>,
    /// How it is known that it has attached.
    pub ready: Ready,
    /// Lines that it should write of each connection of the load, both of whose ends are here.
    pub lines: u64,
    dialect: Dialect,
    /// How long it may keep what it saw before it writes it.
    pub keeps: Duration,
}

/// What its lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    /// JSON of connledger's.
    Ledger,
    /// A line a connection, or an end of it.
    Connections,
    /// A line for each change of a socket's state, also of listeners: `CLOSE -> LISTEN`.
    States,
}

/// How it is known that a tool has attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It says so.
    Line(&'static str),
    /// It holds what it attaches with, and takes no more.
    Settled,
}

impl Contestant {
    /// connledger with its default events, as NDJSON on stdout.
    pub fn connledger() -> Self {
        Self::connledger_with(&[])
    }

    /// connledger with options.
    pub fn connledger_with(options: &[String]) -> Self {
        let mut command = vec![env!("CARGO_BIN_EXE_connledger").to_owned(), "-q".to_owned()];
        command.extend_from_slice(options);
        Self {
            name: "connledger",
            command,
            ready: Ready::Line("\"event\":\"ready\""),
            // connect, accept, and a close at each end.
            lines: 4,
            dialect: Dialect::Ledger,
            keeps: USUAL,
        }
    }

    /// The others, each as it is meant to be used: all connections, its own defaults, to a file. Where a tool
    /// can collect its output before it writes, it does.
    pub fn peers() -> Vec<Self> {
        use Dialect::Connections;
        use Dialect::States;
        let peer = |name, command: &[&str], lines, dialect| Self {
            name,
            command: command.iter().map(|&word| word.to_owned()).collect(),
            ready: Ready::Settled,
            lines,
            dialect,
            keeps: if name == TCPDUMP { TCPDUMPS } else { USUAL },
        };
        vec![
            peer("tcplife (libbpf-tools)", &["tcplife"], 2, Connections),
            peer("tcpstates (libbpf-tools)", &["tcpstates"], 10, States),
            peer("tcpconnlat (libbpf-tools)", &["tcpconnlat"], 1, Connections),
            peer("tcptracer (libbpf-tools)", &["tcptracer"], 4, Connections),
            peer("bpftrace one-liner", &["bpftrace", "-B", "full", "-e", BPFTRACE], 10, States),
            peer("tcplife (bcc, Python)", &["tcplife-bpfcc"], 2, Connections),
            peer(TCPDUMP, &["tcpdump", "-n", "-i", "lo", SYNS], 2, Connections),
        ]
    }

    /// Whether its program is there.
    pub fn is_installed(&self) -> bool {
        let program = Path::new(&self.command[0]);
        let path = env::var_os("PATH").unwrap_or_default();
        program.is_absolute()
            || env::split_paths(&path).any(|directory| directory.join(program).is_file())
    }

    /// How it is called, to be shown: without the path of its program.
    pub fn shown_command(&self) -> String {
        let (program, arguments) = self.command.split_at(1);
        let program = Path::new(&program[0]).file_name().unwrap_or_default().to_string_lossy();
        let mut shown = program.into_owned();
        for argument in arguments {
            let quote = if argument.contains([' ', '&']) { "'" } else { "" };
            // Writing to a string does not fail.
            let _ = write!(shown, " {quote}{argument}{quote}");
        }
        shown
    }

    /// The lines of its output that are about connections of the load.
    pub fn count_lines(&self, output: &[u8]) -> u64 {
        let port = match self.dialect {
            Dialect::Ledger => format!("\"port\":{PORT}}}"),
            Dialect::Connections | Dialect::States => PORT.to_string(),
        };
        let of_load = |line: &&[u8]| has_number(line, port.as_bytes());
        self.lines_of_connections(output).filter(of_load).count() as u64
    }

    /// The lines of its output that are about connections of anyone.
    pub fn count_all_lines(&self, output: &[u8]) -> u64 {
        self.lines_of_connections(output).count() as u64
    }

    fn lines_of_connections<'a>(&self, output: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let dialect = self.dialect;
        output.split(|&byte| byte == b'\n').filter(move |line| match dialect {
            // The ledger's own records have no ends.
            Dialect::Ledger => line.windows(9).any(|window| window == b"\"remote\":"),
            Dialect::Connections => line.iter().any(u8::is_ascii_digit),
            Dialect::States => {
                line.windows(2).any(|window| window == b"->") && !is_of_listener(line)
            }
        })
    }
}

const TCPDUMP: &str = "tcpdump of SYNs";

/// What is left to be written after the load's end is written within this time, or with the stop.
const USUAL: Duration = Duration::from_millis(100);

/// tcpdump's library hands over what it captured after a second at the latest; with the stop it does not.
const TCPDUMPS: Duration = Duration::from_millis(1200);

/// A line for each state change, as tcpstates writes it.
const BPFTRACE: &str = "tracepoint:sock:inet_sock_set_state /args->protocol == 6/ { \
    printf(\"%d %s %d %d %d -> %d\\n\", \
    pid, comm, args->sport, args->dport, args->oldstate, args->newstate); }";

const SYNS: &str = "tcp[tcpflags] & tcp-syn != 0";

/// Whether a number stands in a line, and not as a part of a longer one.
fn has_number(line: &[u8], number: &[u8]) -> bool {
    let is_digit = |at: usize| line.get(at).is_some_and(u8::is_ascii_digit);
    line.windows(number.len()).enumerate().any(|(at, window)| {
        window == number && !is_digit(at + number.len()) && (at == 0 || !is_digit(at - 1))
    })
}

/// Whether a line tells that a socket begins or ends to listen: `CLOSE -> LISTEN`, and back. States are named,
/// or numbered as in include/net/tcp_states.h.
fn is_of_listener(line: &[u8]) -> bool {
    let line = String::from_utf8_lossy(line);
    let words: Vec<&str> = line.split_whitespace().collect();
    let Some(arrow) = words.iter().position(|&word| word == "->") else { return false };
    let state = |index: Option<usize>| index.and_then(|at| words.get(at)).copied();
    let (old, new) = (state(arrow.checked_sub(1)), state(Some(arrow + 1)));
    matches!((old, new), (_, Some("LISTEN" | "10")) | (Some("LISTEN" | "10"), Some("CLOSE" | "7")))
}

/// What a tool itself says that it lost: `Lost 17 events on CPU #0!`, `3 packets dropped by kernel`.
pub fn reported_lost(words: &str) -> u64 {
    let words: Vec<&str> = words.split_whitespace().collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    (0..words.len())
        .filter_map(|at| match (words[at], words.get(at + 2)) {
            ("Lost" | "lost", Some(&("events" | "samples"))) => number(at + 1),
            ("packets", Some(&"by")) if words[at + 1] == "dropped" => number(at.checked_sub(1)?),
            _ => None,
        })
        .sum()
}
