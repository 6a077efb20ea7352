//! What children ask of people. Source: Airflow 3.3.2 `HITLDetailRequest`, `TIAwaitingInputStatePayload`, `HITLDetailResponse`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Reply;

/// What a child asks or tells of a question to people.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type")]
pub enum PeopleRequest {
    /// The question, before the task waits for the answer.
    CreateHITLDetailPayload(ToldQuestion),
    /// The task waits for the answer.
    AwaitInputTask(AwaitInputTask),
    /// How the question of a try stands; only triggers ask that.
    GetHITLDetailResponse {
        /// The try.
        ti_id: String,
    },
    /// An answer of the program itself; only triggers give one.
    UpdateHITLDetail {
        /// The try.
        ti_id: String,
    },
}

/// A question to people, as an operator with a human in the loop asks it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToldQuestion {
    /// The try that asks.
    pub ti_id: String,
    /// What may be chosen.
    pub options: Vec<String>,
    /// The question in one line.
    pub subject: String,
    /// What one has to know to answer it, in Markdown.
    #[serde(default)]
    pub body: Option<String>,
    /// What counts as chosen when nobody answers in time.
    #[serde(default)]
    pub defaults: Option<Vec<String>>,
    /// More than one option may be chosen.
    #[serde(default)]
    pub multiple: Option<bool>,
    /// What is to be filled in: by name `{"value": …, "description": …, "schema": …}`, or a value alone.
    #[serde(default)]
    pub params: Option<Map<String, Value>>,
    /// Who may answer.
    #[serde(default)]
    pub assigned_users: Option<Vec<ToldUser>>,
}

/// A user, as Airflow names one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldUser {
    /// What tells users apart.
    pub id: String,
    /// What people call them.
    pub name: String,
}

/// A task that waits for the answer to its question.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct AwaitInputTask {
    /// The longest time that this may take, in ISO 8601 (`PT30S`).
    #[serde(default)]
    pub timeout: Option<String>,
    /// The method that goes on.
    pub next_method: String,
    /// What that is given beside the event.
    #[serde(default)]
    pub next_kwargs: Option<Map<String, Value>>,
    /// What the instance is called beside its mapped index.
    #[serde(default)]
    pub rendered_map_index: Option<String>,
}

impl Reply {
    /// The question as it was asked.
    #[must_use]
    pub fn question(told: &ToldQuestion) -> Self {
        let mut body = json!(told);
        body["type"] = "HITLDetailRequestResult".into();
        Self::Body(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Asked, asked};

    #[test]
    fn a_question_is_read_and_told_back() {
        let body = json!({
            "type": "CreateHITLDetailPayload", "ti_id": "7", "options": ["OK"], "subject": "Well?", "body": null,
            "params": {"z": {"value": 1, "schema": {}}, "a": 2}, "assigned_users": [{"id": "1", "name": "ada"}],
        });
        let Ok(Asked::People(PeopleRequest::CreateHITLDetailPayload(told))) = asked(&body) else { panic!() };
        let names: Vec<&String> = told.params.as_ref().unwrap().keys().collect();
        assert_eq!(names, ["z", "a"], "the order of the form");
        let Reply::Body(back) = Reply::question(&told) else { panic!() };
        assert_eq!((&back["type"], &back["subject"]), (&json!("HITLDetailRequestResult"), &json!("Well?")));
        let waits = asked(&json!({"type": "AwaitInputTask", "state": "awaiting_input", "next_method": "go"}));
        assert!(matches!(waits, Ok(Asked::People(PeopleRequest::AwaitInputTask(_)))));
    }
}
