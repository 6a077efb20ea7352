use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::{Composed, Cron, Dates, Every, Listed, Listing, Program, Timetable, error::Error};
use crate::span::Span;

/// The normal form of a timetable in JSON: `null`, `"@once"`, `"@continuous"`, `{"cron": …, "timezone": …}`, `{"every": …}`,
/// `{"at": […]}`, `{"any": […], "calendar": …, "blackout": …, "jitter": …, "data_interval": …}`,
/// `{"class": …, "arguments": …, "summary": …, "description": …}`, without what the program of that class answered.
/// A cron expression alone is read too, in UTC.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Form {
    Null(()),
    Word(String),
    Cron(CronForm),
    Every(EveryForm),
    Dates(DatesForm),
    Composed(Box<Composed>),
    Listed(Box<Program>),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CronForm {
    cron: String,
    #[serde(default)]
    timezone: Tz,
    #[serde(default, skip_serializing_if = "is_false")]
    data_interval: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EveryForm {
    every: Span,
    #[serde(default, skip_serializing_if = "is_false")]
    data_interval: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatesForm {
    at: Vec<DateTime<Utc>>,
}

impl From<Timetable> for Form {
    fn from(timetable: Timetable) -> Self {
        match timetable {
            Timetable::Null => Self::Null(()),
            Timetable::Once => Self::Word(super::ONCE.to_owned()),
            Timetable::Continuous => Self::Word(super::CONTINUOUS.to_owned()),
            Timetable::Dates(dates) => Self::Dates(DatesForm { at: dates.moments().to_vec() }),
            Timetable::Composed(composed) => Self::Composed(composed),
            Timetable::Listed(listed) => Self::Listed(Box::new(listed.program().clone())),
            Timetable::Cron(cron) => Self::Cron(CronForm {
                cron: cron.expression().to_owned(),
                timezone: cron.zone(),
                data_interval: cron.data_interval(),
            }),
            Timetable::Every(every) => {
                Self::Every(EveryForm { every: every.span(), data_interval: every.data_interval() })
            }
        }
    }
}

impl TryFrom<Form> for Timetable {
    type Error = Error;

    fn try_from(form: Form) -> Result<Self, Error> {
        match form {
            Form::Null(()) => Ok(Self::Null),
            Form::Word(text) => Self::parse(&text, Tz::UTC),
            Form::Cron(CronForm { cron, timezone, data_interval }) => {
                Ok(Self::Cron(Cron::parse(&cron, timezone)?.with_data_interval(data_interval)))
            }
            Form::Dates(DatesForm { at }) => Dates::new(at).map(Self::Dates),
            Form::Composed(composed) => Ok(Self::Composed(composed)),
            Form::Listed(program) => Ok(Self::Listed(Box::new(Listed::new(*program, Listing::default())))),
            Form::Every(EveryForm { every, data_interval }) => {
                Ok(Self::Every(Every::new(every)?.with_data_interval(data_interval)))
            }
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}
