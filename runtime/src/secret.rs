//! Text that must not be shown, and the names by which it is known.

use std::fmt;

/// A password, key or token. Printing it in any way shows `***`; [`Secret::expose`] is the only way to the text,
/// so every place that uses it can be found by that name.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What is shown instead of a secret.
pub const MASK: &str = "***";

/// A name that contains one of these names a secret. Source: `DEFAULT_SENSITIVE_FIELDS` of Airflow 3.3.2's secrets masker,
/// without those that contain another one, and with `account_key`, `auth`, `credential` and `keyfile`.
const SECRET_WORDS: [&str; 21] = [
    "access_key",
    "account_key",
    "api_key",
    "apikey",
    "auth",
    "bearer",
    "connection_string",
    "credential",
    "dsn",
    "keyfile",
    "passphrase",
    "passwd",
    "password",
    "private_key",
    "proxies",
    "proxy",
    "secret",
    "service_account",
    "service_key",
    "token",
    "webhook_url",
];

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text itself. Never log it, never put it in an error.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// Whether the value of a variable, a field or a key of this name must not be shown. Case does not matter, and whatever
/// stands between two words is one underscore: `API-Key` is `api_key`.
pub fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    let words: Vec<&str> =
        name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let name = words.join("_");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// `url` with its password, wherever a URL can carry one, replaced by `***`. Works on text that is not a valid
/// URL too, and hides too much rather than too little.
pub fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return MASK.to_owned();
    };
    // The last @ ends the login: a password may hold any character that somebody forgot to encode.
    let (login, place) = match rest.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, rest),
    };
    let login = match login.map(|login| login.split_once(':').ok_or(login)) {
        Some(Ok((user, _))) => format!("{user}:{MASK}@"),
        Some(Err(user)) => format!("{user}@"),
        None => String::new(),
    };
    match place.split_once('?') {
        Some((place, query)) => format!("{scheme}://{login}{place}?{}", mask_query(query)),
        None => format!("{scheme}://{login}{place}"),
    }
}

fn mask_query(query: &str) -> String {
    let mask = |pair: &str| match pair.split_once('=') {
        Some((key, _)) if is_secret_parameter(key) => format!("{key}={MASK}"),
        Some(_) | None => pair.to_owned(),
    };
    query.split('&').map(mask).collect::<Vec<_>>().join("&")
}

/// Wider than [`is_secret_name`]: nobody looks for the value of a URL's parameter, and their names are short (`sig`).
fn is_secret_parameter(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "sig"].iter().any(|word| key.contains(word))
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn every_name_that_airflow_hides_is_secret() {
        let airflows = "access_key access_token api_key apikey auth_header authorization bearer connection_string dsn \
                        passphrase passwd password private_key proxy proxy_password proxies secret service_account \
                        service_key token keyfile_dict webhook_url";
        for name in airflows.split_whitespace() {
            assert!(is_secret_name(name), "{name}");
        }
    }

    #[test_case("SLACK_API_KEY", true ; "upper case")]
    #[test_case(" my api--key ", true ; "other signs between the words")]
    #[test_case("db-password-2", true ; "within a longer name")]
    #[test_case("google_credentials", true ; "more than Airflow hides")]
    #[test_case("flights_zip", false ; "ordinary")]
    #[test_case("monkey", false ; "a word that only ends like one")]
    #[test_case("", false ; "empty")]
    fn names_give_secrets_away(name: &str, is_secret: bool) {
        assert_eq!(is_secret_name(name), is_secret);
    }

    #[test_case("postgres://u:pw@h:5432/d", "postgres://u:***@h:5432/d" ; "password")]
    #[test_case("postgres://u:p@w/x?y@h/d", "postgres://u:***@h/d" ; "delimiters in the password")]
    #[test_case("postgres://u:p@w@h/d", "postgres://u:***@h/d" ; "at sign in the password")]
    #[test_case("postgres://u@%2Ftmp%2Fx/d", "postgres://u@%2Ftmp%2Fx/d" ; "no password")]
    #[test_case("postgres://h/d?user=u&password=pw&a=b", "postgres://h/d?user=u&password=***&a=b" ; "password in the query")]
    #[test_case("redis://:pw@h:6379/0", "redis://:***@h:6379/0" ; "password only")]
    #[test_case("host=h password=pw", "***" ; "not a URL")]
    fn url_masks(url: &str, masked: &str) {
        assert_eq!(mask_url(url), masked);
    }
}
