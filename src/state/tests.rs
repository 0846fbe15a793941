use std::fs;

use crate::clock::WallTime;

use super::*;

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
        assert_eq!(state.note(&position(seq, 5)), None);
        let line = fs::read(&path).expect("a file");
        assert_eq!((line.len(), line.last()), (SIZE, Some(&b'\n')));
        let last = Last::parse(&line).expect("sound").expect("a run");
        assert_eq!((last.seq, last.stopped), (seq, None));
    }
    state.detach(position(0, 7).until);
    assert_eq!(state.end(&position(14, 900), StopReason::Duration), None);

    let last = opened(&path, true).expect("it is there").last.expect("a run");
    assert_eq!((last.seq, last.stopped), (14, Some(StopReason::Duration)));
    assert_eq!(last.until, position(0, 7).until);
    let since = position(0, 2_000_007).until;
    let previous = last.clone().before(since, &last.boot_id);
    assert_eq!((previous.gap_us, previous.boot_id), (Some(2000), None));
    // On another boot the one clock says nothing, and the other may have been set back.
    let other = "00000000000000000000000000000000";
    let previous = last.clone().before(position(0, 3007).until, other);
    assert_eq!((previous.gap_us, previous.boot_id.as_deref()), (Some(3), Some(&*last.boot_id)));
    assert_eq!(last.before(position(0, 6).until, other).gap_us, None);
}

#[test]
fn a_line_has_room_for_the_longest() {
    let mut line = Line::new(&identity("ffffffffffffffff"));
    let until = Moment { boot_ns: u64::MAX, wall: WallTime(u64::MAX) };
    line.set(u64::MAX, until, Some(StopReason::OutputsClosed));
    assert_eq!(line.bytes().len(), SIZE);
    let last = Last::parse(line.bytes()).expect("sound").expect("a run");
    assert_eq!((last.seq, last.until), ((1 << 53) - 1, until));
}

#[test]
fn what_is_damaged_is_said_and_begun_anew() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    let mut sound = Line::new(&identity("00000000000000a1"));
    sound.set(7, position(7, 7).until, None);
    let sound = String::from_utf8(sound.bytes().to_vec()).expect("ASCII");
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
        let Opened { state, last, warning } = opened(&path, true).expect(&damaged);
        assert_eq!(last, None, "{damaged}");
        let warning = warning.expect(&damaged);
        assert!(!warning.contains('\u{1b}'), "it drives no terminal");
        assert!(warning.contains("is damaged, and begun anew"), "{warning}");
        drop(state);
        assert_eq!(fs::read(&path).expect("a file"), line::blank());
    }
    fs::write(&path, sound.trim_end()).expect("a file");
    let found = opened(&path, true).expect("shorter, and sound");
    assert_eq!((found.last.expect("a run").seq, found.warning), (7, None));
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
fn only_one_has_it_and_it_is_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    let mut state = opened(&path, false).expect("it is made").state.expect("a state");
    let said = opened(&path, false).expect_err("it is held").to_string();
    assert!(said.contains("another connledger has it; give each its own"), "{said}");
    assert_eq!(state.note(&position(1, 1)), None);
    let said = opened(&path, false).expect_err("it is held").to_string();
    let who = format!("run 00000000000000a1 (process {}), has it", std::process::id());
    assert!(said.contains(&who), "{said}");

    fs::remove_file(&path).expect("it is there");
    state.looked_at -= LOOK;
    let said = state.note(&position(2, 2)).expect("it is said");
    assert!(said.contains("was removed or replaced; it is made again"), "{said}");
    let last = Last::parse(&fs::read(&path).expect("a file")).expect("sound").expect("a run");
    assert_eq!(last.seq, 2);
    // Another one was quicker.
    fs::remove_file(&path).expect("it is there");
    let other = opened(&path, false).expect("it is made");
    state.looked_at -= LOOK;
    let said = state.note(&position(3, 3)).expect("it is said");
    assert!(said.contains("another connledger has it: this run is remembered nowhere"), "{said}");
    state.looked_at -= LOOK;
    assert_eq!(state.note(&position(4, 4)), None, "it was said");
    assert_eq!(Last::parse(&fs::read(&path).expect("a file")), Ok(None));
    drop(other);
    assert!(state.end(&position(5, 5), StopReason::Terminated).is_some());
    let last = Last::parse(&fs::read(&path).expect("a file")).expect("sound").expect("a run");
    assert_eq!(last.seq, 5);
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
        let mut line = Line::new(&identity("00000000000000a1"));
        line.set(7, position(7, 7).until, Some(StopReason::Interrupted));
        let mut bytes = line.bytes().to_vec();
        bytes[at] = byte;
        if let Ok(Some(last)) = Last::parse(&bytes) {
            let previous = last.before(position(0, 1 << 40).until, "x");
            proptest::prop_assert_eq!(previous.run.len(), 16);
            proptest::prop_assert!(previous.seq > 0);
        }
    }
}
