//! The packages in a Debian that is booted by its systemd: from the two commands that the README has, over an upgrade,
//! to the removal.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;

use serde_json::Value;

use crate::machine::Machine;
use crate::machine::wait_until;
use crate::made;
use crate::made::Packages;

const LOG: &str = "/var/log/connledger/events.ndjson";
const CONFIG: &str = "/etc/connledger/connledger.toml";

/// An upgrade makes it blind for less than this.
const BLIND_US: u64 = 1_000_000;

/// How a package is installed, changed for that of a file, and removed. [`journey`] puts the files there.
struct Format {
    install: &'static str,
    upgrade: &'static str,
    remove: &'static str,
}

const DEB: Format = Format {
    install: "DEBIAN_FRONTEND=noninteractive apt-get -q -y install /root/first.deb",
    upgrade: "DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y --allow-downgrades -o Dpkg::Options::=--force-confold install",
    remove: "apt-get -q -y purge connledger",
};

/// rpm knows none of Debian's packages: nothing is asked of the requirements.
const RPM: Format = Format {
    install: "rpm --nodeps --install /root/first.rpm",
    upgrade: "rpm --nodeps --upgrade --oldpackage",
    remove: "rpm --nodeps --erase connledger",
};

#[test]
fn the_deb_from_installation_to_purge() {
    let Some(machine) = journey(&DEB, "deb", |packages| &packages.deb) else { return };
    machine.run("! test -e /var/log/connledger && ! test -e /var/lib/connledger && ! test -e /run/connledger");
    machine.run("! getent passwd connledger");
}

#[test]
fn the_rpm_from_installation_to_erasure() {
    let Some(machine) = journey(&RPM, "rpm", |packages| &packages.rpm) else { return };
    // rpm keeps what was changed, and what is no file of the package's.
    machine.run(&format!("test -e {CONFIG}.rpmsave && test -e {LOG}"));
}

/// Installs, starts, upgrades and removes. Returns the machine after that.
fn journey(format: &Format, ending: &str, file: fn(&Packages) -> &PathBuf) -> Option<Machine> {
    let (first, other) = (made::first()?, made::other()?);
    let machine = Machine::boot()?;
    machine.copy(file(first), &format!("/root/first.{ending}"));
    machine.copy(file(&other.next), &format!("/root/next.{ending}"));

    machine.run(format.install);
    assert_eq!(state(&machine), "inactive", "it is not started by its installation");

    machine.run("systemctl enable --now connledger");
    let run = is_traced(&machine, 9)["run"].clone();
    let pid = machine.run("systemctl show --property MainPID --value connledger");
    let user = machine.run(&format!("stat -c '%U:%G' /proc/{}", pid.trim()));
    assert_eq!(user.trim(), "connledger:connledger");
    assert_eq!(
        machine.run(&format!("stat -c '%U:%G %a' {LOG}")).trim(),
        "connledger:connledger 640"
    );

    machine.run(&format!("sed -i 's/^heartbeat = .*/heartbeat = 3600/' {CONFIG}"));
    let changed = machine.read(CONFIG);
    let gaps = upgrade(&machine, format, ending, run);
    println!("{ending}: an upgrade made it blind for {gaps:?} µs");
    assert!(gaps.iter().any(|&gap| gap < BLIND_US), "an upgrade made it blind for {gaps:?} µs");
    assert_eq!(machine.read(CONFIG), changed);
    is_traced(&machine, 10);

    machine.run(format.remove);
    assert_ne!(state(&machine), "active", "what is removed runs on");
    Some(machine)
}

/// Upgrades, one machine at a time, and returns for how long that made it blind. If it took too long, as it may where
/// there is other work, it goes back, and on again.
fn upgrade(machine: &Machine, format: &Format, ending: &str, mut run: Value) -> Vec<u64> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut gaps = Vec::new();
    for package in ["next", "first", "next", "first", "next"] {
        machine.run(&format!("{} /root/{package}.{ending}", format.upgrade));
        let start = restarted(machine, &run);
        let gap = start["previous"]["gap_us"].as_u64().expect("a gap of known length");
        gaps.push(gap);
        if gap < BLIND_US {
            break;
        }
        run = start["run"].clone();
    }
    gaps
}

/// Connects to a port at which nobody listens, and waits until that is in the log.
fn is_traced(machine: &Machine, port: u64) -> Value {
    machine.run(&format!("bash -c ': </dev/tcp/127.0.0.1/{port}' 2>/dev/null || true"));
    let is_wanted =
        |record: &Value| record["event"] == "connect" && record["remote"]["port"] == port;
    found(machine, "a connection in the log", is_wanted)
}

/// Waits for the start of the run that followed another one.
fn restarted(machine: &Machine, previous: &Value) -> Value {
    let is_wanted =
        |record: &Value| record["event"] == "start" && record["previous"]["run"] == *previous;
    found(machine, "the start of the next run in the log", is_wanted)
}

fn found(machine: &Machine, what: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
    let mut found = None;
    wait_until(what, || {
        let text = fs::read_to_string(machine.path(LOG)).unwrap_or_default();
        // The last line may still be written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        found = whole.lines().map(|line| serde_json::from_str(line).expect(line)).find(&is_wanted);
        found.is_some()
    });
    found.expect("it was waited for")
}

fn state(machine: &Machine) -> String {
    let said = machine.try_run("systemctl is-active connledger");
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}
