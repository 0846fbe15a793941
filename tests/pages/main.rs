//! What `connledger generate` prints, in the hands of the programs that it is for: man, whatis, and three shells.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod completions;
mod config_page;
mod page;
mod program_page;

use std::process::Command;

const CONNLEDGER: &str = env!("CARGO_BIN_EXE_connledger");

/// What it can print.
const ALL: [&str; 5] = ["man", "man-config", "bash", "zsh", "fish"];

fn generate(what: &str) -> String {
    let output = Command::new(CONNLEDGER).args(["generate", what]).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{what}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn it_is_the_same_each_time() {
    for what in ALL {
        let text = generate(what);
        assert!(text.lines().count() > 50, "{what}: {text}");
        assert_eq!(text, generate(what), "{what}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let script = format!("{CONNLEDGER} generate man | true; echo ${{PIPESTATUS[0]}}");
    for _ in 0..20 {
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n");
        assert!(output.stderr.is_empty(), "{output:?}");
    }
}

#[test]
fn what_it_can_print_is_told() {
    let output = Command::new(CONNLEDGER).args(["generate", "postscript"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    for what in ALL {
        assert!(said.contains(what), "{said}");
    }
}
