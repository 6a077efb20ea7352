//! Pieces that many pages show. Templates read the fields; the words are made here once so that every page says the same thing alike.

/// What the frame around a page needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shell {
    /// The theme that the reader chose.
    pub(crate) theme: Theme,
    /// Who is signed in.
    pub(crate) user: Option<String>,
    /// The token that every form carries.
    pub(crate) csrf: String,
    /// Whether the reader may trigger, clear, mark and pause.
    pub(crate) can_act: bool,
    /// Whether the reader may change pools, variables and connections.
    pub(crate) can_operate: bool,
    /// Which entry of the navigation is current: the first segment of its address.
    pub(crate) section: &'static str,
    /// Results of what the reader just did.
    pub(crate) notices: Vec<Notice>,
    /// What is wrong with the platform itself, for example no scheduler reporting.
    pub(crate) alerts: Vec<String>,
    /// How many files cannot be imported.
    pub(crate) import_errors: i64,
    /// How many questions wait for the reader's answer; empty when none does.
    pub(crate) open_questions: String,
    /// The product's version.
    pub(crate) version: &'static str,
    /// Changes whenever a style sheet or script does; part of their addresses.
    pub(crate) assets: &'static str,
    /// Path and query of this page, to come back to.
    pub(crate) path: String,
}

/// Light, dark, or as the reader's system wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Theme {
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    /// The name of the cookie that holds the choice.
    pub(crate) const COOKIE: &'static str = "tradewind_theme";

    /// Reads the cookie's value; anything unknown is [`Theme::Auto`].
    pub(crate) fn parse(value: &str) -> Self {
        match value {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::Auto,
        }
    }

    /// The value of the cookie, and of the page's `data-theme`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// The theme that the button switches to.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Auto => Self::Light,
            Self::Light => Self::Dark,
            Self::Dark => Self::Auto,
        }
    }
}

/// How good the news is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    Info,
    Warn,
    Bad,
}

impl Mood {
    /// Reads a name; anything unknown is [`Mood::Info`].
    pub(crate) fn parse(name: &str) -> Self {
        [Self::Good, Self::Warn, Self::Bad].into_iter().find(|mood| mood.name() == name).unwrap_or(Self::Info)
    }

    /// The class of the note.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }

    /// The icon of the note.
    pub(crate) fn icon(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Info => "info",
            Self::Warn => "error",
            Self::Bad => "bad",
        }
    }
}

/// One sentence about what just happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) kind: Mood,
    pub(crate) text: String,
}

/// A point in time, written several ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// RFC 3339 in UTC.
    pub(crate) iso: String,
    /// Short, for example `21 Nov 04:15:02`.
    pub(crate) text: String,
    /// Relative to now, for example `4 min ago` or `in 2 h`.
    pub(crate) ago: String,
    /// The same on the wall clock of the DAG's zone, where that is not UTC.
    pub(crate) local: Option<String>,
}

impl Moment {
    /// Everything that is known of it: for whoever points at it.
    pub(crate) fn title(&self) -> String {
        match &self.local {
            Some(local) => format!("{} UTC, {local}, {}", self.text, self.ago),
            None => format!("{} UTC, {}", self.text, self.ago),
        }
    }
}

/// A link of a row of tabs or segments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tab {
    pub(crate) label: String,
    pub(crate) href: String,
    pub(crate) count: Option<i64>,
    pub(crate) current: bool,
}

/// A step of the path that leads to a page; the last one has no link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crumb {
    pub(crate) label: String,
    pub(crate) href: Option<String>,
}

/// A tag and the list that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagLink {
    pub(crate) label: String,
    pub(crate) href: String,
    pub(crate) current: bool,
}

/// Which part of a list is shown, and the ways to its neighbours.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Pager {
    /// For example `1 to 50 of 213`.
    pub(crate) text: String,
    pub(crate) previous: Option<String>,
    pub(crate) next: Option<String>,
}

/// How many things are in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) state: &'static str,
    pub(crate) count: i64,
}

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

/// One of several values that a person chooses from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
}

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) label: String,
    /// `text`, `number`, `date`, `datetime-local`, `password`, `checkbox`, `select`, `choice`, `textarea` or `json`.
    pub(crate) kind: &'static str,
    pub(crate) value: String,
    /// The choices of a `select`.
    pub(crate) options: Vec<String>,
    /// The choices of a `choice`.
    pub(crate) choices: Vec<Choice>,
    pub(crate) required: bool,
    pub(crate) hint: Option<String>,
    /// Whether it is shown but cannot be changed.
    pub(crate) fixed: bool,
    /// What is wrong with the value that was sent.
    pub(crate) error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn themes_go_round() {
        let all = [Theme::Auto, Theme::Light, Theme::Dark];
        assert!(all.iter().all(|&theme| Theme::parse(theme.name()) == theme));
        assert_eq!(all.map(Theme::next), [Theme::Light, Theme::Dark, Theme::Auto]);
    }
}
