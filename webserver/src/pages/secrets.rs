//! Which names say that their values are secret. Source: Airflow's secrets masker (`DEFAULT_SENSITIVE_FIELDS`).

/// A name that contains one of these is secret.
const SENSITIVE: [&str; 16] = [
    "access_key",
    "access_token",
    "account_key",
    "api_key",
    "apikey",
    "auth",
    "authorization",
    "connection_string",
    "credential",
    "keyfile",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "secret",
    "token",
];

/// Whether the value behind this name must not be shown.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_lowercase().replace('-', "_");
    SENSITIVE.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[test]
    fn names_give_secrets_away() {
        assert!(is_secret("SLACK_API_KEY") && is_secret("db-password") && is_secret("authorization"));
        assert!(!is_secret("flights_zip") && !is_secret("bucket"));
    }
}
