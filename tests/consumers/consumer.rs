//! A running consumer.

use std::fs;
use std::fs::File;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::process::Stdio;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::place::Place;
use crate::waiting::wait_for;
use crate::waiting::wait_until;

/// It is killed when this goes.
pub struct Consumer {
    child: Child,
}

impl Consumer {
    /// Starts it, and waits until it listens.
    pub fn start(place: &Place) -> Self {
        let messages = File::options().create(true).append(true).open(place.file("messages"));
        let messages = messages.expect("messages");
        let child = place
            .kind
            .command(place)
            .stdin(Stdio::null())
            .stdout(messages.try_clone().expect("messages"))
            .stderr(messages)
            .spawn()
            .expect("a consumer");
        let mut consumer = Self { child };
        wait_for(
            &mut consumer,
            |consumer| {
                let ended = consumer.child.try_wait().expect("wait");
                assert!(ended.is_none(), "{ended:?}: {}", place.messages());
                listens(place).then_some(())
            },
            |_| format!("{:?} does not listen: {}", place.kind, place.messages()),
        );
        consumer
    }

    /// Stops it in whatever it does. When this returns none of its threads runs.
    pub fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        wait_until(|| self.threads().iter().all(|&state| state == 'T'), "the consumer's halt");
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        self.signal(Signal::SIGCONT);
    }

    /// Kills it: it can do nothing more.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Ends it as the host does when it shuts down.
    pub fn end(mut self) {
        self.signal(Signal::SIGTERM);
        wait_until(|| self.child.try_wait().expect("wait").is_some(), "the consumer's end");
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("pid"));
        nix::sys::signal::kill(pid, signal).expect("kill");
    }

    /// The state of each of its threads.
    fn threads(&self) -> Vec<char> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("task");
        let state = |stat: String| stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
        tasks
            .filter_map(|task| fs::read_to_string(task.expect("task").path().join("stat")).ok())
            .filter_map(state)
            .collect()
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether somebody listens, and not just has.
fn listens(place: &Place) -> bool {
    if place.kind.takes_datagrams() {
        UnixDatagram::unbound().expect("a socket").connect(place.socket()).is_ok()
    } else {
        UnixStream::connect(place.socket()).is_ok()
    }
}
