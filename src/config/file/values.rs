//! From TOML's values to the text that the command line would have, which then is read as that is.

use toml::Spanned;
use toml::de::DeInteger;
use toml::de::DeValue;

/// A value of the file, as an option's text, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// As it would stand on the command line.
    pub text: String,
    /// Where it begins, in bytes of the file.
    pub at: usize,
}

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// true or false.
    Flag,
    /// One value.
    One,
    /// One value, or an array of them.
    Many,
}

/// The texts of a value; at least one.
///
/// # Errors
/// If it is of another type; and where.
pub fn texts(value: &Spanned<DeValue<'_>>, takes: Takes) -> Result<Vec<Text>, (usize, String)> {
    match (value.get_ref(), takes) {
        (DeValue::Array(items), Takes::Many) if items.is_empty() => {
            Err((value.span().start, "it is empty; leave the key out instead".to_owned()))
        }
        (DeValue::Array(items), Takes::Many) => {
            items.iter().map(|item| text(item, Takes::One)).collect()
        }
        _ => text(value, takes).map(|text| vec![text]),
    }
}

/// The text of a single value.
///
/// # Errors
/// If it is of another type; and where.
pub fn text(value: &Spanned<DeValue<'_>>, takes: Takes) -> Result<Text, (usize, String)> {
    let at = value.span().start;
    let text = match (value.get_ref(), takes) {
        (DeValue::Boolean(flag), Takes::Flag) => Some(flag.to_string()),
        (DeValue::String(text), Takes::One | Takes::Many) => Some(text.to_string()),
        (DeValue::Integer(number), Takes::One | Takes::Many) => Some(decimal(number)),
        (DeValue::Float(number), Takes::One | Takes::Many) => Some(number.as_str().to_owned()),
        _ => None,
    };
    match text {
        Some(text) => Ok(Text { text, at }),
        None => Err((at, wrong_type(takes.expected(), value.get_ref()))),
    }
}

impl Takes {
    const fn expected(self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::One => "a string or a number",
            Self::Many => "a string, a number, or an array of these",
        }
    }
}

/// What is wrong with a value that should be something else.
pub fn wrong_type(expected: &str, value: &DeValue<'_>) -> String {
    let found = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    };
    format!("it must be {expected}, not {found}")
}

/// TOML has hexadecimal, octal and binary numbers, too. One that is too large for any option stays as it is.
fn decimal(number: &DeInteger<'_>) -> String {
    let digits = number.as_str();
    i128::from_str_radix(digits, number.radix())
        .map_or_else(|_| digits.to_owned(), |number| number.to_string())
}
