//! The unit itself, as systemd reads it.

use std::path::Path;
use std::process::Command;

use crate::installed::Installed;
use crate::skip::skip;

/// Tenths. systemd calls everything up to 4.9 safe or better.
const MOST_EXPOSURE: &str = "15";

#[test]
fn it_exposes_little() {
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd/connledger.service");
    let output = Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=yes", "--threshold", MOST_EXPOSURE])
        .arg(unit)
        .output();
    let Ok(output) = output else { return skip("needs systemd-analyze") };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("Overall exposure level for connledger.service"), "{said}");
}

/// Nothing is misspelt, unknown or missing.
#[test]
fn systemd_understands_it() {
    let Some(service) = Installed::new() else { return };
    // The manual pages come with the packages.
    let said = service.machine.try_run("systemd-analyze verify --man=no connledger.service");
    let said = [said.stdout, said.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "");
    // And it is not that it says nothing of what is wrong.
    service.add_to_unit("[Service]\nProtectSytem=strict\n");
    let said = service.machine.try_run("systemd-analyze verify --man=no connledger.service");
    assert!(String::from_utf8_lossy(&said.stderr).contains("ProtectSytem"));
    assert_eq!(service.property("UnitFileState"), "disabled", "nobody asked for it yet");
}
