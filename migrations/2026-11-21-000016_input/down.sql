ALTER TABLE approval DROP number;
DROP INDEX deferral_open;
DELETE FROM deferral WHERE classpath IS NULL;
ALTER TABLE deferral ALTER classpath SET NOT NULL;
CREATE INDEX deferral_open ON deferral (worker, deferred_at) WHERE resumption IS NULL;
