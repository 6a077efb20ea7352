//! Cuts a file into its documents before any of them is parsed, so that a broken one does not hide the next.
//!
//! That is safe on the text alone: YAML forbids a line that starts with `---` or `...` inside every kind of content
//! (YAML 1.2.2, rule `c-forbidden`).

/// One document's text, its marker included.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) text: &'a str,
    /// Lines of the file before it.
    pub(super) lines_before: u32,
}

/// The documents that are not empty.
pub(super) fn documents(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut start_line = 0;
    let mut void = true;
    let mut offset = 0;
    for (number, line) in (0_u32..).zip(text.split_inclusive('\n')) {
        let opens = is_marker(line, "---");
        if opens && !void {
            pieces.push(Piece { text: &text[start..offset], lines_before: start_line });
            void = true;
        }
        if opens && void {
            (start, start_line) = (offset, number);
        }
        offset += line.len();
        if is_marker(line, "...") {
            if !void {
                pieces.push(Piece { text: &text[start..offset], lines_before: start_line });
            }
            (start, start_line, void) = (offset, number + 1, true);
        } else {
            void &= if opens { is_void(&line[3..]) } else { is_void(line) };
        }
    }
    if !void {
        pieces.push(Piece { text: &text[start..], lines_before: start_line });
    }
    pieces
}

fn is_marker(line: &str, marker: &str) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Blank, a comment or a directive.
fn is_void(line: &str) -> bool {
    let text = line.trim();
    text.is_empty() || text.starts_with('#') || line.starts_with('%')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(&str, u32)> {
        documents(text).into_iter().map(|piece| (piece.text, piece.lines_before)).collect()
    }

    #[test]
    fn every_document_knows_its_first_line() {
        assert_eq!(
            cut("a: 1\n---\nb: 2\n--- {c: 3}\n"),
            [("a: 1\n", 0), ("---\nb: 2\n", 1), ("--- {c: 3}\n", 3)]
        );
        assert_eq!(cut("a: 1\n...\nb: 2"), [("a: 1\n...\n", 0), ("b: 2", 2)]);
    }

    #[test]
    fn comments_directives_and_empty_documents_are_none() {
        for text in ["", "\n\n", "# only words\n", "---\n---\n...\n", "%YAML 1.2\n---\n# nothing\n"] {
            assert!(cut(text).is_empty(), "{text:?}");
        }
        assert_eq!(cut("# top\n%YAML 1.2\n---\na: 1\n"), [("---\na: 1\n", 2)]);
        assert_eq!(cut("# top\na: 1\n"), [("# top\na: 1\n", 0)]);
    }

    #[test]
    fn a_dash_line_that_is_content_does_not_cut() {
        assert_eq!(cut("a: |\n  ---\n  x\n----\n").len(), 1);
    }
}
