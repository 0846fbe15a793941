//! Where the service writes to: one line of its configuration says it.

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use crate::installed::Installed;
use crate::installed::LOG;
use crate::machine::wait_until;

/// So many connections are told four times each, far beyond what journald takes of a service by itself.
const MANY: usize = 300;

#[test]
fn one_line_sends_it_somewhere_else() {
    let Some(service) = Installed::new() else { return };
    to_the_journal(&service);
    to_a_socket(&service);
    to_a_file_that_logrotate_rotates(&service);
    assert!(!service.machine.path(LOG).exists(), "and nowhere besides");
}

fn to_the_journal(service: &Installed) {
    let limit = "[Journal]\nRateLimitIntervalSec=1h\nRateLimitBurst=20\n";
    service.machine.write("/etc/systemd/journald.conf.d/test.conf", limit);
    service.run("systemctl restart systemd-journald");
    service.write_to(r#"{ to = "journald" },"#);
    service.run("systemctl start connledger");
    let port = service.connect(MANY);
    let entries = |outcome: &str| {
        let matches =
            format!("-t connledger CONNLEDGER_OUTCOME={outcome} CONNLEDGER_REMOTE_PORT={port}");
        let user = "_UID=$(id -u connledger) _SYSTEMD_UNIT=connledger.service";
        service.run(&format!("journalctl -q -o cat {matches} {user} | wc -l"))
    };
    wait_until("every connection in the journal", || {
        entries("established").trim() == MANY.to_string()
    });
    service.run("systemctl stop connledger");
}

fn to_a_socket(service: &Installed) {
    service.write_to(r#"{ to = "unix:/run/connledger/reader.sock" },"#);
    let path = service.machine.path("/run/connledger/reader.sock");
    let reader = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    service.run("systemctl start connledger");
    let mut lines = BufReader::new(reader.accept().unwrap().0).lines().map(Result::unwrap);
    let port = service.connect(1);
    let wanted = format!("\"remote\":{{\"ip\":\"127.0.0.1\",\"port\":{port}}}");
    assert!(lines.any(|line| line.contains(&wanted)));
    service.run("systemctl stop connledger");
    assert!(path.exists(), "it is not the service's");
}

fn to_a_file_that_logrotate_rotates(service: &Installed) {
    let log = "/var/log/connledger/events.log";
    service.write_to(&format!("{{ to = \"file:{log}\" }},"));
    service.run("systemctl start connledger");
    service.connect_and_find(log);
    service.run("logrotate --force /etc/logrotate.d/connledger");
    service.connect_and_find(log);
    let owners = service.run(&format!("stat -c '%U:%G %a' {log} {log}.1"));
    assert_eq!(owners, "connledger:connledger 640\nconnledger:connledger 640\n");
    service.run(&format!("systemctl stop connledger && connledger verify --strict {log}.1 {log}"));
}
