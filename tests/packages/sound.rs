//! What the distributions' own checkers say of the packages, and what the packages ask for.

use std::collections::BTreeSet;
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
