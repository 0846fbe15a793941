//! Files that somebody else could have written are refused.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::fs::symlink;
use std::path::Path;

use nix::sys::stat::Mode;

use super::Written;
use super::mode;
use super::refused;
use super::reported;
use super::skip::can_trace;

#[test]
fn a_file_that_others_can_write() {
    for bits in ["666", "664", "602"] {
        let written = Written::new("");
        mode(&written.path(), bits);
        let said = refused(&written.path());
        assert!(said.contains(&format!("mode 0{bits}")), "{said}");
        assert!(said.contains(&format!("chmod go-w {}", written.path().display())), "{said}");
    }
    let written = Written::new("");
    mode(&written.path(), "600");
    reported(&written.path(), &[]);
}

#[test]
fn a_file_of_somebody_else() {
    if !can_trace() {
        return;
    }
    let written = Written::new("");
    chown(written.path(), Some(65534), None).unwrap();
    let said = refused(&written.path());
    assert!(said.contains("user 65534 owns it (chown root "), "{said}");
}

#[test]
fn a_file_below_a_directory_that_others_can_write() {
    let written = Written::new("");
    let below = written.directory().join("below");
    fs::create_dir(&below).unwrap();
    let file = below.join("a.toml");
    fs::write(&file, "").unwrap();
    mode(&file, "644");
    mode(&below, "755");

    mode(written.directory(), "777");
    let said = refused(&file);
    let directory = written.directory().display();
    assert!(said.contains(&format!("it lies in {directory}, and others can write")), "{said}");
    assert!(
        said.contains("(move it to where only root can write, as to /etc/connledger)"),
        "{said}"
    );
    // As /tmp is: who does not own the entry cannot replace it.
    mode(written.directory(), "1777");
    reported(&file, &[]);
}

#[test]
fn a_link_is_followed_and_its_target_judged() {
    let target = Written::new("events = \"close\"");
    let elsewhere = Written::new("");
    let link = elsewhere.directory().join("link.toml");
    symlink(target.path(), &link).unwrap();
    let said = reported(&link, &[]);
    assert!(said.contains("events          close\n"), "{said}");

    mode(&target.path(), "646");
    let said = refused(&link);
    assert!(said.contains(&format!("chmod go-w {}", target.path().display())), "{said}");
    mode(&target.path(), "644");
    mode(target.directory(), "772");
    let said = refused(&link);
    let directory = target.directory().display();
    assert!(said.contains(&format!("it lies in {directory}, and others can write")), "{said}");
}

#[test]
fn what_is_no_file() {
    let written = Written::new("");
    let fifo = written.directory().join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    // Nobody will ever write to it: it must not be waited for.
    for path in [written.directory(), &fifo, Path::new("/dev/null")] {
        assert!(refused(path).contains("is no regular file"), "{}", path.display());
    }
    assert!(refused(&written.directory().join("none")).contains("No such file"));
    // Standard input is none, either.
    assert!(refused(Path::new("-")).contains("No such file"));
    fs::write(written.path(), b"format = \"\xff\"").unwrap();
    assert!(refused(&written.path()).contains("UTF-8"));
}
