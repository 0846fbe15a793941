//! The programs that read, and what they print.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use crate::skip::skip;

/// A file of this package.
pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A program of Debian's; none if it is not installed, which is said.
pub fn program(name: &str) -> Option<Command> {
    let found = Command::new("sh")
        .args(["-c", "command -v \"$0\"", name])
        .stdout(Stdio::null())
        .status()
        .expect("sh");
    if !found.success() {
        skip(&format!("needs {name}: scripts/install-deps.sh test"));
        return None;
    }
    Some(Command::new(name))
}

/// A program of tests/readers/requirements.txt, or Python itself with those; none if they are not installed, which
/// is said.
pub fn from_pypi(name: &str) -> Option<Command> {
    let path = file("target/python/bin").join(name);
    if !path.exists() {
        skip(&format!("needs {name}: scripts/python-env.sh"));
        return None;
    }
    Some(Command::new(path))
}

/// What it prints, if it succeeds.
#[track_caller]
pub fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{errors}", output.status);
    assert!(errors.is_empty(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).expect("UTF-8")
}
