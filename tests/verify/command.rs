//! The command as a user meets it: files and stdin, compressed or not, the report, the exit code.

use std::fs;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use jsonschema::Validator;
use serde_json::Value;
use tempfile::TempDir;

use crate::logs::run;
use crate::support::lines::folder;
use crate::support::schema::complaints;
use crate::support::schema::validator;

/// The program.
pub const CONNLEDGER: &str = env!("CARGO_BIN_EXE_connledger");

/// Of the report.
static REPORT: LazyLock<Validator> = LazyLock::new(|| {
    let text =
        fs::read_to_string(folder("schema/connledger-verify-1.schema.json")).expect("a file");
    validator(&serde_json::from_str(&text).expect("JSON"))
});

/// Logs in files, to be verified.
pub struct Logs {
    folder: TempDir,
    paths: Vec<PathBuf>,
    strict: bool,
}

impl Logs {
    /// A file each: 0.ndjson, 1.ndjson, and so on.
    pub fn of(logs: &[&[String]]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let paths = logs.iter().enumerate().map(|(i, lines)| {
            let path = folder.path().join(format!("{i}.ndjson"));
            fs::write(&path, lines.concat()).expect("a file");
            path
        });
        Self { paths: paths.collect(), folder, strict: false }
    }

    pub fn strictly(self) -> Self {
        Self { strict: true, ..self }
    }

    /// The path of one of them.
    pub fn path(&self, log: usize) -> &Path {
        &self.paths[log]
    }

    fn verify(&self, args: &[&str]) -> Output {
        let strict = if self.strict { &["--strict"][..] } else { &[] };
        let mut command = Command::new(CONNLEDGER);
        command.arg("verify").args(strict).args(args).args(&self.paths).output().expect("it runs")
    }

    /// The text for people.
    pub fn text(&self) -> String {
        String::from_utf8(self.verify(&[]).stdout).expect("UTF-8")
    }

    /// The report, whatever it comes to.
    pub fn judged(&self) -> Value {
        report(&self.verify(&["--json"]))
    }

    /// The report, with the exit code that it ends with.
    fn report(&self, code: i32) -> Value {
        let output = self.verify(&["--json"]);
        let report = report(&output);
        assert_eq!(output.status.code(), Some(code), "{report:#}");
        // In words it is the same.
        assert_eq!(self.verify(&[]).status.code(), Some(code));
        report
    }

    /// The report, of which nothing is to be wrong.
    pub fn sound(&self) -> Value {
        let report = self.report(0);
        assert_eq!(report["verdict"], "sound");
        assert_eq!(report["problems"], serde_json::json!([]));
        report
    }

    /// The report, of which something is to be wrong.
    pub fn faulty(&self) -> Value {
        let report = self.report(1);
        assert_eq!(report["verdict"], "faulty");
        report
    }
}

/// The report as its schema has it.
fn report(output: &Output) -> Value {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let report = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(complaints(&REPORT, &report), "", "{report:#}");
    report
}

const RUN: &str = "00000000000000b1";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory")
}

/// Verifies files of these bytes, whatever their names say.
fn verify_bytes(files: &[Vec<u8>]) -> Output {
    let logs = Logs::of(&vec![&[][..]; files.len()]);
    for (path, bytes) in logs.paths.iter().zip(files) {
        fs::write(path, bytes).expect("a file");
    }
    logs.verify(&["--json"])
}

#[test]
fn generations_are_plain_gzip_and_zstd_by_what_is_in_them() {
    let lines = run(RUN, 0, 3000);
    let part = |from: usize, to: usize| lines[from..to].concat().into_bytes();
    // Members and frames one behind the other, as log rotation that appends makes them, cut within a line.
    let (a, b) = (part(1000, 1500), part(1500, 2000));
    let (head, tail) = a.split_at(a.len() - 10);
    let files = [
        gzip(&part(0, 1000)),
        [gzip(head), gzip(&[tail, &b[..]].concat())].concat(),
        part(2000, 2500),
        [zstd(&part(2500, 2600)), zstd(&part(2600, 3004))].concat(),
    ];
    let output = verify_bytes(&files);
    let report = report(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!(report["runs"][0]["records"], 3004);
    let kinds: Vec<&str> = report["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| file["compression"].as_str().expect("a word"))
        .collect();
    assert_eq!(kinds, ["gzip", "gzip", "none", "zstd"]);
    assert_eq!(report["lines"], 3004);
}

#[test]
fn a_compressed_log_that_ends_early_is_told_as_unread() {
    let lines = run(RUN, 0, 3000).concat();
    for whole in [gzip(lines.as_bytes()), zstd(lines.as_bytes())] {
        let output = verify_bytes(&[whole[..whole.len() / 2].to_vec()]);
        let report = report(&output);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(report["verdict"], "unread");
        // What could be read counts.
        assert!(report["runs"][0]["records"].as_u64().expect("a number") > 100, "{report:#}");
        assert!(report["files"][0]["error"].is_string());
    }
}

#[test]
fn stdin_is_a_log_too() {
    let log = run(RUN, 0, 1000).concat().into_bytes();
    for bytes in [gzip(&log), zstd(&log), log] {
        let mut verify = Command::new(CONNLEDGER)
            .args(["verify", "--json", "--strict", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        verify.stdin.take().expect("a pipe").write_all(&bytes).expect("it reads");
        let output = verify.wait_with_output().expect("it ends");
        let report = report(&output);
        assert_eq!(output.status.code(), Some(0), "{report:#}");
        assert_eq!(report["files"][0]["file"], "stdin");
        assert_eq!(report["runs"][0]["events"], 1000);
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let lines = run(RUN, 0, 10);
    let mut logs = Logs::of(&[&lines]);
    let directory = logs.folder.path().to_owned();
    let xz = directory.join("log.xz");
    fs::write(&xz, b"\xfd7zXZ\0\0\0").expect("a file");
    for (path, said) in [
        (directory.join("gone"), "No such file"),
        (directory.clone(), "it is a directory"),
        (xz, "xz -dc FILE | connledger verify -"),
    ] {
        logs.paths.push(path.clone());
        let text = logs.text();
        let expected = format!("cannot read {}: ", path.display());
        assert!(text.contains(&expected) && text.contains(said), "{text}");
        // The other one was read all the same.
        let report = logs.report(2);
        assert_eq!(report["runs"][0]["events"], 10);
        logs.paths.pop();
    }
    let nothing = Command::new(CONNLEDGER).arg("verify").output().expect("it runs");
    assert_eq!(nothing.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing.stderr).contains("<FILE>"));
}

#[test]
fn an_empty_log_is_sound_but_not_strictly() {
    Logs::of(&[&[]]).sound();
    Logs::of(&[&[]]).strictly().faulty();
}

#[test]
fn a_line_without_end_takes_no_memory_and_hides_no_other() {
    let lines = run(RUN, 0, 1000);
    let endless = vec!["x".repeat(3_000_000) + "\n"];
    let log = [&lines[..500], &endless, &lines[500..]].concat();
    let report = Logs::of(&[&log]).faulty();
    assert_eq!(report["runs"][0]["records"], 1004);
    assert_eq!(report["lines"], 1005);
    let problem = &report["problems"][0]["first"][0];
    assert_eq!((&problem["line"], &problem["what"]), (&501.into(), &"longer than 256 KiB".into()));
}

/// What a command writes to a terminal, which script(1) gives it.
fn on_terminal(path: &Path, no_color: &str) -> String {
    let command = format!("{CONNLEDGER} verify {}", path.display());
    let mut script = Command::new("script");
    script.args(["-qec", &command, "/dev/null"]).env("TERM", "xterm").env("NO_COLOR", no_color);
    let output = script.stdin(Stdio::null()).output().expect("script");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn a_terminal_is_the_only_place_for_colours() {
    let logs = Logs::of(&[&run(RUN, 0, 10)]);
    assert!(!logs.text().contains('\u{1b}'));
    assert!(on_terminal(&logs.paths[0], "").contains('\u{1b}'));
    assert!(!on_terminal(&logs.paths[0], "1").contains('\u{1b}'));
}

#[test]
fn a_large_log_has_a_bar_on_a_terminal() {
    let logs = Logs::of(&[&run(RUN, 0, 10)]);
    File::options()
        .append(true)
        .open(&logs.paths[0])
        .expect("a file")
        .set_len(65 << 20)
        .expect("room");
    let written = on_terminal(&logs.paths[0], "1");
    assert!(written.contains(" of 65.00 MiB, "), "{written:?}");
    assert!(written.contains("longer than 256 KiB"), "{written:?}");
    // Stderr is no terminal here.
    assert!(!logs.text().contains(" of 65.00 MiB"));
}

#[test]
fn help_fits_a_terminal_and_tells_the_exit_codes() {
    for flag in ["-h", "--help"] {
        let output = Command::new(CONNLEDGER).args(["verify", flag]).output().expect("it runs");
        let help = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        for word in ["--strict", "--json", "<FILE>", "Examples:", "Exit codes:"] {
            assert!(help.contains(word), "{word}: {help}");
        }
    }
}

#[test]
fn the_examples_and_golden_lines_are_as_the_schema_has_them() {
    for path in ["schema/examples", "tests/golden"] {
        let files =
            fs::read_dir(folder(path)).expect("a folder").map(|entry| entry.expect("it").path());
        let logs = files.filter(|path| path.extension().is_some_and(|name| name == "ndjson"));
        let mut command = Command::new(CONNLEDGER);
        let output = command.args(["verify", "--json"]).args(logs).output().expect("it runs");
        let report = report(&output);
        assert!(report["lines"].as_u64().expect("a number") > 10);
        let problems = report["problems"].as_array().expect("problems");
        for problem in problems {
            // They are no logs of whole runs: every file's numbers begin at 1.
            let kinds = ["altered", "misplaced", "books"];
            assert!(kinds.contains(&problem["kind"].as_str().expect("a kind")), "{problem:#}");
        }
    }
}

#[test]
fn nobody_has_to_read_the_report() {
    let lines = run(RUN, 0, 10);
    let logs = Logs::of(&[&lines]);
    let full = File::options().write(true).open("/dev/full").expect("a device");
    let mut command = Command::new(CONNLEDGER);
    let output = command.arg("verify").arg(&logs.paths[0]).stdout(full).output().expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("No space left"));
}
