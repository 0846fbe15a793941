//! What somebody wrote about an output, option by option: on the command line or in a file.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum as _;

use super::Destination;
use super::FileOutput;
use super::JournaldOutput;
use super::OnFull;
use super::Output;
use super::SocketOutput;
use crate::config::units::parse_duration;
use crate::config::units::parse_size;
use crate::encode::Format;

/// The longest path of a UNIX socket (`sockaddr_un`).
const MAX_SOCKET_PATH: usize = 107;

/// The longest name of a journal's namespace: the socket's path, `/run/systemd/journal.NAME/socket`, has no more room.
const MAX_NAMESPACE: usize = 79;

/// Longer names of outputs, or such as JSON must escape, would not fit into the records that list them all.
const MAX_PATH: usize = 255;

/// Generations have numbers of at most four digits.
const MAX_KEEP: u32 = 9999;

/// Smaller files would be gone before a consumer has found them.
const MIN_ROTATE: u64 = 64 << 10;

/// An output as it was asked for; what was not said has its default in [`OutputSpec::output`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputSpec {
    destination: Destination,
    on_full: Option<OnFull>,
    queue: Option<usize>,
    format: Option<Format>,
}

impl OutputSpec {
    /// An output to `place`: `stdout`, `file:PATH`, `unix:PATH`, `unix-dgram:PATH` or
    /// `journald[:NAMESPACE]`.
    ///
    /// # Errors
    /// If it is none of these.
    pub fn new(place: &str) -> Result<Self, String> {
        let (kind, path) =
            place.split_once(':').map_or((place, None), |(kind, path)| (kind, Some(path)));
        let escaped = |c: char| c.is_control() || matches!(c, '"' | '\\');
        if path.is_some_and(|path| path.len() > MAX_PATH || path.contains(escaped)) {
            return Err(format!(
                "its path has more than {MAX_PATH} bytes, or quotes, backslashes or control characters"
            ));
        }
        let destination = match (kind, path) {
            ("stdout" | "-", None) => Destination::Stdout,
            ("journald", None) => Destination::Journald(JournaldOutput::default()),
            ("journald", Some(name)) => {
                Destination::Journald(JournaldOutput { namespace: Some(namespace(name)?) })
            }
            ("file" | "unix" | "unix-dgram", None | Some("")) => {
                return Err(format!("it names no path; write {kind}:PATH"));
            }
            ("file", Some(path)) => Destination::File(FileOutput::new(PathBuf::from(path))),
            ("unix", Some(path)) => Destination::Unix(socket(path)?),
            ("unix-dgram", Some(path)) => Destination::UnixDatagram(socket(path)?),
            _ => {
                return Err(format!(
                    "'{place}' is none of stdout, file:PATH, unix:PATH, unix-dgram:PATH, journald"
                ));
            }
        };
        Ok(Self { destination, on_full: None, queue: None, format: None })
    }

    /// What is written to if nobody says: standard output; or the journal, if that is the journal.
    #[must_use]
    pub fn default_of(stdout_is_journal: bool) -> Self {
        let destination = if stdout_is_journal {
            Destination::Journald(JournaldOutput::default())
        } else {
            Destination::Stdout
        };
        Self { destination, on_full: None, queue: None, format: None }
    }

    /// Sets an option.
    ///
    /// # Errors
    /// If there is no such option for this kind of output, or the value is none for it.
    pub fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        let wrong = |reason: String| format!("{option}={value}: {reason}");
        match (option, &mut self.destination) {
            ("on-full", _) => self.on_full = Some(on_full(value).map_err(wrong)?),
            ("queue", _) => self.queue = Some(number(value, 1..=1 << 24).map_err(wrong)? as usize),
            ("format", Destination::Journald(_)) => {
                return Err("the journal has fields, and takes no format".to_owned());
            }
            ("format", _) => self.format = Some(format(value).map_err(wrong)?),
            ("rotate", Destination::File(file)) => {
                file.rotate = Some(rotate(value).map_err(wrong)?);
            }
            ("rotate-every", Destination::File(file)) => {
                file.rotate_every = Some(parse_duration(value).map_err(wrong)?);
            }
            ("keep", Destination::File(file)) => {
                file.keep = number(value, 1..=MAX_KEEP).map_err(wrong)?;
            }
            ("mode", Destination::File(file)) => file.mode = mode(value).map_err(wrong)?,
            ("send-buffer", Destination::Unix(socket) | Destination::UnixDatagram(socket)) => {
                let bytes = parse_size(value).and_then(|bytes| {
                    u32::try_from(bytes)
                        .ok()
                        .filter(|&bytes| bytes <= 1 << 30)
                        .ok_or_else(|| "it must be at most 1GiB".to_owned())
                });
                socket.send_buffer = Some(bytes.map_err(wrong)?);
            }
            _ => {
                return Err(format!(
                    "{} has no option '{option}'; it has {}",
                    self.kind(),
                    self.options()
                ));
            }
        }
        Ok(())
    }

    /// The output, with `format` and `timestamps` unless it has a format of its own.
    #[must_use]
    pub fn output(self, format: Format, timestamps: bool) -> Output {
        let format = self.format.or(self.destination.own_format()).unwrap_or(format);
        let on_full = self.on_full.unwrap_or(self.destination.default_on_full());
        Output {
            timestamps: timestamps && format == Format::Table,
            format,
            on_full,
            queue: self.queue.unwrap_or(on_full.default_queue()),
            destination: self.destination,
        }
    }

    fn kind(&self) -> &'static str {
        match self.destination {
            Destination::Stdout => "stdout",
            Destination::File(_) => "a file",
            Destination::Unix(_) => "a UNIX socket",
            Destination::UnixDatagram(_) => "a UNIX datagram socket",
            Destination::Journald(_) => "the journal",
        }
    }

    fn options(&self) -> &'static str {
        match self.destination {
            Destination::Stdout => "format, on-full, queue",
            Destination::File(_) => "format, on-full, queue, mode, rotate, rotate-every, keep",
            Destination::Unix(_) | Destination::UnixDatagram(_) => {
                "format, on-full, queue, send-buffer"
            }
            Destination::Journald(_) => "on-full, queue",
        }
    }
}

/// `WHERE[,OPTION=VALUE]…`; `\,` is a comma within the path.
impl FromStr for OutputSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = split(text).into_iter();
        let mut spec = Self::new(&parts.next().unwrap_or_default())?;
        for part in parts {
            let (option, value) = part.split_once('=').ok_or_else(|| {
                format!("'{part}' is no option; write OPTION=VALUE, and a comma in a path as \\,")
            })?;
            spec.set(option, value)?;
        }
        Ok(spec)
    }
}

/// The parts between commas.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, parts.last_mut()) {
            (',', _) => parts.push(String::new()),
            ('\\', Some(part)) if chars.next_if_eq(&',').is_some() => part.push(','),
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    parts
}

fn socket(path: &str) -> Result<SocketOutput, String> {
    if path.len() > MAX_SOCKET_PATH {
        return Err(format!(
            "the path of a socket has at most {MAX_SOCKET_PATH} bytes; '{path}' has {}",
            path.len()
        ));
    }
    Ok(SocketOutput { path: PathBuf::from(path), send_buffer: None })
}

/// As systemd has it, which makes a unit's name and a folder's of it.
fn namespace(name: &str) -> Result<String, String> {
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '-' | '_' | '.');
    let is_folder = !matches!(name, "" | "." | "..");
    if !is_folder || name.len() > MAX_NAMESPACE || !name.chars().all(sound) {
        return Err(format!(
            "'{name}' is no namespace of the journal: it has at most {MAX_NAMESPACE} letters, digits and :-_."
        ));
    }
    Ok(name.to_owned())
}

fn on_full(value: &str) -> Result<OnFull, String> {
    match value {
        "block" => Ok(OnFull::Block),
        "drop" => Ok(OnFull::Drop),
        _ => Err("it is block or drop".to_owned()),
    }
}

fn format(value: &str) -> Result<Format, String> {
    Format::from_str(value, false).map_err(|_| "it is ndjson or table".to_owned())
}

fn number(value: &str, bounds: std::ops::RangeInclusive<u32>) -> Result<u32, String> {
    value
        .parse()
        .ok()
        .filter(|number| bounds.contains(number))
        .ok_or_else(|| format!("it is a number from {} to {}", bounds.start(), bounds.end()))
}

fn rotate(value: &str) -> Result<u64, String> {
    let bytes = parse_size(value)?;
    if bytes < MIN_ROTATE {
        return Err("it must be at least 64KiB".to_owned());
    }
    Ok(bytes)
}

/// Permissions: three or four octal digits. The owner must be able to write, and to see whether the last line is whole.
fn mode(value: &str) -> Result<u32, String> {
    let octal = matches!(value.len(), 3 | 4).then(|| u32::from_str_radix(value, 8).ok()).flatten();
    octal.filter(|mode| mode & !0o777 == 0 && mode & 0o600 == 0o600).ok_or_else(|| {
        "it is an octal mode with which the owner can read and write, as 0640".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    fn output(text: &str) -> Output {
        let spec: OutputSpec = text.parse().expect(text);
        spec.output(Format::Ndjson, false)
    }

    #[test]
    fn places() {
        assert_eq!(output("-"), output("stdout"));
        for name in [
            "stdout",
            "file:/var/log/a b",
            "unix:/run/x",
            "unix-dgram:x",
            "journald",
            "journald:a-b.c",
        ] {
            assert_eq!(output(name).destination.to_string(), name);
        }
        assert_eq!(output("stdout").on_full, OnFull::Block);
        assert_eq!(output("unix:/x").on_full, OnFull::Drop);
        assert_eq!(output("journald").format, Format::Journal);
    }

    #[test]
    fn options() {
        let all = output(
            "file:/a\\,b=c,rotate=100MiB,rotate-every=1d,keep=3,mode=0600,on-full=drop,format=table,queue=9",
        );
        let Destination::File(file) = &all.destination else { panic!("{all:?}") };
        assert_eq!(file.path, Path::new("/a,b=c"));
        assert_eq!((file.rotate, file.keep, file.mode), (Some(100 << 20), 3, 0o600));
        assert_eq!(file.rotate_every, Some(Duration::from_secs(86400)));
        assert_eq!((all.on_full, all.format, all.queue), (OnFull::Drop, Format::Table, 9));
        let Destination::Unix(socket) = output("unix:/x,send-buffer=64KiB").destination else {
            panic!("it is one");
        };
        assert_eq!(socket.send_buffer, Some(64 << 10));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, named) in [
            ("", "none of stdout"),
            ("file", "file:PATH"),
            ("unix:", "unix:PATH"),
            ("tcp:1.2.3.4:5", "none of stdout"),
            ("stdout,rotate=1MiB", "no option 'rotate'"),
            ("file:/x,send-buffer=1", "no option 'send-buffer'"),
            ("file:/x,y", "'y' is no option"),
            ("file:/x,rotate=1", "rotate=1: it must be at least 64KiB"),
            ("file:/x,mode=0440", "mode=0440"),
            ("file:/x,mode=0240", "mode=0240"),
            ("file:/x,mode=64", "mode=64"),
            ("file:/x,keep=0", "from 1 to 9999"),
            ("file:/x,on-full=wait", "block or drop"),
            ("file:/a\\b", "backslashes"),
            ("journald,format=ndjson", "takes no format"),
            ("journald:", "no namespace"),
            ("journald:a/b", "no namespace"),
            ("journald:..", "no namespace"),
            ("stdout,queue=0", "queue=0"),
        ] {
            let said = text.parse::<OutputSpec>().expect_err(text);
            assert!(said.contains(named), "{text}: {said}");
        }
        let long = format!("unix:/{}", "x".repeat(MAX_SOCKET_PATH));
        assert!(long.parse::<OutputSpec>().expect_err("too long").contains("107 bytes"));
    }
}
