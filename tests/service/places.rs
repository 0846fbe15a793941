//! Where the service writes to: one line of its configuration says it.

use crate::installed::Installed;
use crate::installed::LOG;
use crate::machine::wait_until;

/// So many connections are told four times each, far beyond what journald takes of a service by itself.
const MANY: usize = 300;

/// A shipper: it makes a socket, and prints what comes.
const SHIPPER: &str = r"
use IO::Socket::UNIX;
my $listener = IO::Socket::UNIX->new(Local => $ARGV[0], Listen => 1) or die $!;
$| = 1;
my $connection = $listener->accept or die $!;
print while <$connection>;
";

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

/// The shipper is not root: it does what the README says, and is a member of the group.
fn to_a_socket(service: &Installed) {
    let (socket, lines) = ("/run/connledger/shipper.sock", "/run/shipper.lines");
    service.run("useradd --system shipper && usermod -aG connledger shipper");
    service.machine.write("/usr/local/lib/shipper.pl", SHIPPER);
    service.run(&format!(
        "systemd-run --quiet --unit=shipper --uid=shipper --property=UMask=0007 \
            --property=StandardOutput=file:{lines} perl /usr/local/lib/shipper.pl {socket}"
    ));
    wait_until("the shipper's socket", || service.machine.path(socket).exists());
    let owner = service.run(&format!("stat -c '%U:%G %a' {socket}"));
    assert_eq!(owner, "shipper:connledger 770\n");
    is_for_members(service, &format!("ls {socket}"));

    service.write_to(&format!("{{ to = \"unix:{socket}\" }},"));
    service.run("systemctl start connledger");
    service.connect_and_find(lines);
    service.run("systemctl stop connledger");
    assert!(service.machine.path(socket).exists(), "it is not the service's");
    let folder = service.run("stat -c '%U:%G %a' /run/connledger");
    assert_eq!(folder, "connledger:connledger 2770\n");
}

/// What the shipper may do, and a user who is not in the group may not.
fn is_for_members(service: &Installed, command: &str) {
    service.run(&format!("runuser -u shipper -- {command} >/dev/null"));
    let stranger = format!("runuser -u nobody -- {command}");
    assert!(!service.machine.try_run(&stranger).status.success(), "anybody may {command}");
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
    is_for_members(service, &format!("cat {log}"));
    service.run(&format!("systemctl stop connledger && connledger verify --strict {log}.1 {log}"));
}
