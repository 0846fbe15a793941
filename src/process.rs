//! What is known about process images: announced once by the kernel side, joined to every event after.
//!
//! Bounded by two generations. New images go into the current one; when that is full it becomes the
//! previous one, and what was previous is forgotten, except what was used in the meantime, which moves
//! up. The kernel side is told of the new generation and announces again whoever calls next, so that
//! forgetting costs a live process nothing. What can be lost is the description of an image that has not
//! been heard of for a whole generation and never calls again: its last closes carry its pid, start and
//! name, but not its parent.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use crate::event::Image;
use crate::event::ImageKey;

/// The number of the generation that the table starts with; 0 means never announced.
pub const FIRST_GENERATION: u32 = 1;

/// Images in one generation: 2 × 16,384 × about 130 bytes are 4 MiB. With more processes than this that call in
/// turns, each of them is announced again with nearly every call.
const GENERATION_SIZE: usize = 16_384;

/// The table of images.
#[derive(Debug)]
pub struct ProcessTable {
    current: HashMap<ImageKey, Arc<Image>>,
    previous: HashMap<ImageKey, Arc<Image>>,
    generation: u32,
    size: usize,
}

impl Default for ProcessTable {
    fn default() -> Self {
        Self::with_size(GENERATION_SIZE)
    }
}

impl ProcessTable {
    /// A table of which each generation holds `size` images.
    #[must_use]
    pub fn with_size(size: usize) -> Self {
        Self {
            current: HashMap::new(),
            previous: HashMap::new(),
            generation: FIRST_GENERATION,
            size,
        }
    }

    /// Images announced under an older generation than this are to be announced again.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Takes an image in, or replaces what was known about it. What is announced again as it was is kept, and
    /// so is what others have made of it.
    pub fn insert(&mut self, key: ImageKey, image: Image) {
        if self.get(&key).is_none_or(|known| *known != image) {
            self.put(key, Arc::new(image));
        }
    }

    /// What is known about an image.
    pub fn get(&mut self, key: &ImageKey) -> Option<Arc<Image>> {
        if let Some(image) = self.current.get(key) {
            return Some(Arc::clone(image));
        }
        let image = self.previous.remove(key)?;
        self.put(*key, Arc::clone(&image));
        Some(image)
    }

    /// Says anew of all images when they were started: the clock was set.
    pub fn set_starts(&mut self, unix_ns: impl Fn(&ImageKey) -> u64) {
        for (key, image) in self.current.iter_mut().chain(&mut self.previous) {
            Arc::make_mut(image).started_unix_ns = unix_ns(key);
        }
    }

    fn put(&mut self, key: ImageKey, image: Arc<Image>) {
        if self.current.len() >= self.size && !self.current.contains_key(&key) {
            // Cleared, not made anew: its memory is used again.
            mem::swap(&mut self.previous, &mut self.current);
            self.current.clear();
            // Never 0, which the kernel side has for "never announced".
            self.generation = self.generation.wrapping_add(1).max(FIRST_GENERATION);
        }
        self.current.insert(key, image);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Comm;

    fn key(pid: u32) -> ImageKey {
        ImageKey { pid, exec_id: 1, start_ns: 7 }
    }

    fn image(ppid: u32) -> Image {
        Image { started_unix_ns: 1, ppid, parent_comm: Comm(*b"parent\0\0\0\0\0\0\0\0\0\0") }
    }

    #[test]
    fn forgets_what_was_not_used_for_a_generation() {
        let mut table = ProcessTable::with_size(2);
        for pid in 1..=4 {
            table.insert(key(pid), image(pid));
        }
        assert_eq!(table.generation(), 2);
        assert_eq!(table.get(&key(1)).map(|i| i.ppid), Some(1), "1 moves up and fills the third");
        assert_eq!(table.generation(), 3);
        assert_eq!(table.get(&key(2)), None, "2 was not used");
        assert_eq!(table.get(&key(4)).map(|i| i.ppid), Some(4));
    }

    #[test]
    fn is_bounded_and_keeps_who_calls_on() {
        let mut table = ProcessTable::with_size(64);
        for pid in 0..10_000 {
            table.insert(key(pid), image(pid));
            assert!(table.get(&key(0)).is_some(), "used all the time, so never forgotten");
            assert!(table.current.len() <= 64 && table.previous.len() <= 64);
        }
        assert_eq!(table.generation(), FIRST_GENERATION + 10_000 / 63);
    }

    #[test]
    fn what_is_announced_again_is_the_same_image() {
        let mut table = ProcessTable::default();
        table.insert(key(1), image(10));
        let known = table.get(&key(1)).expect("it is known");
        table.insert(key(1), image(10));
        assert!(table.get(&key(1)).is_some_and(|again| Arc::ptr_eq(&again, &known)));
    }

    #[test]
    fn a_clock_that_is_set_is_followed() {
        let mut table = ProcessTable::with_size(1);
        table.insert(key(1), image(10));
        let told = table.get(&key(1)).expect("it is known");
        table.insert(key(2), image(10));
        table.set_starts(|image| image.start_ns + u64::from(image.pid));
        assert_eq!(told.started_unix_ns, 1, "what was told stays as it was");
        for pid in [2, 1] {
            let started = table.get(&key(pid)).map(|image| image.started_unix_ns);
            assert_eq!(started, Some(7 + u64::from(pid)), "in both generations");
        }
    }

    #[test]
    fn an_exec_is_another_image() {
        let mut table = ProcessTable::default();
        table.insert(key(1), image(10));
        assert_eq!(table.get(&ImageKey { exec_id: 2, ..key(1) }), None);
        table.insert(key(1), image(11));
        assert_eq!(table.get(&key(1)).map(|i| i.ppid), Some(11));
        assert_eq!(table.generation(), FIRST_GENERATION);
    }
}
