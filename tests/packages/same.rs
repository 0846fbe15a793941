//! The same source gives the same bytes, and they tell nothing of where they were made.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use memchr::memmem;

use crate::made;
use crate::made::printed;

/// Built in two folders, one of which knew nothing of the other.
#[test]
fn two_builds_give_the_same_bytes() {
    let (Some(first), Some(other)) = (made::first(), made::other()) else { return };
    for (one, two) in [(&first.deb, &other.same.deb), (&first.rpm, &other.same.rpm)] {
        let same = fs::read(one).unwrap() == fs::read(two).unwrap();
        assert!(same, "{} and {} differ; diffoscope tells where", one.display(), two.display());
    }
}

/// Neither the folder of the project, nor those of cargo and of the compiler, are in the program.
#[test]
fn no_path_of_the_machine_that_built_it() {
    let (Some(first), Some(other)) = (made::first(), made::other()) else { return };
    let folder = tempfile::tempdir().unwrap();
    printed(Command::new("dpkg-deb").arg("-x").arg(&first.deb).arg(folder.path()));
    let binary = fs::read(folder.path().join("usr/bin/connledger")).unwrap();
    let home = env::var("HOME").unwrap();
    let crates = env::var("CARGO_HOME").unwrap_or_else(|_| format!("{home}/.cargo"));
    let toolchain = printed(Command::new("rustc").args(["--print", "sysroot"]));
    for place in
        [Path::new(made::PROJECT), &other.folder, Path::new(&crates), Path::new(toolchain.trim())]
    {
        let name = place.to_str().unwrap();
        assert_eq!(memmem::find(&binary, name.as_bytes()), None, "{name} is in the program");
    }
}
