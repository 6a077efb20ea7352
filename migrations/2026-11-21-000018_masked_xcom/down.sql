DROP VIEW shown_xcom;
DROP TABLE masked_xcom;
