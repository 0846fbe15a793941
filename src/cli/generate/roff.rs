//! The language of manual pages, man(7): text from elsewhere becomes lines in which nothing is markup by accident.

use std::fmt::Write as _;

/// Lines of the source are no longer: what checks manual pages asks for that.
const WIDTH: usize = 72;

/// A word or a line as it stands. What a reader copies from the page is ASCII again: an apostrophe stays one.
pub fn plain(text: &str) -> String {
    let mut roff = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => roff.push_str("\\e"),
            '-' => roff.push_str("\\-"),
            '\'' => roff.push_str("\\(aq"),
            '`' => roff.push_str("\\(ga"),
            '^' => roff.push_str("\\(ha"),
            '~' => roff.push_str("\\(ti"),
            '"' => roff.push_str("\\(dq"),
            other => roff.push(other),
        }
    }
    if roff.starts_with('.') { format!("\\&{roff}") } else { roff }
}

/// In bold: what is typed as it stands.
pub fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", plain(text))
}

/// In italics: what stands for something else.
pub fn italic(text: &str) -> String {
    format!("\\fI{}\\fR", plain(text))
}

/// A line, of a macro or of what was made above.
pub fn line(page: &mut String, line: &str) {
    page.push_str(line);
    page.push('\n');
}

/// Prose: one paragraph, filled. `` `x` `` and options are in bold. A sentence begins a line, as roff wants it.
pub fn paragraph(page: &mut String, text: &str) {
    let mut length = 0;
    let mut is_end = false;
    for word in text.split_whitespace() {
        let roff = marked_up(word);
        if is_end || (length > 0 && length + roff.len() >= WIDTH) {
            page.push('\n');
            length = 0;
        }
        is_end = word.ends_with('.');
        let space = if length == 0 { "" } else { " " };
        // Writing to a string cannot fail.
        let _ = write!(page, "{space}{roff}");
        length += space.len() + roff.len();
    }
    page.push('\n');
}

/// Prose of several paragraphs, with `between` between them.
pub fn paragraphs(page: &mut String, text: &str, between: &str) {
    for (nth, text) in text.split("\n\n").enumerate() {
        if nth > 0 {
            line(page, between);
        }
        paragraph(page, text);
    }
}

fn marked_up(word: &str) -> String {
    if let Some((before, quoted, after)) = quoted(word) {
        return format!("{}{}{}", plain(before), bold(quoted), plain(after));
    }
    let is_option = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let end = word.find(|c| !is_option(c)).unwrap_or(word.len());
    match word.split_at(end) {
        (option, rest) if option.len() > 1 && option.starts_with('-') => {
            format!("{}{}", bold(option), plain(rest))
        }
        _ => plain(word),
    }
}

/// What stands before, between and behind two backquotes.
fn quoted(word: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = word.split_once('`')?;
    let (quoted, after) = rest.split_once('`')?;
    Some((before, quoted, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let mut page = String::new();
        paragraphs(&mut page, text, ".PP");
        page
    }

    #[test]
    fn nothing_is_markup_by_accident() {
        assert_eq!(of("as in '\\,' and \"x\""), "as in \\(aq\\e,\\(aq and \\(dqx\\(dq\n");
        assert_eq!(of(".TH ~^`"), "\\&.TH \\(ti\\(ha\\(ga\n");
    }

    #[test]
    fn what_is_typed_is_bold() {
        assert_eq!(
            of("`!` excludes; -n or --max-events, -"),
            "\\fB!\\fR excludes; \\fB\\-n\\fR or \\fB\\-\\-max\\-events\\fR, \\-\n"
        );
        assert_eq!(of("(`loss`)."), "(\\fBloss\\fR).\n");
    }

    #[test]
    fn paragraphs_are_filled() {
        assert_eq!(of("one\ntwo\n\nthree"), "one two\n.PP\nthree\n");
        let long = of(&"word ".repeat(100));
        assert!(long.lines().count() > 5 && long.lines().all(|line| line.len() <= WIDTH));
    }
}
