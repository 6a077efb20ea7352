DROP TABLE trigger_key;
