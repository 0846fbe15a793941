//! `connledger verify`: reads logs back, and says whether anything is missing.

pub mod record;
