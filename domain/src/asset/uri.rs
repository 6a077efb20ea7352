//! One spelling for each URI. Source: Airflow 3.3.2 `sdk/definitions/asset/__init__.py`, `_sanitize_uri`, without the rules that
//! providers add for their schemes.

use super::{Error, check};

/// The URI as it is compared and shown: a lower-case scheme, no user and password, no fragment, no slash at its end, and its
/// parameters in order. A text without a scheme, or with one that begins with `x-`, stays as it is.
///
/// # Errors
/// When it is empty, too long, not plain text, or of the scheme `airflow`.
pub fn sanitize(text: &str) -> Result<String, Error> {
    check("URI", text)?;
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return Ok(text.to_owned());
    };
    let scheme = scheme.to_ascii_lowercase();
    if scheme.starts_with("x-") {
        return Ok(text.to_owned());
    }
    if scheme == "airflow" {
        return Err(Error::ReservedScheme);
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            (Some(without_secret(&rest[..end])), &rest[end..])
        }
        None => (None, rest),
    };
    let path = match path.trim_end_matches('/') {
        "" => "/",
        path => path,
    };
    let host = host.map(|host| format!("//{host}")).unwrap_or_default();
    let query = ordered(query);
    Ok(format!("{scheme}:{host}{path}{query}"))
}

fn is_scheme(text: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(rest)
}

// A URI is no place for a password, and shown to everybody.
fn without_secret(host: &str) -> &str {
    match host.rsplit_once('@') {
        Some((user, rest)) if user.contains(':') => rest,
        Some(_) | None => host,
    }
}

fn ordered(query: &str) -> String {
    let mut pairs: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty()).collect();
    pairs.sort_unstable();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}
