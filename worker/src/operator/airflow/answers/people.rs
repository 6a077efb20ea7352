//! Questions to people. A task asks first, and says then that it waits; the engine puts the question when the task has ended so, all at once.

use domain::approval::{Question, Terms};
use domain::dag::Param;
use domain::deferral::LeftTo;
use python::message::{AwaitInputTask, PeopleRequest, Reply, ToldQuestion};
use serde_json::{Map, Value};

use super::super::deferring::input;
use super::super::ending::Last;
use super::Answers;

impl Answers<'_> {
    pub(super) fn of_people(&mut self, asking: PeopleRequest) -> Reply {
        let answered = match asking {
            PeopleRequest::CreateHITLDetailPayload(told) => self.ask(told),
            PeopleRequest::AwaitInputTask(told) => self.wait_for_input(told),
            PeopleRequest::GetHITLDetailResponse { .. } | PeopleRequest::UpdateHITLDetail { .. } => {
                Err("only triggers ask for the answer to a question".to_owned())
            }
        };
        answered.unwrap_or_else(|reason| {
            self.on.output.note(&reason);
            Reply::refusal(400, &reason)
        })
    }

    fn ask(&mut self, mut told: ToldQuestion) -> Result<Reply, String> {
        let reply = Reply::question(&told);
        let output = self.on.output;
        told.subject = output.masked(&told.subject);
        told.body = told.body.map(|body| output.masked(&body));
        let to = people(told);
        to.check().map(drop)?;
        self.told.question = Some(to);
        Ok(reply)
    }

    fn wait_for_input(&mut self, mut told: AwaitInputTask) -> Result<Reply, String> {
        let asked = self.told.question.take();
        let asked = asked.ok_or("it waits for an answer without having asked anything")?;
        let name = told.rendered_map_index.take();
        let deferral = input(told, asked)?;
        Ok(self.end(Last::Defers(Box::new(deferral)), name))
    }
}

/// A question as the records have it.
fn people(told: ToldQuestion) -> LeftTo {
    let ToldQuestion { options, subject, body, defaults, multiple, params, assigned_users, .. } = told;
    let users = assigned_users.unwrap_or_default();
    let terms = Terms {
        options,
        defaults: defaults.unwrap_or_default(),
        multiple: multiple.unwrap_or_default(),
        params: params.unwrap_or_default().into_iter().map(|(name, told)| (name, param(told))).collect(),
        assigned_users: users.into_iter().map(|user| user.id).collect(),
    };
    LeftTo::People { question: Question { subject, body }, terms: Box::new(terms) }
}

// Airflow has null both for no default and for one that is null. Whoever may not answer null has to say something.
fn param(told: Value) -> Param {
    let is_param = |told: &Map<String, Value>| ["value", "schema"].iter().all(|key| told.contains_key(*key));
    let Value::Object(mut told) = told else { return plain(told) };
    if !is_param(&told) {
        return plain(Value::Object(told));
    }
    let schema = told.remove("schema").filter(Value::is_object);
    let schema = schema.unwrap_or_else(|| Value::Object(Map::new()));
    let value = told.remove("value").filter(|value| !value.is_null() || may_be_null(&schema));
    let description = told.get("description").and_then(Value::as_str).map(str::to_owned);
    Param { default: value, description, schema }
}

fn plain(default: Value) -> Param {
    Param { default: Some(default), description: None, schema: Value::Object(Map::new()) }
}

fn may_be_null(schema: &Value) -> bool {
    match schema.get("type") {
        None => true,
        Some(Value::String(name)) => name == "null",
        Some(Value::Array(names)) => names.iter().any(|name| name == "null"),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use python::message::ToldUser;
    use serde_json::json;

    use super::*;

    fn told(params: Value, options: &[&str]) -> ToldQuestion {
        ToldQuestion {
            ti_id: String::new(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            subject: "Well?".to_owned(),
            body: None,
            defaults: None,
            multiple: None,
            params: params.as_object().cloned(),
            assigned_users: Some(vec![ToldUser { id: "ada".to_owned(), name: "Ada".to_owned() }]),
        }
    }

    #[test]
    fn a_question_becomes_ours() {
        let params = json!({
            "rows": {"value": 7, "description": "How many", "schema": {"type": "integer"}, "source": "task"},
            "must": {"value": null, "description": null, "schema": {"type": "string"}},
            "may": {"value": null, "description": null, "schema": {"type": ["null", "string"]}},
            "bare": {"any": "object"},
        });
        let LeftTo::People { question, terms } = people(told(params, &["OK"])) else { panic!() };
        assert_eq!((question.subject.as_str(), &terms.assigned_users), ("Well?", &vec!["ada".to_owned()]));
        let defaults: Vec<_> = terms.params.values().map(|param| param.default.clone()).collect();
        let expected = [Some(json!(7)), None, Some(Value::Null), Some(json!({"any": "object"}))];
        assert_eq!(defaults, expected);
        assert_eq!(terms.params["rows"].description.as_deref(), Some("How many"));
        assert_eq!(terms.check(), Ok(()));
    }

    #[test]
    fn what_people_cannot_be_asked_is_said() {
        let reason = people(told(Value::Null, &[])).check().unwrap_err();
        assert!(reason.starts_with("its question cannot be put to people: it has 0 options"), "{reason}");
    }
}
