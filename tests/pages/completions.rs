//! The completions, in shells that have loaded them.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::generate;

/// Where a package puts them, below its folder for each shell.
const FILES: [(&str, &str); 3] =
    [("bash", "connledger"), ("zsh", "_connledger"), ("fish", "connledger.fish")];

/// What a shell makes of the last word of a line.
fn completed(shell: &str, script: &Path, line: &str) -> Vec<String> {
    let driver = format!("{}/tests/pages/complete.{shell}", env!("CARGO_MANIFEST_DIR"));
    let home = script.parent().unwrap();
    let output = Command::new(shell)
        .args(if shell == "zsh" { &["-f"][..] } else { &[] })
        .arg(driver)
        .arg(script)
        .arg(line)
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .env("XDG_DATA_HOME", home)
        .current_dir(home)
        .output()
        .expect(shell);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{shell}: {line}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn shell_completes(shell: &str) {
    let directory = tempfile::tempdir().unwrap();
    let (_, name) = FILES.iter().find(|(of, _)| *of == shell).unwrap();
    let script = directory.path().join(name);
    fs::write(&script, generate(shell)).unwrap();
    let file = directory.path().join("audit.toml");
    fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    let begun = file.strip_suffix("it.toml").unwrap();
    for (line, word) in [
        ("connledger --max-e", "--max-events"),
        ("connledger -f t", "table"),
        ("connledger ver", "verify"),
        ("connledger check --no-loop", "--no-loopback"),
        ("connledger verify --str", "--strict"),
        (&format!("connledger --config {begun}"), file),
        (&format!("connledger check --config {begun}"), file),
        (&format!("connledger verify {begun}"), file),
    ] {
        let words = completed(shell, &script, line);
        // zsh appends what may stand between an option and its value.
        let words: Vec<&str> = words.iter().map(|word| word.trim_end_matches('=')).collect();
        assert!(words == [word], "{shell}: {line}: {words:?}, not {word}");
    }
    // What is no option leads nowhere.
    assert!(!completed(shell, &script, "connledger --xyzzy").contains(&"--max-events".to_owned()));
}

#[test]
fn bash() {
    shell_completes("bash");
}

#[test]
fn zsh() {
    shell_completes("zsh");
}

#[test]
fn fish() {
    shell_completes("fish");
}
