//! When a new file is begun, and how the old ones are called: PATH.1 is the youngest of them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use crate::config::FileOutput;

/// A file lives at least so long: consumers look for new ones every few seconds, and never see one that is gone by
/// then. Meanwhile it may grow beyond its size.
pub const SHORTEST_LIFE: Duration = Duration::from_secs(5);

/// When the file is due.
#[derive(Debug)]
pub struct Schedule {
    size: Option<u64>,
    every: Option<Duration>,
    /// It has its first line since; `None` if it is empty.
    since: Option<Instant>,
    /// Not to be rotated before.
    not_before: Instant,
}

impl Schedule {
    /// Of a file that may be rotated at once.
    pub fn new(options: &FileOutput) -> Self {
        Self {
            size: options.rotate,
            every: options.rotate_every,
            since: None,
            not_before: Instant::now(),
        }
    }

    /// A file was opened, with so much in it. One that has something in it was begun when it was born, if that is
    /// known.
    pub fn begin(&mut self, size: u64, born: Option<SystemTime>) {
        let now = Instant::now();
        if size == 0 {
            self.since = None;
            self.not_before = now + SHORTEST_LIFE;
        } else {
            let age = born.and_then(|born| born.elapsed().ok()).unwrap_or_default();
            self.since = Some(now.checked_sub(age).unwrap_or(now));
        }
    }

    /// It could not be rotated: not again so soon.
    pub fn postpone(&mut self) {
        self.not_before = Instant::now() + SHORTEST_LIFE;
    }

    /// How many bytes a file of this size takes still; `None` if its time has come.
    pub fn room(&mut self, size: u64) -> Option<usize> {
        if self.size.is_none() && self.every.is_none() {
            return Some(usize::MAX);
        }
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        if now < self.not_before || size == 0 {
            return Some(usize::MAX);
        }
        if self.every.is_some_and(|every| now.duration_since(since) >= every) {
            return None;
        }
        let Some(most) = self.size else { return Some(usize::MAX) };
        Some(usize::try_from(most.saturating_sub(size)).unwrap_or(usize::MAX))
    }
}

/// Calls PATH.1 PATH.2 and so on, and PATH PATH.1. Of the old ones `keep` stay.
///
/// # Errors
/// If one cannot be renamed or removed. Those before it are, which does no harm: there is a gap now, to which the next
/// rotation moves them. PATH is where it was.
pub fn shift(path: &Path, keep: u32) -> io::Result<()> {
    // More were kept once.
    let beyond = (keep + 1..).map(|number| generation(path, number));
    for surplus in beyond.take_while(|path| matches!(is_there(path), Ok(true))) {
        fs::remove_file(surplus)?;
    }
    // Beyond a gap nothing needs to move.
    let mut there = 0;
    while there < keep && is_there(&generation(path, there + 1))? {
        there += 1;
    }
    for number in (1..=there.min(keep - 1)).rev() {
        fs::rename(generation(path, number), generation(path, number + 1))?;
    }
    fs::rename(path, generation(path, 1))
}

/// Takes PATH.1 back, for want of a new file.
///
/// # Errors
/// If it cannot be renamed.
pub fn take_back(path: &Path) -> io::Result<()> {
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    let cwd = rustix::fs::CWD;
    Ok(rustix::fs::renameat_with(cwd, generation(path, 1), cwd, path, flags)?)
}

/// PATH.number
fn generation(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// Whether there is such a generation. What is no file is none, and not ours to move.
fn is_there(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(true),
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("{} is in the way, and no file", path.display()),
        )),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// What lies in a folder: names and contents.
    fn files(folder: &Path) -> BTreeMap<String, String> {
        let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file"));
        entries
            .map(|entry| {
                let name = entry.file_name().into_string().expect("UTF-8");
                (name, fs::read_to_string(entry.path()).expect("text"))
            })
            .collect()
    }

    /// A folder with these files, each with its name in it, after rotations that keep so many.
    fn shifted(names: &[&str], keep: u32, times: usize) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        for name in names {
            fs::write(folder.path().join(name), name).expect("a file");
        }
        for time in 0..times {
            shift(&path, keep).expect("renamed");
            fs::write(&path, format!("new{time}")).expect("a file");
        }
        files(folder.path()).into_iter().collect()
    }

    fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect()
    }

    #[test]
    fn generations_move_up() {
        assert_eq!(shifted(&["x"], 3, 1), pairs(&[("x", "new0"), ("x.1", "x")]));
        assert_eq!(
            shifted(&["x", "x.1", "x.2"], 3, 1),
            pairs(&[("x", "new0"), ("x.1", "x"), ("x.2", "x.1"), ("x.3", "x.2")])
        );
    }

    #[test]
    fn the_oldest_goes() {
        assert_eq!(
            shifted(&["x", "x.1", "x.2"], 2, 1),
            pairs(&[("x", "new0"), ("x.1", "x"), ("x.2", "x.1")])
        );
        assert_eq!(shifted(&["x", "x.1"], 1, 1), pairs(&[("x", "new0"), ("x.1", "x")]));
        assert_eq!(
            shifted(&["x"], 2, 4),
            pairs(&[("x", "new3"), ("x.1", "new2"), ("x.2", "new1")])
        );
    }

    #[test]
    fn fewer_are_kept_than_before() {
        let before = ["x", "x.1", "x.2", "x.3", "x.4", "x.5"];
        assert_eq!(shifted(&before, 2, 1), pairs(&[("x", "new0"), ("x.1", "x"), ("x.2", "x.1")]));
    }

    #[test]
    fn a_gap_is_filled_and_strangers_stay() {
        assert_eq!(
            shifted(&["x", "x.1", "x.3", "x.gz", "x.1.gz", "xx"], 3, 1),
            pairs(&[
                ("x", "new0"),
                ("x.1", "x"),
                ("x.1.gz", "x.1.gz"),
                ("x.2", "x.1"),
                ("x.3", "x.3"),
                ("x.gz", "x.gz"),
                ("xx", "xx"),
            ])
        );
    }

    #[test]
    fn what_is_no_generation_stays() {
        for keep in [1, 2, 3] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("x");
            fs::write(&path, "x").expect("a file");
            fs::write(folder.path().join("x.1"), "x.1").expect("a file");
            fs::create_dir(folder.path().join("x.2")).expect("a folder");
            let result = shift(&path, keep);
            assert_eq!(result.is_ok(), keep == 1, "beyond the last one it is in nobody's way");
            let moved = if keep == 1 { "x.1" } else { "x" };
            assert_eq!(fs::read_to_string(folder.path().join(moved)).expect("it is there"), "x");
            assert!(folder.path().join("x.2").is_dir());
        }
    }

    #[test]
    fn taken_back_unless_there_is_a_new_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x");
        fs::write(&path, "x").expect("a file");
        shift(&path, 2).expect("renamed");
        take_back(&path).expect("renamed");
        assert_eq!(files(folder.path()).into_iter().collect::<Vec<_>>(), pairs(&[("x", "x")]));
        shift(&path, 2).expect("renamed");
        fs::write(&path, "new").expect("a file");
        assert!(take_back(&path).is_err());
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "new");
    }

    fn schedule(rotate: Option<u64>, rotate_every: Option<Duration>) -> Schedule {
        let path = PathBuf::from("x");
        Schedule::new(&FileOutput { rotate, rotate_every, ..FileOutput::new(path) })
    }

    #[test]
    fn due_by_size() {
        let mut schedule = schedule(Some(1000), None);
        schedule.begin(10, None);
        assert_eq!(schedule.room(10), Some(990));
        assert_eq!(schedule.room(1000), Some(0), "not one line more");
        assert_eq!(schedule.room(2000), Some(0));
        // A new one lives for a while.
        schedule.begin(0, None);
        assert_eq!(schedule.room(2000), Some(usize::MAX));
    }

    #[test]
    fn due_by_age() {
        const HOUR: Duration = Duration::from_secs(3600);
        let born = |ago: Duration| SystemTime::now().checked_sub(ago);
        let mut schedule = schedule(None, Some(HOUR));
        schedule.begin(10, born(2 * HOUR));
        assert_eq!(schedule.room(10), None, "it was born long ago");
        schedule.begin(10, born(HOUR / 2));
        assert_eq!(schedule.room(10), Some(usize::MAX));
        schedule.begin(10, None);
        assert_eq!(schedule.room(10), Some(usize::MAX), "who knows");
        schedule.begin(0, born(2 * HOUR));
        assert_eq!(schedule.room(0), Some(usize::MAX), "it has no line yet");
    }

    #[test]
    fn never_due() {
        let mut schedule = schedule(None, None);
        schedule.begin(1 << 50, Some(SystemTime::UNIX_EPOCH));
        assert_eq!(schedule.room(1 << 50), Some(usize::MAX));
    }
}
