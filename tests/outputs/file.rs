//! Files: opened, rotated, taken away, on full disks, and left behind by a connledger that was killed.

mod away;
pub mod full;
mod killed;
mod opening;
mod rotating;

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use crate::log::Log;
use crate::scene::Scene;

/// A file to write to.
pub struct Target {
    /// Where it is.
    pub path: PathBuf,
    /// What the output is called.
    pub name: String,
}

impl Target {
    /// One in the scene's folder.
    pub fn new(scene: &Scene, name: &str) -> Self {
        Self::at(scene.path(name))
    }

    /// One anywhere.
    pub fn at(path: PathBuf) -> Self {
        let name = format!("file:{}", path.display());
        Self { path, name }
    }

    /// As it is asked for, with options, each with its comma.
    pub fn with(&self, options: &str) -> String {
        format!("{}{options}", self.name)
    }

    /// The old generations' paths, the oldest first.
    pub fn generations(&self) -> Vec<PathBuf> {
        let path = |number| PathBuf::from(format!("{}.{number}", self.path.display()));
        let mut paths: Vec<_> = (1..99).map(path).take_while(|path| path.exists()).collect();
        paths.reverse();
        paths
    }

    /// All that was written: the old generations, and the file.
    pub fn all(&self) -> Vec<u8> {
        let paths = self.generations().into_iter().chain([self.path.clone()]);
        paths.flat_map(|path| fs::read(path).expect("a generation")).collect()
    }

    /// The one run that wrote it all, checked.
    pub fn checked(&self) -> Log {
        one_run(&self.all(), &self.name)
    }
}

/// The one run that wrote these lines to an output, checked.
pub fn one_run(bytes: &[u8], output: &str) -> Log {
    let mut runs = Log::runs(bytes);
    assert_eq!(runs.len(), 1, "runs");
    let log = runs.remove(0);
    log.check(output);
    log
}

/// So many bytes are in a file; none if it is not there.
pub fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
