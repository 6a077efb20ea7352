//! The secret key: configured, or made once.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Barrier;
use std::thread;

use runtime::config::{Config, Environment, Flags};
use runtime::secret::Secret;
use runtime::secret_key::{Error, SecretKey};

fn config(home: &Path, key: &str) -> Config {
    let home = home.to_str().unwrap();
    let environment = Environment::of([("TRADEWIND_HOME", home), ("TRADEWIND_SECRET_KEY", key)]);
    Config::load(&Flags::default(), &environment).unwrap()
}

#[test]
fn a_key_is_made_once_for_this_user_alone() {
    let home = tempfile::tempdir().unwrap();
    let config = config(home.path(), "");
    let key = SecretKey::open(&config).unwrap();
    assert_eq!(SecretKey::open(&config).unwrap(), key);
    let mode = fs::metadata(home.path().join("secret.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "no drafts are left");
    assert_eq!(format!("{key:?}"), "***");
}

#[test]
fn those_who_start_together_agree() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("secret.key");
    let begin = Barrier::new(8);
    let keys: Vec<[u8; 32]> = thread::scope(|scope| {
        let open = || {
            begin.wait();
            SecretKey::from_file(&file).unwrap().derive("test")
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
}

#[test]
fn a_configured_key_needs_no_file() {
    let home = tempfile::tempdir().unwrap();
    let key = SecretKey::open(&config(home.path(), "correct horse battery staple")).unwrap();
    assert_eq!(key, SecretKey::from_secret(&Secret::new("correct horse battery staple")));
    assert_ne!(key, SecretKey::from_secret(&Secret::new("correct horse battery stapler")));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn base64_is_the_key_itself_and_purposes_differ() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("secret.key");
    let made = SecretKey::from_file(&file).unwrap();
    assert_eq!(SecretKey::from_secret(&Secret::new(fs::read_to_string(&file).unwrap())), made);
    assert_ne!(made.derive("sessions"), made.derive("tokens"));
    // RFC 4231 has no vector with a 32-byte key; this one was computed with `openssl dgst -sha256 -mac HMAC`.
    let zero = SecretKey::from_secret(&Secret::new("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    let hex: String = zero.derive("sessions").iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "ae5ab6167ef8db38acc7769b7460edb0722d49650b0fedbb9a4297ebfd0e98b3");
}

#[test]
fn a_broken_file_is_never_replaced() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("secret.key");
    fs::write(&file, "half a k").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(matches!(SecretKey::from_file(&file), Err(Error::Malformed { .. })));
    assert_eq!(fs::read_to_string(&file).unwrap(), "half a k");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let error = SecretKey::from_file(&file).unwrap_err().to_string();
    assert!(error.contains("chmod 600"), "{error}");
}
