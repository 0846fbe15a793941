//! The .rpm, by rpm with its scriptlets, in a root whose libraries and systemd are Debian's: rpm knows of no package
//! there but this one, so nothing is asked of its requirements, which sound.rs looks at.

use std::collections::BTreeSet;

use crate::contents;
use crate::made;
use crate::made::NEXT_LINE;
use crate::root::Root;

const INSTALL: &str = "rpm --nodeps --install";
const UPGRADE: &str = "rpm --nodeps --upgrade";

/// Fedora starts nothing at boot unless it is asked to. Debian has no such file, and then all is enabled.
const PRESET: &str = "mkdir -p /usr/lib/systemd/system-preset
    echo 'disable *' >/usr/lib/systemd/system-preset/99-default-disable.preset";

/// What rpm and the user database keep, whatever was installed, and a folder that is there on any Fedora.
const RPMS: [&str; 9] = [
    "/etc/.pwd.lock",
    "/etc/group",
    "/etc/gshadow",
    "/etc/passwd",
    "/etc/shadow",
    "/root/.rpmdb",
    "/usr/lib/systemd/system-preset",
    "/usr/share/licenses",
    "/var/lib/systemd/catalog/database",
];

fn installed() -> Option<Root> {
    made::first()?;
    let root = Root::mount();
    root.run(PRESET);
    let said = root.run(&format!("{INSTALL} /mnt/first/connledger.rpm 2>&1"));
    // A scriptlet that fails does not make rpm fail.
    assert!(!said.contains("fail"), "{said}");
    Some(root)
}

#[test]
fn it_installs_what_the_list_says() {
    let Some(root) = installed() else { return };
    let list = root.run(&format!("rpm -ql --noghost connledger | {}", contents::LIST));
    assert_eq!(contents::listed(&list), contents::of_rpm());
    let ghosts = root.run(
        "rpm -q --queryformat '[%{FILEFLAGS:fflags}|%{FILEMODES:perms} \
            %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]' connledger | sed -n 's/^g|//p'",
    );
    assert_eq!(ghosts, contents::MADE_LATER);
    assert_eq!(root.run("rpm --verify --nodeps connledger"), "");
}

#[test]
fn it_makes_the_user_and_enables_nothing() {
    let Some(root) = installed() else { return };
    let user = root.run("getent passwd connledger");
    assert!(user.trim().ends_with("/usr/sbin/nologin"), "{user}");
    assert_eq!(root.run("systemctl is-enabled connledger || true").trim(), "disabled");
}

#[test]
fn what_is_in_etc_is_configuration_that_is_not_replaced() {
    let Some(root) = installed() else { return };
    let flags = root.run("rpm -q --queryformat '[%{FILEFLAGS:fflags} %{FILENAMES}\\n]' connledger");
    let kept: BTreeSet<&str> = flags.lines().filter_map(|line| line.strip_prefix("cn ")).collect();
    let files = contents::of_rpm();
    let in_etc =
        files.keys().map(String::as_str).filter(|path| path.starts_with("/etc/")).collect();
    assert_eq!(kept, in_etc);
}

#[test]
fn an_upgrade_keeps_a_changed_configuration() {
    let Some(root) = installed() else { return };
    made::other();
    root.run("sed -i '1i heartbeat = 60' /etc/connledger/connledger.toml");
    let changed = root.run("cat /etc/connledger/connledger.toml");
    root.run(&format!("{UPGRADE} /mnt/next/connledger.rpm"));
    assert!(root.run("rpm -q connledger").contains("-2."));
    assert_eq!(root.run("cat /etc/connledger/connledger.toml"), changed);
    let new = root.run("cat /etc/connledger/connledger.toml.rpmnew");
    assert!(new.trim_end().ends_with(NEXT_LINE), "{new}");
}

/// But the user, as Fedora has it: what it owned elsewhere is not to become another's.
#[test]
fn erasing_leaves_nothing_behind() {
    let Some(root) = installed() else { return };
    root.run("rpm --erase --nodeps connledger");
    let mut left = root.changed();
    left.retain(|path| !RPMS.iter().any(|known| path.starts_with(known)));
    assert_eq!(left, BTreeSet::new());
}

#[test]
fn erasing_keeps_a_changed_configuration_aside() {
    let Some(root) = installed() else { return };
    root.run(
        "echo 'heartbeat = 60' >/etc/connledger/connledger.toml; rpm --erase --nodeps connledger",
    );
    assert_eq!(root.run("cat /etc/connledger/connledger.toml.rpmsave").trim(), "heartbeat = 60");
}
