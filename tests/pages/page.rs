//! A manual page, as those who read and check it see it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use tempfile::TempDir;

use super::generate;

/// Columns of a terminal.
pub const COLUMNS: usize = 80;

/// A page in a file of its own.
pub struct Page {
    _directory: TempDir,
    path: PathBuf,
}

impl Page {
    /// What `connledger generate WHAT` prints, under its name.
    pub fn of(what: &str, name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, generate(what)).unwrap();
        Self { _directory: directory, path }
    }

    fn run(&self, program: &str, options: &[&str]) -> Output {
        Command::new(program)
            .args(options)
            .arg(&self.path)
            .env("MANWIDTH", COLUMNS.to_string())
            .env("LC_ALL", "C.UTF-8")
            .output()
            .expect(program)
    }

    /// As man shows it on a terminal.
    pub fn shown(&self) -> String {
        let output = self.run("man", &["--warnings", "-P", "cat", "-l"]);
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A section of it, without its heading.
    pub fn section(&self, heading: &str) -> String {
        let shown = self.shown();
        let lines = shown.lines().skip_while(|line| *line != heading).skip(1);
        let section: Vec<&str> =
            lines.take_while(|line| line.is_empty() || line.starts_with(' ')).collect();
        assert!(!section.is_empty(), "no {heading} in\n{shown}");
        section.join("\n")
    }

    /// Nothing that reads manual pages finds anything to object to.
    pub fn check(&self, name_line: &str) {
        for (program, options) in [
            ("mandoc", &["-Tlint", "-Wall"][..]),
            ("groff", &["-ww", "-man", "-Tutf8", "-z"]),
            ("groff", &["-ww", "-man", "-Tps", "-z"]),
        ] {
            let output = self.run(program, options);
            let said = [output.stdout, output.stderr].concat();
            assert!(said.is_empty(), "{program}: {}", String::from_utf8_lossy(&said));
        }
        let whatis = String::from_utf8(self.run("lexgrog", &[]).stdout).unwrap();
        assert_eq!(whatis, format!("{}: \"{name_line}\"\n", self.path.display()));
        let shown = self.shown();
        assert!(!shown.contains('@'), "a part is not in its place:\n{shown}");
        for line in shown.lines() {
            assert!(line.chars().count() <= COLUMNS, "{line}");
        }
        let version = concat!("connledger ", env!("CARGO_PKG_VERSION"));
        assert!(shown.lines().last().unwrap().starts_with(version), "{shown}");
    }
}
