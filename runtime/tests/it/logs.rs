//! Log storage in a folder.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use runtime::config::LogsUrl;
use runtime::logs::{ArtifactLimits, ArtifactName, Error, LONGEST_READ, LogKey, LogStore};
use tempfile::TempDir;
use test_case::test_case;

/// A storage folder and a worker's own folder beside it.
struct Fixture {
    folder: TempDir,
    store: LogStore,
}

impl Fixture {
    fn new() -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let store = LogStore::open(&LogsUrl::folder(&folder.path().join("logs"))).unwrap();
        Fixture { folder, store }
    }

    fn local(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join("work").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    async fn names(&self, key: &LogKey) -> Vec<(String, u64)> {
        let listed = self.store.list_artifacts(key).await.unwrap();
        listed.into_iter().map(|artifact| (artifact.name.to_string(), artifact.size)).collect()
    }
}

fn key(task_id: &str) -> LogKey {
    LogKey {
        dag_id: "flights".to_owned(),
        run_id: "manual__2026-03-27T10:00:00+00:00".to_owned(),
        task_id: task_id.to_owned(),
        map_index: -1,
        try_number: 1,
    }
}

fn limits(files: usize, file_bytes: u64, total_bytes: u64) -> ArtifactLimits {
    ArtifactLimits { files, file_bytes, total_bytes }
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn a_huge_log_is_moved_and_read_in_pieces() {
    const SIZE: u64 = 5 << 30;
    let fixture = Fixture::new();
    let local = fixture.local("log", b"begin");
    let mut file = File::options().write(true).open(&local).unwrap();
    file.set_len(SIZE).unwrap();
    file.seek(SeekFrom::Start(SIZE - 3)).unwrap();
    file.write_all(b"end").unwrap();

    fixture.store.put_file(&key("load"), &local).await.unwrap();
    assert!(!local.exists());
    let read = async |start, length| fixture.store.read_range(&key("load"), start, length).await.unwrap();
    assert_eq!(fixture.store.size(&key("load")).await.unwrap(), SIZE);
    assert_eq!(&*read(0, 5).await, b"begin");
    assert_eq!(&*read(SIZE - 3, 100).await, b"end");
    assert_eq!(read(SIZE / 2, u64::MAX).await.len() as u64, LONGEST_READ);
    assert_eq!(read(SIZE, 10).await.len(), 0);
    assert_eq!(read(u64::MAX, 10).await.len(), 0);
    assert_eq!(read(0, 0).await.len(), 0);
}

#[tokio::test]
async fn an_empty_log_reads_as_nothing_and_a_missing_one_is_told() {
    let fixture = Fixture::new();
    fixture.store.put_file(&key("a"), &fixture.local("log", b"")).await.unwrap();
    assert!(fixture.store.read_range(&key("a"), 0, 10).await.unwrap().is_empty());
    assert!(matches!(fixture.store.read_range(&key("b"), 0, 10).await, Err(Error::NotFound(_))));
    assert!(matches!(fixture.store.size(&key("b")).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn a_log_from_another_file_system_is_sent_in_pieces() {
    let other = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let fixture = Fixture::new();
    // More than two pieces, with the last one incomplete, so that an order mistaken would show.
    let content: Vec<u8> =
        (0..2_500_000_u32).flat_map(|number| format!("{number:07}\n").into_bytes()).collect();
    let local = other.path().join("log");
    fs::write(&local, &content).unwrap();
    fixture.store.put_file(&key("a"), &local).await.unwrap();
    assert!(!local.exists());
    let stored = all_files(&fixture.folder.path().join("logs"));
    assert_eq!(stored.len(), 1);
    assert!(fs::read(&stored[0]).unwrap() == content);
}

#[tokio::test]
async fn storing_again_replaces_and_deleting_twice_is_fine() {
    let fixture = Fixture::new();
    for content in [b"first".as_slice(), b"second"] {
        fixture.store.put_file(&key("a"), &fixture.local("log", content)).await.unwrap();
    }
    assert_eq!(&*fixture.store.read_range(&key("a"), 0, 100).await.unwrap(), b"second");
    fixture.local("files/report.html", b"<p>");
    fixture.store.put_artifact_dir(&key("a"), &fixture.work(), ArtifactLimits::default()).await.unwrap();
    fixture.store.put_file(&key("b"), &fixture.local("log", b"other")).await.unwrap();

    fixture.store.delete(&key("a")).await.unwrap();
    fixture.store.delete(&key("a")).await.unwrap();
    assert!(matches!(fixture.store.size(&key("a")).await, Err(Error::NotFound(_))));
    assert!(fixture.names(&key("a")).await.is_empty());
    assert_eq!(fixture.store.size(&key("b")).await.unwrap(), 5, "other tries keep theirs");
}

#[test_case("../../../../escaped" ; "parents")]
#[test_case("/escaped" ; "root")]
#[test_case("" ; "empty")]
#[test_case("a#1" ; "the name of an unfinished upload")]
#[test_case("a%2F..%2Fb" ; "encoded separators")]
#[test_case(&"long/".repeat(1000) ; "very long")]
#[tokio::test]
async fn whatever_the_id_the_log_stays_inside(id: &str) {
    let fixture = Fixture::new();
    let key = LogKey { dag_id: id.to_owned(), run_id: id.to_owned(), ..key(id) };
    fixture.store.put_file(&key, &fixture.local("log", b"x")).await.unwrap();
    assert_eq!(fixture.store.size(&key).await.unwrap(), 1);
    let files = all_files(fixture.folder.path());
    assert_eq!(files.len(), 1);
    assert!(files[0].starts_with(fixture.folder.path().join("logs")), "{files:?}");
    fixture.store.delete(&key).await.unwrap();
    assert!(all_files(fixture.folder.path()).is_empty());
}

#[tokio::test]
async fn a_log_that_is_a_link_is_refused() {
    let fixture = Fixture::new();
    let link = fixture.local("target", b"x").with_file_name("log");
    symlink("/etc/passwd", &link).unwrap();
    let error = fixture.store.put_file(&key("a"), &link).await.unwrap_err().to_string();
    assert!(error.contains("not a plain file"), "{error}");
}

#[tokio::test]
async fn artifacts_are_kept_listed_and_read() {
    let fixture = Fixture::new();
    fixture.local("report.html", b"<h1>Delays</h1>");
    fixture.local("plots/a b%2F#1.svg", b"<svg/>");
    fixture.local(".hidden", b"h");
    let kept =
        fixture.store.put_artifact_dir(&key("a"), &fixture.work(), ArtifactLimits::default()).await.unwrap();
    assert!(kept.left_out.is_empty());
    let expected = [(".hidden", 1), ("plots/a b%2F#1.svg", 6), ("report.html", 15)];
    let expected: Vec<_> = expected.map(|(name, size)| (name.to_owned(), size)).into();
    assert_eq!(fixture.names(&key("a")).await, expected);
    assert_eq!(kept.kept, fixture.store.list_artifacts(&key("a")).await.unwrap());
    assert!(fixture.work().join("report.html").exists(), "the folder is left as it is");

    for (name, size) in expected {
        let name = ArtifactName::parse(&name).unwrap();
        let body = fixture.store.read_artifact(&key("a"), &name).await.unwrap();
        assert_eq!(body.size, size);
        let pieces: Vec<_> = body.stream.try_collect().await.unwrap();
        assert_eq!(pieces.iter().map(|piece| piece.len() as u64).sum::<u64>(), size);
    }
    let missing = ArtifactName::parse("missing").unwrap();
    assert!(matches!(fixture.store.read_artifact(&key("a"), &missing).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn links_pipes_and_what_is_over_the_limits_is_left_out_with_the_reason() {
    let fixture = Fixture::new();
    fixture.local("a", b"12345");
    fixture.local("b", b"12345678901");
    fixture.local("c", b"12345");
    fixture.local("d", b"1");
    fixture.local("e", b"");
    fixture.local("f", b"");
    fixture.local(&format!("{}g", "deep/".repeat(12)), b"");
    symlink("/etc/passwd", fixture.work().join("g_link")).unwrap();
    symlink("/etc", fixture.work().join("h_link")).unwrap();
    nix::unistd::mkfifo(&fixture.work().join("i_pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();

    let kept = fixture.store.put_artifact_dir(&key("a"), &fixture.work(), limits(3, 10, 10)).await.unwrap();
    let names: Vec<_> = kept.kept.iter().map(|artifact| artifact.name.as_str()).collect();
    assert_eq!(names, ["a", "c", "e"]);
    let reasons: Vec<String> =
        kept.left_out.iter().map(|out| format!("{}: {}", out.name, out.reason)).collect();
    let expect = [
        "b: larger than",
        "d: more than",
        "deep/",
        "f: more than 3 files",
        "g_link: it is not",
        "h_link: it is not",
        "i_pipe: it is not",
    ];
    assert_eq!(reasons.len(), expect.len(), "{reasons:?}");
    assert!(reasons.iter().zip(expect).all(|(reason, expected)| reason.starts_with(expected)), "{reasons:?}");
}

#[tokio::test]
async fn a_missing_folder_or_a_link_to_one_holds_no_artifacts() {
    let fixture = Fixture::new();
    fixture.local("files/a", b"1");
    symlink("files", fixture.work().join("link")).unwrap();
    for folder in ["missing", "link"] {
        let folder = fixture.work().join(folder);
        let kept =
            fixture.store.put_artifact_dir(&key("a"), &folder, ArtifactLimits::default()).await.unwrap();
        assert!(kept.kept.is_empty() && kept.left_out.is_empty());
    }
}

#[test_case("../secret")]
#[test_case("a/../../b")]
#[test_case("/etc/passwd")]
#[test_case("")]
#[test_case("a//b")]
#[test_case("a/")]
#[test_case(".")]
#[test_case("a\\b")]
#[test_case("a\0b")]
#[test_case("a\nb")]
#[test_case("1/2/3/4/5/6/7/8/9" ; "too deep")]
#[test_case(&"x".repeat(201) ; "too long")]
fn tricky_names_are_no_artifact_names(name: &str) {
    assert!(matches!(ArtifactName::parse(name), Err(Error::ArtifactName(_))));
    assert!(ArtifactName::try_from(name.to_owned()).is_err());
}

#[test]
fn a_new_log_folder_is_for_its_user_alone() {
    let fixture = Fixture::new();
    let mode = fs::metadata(fixture.folder.path().join("logs")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn an_impossible_log_folder_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = LogStore::open(&LogsUrl::folder(&file.join("logs"))).unwrap_err().to_string();
    assert!(error.contains("file/logs cannot be used"), "{error}");
}
