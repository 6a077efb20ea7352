//! Says in plain words what the YAML scanner stumbled over; the commonest causes come with their remedy.

use granit_parser::{ErrorKind, ScanError};

use super::{
    diagnostic::Problem,
    node::{At, shown},
    split::Piece,
    yaml::{MAX_DEPTH, to_u32},
};

pub(super) fn explain(error: &ScanError, piece: &Piece<'_>) -> Problem {
    let mark = error.marker();
    let line = mark.line().max(1);
    let text = piece.text.lines().nth(line - 1).unwrap_or_default();
    let at = At {
        line: to_u32(line).saturating_add(piece.lines_before),
        column: to_u32(mark.col()).saturating_add(1),
        width: 1,
    };
    let (message, hint) = words(error, text, mark.col());
    let problem = Problem::new(at, message);
    if hint.is_empty() { problem } else { problem.hint(hint) }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser has a hundred errors, and says the rarer ones itself"
)]
fn words(error: &ScanError, line: &str, column: usize) -> (String, &'static str) {
    let kind = error.kind();
    if let Some(found) = tabs(kind).or_else(|| quotes(kind)).or_else(|| brackets(kind)) {
        return (found.0.to_owned(), found.1);
    }
    let rest: String = line.chars().skip(column).collect();
    match kind {
        ErrorKind::UnexpectedCharacter { character } => (
            format!("a plain text cannot start with `{}`", character.escape_default()),
            "put the whole value in quotes",
        ),
        ErrorKind::UnknownAnchor | ErrorKind::MissingAnchorOrAliasName => alias(&rest),
        ErrorKind::MappingValueNotAllowed | ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "this does not fit what stands before it".to_owned(),
            "check the indentation and the `:` after the key; a text with `: ` in it needs quotes or a `|` block",
        ),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidIndentation
        | ErrorKind::ExpectedBlockSequenceEntry => (
            "the indentation does not fit the lines above".to_owned(),
            "keys of one mapping start in the same column",
        ),
        ErrorKind::RecursionLimitExceeded => {
            (format!("lists and mappings are more than {MAX_DEPTH} levels deep here"), "")
        }
        _ => (format!("not valid YAML: {}", error.info()), ""),
    }
}

/// A cron expression without quotes is what nearly everyone meant who wrote a `*` there.
fn alias(rest: &str) -> (String, &'static str) {
    let name = rest.trim_start_matches('*').trim_end();
    let message = format!("`*` makes this a YAML alias, and nothing above has the anchor `&{}`", shown(name));
    if name.is_empty() || name.contains([' ', '/']) {
        (
            "`*` at the start of a value makes it a YAML alias".to_owned(),
            "put the whole value in quotes, as in \"*/5 * * * *\"",
        )
    } else {
        (message, "put the value in quotes if it is no alias")
    }
}

const fn tabs(kind: &ErrorKind) -> Option<(&'static str, &'static str)> {
    if matches!(
        kind,
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInPlainScalar
    ) {
        return Some(("a tab stands where YAML wants spaces", "indent with spaces"));
    }
    None
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser has a hundred errors, and says the rarer ones itself"
)]
const fn quotes(kind: &ErrorKind) -> Option<(&'static str, &'static str)> {
    match kind {
        ErrorKind::UnclosedQuotedScalar | ErrorKind::DocumentIndicatorInQuotedScalar => {
            Some(("this quoted text is not closed", "add the closing quote"))
        }
        ErrorKind::InvalidQuotedScalarIndent => Some((
            "this line still belongs to the quoted text above it",
            "add the closing quote there, or indent this line",
        )),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            Some((
                "more text follows a quoted text",
                "put the quotes around all of it, or write it as a `|` block",
            ))
        }
        ErrorKind::UnknownQuotedScalarEscape => Some((
            "unknown escape in a double-quoted text",
            "write `\\\\` for a backslash, or use single quotes",
        )),
        _ => None,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the parser has a hundred errors, and says the rarer ones itself"
)]
const fn brackets(kind: &ErrorKind) -> Option<(&'static str, &'static str)> {
    match kind {
        ErrorKind::UnclosedFlowCollection { open: '[' }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::ExpectedFlowSequenceSeparator => {
            Some(("this list is not closed", "`]` or `,` is missing"))
        }
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::ExpectedFlowMappingSeparator => {
            Some(("this mapping is not closed", "`}` or `,` is missing"))
        }
        ErrorKind::InvalidColonPlacement => {
            Some(("this `:` still belongs to the list or mapping above it", "`]` or `}` is missing there"))
        }
        ErrorKind::MisplacedFlowCollectionEnd => {
            Some(("this bracket closes nothing", "remove it, or open it before"))
        }
        ErrorKind::MismatchedFlowCollectionEnd { .. } => {
            Some(("this bracket closes another kind than was opened", "`[` is closed by `]` and `{` by `}`"))
        }
        _ => None,
    }
}
