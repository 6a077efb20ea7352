"""An Airflow of its own: no configuration, no examples, an SQLite database in a folder that goes away at the end."""

import logging
import os
import tempfile
import warnings
from datetime import datetime, timezone

FOLDER = tempfile.TemporaryDirectory()
os.environ.update(
    AIRFLOW_HOME=FOLDER.name,
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__LOGGING__LOGGING_LEVEL="CRITICAL",
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{FOLDER.name}/airflow.db",
)
warnings.filterwarnings("ignore")

import airflow.models
from airflow import settings
from airflow.models.base import Base
from airflow.models.dagbundle import DagBundleModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk import BaseOperator
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import DagSerialization, LazyDeserializedDAG
from airflow.utils.db import synchronize_log_template
from airflow.utils.state import DagRunState
from airflow.utils.types import DagRunTriggeredByType, DagRunType

logging.disable(logging.CRITICAL)
assert airflow.__version__ == "3.3.2", airflow.__version__
airflow.models.import_all_models()
Base.metadata.create_all(settings.engine)
session = settings.Session()
synchronize_log_template(session=session)
session.add(DagBundleModel(name="b"))
session.commit()

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Op(BaseOperator):
    """A task that is never executed here; `x` is what it may be mapped over."""

    def __init__(self, x=None, y=None, **kwargs):
        super().__init__(**kwargs)


def serialized(dag):
    """The DAG as Airflow's scheduler sees it."""
    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))


def start(dag):
    """A running run of the DAG in the database, with its task instances by id."""
    SerializedDAG.bulk_write_to_db("b", None, [dag], session=session)
    SerializedDagModel.write_dag(LazyDeserializedDAG.from_dag(dag), bundle_name="b", session=session)
    session.flush()
    scheduled = serialized(dag)
    run = scheduled.create_dagrun(
        run_id="r", logical_date=START, data_interval=(START, START), run_after=START, start_date=START,
        run_type=DagRunType.MANUAL, state=DagRunState.RUNNING, triggered_by=DagRunTriggeredByType.TEST, session=session,
    )
    run.dag = scheduled
    session.flush()
    return run, {ti.task_id: ti for ti in run.get_task_instances(session=session)}
