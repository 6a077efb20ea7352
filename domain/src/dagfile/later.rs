//! Keys that belong to the format but not yet to this version.

use super::keys::Place;

/// Keys of the format that this version cannot carry out yet. One that becomes supported moves to a table of [`super::keys`].
const LATER: &[(Place, &[&str])] = &[
    (Place::Task, &["docker", "kubernetes", "ssh", "email", "run_as_user"]),
    (Place::Defaults, &["run_as_user"]),
    (Place::Python, &["python_version", "requirements"]),
];

/// The key belongs to the format but not yet to this version.
pub(super) fn is_later(place: Place, name: &str) -> bool {
    LATER.iter().any(|(there, names)| *there == place && names.contains(&name))
}
