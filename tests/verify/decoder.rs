//! The decoder and the JSON Schema are of one mind: what the one takes, the other takes, for lines that the
//! encoder writes and for what becomes of them if something in them is changed.

use std::sync::LazyLock;

use connledger::verify::record::Fault;
use connledger::verify::record::decode;
use jsonschema::Validator;
use proptest::collection::vec;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::sample::Index;
use proptest::test_runner::Config;
use proptest::test_runner::TestCaseError;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::changes::apply;
use crate::changes::change;
use crate::changes::paths;
use crate::support::lines::lines_in;
use crate::support::schema::complaints;
use crate::support::schema::published;
use crate::support::schema::strict;
use crate::support::schema::validator;
use crate::written::line;

static STRICT: LazyLock<Validator> = LazyLock::new(|| validator(&strict()));
static PUBLISHED: LazyLock<Validator> = LazyLock::new(|| validator(&published()));

/// Of the field `schema` alone.
static PUBLISHED_VERSION: LazyLock<Validator> =
    LazyLock::new(|| validator(&published()["properties"]["schema"]));

/// What JSON Schema cannot say of a record that it finds valid: a loss adds up.
fn adds_up(record: &Value) -> bool {
    if record["event"] != "loss" {
        return true;
    }
    let number = |field: &str| record[field].as_u64().expect("valid by the schema");
    let causes = record["causes"].as_object().expect("valid by the schema");
    let sum: u64 = causes.values().filter_map(Value::as_u64).sum();
    number("first_seq") == number("seq")
        && number("last_seq").checked_sub(number("first_seq")) == Some(number("count") - 1)
        && number("count") == sum
}

fn verdict(line: &str) -> Result<(), String> {
    decode(line.as_bytes()).map(|_| ()).map_err(|fault| fault.to_string())
}

/// Where there are causes, there are counts: a newer minor has other causes, but nothing else there.
fn counts_causes(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter().all(|(key, value)| {
            let counts = |causes: &Map<String, Value>| {
                causes
                    .values()
                    .all(|count| count.as_u64().is_some_and(|n| (1..1 << 53).contains(&n)))
            };
            counts_causes(value) && (key != "causes" || value.as_object().is_none_or(counts))
        }),
        Value::Array(items) => items.iter().all(counts_causes),
        _ => true,
    }
}

/// A line that is not ours to judge by the schema: JSON that counts 1.0 as whole, which is never written.
fn check(record: &Value) -> Result<(), TestCaseError> {
    let valid = STRICT.is_valid(record) && adds_up(record);
    let text = record.to_string();
    let verdict = verdict(&text);
    prop_assert_eq!(
        verdict.is_ok(),
        valid,
        "{:?}, the schema: {}\n{}",
        verdict,
        complaints(&STRICT, record),
        text
    );
    Ok(())
}

proptest::proptest! {
    #![proptest_config(Config::with_cases(4096))]

    #[test]
    fn it_takes_what_is_written(line in line()) {
        prop_assert_eq!(verdict(&line), Ok(()), "{}", line);
    }

    #[test]
    fn it_judges_what_is_changed_as_the_schema_does(line in line(), changes in vec(change(), 1..3)) {
        let mut record: Value = serde_json::from_str(&line).expect("JSON");
        for change in changes {
            apply(&mut record, change);
        }
        // An edited version may be a newer one, of which more is admitted: the next test.
        if record["schema"] == "connledger/1.0" || !PUBLISHED_VERSION.is_valid(&record["schema"]) {
            check(&record)?;
        }
    }

    /// What the published schema admits of a line of a newer minor, the decoder takes.
    #[test]
    fn it_takes_what_a_newer_minor_adds(line in line(), changes in vec(change(), 0..3)) {
        let mut record: Value = serde_json::from_str(&line).expect("JSON");
        for change in changes {
            apply(&mut record, change);
        }
        record["schema"] = json!("connledger/1.7");
        let text = record.to_string();
        let sound = PUBLISHED.is_valid(&record) && adds_up(&record) && counts_causes(&record);
        if sound && !text.contains("null") {
            prop_assert_eq!(verdict(&text), Ok(()), "{}", text);
        }
    }

}

proptest::proptest! {
    #[test]
    fn the_order_of_fields_does_not_matter(line in line(), order in any::<u64>()) {
        let shuffled = shuffled(&serde_json::from_str(&line).expect("JSON"), order);
        prop_assert_eq!(verdict(&shuffled), Ok(()), "{}", shuffled);
    }

    #[test]
    fn a_key_stands_once(line in line(), field in any::<Index>()) {
        let record: Value = serde_json::from_str(&line).expect("JSON");
        for schema in ["connledger/1.0", "connledger/1.7"] {
            let mut record = record.clone();
            record["schema"] = json!(schema);
            let paths = paths(&record);
            let doubled = with_double(&record, "", field.get::<String>(&paths));
            prop_assert!(serde_json::from_str::<Value>(&doubled).is_ok());
            prop_assert!(verdict(&doubled).is_err(), "{}", doubled);
        }
    }

    /// Whatever is cut off: it is torn, and never taken for a record.
    #[test]
    fn a_line_that_ends_early_is_torn(line in line(), end in any::<Index>()) {
        let cut = &line.as_bytes()[..=end.index(line.len() - 1)];
        let verdict = decode(cut).map(|_| ());
        prop_assert!(matches!(verdict, Err(Fault::Torn(_))), "{}: {:?}", cut.escape_ascii(), verdict);
    }

    #[test]
    fn any_bytes_are_a_record_or_a_fault(bytes in vec(any::<u8>(), 0..100), line in line(), at in any::<Index>()) {
        let _ = decode(&bytes);
        let mut line = line.into_bytes();
        let at = at.index(line.len());
        line[at] = bytes.first().copied().unwrap_or(0);
        let _ = decode(&line);
    }
}

/// A record with its fields in another order, at every depth.
fn shuffled(record: &Value, order: u64) -> String {
    let Value::Object(fields) = record else { return record.to_string() };
    let mut fields: Vec<(u64, String)> = fields
        .iter()
        .enumerate()
        .map(|(i, (key, value))| {
            let place = (order ^ i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
            (place, format!("{}: {}", Value::from(key.as_str()), shuffled(value, order)))
        })
        .collect();
    fields.sort();
    let fields: Vec<String> = fields.into_iter().map(|(_, field)| field).collect();
    format!("{{ {} }}", fields.join(" ,"))
}

/// A record in which one field stands twice.
fn with_double(record: &Value, prefix: &str, path: &str) -> String {
    match record {
        Value::Object(fields) => {
            let fields = fields.iter().flat_map(|(key, value)| {
                let here = format!("{prefix}/{key}");
                let times = if here == path { 2 } else { 1 };
                let value = with_double(value, &here, path);
                std::iter::repeat_n(format!("{}:{value}", Value::from(key.as_str())), times)
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            let items = items.map(|(i, item)| with_double(item, &format!("{prefix}/{i}"), path));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

#[test]
fn it_takes_the_examples_and_the_golden_lines() {
    for line in lines_in("schema/examples").iter().chain(&lines_in("tests/golden")) {
        assert_eq!(verdict(&line.text), Ok(()), "{}", line.place);
    }
}

/// The example of a kind, changed by another text in the place of one.
fn example(kind: &str, old: &str, new: &str) -> String {
    let lines = lines_in("schema/examples");
    let line = lines.iter().find(|line| line.event() == kind).expect("an example");
    assert!(line.text.contains(old), "{old}: {}", line.text);
    line.text.replacen(old, new, 1)
}

#[test]
fn what_is_wrong_is_said() {
    for (kind, old, new, said) in [
        (
            "connect",
            "\"pid\":3146",
            "\"pid\":\"3146\"",
            "process.pid: invalid type: string \"3146\", expected u32",
        ),
        ("connect", "\"netns\":4026532246,", "", "netns is missing"),
        ("connect", "\"latency_us\"", "\"latency\"", "latency: unknown field `latency`"),
        ("connect", "\"latency_us\":53", "\"latency_us\":null", "latency_us is null"),
        (
            "connect",
            "\"latency_us\":53",
            "\"latency_us\":53.0",
            "latency_us: invalid type: floating point `53.0`",
        ),
        ("connect", "\"established\"", "\"rejected\"", "outcome is none of those"),
        (
            "connect",
            "\"seq\":25",
            "\"seq\":0",
            "seq: invalid value: integer `0`, expected a number from 1",
        ),
        ("connect", "T13:22:13", "T25:22:13", "time: invalid value: string"),
        ("connect", "2026-11-23", "2026-11-31", "time: invalid value: string"),
        ("connect", "\"seq\":25,", "", "missing field `seq`"),
        (
            "connect",
            "connledger/1.0",
            "connledger/2.0",
            "schema connledger/2.0: this connledger reads",
        ),
        ("connect", "connledger/1.0", "connledger/1.00", "schema: invalid value"),
        ("connect", "\"connect\"", "\"packet\"", "event is none of those"),
        (
            "connect",
            "{\"ip\":\"127.0.0.1\",\"port\":8443}",
            "[\"127.0.0.1\",1,8443]",
            "remote: invalid type: sequence, expected an object",
        ),
        ("connect", "\"connect\"", "\"connect\",\"seq\":25", "seq"),
        ("loss", "\"count\":155", "\"count\":154", "count is not last_seq - first_seq + 1"),
        ("loss", "\"ring_full\":155", "\"ring_full\":154", "count is not the sum of causes"),
        ("loss", "\"seq\":81", "\"seq\":82", "first_seq is not seq"),
        ("loss", "\"ring_full\":155", "\"bad_luck\":155", "a cause that there is not"),
        ("ready", "}", "} {}", "no JSON: trailing characters at column"),
        ("ready", "\"ready\"", "ready", "no JSON: expected value at column"),
    ] {
        let line = example(kind, old, new);
        let verdict = verdict(&line).expect_err(new);
        assert!(verdict.contains(said), "{new}: {verdict}");
    }
    let verdict = |line: &[u8]| decode(line).expect_err("no record").to_string();
    assert_eq!(verdict(b""), "no JSON: the line is empty");
    assert!(verdict(b"{\"a\":\xff}").contains("byte 6 is no UTF-8"));
    assert!(verdict(&[0; 100]).starts_with("no JSON: expected value"));
}

#[test]
fn a_newer_minor_may_add_fields_kinds_and_values() {
    for (kind, old, new) in [
        ("connect", "\"established\"", "\"deferred\""),
        ("connect", "\"connect\"", "\"packet\""),
        ("loss", "\"ring_full\"", "\"bad_luck\""),
        ("connect", "\"tid\":3146", "\"tid\":3146,\"exe\":\"/bin/sh\""),
        ("start", "\"ring_size\":4096", "\"ring_size\":4096,\"filters\":{\"moon\":\"full\"}"),
    ] {
        let line = example(kind, old, new);
        assert!(verdict(&line).is_err(), "{line}");
        let newer = line.replacen("connledger/1.0", "connledger/1.1", 1);
        assert_eq!(verdict(&newer), Ok(()), "{newer}");
        let broken = newer.replacen("\"seq\":", "\"seq\":-", 1);
        assert!(verdict(&broken).is_err(), "{broken}");
        let null = newer.replacen("\"seq\":", "\"moon\":null,\"seq\":", 1);
        assert!(verdict(&null).is_err(), "{null}");
    }
}
