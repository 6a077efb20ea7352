//! The query of a request, and the lists and forms that it asks for. Empty values count as left out.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::ACCEPT};
use chrono::{DateTime, Utc};
use serde_json::Value;
use store::view::{
    Page,
    api_list::{Ask, Comparison, Test},
};

use crate::error::{Error, Problem};

/// Rows when nothing else is asked for, and at most (Airflow's `fallback_page_limit` and `maximum_page_limit`).
const USUAL_LIMIT: u32 = 50;
const MOST_ROWS: u32 = 100;
/// Most values of one filter.
const MOST_VALUES: usize = 500;

/// The pairs of a query.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query {
    pairs: Vec<(String, String)>,
    cursor: Option<String>,
}

/// What a filter of a list does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The column is one of the given texts.
    OneOf,
    /// The column is none of the given texts.
    NoneOf,
    /// The column contains the text.
    Like,
    /// The column begins with the text.
    Prefix,
    /// The column is one of the given numbers.
    Numbers,
    /// The column is true or false.
    Flag,
    /// Four filters: `NAME_gte`, `NAME_gt`, `NAME_lte`, `NAME_lt`, with moments.
    Moments,
    /// The same with numbers.
    Amounts,
    /// The column is at most the moment, not included.
    Before,
    /// The column is at least the moment, not included.
    After,
}

/// A filter: its name in the query, the column it is about, what it does.
pub(crate) type Filter = (&'static str, &'static str, Kind);

/// What comes behind a name of [`Kind::Moments`] and [`Kind::Amounts`].
pub(crate) const COMPARISONS: [(&str, Comparison); 4] = [
    ("gte", Comparison::AtLeast),
    ("gt", Comparison::Above),
    ("lte", Comparison::AtMost),
    ("lt", Comparison::Below),
];

impl FromRequest for Query {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::parse(request.query_string())))
    }
}

impl Query {
    fn parse(text: &str) -> Self {
        let pairs = url::form_urlencoded::parse(text.as_bytes());
        let cursor = pairs.clone().find(|(name, _)| name == "cursor").map(|(_, value)| value.into_owned());
        let pairs = pairs.filter(|(_, value)| !value.is_empty()).take(MOST_VALUES);
        Self { pairs: pairs.map(|(name, value)| (name.into(), value.into())).collect(), cursor }
    }

    /// The last value of a name.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a name.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        self.pairs.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    /// The cursor: the one value that counts also when it is empty, because it asks for the first page by cursor.
    pub(crate) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// A whole number.
    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Error> {
        let message = "Input should be a valid integer, unable to parse string as an integer";
        self.parsed(name, "int_parsing", message, |text| text.trim().parse().ok())
    }

    /// A truth value, as FastAPI reads one.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, Error> {
        let message = "Input should be a valid boolean, unable to interpret input";
        self.parsed(name, "bool_parsing", message, |text| match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" | "t" | "y" => Some(true),
            "false" | "0" | "no" | "off" | "f" | "n" => Some(false),
            _ => None,
        })
    }

    /// A moment: RFC 3339; without a zone it is UTC.
    pub(crate) fn moment(&self, name: &str) -> Result<Option<DateTime<Utc>>, Error> {
        let message = "Input should be a valid datetime, such as 2026-01-01T00:00:00Z";
        self.parsed(name, "datetime_parsing", message, moment)
    }

    /// The list that is asked for.
    pub(crate) fn ask(&self, filters: &[Filter], usual_order: &[&str]) -> Result<Ask, Error> {
        let mut ask = Ask { limit: self.limit()?, offset: self.offset()?, ..Ask::default() };
        for (name, column, kind) in filters {
            self.add(&mut ask, name, column, *kind)?;
        }
        ask.order_by = self.texts("order_by");
        if ask.order_by.is_empty() {
            ask.order_by = usual_order.iter().map(|name| (*name).to_owned()).collect();
        }
        Ok(ask)
    }

    /// The part of a list that is asked for, where nothing else can be.
    pub(crate) fn page(&self) -> Result<Page, Error> {
        Ok(Page::new(self.limit()?, self.offset()?))
    }

    fn limit(&self) -> Result<u32, Error> {
        Ok(self.natural("limit")?.map_or(USUAL_LIMIT, |limit| limit.min(MOST_ROWS)))
    }

    fn offset(&self) -> Result<u32, Error> {
        // Past two thousand million rows there are none.
        Ok(self.natural("offset")?.unwrap_or(0).min(i32::MAX.unsigned_abs()))
    }

    fn natural(&self, name: &str) -> Result<Option<u32>, Error> {
        let Some(number) = self.number::<i128>(name)? else {
            return Ok(None);
        };
        if number < 0 {
            let message = "Input should be greater than or equal to 0";
            return Err(Problem::new(
                "greater_than_equal",
                "query",
                name,
                message,
                number.to_string().into(),
            )
            .into());
        }
        Ok(Some(u32::try_from(number).unwrap_or(u32::MAX)))
    }

    fn add(&self, ask: &mut Ask, name: &str, column: &'static str, kind: Kind) -> Result<(), Error> {
        match kind {
            Kind::Moments => {
                for (suffix, comparison) in COMPARISONS {
                    if let Some(moment) = self.moment(&format!("{name}_{suffix}"))? {
                        ask.tests.push((column, Test::Moment(comparison, moment)));
                    }
                }
            }
            Kind::Amounts => {
                for (suffix, comparison) in COMPARISONS {
                    if let Some(amount) = self.amount(&format!("{name}_{suffix}"))? {
                        ask.tests.push((column, Test::Amount(comparison, amount)));
                    }
                }
            }
            Kind::OneOf
            | Kind::NoneOf
            | Kind::Like
            | Kind::Prefix
            | Kind::Numbers
            | Kind::Flag
            | Kind::Before
            | Kind::After => {
                if let Some(test) = self.test(name, kind)? {
                    ask.tests.push((column, test));
                }
            }
        }
        Ok(())
    }

    fn test(&self, name: &str, kind: Kind) -> Result<Option<Test>, Error> {
        let texts = || Some(self.texts(name)).filter(|texts| !texts.is_empty());
        // `~` is everything, as in paths.
        let text = || self.text(name).filter(|text| *text != "~").map(str::to_owned);
        Ok(match kind {
            Kind::OneOf => texts().map(Test::OneOf),
            Kind::NoneOf => texts().map(Test::NoneOf),
            Kind::Like => text().map(Test::Like),
            Kind::Prefix => text().map(Test::StartsWith),
            Kind::Flag => self.flag(name)?.map(Test::Is),
            Kind::Before => self.moment(name)?.map(|moment| Test::Moment(Comparison::Below, moment)),
            Kind::After => self.moment(name)?.map(|moment| Test::Moment(Comparison::Above, moment)),
            Kind::Numbers => self.numbers(name)?.map(Test::Numbers),
            Kind::Moments | Kind::Amounts => None,
        })
    }

    fn numbers(&self, name: &str) -> Result<Option<Vec<i64>>, Error> {
        let texts = self.texts(name);
        let numbers = texts.iter().map(|text| {
            let message = "Input should be a valid integer, unable to parse string as an integer";
            let problem = || Problem::new("int_parsing", "query", name, message, Value::from(text.as_str()));
            text.trim().parse().map_err(|_| Error::from(problem()))
        });
        let numbers = numbers.collect::<Result<Vec<i64>, _>>()?;
        Ok((!numbers.is_empty()).then_some(numbers))
    }

    fn amount(&self, name: &str) -> Result<Option<f64>, Error> {
        let message = "Input should be a valid number, unable to parse string as a number";
        self.parsed(name, "float_parsing", message, |text| {
            text.trim().parse().ok().filter(|amount: &f64| amount.is_finite())
        })
    }

    pub(super) fn parsed<T>(
        &self,
        name: &str,
        kind: &'static str,
        message: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let problem = || Problem::new(kind, "query", name, message, Value::from(text));
        read(text).map(Some).ok_or_else(|| problem().into())
    }
}

/// Whether a request asks first of all for answers of this media type.
pub(super) fn accepts(request: &HttpRequest, media_type: &str) -> bool {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.starts_with(media_type))
}

/// Nothing is ordered by `field`, in Airflow's words.
pub(super) fn disallowed_order(field: &str) -> Error {
    let shown: String = field.chars().take(60).collect();
    Error::Invalid(format!(
        "Ordering with '{shown}' is disallowed or the attribute does not exist on the model"
    ))
}

/// Reads a moment: RFC 3339, also with a space, without a zone (then it is UTC), or a date alone.
pub(crate) fn moment(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    // A `+` that was not encoded arrives as a space.
    let repaired = text
        .rsplit_once(' ')
        .filter(|(_, zone)| zone.len() == 5 && zone.contains(':'))
        .map(|(at, zone)| format!("{at}+{zone}"));
    let text = repaired.as_deref().unwrap_or(text);
    let naive = || {
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M"]
            .iter()
            .find_map(|form| chrono::NaiveDateTime::parse_from_str(text, form).ok())
    };
    let date = || {
        chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|date| date.and_hms_opt(0, 0, 0))
    };
    let zoned = DateTime::parse_from_rfc3339(text).ok().map(|moment| moment.to_utc());
    zoned.or_else(|| naive().or_else(date).map(|moment| moment.and_utc()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault<T>(result: Result<T, Error>) -> &'static str {
        match result {
            Err(Error::Unprocessable(problems)) => problems[0].kind,
            Err(_) => "other",
            Ok(_) => "none",
        }
    }

    #[test]
    fn empty_values_are_left_out() {
        let query = Query::parse("limit=&offset=&tags=&tags=a&paused=");
        assert_eq!((query.limit().unwrap(), query.offset().unwrap()), (50, 0));
        assert_eq!(query.texts("tags"), ["a"]);
        assert_eq!(query.flag("paused").unwrap(), None);
    }

    #[test]
    fn pages_are_bounded() {
        let query = Query::parse("limit=100000&offset=99999999999999999999999");
        assert_eq!((query.limit().unwrap(), query.offset().unwrap()), (100, i32::MAX.unsigned_abs()));
        assert_eq!(fault(Query::parse("limit=-1").limit()), "greater_than_equal");
        assert_eq!(fault(Query::parse("limit=x").limit()), "int_parsing");
    }

    #[test]
    fn moments_are_read_in_every_form_that_clients_send() {
        for text in [
            "2026-01-02T03:04:05Z",
            "2026-01-02T04:04:05+01:00",
            "2026-01-02T04:04:05 01:00",
            "2026-01-02T03:04:05",
            "2026-01-02 03:04:05",
        ] {
            assert_eq!(moment(text).unwrap().to_rfc3339(), "2026-01-02T03:04:05+00:00", "{text}");
        }
        assert_eq!(moment("2026-01-02").unwrap().to_rfc3339(), "2026-01-02T00:00:00+00:00");
        assert!(["", "now", "2026-13-01", "2026-01-02T25:00:00Z"].iter().all(|text| moment(text).is_none()));
        assert_eq!(fault(Query::parse("a=x").moment("a")), "datetime_parsing");
    }

    #[test]
    fn filters_become_tests() {
        let filters: &[Filter] = &[
            ("state", "state", Kind::OneOf),
            ("start_date", "start_date", Kind::Moments),
            ("p", "run_id", Kind::Like),
        ];
        let ask = Query::parse("state=a&state=b&start_date_gte=2026-01-01&p=~&order_by=-x")
            .ask(filters, &["id"])
            .unwrap();
        assert_eq!(ask.tests.len(), 2);
        assert_eq!(ask.tests[0], ("state", Test::OneOf(vec!["a".to_owned(), "b".to_owned()])));
        assert_eq!(ask.order_by, ["-x"]);
    }
}
