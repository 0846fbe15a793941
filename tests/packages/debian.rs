//! The .deb in a Debian that is not booted: installed, upgraded, removed and purged by apt and dpkg.

use std::collections::BTreeSet;

use crate::contents;
use crate::made;
use crate::made::NEXT_LINE;
use crate::root::Root;

const INSTALL: &str = "apt-get -q -y install --no-install-recommends";

/// What Debian itself changes with whatever is installed and purged again: its records of packages, the logs of
/// installing them, the copies that are made of the user database before it changes, the catalog of all packages.
const DEBIANS: [&str; 10] = [
    "/etc/.pwd.lock",
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/passwd-",
    "/etc/shadow-",
    "/var/cache/apt/",
    "/var/lib/apt/",
    "/var/lib/dpkg/",
    "/var/lib/systemd/catalog/database",
    "/var/log/",
];

/// A Debian in which the first package is installed, by apt, which finds all that it depends on.
fn installed() -> Option<Root> {
    made::first()?;
    let root = Root::mount();
    root.run(&format!("{INSTALL} /mnt/first/connledger.deb"));
    Some(root)
}

#[test]
fn it_installs_what_the_list_says() {
    let Some(root) = installed() else { return };
    let list = root.run(&format!("dpkg -L connledger | {}", contents::LIST));
    assert_eq!(contents::listed(&list), contents::of_deb());
    assert_eq!(root.run("dpkg --verify connledger"), "");
}

#[test]
fn it_makes_the_user_and_enables_nothing() {
    let Some(root) = installed() else { return };
    let user = root.run("getent passwd connledger");
    assert!(user.trim().ends_with("/usr/sbin/nologin"), "{user}");
    assert_eq!(root.run("id -nG connledger").trim(), "connledger");
    assert_eq!(root.run("systemctl is-enabled connledger || true").trim(), "disabled");
}

/// Every file in /etc is the administrator's.
#[test]
fn what_is_in_etc_is_configuration() {
    let Some(root) = installed() else { return };
    let conffiles = root.run("dpkg-query --show --showformat='${Conffiles}' connledger");
    let conffiles: BTreeSet<&str> =
        conffiles.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let files = contents::of_deb();
    let in_etc =
        files.keys().map(String::as_str).filter(|path| path.starts_with("/etc/")).collect();
    assert_eq!(conffiles, in_etc);
}

#[test]
fn an_upgrade_keeps_a_changed_configuration() {
    let Some(root) = installed() else { return };
    made::other();
    let changed = root.run(
        "echo 'heartbeat = 60' >/tmp/own; cat /etc/connledger/connledger.toml >>/tmp/own
        cat /tmp/own | tee /etc/connledger/connledger.toml",
    );
    root.run(&format!("{INSTALL} -o Dpkg::Options::=--force-confold /mnt/next/connledger.deb"));
    assert!(root.run("dpkg-query --show connledger").trim().ends_with("-2"));
    assert_eq!(root.run("cat /etc/connledger/connledger.toml"), changed);
    let new = root.run("cat /etc/connledger/connledger.toml.dpkg-dist");
    assert!(new.trim_end().ends_with(NEXT_LINE), "{new}");
}

#[test]
fn an_upgrade_renews_a_configuration_that_nobody_changed() {
    let Some(root) = installed() else { return };
    made::other();
    root.run(&format!("{INSTALL} /mnt/next/connledger.deb"));
    let new = root.run("cat /etc/connledger/connledger.toml");
    assert!(new.trim_end().ends_with(NEXT_LINE), "{new}");
}

#[test]
fn removal_keeps_the_configuration_and_the_logs() {
    let Some(root) = installed() else { return };
    root.run(LEAVE_TRACES);
    root.run("apt-get -q -y remove connledger");
    assert_eq!(
        root.run("ls /etc/connledger /var/log/connledger /var/lib/connledger | sort -u").trim(),
        KEPT
    );
    let files = contents::of_deb();
    for path in files.keys().filter(|path| !path.starts_with("/etc/")) {
        assert!(
            !root.try_run(&format!("test -e {path}")).status.success(),
            "{path} is still there"
        );
    }
}

/// What a service leaves that ran for a while.
const LEAVE_TRACES: &str = "set -e
    for folder in /var/log/connledger /var/lib/connledger; do
        install -d -m 750 -o connledger -g connledger $folder
        touch $folder/one $folder/one.1
        chown connledger: $folder/*
    done";

const KEPT: &str = "/etc/connledger:
/var/lib/connledger:
/var/log/connledger:
connledger.toml
one
one.1";

/// Not a file, not a folder, not a line in the user database, even if somebody else is in the group.
#[test]
fn a_purge_leaves_nothing_behind() {
    let Some(root) = installed() else { return };
    root.run(LEAVE_TRACES);
    root.run("usermod -aG connledger nobody");
    root.run("apt-get -q -y purge connledger");
    let mut left = root.changed();
    left.retain(|path| !DEBIANS.iter().any(|known| path.starts_with(known)));
    assert_eq!(left, BTreeSet::new());
    assert_eq!(root.run("ls /var/log | grep connledger || true"), "");
    assert_eq!(root.run("grep -rl connledger /var/lib/dpkg/status /var/lib/dpkg/info || true"), "");
}

/// A file system that is mounted there is emptied, and the purge is done all the same.
#[test]
fn a_purge_empties_what_is_mounted() {
    const FOLDERS: [&str; 2] = ["/var/log/connledger", "/var/lib/connledger"];
    let Some(root) = installed() else { return };
    for folder in FOLDERS {
        root.run(&format!("mkdir -p {folder} && mount -t tmpfs connledger-test {folder}"));
    }
    root.run(LEAVE_TRACES);
    let said = root.run("apt-get -q -y purge connledger 2>&1");
    for folder in FOLDERS {
        assert!(said.contains(&format!("connledger: {folder} stays\n")), "{said}");
        assert_eq!(root.run(&format!("ls -A {folder}")), "");
    }
    assert!(!root.try_run("dpkg-query --status connledger").status.success(), "{said}");
}
