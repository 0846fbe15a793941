//! Whether standard output is the journal: systemd tells what it starts in JOURNAL_STREAM.

use std::env;

/// The variable: device and inode number of the socket that is the journal's, in decimal digits (systemd.exec(5)).
const VARIABLE: &str = "JOURNAL_STREAM";

/// True if standard output is connected to the journal. The variable alone does not say so: it is inherited by those
/// whose output goes elsewhere.
#[must_use]
pub fn is_stdout() -> bool {
    let named = env::var(VARIABLE).ok();
    let actual = rustix::fs::fstat(rustix::stdio::stdout()).ok();
    named.zip(actual).is_some_and(|(named, actual)| named_by(&named, actual.st_dev, actual.st_ino))
}

fn named_by(named: &str, device: u64, inode: u64) -> bool {
    let parsed = named.split_once(':').map(|(device, inode)| (device.parse(), inode.parse()));
    parsed == Some((Ok(device), Ok(inode)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_and_inode() {
        assert!(named_by("9:31415", 9, 31415));
        for other in ["9:31416", "8:31415", "9", "9:", ":", "", "9:31415:", "9: 31415", "-1:-1"] {
            assert!(!named_by(other, 9, 31415), "{other}");
        }
    }
}
