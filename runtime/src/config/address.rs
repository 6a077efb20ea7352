//! Where the database, the queue and the logs are.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use super::home::parse_folder;
use super::value::Expected;
use crate::secret::mask_url;

/// The longest URL that is accepted, in bytes.
const LONGEST: usize = 4096;

/// The URL of a PostgreSQL database. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl(String);

/// The URL of a Redis server. Shown without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl(String);

/// The URL of log storage: `file:///folder`, `s3://bucket/prefix`, `gs://bucket/prefix` or
/// `az://container/prefix`. Credentials are not part of it: they come from the provider's own variables.
#[derive(Clone, PartialEq, Eq)]
pub struct LogsUrl(Url);

/// The URL at which people reach the web server, without a slash at its end. It may have a path, for a server behind a proxy.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// Reads `https://tradewind.example.org`, or one with a path.
    pub(super) fn parse(text: &str) -> Result<BaseUrl, Expected> {
        let expected =
            || Expected::new("a URL such as https://tradewind.example.org, without name, password or query");
        let url = Url::parse(text).ok().filter(|_| text.len() <= LONGEST).ok_or_else(expected)?;
        let is_bare = url.username().is_empty() && url.password().is_none();
        let ends = url.query().is_none() && url.fragment().is_none();
        let is_web = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
        if !(is_bare && ends && is_web) {
            return Err(expected());
        }
        Ok(BaseUrl(url.as_str().trim_end_matches('/').to_owned()))
    }

    /// The URL, to which paths that begin with a slash are added.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl DatabaseUrl {
    /// Reads `postgres://user:password@host:port/database`; the rest is checked by the driver when it connects.
    pub(super) fn parse(text: &str) -> Result<DatabaseUrl, Expected> {
        let expected = "a URL such as postgres://user:password@host:5432/database";
        check(text, &["postgres", "postgresql"], expected)?;
        let place = text.split_once("://").map_or("", |(_, rest)| rest.split('?').next().unwrap_or_default());
        let database = place.rsplit_once('@').map_or(place, |(_, place)| place).split_once('/');
        match database {
            Some((_, name)) if !name.is_empty() => Ok(DatabaseUrl(text.to_owned())),
            Some(_) | None => {
                Err(Expected::new(format!("{expected}, with the name of the database at the end")))
            }
        }
    }

    /// The whole URL, password included. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl RedisUrl {
    /// Reads `redis://:password@host:port/number`.
    pub(super) fn parse(text: &str) -> Result<RedisUrl, Expected> {
        let expected = "a URL such as redis://:password@host:6379/0";
        check(text, &["redis", "rediss", "redis+unix", "unix"], expected)?;
        Ok(RedisUrl(text.to_owned()))
    }

    /// The whole URL, password included. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl LogsUrl {
    /// The URL of a folder, which must be absolute.
    pub fn folder(folder: &Path) -> LogsUrl {
        let mut url = root();
        url.set_path(&folder.to_string_lossy().replace('%', "%25"));
        LogsUrl(url)
    }

    /// Reads a URL, or the path of a folder.
    pub(super) fn parse(text: &str, user_home: Option<PathBuf>) -> Result<LogsUrl, Expected> {
        let expected =
            || Expected::new("a folder, or a URL that begins with file:///, s3://, gs:// or az://");
        if !text.contains("://") {
            return parse_folder(text, user_home)
                .map(|folder| LogsUrl::folder(&folder))
                .map_err(|_| expected());
        }
        let url = Url::parse(text).ok().filter(|_| text.len() <= LONGEST).ok_or_else(expected)?;
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
            return Err(Expected::new("without credentials: they come from the provider's own variables"));
        }
        let named = url.host_str().is_some_and(|host| !host.is_empty());
        match url.scheme() {
            "file" if !named && url.to_file_path().is_ok() => Ok(LogsUrl(url)),
            "s3" | "s3a" | "gs" | "az" | "azure" | "abfs" | "abfss" if named => Ok(LogsUrl(url)),
            _ => Err(expected()),
        }
    }

    /// The URL.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

fn check(text: &str, schemes: &[&str], expected: &'static str) -> Result<(), Expected> {
    let scheme = text.split_once("://").map(|(scheme, _)| scheme);
    let clean = text.len() <= LONGEST && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if clean && scheme.is_some_and(|scheme| schemes.contains(&scheme)) {
        return Ok(());
    }
    Err(Expected::new(expected))
}

#[expect(clippy::expect_used, reason = "the text is a constant and a valid URL")]
fn root() -> Url {
    Url::parse("file:///").expect("a constant URL")
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_url(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&mask_url(&self.0))
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for LogsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for LogsUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
