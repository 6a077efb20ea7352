ALTER TABLE dag_version DROP listing;
