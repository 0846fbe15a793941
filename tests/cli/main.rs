//! The command line as a user meets it: help, errors, exit codes, signals, pipes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

mod command_line;
mod ending;
mod starting;

#[path = "../support/skip.rs"]
mod skip;

use skip::can_trace;

const CONNLEDGER: &str = env!("CARGO_BIN_EXE_connledger");

fn run(program: &str, args: &[&str]) -> Output {
    Command::new(program).args(args).stdin(Stdio::null()).output().expect(program)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn start(args: &[&str]) -> Child {
    Command::new(CONNLEDGER)
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("connledger")
}

fn signal(child: &Child, signal: Signal) {
    nix::sys::signal::kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}
