//! Which files of the DAGs folder are left alone: the rules of `.airflowignore` files.
//!
//! Source: Airflow 3.3.2 `_shared/module_loading/file_discovery.py`, and the documentation of gitignore, whose patterns the `glob` syntax has.

use std::{str::FromStr, sync::Arc};

use regex::Regex;

/// What such a file is called.
pub const FILE_NAME: &str = ".airflowignore";
/// Most bytes of such a file that are read.
pub const MAX_BYTES: usize = 64 << 10;
/// Longest pattern, in bytes.
const MAX_PATTERN: usize = 1_000;
/// Most patterns that apply in one folder.
const MAX_PATTERNS: usize = 1_000;

/// How patterns are written: Airflow's `[core] dag_ignore_file_syntax`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Syntax {
    /// As in a `.gitignore`.
    #[default]
    Glob,
    /// Regular expressions, looked for in the path below the DAGs folder.
    Regexp,
}

/// No syntax has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no syntax of {FILE_NAME} files: `glob` and `regexp` are")]
pub struct UnknownSyntax(String);

impl FromStr for Syntax {
    type Err = UnknownSyntax;

    fn from_str(name: &str) -> Result<Self, UnknownSyntax> {
        match name {
            "" | "glob" => Ok(Self::Glob),
            "regexp" => Ok(Self::Regexp),
            other => Err(UnknownSyntax(other.to_owned())),
        }
    }
}

/// The rules that apply in a folder: those of the folders above it, then its own.
#[derive(Debug, Clone, Default)]
pub struct Rules(Vec<Arc<Rule>>);

#[derive(Debug)]
enum Rule {
    Glob(Glob),
    Regexp(Regex),
}

/// A pattern of a `.gitignore`.
#[derive(Debug)]
struct Glob {
    /// What it matches is taken back in.
    is_negated: bool,
    /// It is about folders only.
    is_of_folders: bool,
    /// The folder of the file, when the pattern is about paths below it; otherwise it is about names at any depth.
    below: Option<String>,
    path: Vec<Part<Vec<Part<Sign>>>>,
}

/// A part of a pattern.
#[derive(Debug)]
enum Part<P> {
    /// Any number of whatever there is, none included.
    Any,
    /// Exactly one.
    One(P),
}

/// What one character may be.
#[derive(Debug)]
enum Sign {
    Any,
    Is(char),
    /// One of these ranges; or none of them.
    In {
        is_negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Rules {
    /// The rules of a folder that has a file of patterns, where `self` are those of the folder above it. `folder` is its path below
    /// the DAGs folder, empty for that itself. A pattern that cannot be understood is left out; it comes back with the reason.
    #[must_use]
    pub fn with(&self, text: &str, folder: &str, syntax: Syntax) -> (Self, Vec<String>) {
        let (mut rules, mut refused) = (self.0.clone(), Vec::new());
        for line in text.lines() {
            let pattern = line.split('#').next().unwrap_or_default().trim_end();
            if pattern.is_empty() {
                continue;
            }
            if rules.len() >= MAX_PATTERNS || pattern.len() > MAX_PATTERN {
                refused.push(format!("{pattern}: too long, or one too many"));
                continue;
            }
            let rule = match syntax {
                Syntax::Glob => Glob::new(pattern, folder).map(Rule::Glob),
                Syntax::Regexp => Regex::new(pattern).map(Rule::Regexp).map_err(|error| error.to_string()),
            };
            match rule {
                Ok(rule) => rules.push(Arc::new(rule)),
                Err(why) => refused.push(format!("{pattern}: {why}")),
            }
        }
        (Self(rules), refused)
    }

    /// Whether a file or folder is left alone. `path` is that below the DAGs folder, with `/` between its parts. Of patterns in the style
    /// of `.gitignore` the last one that fits decides.
    #[must_use]
    pub fn ignore(&self, path: &str, is_folder: bool) -> bool {
        self.0.iter().fold(false, |is_ignored, rule| match &**rule {
            Rule::Glob(glob) if glob.fits(path, is_folder) => !glob.is_negated,
            Rule::Glob(_) => is_ignored,
            Rule::Regexp(regexp) => is_ignored || regexp.is_match(path),
        })
    }
}

impl Glob {
    fn new(pattern: &str, folder: &str) -> Result<Self, String> {
        let (is_negated, pattern) = match pattern.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, pattern),
        };
        let is_of_folders = pattern.ends_with('/');
        let pattern = pattern.trim_end_matches('/');
        let below = pattern.contains('/').then(|| folder.to_owned());
        let names: Vec<&str> = pattern.split('/').filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return Err("it stands for nothing".to_owned());
        }
        let mut path = Vec::with_capacity(names.len() + 1);
        for name in &names {
            path.push(if *name == "**" { Part::Any } else { Part::One(signs(name)?) });
        }
        if names.last() == Some(&"**") {
            // At its end it stands for what is in a folder, not for the folder.
            path.push(Part::One(vec![Part::Any]));
        }
        Ok(Self { is_negated, is_of_folders, below, path })
    }

    fn fits(&self, path: &str, is_folder: bool) -> bool {
        if self.is_of_folders && !is_folder {
            return false;
        }
        let path = match self.below.as_deref() {
            None => path.rsplit('/').next(),
            Some("") => Some(path),
            Some(folder) => path.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/')),
        };
        let Some(path) = path else { return false };
        let names: Vec<Vec<char>> = path.split('/').map(|name| name.chars().collect()).collect();
        matches(&self.path, &names, |name, found| matches(name, found, Sign::fits))
    }
}

impl Sign {
    fn fits(&self, found: &char) -> bool {
        match self {
            Self::Any => true,
            Self::Is(sign) => sign == found,
            Self::In { is_negated, ranges } => {
                ranges.iter().any(|(first, last)| (first..=last).contains(&found)) != *is_negated
            }
        }
    }
}

/// Whether all of `found` is what the parts stand for, in their order. Costs as much as the two lengths multiplied, whatever they are.
fn matches<P, T>(parts: &[Part<P>], found: &[T], fits: impl Fn(&P, &T) -> bool) -> bool {
    // `reached[n]`: the parts so far can stand for the first n of `found`.
    let mut reached = vec![false; found.len() + 1];
    reached[0] = true;
    for part in parts {
        match part {
            Part::Any => {
                let first = reached.iter().position(|is_reached| *is_reached).unwrap_or(reached.len());
                reached[first..].fill(true);
            }
            Part::One(one) => {
                for (at, item) in found.iter().enumerate().rev() {
                    reached[at + 1] = reached[at] && fits(one, item);
                }
                reached[0] = false;
            }
        }
    }
    reached.last().copied().unwrap_or(false)
}

/// A name with `*`, `?`, `[...]` and `\`.
fn signs(name: &str) -> Result<Vec<Part<Sign>>, String> {
    let mut parts = Vec::new();
    let mut rest = name.chars();
    while let Some(sign) = rest.next() {
        parts.push(match sign {
            '*' => Part::Any,
            '?' => Part::One(Sign::Any),
            '\\' => Part::One(Sign::Is(rest.next().ok_or("nothing follows its last \\")?)),
            '[' => {
                let (inside, after) = bracket(rest.as_str()).ok_or("a [ in it is never closed")?;
                rest = after.chars();
                Part::One(inside)
            }
            plain => Part::One(Sign::Is(plain)),
        });
    }
    Ok(parts)
}

/// What follows a `[`, up to its `]`, and the rest.
fn bracket(text: &str) -> Option<(Sign, &str)> {
    let (is_negated, body) = match text.strip_prefix(['!', '^']) {
        Some(body) => (true, body),
        None => (false, text),
    };
    // A ] in the first place is one of the characters.
    let end = body.char_indices().skip(1).find(|(_, sign)| *sign == ']').map(|(at, _)| at)?;
    let (inside, after) = (body.get(..end)?, body.get(end + 1..)?);
    let mut ranges = Vec::new();
    let mut signs = inside.chars().peekable();
    while let Some(first) = signs.next() {
        let mut ahead = signs.clone();
        let last = match (ahead.next(), ahead.next()) {
            (Some('-'), Some(last)) => {
                signs = ahead;
                last
            }
            (_, _) => first,
        };
        ranges.push((first, last));
    }
    Some((Sign::In { is_negated, ranges }, after))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn rules(text: &str, folder: &str, syntax: Syntax) -> Rules {
        let (rules, refused) = Rules::default().with(text, folder, syntax);
        assert_eq!(refused, [""; 0]);
        rules
    }

    #[test_case("helper.py", "helper.py", true; "a name")]
    #[test_case("helper.py", "team/helper.py", true; "a name at any depth")]
    #[test_case("helper.py", "team/helpers.py", false; "another name")]
    #[test_case("/helper.py", "helper.py", true; "a name in this folder")]
    #[test_case("/helper.py", "team/helper.py", false; "a name in this folder only")]
    #[test_case("team/*.py", "team/a.py", true; "a path")]
    #[test_case("team/*.py", "team/b/a.py", false; "a star ends at a slash")]
    #[test_case("team/*.py", "x/team/a.py", false; "a path begins in this folder")]
    #[test_case("**/team/*.py", "x/y/team/a.py", true; "any folders before")]
    #[test_case("**/team/*.py", "team/a.py", true; "or none")]
    #[test_case("a/**/z.py", "a/z.py", true; "no folders between")]
    #[test_case("a/**/z.py", "a/b/c/z.py", true; "folders between")]
    #[test_case("a/**", "a/b/c.py", true; "all that is in a folder")]
    #[test_case("a/**", "a", false; "but not the folder")]
    #[test_case("test_?[0-9].py", "x/test_a7.py", true; "one of a range")]
    #[test_case("test_?[!0-9].py", "x/test_a7.py", false; "none of a range")]
    #[test_case("[]x].py", "].py", true; "a bracket in brackets")]
    #[test_case(r"\*.py", "*.py", true; "a star itself")]
    #[test_case(r"\*.py", "a.py", false; "only a star")]
    #[test_case("team/", "team", false; "a file is no folder")]
    #[test_case("  # a remark\n\nx.py  # why", "x.py", true; "remarks")]
    #[test_case("*.py\n!keep.py", "a/keep.py", false; "taken back in")]
    #[test_case("!keep.py\n*.py", "keep.py", true; "the last one decides")]
    #[test_case("*", "a.py", true; "everything")]
    fn globs(text: &str, path: &str, is_ignored: bool) {
        assert_eq!(rules(text, "", Syntax::Glob).ignore(path, false), is_ignored);
    }

    #[test]
    fn a_slash_at_the_end_means_folders() {
        let rules = rules("tests/", "", Syntax::Glob);
        assert!(rules.ignore("tests", true) && rules.ignore("a/tests", true));
        assert!(!rules.ignore("tests", false));
    }

    #[test]
    fn rules_of_a_folder_follow_those_above_it() {
        let above = rules("*.py\n/only_here.yaml", "", Syntax::Glob);
        let (below, refused) = above.with("!good.py\n/sub/x.yaml", "team", Syntax::Glob);
        assert!(refused.is_empty());
        assert!(!below.ignore("team/good.py", false) && below.ignore("team/bad.py", false));
        assert!(below.ignore("team/sub/x.yaml", false) && !below.ignore("sub/x.yaml", false));
        assert!(!below.ignore("team/only_here.yaml", false) && above.ignore("good.py", false));
    }

    #[test]
    fn regular_expressions_are_looked_for_in_the_path() {
        let rules = rules("project_a\ntenant_[\\d]\n^helpers/", "", Syntax::Regexp);
        for (path, is_ignored) in [
            ("project_a_dag_1.py", true),
            ("x/tenant_1.py", true),
            ("x/tenant.py", false),
            ("helpers/a.py", true),
            ("x/helpers/a.py", false),
        ] {
            assert_eq!(rules.ignore(path, false), is_ignored, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_told_and_left_out() {
        let (rules, refused) = Rules::default().with("[a\n/\n\\\nb.py", "", Syntax::Glob);
        assert_eq!(refused.len(), 3, "{refused:?}");
        assert!(rules.ignore("b.py", false) && !rules.ignore("a", false));
        let (_, refused) = Rules::default().with("(a", "", Syntax::Regexp);
        assert_eq!(refused.len(), 1);
        assert_eq!("shell".parse::<Syntax>(), Err(UnknownSyntax("shell".to_owned())));
    }

    #[test]
    fn many_stars_cost_no_more_than_the_lengths_multiplied() {
        let rules = rules(&"**/*a*/".repeat(60), "", Syntax::Glob);
        assert!(!rules.ignore(&"aaaaaaaaaaaaaaaaaaaa/".repeat(30), true));
    }
}
