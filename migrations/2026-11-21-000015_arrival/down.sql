DROP TABLE dag_arrival;
