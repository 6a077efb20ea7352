//! What can go wrong in the store.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers at the database's address, or it turns us away.
    #[error("cannot reach the database{place}: {reason}")]
    Unreachable {
        /// Where it was looked for, with ` at ` in front and the password masked; empty when a connection broke.
        place: String,
        /// What happened and what to do about it.
        reason: String,
    },
    /// The tables are not those that this program was built for.
    #[error("the database has the schema {found}, this program needs {wanted}: {remedy}")]
    Schema {
        /// The newest migration that was applied, or `none`.
        found: String,
        /// The newest migration that this program knows.
        wanted: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A record is not what the caller believed it to be.
    #[error("{0}")]
    Conflict(String),
    /// The lease is held by another process, or ran out: nothing was written.
    #[error("this process is no longer the leader of `{shard}`: nothing was written")]
    Fenced {
        /// The lease's name.
        shard: String,
    },
    /// The request or a record makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The database refused a statement for another reason.
    #[error("the database refused a statement: {}", in_words(.0))]
    Database(#[source] DieselError),
}

impl Error {
    /// It may go away by itself: the same call may work in a moment.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }
}

/// How PostgreSQL refuses a text that has a NUL character.
const NUL: &str = "invalid byte sequence for encoding \"UTF8\": 0x00";

impl From<DieselError> for Error {
    fn from(error: DieselError) -> Self {
        let DieselError::DatabaseError(kind, about) = &error else {
            return Self::Database(error);
        };
        if is_a_clash(kind) {
            return Self::Conflict(in_words(&error));
        }
        if about.message().starts_with(NUL) {
            return Self::Invalid(
                "a text with a NUL character cannot be stored, and names nothing".to_owned(),
            );
        }
        if is_cut_off(kind, about.message()) {
            return Self::Unreachable { place: String::new(), reason: about.message().to_owned() };
        }
        Self::Database(error)
    }
}

const fn is_a_clash(kind: &DatabaseErrorKind) -> bool {
    matches!(
        kind,
        DatabaseErrorKind::UniqueViolation
            | DatabaseErrorKind::ForeignKeyViolation
            | DatabaseErrorKind::ExclusionViolation
            | DatabaseErrorKind::SerializationFailure
    )
}

/// The server says goodbye with an ordinary error, of which Diesel hands on the text alone.
fn is_cut_off(kind: &DatabaseErrorKind, message: &str) -> bool {
    let broken = matches!(kind, DatabaseErrorKind::UnableToSendCommand | DatabaseErrorKind::ClosedConnection);
    broken || message.starts_with("terminating connection") || message.starts_with("the database system is ")
}

fn in_words(error: &DieselError) -> String {
    let DieselError::DatabaseError(_, about) = error else {
        return error.to_string();
    };
    let details = about.details().map(|details| format!(" ({details})")).unwrap_or_default();
    let hint = about.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("{}{details}{hint}", about.message())
}
