//! The packages, made once for all tests by the make targets; and made again in another folder, at the same time.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::sync::OnceLock;
use std::thread;

use crate::skip::can_trace;
use crate::skip::skip;

/// A .deb and an .rpm of the same source. They lie in a folder of their own, with connledger.deb and connledger.rpm as
/// links to them.
#[derive(Debug)]
pub struct Packages {
    pub deb: PathBuf,
    pub rpm: PathBuf,
}

/// What is made from a copy of the source in another folder.
#[derive(Debug)]
pub struct Other {
    /// Of the same source.
    pub same: Packages,
    /// The next package of the same version, whose shipped configuration ends with another line, [`NEXT_LINE`].
    pub next: Packages,
    /// Where it was built.
    pub folder: PathBuf,
}

/// What the configuration of the next package ends with.
pub const NEXT_LINE: &str = "# A line of the next package's.";

/// The folder of the project.
pub const PROJECT: &str = env!("CARGO_MANIFEST_DIR");

/// Where they lie: first/, same/ and next/.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages")
}

/// The packages of the source as it is. None where they cannot be made or installed, which is said.
pub fn first() -> Option<&'static Packages> {
    static FIRST: OnceLock<Packages> = OnceLock::new();
    if !can_make() {
        return None;
    }
    Some(FIRST.get_or_init(|| {
        // It takes minutes, too.
        thread::spawn(other);
        make(Path::new(PROJECT), &[], "first")
    }))
}

/// The packages of a copy of the source. None as for the first.
pub fn other() -> Option<&'static Other> {
    static OTHER: OnceLock<Other> = OnceLock::new();
    if !can_make() {
        return None;
    }
    Some(OTHER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("elsewhere/connledger");
        copy_source(&folder);
        let same = make(&folder, &[], "same");
        let shipped = folder.join("packaging/connledger.toml");
        let text = fs::read_to_string(&shipped).unwrap();
        fs::write(&shipped, format!("{text}{NEXT_LINE}\n")).unwrap();
        let next = make(&folder, &["RELEASE=2"], "next");
        Other { same, next, folder }
    }))
}

fn can_make() -> bool {
    for program in ["dpkg-buildpackage", "rpmbuild", "lintian", "rpmlint"] {
        if Command::new(program).arg("--version").output().is_err() {
            skip(&format!("needs {program}"));
            return false;
        }
    }
    if !Path::new(PROJECT).join(".git").exists() {
        skip("needs a clone: git says what the source is");
        return false;
    }
    can_trace()
}

/// Makes both packages of the source in a folder, and copies them to where tests look for them.
fn make(source: &Path, variables: &[&str], name: &str) -> Packages {
    let mut make = Command::new("make");
    make.arg("-C").arg(source).args(["deb", "rpm"]).args(variables);
    // This is cargo's child, and perhaps make's: what they have set would change the build.
    for (variable, _) in env::vars_os() {
        let text = variable.to_string_lossy();
        if text.starts_with("CARGO") && text != "CARGO_HOME"
            || text.contains("MAKE")
            || text == "MFLAGS"
        {
            make.env_remove(&variable);
        }
    }
    // The copy has no git; it is told what git says here.
    make.env("CONNLEDGER_COMMIT", git(&["rev-parse", "--short=12", "HEAD"]));
    make.env("SOURCE_DATE_EPOCH", git(&["log", "-1", "--format=%ct"]));
    printed(&mut make);
    let place = folder().join(name);
    let _ = fs::remove_dir_all(&place);
    fs::create_dir_all(&place).unwrap();
    let built = source.join("target/package");
    Packages { deb: copy_package(&built, &place, "deb"), rpm: copy_package(&built, &place, "rpm") }
}

fn copy_package(from: &Path, place: &Path, ending: &str) -> PathBuf {
    let mut files = fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path());
    let package = files
        .find(|path| path.extension().is_some_and(|found| found == ending))
        .expect("a package");
    let name = package.file_name().unwrap();
    fs::copy(&package, place.join(name)).unwrap();
    symlink(name, place.join(format!("connledger.{ending}"))).unwrap();
    place.join(name)
}

/// What git would take, with its dates, and nothing else but what was built there before. Of what is as it was not even
/// a folder is touched, so that cargo need not build it again.
fn copy_source(folder: &Path) {
    const COPY: &str = r#"set -e
        (cd "$1" && find . -path ./target -prune -o -type f -print0) |
            xargs -0 -r sh -c 'for file; do [ -e "$file" ] || rm "$0/$file"; done' "$1"
        git -c safe.directory='*' ls-files -z --cached --others --exclude-standard --deduplicate |
            xargs -0 sh -c 'for file; do [ ! -e "$file" ] || cp --parents -a "$file" "$0"; done' "$1""#;
    fs::create_dir_all(folder).unwrap();
    printed(Command::new("sh").args(["-c", COPY, "sh"]).arg(folder).current_dir(PROJECT));
}

fn git(arguments: &[&str]) -> String {
    // sudo is no other user.
    let mut git = Command::new("git");
    let said = printed(git.args(["-c", "safe.directory=*"]).args(arguments).current_dir(PROJECT));
    said.trim().to_owned()
}

/// What a program prints that must succeed.
pub fn printed(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    assert!(
        status.success(),
        "{command:?}: {status}: {}{stdout}",
        String::from_utf8_lossy(&stderr)
    );
    stdout
}
