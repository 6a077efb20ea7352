-- Questions that tasks put to people, one for each try that asks. The engine's commit inserts and closes them; those that are closed stay
-- as the record of who decided what. A closed one without a reply was withdrawn; a reply without a name is that of the timeout.
CREATE TABLE approval (
    run_key bigint NOT NULL REFERENCES dag_run (key) ON DELETE CASCADE,
    index integer NOT NULL,
    try_number integer NOT NULL,
    subject text NOT NULL,
    body text,
    terms json NOT NULL,
    -- Those of the terms who may answer; empty is everybody.
    assigned_users text[] NOT NULL,
    asked_at timestamptz NOT NULL,
    deadline timestamptz,
    closed_at timestamptz,
    responded_by text,
    reply json,
    PRIMARY KEY (run_key, index, try_number),
    CONSTRAINT closed_when_answered CHECK (reply IS NULL OR closed_at IS NOT NULL),
    CONSTRAINT answered_when_by_somebody CHECK (responded_by IS NULL OR reply IS NOT NULL)
);
CREATE INDEX approval_open ON approval (asked_at DESC) WHERE closed_at IS NULL;
