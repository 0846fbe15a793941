//! Numbers as text, without formatting machinery: digits come from tables, two at a time, and are appended
//! in copies of a fixed size, which cost less than a call for each few bytes.

/// Of every base up to 16.
pub const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// `00` to `99`.
const DECIMAL_PAIRS: [[u8; 2]; 100] = pairs();

/// `00` to `ff`.
const HEX_PAIRS: [[u8; 2]; 256] = pairs();

/// All numbers of two digits, of the base that there are so many of.
const fn pairs<const N: usize>() -> [[u8; 2]; N] {
    let base = N.isqrt();
    let mut pairs = [[0; 2]; N];
    let mut i = 0;
    while i < N {
        pairs[i] = [DIGITS[i / base], DIGITS[i % base]];
        i += 1;
    }
    pairs
}

const TEN_TO_8: u64 = 100_000_000;

/// Appends the first `len` of `bytes`.
#[inline]
pub fn push_first<const N: usize>(out: &mut Vec<u8>, bytes: &[u8; N], len: usize) {
    let end = out.len() + len;
    out.extend_from_slice(bytes);
    out.truncate(end);
}

/// The two digits of a number below 100.
#[inline]
pub fn two_digits(number: u64) -> [u8; 2] {
    DECIMAL_PAIRS[(number % 100) as usize]
}

/// The eight digits of a number below 10⁸, with leading zeros.
#[inline]
pub fn eight_digits(number: u64) -> [u8; 8] {
    let mut digits = [0; 8];
    for (pair, divisor) in digits.as_chunks_mut().0.iter_mut().zip([1_000_000, 10_000, 100, 1]) {
        *pair = two_digits(number / divisor);
    }
    digits
}

/// Appends a decimal number.
#[inline]
pub fn push_u64(out: &mut Vec<u8>, number: u64) {
    if number < TEN_TO_8 {
        push_below_ten_to_8(out, number);
    } else {
        push_large(out, number);
    }
}

#[inline]
fn push_below_ten_to_8(out: &mut Vec<u8>, number: u64) {
    // As one number, first digit lowest, so that a shift drops leading zeros; the last digit stays.
    let digits = u64::from_le_bytes(eight_digits(number));
    let significant = (digits - u64::from_le_bytes(*b"00000000")) | 1 << 56;
    let zeros = significant.trailing_zeros() / 8;
    push_first(out, &(digits >> (8 * zeros)).to_le_bytes(), 8 - zeros as usize);
}

fn push_large(out: &mut Vec<u8>, number: u64) {
    // Twice at most: 2⁶⁴ has 20 digits.
    push_u64(out, number / TEN_TO_8);
    out.extend_from_slice(&eight_digits(number % TEN_TO_8));
}

/// Appends a hexadecimal number without leading zeros.
#[inline]
pub fn push_hex_u64(out: &mut Vec<u8>, number: u64) {
    let zeros = number.leading_zeros().min(60) / 4;
    let mut digits = [0; 16];
    let bytes = (number << (4 * zeros)).to_be_bytes();
    for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(bytes) {
        *pair = two_hex_digits(byte);
    }
    push_first(out, &digits, 16 - zeros as usize);
}

/// Appends a hexadecimal number without leading zeros.
#[inline]
pub fn push_hex_u16(out: &mut Vec<u8>, number: u16) {
    let zeros = number.leading_zeros().min(12) / 4;
    let [high, low] = (number << (4 * zeros)).to_be_bytes();
    let ([a, b], [c, d]) = (two_hex_digits(high), two_hex_digits(low));
    push_first(out, &[a, b, c, d], 4 - zeros as usize);
}

/// The two hexadecimal digits of a byte.
#[inline]
pub fn two_hex_digits(byte: u8) -> [u8; 2] {
    HEX_PAIRS[usize::from(byte)]
}

/// Appends bytes as hexadecimal digits, two each.
pub fn push_hex_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    for &byte in bytes {
        out.extend_from_slice(&two_hex_digits(byte));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = b"x".to_vec();
        push(&mut out);
        String::from_utf8(out).expect("ASCII").split_off(1)
    }

    fn check(number: u64) {
        assert_eq!(text(|out| push_u64(out, number)), number.to_string());
        assert_eq!(text(|out| push_hex_u64(out, number)), format!("{number:x}"));
    }

    #[test]
    fn numbers_of_each_length() {
        check(0);
        check(u64::MAX);
        for shift in 0..64 {
            check(1 << shift);
            check((1 << shift) - 1);
        }
        for exponent in 0..20 {
            check(10_u64.pow(exponent));
            check(10_u64.pow(exponent) - 1);
        }
        for number in 0..=u16::MAX {
            assert_eq!(text(|out| push_hex_u16(out, number)), format!("{number:x}"));
            assert_eq!(text(|out| push_u64(out, number.into())), number.to_string());
        }
    }

    proptest::proptest! {
        #[test]
        fn agree_with_the_standard_library(number: u64, shift in 0..64_u32) {
            check(number >> shift);
        }

        #[test]
        fn bytes_in_hexadecimal(bytes: Vec<u8>) {
            let expected: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            proptest::prop_assert_eq!(text(|out| push_hex_bytes(out, &bytes)), expected.concat());
        }
    }
}
