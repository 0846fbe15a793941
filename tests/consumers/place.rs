//! A place for one consumer: its configuration, socket and files.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use tempfile::TempDir;

use crate::kind::Kind;
use crate::skip;

/// A place. What is in it goes with it.
pub struct Place {
    directory: TempDir,
    pub kind: Kind,
}

impl Place {
    /// Makes one with the configuration that we ship, whose paths lead here, and whose group is
    /// root's. There is none, which is said, where the test cannot run.
    pub fn new(kind: Kind) -> Option<Self> {
        if !skip::can_trace() {
            return None;
        }
        if !kind.unpacked().exists() {
            skip::skip(&format!("no {}: make deps unpacks it on Debian", kind.package()));
            return None;
        }
        let place = Self { directory: tempfile::tempdir().expect("a directory"), kind };
        fs::create_dir(place.file("run")).expect("run");
        let example = place.file("connledger.conf");
        let here = |name: &str| format!("\"{}/", place.file(name).display());
        let text = kind
            .example()
            .replace("\"/run/", &here("run"))
            .replace("\"/var/log/connections/", &here("log"))
            .replace("group(\"connledger\")", "group(\"root\")")
            .replace("fileGroup=\"connledger\"", "fileGroup=\"root\"");
        fs::write(&example, text).expect("the example");
        fs::write(place.configuration(), kind.frame(&example)).expect("the configuration");
        Some(place)
    }

    /// A file of this name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The configuration that the consumer is started with.
    pub fn configuration(&self) -> PathBuf {
        self.file("main.conf")
    }

    /// Where its socket's file is.
    pub fn run(&self) -> PathBuf {
        self.file("run")
    }

    /// The socket at which it receives.
    pub fn socket(&self) -> PathBuf {
        self.run().join(self.kind.socket())
    }

    /// The consumer as an output of connledger, without options.
    pub fn output(&self) -> String {
        let how = if self.kind.takes_datagrams() { "unix-dgram" } else { "unix" };
        format!("{how}:{}", self.socket().display())
    }

    /// The files with lines as they came.
    pub fn logs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.file("log")) else { return Vec::new() };
        let paths = entries.map(|entry| entry.expect("log").path());
        let mut logs: Vec<_> = paths.filter(|path| has_extension(path, "ndjson")).collect();
        logs.sort();
        logs
    }

    /// What it wrote of the fields that it read.
    pub fn events(&self) -> String {
        fs::read_to_string(self.file("log/events.log")).unwrap_or_default()
    }

    /// What came that it could not read.
    pub fn not_json(&self) -> String {
        fs::read_to_string(self.file("log/not-json.log")).unwrap_or_default()
    }

    /// What it said.
    pub fn messages(&self) -> String {
        fs::read_to_string(self.file("messages")).unwrap_or_default()
    }
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}
