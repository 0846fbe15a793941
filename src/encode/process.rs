//! The process of an event as ready-made JSON: most events come from processes that have just been told of,
//! so their text is copied instead of written anew.

use super::json::key;
use super::json::push_name_field;
use super::json::push_number_field;
use super::json::push_text;
use super::json::push_word_field;
use super::number::push_hex_u64;
use super::number::push_u64;
use super::time::TimeWriter;
use crate::event::Attribution;
use crate::event::Owner;

/// Texts that are kept, as a power of two: 1,024, of about 250 bytes each.
const SLOTS_LOG2: u32 = 10;

/// Writes processes, and keeps what it wrote. Bounded: each owner has one slot, which it takes from whoever
/// had it before. Two that share a slot cost what they would cost without the texts, nothing else.
#[derive(Debug)]
pub struct ProcessTexts {
    /// `,"process":{"id":"` and the boot id.
    prefix: String,
    start: TimeWriter,
    slots: Vec<Slot>,
}

/// An owner and its text. The text depends on nothing but the owner, so it is right for all that are equal,
/// whatever is announced, executed or forgotten in between.
#[derive(Clone, Debug, Default)]
struct Slot {
    owner: Option<Owner>,
    text: Vec<u8>,
}

impl ProcessTexts {
    /// No texts yet.
    pub fn new(short_boot_id: &str) -> Self {
        Self {
            prefix: format!("{}{{\"id\":\"{short_boot_id}-", key!("process")),
            start: TimeWriter::default(),
            slots: vec![Slot::default(); 1 << SLOTS_LOG2],
        }
    }

    /// Appends `process`, and what else is told of an owner.
    #[inline]
    pub fn push(&mut self, out: &mut Vec<u8>, owner: &Owner) {
        let slot = &mut self.slots[slot_of(owner)];
        if slot.owner.as_ref() != Some(owner) {
            slot.text.clear();
            write(&mut slot.text, owner, &self.prefix, &mut self.start);
            slot.owner = Some(owner.clone());
        }
        out.extend_from_slice(&slot.text);
    }
}

/// Threads have different slots as far as possible, and a thread one for each way to own a connection.
fn slot_of(owner: &Owner) -> usize {
    let thread = u64::from(owner.tid) << 3 | owner.attribution as u64;
    // 2⁶⁴ divided by the golden ratio: neighbours are scattered over the slots (Fibonacci hashing).
    let scattered = thread.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (scattered >> (u64::BITS - SLOTS_LOG2)) as usize
}

fn write(out: &mut Vec<u8>, owner: &Owner, prefix: &str, start: &mut TimeWriter) {
    push_text(out, prefix);
    push_u64(out, owner.image.pid.into());
    out.push(b'-');
    push_hex_u64(out, owner.image.start_ns);
    out.push(b'"');
    push_number_field(out, key!("pid"), owner.image.pid.into());
    push_number_field(out, key!("tid"), owner.tid.into());
    if let Some(image) = &owner.details {
        push_number_field(out, key!("ppid"), image.ppid.into());
    }
    push_name_field(out, key!("comm"), key!("comm_hex"), owner.comm.as_bytes());
    if let Some(image) = &owner.details {
        let parent = image.parent_comm.as_bytes();
        push_name_field(out, key!("parent_comm"), key!("parent_comm_hex"), parent);
    }
    push_number_field(out, key!("uid"), owner.uid.into());
    push_number_field(out, key!("gid"), owner.gid.into());
    if let Some(image) = &owner.details {
        push_text(out, key!("start"));
        out.push(b'"');
        start.write(out, image.started_unix_ns);
        out.push(b'"');
    }
    out.push(b'}');
    // Who connects is the caller, always; of the others it must be told.
    if owner.attribution != Attribution::Connect {
        push_word_field(out, key!("attributed_to"), owner.attribution.name());
    }
    if owner.cgroup_id != 0 {
        push_text(out, key!("cgroup_id"));
        out.push(b'"');
        push_u64(out, owner.cgroup_id);
        out.push(b'"');
    }
}
