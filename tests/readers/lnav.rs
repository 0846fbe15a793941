//! lnav, with the format that examples/lnav ships.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Map;
use serde_json::Value;
use tempfile::TempDir;
use tempfile::tempdir;

use crate::log::log;
use crate::schema;
use crate::tools::file;
use crate::tools::output;
use crate::tools::program;

const FORMAT: &str = "examples/lnav/connledger.json";

/// In lnav's queries the name of this field is a word of SQL's, and it then makes no table at all.
const NO_COLUMN: &str = "commit";

/// The shipped format, in a folder as lnav looks for it.
fn installed() -> TempDir {
    let folder = tempdir().unwrap();
    let formats = folder.path().join("formats/connledger");
    fs::create_dir_all(&formats).unwrap();
    fs::copy(file(FORMAT), formats.join("connledger.json")).unwrap();
    folder
}

/// The rows that a query over a log gives; none without lnav.
fn rows(query: &str, log: &Path) -> Option<Vec<Map<String, Value>>> {
    let mut lnav = program("lnav")?;
    let folder = installed();
    // Nobody's own settings.
    lnav.env("HOME", folder.path()).env_remove("XDG_CONFIG_HOME");
    lnav.arg("-n").arg("-I").arg(folder.path());
    lnav.args(["-c", &format!(";{query}"), "-c", ":write-jsonlines-to -"]).arg(log);
    let text = output(&mut lnav);
    Some(text.lines().map(|line| serde_json::from_str(line).expect(line)).collect())
}

fn format() -> Value {
    let text = fs::read_to_string(file(FORMAT)).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["connledger_log"].clone()
}

#[test]
fn every_line_is_recognised() {
    let Some(log) = log() else { return };
    let query = "SELECT log_format, count(*) AS lines FROM all_logs GROUP BY 1";
    let Some(rows) = rows(query, &log.path) else { return };
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["log_format"], "connledger_log");
    assert_eq!(rows[0]["lines"], log.lines.len());
}

/// Every record once, every field in its column, the level by the event, and the time as precise as lnav keeps it:
/// milliseconds. With all of its digits it is in the text of the line.
#[test]
fn every_field_is_a_column() {
    let Some(log) = log() else { return };
    let query = "SELECT *, json_extract(log_raw_text, '$.time') AS whole_time FROM connledger_log";
    let Some(rows) = rows(query, &log.path) else { return };
    assert_eq!(rows.len(), log.records.len());
    let format = format();
    let columns: Vec<&String> = format["value"].as_object().unwrap().keys().collect();
    let mut seen = BTreeSet::new();
    for row in &rows {
        let seq = number(&row["seq"]);
        assert!(seen.insert(seq), "{seq} is there twice");
        let record = &log.records[usize::try_from(seq).unwrap() - 1];
        for &column in &columns {
            let written = record.pointer(&format!("/{column}")).unwrap_or(&Value::Null);
            assert_eq!(text(&row[column]), text(written), "{column} of {record}");
        }
        assert_eq!(row["whole_time"], record["time"], "{record}");
        assert_eq!(shown_time(row), record["time"].as_str().unwrap()[..23], "{record}");
        assert_eq!(row["log_level"], level(record["event"].as_str().unwrap()), "{record}");
    }
}

/// As RFC 3339 has it.
fn shown_time(row: &Map<String, Value>) -> String {
    row["log_time"].as_str().unwrap().replace(' ', "T")
}

/// Records may cross. lnav would move those that come late to the time of the one before, unless it is told.
#[test]
fn what_is_not_in_order_keeps_its_time() {
    let Some(log) = log() else { return };
    let folder = tempdir().unwrap();
    let path = folder.path().join("reversed.ndjson");
    let reversed: Vec<&str> = log.lines.iter().rev().map(String::as_str).collect();
    fs::write(&path, reversed.join("\n") + "\n").unwrap();
    let Some(rows) = rows("SELECT seq, log_time FROM connledger_log", &path) else { return };
    assert_eq!(rows.len(), log.lines.len());
    for row in &rows {
        let record = &log.records[usize::try_from(number(&row["seq"])).unwrap() - 1];
        assert_eq!(shown_time(row), record["time"].as_str().unwrap()[..23], "{record}");
    }
}

fn level(event: &str) -> &str {
    match event {
        "loss" => "error",
        "reset" | "retransmit" => "warning",
        "listen" | "open" => "debug",
        "accept" | "close" | "connect" => "info",
        _ => "stats",
    }
}

fn number(value: &Value) -> u64 {
    text(value).parse().unwrap()
}

/// lnav writes numbers that are names of something as text, and objects as the JSON that they are.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What the schema describes, lnav knows.
#[test]
fn the_format_has_every_field() {
    let format = format();
    let schema = schema::published();
    for kind in schema::kinds(&schema) {
        for name in schema::fields(&schema, &kind).keys() {
            let column = name.replace('.', "/");
            // An object is one column, unless its fields are.
            let outer = column.split('/').next().unwrap();
            let known = format["value"].get(&column).or_else(|| format["value"].get(outer));
            let ends = ["local", "remote", "process", "time", NO_COLUMN];
            assert!(known.is_some() || ends.contains(&name.as_str()), "{FORMAT} has no {column}");
        }
    }
    assert!(format["value"].get(NO_COLUMN).is_none());
}
