DROP SEQUENCE past_run_key;
