//! What several formats write for people: names that are harmless, errors by name, spans of time.

use super::ip::write_ip;
use super::json::push_text;
use super::number::push_u64;
use crate::event::Endpoint;
use crate::event::errno;

/// Appends a name so that it can neither drive a terminal nor break a column: what is not printable ASCII
/// becomes `?`.
pub fn push_harmless(out: &mut Vec<u8>, name: &[u8]) {
    out.extend(name.iter().map(|&b| if matches!(b, b' '..=b'~') { b } else { b'?' }));
}

/// Appends the name of an error, or E and its number if it has none here.
pub fn push_errno(out: &mut Vec<u8>, number: u32) {
    if let Some(name) = errno::name(number) {
        push_text(out, name);
    } else {
        out.push(b'E');
        push_u64(out, number.into());
    }
}

/// Appends a number of thousandths with a point: `1.234`.
pub fn push_thousandths(out: &mut Vec<u8>, number: u64) {
    push_u64(out, number / 1000);
    out.push(b'.');
    for digit in [number / 100 % 10, number / 10 % 10, number % 10] {
        push_u64(out, digit);
    }
}

/// Appends an address, with the interface that a link-local one belongs to.
pub fn push_address(out: &mut Vec<u8>, endpoint: &Endpoint) {
    write_ip(out, endpoint.ip);
    if endpoint.scope_id != 0 {
        out.push(b'%');
        push_u64(out, endpoint.scope_id.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths() {
        for (number, text) in [(0, "0.000"), (7, "0.007"), (1234, "1.234"), (10_050, "10.050")] {
            let mut out = Vec::new();
            push_thousandths(&mut out, number);
            assert_eq!(out, text.as_bytes());
        }
    }
}
