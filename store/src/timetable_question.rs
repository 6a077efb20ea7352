//! Questions to the timetables of plugins. Only a scheduler can run these, so whoever wants to know something of one leaves a row and looks
//! for the answer.

use std::{future::Future, time::Duration};

use diesel::{
    OptionalExtension, QueryableByName,
    sql_types::{BigInt, Json, Nullable},
};
use diesel_async::RunQueryDsl;
use domain::timetable::asked::{Answer, Question};
use tokio::time::{Instant, sleep};

use crate::{
    Error, Store,
    column::{FromJson, ToJson},
    hot::hot_query,
};

/// How long an answer is waited for: longer than a program may take, and the start of a child.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often is looked whether there is one.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// A question that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its number.
    pub id: i64,
    /// What is asked.
    pub question: Question,
}

impl Store {
    /// Asks a timetable, has the bell of the schedulers rung, and waits for the answer; `None` when there was none in time.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn ask_timetable(
        &self,
        question: &Question,
        ring: impl Future<Output = ()>,
    ) -> Result<Option<Answer>, Error> {
        let question = ToJson::of(question)?;
        let id = {
            let mut conn = self.conn().await?;
            Ask { question: &question }.get_result::<IdRow>(&mut conn).await?.id
        };
        let deadline = Instant::now() + PATIENCE;
        ring.await;
        let mut answer = None;
        while answer.is_none() && Instant::now() < deadline {
            sleep(LOOK_EVERY).await;
            let mut conn = self.conn().await?;
            let row: Option<AnswerRow> = AnswerOf { id: &id }.get_result(&mut conn).await.optional()?;
            answer = row.and_then(|row| row.answer).map(|answer| answer.0);
        }
        Forget { id: &id }.execute(&mut self.conn().await?).await?;
        Ok(answer)
    }

    /// Questions without an answer, oldest first. Those that nobody can be waiting for any more are forgotten.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn timetable_questions(&self, most: u32) -> Result<Vec<Open>, Error> {
        let mut conn = self.conn().await?;
        let rows: Vec<OpenRow> = OpenQuestions { most: &i64::from(most) }.load(&mut conn).await?;
        if !rows.is_empty() {
            ForgetOld {}.execute(&mut conn).await?;
        }
        Ok(rows.into_iter().map(|row| Open { id: row.id, question: row.question.0 }).collect())
    }

    /// Writes down what a timetable answered.
    ///
    /// # Errors
    /// Only when the database fails.
    pub async fn answer_timetable(&self, id: i64, answer: &Answer) -> Result<(), Error> {
        let answer = ToJson::of(answer)?;
        WriteAnswer { id: &id, answer: &answer }.execute(&mut self.conn().await?).await?;
        Ok(())
    }
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct AnswerRow {
    #[diesel(sql_type = Nullable<Json>)]
    answer: Option<FromJson<Answer>>,
}

#[derive(QueryableByName)]
struct OpenRow {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Json)]
    question: FromJson<Question>,
}

hot_query! {
    Ask { question: ToJson => Json }
    "INSERT INTO timetable_question (question) VALUES ($1) RETURNING id"
}

hot_query! {
    AnswerOf { id: i64 => BigInt }
    "SELECT answer FROM timetable_question WHERE id = $1"
}

hot_query! {
    Forget { id: i64 => BigInt }
    "DELETE FROM timetable_question WHERE id = $1"
}

hot_query! {
    OpenQuestions { most: i64 => BigInt }
    "SELECT id, question FROM timetable_question WHERE answer IS NULL AND asked_at > now() - interval '1 minute' ORDER BY id LIMIT $1"
}

hot_query! {
    ForgetOld {}
    "DELETE FROM timetable_question WHERE asked_at <= now() - interval '1 minute'"
}

hot_query! {
    WriteAnswer { id: i64 => BigInt, answer: ToJson => Json }
    "UPDATE timetable_question SET answer = $2 WHERE id = $1"
}
