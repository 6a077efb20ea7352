-- Tasks that ask people and go on with the answer (domain/src/deferral.rs). A deferral without a class is one to people: no worker takes it.
ALTER TABLE deferral ALTER classpath DROP NOT NULL;
DROP INDEX deferral_open;
CREATE INDEX deferral_open ON deferral (worker, deferred_at) WHERE resumption IS NULL AND classpath IS NOT NULL;
-- Which question of its try it is; the last one is kept.
ALTER TABLE approval ADD number integer NOT NULL DEFAULT 0;
