//! DuckDB, with the table that examples/recipes/events.sql makes of a log.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::log::log;
use crate::schema;
use crate::tools::file;
use crate::tools::from_pypi;
use crate::tools::output;

const EVENTS: &str = "examples/recipes/events.sql";

/// Runs files and statements in the DuckDB of Python, and prints the last one's rows as JSON: a newer version than the
/// program's.
const PYTHON: &str = "
import duckdb, os, sys
connection = duckdb.connect()
connection.execute('SET enable_progress_bar = false')
for statement in sys.argv[1:]:
    rows = connection.execute(open(statement).read() if os.path.exists(statement) else statement)
for row in rows.fetchall():
    print(row[0])
";

/// The rows of a query over the table, each one JSON value.
fn rows(query: &str) -> Option<Vec<Value>> {
    let mut python = from_pypi("python")?;
    let text = output(python.args(["-c", PYTHON]).arg(file(EVENTS)).arg(query));
    Some(text.lines().map(|line| serde_json::from_str(line).expect(line)).collect())
}

/// Every record once, every field as it was: in its own type, times to the nanosecond.
#[test]
fn every_field_of_every_record() {
    let Some(log) = log() else { return };
    let query =
        format!("SELECT to_json(record) FROM connledger('{}') AS record", log.path.display());
    let Some(rows) = rows(&query) else { return };
    assert_eq!(rows.len(), log.records.len());
    // Rows come in the order of the file.
    for (mut row, record) in rows.into_iter().zip(&log.records) {
        as_written(&mut row);
        assert_eq!(row, *record);
    }
}

/// NULL is absent, and DuckDB writes times in its own way: without the zeroes at their end.
fn as_written(row: &mut Value) {
    let Value::Object(fields) = row else { return };
    fields.retain(|_, value| !value.is_null());
    for (name, value) in fields {
        let is_time = ["time", "start", "since", "until"].contains(&name.as_str());
        if let (true, Some(time)) = (is_time, value.as_str()) {
            let (seconds, fraction) = time.split_once('.').unwrap_or((time, ""));
            *value = format!("{}.{fraction:0<9}Z", seconds.replace(' ', "T")).into();
        }
        as_written(value);
    }
}

/// Who asks for a time, a number or a port gets one.
#[test]
fn columns_have_the_types_of_their_values() {
    let path = file("schema/examples");
    let query = format!(
        "SELECT to_json({{name: column_name, type: column_type}})
         FROM (DESCRIBE FROM connledger('{}/*.ndjson'))",
        path.display()
    );
    let Some(rows) = rows(&query) else { return };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let columns: BTreeMap<String, String> =
        rows.iter().map(|row| (text(&row["name"]), text(&row["type"]))).collect();
    let schema = schema::published();
    for kind in schema::kinds(&schema) {
        for (name, described) in schema::fields(&schema, &kind) {
            let (outer, inner) = name.split_once('.').unwrap_or((&name, ""));
            let column = columns.get(outer).unwrap_or_else(|| panic!("{EVENTS} has no {name}"));
            if column.starts_with("STRUCT") {
                assert!(column.contains(&format!("{inner}\"")) || column.contains(inner), "{name}");
            } else if inner.is_empty() && described.iter().any(|field| field["type"] == "integer") {
                assert!(column.ends_with("INTEGER") || column.ends_with("BIGINT"), "{name}");
            }
        }
    }
    for (name, column) in [("time", "TIMESTAMP_NS"), ("seq", "BIGINT"), ("retransmits", "UINTEGER")]
    {
        assert_eq!(columns[name], column, "{name}");
    }
}
