//! connledger: every TCP connection this host makes or takes, one JSON object a line, and books that
//! balance. This library is the whole program; `main.rs` only parses, runs and sets the exit code.
//!
//! ```text
//!  kernel   bpf/connledger.bpf.c   thin programs; state kept with each socket
//!             ▼  ring buffer       a failed reserve is counted, by kind
//!  user     probe                  the only code that talks to libbpf
//!             ▼  bytes
//!           wire                   bytes → Event; the only unsafe code
//!             ▼
//!           ledger                 numbers, losses; clock, process
//!             ▼  batches           bounded channel
//!           outlet                 one thread per output
//!             ├─ encode            Event → bytes
//!             └─ sink              bytes → world
//! ```
//!
//! [`collector`] is the loop that drives it, [`cli`] and [`config`] say what it shall do.

pub mod check;
pub mod cli;
pub mod clock;
pub mod collector;
pub mod config;
pub mod consumers;
pub mod encode;
pub mod event;
mod held;
pub mod host;
mod journal_stream;
pub mod ledger;
pub mod notify;
pub mod outlet;
mod poll;
pub mod privileges;
pub mod probe;
pub mod process;
pub mod schema;
mod signals;
pub mod sink;
pub mod state;
pub mod stderr;
pub mod verify;
pub mod wire;
