//! Questions to people, as pages and programs read them: what is asked, of whom, and what was answered.

use chrono::{DateTime, Utc};
use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Integer, Json, Nullable, Text, Timestamptz},
};
use diesel_async::RunQueryDsl;
use domain::approval::{Question, Reply, Terms};

use super::{
    api_list::{Ask, Columns},
    api_ti::TiRow,
};
use crate::{Error, Store, column::FromJson, hot::hot_query};

/// A question, and how it stands.
#[derive(Debug, Clone, QueryableByName)]
pub struct QuestionRow {
    /// The try that asks or asked.
    #[diesel(sql_type = Integer)]
    pub asked_by_try: i32,
    /// Which question of that try it is.
    #[diesel(sql_type = Integer)]
    pub number: i32,
    #[diesel(sql_type = Text)]
    subject: String,
    #[diesel(sql_type = Nullable<Text>)]
    body: Option<String>,
    #[diesel(sql_type = Json)]
    terms: FromJson<Terms>,
    /// When it was asked.
    #[diesel(sql_type = Timestamptz)]
    pub asked_at: DateTime<Utc>,
    /// Nobody's answer counts after that.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub deadline: Option<DateTime<Utc>>,
    /// When it was answered or withdrawn.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub closed_at: Option<DateTime<Utc>>,
    /// Who answered; nobody where the timeout did.
    #[diesel(sql_type = Nullable<Text>)]
    pub responded_by: Option<String>,
    #[diesel(sql_type = Nullable<Json>)]
    reply: Option<FromJson<Reply>>,
}

impl QuestionRow {
    /// What is asked.
    #[must_use]
    pub fn question(&self) -> Question {
        Question { subject: self.subject.clone(), body: self.body.clone() }
    }

    /// What may be answered, and by whom.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms.0
    }

    /// What was answered.
    #[must_use]
    pub fn reply(&self) -> Option<&Reply> {
        self.reply.as_ref().map(|reply| &reply.0)
    }

    /// An answer is wanted.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }

    /// When it was answered.
    #[must_use]
    pub fn responded_at(&self) -> Option<DateTime<Utc>> {
        self.closed_at.filter(|_| self.reply.is_some())
    }
}

/// A question with the instance that asks it.
#[derive(Debug, Clone, QueryableByName)]
pub struct ApprovalRow {
    /// The instance.
    #[diesel(embed)]
    pub ti: TiRow,
    /// Its question.
    #[diesel(embed)]
    pub question: QuestionRow,
}

const SELECT: &str = concat!(
    include_str!("api_ti.sql"),
    ", a.try_number AS asked_by_try, a.number, a.subject, a.body, a.terms, a.asked_at, a.deadline, a.closed_at, a.responded_by, a.reply"
);

// The question of the current try alone: what an instance that runs again once asked is history.
macro_rules! from {
    ($approvals:literal) => {
        concat!(
            $approvals,
            " a JOIN task_instance t ON t.run_key = a.run_key AND t.index = a.index AND t.try_number = a.try_number \
             AND t.state <> 'none' JOIN dag_run r ON r.key = t.run_key JOIN dag_version v ON v.id = r.version_id \
             LEFT JOIN job j ON j.id = t.worker LEFT JOIN rendered_fields f ON f.run_key = t.run_key \
             AND f.index = t.index AND f.try_number = t.try_number"
        )
    };
}

const COLUMNS: Columns = Columns {
    names: &[
        ("ti_id", "a.run_key"),
        ("run_key", "a.run_key"),
        ("subject", "a.subject"),
        ("body", "a.body"),
        ("created_at", "a.asked_at"),
        ("responded_at", "CASE WHEN a.reply IS NOT NULL THEN a.closed_at END"),
        ("response_received", "(a.reply IS NOT NULL)"),
        ("responded_by_user_id", "a.responded_by"),
        ("responded_by_user_name", "a.responded_by"),
        ("assigned_users", "a.assigned_users"),
        ("dag_id", "r.dag_id"),
        ("run_id", "r.run_id"),
        ("task_id", "t.task_id"),
        ("task_display_name", "t.task_id"),
        ("map_index_number", "t.map_index::bigint"),
        ("rendered_map_index", "(t.rendered_map_index, t.map_index)"),
        ("run_after", "r.run_after"),
        ("task_instance_operator", "t.operator"),
        ("task_instance_state", "t.state"),
    ],
    tie: "a.run_key, a.index",
};

/// Which questions a list has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    All,
    /// Those to which an answer is wanted: as cheap as there are few of them, however many were ever asked.
    Open,
}

impl Store {
    /// A list of questions and how many there are in all.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a column that does not exist.
    pub async fn approvals(&self, which: Which, ask: &Ask) -> Result<(Vec<ApprovalRow>, i64), Error> {
        let from = match which {
            Which::All => from!("approval"),
            Which::Open => from!("(SELECT * FROM approval WHERE closed_at IS NULL)"),
        };
        ask.statements(&COLUMNS, SELECT, from)?.load(self).await
    }

    /// What a try of an instance asks or asked.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn question(
        &self,
        run_key: i64,
        index: i32,
        try_number: i32,
    ) -> Result<Option<QuestionRow>, Error> {
        let query = One { run_key: &run_key, index: &index, try_number: &try_number };
        let mut conn = self.conn().await?;
        Ok(query.get_result(&mut conn).await.optional()?)
    }
}

hot_query! {
    One { run_key: i64 => BigInt, index: i32 => Integer, try_number: i32 => Integer }
    "SELECT try_number AS asked_by_try, number, subject, body, terms, asked_at, deadline, closed_at, responded_by, reply
     FROM approval WHERE run_key = $1 AND index = $2 AND try_number = $3"
}
