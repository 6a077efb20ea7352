//! Encryption of what must not be read from the database or a backup: values of variables, passwords and extras.
//!
//! A sealed value is `1 | key id (4 bytes) | nonce (24 bytes) | XChaCha20-Poly1305 text and tag`. It is bound to its place
//! (table, row and column), so that it cannot be moved to another row. The key id tells a wrong key from broken data.

use std::fmt;

use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use sha2::{Digest, Sha256};

use crate::Error;

const FORMAT: u8 = 1;
const KEY_ID: usize = 4;
const NONCE: usize = 24;
const HEAD: usize = 1 + KEY_ID + NONCE;

pub(crate) struct Cipher {
    id: [u8; KEY_ID],
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cipher").field("key_id", &self.id).finish_non_exhaustive()
    }
}

impl Cipher {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(b"tradewind key id").chain_update(key).finalize();
        let id = std::array::from_fn(|place| digest[place]);
        Self { id, cipher: XChaCha20Poly1305::new(&Key::from(*key)) }
    }

    /// Seals `text` for one place.
    pub(crate) fn seal(&self, place: &Place<'_>, text: &str) -> Result<Vec<u8>, Error> {
        let nonce: [u8; NONCE] = rand::random();
        let aad = place.to_string();
        let payload = Payload { msg: text.as_bytes(), aad: aad.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| Error::Invalid(format!("{place} is too long to be encrypted")))?;
        let mut bytes = Vec::with_capacity(HEAD + sealed.len());
        bytes.push(FORMAT);
        bytes.extend_from_slice(&self.id);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(&sealed);
        Ok(bytes)
    }

    /// Opens what was sealed for the same place.
    pub(crate) fn open(&self, place: &Place<'_>, bytes: &[u8]) -> Result<String, Error> {
        let broken = || Error::Invalid(format!("{place} in the database is damaged: set it again"));
        let (head, sealed) = bytes.split_at_checked(HEAD).ok_or_else(broken)?;
        if head[0] != FORMAT {
            return Err(Error::Invalid(format!("{place} was written by a newer Tradewind")));
        }
        if head[1..=KEY_ID] != self.id {
            return Err(Error::Invalid(format!(
                "{place} was encrypted with another secret key: start Tradewind with the TRADEWIND_SECRET_KEY it was \
                 written with, or set it again"
            )));
        }
        let nonce: [u8; NONCE] = head[1 + KEY_ID..].try_into().map_err(|_| broken())?;
        let aad = place.to_string();
        let payload = Payload { msg: sealed, aad: aad.as_bytes() };
        let text = self.cipher.decrypt(&XNonce::from(nonce), payload).map_err(|_| broken())?;
        String::from_utf8(text).map_err(|_| broken())
    }
}

/// Where a sealed value lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) table: &'static str,
    pub(crate) row: &'a str,
    pub(crate) column: &'static str,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} of the {} `{}`", self.column, self.table, self.row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Place<'static> = Place { table: "variable", row: "a", column: "value" };

    #[test]
    fn opens_what_it_sealed_and_never_seals_alike() {
        let cipher = Cipher::new(&[7; 32]);
        for text in ["", "s3cret", "Größe 🚢"] {
            let (one, two) = (cipher.seal(&HERE, text).unwrap(), cipher.seal(&HERE, text).unwrap());
            assert_ne!(one, two);
            assert_eq!(cipher.open(&HERE, &one).unwrap(), text);
            assert!(text.is_empty() || !one.windows(text.len()).any(|window| window == text.as_bytes()));
        }
    }

    #[test]
    fn another_key_place_or_a_changed_byte_opens_nothing() {
        let cipher = Cipher::new(&[7; 32]);
        let sealed = cipher.seal(&HERE, "s3cret").unwrap();
        let other = Cipher::new(&[8; 32]).open(&HERE, &sealed).unwrap_err().to_string();
        assert!(other.contains("another secret key"), "{other}");
        let there = Place { row: "b", ..HERE };
        assert!(cipher.open(&there, &sealed).unwrap_err().to_string().contains("damaged"));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(cipher.open(&HERE, &changed).is_err(), "byte {place}");
        }
        for length in 0..sealed.len() {
            assert!(cipher.open(&HERE, &sealed[..length]).is_err());
        }
    }
}
