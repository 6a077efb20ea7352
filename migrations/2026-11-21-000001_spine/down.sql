DROP TABLE event_log, sign_in_link, session, account, connection, variable, pool, job, lease, inbox, xcom,
    rendered_fields, task_try, task_instance, dag_run, import_error, dag, dag_version;
DROP SEQUENCE run_key;
