use std::fs;
use std::path::Path;
use std::thread;

use super::line::SIZE;
use super::*;
use crate::clock::WallTime;

fn identity(run: &str) -> Identity {
    Identity {
        host: "web-1".to_owned(),
        host_id: None,
        boot_id: "5e2a90c1d3b44f6a8c7e1029384756af".to_owned(),
        run: run.to_owned(),
        kernel: "6.18.0".to_owned(),
    }
}

fn position(seq: u64, ns: u64) -> Position {
    let wall = WallTime(1_795_413_380_000_000_000 + ns);
    Position { seq, until: Moment { boot_ns: ns, wall } }
}

/// A run's line, as it stands when it has given so many numbers.
fn line(run: &str, seq: u64, stopped: Option<StopReason>) -> Vec<u8> {
    let mut line = Line::new(&identity(run), None);
    line.set(&Note { position: position(seq, seq), begun: true, stopped });
    line.bytes().to_vec()
}

/// Waits until the thread has written so far.
fn wait_for(path: &Path, seq: u64) -> Last {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let line = fs::read(path).unwrap_or_default();
        match Last::parse(&line) {
            Ok(Some(last)) if last.seq == seq => {
                assert_eq!((line.len(), line.last()), (SIZE, Some(&b'\n')));
                return last;
            }
            found => assert!(Instant::now() < deadline, "{seq}: {found:?}"),
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Waits until the lock of a state that was dropped is free.
fn wait_until_free(path: &Path) -> Opened {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match opened(path, true) {
            Ok(opened) => return opened,
            Err(err) => assert!(Instant::now() < deadline, "{err}"),
        }
        thread::sleep(Duration::from_millis(1));
    }
}

fn opened(path: &Path, asked: bool) -> anyhow::Result<Opened> {
    State::open(&Remember::At { path: path.to_owned(), asked }, &identity("00000000000000a1"))
}

#[test]
fn what_is_noted_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    let first = opened(&path, true).expect("it is made");
    assert_eq!((first.last, first.warning), (None, None));
    let mut state = first.state.expect("a state");
    // As at a kill before the first record.
    assert_eq!(Last::parse(&fs::read(&path).expect("a file")), Ok(None));
    for seq in [1, 9_007_199_254_740_991, 12] {
        state.note(position(seq, 5));
        assert_eq!(wait_for(&path, seq).stopped, None);
    }
    state.detach(position(0, 7).until);
    assert_eq!(state.end(position(14, 900), StopReason::Duration), None);

    let last = opened(&path, true).expect("it is there").last.expect("a run");
    assert_eq!((last.seq, last.stopped), (14, Some(StopReason::Duration)));
    assert_eq!(last.until, position(0, 7).until);
    let since = position(0, 2_000_007).until;
    let previous = last.clone().previous(since, &last.boot_id);
    assert_eq!((previous.gap_us, previous.boot_id), (Some(2000), None));
    // On another boot the one clock says nothing, and the other may have been set back.
    let other = "00000000000000000000000000000000";
    let previous = last.clone().previous(position(0, 3007).until, other);
    assert_eq!((previous.gap_us, previous.boot_id.as_deref()), (Some(3), Some(&*last.boot_id)));
    assert_eq!(last.clone().previous(position(0, 6).until, other).gap_us, None);
    // Nor does one that is behind, which no clock of the same boot is.
    let behind = Moment { boot_ns: 1, ..position(0, 3007).until };
    let previous = last.clone().previous(behind, &last.boot_id);
    assert_eq!((previous.gap_us, previous.boot_id), (Some(3), None));
}

/// Of runs that no output has, the next one tells the number, and the run before them.
#[test]
fn the_run_before_is_remembered_until_an_output_has_the_next() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    fs::write(&path, line("00000000000000b0", 2497, None)).expect("a file");
    for unwritten in 0..3 {
        let Opened { state, last, .. } = wait_until_free(&path);
        let last = last.expect("a run");
        assert_eq!((&*last.run, last.seq, last.unwritten), ("00000000000000b0", 2497, unwritten));
        assert_eq!(last.until, position(0, 2497).until);
        let mut state = state.expect("a state");
        state.note(position(unwritten + 1, 1));
        wait_for(&path, unwritten + 1);
    }
    let mut state = wait_until_free(&path).state.expect("a state");
    state.begin();
    state.note(position(77, 77));
    assert_eq!(wait_for(&path, 77).before, None);
    drop(state);
    let last = wait_until_free(&path).last.expect("a run");
    assert_eq!((&*last.run, last.seq, last.unwritten), ("00000000000000a1", 77, 0));
}

#[test]
fn a_line_has_room_for_the_longest() {
    let until = Moment { boot_ns: u64::MAX, wall: WallTime(u64::MAX) };
    let stopped = Some(StopReason::OutputsClosed);
    let before = Before {
        run: "f".repeat(16),
        boot_id: "f".repeat(32),
        seq: (1 << 53) - 1,
        until,
        stopped,
        unwritten: u64::MAX,
    };
    let mut line = Line::new(&identity("ffffffffffffffff"), Some(&before));
    let position = Position { seq: u64::MAX, until };
    line.set(&Note { position, begun: false, stopped });
    assert_eq!(line.bytes().len(), SIZE);
    let last = Last::parse(line.bytes()).expect("sound").expect("a run");
    assert_eq!((last.seq, last.until), ((1 << 53) - 1, until));
    assert_eq!(last.before.as_ref(), Some(&before));
    assert_eq!(last.into_before().unwritten, u64::MAX);
}

#[test]
fn what_is_damaged_is_said_and_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    let sound = String::from_utf8(line("00000000000000a1", 7, None)).expect("ASCII");
    for damaged in [
        "\0".repeat(SIZE),
        sound[..100].to_owned(),
        sound.replace("state/1", "state/2"),
        sound.replace("\"seq\":7", "\"seq\":0"),
        sound.replace("00000000000000a1", "\\u001b[31m"),
        sound.replace("2026-", "1926-"),
        sound.trim_end().replace("\"pid\"", "\"\\u001b[31m\""),
    ] {
        fs::write(&path, &damaged).expect("a file");
        let Opened { state, last, warning } = wait_until_free(&path);
        assert_eq!(last, None, "{damaged}");
        let warning = warning.expect(&damaged);
        assert!(!warning.contains('\u{1b}'), "it drives no terminal");
        assert!(warning.contains("is damaged, and begun anew"), "{warning}");
        drop(state);
        assert_eq!(fs::read(&path).expect("a file"), line::blank());
    }
    fs::write(&path, sound.trim_end()).expect("a file");
    let found = wait_until_free(&path);
    assert_eq!((found.last.expect("a run").seq, found.warning), (7, None), "shorter, and sound");
}

/// Somebody has named a file of his own.
#[test]
fn what_is_not_ours_is_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    for other in ["x".to_owned(), " \n".repeat(SIZE), "{\"schema\":\"connledger/1.0\"}".to_owned()]
    {
        fs::write(&path, &other).expect("a file");
        let said = opened(&path, true).expect_err(&other).to_string();
        assert!(said.contains("it holds something else, which is left as it is"), "{said}");
        assert!(opened(&path, false).expect("it goes on").state.is_none());
        assert_eq!(fs::read_to_string(&path).expect("a file"), other);
    }
}

#[test]
fn only_one_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    let mut state = opened(&path, false).expect("it is made").state.expect("a state");
    let said = opened(&path, false).expect_err("it is held").to_string();
    assert!(said.contains("another process holds its lock; give each its own"), "{said}");
    state.note(position(1, 1));
    wait_for(&path, 1);
    let said = opened(&path, false).expect_err("it is held").to_string();
    let who = format!("run 00000000000000a1 (process {}), has it", std::process::id());
    assert!(said.contains(&who), "{said}");
    // What is taken away is made again at the end at the latest.
    fs::remove_file(&path).expect("it is there");
    assert_eq!(state.end(position(5, 5), StopReason::Terminated), None);
    assert_eq!(wait_for(&path, 5).stopped, Some(StopReason::Terminated));
}

#[test]
fn where_it_cannot_be_it_is_an_error_if_it_was_asked_for() {
    let path = Path::new("/proc/connledger/state");
    assert!(opened(path, true).is_err());
    let Opened { state, warning, .. } = opened(path, false).expect("it goes on without");
    assert!(state.is_none());
    let warning = warning.expect("it is said");
    assert!(warning.contains("the next run will not know where this one ended"), "{warning}");
    assert!(
        State::open(&Remember::Nowhere, &identity("00000000000000a1"))
            .expect("nothing")
            .state
            .is_none()
    );
    // What is there is no file of ours to write.
    assert!(
        opened(Path::new("/dev/null"), true)
            .expect_err("a device")
            .to_string()
            .contains("no regular file")
    );
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_a_state_or_not(bytes: Vec<u8>) {
        let _ = Last::parse(&bytes);
    }

    /// A line that somebody has changed in one place.
    #[test]
    fn a_changed_line_is_a_state_or_not(at in 0..SIZE, byte: u8) {
        let mut bytes = line("00000000000000a1", 7, Some(StopReason::Interrupted));
        bytes[at] = byte;
        if let Ok(Some(last)) = Last::parse(&bytes) {
            let previous = last.into_before().previous(position(0, 1 << 40).until, "x");
            proptest::prop_assert_eq!(previous.run.len(), 16);
            proptest::prop_assert!(previous.seq > 0);
        }
    }
}
