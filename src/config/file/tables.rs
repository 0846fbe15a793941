//! Outputs as tables: `to` says where, the other keys are the output's options.

use toml::de::DeTable;
use toml::de::DeValue;

use super::values;
use super::values::Takes;
use super::values::Text;
use crate::config::OutputSpec;

/// The text that the command line has for the same output: `WHERE[,OPTION=VALUE]…`.
///
/// # Errors
/// If there is no such output; and where it says so. It begins `at`.
pub fn text(table: &DeTable<'_>, at: usize) -> Result<Text, (usize, String)> {
    let to = table.get("to").ok_or_else(|| {
        (at, "it does not say where to, as to = \"file:/var/log/conn.ndjson\" does".to_owned())
    })?;
    let DeValue::String(to_text) = to.get_ref() else {
        return Err((
            to.span().start,
            format!("to: {}", values::wrong_type("a string", to.get_ref())),
        ));
    };
    let mut spec = OutputSpec::new(to_text)
        .map_err(|why| (to.span().start, format!("to={to_text}: {why}")))?;
    let mut text = to_text.replace(',', "\\,");
    let mut options: Vec<_> = table.iter().filter(|(key, _)| key.get_ref() != "to").collect();
    // In the order of the file, so that it is the first fault that is told.
    options.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in options {
        let option = key.get_ref();
        let value = values::text(value, Takes::One)
            .map_err(|(at, why)| (at, format!("{option}: {why}")))?
            .text;
        spec.set(option, &value).map_err(|why| (key.span().start, why))?;
        // No value that an option takes has a comma in it.
        text.extend([",", option, "=", &value]);
    }
    Ok(Text { text, at })
}
