//! Golden files: wire records go through the decoder, the ledger and the encoders, and what comes out is
//! compared with tests/golden/, byte for byte. `GOLDEN=write` (make golden) writes those files anew.
//!
//! The cases stand in tests/support/cases.rs.
//!
//! And the records that are not as they should be: what the decoder says of them, and that the ledger counts
//! them.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod support;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::env;
use std::fs;

use connledger::event::Kind;
use connledger::ledger::Body;
use connledger::ledger::Cause;
use connledger::ledger::Loss;
use connledger::ledger::Losses;
use connledger::wire::WireError;
use connledger::wire::cl_accept;
use connledger::wire::cl_close;
use connledger::wire::cl_conn;
use connledger::wire::cl_connect;
use connledger::wire::cl_figures;
use connledger::wire::cl_header;
use connledger::wire::cl_kind;
use connledger::wire::cl_listen;
use connledger::wire::cl_open;
use connledger::wire::cl_owner;
use connledger::wire::cl_protocol;
use connledger::wire::cl_reset;
use connledger::wire::cl_retransmit;
use connledger::wire::cl_unknown;
use connledger::wire::decode;
use connledger::wire::shared::Counters;
use connledger::wire::to_bytes;
use serde_json::Value;

use self::support::cases::CASES;
use self::support::cases::WITH_TIMES;
use self::support::journal;
use self::support::lines::file_names;
use self::support::lines::folder;
use self::support::records::LISTEN;
use self::support::records::TIME_WAIT;
use self::support::records::accept;
use self::support::records::byte;
use self::support::records::close;
use self::support::records::connect;
use self::support::records::curl;
use self::support::records::failed_connect;
use self::support::records::incoming;
use self::support::records::listen;
use self::support::records::listener;
use self::support::records::open;
use self::support::records::outgoing;
use self::support::records::over;
use self::support::records::process;
use self::support::records::reset;
use self::support::records::retransmit;
use self::support::records::without;
use self::support::run::Run;

const FOLDER: &str = "tests/golden";

#[test]
fn golden_files() {
    let mut expected_files = Vec::new();
    let mut differences = String::new();
    for (name, fill) in CASES {
        let mut run = Run::new();
        fill(&mut run);
        let table = run.table(WITH_TIMES.contains(&name));
        let journal = readable(&run.journal());
        for (kind, written) in [("ndjson", run.ndjson()), ("table", table), ("journal", journal)] {
            let file = format!("{name}.{kind}");
            differences += &difference(&file, &written);
            expected_files.push(file);
        }
    }
    assert!(
        differences.is_empty(),
        "{differences}If this is meant: make golden, and look at the difference"
    );
    expected_files.sort();
    assert_eq!(file_names(FOLDER), expected_files, "files in {FOLDER} that no case makes, or none");
}

/// Datagrams as text: what is not printable ASCII is escaped, and an empty line is between them.
fn readable(datagrams: &[Vec<u8>]) -> Vec<u8> {
    let text = |datagram: &Vec<u8>| datagram.escape_ascii().to_string().replace("\\n", "\n");
    datagrams.iter().map(text).collect::<Vec<_>>().join("\n").into_bytes()
}

#[test]
fn the_journal_gets_what_ndjson_says() {
    let mut names = BTreeSet::new();
    let mut ids = BTreeMap::new();
    for (_, fill) in CASES {
        let mut run = Run::new();
        fill(&mut run);
        let lines = String::from_utf8(run.ndjson()).expect("UTF-8");
        let datagrams = run.journal();
        assert_eq!(datagrams.len(), lines.lines().count());
        for (datagram, line) in datagrams.iter().zip(lines.lines()) {
            let entries = journal::entries(datagram);
            let [fields] = entries.as_slice() else { panic!("{line}") };
            journal::assert_journals_own(fields);
            assert_eq!(journal::record(fields), serde_json::from_str::<Value>(line).expect("JSON"));
            let (kind, id) =
                (journal::text(fields, "CONNLEDGER_EVENT"), journal::text(fields, "MESSAGE_ID"));
            assert_eq!(*ids.entry(kind).or_insert_with(|| id.clone()), id, "one id a kind");
            names.extend(fields.keys().cloned());
        }
    }
    let missing: Vec<_> =
        journal::all_names().into_iter().filter(|name| !names.contains(*name)).collect();
    assert!(missing.is_empty(), "fields of the schema: {missing:?}");
    assert_eq!(ids, catalog(), "ids, and what {CATALOG} explains");
}

const CATALOG: &str = "packaging/journald/connledger.catalog";

/// The ids that the catalog explains, by the event that each heading names in its comment.
fn catalog() -> BTreeMap<String, String> {
    let text = fs::read_to_string(folder(CATALOG)).expect("the catalog");
    let lines: Vec<&str> = text.lines().collect();
    let headings = lines.windows(2).filter_map(|two| {
        let id = two[1].strip_prefix("-- ")?;
        let kind = two[0].strip_prefix("# ").expect("the event above its id");
        Some((kind.to_owned(), id.to_owned()))
    });
    headings.collect()
}

/// What differs from a golden file; nothing if the file is to be written.
fn difference(file: &str, written: &[u8]) -> String {
    let path = folder(FOLDER).join(file);
    match env::var("GOLDEN") {
        Ok(word) if word == "write" => {
            fs::write(path, written).expect("the folder can be written");
            return String::new();
        }
        Ok(word) => panic!("GOLDEN is '{word}'; it can be 'write'"),
        Err(_) => {}
    }
    let expected = fs::read(path).unwrap_or_default();
    if expected == written {
        return String::new();
    }
    let (expected, written) =
        (String::from_utf8_lossy(&expected), String::from_utf8_lossy(written));
    let same = expected.lines().zip(written.lines()).take_while(|(a, b)| a == b).count();
    format!(
        "{FOLDER}/{file}:{}\n  expected {}\n  written  {}\n",
        same + 1,
        expected.lines().nth(same).unwrap_or("nothing more"),
        written.lines().nth(same).unwrap_or("nothing more"),
    )
}

/// Records of every kind, with the number of bytes that they should have.
fn sound_records() -> [(cl_kind, Vec<u8>); 8] {
    [
        (cl_kind::CL_CONNECT, to_bytes(&connect())),
        (cl_kind::CL_ACCEPT, to_bytes(&accept())),
        (cl_kind::CL_CLOSE, to_bytes(&close())),
        (cl_kind::CL_OPEN, to_bytes(&open())),
        (cl_kind::CL_LISTEN, to_bytes(&listen())),
        (cl_kind::CL_RETRANSMIT, to_bytes(&retransmit())),
        (cl_kind::CL_RESET, to_bytes(&reset())),
        (cl_kind::CL_PROCESS, to_bytes(&process(&curl()))),
    ]
}

/// A kind in the first two bytes of a record.
fn with_kind(mut bytes: Vec<u8>, kind: u16) -> Vec<u8> {
    bytes[..2].copy_from_slice(&kind.to_ne_bytes());
    bytes
}

/// Records with one field that cannot be so, and the field.
fn bad_fields() -> Vec<(&'static str, Vec<u8>)> {
    let with_conn = |conn| to_bytes(&cl_connect { conn, ..connect() });
    let unknown_owner = cl_owner { attribution: 6, ..curl() };
    vec![
        ("established", to_bytes(&cl_connect { established: 2, ..connect() })),
        ("first_fin", to_bytes(&cl_close { first_fin: 3, ..close() })),
        ("family", with_conn(cl_conn { family: 0, ..outgoing() })),
        ("family", with_conn(cl_conn { family: 255, ..outgoing() })),
        ("opened_by", with_conn(cl_conn { opened_by: 3, ..outgoing() })),
        ("attribution", to_bytes(&cl_connect { owner: unknown_owner, ..connect() })),
        ("attribution", to_bytes(&cl_accept { owner: unknown_owner, ..accept() })),
        ("attribution", to_bytes(&cl_close { owner: unknown_owner, ..close() })),
        ("protocol", with_conn(cl_conn { protocol: 3, ..outgoing() })),
        ("state", to_bytes(&cl_open { state: 13, ..open() })),
        ("state", to_bytes(&cl_retransmit { state: 0, ..retransmit() })),
        ("state", to_bytes(&cl_reset { state: 255, ..reset() })),
    ]
}

/// Records that contradict themselves, and the field.
fn contradictions() -> Vec<(&'static str, Vec<u8>)> {
    let no_local = |conn| without(cl_unknown::CL_NO_LOCAL, conn);
    let no_remote = |conn| without(cl_unknown::CL_NO_REMOTE, conn);
    let nowhere = cl_conn { netns: 0, ..outgoing() };
    let subflow = over(cl_protocol::CL_MPTCP_SUBFLOW, incoming());
    let mut records = vec![
        // What listens has no peer, but an address.
        ("unknown", to_bytes(&cl_listen { conn: incoming(), ..listen() })),
        ("unknown", to_bytes(&cl_listen { conn: no_local(listener()), ..listen() })),
        ("unknown", to_bytes(&cl_open { state: LISTEN, ..open() })),
        // It would not have been listed.
        ("state", to_bytes(&cl_open { state: TIME_WAIT, ..open() })),
        // Only a socket receives.
        ("state", to_bytes(&cl_reset { state: 0, ..reset() })),
        ("netns", to_bytes(&cl_connect { conn: nowhere, ..failed_connect(101) })),
        ("netns", to_bytes(&cl_reset { conn: nowhere, ..reset() })),
        ("protocol", to_bytes(&cl_accept { conn: subflow, ..accept() })),
        ("protocol", to_bytes(&cl_listen { conn: no_remote(subflow), ..listen() })),
        ("known", to_bytes(&cl_close { known: 0, ..close() })),
        ("known", to_bytes(&cl_close { known: byte(cl_figures::CL_BYTES.0), ..close() })),
    ];
    // What was established had two ends.
    for conn in [no_local(outgoing()), no_remote(outgoing())] {
        for bytes in [
            to_bytes(&cl_connect { conn, ..connect() }),
            to_bytes(&cl_accept { conn, ..accept() }),
            to_bytes(&cl_close { conn, ..close() }),
            to_bytes(&cl_open { conn, ..open() }),
            to_bytes(&cl_retransmit { conn, ..retransmit() }),
        ] {
            records.push(("unknown", bytes));
        }
    }
    records
}

#[test]
fn truncated_records() {
    for (_, bytes) in sound_records() {
        for len in 0..size_of::<cl_header>() {
            assert_eq!(decode(&bytes[..len]), Err(WireError::Truncated(len)));
        }
    }
}

#[test]
fn records_of_another_size() {
    for (kind, bytes) in sound_records() {
        assert!(decode(&bytes).is_ok());
        let kind = u16::try_from(kind.0).expect("a kind has 16 bits");
        for len in [size_of::<cl_header>(), bytes.len() - 1, bytes.len() + 1, 4096] {
            let mut other = bytes.clone();
            other.resize(len, 0);
            assert_eq!(decode(&other), Err(WireError::WrongSize(kind, len, bytes.len())));
        }
    }
}

#[test]
fn records_of_an_unknown_kind() {
    for kind in [7, 8, 63, 65, u16::MAX] {
        let bytes = with_kind(to_bytes(&connect()), kind);
        assert_eq!(decode(&bytes), Err(WireError::UnknownKind(kind)));
    }
}

#[test]
fn records_with_a_bad_field() {
    for (name, bytes) in bad_fields().into_iter().chain(contradictions()) {
        assert_eq!(decode(&bytes), Err(WireError::BadField(name)));
    }
}

#[test]
fn malformed_records_are_declared_lost() {
    let sound = to_bytes(&connect());
    let malformed: Vec<Vec<u8>> = [
        sound[..10].to_vec(),
        sound[..sound.len() - 1].to_vec(),
        [&sound[..], &[0]].concat(),
        with_kind(sound.clone(), 7),
    ]
    .into_iter()
    .chain(bad_fields().into_iter().chain(contradictions()).map(|(_, bytes)| bytes))
    .collect();
    let count = malformed.len() as u64;

    let mut run = Run::new();
    run.event(&connect());
    for bytes in &malformed {
        run.malformed(bytes);
    }
    // The kernel side does not count the descriptions of processes as events: nor is a bad one lost.
    run.malformed(&to_bytes(&process(&curl()))[..40]);
    let mut counters = Counters::default();
    counters.observed[Kind::Connect as usize] = 2 + count;
    run.account(&counters);
    run.event(&connect());
    run.account(&counters);

    let entries = run.entries();
    assert_eq!(entries.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 2, 2 + count]);
    let mut causes = Losses::default();
    causes.add(Cause::Malformed, count);
    let Body::Loss(loss) = &entries[1].body else { panic!("{:?} is no loss", entries[1]) };
    assert_eq!(*loss, Loss { first_seq: 2, last_seq: 1 + count, count, causes });

    let figures = run.ledger().figures();
    assert_eq!((figures.observed, figures.written, figures.lost), (2 + count, 2, count));
    assert_eq!(run.ledger().in_flight(), 0);
}
