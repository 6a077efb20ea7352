//! The keys of this crate, each for one purpose, all made from the installation's secret key.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use runtime::secret_key::SecretKey;
use sha2::Sha256;

const NONCE: usize = 12;

/// See the module's documentation.
pub(crate) struct Keys {
    forms: [u8; 32],
    pub(super) tokens: [u8; 32],
}

impl Keys {
    pub(crate) fn derive(key: &SecretKey) -> Self {
        Self { forms: key.derive("webserver forms"), tokens: key.derive("webserver api tokens") }
    }

    /// A token for the forms of a session. It looks different every time, so that compressed pages do not give it away.
    pub(crate) fn form_token(&self, session: &str) -> String {
        let nonce: [u8; NONCE] = rand::random();
        let mut token = nonce.to_vec();
        token.extend(self.form_mac(session, &nonce).finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Whether the token was made for this session.
    pub(crate) fn is_form_token(&self, session: &str, token: &str) -> bool {
        let Ok(token) = URL_SAFE_NO_PAD.decode(token) else {
            return false;
        };
        let Some((nonce, mac)) = token.split_at_checked(NONCE) else {
            return false;
        };
        self.form_mac(session, nonce).verify_slice(mac).is_ok()
    }

    /// A short text that changes with the password's hash and gives nothing of it away.
    pub(crate) fn password_mark(&self, hash: Option<&str>) -> String {
        let mut mac = mac(&self.tokens);
        mac.update(b"password");
        mac.update(hash.unwrap_or_default().as_bytes());
        URL_SAFE_NO_PAD.encode(&mac.finalize().into_bytes()[..9])
    }

    fn form_mac(&self, session: &str, nonce: &[u8]) -> Hmac<Sha256> {
        let mut mac = mac(&self.forms);
        mac.update(nonce);
        mac.update(session.as_bytes());
        mac
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(***)")
    }
}

fn mac(key: &[u8; 32]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    Hmac::new_from_slice(key).expect("a key of any length")
}

#[cfg(test)]
mod tests {
    use runtime::secret::Secret;

    use super::*;

    #[test]
    fn a_form_token_is_good_for_its_session_only() {
        let keys = Keys::derive(&SecretKey::from_secret(&Secret::new("a key for a test")));
        let (one, two) = (keys.form_token("a"), keys.form_token("a"));
        assert_ne!(one, two);
        assert!(keys.is_form_token("a", &one) && keys.is_form_token("a", &two));
        assert!(!keys.is_form_token("b", &one));
        for broken in ["", "!", &one[1..], &one[..20]] {
            assert!(!keys.is_form_token("a", broken), "{broken}");
        }
    }
}
