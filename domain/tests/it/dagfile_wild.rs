//! Whatever stands in a file, reading it ends, says where, and does not panic.

use proptest::prelude::*;

use crate::dagfile::load;

const GOOD: &str = include_str!("golden/dagfile/flights.yaml");
const BROKEN: &str = include_str!("golden/dagfile/broken.txt");

/// What is put into good files: pieces that mean something to YAML or to the format.
const SPLINTERS: [&str; 24] = [
    "\n", "\t", ": ", "- ", "[", "]", "{", "}", "\"", "'", "#", "&a ", "*a", "<<: ", "|\n", ">-\n", "---\n",
    "...\n", "!x ", "%", "? ", "ä", "\u{2028}", "\r",
];

fn check(text: &str) -> Result<(), TestCaseError> {
    let lines = text.split('\n').count() + text.matches('\r').count() + 1;
    for error in load(text).errors {
        prop_assert!(error.line >= 1 && error.column >= 1 && (error.line as usize) <= lines, "{error}");
        prop_assert!(!error.message.is_empty());
        prop_assert!(error.message.len() < 3000, "{}", error.message);
        drop(error.to_string());
    }
    Ok(())
}

fn cut(text: &str, position: usize) -> usize {
    (0..=position.min(text.len())).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn good_files_with_splinters(
        edits in prop::collection::vec((0..GOOD.len(), 0..40_usize, 0..SPLINTERS.len()), 1..6),
    ) {
        let mut text = GOOD.to_owned();
        for (position, removed, splinter) in edits {
            let start = cut(&text, position);
            let end = cut(&text, start + removed).max(start);
            text.replace_range(start..end, SPLINTERS[splinter]);
        }
        check(&text)?;
    }

    #[test]
    fn pieces_of_broken_files(start in 0..BROKEN.len(), length in 0..4000_usize) {
        let (start, end) = (cut(BROKEN, start), cut(BROKEN, start + length));
        check(&BROKEN[start.min(end)..end])?;
    }

    #[test]
    fn texts_of_any_kind(text in "\\PC{0,200}") {
        check(&text)?;
    }

    #[test]
    fn bytes_of_any_kind(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let parsed = domain::dagfile::parse(&bytes, "x.yaml", &crate::dagfile::read);
        prop_assert!(parsed.errors.iter().all(|error| error.line >= 1));
    }
}

/// A parser that is quadratic in some construct would need minutes for these; a generous bound keeps slow machines out of it.
#[test]
fn much_of_anything_is_read_in_time() {
    let started = std::time::Instant::now();
    for piece in [
        "a",
        "\n",
        " ",
        "#",
        "- ",
        "? ",
        ": ",
        "a: ",
        "a\n",
        "a: b\n",
        "- a\n",
        "\"",
        "'",
        "[",
        "]",
        "{",
        "}",
        "[a, ",
        "&a ",
        "*a ",
        "!a ",
        "---\n",
        "...\n",
        "%a\n",
        "|\n",
        ">\n a\n",
        "<<: ",
        "\t",
        "ä",
        "x-1: &a [*a]\n",
        "{{ a }}",
        "a: [b, c]\n",
        ", ",
    ] {
        let text = piece.repeat((1 << 17) / piece.len());
        drop(load(&text));
        drop(load(&format!("tasks:\n  t:\n    bash: {text}")));
        drop(load(&format!("tasks: {{t: {{bash: [{text}")));
    }
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
}
