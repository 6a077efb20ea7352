//! The private PostgreSQL, with real servers in homes of their own.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use runtime::postgres::{Error, PrivatePostgres, Settings, find_running};
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// Tells a copy of this test program which home to run a server in: see [`parent_of_a_server`].
const PARENT_HOME: &str = "TRADEWIND_TEST_HOME";

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn start(home: &Path) -> PrivatePostgres {
    PrivatePostgres::start(&Settings::for_tests(home)).unwrap()
}

/// Whether the process runs. One that has ended may wait, as a zombie, for an idle first process to notice.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    kill(Pid::from_raw(pid), None) != Err(Errno::ESRCH) && !stat.contains(") Z")
}

/// Runs one statement and returns the first column of its first row.
async fn ask(url: &str, statement: &str) -> Option<String> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let connection = tokio::spawn(connection);
    let rows = client.query(statement, &[]).await.unwrap();
    drop(client);
    connection.await.unwrap().unwrap();
    rows.first().map(|row| row.get(0))
}

#[tokio::test]
async fn a_server_starts_keeps_its_data_and_stops() {
    let home = home();
    let postgres = start(home.path());
    ask(&postgres.url("tradewind"), "CREATE TABLE kept AS SELECT 'kept'::text AS word").await;
    assert_eq!(
        ask(&postgres.url("warehouse"), "SELECT current_database()::text").await.unwrap(),
        "warehouse"
    );
    assert_eq!(ask(&postgres.url("tradewind"), "SELECT current_user::text").await.unwrap(), "tradewind");
    assert_eq!(ask(&postgres.url("tradewind"), "SELECT current_setting('fsync')").await.unwrap(), "off");
    assert_eq!(find_running(home.path()).unwrap().as_ref(), Some(postgres.address()));
    let pid = postgres.pid();
    postgres.stop().unwrap();
    assert!(!is_alive(pid));
    assert_eq!(find_running(home.path()).unwrap(), None);

    let begin = Instant::now();
    let postgres = start(home.path());
    println!("started again in {} ms", begin.elapsed().as_millis());
    assert_eq!(ask(&postgres.url("tradewind"), "SELECT word FROM kept").await.unwrap(), "kept");
    let pid = postgres.pid();
    drop(postgres);
    assert!(!is_alive(pid), "dropping stops it");
}

#[tokio::test]
async fn databases_are_created_once_and_names_are_checked() {
    let home = home();
    let mut settings = Settings::for_tests(home.path());
    settings.databases = vec!["one".to_owned()];
    PrivatePostgres::start(&settings).unwrap().stop().unwrap();
    // Forgetting which exist must not matter.
    fs::remove_file(home.path().join("postgres.databases")).unwrap();
    settings.databases = vec!["one".to_owned(), "two_2".to_owned()];
    let postgres = PrivatePostgres::start(&settings).unwrap();
    for name in ["one", "two_2"] {
        postgres.create_database(name).unwrap();
        assert_eq!(ask(&postgres.url(name), "SELECT current_database()::text").await.unwrap(), name);
    }
    for name in ["", "Two", "a-b", "a b", "1a", "x; DROP", "--help", &"x".repeat(64)] {
        assert!(matches!(postgres.create_database(name), Err(Error::DatabaseName { .. })), "{name}");
    }
}

#[tokio::test]
async fn only_the_user_may_connect() {
    let home = home();
    let postgres = start(home.path());
    let socket = &postgres.address().socket_folder;
    assert_eq!(fs::metadata(socket).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(postgres.data_folder()).unwrap().permissions().mode() & 0o777, 0o700);
    let listening = ask(&postgres.url("tradewind"), "SELECT current_setting('listen_addresses')").await;
    assert_eq!(listening.unwrap(), "", "nothing listens on a network");
    if !geteuid().is_root() {
        println!("not root: connecting as another user was not tried");
        return;
    }
    let server = fs::metadata(format!("/proc/{}", postgres.pid())).unwrap().uid();
    assert_ne!(server, 0, "the server does not run as root");

    // Even somebody who gets at the socket is asked by PostgreSQL who they are.
    fs::set_permissions(socket, fs::Permissions::from_mode(0o755)).unwrap();
    let file = socket.join(".s.PGSQL.5432");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o777)).unwrap();
    let mut psql = Command::new("psql");
    psql.arg("-w")
        .arg(postgres.url("tradewind"))
        .args(["-c", "SELECT 1"])
        .current_dir("/")
        .uid(64_123)
        .gid(64_123);
    let refused = psql.output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && text.contains("eer authentication failed"), "{text}");
}

#[test]
fn a_second_server_in_the_same_home_is_refused() {
    let home = home();
    let postgres = start(home.path());
    let error = PrivatePostgres::start(&Settings::for_tests(home.path())).unwrap_err();
    let me = std::process::id().cast_signed();
    assert!(matches!(error, Error::AlreadyRunning { pid: Some(pid), .. } if pid == me), "{error}");
    assert!(error.to_string().contains("TRADEWIND_HOME"), "{error}");
    postgres.stop().unwrap();
    start(home.path()).stop().unwrap();
}

#[test]
fn data_of_another_version_is_not_touched() {
    let home = home();
    let data = start(home.path()).data_folder();
    fs::write(data.join("PG_VERSION"), "7\n").unwrap();
    let error = PrivatePostgres::start(&Settings::for_tests(home.path())).unwrap_err();
    assert!(matches!(error, Error::OtherMajor { data: 7, .. }), "{error}");
    assert!(error.to_string().contains("pg_upgrade"), "{error}");
}

#[test]
fn a_start_that_was_cut_short_is_begun_again() {
    let home = home();
    fs::create_dir(home.path().join("postgres.new")).unwrap();
    fs::write(home.path().join("postgres.new/PG_VERSION"), "15").unwrap();
    start(home.path()).stop().unwrap();
    assert!(!home.path().join("postgres.new").exists());
}

#[test]
fn what_a_killed_server_left_behind_is_cleared_away() {
    let home = home();
    let postgres = start(home.path());
    let (data, socket) = (postgres.data_folder(), postgres.address().socket_folder.clone());
    postgres.stop().unwrap();
    // As after a restart of a container: the process id in the files now belongs to something else.
    let me = std::process::id();
    let left = format!("{me}\n{}\n1780000000\n5432\n{}\n\n\nready   \n", data.display(), socket.display());
    fs::write(data.join("postmaster.pid"), &left).unwrap();
    fs::write(socket.join(".s.PGSQL.5432.lock"), &left).unwrap();
    assert_eq!(find_running(home.path()).unwrap(), None);
    start(home.path()).stop().unwrap();
}

#[test]
fn a_server_that_cannot_start_shows_its_log() {
    let home = home();
    let data = start(home.path()).data_folder();
    fs::write(data.join("postgresql.auto.conf"), "nonsense = 1\n").unwrap();
    let error = PrivatePostgres::start(&Settings::for_tests(home.path())).unwrap_err();
    assert!(matches!(error, Error::Died { .. }), "{error}");
    assert!(error.to_string().contains("nonsense"), "{error}");
}

#[tokio::test]
async fn a_long_path_still_gets_a_socket() {
    let home = home();
    let long = home.path().join("a-folder-with-a-long-name-".repeat(6));
    let outside = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
    let home = if geteuid().is_root() { outside.path().join(long.file_name().unwrap()) } else { long };
    let postgres = start(&home);
    assert_eq!(ask(&postgres.url("tradewind"), "SELECT 'yes'::text").await.unwrap(), "yes");
    let socket = postgres.address().socket_folder.clone();
    assert!(socket.starts_with("/tmp"), "{socket:?}");
    postgres.stop().unwrap();

    // Somebody else's link in its place is not followed.
    fs::remove_dir(&socket).unwrap();
    symlink(&home, &socket).unwrap();
    let error = PrivatePostgres::start(&Settings::for_tests(&home)).unwrap_err();
    fs::remove_file(&socket).unwrap();
    assert!(matches!(error, Error::UnsafeSocketFolder { .. }), "{error}");
}

#[test]
fn roots_home_is_handled() {
    if !geteuid().is_root() || fs::metadata("/root").unwrap().permissions().mode() & 1 != 0 {
        println!("needs root with a closed home folder: not tried");
        return;
    }
    let home = tempfile::tempdir_in("/root").unwrap();
    let postgres = start(home.path());
    let data = postgres.data_folder();
    assert!(data.starts_with("/var/lib/tradewind"), "{data:?}");
    assert_eq!(fs::read_link(home.path().join("postgres")).unwrap(), data);
    assert_eq!(find_running(home.path()).unwrap().as_ref(), Some(postgres.address()));
    postgres.stop().unwrap();
    start(home.path()).stop().unwrap();
    fs::remove_dir_all(data.parent().unwrap()).unwrap();
}

#[test]
fn a_home_that_the_servers_user_cannot_enter_is_a_clear_error() {
    if !geteuid().is_root() {
        println!("not root: not tried");
        return;
    }
    let closed = home();
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let error =
        PrivatePostgres::start(&Settings::for_tests(closed.path().join("home"))).unwrap_err().to_string();
    assert!(error.contains(&format!("chmod o+x {}", closed.path().display())), "{error}");
}

#[tokio::test]
async fn the_end_of_the_server_is_told() {
    let home = home();
    let postgres = start(home.path());
    kill(Pid::from_raw(postgres.pid()), Signal::SIGQUIT).unwrap();
    let status = tokio::time::timeout(Duration::from_secs(60), postgres.exited()).await.unwrap();
    assert!(status.contains("exit status"), "{status}");
    postgres.stop().unwrap();
    start(home.path()).stop().unwrap();
}

#[test]
fn killing_tradewind_stops_its_server_cleanly() {
    let home = home();
    start(home.path()).stop().unwrap();
    let mut parent = Command::new(env::current_exe().unwrap());
    parent
        .args(["--exact", "postgres::parent_of_a_server", "--ignored", "--nocapture"])
        .env(PARENT_HOME, home.path());
    let mut parent = parent.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let pid = lines.find_map(|line| line.unwrap().rsplit_once("server: ")?.1.parse::<i32>().ok()).unwrap();
    assert!(is_alive(pid));

    parent.kill().unwrap();
    parent.wait().unwrap();
    // The next start waits for the orphan to end, and would say so if it did not.
    let next = start(home.path());
    assert!(!is_alive(pid) || next.pid() == pid);
    next.stop().unwrap();
    let log = fs::read_to_string(home.path().join("postgres.log")).unwrap();
    assert!(log.contains("received fast shutdown request"), "{log}");
    assert!(!log.contains("not properly shut down"), "{log}");
}

/// Not a test of its own: runs a server until it is killed, for the test above.
#[test]
#[ignore = "the part of another process in killing_tradewind_stops_its_server_cleanly"]
fn parent_of_a_server() {
    let Some(home) = env::var_os(PARENT_HOME) else {
        return;
    };
    let postgres = start(Path::new(&home));
    println!("server: {}", postgres.pid());
    let _ = std::io::stdin().read(&mut [0]);
}
