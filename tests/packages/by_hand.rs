//! make install, without a package.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::contents;
use crate::made;
use crate::made::printed;

#[test]
fn make_install_puts_the_same_files_below_a_prefix() {
    if made::first().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let destination = format!("DESTDIR={}", folder.path().display());
    let mut make = Command::new("make");
    make.args(["install", &destination, "PREFIX=/opt", "BINARY=target/package/connledger"]);
    printed(make.current_dir(made::PROJECT));

    for (mode, path) in contents::SHARED.iter().chain(contents::LICENSES) {
        // gzip is the packages' business.
        let path = path.replace("/usr/", "/opt/").replace(".gz", "");
        let metadata = fs::metadata(folder.path().join(&path[1..])).expect(&path);
        assert_eq!(metadata.permissions().mode() & 0o7777, *mode, "{path}");
    }
    let unit = fs::read_to_string(folder.path().join("opt/lib/systemd/system/connledger.service"))
        .unwrap();
    assert!(
        unit.contains("\nExecStart=/opt/bin/connledger --config /etc/connledger/connledger.toml\n"),
        "{unit}"
    );
    assert!(!folder.path().join("usr").exists());
}

#[test]
fn make_install_keeps_a_changed_configuration() {
    if made::first().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let destination = format!("DESTDIR={}", folder.path().display());
    let install = || {
        let mut make = Command::new("make");
        make.args(["install", &destination, "BINARY=target/package/connledger"]);
        printed(make.current_dir(made::PROJECT))
    };
    install();
    assert!(!install().contains("was changed"), "nothing was");
    let path = folder.path().join("etc/connledger/connledger.toml");
    let new = folder.path().join("usr/local/share/doc/connledger/new/connledger.toml");
    let shipped = fs::read_to_string(&path).unwrap();
    assert!(!new.exists());
    fs::write(&path, "events = \"close\"\n").unwrap();
    let said = install();
    assert!(said.contains("connledger.toml was changed, and stays"), "{said}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "events = \"close\"\n");
    assert_eq!(fs::read_to_string(&new).unwrap(), shipped);
}

#[test]
fn make_install_says_that_nothing_was_built() {
    let mut make = Command::new("make");
    make.args(["install", "DESTDIR=/nowhere", "BINARY=target/not-there"])
        .current_dir(made::PROJECT);
    let output = make.output().unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("there is no target/not-there; run make build first"), "{said}");
    assert!(!Path::new("/nowhere").exists());
}
