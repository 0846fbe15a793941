//! What the help says behind the options, and the man page in sections of their own.

/// A command line or an exit code, and what it means.
pub type Meaning = (&'static str, &'static str);

/// What can be asked for.
pub const EXAMPLES: [Meaning; 11] = [
    ("sudo connledger", "every connection, as NDJSON"),
    ("sudo connledger -f table -t", "in columns, with the time"),
    ("sudo connledger -e connect -p 1479", "what process 1479 connects to"),
    ("sudo connledger -u '!0' -6", "IPv6, by other users than root"),
    (
        "sudo connledger --no-loopback --remote-port '!80,!443'",
        "no web, and nothing within this host",
    ),
    (
        "sudo connledger --cgroup /system.slice --remote-net 10.0.0.0/8",
        "services, with hosts of one network",
    ),
    ("sudo connledger | jq 'select(.outcome == \"refused\")'", "who was refused"),
    ("sudo connledger -o file:/var/log/connections.ndjson,rotate=100MiB", "a log that rotates"),
    (
        "sudo connledger -o stdout,format=table -o unix:/run/connledger.sock",
        "columns here, NDJSON for a shipper",
    ),
    ("sudo connledger -n 100 >first-100.ndjson", "the first hundred events"),
    ("connledger verify first-100.ndjson", "is it complete?"),
];

/// How it ends.
pub const EXIT_CODES: [Meaning; 4] = [
    ("0", "stopped by SIGINT, SIGTERM, -n or -d, or because nobody reads the output"),
    ("1", "could not trace or could not write; stderr says what is missing"),
    ("2", "bad command line or configuration file"),
    ("130", "killed by a second SIGINT (143: SIGTERM) before everything was written"),
];

/// What no exit code tells.
pub const LOSSES: &str = "\
Records that are lost do not change the exit code: they stand in the output, as
`loss` records, and in the figures of its last record, `stop`.";

/// The same of `connledger verify`.
pub const VERIFY_EXAMPLES: [Meaning; 3] = [
    ("connledger verify /var/log/connledger/*", "all generations, in any order"),
    ("ssh web-1 cat conn.ndjson.zst | connledger verify -", "without a copy"),
    (
        "connledger verify --json conn.ndjson | jq '.runs[] | select(.missing)'",
        "the runs that lack something",
    ),
];

/// The same of `connledger verify`.
pub const VERIFY_EXIT_CODES: [Meaning; 3] = [
    ("0", "nothing is missing beyond declared loss, and nothing is malformed"),
    ("1", "something is missing, malformed, torn, or does not add up"),
    ("2", "bad command line, or a file could not be read"),
];

/// As many columns as the help may have.
pub const COLUMNS: usize = 80;

/// So much room has a command, if its meaning stands beside it.
const COMMAND: usize = 42;

/// The examples as the help has them: with their meaning, where there is room for it.
pub fn examples(examples: &[Meaning]) -> String {
    let line = |(command, meaning): &Meaning| {
        if command.len() > COMMAND {
            format!("  {command}")
        } else {
            format!("  {command:<COMMAND$} {meaning}")
        }
    };
    section("Examples:", examples.iter().map(line))
}

/// The exit codes as the help has them.
pub fn exit_codes(codes: &[Meaning]) -> String {
    section("Exit codes:", codes.iter().map(|(code, meaning)| format!("  {code:<4} {meaning}")))
}

fn section(heading: &str, lines: impl Iterator<Item = String>) -> String {
    std::iter::once(heading.to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}
