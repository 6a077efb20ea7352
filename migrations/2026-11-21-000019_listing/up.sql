-- What a timetable that a plugin brings answered when it was asked last (domain/src/timetable/listed.rs). Beside the contents: it changes, they do not.
ALTER TABLE dag_version ADD listing json;
