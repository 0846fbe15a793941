//! What the distributions' own checkers say of the packages, and what the packages ask for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::made;
use crate::made::printed;

/// Libraries of the C library, libelf and libz, and what these need themselves.
const LIBRARIES: [&str; 6] =
    ["ld-linux-x86-64.so.2", "libc.so.6", "libelf.so.1", "libgcc_s.so.1", "libm.so.6", "libz.so.1"];

#[test]
fn lintian_finds_nothing() {
    let Some(packages) = made::first() else { return };
    let mut lintian = Command::new("lintian");
    lintian.args(["--display-experimental", "--display-info", "--display-level", "+pedantic"]);
    // It takes machine code for misspelt words, others with every change of the program.
    lintian.args(["--suppress-tags", "spelling-error-in-binary"]);
    assert_eq!(printed(lintian.arg(&packages.deb)), "");
}

#[test]
fn rpmlint_finds_nothing() {
    let Some(packages) = made::first() else { return };
    let mut rpmlint = Command::new("rpmlint");
    rpmlint.args(["--config", "packaging/rpm/rpmlint.toml"]).arg(&packages.rpm);
    let said = printed(rpmlint.arg("packaging/rpm/connledger.spec").current_dir(made::PROJECT));
    assert!(said.contains(" 0 errors, 0 warnings"), "{said}");
}

#[test]
fn the_program_needs_the_c_library_libelf_and_libz() {
    let Some(packages) = made::first() else { return };
    let folder = tempfile::tempdir().unwrap();
    printed(Command::new("dpkg-deb").arg("-x").arg(&packages.deb).arg(folder.path()));
    let dynamic =
        printed(Command::new("readelf").arg("-d").arg(folder.path().join("usr/bin/connledger")));
    let needed: BTreeSet<&str> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .collect();
    assert!(
        needed.is_superset(&BTreeSet::from(["libc.so.6", "libelf.so.1", "libz.so.1"])),
        "{needed:?}"
    );
    assert!(needed.is_subset(&BTreeSet::from(LIBRARIES)), "{needed:?}");
}

/// Beside the libraries only what makes the user.
#[test]
fn the_deb_depends_on_nothing_else() {
    let Some(packages) = made::first() else { return };
    let depends = printed(Command::new("dpkg-deb").arg("-f").arg(&packages.deb).arg("Depends"));
    let names: BTreeSet<&str> =
        depends.split(", ").filter_map(|wanted| wanted.split_whitespace().next()).collect();
    // Newer suites of Debian's have libelf by another name.
    let elf = if names.contains("libelf1t64") { "libelf1t64" } else { "libelf1" };
    assert_eq!(
        names,
        BTreeSet::from(["libc6", elf, "libgcc-s1", "systemd", "zlib1g"]),
        "{depends}"
    );
}

/// Beside the libraries only a shell and systemd for the scriptlets, and what rpm itself asks for.
#[test]
fn the_rpm_requires_nothing_else() {
    let Some(packages) = made::first() else { return };
    let requires = printed(Command::new("rpm").args(["-qp", "--requires"]).arg(&packages.rpm));
    for wanted in requires.lines() {
        let name = wanted.split(['(', ' ']).next().unwrap();
        let known = LIBRARIES.contains(&name)
            || ["/bin/sh", "config", "rpmlib", "rtld", "systemd"].contains(&name);
        assert!(known, "{wanted}");
    }
}

/// Of every crate that is linked in, one of the licences that it offers is among those that the .rpm names, and it
/// stands in THIRD-PARTY. One with other terms is to be looked at by somebody.
#[test]
fn the_licences_of_all_crates_are_known() {
    let Some(packages) = made::first() else { return };
    let named = printed(
        Command::new("rpm").args(["-qp", "--queryformat", "%{LICENSE}"]).arg(&packages.rpm),
    );
    let is_named = |licence: &str| named.split([' ', '(', ')']).any(|known| known == licence);
    let third_party =
        fs::read_to_string(Path::new(made::PROJECT).join("target/package/THIRD-PARTY")).unwrap();

    let mut tree = Command::new("cargo");
    tree.args([
        "tree",
        "--locked",
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
        "--no-dedupe",
    ]);
    let crates = printed(tree.args(["--format", "{p}|{l}"]).current_dir(made::PROJECT));
    for line in crates.lines().filter(|line| !line.starts_with("connledger ")) {
        let (name, licence) = line.split_once('|').unwrap();
        let is_known = licence.split(" OR ").any(|choice| choice.split(" AND ").all(is_named));
        assert!(is_known, "{name}: {licence}");
        assert!(
            third_party.contains(&format!("\n{name}\n    {licence}\n")),
            "{name} is not in THIRD-PARTY"
        );
    }
}
