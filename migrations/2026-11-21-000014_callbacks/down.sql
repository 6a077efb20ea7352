ALTER TABLE alert DROP COLUMN log;
DELETE FROM alert WHERE channel = 'callback';
