-- Runs that ended before this installation knew of them have keys below zero: the engine counts up from 1.
CREATE SEQUENCE past_run_key INCREMENT BY -1 MAXVALUE -1 START WITH -1;
