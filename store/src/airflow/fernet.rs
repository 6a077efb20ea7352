//! Fernet, with which Airflow encrypts passwords, extras and variables. Source: the Fernet specification, version 0x80, and Airflow's
//! `models/crypto.py` (several keys, separated by commas; the first encrypts, any decrypts).

use std::fmt;

use aes::Aes128;
use base64::{Engine, engine::general_purpose::URL_SAFE};
use cbc::{
    Decryptor,
    cipher::{BlockModeDecrypt, KeyIvInit, block_padding::Pkcs7},
};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Error;

const VERSION: u8 = 0x80;
const KEY: usize = 32;
// The version, a time of 8 bytes, and the initialisation vector of 16.
const HEAD: usize = 1 + 8 + 16;
const TAG: usize = 32;

/// The keys of an installation. Says nothing of them when printed.
#[derive(Clone)]
pub struct FernetKeys(Vec<[u8; KEY]>);

impl fmt::Debug for FernetKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FernetKeys({})", self.0.len())
    }
}

impl FernetKeys {
    /// Reads the setting `fernet_key` of Airflow's section `core`: keys of 32 bytes in URL-safe base64, separated by commas.
    ///
    /// # Errors
    /// [`Error::Invalid`] when one is no key; it is not repeated.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let key = |text: &str| URL_SAFE.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        let keys: Option<Vec<[u8; KEY]>> = text.split(',').map(key).collect();
        keys.map(Self).ok_or_else(|| {
            Error::Invalid(
                "this is no Fernet key: it has 44 characters of URL-safe base64 (several are separated by commas)"
                    .to_owned(),
            )
        })
    }

    /// What a token says; `None` when it was made with none of these keys, or is damaged.
    #[must_use]
    pub fn open(&self, token: &str) -> Option<String> {
        let bytes = URL_SAFE.decode(token.trim()).ok()?;
        self.0.iter().find_map(|key| open(key, &bytes))
    }
}

// The first half of the key signs, the second encrypts.
fn open(key: &[u8; KEY], token: &[u8]) -> Option<String> {
    let (signed, tag) = token.split_at_checked(token.len().checked_sub(TAG)?)?;
    let (signing, encrypting) = key.split_at(KEY / 2);
    let mut mac = Hmac::<Sha256>::new_from_slice(signing).ok()?;
    mac.update(signed);
    mac.verify_slice(tag).ok()?;
    let (head, sealed) = signed.split_at_checked(HEAD)?;
    let vector = head.get(HEAD - 16..)?;
    if head.first() != Some(&VERSION) {
        return None;
    }
    let cipher = Decryptor::<Aes128>::new_from_slices(encrypting, vector).ok()?;
    let clear = cipher.decrypt_padded_vec::<Pkcs7>(sealed).ok()?;
    String::from_utf8(clear).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the specification (https://github.com/fernet/spec, `generate.json`).
    const KEY: &str = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=";
    const TOKEN: &str = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";

    #[test]
    fn the_example_of_the_specification_is_read() {
        assert_eq!(FernetKeys::parse(KEY).unwrap().open(TOKEN).as_deref(), Some("hello"));
    }

    #[test]
    fn any_of_several_keys_will_do() {
        let other = URL_SAFE.encode([7; 32]);
        let keys = FernetKeys::parse(&format!("{other}, {KEY}")).unwrap();
        assert_eq!(keys.open(TOKEN).as_deref(), Some("hello"));
        assert_eq!(FernetKeys::parse(&other).unwrap().open(TOKEN), None);
    }

    #[test]
    fn what_was_changed_is_not_read() {
        let keys = FernetKeys::parse(KEY).unwrap();
        let bytes = URL_SAFE.decode(TOKEN).unwrap();
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1;
            assert_eq!(keys.open(&URL_SAFE.encode(changed)), None, "byte {place}");
            assert_eq!(keys.open(&URL_SAFE.encode(&bytes[..place])), None, "cut at {place}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_not_repeated() {
        for text in ["", "secret", &URL_SAFE.encode([7; 31])] {
            let error = FernetKeys::parse(text).unwrap_err().to_string();
            assert!(error.contains("Fernet key") && (text.is_empty() || !error.contains(text)), "{error}");
        }
    }
}
