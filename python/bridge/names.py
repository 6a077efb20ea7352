"""Which names of Airflow 1.10 and 2 are gone in Airflow 3, and what takes their places. Only tables.

A target is `module:attribute`; under `*` stands a module that has all other names. What Airflow itself still provides, with or
without a warning, is not listed: its own names always come first.
"""

STANDARD = "airflow.providers.standard"
SQL = "airflow.providers.common.sql"
EMPTY = f"{STANDARD}.operators.empty:EmptyOperator"
OWN = "tradewind_bridge.stand_ins"

BASH = {"*": f"{STANDARD}.operators.bash"}
PYTHON = {"*": f"{STANDARD}.operators.python"}
DUMMY = {"DummyOperator": EMPTY, "EmptyOperator": EMPTY}
TRIGGER = {"*": f"{STANDARD}.operators.trigger_dagrun"}
EXTERNAL = {
    "ExternalTaskSensorLink": f"{STANDARD}.sensors.external_task:ExternalDagLink",
    "*": f"{STANDARD}.sensors.external_task",
}
CHECK = {
    "CheckOperator": f"{SQL}.operators.sql:SQLCheckOperator",
    "ValueCheckOperator": f"{SQL}.operators.sql:SQLValueCheckOperator",
    "IntervalCheckOperator": f"{SQL}.operators.sql:SQLIntervalCheckOperator",
    "ThresholdCheckOperator": f"{SQL}.operators.sql:SQLThresholdCheckOperator",
    "*": f"{SQL}.operators.sql",
}
DATASETS = {
    "Dataset": "airflow.sdk:Asset",
    "DatasetAlias": "airflow.sdk:AssetAlias",
    "DatasetAll": "airflow.sdk:AssetAll",
    "DatasetAny": "airflow.sdk:AssetAny",
    "expand_alias_to_datasets": "airflow.models.asset:expand_alias_to_assets",
}

# Modules that are not there any more.
MODULES = {
    # Airflow 1.10, and 2 with a warning
    "airflow.hooks.base_hook": {"BaseHook": "airflow.sdk:BaseHook"},
    "airflow.operators.bash_operator": BASH,
    "airflow.operators.branch_operator": {"*": "airflow.sdk.bases.branch"},
    "airflow.operators.check_operator": CHECK,
    "airflow.operators.dagrun_operator": TRIGGER,
    "airflow.operators.dummy_operator": DUMMY,
    "airflow.operators.email_operator": {"*": "airflow.providers.smtp.operators.smtp"},
    "airflow.operators.latest_only_operator": {"*": f"{STANDARD}.operators.latest_only"},
    "airflow.operators.python_operator": PYTHON,
    "airflow.operators.sql_branch_operator": {"*": f"{SQL}.operators.sql"},
    "airflow.sensors.base_sensor_operator": {"*": "airflow.sdk.bases.sensor"},
    "airflow.sensors.date_time_sensor": {"*": f"{STANDARD}.sensors.date_time"},
    "airflow.sensors.external_task_sensor": EXTERNAL,
    "airflow.sensors.sql_sensor": {"*": f"{SQL}.sensors.sql"},
    "airflow.sensors.time_delta_sensor": {"*": f"{STANDARD}.sensors.time_delta"},
    "airflow.sensors.weekday_sensor": {"*": f"{STANDARD}.sensors.weekday"},
    "airflow.contrib": {},
    "airflow.contrib.hooks": {},
    "airflow.contrib.hooks.fs_hook": {"*": f"{STANDARD}.hooks.filesystem"},
    "airflow.contrib.operators": {},
    "airflow.contrib.sensors": {},
    "airflow.contrib.sensors.bash_sensor": {"*": f"{STANDARD}.sensors.bash"},
    "airflow.contrib.sensors.datetime_sensor": {"*": f"{STANDARD}.sensors.date_time"},
    "airflow.contrib.sensors.file_sensor": {"*": f"{STANDARD}.sensors.filesystem"},
    "airflow.contrib.sensors.python_sensor": {"*": f"{STANDARD}.sensors.python"},
    "airflow.contrib.sensors.weekday_sensor": {"*": f"{STANDARD}.sensors.weekday"},
    # Airflow 2
    "airflow.datasets": DATASETS,
    "airflow.datasets.metadata": {"Metadata": "airflow.sdk:Metadata"},
    "airflow.decorators.python": {"*": f"{STANDARD}.decorators.python"},
    "airflow.decorators.task_group": {"task_group": "airflow.sdk:task_group"},
    "airflow.hooks.dbapi": {"*": f"{SQL}.hooks.sql"},
    "airflow.hooks.dbapi_hook": {"*": f"{SQL}.hooks.sql"},
    "airflow.lineage.entities": {"*": "airflow.providers.common.compat.lineage.entities"},
    "airflow.models.mappedoperator": {"MappedOperator": "airflow.sdk.definitions.mappedoperator:MappedOperator"},
    "airflow.operators.dummy": DUMMY,
    "airflow.operators.sql": CHECK,
    "airflow.sensors.sql": {"*": f"{SQL}.sensors.sql"},
    "airflow.timetables.datasets": {"DatasetOrTimeSchedule": "airflow.timetables.assets:AssetOrTimeSchedule"},
    "airflow.utils.dag_parsing_context": {"get_parsing_context": "airflow.sdk:get_parsing_context"},
    "airflow.utils.log.secrets_masker": {
        "mask_secret": "airflow.sdk.log:mask_secret",
        "*": "airflow.sdk._shared.secrets_masker",
    },
    "airflow.utils.module_loading": {"*": "airflow.sdk._shared.module_loading"},
    "airflow.utils.python_virtualenv": {"*": f"{STANDARD}.utils.python_virtualenv"},
}

# What moved to a package of its own: the old module, and the module that has its names.
MOVED = {
    "airflow.contrib.hooks.aws_hook": "airflow.providers.amazon.aws.hooks.base_aws",
    "airflow.contrib.hooks.bigquery_hook": "airflow.providers.google.cloud.hooks.bigquery",
    "airflow.contrib.hooks.ftp_hook": "airflow.providers.ftp.hooks.ftp",
    "airflow.contrib.hooks.gcs_hook": "airflow.providers.google.cloud.hooks.gcs",
    "airflow.contrib.hooks.mongo_hook": "airflow.providers.mongo.hooks.mongo",
    "airflow.contrib.hooks.redis_hook": "airflow.providers.redis.hooks.redis",
    "airflow.contrib.hooks.sftp_hook": "airflow.providers.sftp.hooks.sftp",
    "airflow.contrib.hooks.slack_webhook_hook": "airflow.providers.slack.hooks.slack_webhook",
    "airflow.contrib.hooks.snowflake_hook": "airflow.providers.snowflake.hooks.snowflake",
    "airflow.contrib.hooks.ssh_hook": "airflow.providers.ssh.hooks.ssh",
    "airflow.contrib.operators.bigquery_operator": "airflow.providers.google.cloud.operators.bigquery",
    "airflow.contrib.operators.kubernetes_pod_operator": "airflow.providers.cncf.kubernetes.operators.pod",
    "airflow.contrib.operators.sftp_operator": "airflow.providers.sftp.operators.sftp",
    "airflow.contrib.operators.slack_webhook_operator": "airflow.providers.slack.operators.slack_webhook",
    "airflow.contrib.operators.spark_submit_operator": "airflow.providers.apache.spark.operators.spark_submit",
    "airflow.contrib.operators.ssh_operator": "airflow.providers.ssh.operators.ssh",
    "airflow.contrib.sensors.ftp_sensor": "airflow.providers.ftp.sensors.ftp",
    "airflow.contrib.sensors.sftp_sensor": "airflow.providers.sftp.sensors.sftp",
    "airflow.hooks.S3_hook": "airflow.providers.amazon.aws.hooks.s3",
    "airflow.hooks.docker_hook": "airflow.providers.docker.hooks.docker",
    "airflow.hooks.hive_hooks": "airflow.providers.apache.hive.hooks.hive",
    "airflow.hooks.http_hook": "airflow.providers.http.hooks.http",
    "airflow.hooks.jdbc_hook": "airflow.providers.jdbc.hooks.jdbc",
    "airflow.hooks.mssql_hook": "airflow.providers.microsoft.mssql.hooks.mssql",
    "airflow.hooks.mysql_hook": "airflow.providers.mysql.hooks.mysql",
    "airflow.hooks.oracle_hook": "airflow.providers.oracle.hooks.oracle",
    "airflow.hooks.postgres_hook": "airflow.providers.postgres.hooks.postgres",
    "airflow.hooks.slack_hook": "airflow.providers.slack.hooks.slack",
    "airflow.hooks.sqlite_hook": "airflow.providers.sqlite.hooks.sqlite",
    "airflow.hooks.webhdfs_hook": "airflow.providers.apache.hdfs.hooks.webhdfs",
    "airflow.operators.docker_operator": "airflow.providers.docker.operators.docker",
    "airflow.operators.hive_operator": "airflow.providers.apache.hive.operators.hive",
    "airflow.operators.slack_operator": "airflow.providers.slack.operators.slack",
    "airflow.sensors.hive_partition_sensor": "airflow.providers.apache.hive.sensors.hive_partition",
    "airflow.sensors.http_sensor": "airflow.providers.http.sensors.http",
    "airflow.sensors.s3_key_sensor": "airflow.providers.amazon.aws.sensors.s3",
    "airflow.sensors.web_hdfs_sensor": "airflow.providers.apache.hdfs.sensors.web_hdfs",
}
MODULES.update({old: {"*": new} for old, new in MOVED.items()})
MODULES["airflow.operators.http_operator"] = {
    "SimpleHttpOperator": "airflow.providers.http.operators.http:HttpOperator",
    "*": "airflow.providers.http.operators.http",
}

# Names that modules which are still there do not have any more.
ATTRIBUTES = {
    "airflow.configuration": {
        name: f"airflow.configuration:conf.{name}"
        for name in ("get", "getboolean", "getfloat", "getint", "has_option", "as_dict", "set")
    },
    "airflow.decorators": {"apply_defaults": f"{OWN}:apply_defaults"},
    "airflow.exceptions": {"RemovedInAirflow3Warning": "builtins:DeprecationWarning"},
    "airflow.hooks.subprocess": {"*": f"{STANDARD}.hooks.subprocess"},
    "airflow.io": {"ObjectStoragePath": "airflow.sdk:ObjectStoragePath"},
    "airflow.lineage": {"apply_lineage": f"{OWN}:as_it_is", "prepare_lineage": f"{OWN}:as_it_is"},
    "airflow.models": {"XComArg": "airflow.sdk:XComArg"},
    "airflow.models.baseoperator": {"BaseOperatorLink": "airflow.sdk:BaseOperatorLink"},
    "airflow.models.dag": {"DagContext": "airflow.sdk.definitions._internal.contextmanager:DagContext"},
    "airflow.models.taskmixin": {"TaskMixin": "airflow.models.taskmixin:DependencyMixin"},
    "airflow.operators": {
        "BashOperator": f"{STANDARD}.operators.bash:BashOperator",
        "BranchPythonOperator": f"{STANDARD}.operators.python:BranchPythonOperator",
        "DummyOperator": EMPTY,
        "PythonOperator": f"{STANDARD}.operators.python:PythonOperator",
        "ShortCircuitOperator": f"{STANDARD}.operators.python:ShortCircuitOperator",
        "TriggerDagRunOperator": f"{STANDARD}.operators.trigger_dagrun:TriggerDagRunOperator",
    },
    "airflow.operators.python": {"task": "airflow.sdk:task"},
    "airflow.operators.trigger_dagrun": TRIGGER,
    "airflow.sensors": {
        "BaseSensorOperator": "airflow.sdk:BaseSensorOperator",
        "ExternalTaskSensor": f"{STANDARD}.sensors.external_task:ExternalTaskSensor",
    },
    "airflow.sensors.external_task": EXTERNAL,
    "airflow.timetables.simple": {
        "DatasetTriggeredTimetable": "airflow.timetables.simple:AssetTriggeredTimetable",
    },
    "airflow.utils.dag_cycle_tester": {"test_cycle": "airflow.utils.dag_cycle_tester:check_cycle"},
    "airflow.utils.dates": {
        name: f"{OWN}:{name}"
        for name in ("date_range", "days_ago", "infer_time_unit", "parse_execution_date", "round_time", "scale_time_units")
    },
    "airflow.utils.decorators": {"apply_defaults": f"{OWN}:apply_defaults"},
    "airflow.utils.file": {"TemporaryDirectory": "tempfile:TemporaryDirectory", "mkdirs": f"{OWN}:mkdirs"},
    "airflow.utils.helpers": {
        "chain": "airflow.sdk:chain",
        "cross_downstream": "airflow.sdk:cross_downstream",
    },
    "airflow.utils.operator_helpers": {
        "context_to_airflow_vars": "airflow.sdk.execution_time.context:context_to_airflow_vars",
    },
}

SUBDAG = (
    "SubDAGs were removed in Airflow 3: put the tasks into a TaskGroup (`from airflow.sdk import TaskGroup`), or into a DAG "
    "of its own that a TriggerDagRunOperator with wait_for_completion=True runs"
)
ONE_FOR_SQL = (
    "this operator was removed: use SQLExecuteQueryOperator of airflow.providers.common.sql.operators.sql with the same `sql`, "
    "and with the connection as `conn_id`"
)
NO_DATABASE = (
    "it changed Airflow's database, and there is none: use a TriggerDagRunOperator, or the REST API of the server"
)

# What has no successor of its own, and what to do instead.
GONE = {
    "airflow.api.common.experimental": NO_DATABASE,
    "airflow.api.common.trigger_dag": NO_DATABASE,
    "airflow.example_dags.subdags": SUBDAG,
    "airflow.operators.jdbc_operator": ONE_FOR_SQL,
    "airflow.operators.mssql_operator": ONE_FOR_SQL,
    "airflow.operators.mysql_operator": ONE_FOR_SQL,
    "airflow.operators.oracle_operator": ONE_FOR_SQL,
    "airflow.operators.postgres_operator": ONE_FOR_SQL,
    "airflow.operators.sqlite_operator": ONE_FOR_SQL,
    "airflow.operators.subdag": SUBDAG,
    "airflow.operators.subdag_operator": SUBDAG,
    "airflow.sensors.smart_sensor": "smart sensors were removed in Airflow 2.4: use a sensor with deferrable=True",
}
CONTRIB = "airflow.contrib was removed in Airflow 2: look for it in the package of its provider (apache-airflow-providers-...)"

# Providers whose packages have two words.
GROUPS = ("apache", "atlassian", "cncf", "common", "dbt", "microsoft")
