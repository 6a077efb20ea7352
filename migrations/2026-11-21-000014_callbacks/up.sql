-- What the callbacks of an Airflow DAG file wrote when they ran, which are told to as alerts are.
ALTER TABLE alert ADD COLUMN log text;
