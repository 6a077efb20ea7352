//! `trigger_dag`: renders what the run is given. The run itself is started by the engine, in the turn that takes in this try's end.

use chrono::{DateTime, NaiveDate, Utc};
use domain::id::{DagId, RunId};
use domain::outcome::{MAX_XCOM_BYTES, RETURN_VALUE};
use domain::wait::{TriggerDag, TriggerRequest};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::{Done, On, Request, Work};
use crate::template::{Error, Renderer};

/// A rendered request.
pub(crate) struct Trigger {
    dag_id: String,
    run_id: Option<String>,
    logical_date: Option<String>,
    conf: Value,
    task: TriggerDag,
    /// What its run has left, when that has ended.
    output: Option<Value>,
}

/// Renders the request.
pub(crate) async fn prepare(task: &TriggerDag, renderer: &mut Renderer<'_>) -> Result<Trigger, Error> {
    let run_id = match &task.run_id {
        Some(run_id) => Some(renderer.text("trigger_dag.run_id", run_id).await?),
        None => None,
    };
    let logical_date = match &task.logical_date {
        Some(date) => Some(renderer.text("trigger_dag.logical_date", date).await?),
        None => None,
    };
    Ok(Trigger {
        dag_id: renderer.text("trigger_dag.dag_id", &task.dag_id).await?,
        run_id,
        logical_date,
        conf: renderer.json("trigger_dag.conf", &Value::Object(task.conf.clone())).await?,
        output: renderer.output("trigger_dag.output", task.then.output.as_ref()).await?,
        task: task.clone(),
    })
}

impl Work for Trigger {
    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::from_iter([
            ("trigger_dag_id".to_owned(), self.dag_id.clone().into()),
            ("conf".to_owned(), self.conf.clone()),
        ]);
        fields.extend(self.run_id.clone().map(|id| ("trigger_run_id".to_owned(), id.into())));
        fields.extend(self.logical_date.clone().map(|date| ("logical_date".to_owned(), date.into())));
        fields
    }

    fn run<'a>(&'a self, on: &'a On<'a>) -> BoxFuture<'a, Done> {
        if let Some(output) = &self.output {
            on.begin(&format!("what the run of DAG {} has left", self.dag_id));
            let xcoms = indexmap::IndexMap::from([(RETURN_VALUE.to_owned(), output.clone())]);
            return Box::pin(async { Done::success(xcoms) });
        }
        on.begin(&format!("a run of DAG {}", self.dag_id));
        let done = match self.request() {
            Ok(request) => Done::deferred(Request::Run(request)),
            Err(reason) => Done::failed_for_good(reason),
        };
        Box::pin(async { done })
    }
}

impl Trigger {
    fn request(&self) -> Result<TriggerRequest, String> {
        let dag_id = DagId::new(self.dag_id.trim()).map_err(|error| error.to_string())?;
        let run_id = self.run_id.as_ref().map(|id| RunId::new(id.trim())).transpose();
        let run_id = run_id.map_err(|error| error.to_string())?;
        let logical_date = self.logical_date.as_deref().map(moment).transpose()?;
        let Value::Object(conf) = self.conf.clone() else {
            return Err("`conf` must be a mapping of names to values".to_owned());
        };
        if self.conf.to_string().len() > MAX_XCOM_BYTES {
            return Err(format!("`conf` has more than {MAX_XCOM_BYTES} bytes of JSON"));
        }
        Ok(TriggerRequest { dag_id, run_id, logical_date, conf, then: self.task.then.clone() })
    }
}

fn moment(text: &str) -> Result<DateTime<Utc>, String> {
    let text = text.trim();
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    let moment = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).ok();
    moment.or_else(|| day().map(|day| day.and_utc())).ok_or_else(|| {
        format!("the logical date became {text:?}, which is no date such as 2026-01-31T06:00:00+00:00")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logical_dates() {
        assert_eq!(moment("2026-01-31").unwrap(), moment("2026-01-31T01:00:00+01:00").unwrap());
        assert!(moment("").unwrap_err().contains("no date"));
    }
}
