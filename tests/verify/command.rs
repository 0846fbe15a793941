//! The command as a user meets it.

/// The program.
pub const CONNLEDGER: &str = env!("CARGO_BIN_EXE_connledger");
