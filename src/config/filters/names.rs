//! Lists of thread names: curl, !nginx.
//!
//! A name may be any bytes. A backslash takes the next byte as it is (`\,` `\!` `\\`, and a space at an end),
//! or stands for a byte in hexadecimal digits (`\x1b`). That is how a name is written, too, wherever it could
//! be misread.

use std::ffi::OsString;
use std::fmt;
use std::fmt::Display;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use super::list::List;

/// How many bytes of a name the kernel keeps.
const KEPT: usize = 15;

/// A name as the kernel has it: filled up with NUL, and at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Name(pub [u8; KEPT + 1]);

/// Names of threads.
pub type NameList = List<Name>;

/// Reads a list of names.
///
/// # Errors
/// If one of them cannot be a name; it is named.
pub fn parse_names(text: impl Into<OsString>) -> Result<NameList, String> {
    let text = text.into();
    let mut list = NameList::default();
    let mut rest = text.as_bytes();
    loop {
        let (item, behind) = split(rest);
        let mut chars = item.strip_prefix(b"!").unwrap_or(item);
        let name =
            read(&mut chars).map_err(|why| format!("'{}' {why}", String::from_utf8_lossy(item)))?;
        if item.starts_with(b"!") { &mut list.exclude } else { &mut list.include }.push(name);
        match behind {
            Some(behind) => rest = behind,
            None => return Ok(list),
        }
    }
}

/// The first item without the spaces around it, and what is behind its comma.
fn split(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    let (mut item, mut behind) = (text, None);
    let mut at = 0;
    // Behind the last byte that a space at the end may follow.
    let mut end = 0;
    while at < text.len() {
        match text[at] {
            b',' => {
                (item, behind) = (&text[..at], Some(&text[at + 1..]));
                break;
            }
            b' ' => at += 1,
            b'\\' => {
                at += 2;
                end = at;
            }
            _ => {
                at += 1;
                end = at;
            }
        }
    }
    (item[..end.min(item.len())].trim_ascii_start(), behind)
}

fn read(text: &mut &[u8]) -> Result<Name, String> {
    let mut bytes = Vec::new();
    while let Some(byte) = unescaped(text)? {
        bytes.push(byte);
    }
    if bytes.is_empty() {
        return Err("is no name".to_owned());
    }
    if bytes.contains(&0) {
        return Err("has a NUL in it, where a name ends".to_owned());
    }
    let mut name = Name([0; KEPT + 1]);
    let kept = bytes.len().min(KEPT);
    name.0[..kept].copy_from_slice(&bytes[..kept]);
    if kept < bytes.len() {
        let given = bytes.len();
        return Err(format!(
            "has {given} bytes; the kernel keeps the first {KEPT} of a name: {name}"
        ));
    }
    Ok(name)
}

/// Takes one byte of a name.
fn unescaped(text: &mut &[u8]) -> Result<Option<u8>, String> {
    let (byte, rest) = match **text {
        [] => return Ok(None),
        [b'\\', b'x', high, low, ref rest @ ..]
            if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
        {
            (digit(high) << 4 | digit(low), rest)
        }
        [b'\\', b'x', ..] => return Err("has no two hexadecimal digits behind \\x".to_owned()),
        [b'\\'] => return Err("ends with a backslash".to_owned()),
        [b'\\', byte, ref rest @ ..] | [byte, ref rest @ ..] => (byte, rest),
    };
    *text = rest;
    Ok(Some(byte))
}

fn digit(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        _ => (hex | 0x20) - b'a' + 10,
    }
}

impl Name {
    fn bytes(&self) -> &[u8] {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        &self.0[..end]
    }
}

/// Without commas, control characters, and spaces or `!` where they would be misread.
impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        let mut at = 0;
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                let first_or_last = at == 0 || at + 1 == bytes.len();
                match c {
                    '\\' => f.write_str("\\\\")?,
                    '!' if at == 0 => f.write_str("\\!")?,
                    ' ' if first_or_last => f.write_str("\\x20")?,
                    // Not as `\,`: a list can be cut at any comma.
                    ',' => f.write_str("\\x2c")?,
                    _ if c.is_control() => {
                        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                            write!(f, "\\x{byte:02x}")?;
                        }
                    }
                    _ => f.write_char(c)?,
                }
                at += c.len_utf8();
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
                at += 1;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn name(text: &[u8]) -> Name {
        let mut name = Name([0; 16]);
        name.0[..text.len()].copy_from_slice(text);
        name
    }

    #[test]
    fn names_are_read() {
        let list = parse_names("curl, Web Content ,!nginx,fifteen--bytes!").expect("a list");
        assert_eq!(
            list.include,
            ["curl", "Web Content", "fifteen--bytes!"].map(|n| name(n.as_bytes()))
        );
        assert_eq!(list.exclude, [name(b"nginx")]);
        assert_eq!(list.to_string(), "curl,Web Content,fifteen--bytes!,!nginx");
    }

    #[test]
    fn any_bytes_can_be_named() {
        for (text, bytes, written) in [
            (&b"a\\,b"[..], &b"a,b"[..], "a\\x2cb"),
            (b"\\!a!", b"!a!", "\\!a!"),
            (b"C:\\\\x", b"C:\\x", "C:\\\\x"),
            (b" \\ a\\  ", b" a ", "\\x20a\\x20"),
            (b"\\x1B[31m", b"\x1b[31m", "\\x1b[31m"),
            (b"\xff\xc3\xbc", b"\xff\xc3\xbc", "\\xff\u{fc}"),
            ("\u{9b}".as_bytes(), "\u{9b}".as_bytes(), "\\xc2\\x9b"),
        ] {
            let list = parse_names(OsString::from_vec(text.to_vec())).expect(written);
            assert_eq!(list.include, [name(bytes)]);
            assert_eq!(list.to_string(), written);
        }
    }

    #[test]
    fn what_is_no_name() {
        for (bad, why) in [
            ("", "'' is no name"),
            ("curl,,wget", "'' is no name"),
            ("curl,", "'' is no name"),
            ("!", "'!' is no name"),
            ("curl,sixteen----bytes", "'sixteen----bytes' has 16 bytes"),
            ("a-name-that-is-too-long", "the first 15 of a name: a-name-that-is-"),
            ("a\\", "ends with a backslash"),
            ("a\\xg0", "no two hexadecimal digits"),
            ("a\\x00", "has a NUL"),
        ] {
            let said = parse_names(bad).expect_err(bad);
            assert!(said.contains(why), "{bad}: {said}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_can_be_read(bytes in proptest::collection::vec(1..=u8::MAX, 1..=15)) {
            let list = NameList { include: vec![name(&bytes)], exclude: vec![name(&bytes)] };
            proptest::prop_assert_eq!(parse_names(list.to_string()), Ok(list));
        }

        #[test]
        fn any_text_is_a_list_or_an_error(bytes: Vec<u8>) {
            let _ = parse_names(OsString::from_vec(bytes));
        }
    }
}
