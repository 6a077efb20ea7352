//! Finds the statements in a text, well enough to describe one of them: the server itself takes the text apart.

/// The statements that are not empty, without their semicolons.
pub(super) fn split(sql: &str) -> Vec<&str> {
    let bytes = sql.as_bytes();
    let mut statements = Vec::new();
    let (mut start, mut at, mut filled) = (0, 0, false);
    while at < bytes.len() {
        let skipped = skip(sql, at);
        match bytes[at] {
            b';' => {
                if filled {
                    statements.push(sql[start..at].trim());
                }
                (start, filled) = (at + 1, false);
            }
            b'-' | b'/' if skipped > at + 1 => {}
            byte => filled |= !byte.is_ascii_whitespace(),
        }
        at = skipped;
    }
    if filled {
        statements.push(sql[start..].trim());
    }
    statements
}

/// Where to go on after what begins at `at`: a quoted text, a comment, or one byte.
fn skip(sql: &str, at: usize) -> usize {
    let rest = &sql[at..];
    let bytes = rest.as_bytes();
    let length = match bytes[0] {
        b'\'' => quoted(bytes, b'\'', is_escape_string(sql, at)),
        b'"' => quoted(bytes, b'"', false),
        b'-' if rest.starts_with("--") => rest.find('\n').map_or(rest.len(), |end| end + 1),
        b'/' if rest.starts_with("/*") => comment(bytes),
        b'$' => dollar_quoted(sql, at),
        _ => rest.chars().next().map_or(1, char::len_utf8),
    };
    at + length
}

fn quoted(bytes: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 2,
            byte if byte == quote && bytes.get(at + 1) == Some(&quote) => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// Whether the text that begins at `at` is written `E'...'`.
fn is_escape_string(sql: &str, at: usize) -> bool {
    let mut before = sql[..at].chars().rev();
    let has_mark = matches!(before.next(), Some('e' | 'E'));
    has_mark && !before.next().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn comment(bytes: &[u8]) -> usize {
    let (mut at, mut depth) = (2, 1);
    while at < bytes.len() && depth > 0 {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (at, depth) = (at + 2, depth + 1),
            Some(b"*/") => (at, depth) = (at + 2, depth - 1),
            Some(_) | None => at += 1,
        }
    }
    at.min(bytes.len())
}

/// `$$...$$` or `$tag$...$tag$`; a `$` within a name or before a number begins nothing.
fn dollar_quoted(sql: &str, at: usize) -> usize {
    let inside_name = sql[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
    let rest = &sql[at..];
    let tag = rest[1..].find('$').map(|end| &rest[..end + 2]);
    let is_tag = |tag: &str| {
        let name = &tag[1..tag.len() - 1];
        !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    match tag.filter(|tag| !inside_name && is_tag(tag)) {
        Some(tag) => rest[tag.len()..].find(tag).map_or(rest.len(), |end| end + 2 * tag.len()),
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test_case("select 1; select 2;", &["select 1", "select 2"] ; "plain")]
    #[test_case(";;  ; select 1 ;\n", &["select 1"] ; "empty ones")]
    #[test_case("select ';', \";\" ; x", &["select ';', \";\"", "x"] ; "quotes")]
    #[test_case("select 'it''s;'; x", &["select 'it''s;'", "x"] ; "doubled quote")]
    #[test_case(r"select E'\';'; select 'a\'; x", &[r"select E'\';'", r"select 'a\'", "x"] ; "escapes")]
    #[test_case("-- one; two\nselect 1 -- ;\n; x", &["-- one; two\nselect 1 -- ;", "x"] ; "comments")]
    #[test_case("/* a; /* b; */ c; */ select 1; -- end;", &["/* a; /* b; */ c; */ select 1"] ; "nested comments")]
    #[test_case("do $$ begin; end $$; x", &["do $$ begin; end $$", "x"] ; "dollars")]
    #[test_case("do $a$ ; $$ ; $b$ $a$; select a$1, $1; x", &["do $a$ ; $$ ; $b$ $a$", "select a$1, $1", "x"] ; "tags")]
    #[test_case("select 'ü;€'; sélect", &["select 'ü;€'", "sélect"] ; "not only ascii")]
    #[test_case("select 'open; x", &["select 'open; x"] ; "unfinished")]
    fn statements_are_found(sql: &str, statements: &[&str]) {
        assert_eq!(split(sql), statements);
    }
}
