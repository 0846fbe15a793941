//! The catalog: `journalctl -x` explains an entry of each kind.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::set;

const CATALOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/journald/connledger.catalog");

/// Puts the file where a package would, and compiles it, all below a folder.
fn compile(root: &Path) {
    let folder = root.join("usr/lib/systemd/catalog");
    fs::create_dir_all(&folder).expect("a folder");
    fs::copy(CATALOG, folder.join("connledger.catalog")).expect("the catalog");
    let output = Command::new("journalctl")
        .arg("--update-catalog")
        .arg("--root")
        .arg(root)
        .output()
        .expect("journalctl");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn journalctl_explains() {
    let Some((scene, service)) = set() else { return };
    compile(scene.folder());
    let running = scene.start(&["-o", &service.output(), "-e", "all", "--heartbeat", "1"]);
    scene.connect(1);
    service.wait_for("CONNLEDGER_EVENT=heartbeat");
    running.stop();
    service.wait_for_stop();
    // journalctl -x has one place for the database, whatever folder it reads: the compiled one is put there for it alone.
    let journalctl = service.journalctl(&["--all", "--catalog", "SYSLOG_IDENTIFIER=connledger"]);
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-ec"])
        .arg("mount --bind \"$0\" /var/lib/systemd/catalog; exec \"$@\"")
        .arg(scene.path("var/lib/systemd/catalog"))
        .arg(journalctl.get_program())
        .args(journalctl.get_args())
        .output()
        .expect("unshare");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for said in [
        "connected to 127.0.0.1:",
        "tried to connect to 127.0.0.1, port ",
        ": established",
        "accepted a connection from 127.0.0.1",
        "with 127.0.0.1 is over",
        "began or ended to listen at port ",
        " has begun to trace",
        "connledger is ready",
        " events so far",
        "connledger has stopped, having observed ",
        "Defined-By: connledger",
    ] {
        assert!(text.contains(said), "no '{said}' in\n{text}");
    }
    let entries = service.entries().len();
    assert_eq!(text.matches(" Defined-By: connledger\n").count(), entries, "one each:\n{text}");
    assert!(!text.contains('@'), "a field that is not there:\n{text}");
}
