//! The schema describes what is written, all of it and nothing else: every golden line and every example
//! is valid in its strict form, and every field and value that it names stands in a golden line.

#![allow(clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod support;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use self::support::lines::Line;
use self::support::lines::file_names;
use self::support::lines::keys;
use self::support::lines::lines_in;
use self::support::schema::complaints;
use self::support::schema::fields;
use self::support::schema::kinds;
use self::support::schema::published;
use self::support::schema::strict;
use self::support::schema::validator;

const GOLDEN: &str = "tests/golden";
const EXAMPLES: &str = "schema/examples";

#[test]
fn the_schema_is_one() {
    let schema = published();
    jsonschema::draft202012::meta::validate(&schema).expect("valid by the meta-schema");
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["$id"], "urn:connledger:schema:1");
}

#[test]
fn all_lines_are_strictly_valid() {
    let strict = validator(&strict());
    for line in lines_in(GOLDEN).iter().chain(&lines_in(EXAMPLES)) {
        let complaints = complaints(&strict, &line.value);
        assert!(complaints.is_empty(), "{}\n{complaints}\n{}", line.place, line.text);
    }
}

#[test]
fn each_kind_has_an_example() {
    let mut files: Vec<String> =
        kinds(&published()).iter().map(|kind| format!("{kind}.ndjson")).collect();
    files.sort();
    assert_eq!(file_names(EXAMPLES), files);
    for line in lines_in(EXAMPLES) {
        assert!(line.place.contains(&format!("/{}.ndjson", line.event())), "{}", line.place);
    }
}

#[test]
fn every_field_is_described() {
    let schema = published();
    for kind in kinds(&schema) {
        for (field, said) in fields(&schema, &kind) {
            assert!(said.iter().any(|schema| is_described(schema)), "{kind}: {field}");
        }
    }
    for (name, definition) in schema["$defs"].as_object().expect("definitions") {
        assert!(is_described(definition), "$defs/{name}");
    }
}

fn is_described(schema: &Value) -> bool {
    schema["description"].as_str().is_some_and(|text| text.ends_with('.'))
}

#[test]
fn every_field_is_written() {
    let schema = published();
    let lines = lines_in(GOLDEN);
    for kind in kinds(&schema) {
        let described: BTreeSet<String> = fields(&schema, &kind).into_keys().collect();
        let written = of_kind(&lines, &kind).flat_map(|line| keys(&line.text)).collect();
        let missing: Vec<_> = described.difference(&written).collect();
        assert!(missing.is_empty(), "no golden line of {kind} has {missing:?}");
    }
}

#[test]
fn every_value_of_an_enumeration_is_written() {
    let schema = published();
    let lines = lines_in(GOLDEN);
    for kind in kinds(&schema) {
        for (field, said) in fields(&schema, &kind) {
            let pointer = format!("/{}", field.replace('.', "/"));
            let mut written = BTreeSet::new();
            // What a connection has is the same for all of its events.
            for value in lines.iter().filter_map(|line| line.value.pointer(&pointer)) {
                let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                written.extend(values.iter().map(Value::to_string));
            }
            for value in said.iter().flat_map(|schema| enumeration(schema)) {
                assert!(written.contains(&value.to_string()), "{kind}: no {field} is {value}");
            }
        }
    }
}

fn enumeration(schema: &Value) -> impl Iterator<Item = &Value> {
    let values = schema["enum"].as_array().into_iter().flatten();
    let items = schema["items"]["enum"].as_array().into_iter().flatten();
    values.chain(items).chain(schema.get("const"))
}

fn of_kind<'a>(lines: &'a [Line], kind: &'a str) -> impl Iterator<Item = &'a Line> {
    lines.iter().filter(move |line| line.event() == kind)
}

#[test]
fn fields_stand_in_one_order_and_once() {
    let lines: Vec<Line> = lines_in(GOLDEN).into_iter().chain(lines_in(EXAMPLES)).collect();
    for kind in kinds(&published()) {
        // Which field stood before which other one, and where.
        let mut before: BTreeMap<(String, String), &str> = BTreeMap::new();
        for line in of_kind(&lines, &kind) {
            let keys = keys(&line.text);
            for (i, first) in keys.iter().enumerate() {
                for second in &keys[i + 1..] {
                    assert_ne!(first, second, "{}: twice", line.place);
                    let reverse = before.get(&(second.clone(), first.clone()));
                    let place = &line.place;
                    assert_eq!(reverse, None, "{place}: {first} stands before {second}");
                    before.insert((first.clone(), second.clone()), place);
                }
            }
        }
    }
}

/// Every object of a record, itself included.
fn objects(record: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    if let Value::Object(fields) = record {
        fields.values_mut().for_each(|value| objects(value, change));
        change(fields);
    }
}

/// The paths of all fields of a record.
fn paths(record: &Value) -> Vec<String> {
    keys(&record.to_string()).iter().map(|key| format!("/{}", key.replace('.', "/"))).collect()
}

#[test]
fn an_unknown_field_is_admitted_but_not_by_the_strict_form() {
    let (published, strict) = (validator(&published()), validator(&strict()));
    for line in lines_in(GOLDEN) {
        let mut count = 0;
        objects(&mut line.value.clone(), &mut |_| count += 1);
        for chosen in 0..count {
            let mut changed = line.value.clone();
            let mut index = 0;
            objects(&mut changed, &mut |fields| {
                if index == chosen {
                    fields.insert("of_a_later_version".to_owned(), json!({ "a": [1] }));
                }
                index += 1;
            });
            assert_ne!(changed, line.value);
            assert_eq!(complaints(&published, &changed), "", "{}", line.place);
            assert!(!strict.is_valid(&changed), "{}: {changed}", line.place);
        }
    }
}

#[test]
fn no_field_is_of_another_type() {
    let published = validator(&published());
    for line in lines_in(EXAMPLES).iter().chain(&lines_in(GOLDEN)) {
        for path in paths(&line.value) {
            let value = line.value.pointer(&path).expect("it is there");
            let others = [json!(null), json!("?"), json!(-1), json!(0.5), json!(false), json!([])];
            for other in others.into_iter().filter(|other| !same_type(other, value)) {
                let mut changed = line.value.clone();
                *changed.pointer_mut(&path).expect("it is there") = other.clone();
                assert!(!published.is_valid(&changed), "{}: {path} is {other}", line.place);
            }
        }
    }
}

/// Whether one could stand for the other: of the same type, and if numbers, whole ones.
fn same_type(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b) && a.is_i64() == b.is_i64()
}

/// The mandatory fields: what a consumer may count on in every line.
#[test]
fn no_mandatory_field_is_missing() {
    let published = validator(&published());
    let always = &["schema", "run", "seq", "time", "host", "event"][..];
    let socket = &["protocol", "family", "local", "local/ip", "netns"][..];
    let connection = &[socket, &["remote", "remote/ip", "remote/port"]].concat()[..];
    let process = &["process/id", "process/pid", "process/comm", "process/uid"][..];
    let figures = &["observed", "written", "lost", "filtered"][..];
    let figures_of_close = &["bytes_sent", "bytes_received", "segments_sent", "retransmits"][..];
    let own = |kind: &str| match kind {
        "connect" => [connection, process, &["outcome"]].concat(),
        "accept" => [connection, process].concat(),
        "close" => [connection, process, figures_of_close].concat(),
        "open" | "retransmit" => [connection, process, &["state"]].concat(),
        "listen" => [socket, process, &["action", "backlog"]].concat(),
        // In the example there is no socket.
        "reset" => vec!["protocol", "family", "local/ip", "remote/port", "direction"],
        "start" => vec![
            "version",
            "boot_id",
            "kernel",
            "since",
            "previous/run",
            "previous/seq",
            "previous/until",
            "events",
            "hooks",
            "hooks/state",
        ],
        "ready" => vec![],
        "loss" => vec!["first_seq", "last_seq", "count", "causes"],
        "heartbeat" => [figures, &["in_flight"]].concat(),
        "stop" => [figures, &["reason", "until"]].concat(),
        _ => panic!("name the mandatory fields of {kind}"),
    };
    for line in lines_in(EXAMPLES) {
        for field in always.iter().copied().chain(own(line.event())) {
            let (outer, name) = field.rsplit_once('/').unwrap_or(("", field));
            let pointer = if outer.is_empty() { String::new() } else { format!("/{outer}") };
            let mut changed = line.value.clone();
            let object = changed.pointer_mut(&pointer).and_then(Value::as_object_mut);
            let removed = object.and_then(|object| object.remove(name));
            assert!(removed.is_some(), "{}: there is no {field}", line.place);
            assert!(!published.is_valid(&changed), "{} without {field}", line.place);
        }
    }
}

#[test]
fn values_out_of_bounds_are_refused() {
    let published = validator(&published());
    let lines = lines_in(EXAMPLES);
    for (kind, pointer, bad) in [
        ("ready", "/time", json!("2026-11-23T07:03:04.123456Z")),
        ("ready", "/time", json!("2026-11-23T07:03:04Z")),
        ("ready", "/time", json!("2026-11-23T07:03:04.1234567890Z")),
        ("ready", "/time", json!("2026-11-23T07:03:04.123456789+00:00")),
        ("ready", "/time", json!("2026-11-23 07:03:04.123456789Z")),
        ("ready", "/time", json!("2026-13-23T07:03:04.123456789Z")),
        ("ready", "/schema", json!("connledger/2.0")),
        ("ready", "/schema", json!("connledger/1")),
        ("ready", "/run", json!("6F1C2D3E4B5A6978")),
        ("ready", "/seq", json!(0)),
        ("ready", "/seq", json!(1_u64 << 53)),
        ("ready", "/event", json!("packet")),
        ("connect", "/outcome", json!("rejected")),
        ("connect", "/latency_us", json!(1_u64 << 53)),
        ("connect", "/conn", json!("d4ff911f-0")),
        ("connect", "/conn", json!("d4ff911f-1.0")),
        ("connect", "/protocol", json!("udp")),
        ("connect", "/family", json!("unix")),
        ("connect", "/local/port", json!(65_536)),
        ("connect", "/local/port", json!(0)),
        ("connect", "/local/ip", json!("127.0.0.256")),
        ("connect", "/local/ip", json!("")),
        ("connect", "/netns", json!(1_u64 << 32)),
        ("connect", "/cgroup_id", json!("0")),
        ("connect", "/process/id", json!("30133")),
        ("connect", "/process/comm", json!("seventeen bytes!!")),
        ("connect", "/process/start", json!("")),
        ("accept", "/attributed_to", json!("connect")),
        ("accept", "/protocol", json!("mptcp_subflow")),
        ("close", "/closed_by", json!("peer")),
        ("close", "/opened_by", json!("unknown")),
        ("open", "/state", json!("syn_sent")),
        ("open", "/state", json!("time_wait")),
        ("listen", "/action", json!("close")),
        ("listen", "/backlog", json!(1_u64 << 32)),
        ("retransmit", "/state", json!("new_syn_recv")),
        ("reset", "/direction", json!("local")),
        ("start", "/events", json!([])),
        ("start", "/events", json!(["connect", "connect"])),
        ("start", "/ring_size", json!(0)),
        ("loss", "/count", json!(0)),
        ("loss", "/causes", json!({})),
        ("loss", "/causes/ring_full", json!(0)),
        ("stop", "/reason", json!("")),
    ] {
        let line = of_kind(&lines, kind).next().expect("each kind has an example");
        let mut changed = line.value.clone();
        *changed.pointer_mut(pointer).expect("the field is there") = bad.clone();
        assert!(!published.is_valid(&changed), "{kind}: {pointer} can be {bad}");
    }
}

/// What goes with what.
#[test]
fn fields_fit_together() {
    let published = validator(&published());
    let lines = lines_in(EXAMPLES);
    let end = json!({ "ip": "192.0.2.1", "port": 443 });
    for (kind, pointer, name, value) in [
        // An error belongs to all failures that have one, and to no success.
        ("connect", "", "errno", Some(json!("ECONNREFUSED"))),
        ("connect", "", "outcome", Some(json!("refused"))),
        ("connect", "", "process", None),
        ("connect", "/process", "ppid", None),
        ("connect", "/process", "start", None),
        // What listens has no peer, all else has one.
        ("listen", "", "remote", Some(end)),
        ("open", "", "state", Some(json!("listen"))),
        // The figures of TCP are known, all of them.
        ("close", "", "segments_received", None),
        // What is not so is not said.
        ("connect", "", "v4_mapped", Some(json!(false))),
        ("connect", "", "mptcp_subflow", Some(json!(false))),
        // Only a socket receives.
        ("reset", "", "direction", Some(json!("received"))),
    ] {
        let changed = example_with(&lines, kind, &[(pointer, name, value.clone())]);
        assert!(!published.is_valid(&changed), "{kind}{pointer}: {name} can be {value:?}");
    }
    // What carries MPTCP is TCP.
    let subflow =
        [("", "mptcp_subflow", Some(json!(true))), ("", "protocol", Some(json!("mptcp")))];
    assert!(!published.is_valid(&example_with(&lines, "connect", &subflow)));
}

/// What may be missing, where something else says why.
#[test]
fn what_may_be_absent() {
    let strict = validator(&strict());
    let lines = lines_in(EXAMPLES);
    let failed =
        || vec![("", "outcome", Some(json!("failed"))), ("", "errno", Some(json!("EINVAL")))];
    let mptcp = || vec![("", "protocol", Some(json!("mptcp")))];
    let without = |names: &[&'static str]| names.iter().map(|&name| ("", name, None)).collect();
    for (kind, reason, absent) in [
        ("connect", failed(), without(&["conn", "latency_us"])),
        ("connect", failed(), without(&["local"])),
        ("connect", failed(), without(&["local", "remote"])),
        ("connect", failed(), vec![("/local", "port", None)]),
        (
            "close",
            mptcp(),
            without(&["segments_sent", "segments_received", "retransmits", "rtt_us"]),
        ),
        ("listen", mptcp(), without(&["backlog"])),
        ("open", vec![("", "state", Some(json!("listen")))], without(&["remote"])),
    ] {
        let both = [&reason[..], &absent].concat();
        assert_eq!(
            complaints(&strict, &example_with(&lines, kind, &both)),
            "",
            "{kind}: {absent:?}"
        );
        let unexplained = example_with(&lines, kind, &absent);
        // Some may always be absent.
        let always =
            absent.iter().all(|&(_, name, _)| ["conn", "latency_us", "port"].contains(&name));
        assert_eq!(strict.is_valid(&unexplained), always, "{kind}: {absent:?}");
    }
}

/// A field of the object at a pointer, and what it becomes: `None` is absent.
type Change = (&'static str, &'static str, Option<Value>);

/// The example of a kind, with other fields.
fn example_with(lines: &[Line], kind: &str, changes: &[Change]) -> Value {
    let line = of_kind(lines, kind).next().expect("each kind has an example");
    let mut record = line.value.clone();
    for (pointer, name, value) in changes {
        let object = record.pointer_mut(pointer).and_then(Value::as_object_mut);
        let object = object.expect("the object is there");
        match value {
            Some(value) => object.insert((*name).to_owned(), value.clone()),
            None => object.remove(*name),
        };
    }
    record
}
