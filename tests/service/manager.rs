//! A socket that plays the service manager's part.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// It hears what it is told.
pub struct Manager(UnixDatagram);

impl Manager {
    /// Listens at a path.
    pub fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next word of connledger's.
    pub fn hear(&self) -> Word {
        let mut bytes = [0; 8192];
        let length = self.0.recv(&mut bytes).expect("a word in time");
        let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
        assert!(length <= 4096, "systemd would drop it: {text}");
        Word(text)
    }

    /// The next word that is not just another sign of life.
    pub fn hear_news(&self) -> Word {
        loop {
            let word = self.hear();
            if word.names() != ["WATCHDOG", "STATUS"] && word.names() != ["STATUS"] {
                return word;
            }
        }
    }

    /// All that was said up to now.
    pub fn hear_all(&self) -> Vec<Word> {
        self.0.set_nonblocking(true).unwrap();
        let mut bytes = [0; 8192];
        let mut words = Vec::new();
        while let Ok(length) = self.0.recv(&mut bytes) {
            words.push(Word(String::from_utf8(bytes[..length].to_vec()).unwrap()));
        }
        self.0.set_nonblocking(false).unwrap();
        words
    }
}

/// One datagram: assignments, a line each.
#[derive(Debug)]
pub struct Word(String);

impl Word {
    /// What is assigned, in its order.
    pub fn names(&self) -> Vec<&str> {
        self.0.lines().map(|line| line.split_once('=').expect(line).0).collect()
    }

    /// The value of one of them.
    pub fn get(&self, name: &str) -> &str {
        let value = self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }
}

/// What the manager of this path gives those whom it starts.
pub fn managed<'a>(command: &'a mut Command, path: &Path) -> &'a mut Command {
    command.env("NOTIFY_SOCKET", path)
}
