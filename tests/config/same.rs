//! Whatever can be asked for, a file asks for the same as a command line does; and where both ask, the command line's
//! answer is the one that counts.

use std::ffi::OsString;
use std::fmt::Write as _;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::BoxedStrategy;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::select;
use proptest::sample::subsequence;

use super::Written;
use super::config;
use super::config_of;
use super::keys;

/// An option, with the texts that its occurrences have on the command line; a flag has none.
#[derive(Clone, Debug)]
struct Asked {
    key: &'static str,
    texts: Vec<String>,
    /// As text with commas, as an array, or with numbers and tables where they can be.
    style: u8,
}

fn list(item: impl Strategy<Value = String> + 'static) -> BoxedStrategy<Vec<String>> {
    let marked =
        (any::<bool>(), item).prop_map(|(not, item)| if not { format!("!{item}") } else { item });
    vec(vec(marked, 1..4).prop_map(|items| items.join(",")), 1..4).boxed()
}

fn one(text: impl Strategy<Value = String> + 'static) -> BoxedStrategy<Vec<String>> {
    text.prop_map(|text| vec![text]).boxed()
}

fn number<T: ToString + std::fmt::Debug>(
    range: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<String> {
    range.prop_map(|number| number.to_string()).boxed()
}

/// Names as they are written, with any characters in them.
fn comm() -> BoxedStrategy<String> {
    let escaped = prop_oneof![
        "[a-z0-9]{1,3}",
        Just("\\\\".to_owned()),
        Just("\\,".to_owned()),
        Just("\\x01".to_owned()),
        Just("\u{fc}\"".to_owned()),
    ];
    vec(escaped, 1..4).prop_map(|parts| parts.concat()).boxed()
}

fn port() -> BoxedStrategy<String> {
    prop_oneof![
        number(1..=u16::MAX),
        (1..1000_u16, 1000..=u16::MAX).prop_map(|(first, last)| format!("{first}-{last}")),
    ]
    .boxed()
}

fn net() -> BoxedStrategy<String> {
    prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
        (0..=255_u8).prop_map(|byte| format!("{byte}.0.0.0/8")),
        Just("::/0".to_owned()),
    ]
    .boxed()
}

fn size() -> BoxedStrategy<String> {
    (1..1000_u32, select(&["KiB", "MiB"])).prop_map(|(n, unit)| format!("{n}{unit}")).boxed()
}

fn time() -> BoxedStrategy<String> {
    (1..1000_u32, select(&["ms", "s", "m", "h", ""]))
        .prop_map(|(n, unit)| format!("{n}{unit}"))
        .boxed()
}

/// An output, mostly with options that it has.
fn output() -> BoxedStrategy<String> {
    let of_any = || {
        prop_oneof![
            select(&["on-full=block", "on-full=drop"]).prop_map(str::to_owned),
            (1..99_u32).prop_map(|n| format!("queue={n}")),
        ]
        .boxed()
    };
    let format = || select(&["format=table", "format=ndjson"]).prop_map(str::to_owned).boxed();
    let of_a_file = prop_oneof![
        (1..99_u32).prop_map(|n| format!("keep={n}")),
        size().prop_map(|size| format!("rotate={size}")),
        time().prop_map(|time| format!("rotate-every={time}")),
        select(&["0600", "640"]).prop_map(|mode| format!("mode={mode}")),
    ];
    let of_a_socket = || size().prop_map(|size| format!("send-buffer={size}")).boxed();
    let file = "/[a-z \\u{fc}#=']{1,9}(\\\\,[a-z]{0,3})?".prop_map(|path| format!("file:{path}"));
    let stream = "/[a-z,]{1,9}".prop_map(|path| format!("unix:{}", path.replace(',', "\\,")));
    let datagram = "/[a-z]{1,9}".prop_map(|path| format!("unix-dgram:{path}"));
    prop_oneof![
        with(Just("stdout".to_owned()), prop_oneof![of_any(), format()]),
        with(Just("journald".to_owned()), prop_oneof![9 => of_any(), 1 => format()]),
        with(file, prop_oneof![of_any(), format(), of_a_file]),
        with(stream, prop_oneof![of_any(), format(), of_a_socket()]),
        with(datagram, prop_oneof![of_any(), format(), of_a_socket()]),
    ]
    .boxed()
}

/// A place with options, each once: a table takes a key once.
fn with(
    place: impl Strategy<Value = String> + 'static,
    option: impl Strategy<Value = String> + 'static,
) -> BoxedStrategy<String> {
    let name = |option: &str| option.split('=').next().map(str::to_owned);
    (place, vec(option, 0..3))
        .prop_map(move |(place, mut options)| {
            options.sort();
            options.dedup_by_key(|option| name(option));
            [vec![place], options].concat().join(",")
        })
        .boxed()
}

/// What an option can be asked for; it need not be right.
fn texts(key: &str) -> BoxedStrategy<Vec<String>> {
    match key {
        "events" => {
            let kinds = vec!["connect", "accept", "close", "open", "listen", "reset", "all"];
            vec(subsequence(kinds, 1..4).prop_map(|kinds| kinds.join(",")), 1..3).boxed()
        }
        "pid" | "uid" | "netns" => list(number(any::<u32>())),
        "comm" => list(comm()),
        // Those that are there.
        "cgroup" => one(select(&["/", "!/"]).prop_map(str::to_owned)),
        "local-port" | "remote-port" => list(port()),
        "local-net" | "remote-net" => list(net()),
        "output" => vec(output(), 1..4).boxed(),
        "format" => one(select(&["ndjson", "table"]).prop_map(str::to_owned)),
        "max-events" => one(number(1..=1_000_000_u64)),
        "heartbeat" => one(number(0..=1000_u32)),
        "duration" | "flush-interval" => one(time()),
        "ring-size" => one(size()),
        "state" => one(select(&["none", "/a b/run.json", "x"]).prop_map(str::to_owned)),
        "mptcp-subflows" | "ipv4" | "ipv6" | "no-loopback" | "exclude-self" | "timestamp"
        | "quiet" | "verbose" => Just(Vec::new()).boxed(),
        other => panic!("{other} is a new option: say here what it takes"),
    }
}

fn asked(key: String) -> impl Strategy<Value = Option<Asked>> {
    let texts = texts(&key);
    let key: &'static str = key.leak();
    // Those that exclude each other, and what needs a table, seldom.
    let often = match key {
        "ipv4" | "ipv6" | "quiet" | "verbose" | "timestamp" => 0.1,
        _ => 0.5,
    };
    option::weighted(often, (texts, 0..3_u8))
        .prop_map(move |asked| asked.map(|(texts, style)| Asked { key, texts, style }))
}

fn any_options() -> impl Strategy<Value = Vec<Asked>> {
    let each: Vec<_> = keys().into_iter().map(|key| asked(key).boxed()).collect();
    each.prop_map(|asked| asked.into_iter().flatten().collect())
}

fn arguments(asked: &[Asked]) -> Vec<OsString> {
    let mut arguments = Vec::new();
    for Asked { key, texts, .. } in asked {
        if texts.is_empty() {
            arguments.push(format!("--{key}").into());
        }
        arguments.extend(texts.iter().map(|text| format!("--{key}={text}").into()));
    }
    arguments
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => write!(quoted, "\\u{:04x}", u32::from(c)).unwrap(),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

fn toml(asked: &[Asked]) -> String {
    let mut top = String::new();
    let mut tables = String::new();
    for Asked { key, texts, style } in asked {
        // As TOML writes them: 00 is none.
        let is_number = |text: &String| text.parse::<u32>().is_ok_and(|n| n.to_string() == *text);
        let scalar = |text: &String| if is_number(text) { text.clone() } else { quoted(text) };
        match (texts.as_slice(), style) {
            ([], _) => writeln!(top, "{key} = true").unwrap(),
            (outputs, 0 | 1) if *key == "output" => {
                for text in outputs {
                    table(&mut tables, text);
                }
            }
            ([single], 0 | 1) => writeln!(top, "{key} = {}", scalar(single)).unwrap(),
            ([single], _) if *key != "output" => {
                writeln!(top, "{key} = {}", quoted(single)).unwrap();
            }
            (several, 0) => writeln!(top, "{key} = {}", quoted(&several.join(","))).unwrap(),
            (several, _) => {
                let items: Vec<String> = several.iter().map(scalar).collect();
                writeln!(top, "{key} = [{}]", items.join(", ")).unwrap();
            }
        }
    }
    top + &tables
}

fn table(tables: &mut String, text: &str) {
    // No option has a comma, an escaped one belongs to the path.
    let text = text.replace("\\,", "\u{1}");
    let mut parts = text.split(',');
    let place = parts.next().unwrap().replace('\u{1}', ",");
    writeln!(tables, "[[output]]\nto = {}", quoted(&place)).unwrap();
    for part in parts {
        let (option, value) = part.split_once('=').unwrap();
        writeln!(tables, "{option} = {}", quoted(value)).unwrap();
    }
}

/// What the file asks for, of what the command line leaves open.
fn left_open(asked: &[Asked], first: &[Asked]) -> Vec<Asked> {
    let named = |key: &str| first.iter().any(|asked| asked.key == key);
    let excluded = |key: &str| match key {
        "ipv4" => named("ipv6"),
        "ipv6" => named("ipv4"),
        "quiet" => named("verbose"),
        "verbose" => named("quiet"),
        _ => false,
    };
    asked.iter().filter(|asked| !named(asked.key) && !excluded(asked.key)).cloned().collect()
}

/// Pieces of TOML in any order, and what is none.
fn any_text() -> impl Strategy<Value = String> {
    let piece = select(&[
        "pid",
        "output",
        "quiet",
        "to",
        "=",
        " = ",
        "\n",
        ".",
        ",",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "\"",
        "\"\"\"",
        "'",
        "#",
        "1",
        "-1e9",
        "0x",
        "true",
        "stdout",
        "1979-05-27",
        "\u{fc}",
        "\0",
        "\\u",
    ]);
    prop_oneof![any::<String>(), vec(piece, 0..20).prop_map(|pieces| pieces.concat())]
}

proptest! {
    #[test]
    fn a_file_asks_for_the_same_as_a_command_line(asked in any_options()) {
        let written = Written::new(&toml(&asked));
        let file = config([OsString::from("--config"), written.path().into()]);
        let command_line = config(arguments(&asked));
        // What one refuses, the other one refuses, too; each has its own words for where.
        prop_assert_eq!(file.as_ref().ok(), command_line.as_ref().ok(), "{:?}\n{:?}", file, command_line);
    }

    #[test]
    fn any_text_is_a_configuration_or_an_error(text in any_text()) {
        let said = config_of(&text);
        if let Err(said) = said {
            prop_assert!(said.contains("connledger.toml:"), "{}", said);
        }
    }

    #[test]
    fn where_both_ask_the_command_line_counts(first in any_options(), second in any_options()) {
        let written = Written::new(&toml(&second));
        let both = [OsString::from("--config"), written.path().into()];
        let both = config(both.into_iter().chain(arguments(&first)));
        if config(arguments(&second)).is_ok() {
            let merged = [first.clone(), left_open(&second, &first)].concat();
            let merged = config(arguments(&merged));
            prop_assert_eq!(both.as_ref().ok(), merged.as_ref().ok(), "{:?}\n{:?}", both, merged);
        }
    }
}
