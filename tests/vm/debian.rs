//! Boots it, and has it run the tests of inside.rs, and the one of the README's table on both rungs of the ladders.

use std::io::Write as _;

use crate::guest::Guest;

/// What the guest says of something on its console.
fn told<'a>(console: &'a str, what: &str) -> &'a str {
    let mut lines = console.lines();
    let line = lines.find_map(|line| line.strip_prefix("guest: ")?.strip_prefix(what));
    line.unwrap_or_else(|| panic!("it says no '{what}':\n{console}")).trim()
}

#[test]
fn a_user_traces_by_functions_and_the_table_holds_on_both_rungs() {
    let Some(guest) = Guest::boot() else { return };
    let console = guest.end();
    assert_eq!(told(&console, "status"), "0", "the guest's console:\n{console}");
    let result = console.lines().find(|line| line.starts_with("test result: ok. "));
    let result = result.unwrap_or_else(|| panic!("it says nothing of tests:\n{console}"));
    assert!(!console.contains("running 0 tests"), "{console}");
    for rung in ["tracepoint/syscalls/", "fexit/__x64_sys_"] {
        let status = told(&console, &format!("by {rung}: status"));
        assert_eq!(status, "0", "the guest's console:\n{console}");
    }
    // Past libtest, which keeps what a test prints to itself: which kernel it was.
    let kernel = told(&console, "kernel");
    writeln!(std::io::stderr(), "on Debian's kernel {kernel}: {result}").unwrap();
}
