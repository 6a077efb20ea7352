//! The name of a request: given by whoever stands in front of us, else random.

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 64;

/// The name of a request: letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// The one in the headers when it is harmless, else a new one.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(HEADER).and_then(|id| id.to_str().ok());
        let given = given.filter(|id| (1..=LONGEST).contains(&id.len()) && id.bytes().all(is_harmless));
        Self(given.map_or_else(|| format!("{:016x}", rand::random::<u64>()), str::to_owned))
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Writes it into the headers of an answer.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(HEADER, value);
        }
    }
}

const fn is_harmless(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}
