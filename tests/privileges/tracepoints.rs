//! The numbers of tracepoints, found in the kernel's own list, are those that tracefs tells.

use std::fs;

use connledger::probe::tracepoint::Tracepoints;
use connledger::probe::tracepoint::search::Search;

use crate::skip::can_trace;
use crate::tracefs::Tracefs;

#[test]
fn every_number_is_the_one_in_tracefs() {
    if !can_trace() {
        return;
    }
    let tracefs = Tracefs::open();
    let mut search = Search::begin().expect("a search");
    let directory = fs::read_dir(tracefs.path("events/syscalls")).expect("tracepoints");
    let mut count = 0;
    for entry in directory.map(|entry| entry.expect("a tracepoint")) {
        if entry.file_type().expect("a kind").is_dir() {
            let name = entry.file_name().into_string().expect("UTF-8");
            assert_eq!(
                search.id(&name).expect(&name),
                tracefs.id(&format!("syscalls/{name}")),
                "{name}"
            );
            count += 1;
        }
    }
    assert!(count > 500, "{count} tracepoints of system calls");
}

#[test]
fn those_that_are_used_are_found_however_they_are_looked_up() {
    if !can_trace() {
        return;
    }
    let tracefs = Tracefs::open();
    let mut tracepoints = Tracepoints::default();
    for call in ["accept", "accept4", "connect"] {
        for name in [format!("sys_enter_{call}"), format!("sys_exit_{call}")] {
            assert_eq!(tracepoints.id(&name).unwrap(), tracefs.id(&format!("syscalls/{name}")));
        }
    }
}

#[test]
fn what_is_not_there_is_named() {
    if !can_trace() {
        return;
    }
    let mut search = Search::begin().expect("a search");
    // One is a tracepoint, but of no system call.
    for name in ["sys_enter_nothing", "sys_enter_accept44", "sys_enter_accep", "", "sched_switch"] {
        let said = search.id(name).expect_err(name).to_string();
        assert!(said.contains(&format!("no tracepoint syscalls/{name}:")), "{said}");
        assert!(said.contains("CONFIG_FTRACE_SYSCALLS=y"), "{said}");
    }
    let long = "x".repeat(64);
    assert!(search.id(&long).expect_err("too long").to_string().contains("too long"));
    // And it goes on.
    assert!(search.id("sys_enter_connect").is_ok());
    let said = format!("{:#}", Tracepoints::default().id("sys_exit_nothing").expect_err("nothing"));
    assert!(said.contains("the number of the tracepoint syscalls/sys_exit_nothing"), "{said}");
    assert!(said.contains("this kernel has no tracepoint"), "{said}");
}
