//! The data folder that every test process starts with. Making one takes a second, so the first process keeps a copy in
//! the build folder, with a migrated template database, and the others copy that.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use runtime::postgres::{PrivatePostgres, Settings};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::database::connect;

/// The database with all tables.
pub(crate) const TEMPLATE: &str = "template_store";

/// A home with data in it that a server can be started on.
pub(crate) async fn copy() -> TempDir {
    let kept = kept_at();
    // So that two processes do not make it at the same time.
    let lock = File::create(kept.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    if !kept.exists() {
        keep(&kept).await;
    }
    drop(lock);
    let home = new_home();
    copy_all(&kept, home.path());
    home
}

/// Starts a server on the data in `home`.
pub(crate) async fn start(home: &Path) -> PrivatePostgres {
    let settings = Settings { databases: vec![TEMPLATE.to_owned()], ..Settings::for_tests(home) };
    tokio::task::spawn_blocking(move || PrivatePostgres::start(&settings).unwrap()).await.unwrap()
}

async fn keep(kept: &Path) {
    let home = new_home();
    let postgres = start(home.path()).await;
    connect(&postgres.url(TEMPLATE)).await.migrate().await.unwrap();
    postgres.stop().unwrap();
    let unfinished = kept.with_extension("new");
    // What a process left that was stopped half-way.
    let _ = fs::remove_dir_all(&unfinished);
    fs::create_dir_all(&unfinished).unwrap();
    copy_all(home.path(), &unfinished);
    fs::rename(unfinished, kept).unwrap();
}

/// A name of its own for every set of migrations and every version of PostgreSQL.
fn kept_at() -> PathBuf {
    let mut digest = Sha256::new();
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let mut folders: Vec<PathBuf> =
        fs::read_dir(migrations).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for folder in folders {
        digest.update(fs::read(folder.join("up.sql")).unwrap());
    }
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut installed: Vec<_> = installed.map(|entry| entry.unwrap().file_name()).collect();
    installed.sort();
    digest.update(format!("{installed:?}"));
    let name: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cluster-{name}"))
}

fn new_home() -> TempDir {
    let home = TempDir::new().unwrap();
    // PostgreSQL may run as another user, who has to get in.
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    home
}

/// Keeps owners and permissions, on which PostgreSQL insists.
fn copy_all(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(status.success(), "copying {} failed", from.display());
}
