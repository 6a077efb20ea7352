-- What was found out about the deadlines of a run when it was created, and which of Airflow's it has behind itself (domain/src/deadline/basis.rs).
ALTER TABLE dag_run ADD COLUMN bases json;
