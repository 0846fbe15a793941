//! From `systemctl start` to `systemctl stop`, and what may happen between.

use std::fs;

use crate::installed::CONFIGURATION;
use crate::installed::Installed;
use crate::installed::LOG;
use crate::machine::wait_until;

/// One machine, one life: each part begins with what the one before has left.
#[test]
fn the_service_lives_as_systemd_wants() {
    let Some(service) = Installed::new() else { return };
    assert_eq!(service.property("ActiveState"), "inactive");
    starts_when_ready(&service);
    writes_as_its_user(&service);
    holds_no_privilege(&service);
    reopens(&service);
    comes_back_after_a_crash(&service);
    stops_in_order(&service);
    tells_what_is_wrong_with_its_configuration(&service);
}

/// A collector that hangs is killed and started again; one that does not is not, however little happens.
#[test]
fn the_watchdog_bites_whoever_hangs_only() {
    let Some(service) = Installed::new() else { return };
    // A stopped process does not even abort.
    service.add_to_unit("[Service]\nWatchdogSec=4s\nTimeoutAbortSec=1s\n");
    // Without a reader, this one blocks.
    service.write_to(r#"{ to = "unix:/run/nobody.sock", on-full = "block", queue = 1 },"#);
    service.run("systemctl start connledger");
    service.connect(300);
    let pid = service.pid();
    let mut beats = vec![service.property("WatchdogTimestampMonotonic")];
    wait_until("several beats", || {
        let beat = service.property("WatchdogTimestampMonotonic");
        if beats.last() != Some(&beat) {
            beats.push(beat);
        }
        beats.len() > 4
    });
    assert_eq!(service.pid(), pid);
    let status = service.property("StatusText");
    assert!(status.contains("unix:/run/nobody.sock: there is no such socket"), "{status}");

    service.run(&format!("kill -STOP {pid}"));
    wait_until("another process", || service.property("NRestarts") == "1");
    service.wait_until_property("ActiveState", "active");
    assert_ne!(service.pid(), pid);
    let journal = service.run("journalctl --no-pager -u connledger");
    assert!(journal.contains("Watchdog timeout"), "{journal}");

    // The reader is waited for at the end, too, but not until systemd loses patience: connledger says itself what is
    // missing.
    service.connect(300);
    service.run("systemctl stop connledger");
    assert_eq!(service.property("Result"), "exit-code", "neither signal nor timeout");
    assert_eq!(service.property("ExecMainStatus"), "1");
}

fn starts_when_ready(service: &Installed) {
    service.run("systemctl start connledger");
    assert_eq!(service.property("Type"), "notify");
    assert_eq!(service.property("ActiveState"), "active");
    let status = service.property("StatusText");
    assert!(status.starts_with("tracing: observed "), "{status}");
    wait_until("ready", || !service.records(LOG, "ready").is_empty());
    // In microseconds, as systemd has it: 2026-11-23 22:04:55.435799.
    let ready = service.records(LOG, "ready")[0]["time"].as_str().unwrap()[..26].replace('T', " ");
    let active = service.run(
        "systemctl show --timestamp=us+utc --property=ActiveEnterTimestamp --value connledger",
    );
    let (_, active) = active.trim().trim_end_matches(" UTC").split_once(' ').unwrap();
    assert!(*ready <= *active, "ready at {ready}, active at {active}");
}

fn writes_as_its_user(service: &Installed) {
    service.connect_and_find(LOG);
    let owners = service.run(&format!("stat -c '%U:%G %a' {LOG} /var/log/connledger"));
    assert_eq!(owners, "connledger:connledger 640\nconnledger:connledger 750\n");
}

fn holds_no_privilege(service: &Installed) {
    let tasks = fs::read_dir(service.machine.path(&format!("/proc/{}/task", service.pid())));
    let tasks = tasks.unwrap().map(|task| task.unwrap().path().join("status"));
    let statuses = tasks.map(|status| fs::read_to_string(status).unwrap()).collect::<Vec<_>>();
    assert_eq!(statuses.len(), 3, "the collector, a file's thread, and the state's");
    let uid = service.run("id -u connledger");
    for status in statuses {
        let field = |name: &str| {
            let prefix = format!("{name}:\t");
            status.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap().to_owned()
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!(field("NoNewPrivs"), "1");
        assert_eq!(field("Seccomp"), "2", "it is filtered");
        assert_eq!(field("Uid"), [uid.trim(); 4].join("\t"));
    }
}

fn reopens(service: &Installed) {
    service.run(&format!("mv {LOG} {LOG}.moved && systemctl reload connledger"));
    wait_until("a new file", || service.machine.path(LOG).exists());
    service.connect_and_find(LOG);
    assert!(service.records(LOG, "start").is_empty(), "it is the same run");
    service.wait_until_property("SubState", "running");
    assert_eq!(service.property("NRestarts"), "0");
}

fn comes_back_after_a_crash(service: &Installed) {
    service.run("systemctl kill --signal=KILL connledger");
    service.wait_until_property("NRestarts", "1");
    service.wait_until_property("ActiveState", "active");
    wait_until("another run", || !service.records(LOG, "ready").is_empty());
    service.connect_and_find(LOG);
    let before = service.records(&format!("{LOG}.moved"), "start");
    let after = service.records(LOG, "start");
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_eq!(after[0]["previous"]["run"], before[0]["run"]);
}

fn stops_in_order(service: &Installed) {
    service.run("systemctl stop connledger");
    for (name, value) in
        [("ActiveState", "inactive"), ("Result", "success"), ("ExecMainStatus", "0")]
    {
        assert_eq!(service.property(name), value, "{name}");
    }
    let stops = service.records(LOG, "stop");
    assert_eq!(stops.len(), 1);
    assert_eq!(stops[0]["reason"], "terminated");
    service.run(&format!("connledger verify {LOG}.moved {LOG}"));
}

fn tells_what_is_wrong_with_its_configuration(service: &Installed) {
    service.machine.write(CONFIGURATION, "heartbeat = 60\nheart-beat = 60\n");
    let started = service.machine.try_run("systemctl start connledger");
    assert!(!started.status.success());
    for (name, value) in [
        ("ActiveState", "failed"),
        ("Result", "exit-code"),
        ("ExecMainStatus", "2"),
        ("NRestarts", "0"),
    ] {
        assert_eq!(service.property(name), value, "{name}");
    }
    let status = service.machine.try_run("systemctl status --no-pager --full connledger");
    let status = String::from_utf8(status.stdout).unwrap();
    assert!(status.contains(&format!("connledger: {CONFIGURATION}:2: ")), "{status}");
}
