//! connledger as a service of a real systemd: a Debian is booted in a container (support/machine.rs), and the unit is
//! installed and run there. Needs root, and what `make test` installs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../support/machine.rs"]
#[allow(dead_code, reason = "other suites use the rest")]
mod machine;
#[path = "../support/skip.rs"]
mod skip;

use machine::Machine;

#[test]
fn what_is_written_in_a_machine_is_gone_with_it() {
    let Some(machine) = Machine::boot() else { return };
    machine.write("/etc/connledger/here", "only");
    assert_eq!(machine.run("cat /etc/connledger/here"), "only");
    let path = machine.path("/etc/connledger/here");
    drop(machine);
    assert!(!path.exists());
    assert!(Machine::boot().unwrap().try_run("test -e /etc/connledger").status.code() == Some(1));
}
