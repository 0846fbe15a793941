//! What is opened and how, and what is refused.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::stat::Mode;
use nix::sys::stat::umask;
use nix::unistd::mkfifo;

use super::Target;
use crate::log::Log;
use crate::log::number;
use crate::scene::EVENTS_EACH;
use crate::scene::Scene;
use crate::scene::created;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o7777
}

#[test]
fn a_new_file_has_its_mode_whatever_the_umask() {
    let Some(scene) = Scene::set() else { return };
    for (mask, options, expected) in
        [(0o077, "", 0o640), (0o000, "", 0o640), (0o027, ",mode=0664", 0o664)]
    {
        let target = Target::new(&scene, &format!("{mask:o}{options}").replace(',', "-"));
        let before = umask(Mode::from_bits_truncate(mask));
        let running = scene.start(&["-o", &target.with(options)]);
        umask(before);
        running.stop();
        assert_eq!(mode(&target.path), expected, "{mask:o} {options}");
    }
}

#[test]
fn an_old_file_is_appended_to_and_keeps_its_mode() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    for _ in 0..3 {
        let running = scene.start(&["-o", &target.with(",mode=0600")]);
        fs::set_permissions(&target.path, fs::Permissions::from_mode(0o604)).unwrap();
        scene.connect(10);
        running.stop();
        assert_eq!(mode(&target.path), 0o604);
    }
    let runs = Log::runs(&fs::read(&target.path).unwrap());
    assert_eq!(runs.len(), 3);
    for log in runs {
        log.check(&target.name);
        assert!(log.events().count() >= 10 * EVENTS_EACH);
    }
}

#[test]
fn after_a_torn_line_a_fresh_one_begins() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    fs::write(&target.path, "{\"whole\":1}\n{\"torn").unwrap();
    scene.start(&["-o", &target.name]).stop();
    let written = fs::read_to_string(&target.path).unwrap();
    let own = written.strip_prefix("{\"whole\":1}\n{\"torn\n").expect("it ends the torn line");
    super::one_run(own.as_bytes(), &target.name);
}

#[test]
fn what_is_no_file_is_refused() {
    let Some(scene) = Scene::set() else { return };
    let elsewhere = scene.path("elsewhere");
    symlink(&elsewhere, scene.path("dangling")).unwrap();
    fs::write(scene.path("there"), "").unwrap();
    symlink(scene.path("there"), scene.path("link")).unwrap();
    fs::create_dir(scene.path("directory")).unwrap();
    mkfifo(&scene.path("unread"), Mode::S_IRWXU).unwrap();
    mkfifo(&scene.path("read"), Mode::S_IRWXU).unwrap();
    let _reader =
        fs::File::options().read(true).write(true).open(scene.path("read")).expect("a reader");
    let _listener = UnixListener::bind(scene.path("socket")).unwrap();
    for (name, said) in [
        ("dangling", "it is a symbolic link"),
        ("link", "it is a symbolic link"),
        ("directory", "it is a directory"),
        ("unread", "it is a FIFO"),
        ("read", "it is a FIFO"),
        ("socket", "it is a socket"),
        ("/dev/null", "it is a device"),
        ("nowhere/log", "/nowhere; make it first"),
    ] {
        let target = Target::at(scene.folder().join(name));
        let all = scene.start_in_vain(&["-o", &target.name]);
        assert!(all.contains(&format!("cannot open the output {}", target.name)), "{all}");
        assert!(all.contains(said), "{name}: {all}");
    }
    assert!(!elsewhere.exists());
    assert!(fs::metadata(scene.path("read")).unwrap().file_type().is_fifo());
    assert_eq!(fs::metadata(scene.path("there")).unwrap().size(), 0);
}

#[test]
fn two_do_not_write_one_file() {
    let Some(scene) = Scene::set() else { return };
    let target = Target::new(&scene, "log");
    let running = scene.start(&["-o", &target.name]);
    scene.connect(10);
    let said = scene.start_in_vain(&["-o", &target.name]);
    assert!(said.contains("another process writes it"), "{said}");
    scene.connect(10);
    running.stop();
    assert!(target.checked().events().count() >= 20 * EVENTS_EACH);
    // Nor one, under two names.
    let again = format!("file:{}/./log", scene.folder().display());
    let said = scene.start_in_vain(&["-o", &target.name, "-o", &again]);
    assert!(said.contains("another process writes it"), "{said}");
    // Its lock is gone with it.
    scene.start(&["-o", &target.name]).stop();
}

#[test]
fn two_outputs_get_the_same() {
    let Some(scene) = Scene::set() else { return };
    let (target, stdout) = (Target::new(&scene, "log"), scene.path("stdout"));
    let running = scene
        .start_into(created(&stdout), &["-o", "stdout", "-o", &target.name, "--heartbeat", "1"]);
    scene.connect(500);
    crate::scene::wait_until("a heartbeat", || {
        fs::read_to_string(&target.path).unwrap().contains("\"event\":\"heartbeat\"")
    });
    running.stop();
    let (one, other) = (Log::read(&stdout), target.checked());
    one.check("stdout");
    assert_eq!(one.events().collect::<Vec<_>>(), other.events().collect::<Vec<_>>());
    for record in one.of_kind("heartbeat").chain([one.stop()]) {
        let outputs = record["outputs"].as_array().expect("outputs");
        assert_eq!(outputs.len(), 2, "{record}");
        assert_eq!(
            (&outputs[0]["output"], &outputs[1]["output"]),
            (&"stdout".into(), &target.name.as_str().into())
        );
        for figures in outputs {
            assert!(number(figures, "written") <= number(record, "observed"), "{record}");
        }
    }
}
