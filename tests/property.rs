//! Whatever comes, the output is sound: any bytes from the kernel side, any values in its records, any
//! figures in the ledger's own. One record is one line of valid JSON, which the schema describes wholly, or
//! one line of a table that cannot drive a terminal.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::LazyLock;

use connledger::encode::Encoder;
use connledger::encode::Journal;
use connledger::encode::MAX_LINE;
use connledger::encode::Ndjson;
use connledger::encode::Table;
use connledger::event::Attribution;
use connledger::event::Comm;
use connledger::event::Event;
use connledger::event::Image;
use connledger::event::ImageKey;
use connledger::event::Owner;
use connledger::event::Record;
use connledger::host::Identity;
use connledger::ledger::Body;
use connledger::ledger::Entry;
use connledger::ledger::Ledger;
use connledger::wire::Raw;
use connledger::wire::cl_accept;
use connledger::wire::cl_close;
use connledger::wire::cl_connect;
use connledger::wire::cl_kind;
use connledger::wire::cl_listen;
use connledger::wire::cl_open;
use connledger::wire::cl_process;
use connledger::wire::cl_reset;
use connledger::wire::cl_retransmit;
use connledger::wire::decode;
use connledger::wire::to_bytes;
use jsonschema::Validator;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;
use serde_json::Value;

use self::support::arbitrary::accept;
use self::support::arbitrary::close;
use self::support::arbitrary::connect;
use self::support::arbitrary::host;
use self::support::arbitrary::listen;
use self::support::arbitrary::number;
use self::support::arbitrary::open;
use self::support::arbitrary::own;
use self::support::arbitrary::reset;
use self::support::arbitrary::retransmit;
use self::support::arbitrary::surroundings;
use self::support::journal;
use self::support::lines::keys;
use self::support::records;
use self::support::run::identity;
use self::support::schema::complaints;
use self::support::schema::strict;
use self::support::schema::validator;

static STRICT: LazyLock<Validator> = LazyLock::new(|| validator(&strict()));

/// One line of NDJSON as it should be.
fn check_ndjson(identity: &Identity, entry: &Entry) -> Result<(), TestCaseError> {
    let mut out = Vec::new();
    let mut encoder = Ndjson::new(identity, "stdout");
    encoder.begin(&mut out);
    encoder.encode(entry, &mut out);
    prop_assert!(out.len() < MAX_LINE, "{} bytes", out.len());
    let text = String::from_utf8(out).expect("UTF-8");
    let line = text.strip_suffix('\n').expect("a newline at the end");
    prop_assert_eq!(line.as_bytes().first(), Some(&b'{'));
    prop_assert!(!line.chars().any(char::is_control), "{line:?}");
    let record: Value = serde_json::from_str(line).expect("JSON");
    let keys = keys(line);
    prop_assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), keys.len(), "twice: {}", line);
    let complaints = complaints(&STRICT, &record);
    prop_assert!(complaints.is_empty(), "{complaints}\n{line}");
    prop_assert_eq!(&record["host"], &Value::from(identity.host.as_str()));
    Ok(())
}

/// One line of a table, or none, as it should be.
fn check_table(entry: &Entry, timestamps: bool) -> Result<(), TestCaseError> {
    let mut out = Vec::new();
    Table::new(timestamps).encode(entry, &mut out);
    if matches!(entry.body, Body::Start(_) | Body::Ready) {
        prop_assert!(out.is_empty());
        return Ok(());
    }
    prop_assert!(out.len() < MAX_LINE, "{} bytes", out.len());
    prop_assert_eq!(out.pop(), Some(b'\n'));
    prop_assert!(out.iter().all(|byte| matches!(byte, b' '..=b'~')), "{}", out.escape_ascii());
    Ok(())
}

/// One datagram of the journal's as it should be: it says what the line says.
fn check_journal(identity: &Identity, entry: &Entry) -> Result<(), TestCaseError> {
    let (mut datagram, mut line) = (Vec::new(), Vec::new());
    Journal::new(identity, "stdout").encode(entry, &mut datagram);
    Ndjson::new(identity, "stdout").encode(entry, &mut line);
    prop_assert!(datagram.len() < 2 * MAX_LINE, "{} bytes", datagram.len());
    let entries = journal::entries(&datagram);
    prop_assert_eq!(entries.len(), 1);
    journal::assert_journals_own(&entries[0]);
    prop_assert_eq!(
        journal::record(&entries[0]),
        serde_json::from_slice::<Value>(&line).expect("JSON")
    );
    Ok(())
}

/// Decodes a record; if it is one, writes it in every format.
fn check_event(
    record: &impl Raw,
    (seq, time_unix_ns, host, image): (u64, u64, String, Option<Image>),
) -> Result<(), TestCaseError> {
    let Ok(Record::Event(mut event)) = decode(&to_bytes(record)) else {
        return Ok(());
    };
    if let Some(owner) = &mut event.owner {
        owner.details = image.map(Arc::new);
    }
    let entry = Entry { seq, time_unix_ns, body: Body::Event(event) };
    let identity = Identity { host, ..identity() };
    check_ndjson(&identity, &entry)?;
    check_journal(&identity, &entry)?;
    check_table(&entry, time_unix_ns % 2 == 0)
}

/// One of two processes or threads, or one of them later: each field has one of two values.
fn relative() -> impl Strategy<Value = Owner> {
    let either = || select(vec![1_u32, 2]);
    let comm = || {
        select(vec![
            Comm(*b"one\0\0\0\0\0\0\0\0\0\0\0\0\0"),
            Comm(*b"two\xff\0\0\0\0\0\0\0\0\0\0\0\0"),
        ])
    };
    let image = (either(), either(), comm()).prop_map(|(started, ppid, parent_comm)| {
        Arc::new(Image { started_unix_ns: started.into(), ppid, parent_comm })
    });
    let attributions = vec![
        Attribution::Connect,
        Attribution::Accept,
        Attribution::Listener,
        Attribution::Holder,
        Attribution::Io,
    ];
    let ids = (either(), either(), either(), either(), either(), either(), either());
    (ids, comm(), select(attributions), option::of(image)).prop_map(
        |((pid, exec_id, start, tid, uid, gid, cgroup), comm, attribution, details)| Owner {
            image: ImageKey { pid, exec_id, start_ns: start.into() },
            tid,
            uid,
            gid,
            cgroup_id: u64::from(cgroup) - 1,
            comm,
            attribution,
            details,
        },
    )
}

proptest::proptest! {
    /// Its ready-made texts are those of the process that is told of, as it is now.
    #[test]
    fn an_encoder_writes_what_a_new_one_would(owners in vec(relative(), 0..100)) {
        let Ok(Record::Event(event)) = decode(&to_bytes(&records::accept())) else {
            panic!("a sound record")
        };
        let mut encoder = Ndjson::new(&identity(), "stdout");
        for owner in owners {
            let event = Event { owner: Some(owner), ..event.clone() };
            let entry = Entry { seq: 1, time_unix_ns: 1, body: Body::Event(event) };
            let (mut line, mut expected) = (Vec::new(), Vec::new());
            encoder.encode(&entry, &mut line);
            Ndjson::new(&identity(), "stdout").encode(&entry, &mut expected);
            prop_assert_eq!(line.escape_ascii().to_string(), expected.escape_ascii().to_string());
        }
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
        let _ = Ledger::new(None).take(&bytes);
    }

    #[test]
    fn any_bytes_of_a_kind_and_its_size_are_a_record_or_an_error(
        mut bytes in vec(any::<u8>(), 184),
        kind in select(vec![
            (cl_kind::CL_CONNECT, size_of::<cl_connect>()),
            (cl_kind::CL_ACCEPT, size_of::<cl_accept>()),
            (cl_kind::CL_CLOSE, size_of::<cl_close>()),
            (cl_kind::CL_OPEN, size_of::<cl_open>()),
            (cl_kind::CL_LISTEN, size_of::<cl_listen>()),
            (cl_kind::CL_RETRANSMIT, size_of::<cl_retransmit>()),
            (cl_kind::CL_RESET, size_of::<cl_reset>()),
            (cl_kind::CL_PROCESS, size_of::<cl_process>()),
        ]),
    ) {
        let (kind, size) = kind;
        let kind = u16::try_from(kind.0).expect("a kind has 16 bits");
        bytes[..2].copy_from_slice(&kind.to_ne_bytes());
        let _ = decode(&bytes[..size]);
        let _ = Ledger::new(None).take(&bytes[..size]);
    }

    #[test]
    fn any_connect_is_written_soundly(record in connect(), around in surroundings()) {
        check_event(&record, around)?;
    }

    #[test]
    fn any_accept_is_written_soundly(record in accept(), around in surroundings()) {
        check_event(&record, around)?;
    }

    #[test]
    fn any_close_is_written_soundly(record in close(), around in surroundings()) {
        check_event(&record, around)?;
    }

    #[test]
    fn any_open_is_written_soundly(record in open(), around in surroundings()) {
        check_event(&record, around)?;
    }

    #[test]
    fn any_listen_is_written_soundly(record in listen(), around in surroundings()) {
        check_event(&record, around)?;
    }

    #[test]
    fn any_retransmit_is_written_soundly(record in retransmit(), around in surroundings()) {
        check_event(&record, around)?;
    }

    #[test]
    fn any_reset_is_written_soundly(record in reset(), around in surroundings()) {
        check_event(&record, around)?;
    }

    #[test]
    fn any_record_of_the_ledgers_own_is_written_soundly(
        seq in 1..=u64::MAX, time_unix_ns in number(), host in host(), body in own(),
    ) {
        let entry = Entry { seq, time_unix_ns, body };
        let identity = Identity { host, ..identity() };
        check_ndjson(&identity, &entry)?;
        check_journal(&identity, &entry)?;
        check_table(&entry, seq % 2 == 0)?;
    }
}
