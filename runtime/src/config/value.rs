//! One configured value: what it is and where it came from.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use super::environment::Environment;
use super::{Error, Setting};

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable.
    Environment,
    /// Neither was given.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Flag => "flag",
            Origin::Environment => "environment",
            Origin::Default => "default",
        })
    }
}

/// A value and its origin. Dereferences to the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value<T> {
    /// The value itself.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

impl<T> Value<T> {
    /// A value that nobody gave.
    pub fn default(value: T) -> Value<T> {
        Value { value, origin: Origin::Default }
    }

    pub(super) fn listed(&self, setting: &'static Setting, show: impl FnOnce(&T) -> String) -> Listed {
        Listed { setting, value: show(&self.value), origin: self.origin }
    }
}

impl<T> Deref for Value<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// One line of `config list`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name, variable, flag and meaning.
    pub setting: &'static Setting,
    /// The value as people may see it; empty when there is none.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// The flag or variable that a value was given with, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// A flag, for example `--port`.
    Flag(&'static str),
    /// A variable, for example `TRADEWIND_PORT`.
    Variable(&'static str),
}

impl fmt::Display for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Given::Flag(name) | Given::Variable(name) => f.write_str(name),
        }
    }
}

/// What a refused text should have been: it completes the sentence "it must be ...".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected(Cow<'static, str>);

impl Expected {
    pub(super) fn new(text: impl Into<Cow<'static, str>>) -> Expected {
        Expected(text.into())
    }
}

/// Flags first, then the environment.
pub(super) struct Sources<'a> {
    environment: &'a Environment,
}

impl<'a> Sources<'a> {
    pub(super) fn new(environment: &'a Environment) -> Sources<'a> {
        Sources { environment }
    }

    /// The value of `setting`, if one was given. A variable that is set but empty counts as not given: that is
    /// what `${NAME:-}` in a compose file makes of a missing one.
    pub(super) fn find<T>(
        &self,
        setting: &'static Setting,
        flag: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Result<Option<Value<T>>, Error> {
        let variable = self.environment.text(setting.variable)?.filter(|text| !text.is_empty());
        let (text, origin, given) = match (flag, variable) {
            (Some(text), _) => (text, Origin::Flag, Given::Flag(setting.flag.unwrap_or(setting.name))),
            (None, Some(text)) => (text, Origin::Environment, Given::Variable(setting.variable)),
            (None, None) => return Ok(None),
        };
        let value = parse(text).map_err(|expected| Error::Invalid {
            given,
            shown: show(setting, text),
            expected: expected.0.into_owned(),
        })?;
        Ok(Some(Value { value, origin }))
    }

    /// A value that may be missing.
    pub(super) fn optional<T>(
        &self,
        setting: &'static Setting,
        flag: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Result<Value<Option<T>>, Error> {
        let found = self.find(setting, flag, |text| parse(text).map(Some))?;
        Ok(found.unwrap_or_else(|| Value::default(None)))
    }

    /// A value that its type has a default for.
    pub(super) fn or_default<T: Default>(
        &self,
        setting: &'static Setting,
        flag: Option<&str>,
        parse: impl FnOnce(&str) -> Result<T, Expected>,
    ) -> Result<Value<T>, Error> {
        Ok(self.find(setting, flag, parse)?.unwrap_or_else(|| Value::default(T::default())))
    }
}

/// The text in quotes, at a length for people, unless it is or may hold a secret.
fn show(setting: &Setting, text: &str) -> String {
    const LONGEST: usize = 120;
    if setting.secret {
        return "not usable (its value is not shown)".to_owned();
    }
    if text.chars().count() <= LONGEST {
        return format!("{text:?}");
    }
    let begin: String = text.chars().take(LONGEST).collect();
    format!("{begin:?}...")
}
