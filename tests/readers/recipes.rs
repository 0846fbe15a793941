//! The recipes of examples/recipes: jq and two versions of DuckDB answer each question alike, and as the load makes
//! one expect.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::load;
use crate::log::Log;
use crate::log::log;
use crate::tools::file;
use crate::tools::from_pypi;
use crate::tools::output;
use crate::tools::program;

const FOLDER: &str = "examples/recipes";

/// Gives the rows of a query in a recipe as JSON, with the DuckDB of Python.
const PYTHON: &str = "
import duckdb, sys
log, events, recipe = sys.argv[1:]
connection = duckdb.connect()
connection.execute('SET enable_progress_bar = false')
connection.execute(f\"SET VARIABLE log = '{log}'\")
connection.execute(open(events).read())
query = open(recipe).read().rstrip().rstrip(';')
for row in connection.execute(f'SELECT to_json(answer) FROM ({query}) AS answer').fetchall():
    print(row[0])
";

/// What a recipe answers to a log; none where its programs are missing.
fn answer(log: &Log, recipe: &str) -> Option<Vec<Value>> {
    program("jq")?;
    let jq = rows(&output(&mut as_documented(log, &format!("{recipe}.jq"), "jq ")));
    from_pypi("duckdb")?;
    let duckdb = rows(&output(&mut as_documented(log, &format!("{recipe}.sql"), "duckdb ")));
    assert_eq!(jq, duckdb, "{recipe}: jq and DuckDB");
    let mut python = from_pypi("python")?;
    python.args(["-c", PYTHON]).arg(&log.path).arg(file(FOLDER).join("events.sql"));
    python.arg(file(FOLDER).join(format!("{recipe}.sql")));
    assert_eq!(duckdb, rows(&output(&mut python)), "{recipe}: the versions of DuckDB");
    assert!(!jq.is_empty(), "{recipe}");
    Some(jq)
}

/// The command that stands in a recipe's first comment, for this log. Rows are to come as JSON, one a line.
fn as_documented(log: &Log, recipe: &str, program: &str) -> Command {
    let text = fs::read_to_string(file(FOLDER).join(recipe)).unwrap();
    let mut lines = text.lines().map(|line| line.trim_start_matches(['#', '-', ' ']));
    let command = lines
        .find(|line| line.starts_with(program))
        .unwrap_or_else(|| panic!("{recipe} does not say how to run it"))
        .replace("events.ndjson", log.path.to_str().unwrap())
        .replace("duckdb ", "duckdb -jsonlines -cmd 'SET enable_progress_bar = false' ");
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).current_dir(file(FOLDER));
    let path = std::env::var("PATH").unwrap();
    shell.env("PATH", format!("{}:{path}", file("target/python/bin").display()));
    shell
}

fn rows(text: &str) -> Vec<Value> {
    let mut rows: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    rows.iter_mut().flat_map(|row| row.as_object_mut().unwrap().values_mut()).for_each(alike);
    rows
}

/// DuckDB writes times in its own way, without the zeroes at their end, and 1000 as 1000.0.
fn alike(value: &mut Value) {
    if let Some(number) = value.as_f64() {
        *value = number.into();
    } else if let Some(time) = value.as_str().filter(|text| text.starts_with("20")) {
        *value = time.trim_end_matches('Z').trim_end_matches('0').replace(' ', "T").into();
    }
}

/// Fields of a row, to be compared with what they should be.
fn fields<const N: usize>(row: &Value, names: [&str; N]) -> [Value; N] {
    names.map(|name| row.get(name).unwrap_or_else(|| panic!("no {name} in {row}")).clone())
}

fn number(value: impl TryInto<u32>) -> Value {
    f64::from(value.try_into().ok().unwrap()).into()
}

#[test]
fn every_recipe_is_there_twice_and_listed() {
    let readme = fs::read_to_string(file(FOLDER).join("README.md")).unwrap();
    let mut names: Vec<PathBuf> =
        fs::read_dir(file(FOLDER)).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut recipes = 0;
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap();
        if name == "README.md" || name == "events.sql" {
            continue;
        }
        assert!(path.with_extension("jq").exists(), "{name}");
        assert!(path.with_extension("sql").exists(), "{name}");
        assert!(readme.contains(name), "{FOLDER}/README.md does not name {name}");
        recipes += 1;
    }
    assert_eq!(recipes, 12);
}

#[test]
fn who_talks_to_this_host() {
    let Some(log) = log() else { return };
    let Some(rows) = answer(log, "who-talks-to-this-host") else { return };
    let expected =
        |from: &str, port: u16, process: &str, times: usize, received: usize, sent: usize| {
            let row = rows
                .iter()
                .find(|row| row["from"] == from && row["port"] == number(port))
                .unwrap_or_else(|| panic!("no {from} at {port}"));
            assert_eq!(
                fields(row, ["process", "connections", "bytes_received", "bytes_sent"]),
                [process.into(), number(times), number(received), number(sent)],
                "{row}"
            );
        };
    for talker in &load::TALKERS {
        let sent = talker.times * load::ANSWER;
        expected(talker.from, load::SHOP, "shop", talker.times, 0, sent);
    }
    expected("127.0.0.4", load::SHOP, "shop", load::ODD_TIMES, 0, load::ODD_TIMES * load::ANSWER);
    expected("127.0.0.5", load::DOOR, "door", load::IMPATIENT, 0, 0);
    let heavy = load::HEAVY.iter().sum();
    expected("127.0.0.6", load::HEAVY_PORT, "vault", load::HEAVY.len(), heavy, 0);
    expected("127.0.0.7", load::LOSSY_PORT, "lossy", 1, 4, 0);
    expected("127.0.0.8", load::LAZY_PORT, "lazy", load::WAITING, 0, 0);
    assert_eq!(rows[0]["from"], load::TALKERS[0].from, "who comes most often comes first");
    // The times are those of the events.
    let accepts = |row: &Value| {
        let mut times: Vec<&str> = log
            .records
            .iter()
            .filter(|r| r["event"] == "accept" && r["remote"]["ip"] == row["from"])
            .map(|r| r["time"].as_str().unwrap().trim_end_matches('Z').trim_end_matches('0'))
            .collect();
        times.sort_unstable();
        [times[0].to_owned(), times[times.len() - 1].to_owned()]
    };
    assert_eq!(fields(&rows[0], ["first", "last"]), accepts(&rows[0]).map(Value::from));
}

#[test]
fn failed_connects() {
    let Some(log) = log() else { return };
    let Some(rows) = answer(log, "failed-connects") else { return };
    assert_eq!(rows.len(), load::FAILURES.len(), "{rows:#?}");
    for (outcome, errno, process, times) in load::FAILURES {
        let row = rows.iter().find(|row| row["outcome"] == outcome).expect(outcome);
        let errno = if errno.is_empty() { Value::Null } else { errno.into() };
        assert_eq!(
            fields(row, ["errno", "process", "attempts", "to"]),
            [errno, process.into(), number(times), number(1_u16)],
            "{row}"
        );
        assert!(row["first"].as_str() <= row["last"].as_str(), "{row}");
    }
}

#[test]
fn slowest_handshakes() {
    let Some(log) = log() else { return };
    let Some(rows) = answer(log, "slowest-handshakes") else { return };
    assert_eq!(rows.len(), 10);
    assert!(rows.is_sorted_by_key(|row| -row["latency_ms"].as_f64().unwrap()), "{rows:#?}");
    let slow: Vec<&Value> = rows.iter().filter(|row| row["process"] == "slow").collect();
    assert_eq!(slow.len(), load::SLOW, "{rows:#?}");
    for row in slow {
        assert_eq!(row["port"], number(load::SLOW_PORT), "{row}");
        // The kernel sends a SYN again after a second.
        assert!(row["latency_ms"].as_f64().unwrap() >= 990.0, "{row}");
    }
}

#[test]
fn heaviest_connections() {
    let Some(log) = log() else { return };
    let Some(rows) = answer(log, "heaviest-connections") else { return };
    assert_eq!(rows.len(), 10);
    // Both ends of each of the heavy ones, and then those that carry next to nothing.
    for (pair, bytes) in rows.chunks(2).zip(load::HEAVY) {
        let (client, server) = if pair[0]["process"] == "archive" { (0, 1) } else { (1, 0) };
        let names = ["process", "bytes_sent", "bytes_received"];
        let sides = [("archive", bytes, 0), ("vault", 0, bytes)];
        for (row, (process, sent, received)) in [client, server].into_iter().zip(sides) {
            let expected = [process.into(), number(sent), number(received)];
            assert_eq!(fields(&pair[row], names), expected, "{rows:#?}");
        }
    }
    let next = ["bytes_sent", "bytes_received"].map(|name| rows[6][name].as_f64().unwrap());
    assert_eq!(Value::from(next[0] + next[1]), number(load::ANSWER), "{rows:#?}");
}

#[test]
fn most_retransmitted_connections() {
    let Some(log) = log() else { return };
    let Some(rows) = answer(log, "most-retransmitted-connections") else { return };
    let retransmits = |row: &Value| row["retransmits"].as_f64().unwrap();
    assert!(rows.is_sorted_by_key(|row| -retransmits(row)), "{rows:#?}");
    let most = log.records.iter().filter_map(|record| record["retransmits"].as_f64());
    assert_eq!(Some(retransmits(&rows[0])), most.reduce(f64::max));
    let lossy = rows.iter().find(|row| row["process"] == "lossy").expect("lossy");
    assert!(retransmits(lossy) >= f64::from(load::RETRANSMITS), "{lossy}");
    assert_eq!(lossy["remote_port"], number(load::LOSSY_PORT), "{lossy}");
}

#[test]
fn accept_queues_that_wait() {
    let Some(log) = log() else { return };
    let Some(rows) = answer(log, "accept-queues-that-wait") else { return };
    assert!(rows.is_sorted_by_key(|row| -row["longest_ms"].as_f64().unwrap()), "{rows:#?}");
    let queue = |process: &str| rows.iter().find(|row| row["process"] == process).expect(process);
    let lazy = queue("lazy");
    assert_eq!(
        fields(lazy, ["port", "accepts"]),
        [number(load::LAZY_PORT), number(load::WAITING)],
        "{lazy}"
    );
    // All of them waited so long, so the middle one did.
    let wait = load::WAIT.as_secs_f64() * 1000.0;
    assert!(lazy["median_ms"].as_f64().unwrap() >= wait, "{lazy}");
    assert!(lazy["p99_ms"].as_f64() >= lazy["median_ms"].as_f64(), "{lazy}");
    assert_eq!(queue("door")["accepts"], number(load::IMPATIENT));
    assert!(queue("shop")["median_ms"].as_f64().unwrap() < wait, "{rows:#?}");
}
