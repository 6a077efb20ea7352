//! Lists whose filters and order programs choose. Names of columns come from fixed tables, values are always bound.

use chrono::{DateTime, Utc};
use diesel::{
    QueryableByName,
    pg::Pg,
    query_builder::{BoxedSqlQuery, SqlQuery},
    sql_query,
    sql_types::{Array, BigInt, Bool, Double, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;

use crate::{Error, Store, column::Total};

/// Most columns of one order.
const MOST_ORDERS: usize = 10;

/// What a list is asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ask {
    /// Conditions that all hold, each for a column by the API's name.
    pub tests: Vec<(&'static str, Test)>,
    /// Columns by the API's names, with `-` in front for descending.
    pub order_by: Vec<String>,
    /// Most rows.
    pub limit: u32,
    /// Rows that are passed over.
    pub offset: u32,
}

/// A condition for one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Test {
    /// It is one of these texts.
    OneOf(Vec<String>),
    /// It is none of these texts.
    NoneOf(Vec<String>),
    /// It contains one of these texts, separated by `|`, in whatever case; `%` and `_` are wildcards.
    Like(String),
    /// It begins with one of these texts, separated by `|`.
    StartsWith(String),
    /// It is one of these numbers.
    Numbers(Vec<i64>),
    /// It compares so with a moment.
    Moment(Comparison, DateTime<Utc>),
    /// It compares so with a number.
    Amount(Comparison, f64),
    /// It is true, or false.
    Is(bool),
    /// The list has one of these texts.
    HasAny(Vec<String>),
    /// The list has all of these texts.
    HasAll(Vec<String>),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `<=`
    AtMost,
    /// `<`
    Below,
}

/// The columns of a list, by the API's names, as SQL; and the order of rows that are otherwise equal.
pub(super) struct Columns {
    pub(super) names: &'static [(&'static str, &'static str)],
    pub(super) tie: &'static str,
}

/// A list as two statements.
pub(super) struct Statements {
    pub(super) rows: Statement,
    pub(super) total: Statement,
}

pub(super) type Statement = BoxedSqlQuery<'static, Pg, SqlQuery>;

enum Bind {
    Texts(Vec<String>),
    Numbers(Vec<i64>),
    Number(i64),
    Moment(DateTime<Utc>),
    Amount(f64),
    Flag(bool),
}

impl Ask {
    /// A list with one condition more.
    #[must_use]
    pub fn with(mut self, column: &'static str, test: Test) -> Self {
        self.tests.push((column, test));
        self
    }

    /// `select` and `from` are SQL; the conditions, the order and the page are this list's.
    pub(super) fn statements(
        &self,
        columns: &Columns,
        select: &str,
        from: &str,
    ) -> Result<Statements, Error> {
        let mut binds = Vec::new();
        let mut conditions = String::new();
        for (name, test) in &self.tests {
            conditions.push_str(if conditions.is_empty() { " WHERE " } else { " AND " });
            let condition = test.sql(columns.find(name)?, &mut binds);
            conditions.push_str(&condition);
        }
        let total = bound(format!("SELECT count(*) AS total FROM {from}{conditions}"), &binds);
        let order = self.order(columns)?;
        binds.push(Bind::Number(i64::from(self.limit)));
        let limit = binds.len();
        binds.push(Bind::Number(i64::from(self.offset)));
        let offset = binds.len();
        let text = format!(
            "SELECT {select} FROM {from}{conditions} ORDER BY {order} LIMIT ${limit} OFFSET ${offset}"
        );
        Ok(Statements { rows: bound(text, &binds), total })
    }

    /// The rows behind (or, `is_backward`, before) a position in the order of the list's tie, which must be the only order:
    /// cheap however far it is. Rows before a position come in the opposite order.
    pub(super) fn around(
        &self,
        columns: &Columns,
        (select, from): (&str, &str),
        position: Option<&[i64]>,
        is_backward: bool,
    ) -> Result<Statement, Error> {
        let is_descending = match self.order_by.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] | ["id"] => false,
            ["-id"] => true,
            _ => {
                let fault = "with a cursor a list is ordered by id: leave order_by out, or use id or -id";
                return Err(Error::Invalid(fault.to_owned()));
            }
        };
        let (operator, direction) = if is_descending == is_backward { (">", "ASC") } else { ("<", "DESC") };
        let mut binds = Vec::new();
        let mut conditions: Vec<String> = Vec::new();
        for (name, test) in &self.tests {
            conditions.push(test.sql(columns.find(name)?, &mut binds));
        }
        if let Some(position) = position {
            if position.len() != columns.tie.split(", ").count() {
                return Err(Error::Invalid("Invalid cursor token".to_owned()));
            }
            let places: Vec<String> =
                (1..=position.len()).map(|place| format!("${}", binds.len() + place)).collect();
            binds.extend(position.iter().map(|number| Bind::Number(*number)));
            conditions.push(format!("({}) {operator} ({})", columns.tie, places.join(", ")));
        }
        let conditions = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        let order: Vec<String> =
            columns.tie.split(", ").map(|column| format!("{column} {direction}")).collect();
        binds.push(Bind::Number(i64::from(self.limit)));
        let limit = binds.len();
        let text =
            format!("SELECT {select} FROM {from}{conditions} ORDER BY {} LIMIT ${limit}", order.join(", "));
        Ok(bound(text, &binds))
    }

    fn order(&self, columns: &Columns) -> Result<String, Error> {
        if self.order_by.len() > MOST_ORDERS {
            return Err(Error::Invalid(format!(
                "Ordering with more than {MOST_ORDERS} parameters is not allowed"
            )));
        }
        let mut order = String::new();
        for name in &self.order_by {
            let (name, direction) =
                name.strip_prefix('-').map_or((name.as_str(), "ASC"), |name| (name, "DESC"));
            order.push_str(&format!("{} {direction}, ", columns.find_order(name)?));
        }
        let is_descending = matches!(&self.order_by[..], [name, ..] if name.starts_with('-'));
        let direction = if is_descending { "DESC" } else { "ASC" };
        let tie: Vec<String> =
            columns.tie.split(", ").map(|column| format!("{column} {direction}")).collect();
        Ok(order + &tie.join(", "))
    }
}

impl Columns {
    fn find(&self, name: &str) -> Result<&'static str, Error> {
        let found = self.names.iter().find(|(known, _)| *known == name).map(|(_, sql)| *sql);
        found.ok_or_else(|| Error::Invalid(format!("`{name}` cannot be filtered by")))
    }

    fn find_order(&self, name: &str) -> Result<&'static str, Error> {
        self.find(name).map_err(|_| {
            let shown: String = name.chars().take(60).collect();
            Error::Invalid(format!(
                "Ordering with '{shown}' is disallowed or the attribute does not exist on the model"
            ))
        })
    }
}

impl Statements {
    /// The rows of the page, and how many the list has in all.
    pub(super) async fn load<T>(self, store: &Store) -> Result<(Vec<T>, i64), Error>
    where
        T: QueryableByName<Pg> + Send + 'static,
    {
        let mut conn = store.conn().await?;
        let total: Total = self.total.get_result(&mut conn).await?;
        Ok((self.rows.load(&mut conn).await?, total.total))
    }
}

impl Test {
    /// It is this text.
    #[must_use]
    pub fn is(text: impl Into<String>) -> Self {
        Self::OneOf(vec![text.into()])
    }

    fn sql(&self, column: &str, binds: &mut Vec<Bind>) -> String {
        let (operator, bind) = match self {
            Self::OneOf(texts) => ("= ANY(?)", Bind::Texts(texts.clone())),
            Self::NoneOf(texts) => ("<> ALL(?)", Bind::Texts(texts.clone())),
            Self::Like(text) => ("ILIKE ANY(?)", Bind::Texts(patterns(text, |part| format!("%{part}%")))),
            Self::StartsWith(text) => {
                ("LIKE ANY(?)", Bind::Texts(patterns(text, |part| literal(part) + "%")))
            }
            Self::Numbers(numbers) => ("= ANY(?)", Bind::Numbers(numbers.clone())),
            Self::Moment(comparison, moment) => (comparison.sql(), Bind::Moment(*moment)),
            Self::Amount(comparison, amount) => (comparison.sql(), Bind::Amount(*amount)),
            Self::Is(flag) => ("= ?", Bind::Flag(*flag)),
            Self::HasAny(texts) => ("&& ?", Bind::Texts(texts.clone())),
            Self::HasAll(texts) => ("@> ?", Bind::Texts(texts.clone())),
        };
        binds.push(bind);
        format!("{column} {}", operator.replace('?', &format!("${}", binds.len())))
    }
}

impl Comparison {
    const fn sql(self) -> &'static str {
        match self {
            Self::AtLeast => ">= ?",
            Self::Above => "> ?",
            Self::AtMost => "<= ?",
            Self::Below => "< ?",
        }
    }
}

fn patterns(text: &str, make: impl Fn(&str) -> String) -> Vec<String> {
    text.split('|')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(|part| make(&part.replace('\0', "")))
        .collect()
}

/// A text in which nothing is a wildcard.
fn literal(text: &str) -> String {
    text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

fn bound(text: String, binds: &[Bind]) -> Statement {
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    binds.iter().fold(sql_query(text).into_boxed::<Pg>(), |query, bind| match bind {
        Bind::Texts(texts) => {
            query.bind::<Array<Text>, _>(texts.iter().map(|text| clean(text)).collect::<Vec<_>>())
        }
        Bind::Numbers(numbers) => query.bind::<Array<BigInt>, _>(numbers.clone()),
        Bind::Number(number) => query.bind::<BigInt, _>(*number),
        Bind::Moment(moment) => query.bind::<Timestamptz, _>(*moment),
        Bind::Amount(amount) => query.bind::<Double, _>(*amount),
        Bind::Flag(flag) => query.bind::<Bool, _>(*flag),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: Columns =
        Columns { names: &[("id", "t.key"), ("state", "t.state")], tie: "t.key, t.index" };

    fn sql(ask: &Ask) -> Result<String, Error> {
        let statements = ask.statements(&COLUMNS, "*", "t")?;
        Ok(diesel::debug_query::<Pg, _>(&statements.rows).to_string())
    }

    #[test]
    fn names_are_looked_up_and_values_bound() {
        let ask = Ask { order_by: vec!["-state".to_owned()], limit: 5, ..Ask::default() };
        let ask = ask.with("state", Test::is("'; DROP TABLE t"));
        let text = sql(&ask).unwrap();
        let wanted = "SELECT * FROM t WHERE t.state = ANY($1) ORDER BY t.state DESC, t.key DESC, t.index DESC LIMIT $2 OFFSET $3";
        assert!(text.starts_with(wanted), "{text}");
    }

    #[test]
    fn unknown_names_are_refused() {
        for name in ["nothing", "t.key; --", ""] {
            let ask = Ask { order_by: vec![name.to_owned()], ..Ask::default() };
            assert!(sql(&ask).unwrap_err().to_string().contains("disallowed"), "{name}");
        }
        let ask = Ask { order_by: vec!["id".to_owned(); 11], ..Ask::default() };
        assert!(sql(&ask).is_err());
    }

    #[test]
    fn a_position_is_compared_in_the_direction_of_the_list() {
        for (order, is_backward, wanted) in [
            ("id", false, "(t.key, t.index) > ($1, $2) ORDER BY t.key ASC, t.index ASC"),
            ("-id", false, "(t.key, t.index) < ($1, $2) ORDER BY t.key DESC, t.index DESC"),
            ("id", true, "(t.key, t.index) < ($1, $2) ORDER BY t.key DESC, t.index DESC"),
            ("-id", true, "(t.key, t.index) > ($1, $2) ORDER BY t.key ASC, t.index ASC"),
        ] {
            let ask = Ask { order_by: vec![order.to_owned()], limit: 5, ..Ask::default() };
            let statement = ask.around(&COLUMNS, ("*", "t"), Some(&[7, 1]), is_backward).unwrap();
            let text = diesel::debug_query::<Pg, _>(&statement).to_string();
            assert!(text.starts_with(&format!("SELECT * FROM t WHERE {wanted} LIMIT $3")), "{text}");
            assert!(ask.around(&COLUMNS, ("*", "t"), Some(&[7]), is_backward).is_err());
        }
    }

    #[test]
    fn patterns_may_be_several() {
        assert_eq!(patterns("a | b||", |part| format!("%{part}%")), ["%a%", "%b%"]);
        assert_eq!(literal("50%_x\\"), "50\\%\\_x\\\\");
    }
}
