//! Where a run is remembered for the next one.

use std::fmt;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::Destination;
use super::Output;
use crate::held::directory;

/// The word for nowhere.
const NOWHERE: &str = "none";

/// The file's name in a directory for such files.
const NAME: &str = "run.json";

/// Where a run is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remember {
    /// Nowhere.
    Nowhere,
    /// In a file.
    At {
        /// This one.
        path: PathBuf,
        /// It was asked for: if it cannot be, that is an error.
        asked: bool,
    },
}

impl Remember {
    /// What was asked for: a path, or `none`.
    #[must_use]
    pub fn asked(text: &Path) -> Self {
        if text.as_os_str() == NOWHERE {
            return Self::Nowhere;
        }
        Self::At { path: text.to_owned(), asked: true }
    }

    /// What is so if nobody asks: the service manager's directory (`$STATE_DIRECTORY` of systemd.exec(5), of several the
    /// first one); else beside the first file that is written. There it is hidden, so that a pattern for the log's
    /// generations (`events.ndjson*`) does not take it for one.
    #[must_use]
    pub fn default_of(state_directory: Option<&Path>, outputs: &[Output]) -> Self {
        let first = |paths: &Path| {
            let text = paths.to_str()?;
            text.split(':').find(|path| !path.is_empty()).map(PathBuf::from)
        };
        let beside = |output: &Output| match &output.destination {
            Destination::File(file) => {
                let name = file.path.file_name()?.to_str()?;
                Some(file.path.with_file_name(format!(".{name}.state")))
            }
            _ => None,
        };
        let given = state_directory.and_then(first).map(|directory| directory.join(NAME));
        match given.or_else(|| outputs.iter().find_map(beside)) {
            Some(path) => Self::At { path, asked: false },
            None => Self::Nowhere,
        }
    }

    /// Why it cannot be there besides these outputs: one of them is the same file.
    #[must_use]
    pub fn conflict(&self, outputs: &[Output]) -> Option<String> {
        let Self::At { path, .. } = self else { return None };
        let is_it = |output: &&Output| match &output.destination {
            Destination::File(file) => is_same(&file.path, path),
            _ => false,
        };
        let output = outputs.iter().find(is_it)?;
        let at = path.display();
        Some(format!(
            "--state {at} is the file of the output {}; give the state one of its own",
            output.destination
        ))
    }
}

/// Whether two paths lead to one file, which need not be there.
fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let directory = fs::canonicalize(directory(path)).unwrap_or(directory(path).to_owned());
        path.file_name().map(|name| directory.join(name))
    };
    one == other || place(one).is_some_and(|one| place(other) == Some(one))
}

impl fmt::Display for Remember {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere => f.write_str("nowhere"),
            Self::At { path, .. } => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OutputSpec;
    use crate::encode::Format;

    fn outputs(texts: &[&str]) -> Vec<Output> {
        let output =
            |text: &&str| text.parse::<OutputSpec>().expect(text).output(Format::Ndjson, false);
        texts.iter().map(output).collect()
    }

    fn at(path: &str, asked: bool) -> Remember {
        Remember::At { path: PathBuf::from(path), asked }
    }

    #[test]
    fn an_output_is_no_place_for_it() {
        let files = outputs(&["stdout", "file:/tmp/a", "file:b"]);
        for path in ["/tmp/a", "/tmp/../tmp/a", "b", "./b"] {
            let said = at(path, true).conflict(&files).expect(path);
            assert!(said.contains("is the file of the output file:"), "{said}");
        }
        assert_eq!(at("/tmp/b", true).conflict(&files), None);
        assert_eq!(Remember::Nowhere.conflict(&files), None);
    }

    #[test]
    fn asked_for_or_not() {
        assert_eq!(Remember::asked(Path::new("none")), Remember::Nowhere);
        assert_eq!(Remember::asked(Path::new("./none")), at("./none", true));
        let default = |directory: Option<&str>, texts: &[&str]| {
            Remember::default_of(directory.map(Path::new), &outputs(texts))
        };
        assert_eq!(default(None, &["stdout", "unix:/x"]), Remember::Nowhere);
        let files = ["stdout", "file:/var/log/a.ndjson", "file:b"];
        assert_eq!(default(None, &files), at("/var/log/.a.ndjson.state", false));
        assert_eq!(default(None, &["file:b"]), at(".b.state", false));
        assert_eq!(default(Some("/var/lib/x"), &files), at("/var/lib/x/run.json", false));
        assert_eq!(default(Some("/var/lib/x:/y"), &[]), at("/var/lib/x/run.json", false));
        assert_eq!(default(Some(""), &["file:b"]), at(".b.state", false));
    }
}
