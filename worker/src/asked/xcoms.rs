//! XComs of whichever instance is named. What a try leaves for itself is remembered with its end: `operator/airflow/answers.rs`.

use domain::id::{RunKey, TaskId, TryKey};
use domain::outcome::MAX_XCOM_BYTES;
use python::message::{Reply, XComOf};
use serde_json::Value;
use store::Store;
use store::asked::{Left, XComAt};
use store::masked_xcom::Masked;

use super::Asker;
use crate::backend::Unavailable;

impl Asker<'_> {
    /// It is of the run in which the asking task runs.
    pub(crate) fn is_own_run(&self, of: &XComOf) -> bool {
        self.task.is_some_and(|on| of.dag_id == on.dag.dag_id.as_str() && of.run_id == on.run.run_id.as_str())
    }

    /// The run of an XCom.
    ///
    /// # Errors
    /// When the records cannot be read for a while.
    pub(crate) async fn run(&self, of: &XComOf) -> Result<Option<RunKey>, Unavailable> {
        match self.task.filter(|_| self.is_own_run(of)) {
            Some(on) => Ok(Some(on.attempt.ti.run)),
            None => self.backend.run(&of.dag_id, &of.run_id).await,
        }
    }

    /// An XCom that is in the records; that of the newest earlier run, if its own has none and `with_prior`.
    ///
    /// # Errors
    /// When the records cannot be read for a while.
    pub(crate) async fn xcom(
        &self,
        of: &XComOf,
        map_index: i32,
        with_prior: bool,
    ) -> Result<Reply, Unavailable> {
        let Some(run) = self.run(of).await? else { return Ok(Reply::xcom(&of.key, None)) };
        let (task_id, key) = (of.task_id.as_str(), of.key.as_str());
        let found = if with_prior {
            let find = |store: Store| async move { store.newest_xcom(run, task_id, map_index, key).await };
            self.records()?.ask("the XComs of", task_id, find).await?
        } else {
            self.backend.instance(run, task_id, key, map_index).await?
        };
        Ok(Reply::xcom(key, found))
    }

    /// Writes an XCom of an instance. Airflow lets every task and trigger write those of all instances. Source: Airflow 3.3.2
    /// `execution_api/routes/xcoms.py` (`has_xcom_access`, `set_xcom`).
    ///
    /// # Errors
    /// When the records cannot be written for a while.
    pub(crate) async fn leave(
        &self,
        of: &XComOf,
        map_index: i32,
        value: &Value,
    ) -> Result<Reply, Unavailable> {
        if let Err(error) = store::xcom::check_key(&of.key) {
            return Ok(Reply::refusal(400, &error.to_string()));
        }
        let size = of.key.len() + value.to_string().len();
        if size > MAX_XCOM_BYTES {
            let text =
                format!("an XCom has at most {MAX_XCOM_BYTES} bytes, not {size}: keep large values in files");
            return Ok(Reply::refusal(413, &text));
        }
        self.mask(of, map_index, value).await?;
        let (by, at) = (self.attempt(), place(of, map_index));
        let leave = |store: Store| async move { store.leave_xcom_at(by, at, value).await };
        let XComOf { dag_id, run_id, task_id, key } = of;
        Ok(match self.records()?.ask("the XCom", key, leave).await? {
            Left::Written => Reply::noted(),
            Left::TooLate => Reply::refusal(409, "this try does not count any more"),
            Left::NoRun => {
                Reply::refusal(404, &format!("DAG run not found on DAG '{dag_id}' with ID '{run_id}'"))
            }
            Left::NoInstance => {
                let text = format!(
                    "run '{run_id}' of DAG '{dag_id}' has no instance {map_index} of task '{task_id}'"
                );
                Reply::refusal(404, &text)
            }
        })
    }

    /// What is shown of an XCom is there before the XCom is.
    async fn mask(&self, of: &XComOf, map_index: i32, value: &Value) -> Result<(), Unavailable> {
        let Some(shown) = self.secrets.masked_value(value) else { return Ok(()) };
        let (Some(run), Ok(task_id)) = (self.run(of).await?, TaskId::new(&of.task_id)) else { return Ok(()) };
        let (key, value) = (of.key.clone(), value.clone());
        let masked = &Masked { run, task_id, map_index, key, value, shown };
        let mask = |store: Store| async move { store.mask_xcom(masked).await };
        self.records()?.ask("what is shown of the XCom", &of.key, mask).await
    }

    /// Deletes an XCom of an instance. Airflow does not mind when there is none.
    ///
    /// # Errors
    /// When the records cannot be written for a while.
    pub(crate) async fn take_back(&self, of: &XComOf, map_index: i32) -> Result<Reply, Unavailable> {
        let (by, at) = (self.attempt(), place(of, map_index));
        let take_back = |store: Store| async move { store.take_back_xcom_at(by, at).await };
        self.records()?.ask("the XCom", &of.key, take_back).await?;
        Ok(Reply::noted())
    }

    fn attempt(&self) -> Option<TryKey> {
        self.task.map(|on| on.attempt)
    }
}

fn place(of: &XComOf, map_index: i32) -> XComAt<'_> {
    XComAt { dag_id: &of.dag_id, run_id: &of.run_id, task_id: &of.task_id, map_index, key: &of.key }
}
