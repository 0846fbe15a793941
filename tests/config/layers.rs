//! The command line goes before the file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::process::Stdio;

use serde_json::Value;

use super::CONNLEDGER;
use super::Written;
use super::config;
use super::refused;
use super::reported;
use super::skip::can_trace;
use super::text;

const FILE: &str = r#"
events = "close"
pid = [1, 2]
no-loopback = true
exclude-self = true
ipv4 = true
quiet = true
heartbeat = 60

[[output]]
to = "file:/one"
[[output]]
to = "file:/two"
"#;

#[test]
fn a_run_does_what_the_file_says() {
    if !can_trace() {
        return;
    }
    let written = Written::new("");
    let at = |name: &str| written.directory().join(name);
    let file = format!(
        "pid = '!1'\nevents = 'close'\n[[output]]\nto = 'file:{}'\n[[output]]\nto = 'file:{}'\nmode = '0600'\n",
        at("one").display(),
        at("two").display()
    );
    fs::write(written.path(), file).unwrap();
    let run = |options: &[&str]| {
        let mut connledger = Command::new(CONNLEDGER);
        connledger.args(["-q", "-d", "1ms", "--config"]).arg(written.path()).args(options);
        connledger.stdin(Stdio::null()).output().unwrap()
    };
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "");
    for name in ["one", "two"] {
        let log = fs::read_to_string(at(name)).unwrap();
        let start: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
        assert_eq!(start["filters"]["pid"], "!1");
        assert_eq!(start["events"], serde_json::json!(["close"]));
    }
    let mode = fs::metadata(at("two")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    fs::remove_file(at("one")).unwrap();
    let output = run(&["-o", "-", "-p", "!2"]);
    let log = text(&output.stdout);
    let start: Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(start["filters"]["pid"], "!2");
    assert!(!at("one").exists(), "the outputs of the file are replaced");

    // Nothing is begun with a file that is wrong.
    fs::write(written.path(), "evnets = 'all'").unwrap();
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("unknown key 'evnets'"), "{}", text(&output.stderr));
}

#[test]
fn an_option_replaces_what_the_file_says() {
    let written = Written::new(FILE);
    let path = written.path();
    let path = path.to_str().unwrap();
    let with = |options: &[&str]| config([&["--config", path], options].concat()).unwrap();

    let all = with(&[]);
    assert_eq!(all.outputs.len(), 2);
    assert!(all.quiet && all.filters.exclude_self && !all.filters.local_nets.is_empty());
    assert_eq!(with(&["-e", "open"]).events, config(["-e", "open"]).unwrap().events);
    // A list, too, is not added to.
    assert_eq!(with(&["-p", "3"]).filters.pids.to_string(), "3");
    assert_eq!(with(&["-p", "3"]).heartbeat, all.heartbeat);
    assert_eq!(with(&["--heartbeat", "0"]).heartbeat, None);
    // One output replaces all.
    let outputs = with(&["-o", "unix:/three"]).outputs;
    assert_eq!(outputs, config(["-o", "unix:/three"]).unwrap().outputs);
    // What excludes a flag of the file replaces that.
    assert_eq!(with(&["-6"]).filters.families, config(["-6"]).unwrap().filters.families);
    assert!(with(&["--verbose"]).verbose && !with(&["--verbose"]).quiet);
}

#[test]
fn an_opposite_turns_a_flag_off() {
    let written = Written::new(FILE);
    let path = written.path();
    let path = path.to_str().unwrap();
    let with = |options: &[&str]| config([&["--config", path], options].concat()).unwrap();
    assert!(with(&["--loopback"]).filters.local_nets.is_empty());
    assert!(with(&["--loopback"]).filters.exclude_self);
    assert!(!with(&["--no-exclude-self"]).filters.exclude_self);
    assert!(!with(&["--no-quiet"]).quiet);
    // The last one counts, with a file or without.
    assert!(with(&["--no-quiet", "--quiet"]).quiet);
    assert!(!with(&["--quiet", "--no-quiet"]).quiet);
    assert!(!config(["--quiet", "--no-quiet"]).unwrap().quiet);
    assert!(config(["--no-quiet", "-q"]).unwrap().quiet);
}

#[test]
fn what_does_not_go_together_is_found_in_both() {
    let written = Written::new("timestamp = true\nformat = 'table'\n");
    reported(&written.path(), &[]);
    let output = super::check(&written.path(), &["-f", "ndjson"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("connledger.toml:1: --timestamp adds a column"), "{said}");
    reported(&written.path(), &["-f", "ndjson", "--no-timestamp"]);

    // On the command line alone it is said as ever.
    let written = Written::new("quiet = true");
    let output = super::check(&written.path(), &["-t"]);
    let said = text(&output.stderr);
    assert!(said.starts_with("error: --timestamp adds a column"), "{said}");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_file_is_wrong_even_where_the_command_line_goes_before() {
    let written = Written::new("events = 'evrything'");
    let output = super::check(&written.path(), &["-e", "all"]);
    assert_eq!(output.status.code(), Some(2));
    refused(&written.path());
}
