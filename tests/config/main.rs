//! The configuration file and `connledger check`, as a user meets them; and that a file says what a command line would.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

mod check;
mod keys;
mod layers;
mod same;
mod shipped;
#[path = "../support/skip.rs"]
mod skip;
mod trust;

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use clap::CommandFactory as _;
use connledger::cli;
use connledger::cli::Cli;
use connledger::cli::Refusal;
use connledger::cli::Request;
use connledger::config::Config;
use connledger::config::NOT_IN_A_FILE;
use nix::unistd::Uid;
use tempfile::TempDir;

const CONNLEDGER: &str = env!("CARGO_BIN_EXE_connledger");

/// A directory with a file in it that is to be trusted: others may not even look into it.
struct Written {
    directory: TempDir,
}

impl Written {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let written = Self { directory };
        fs::write(written.path(), text).unwrap();
        mode(&written.path(), "644");
        written
    }

    fn directory(&self) -> &Path {
        self.directory.path()
    }

    fn path(&self) -> PathBuf {
        self.directory().join("connledger.toml")
    }
}

fn mode(path: &Path, mode: &str) {
    assert!(Command::new("chmod").arg(mode).arg(path).status().unwrap().success());
}

/// `connledger check --config FILE` with more options.
fn check(file: &Path, options: &[&str]) -> Output {
    Command::new(CONNLEDGER)
        .args(["check", "--config"])
        .arg(file)
        .args(options)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// What it says of a file that is wrong.
fn refused(file: &Path) -> String {
    let output = check(file, &[]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(text(&output.stdout), "", "{said}");
    assert!(said.starts_with(&format!("connledger: {}", file.display())), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

/// What it reports of a file that is right, whether or not this host can be traced.
fn reported(file: &Path, options: &[&str]) -> String {
    let output = check(file, options);
    let said = text(&output.stderr);
    let expected = i32::from(!Uid::effective().is_root());
    assert_eq!(output.status.code(), Some(expected), "{said}");
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

/// What a command line comes to.
fn config(arguments: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Config, String> {
    let arguments = arguments.into_iter().map(Into::into);
    match cli::request([OsString::from("connledger")].into_iter().chain(arguments)) {
        Ok(Request::Trace(config)) => Ok(*config),
        Ok(other) => panic!("{other:?}"),
        Err(Refusal::CommandLine(err)) => Err(err.to_string()),
        Err(Refusal::File(said)) => Err(said),
    }
}

/// What a file comes to.
fn config_of(file: &str) -> Result<Config, String> {
    let written = Written::new(file);
    config([OsString::from("--config"), written.path().into()])
}

/// The long options that are keys.
fn keys() -> Vec<String> {
    let options = Cli::command();
    let longs = options.get_arguments().filter_map(|arg| arg.get_long());
    longs.filter(|long| !NOT_IN_A_FILE.contains(long)).map(str::to_owned).collect()
}
