//! What happens within microseconds: without a tracer in front of it, the sink writes all the time.

use std::collections::HashMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;

use super::*;
use crate::outlet::FrameBuffer;

/// Whole lines of a file that is not written any more, and where each ends.
fn lines(mut file: File) -> Vec<(String, u64)> {
    let mut text = String::new();
    file.read_to_string(&mut text).expect("text");
    assert!(text.ends_with('\n'), "a torn line");
    let mut end = 0;
    text.lines()
        .map(|line| {
            end += line.len() as u64 + 1;
            (line.to_owned(), end)
        })
        .collect()
}

/// Opens a file and removes it. Says how long it was when it was gone.
fn remove(path: &Path) -> io::Result<(File, u64)> {
    let file = File::open(path)?;
    fs::remove_file(path)?;
    let length = file.metadata()?.len();
    Ok((file, length))
}

#[test]
fn nothing_is_left_in_a_file_that_was_removed() {
    const REMOVALS: usize = 20;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let control = Control::new("a file that is removed again and again".to_owned(), true);
    let mut sink = LogFile::open(&FileOutput::new(path.clone()), &control).expect("a file");
    let enough = AtomicBool::new(false);
    let (removed, written) = thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut buffer = FrameBuffer::default();
            let mut count = 0;
            while !enough.load(Ordering::Relaxed) {
                buffer.clear();
                buffer.push(None, |out| out.extend_from_slice(format!("{count}\n").as_bytes()));
                assert_eq!(sink.write(buffer.frames()).expect("written"), Written::All);
                count += 1;
            }
            count
        });
        let mut removed = Vec::new();
        while removed.len() < REMOVALS {
            // It is not always there, and there must be something in it.
            if fs::metadata(&path).is_ok_and(|metadata| metadata.len() > 100) {
                removed.extend(remove(&path));
            }
        }
        enough.store(true, Ordering::Relaxed);
        (removed, writer.join().expect("the writer"))
    });

    let mut times = HashMap::new();
    let mut late = Vec::new();
    let last = File::open(&path).map_or_else(|_| Vec::new(), lines);
    let files = removed.into_iter().map(|(file, length)| (lines(file), length));
    for (lines, length) in files.chain([(last, u64::MAX)]) {
        for (line, end) in lines {
            if end > length {
                late.push(line.clone());
            }
            *times.entry(line).or_insert(0) += 1;
        }
    }
    for line in late {
        assert!(times[&line] > 1, "line {line} came too late, and was not written again");
    }
    let resent: u64 = times.values().map(|times| times - 1).sum();
    assert_eq!(times.len(), written, "lines are missing");
    assert_eq!(control.tally().resent(), resent);
}

/// As logrotate does it (`create`), which calls a file that it finds there a mistake, and moves it away.
#[test]
fn a_renamed_file_is_left_to_whoever_renames_it() {
    const RENAMES: usize = 10;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let control = Control::new("a file that is renamed".to_owned(), true);
    let mut sink = LogFile::open(&FileOutput::new(path.clone()), &control).expect("a file");
    let enough = AtomicBool::new(false);
    let made = thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = FrameBuffer::default();
            buffer.push(None, |out| out.extend_from_slice(b"line\n"));
            while !enough.load(Ordering::Relaxed) {
                assert_eq!(sink.write(buffer.frames()).expect("written"), Written::All);
            }
        });
        let mut made = 0;
        for number in 0..RENAMES {
            while fs::metadata(&path).map_or(0, |metadata| metadata.len()) == 0 {
                thread::yield_now();
            }
            fs::rename(&path, folder.path().join(number.to_string())).expect("renamed");
            thread::sleep(HANDOVER / 10);
            made += usize::from(File::create_new(&path).is_ok());
        }
        enough.store(true, Ordering::Relaxed);
        made
    });
    // Not always: this thread may have lost its CPU for longer than the sink waits.
    assert!(made > RENAMES / 2, "{made} of {RENAMES} were left to us");
}
