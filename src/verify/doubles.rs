//! Whether a record that came twice is the same both times. Of the last records only, in a table of a fixed size:
//! what is sent again was sent a moment ago. What comes again from further back, as from a file that was named
//! twice, is counted, and not compared.

use foldhash::fast::FixedState;
use std::hash::BuildHasher as _;

use super::record::OutputName;
use super::record::RunId;

/// How many records are remembered: 2 MiB. More than any socket's buffer holds.
const SLOTS: usize = 1 << 17;

/// The last records, by what they are and what they say.
#[derive(Debug)]
pub struct Window {
    slots: Box<[Slot]>,
    hasher: FixedState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u64,
    content: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            slots: vec![Slot::default(); SLOTS].into_boxed_slice(),
            hasher: FixedState::with_seed(0),
        }
    }
}

impl Window {
    /// The name of a record. Those of the ledger's own name the output through which they went, and so differ from
    /// each other where the logs of two outputs are read.
    #[must_use]
    pub fn key(&self, run: RunId, seq: u64, output: Option<&OutputName>) -> u64 {
        let output = output.map_or(0, |name| self.hasher.hash_one(&name.0));
        // Neighbours have neighbouring slots.
        (run.0 ^ output).wrapping_add(seq)
    }

    /// Remembers a record; gives whether it says the same as the last time, if it is known.
    pub fn compare(&mut self, key: u64, line: &[u8]) -> Option<bool> {
        let content = self.hasher.hash_one(line);
        // On 32 bits the upper half of the key goes, which does not matter here.
        #[allow(clippy::cast_possible_truncation, reason = "see above")]
        let slot = &mut self.slots[key as usize % SLOTS];
        let same = (slot.key == key).then_some(slot.content == content);
        *slot = Slot { key, content };
        same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_is_the_same_or_another_or_too_far_back() {
        let mut window = Window::default();
        let key = |seq| Window::default().key(RunId(7), seq, None);
        assert_eq!(window.compare(key(1), b"one"), None);
        assert_eq!(window.compare(key(2), b"two"), None);
        assert_eq!(window.compare(key(1), b"one"), Some(true));
        assert_eq!(window.compare(key(2), b"too"), Some(false));
        assert_eq!(window.compare(key(1 + SLOTS as u64), b"one"), None);
        assert_eq!(window.compare(key(1), b"one"), None);
    }
}
