//! How the server is set up. Everything is given on its command line at each start, so that a newer Tradewind's
//! settings reach data that an older one initialised; `postgresql.conf` stays as PostgreSQL made it.

use std::ffi::OsString;
use std::path::Path;

use super::account::Account;
use super::folder::Folder;
use super::{Error, ROLE, Settings};

/// Only the name of the socket's file: nothing listens on a network.
pub(super) const PORT: u16 = 5432;

/// The server's arguments after `-D DATA`.
pub(super) fn arguments(settings: &Settings, folder: &Folder, socket: &Path) -> Vec<OsString> {
    let on_off = |on: bool| if on { "on" } else { "off" }.to_owned();
    let fsync = on_off(settings.fsync);
    let conf: [(&str, String); 26] = [
        ("listen_addresses", String::new()),
        ("port", PORT.to_string()),
        ("unix_socket_directories", quote(&socket.to_string_lossy())),
        ("unix_socket_permissions", "0700".to_owned()),
        ("hba_file", folder.hba().to_string_lossy().into_owned()),
        ("ident_file", folder.ident().to_string_lossy().into_owned()),
        ("cluster_name", ROLE.to_owned()),
        ("max_connections", settings.max_connections.to_string()),
        ("shared_buffers", format!("{}MB", settings.shared_buffers_mib)),
        ("fsync", fsync.clone()),
        ("synchronous_commit", fsync.clone()),
        ("full_page_writes", fsync),
        // Nobody replicates from a private server.
        ("wal_level", "minimal".to_owned()),
        ("max_wal_senders", "0".to_owned()),
        ("min_wal_size", "64MB".to_owned()),
        ("max_wal_size", "512MB".to_owned()),
        // Short statements: compiling them costs more than it saves.
        ("jit", "off".to_owned()),
        ("random_page_cost", "1.1".to_owned()),
        ("timezone", "UTC".to_owned()),
        ("log_timezone", "UTC".to_owned()),
        ("lc_messages", "C".to_owned()),
        ("logging_collector", "off".to_owned()),
        ("log_destination", "stderr".to_owned()),
        ("log_min_messages", "warning".to_owned()),
        // A statement can hold secrets; its error message is enough.
        ("log_min_error_statement", "panic".to_owned()),
        ("log_checkpoints", "off".to_owned()),
    ];
    conf.iter().flat_map(|(key, value)| ["-c".into(), format!("{key}={value}").into()]).collect()
}

/// Writes who may connect: the system users `account` and the caller, as [`ROLE`], through the socket. The
/// server's account must be able to read it; there is nothing secret in it.
pub(super) fn write_access(folder: &Folder, account: &Account) -> Result<(), Error> {
    let mut users = vec![&account.name];
    if account.caller != account.name {
        users.push(&account.caller);
    }
    let map: String = users.iter().map(|user| format!("tradewind {} {ROLE}\n", quote(user))).collect();
    folder.write(&folder.hba(), &format!("local all {ROLE} peer map=tradewind\n"), 0o644)?;
    folder.write(&folder.ident(), &map, 0o644)
}

/// In double quotes, as PostgreSQL reads names in its lists and files.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}
