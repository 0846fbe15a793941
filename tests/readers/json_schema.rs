//! A validator of JSON Schema that has nothing to do with the one of the other tests.

use std::fs;
use std::process::Command;

use tempfile::tempdir_in;

use crate::log::log;
use crate::tools::file;
use crate::tools::from_pypi;

/// It validates formats too, and goes on after a bad line.
fn validate(more: &[&str]) -> Option<Command> {
    let mut validator = from_pypi("python")?;
    // Not by its name: that of another package is the same.
    validator.args(["-m", "sourcemeta_jsonschema"]);
    validator.args(["validate", "--format-assertion", "--continue"]).args(more);
    validator.arg(file("schema/connledger-1.schema.json"));
    Some(validator)
}

/// Every line of the log is as the published schema says.
#[test]
fn every_line_is_valid() {
    let Some(log) = log() else { return };
    let Some(mut validator) = validate(&[]) else { return };
    let folder = tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // It knows by its name what it is given, and follows symbolic links to it.
    let path = folder.path().join("log.jsonl");
    fs::hard_link(&log.path, &path).unwrap();
    let result = validator.arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&result.stderr);
    assert!(result.status.success(), "{said}");
    let lines = log.lines.len();
    assert!(said.contains(&format!("{lines} validated, {lines} passed, 0 failed")), "{said}");
}

/// It refuses what is wrong: a time without nanoseconds or without its zone, an address that is none, a negative
/// number, a kind that there is not, a field that is missing.
#[test]
fn what_is_wrong_is_refused() {
    let Some(log) = log() else { return };
    let Some(mut validator) = validate(&["--invalid"]) else { return };
    let line = log.lines.iter().find(|line| line.contains(r#""event":"accept""#)).unwrap();
    let seconds = line.find('.').unwrap()..line.find("Z\"").unwrap();
    let mut short = line.clone();
    short.replace_range(seconds, "");
    let wrong = [
        short,
        line.replacen("Z\"", "\"", 1),
        line.replacen("\"ip\":\"", "\"ip\":\"x", 1),
        line.replacen("\"seq\":", "\"seq\":-", 1),
        line.replacen("\"accept\"", "\"except\"", 1),
        line.replacen("\"netns\":", "\"nets\":", 1),
    ];
    let folder = tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("wrong.jsonl");
    fs::write(&path, wrong.join("\n")).unwrap();
    let result = validator.arg(&path).output().unwrap();
    assert!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
}
