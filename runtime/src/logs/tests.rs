//! Storage that is not a folder, with objects kept in memory in place of a bucket.

use std::fs;
use std::sync::Arc;

use futures_util::TryStreamExt;
use object_store::memory::InMemory;
use test_case::test_case;

use super::*;

fn bucket() -> LogStore {
    LogStore { store: Arc::new(InMemory::new()), prefix: ObjectPath::from("team/tradewind"), root: None }
}

fn key(try_number: u32) -> LogKey {
    let [dag_id, run_id, task_id] = ["d", "r", "t"].map(str::to_owned);
    LogKey { dag_id, run_id, task_id, map_index: 0, try_number }
}

#[test_case(0 ; "empty")]
#[test_case(100 ; "one request")]
#[test_case(8 * 1024 * 1024 ; "exactly one piece")]
#[test_case(20 * 1024 * 1024 + 7 ; "several pieces")]
#[tokio::test]
async fn a_log_is_sent_read_and_deleted(size: usize) {
    let folder = tempfile::tempdir().unwrap();
    let local = folder.path().join("log");
    let content: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
    fs::write(&local, &content).unwrap();
    let bucket = bucket();
    bucket.put_file(&key(1), &local).await.unwrap();
    assert!(!local.exists());
    assert_eq!(bucket.size(&key(1)).await.unwrap(), size as u64);

    let mut read = Vec::new();
    loop {
        let piece = bucket.read_range(&key(1), read.len() as u64, 1_000_000).await.unwrap();
        if piece.is_empty() {
            break;
        }
        read.extend_from_slice(&piece);
    }
    assert!(read == content);
    assert!(bucket.read_range(&key(1), size as u64 + 5, 10).await.unwrap().is_empty());
    bucket.delete(&key(1)).await.unwrap();
    bucket.delete(&key(1)).await.unwrap();
    assert!(matches!(bucket.read_range(&key(1), 0, 10).await, Err(Error::NotFound(_))));
}

#[tokio::test]
async fn artifacts_are_those_of_one_try() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a b.txt"), "12345").unwrap();
    let bucket = bucket();
    for attempt in [1, 10] {
        bucket.put_artifact_dir(&key(attempt), folder.path(), ArtifactLimits::default()).await.unwrap();
    }
    let listed = bucket.list_artifacts(&key(1)).await.unwrap();
    assert_eq!(listed.len(), 1);
    let body = bucket.read_artifact(&key(1), &listed[0].name).await.unwrap();
    assert_eq!(body.stream.try_collect::<Vec<_>>().await.unwrap().concat(), b"12345");
    bucket.delete(&key(1)).await.unwrap();
    assert_eq!(bucket.list_artifacts(&key(10)).await.unwrap().len(), 1);
}

#[test_case("s3://bucket/logs", "aws", cfg!(feature = "aws"))]
#[test_case("gs://bucket/logs", "gcp", cfg!(feature = "gcp"))]
#[test_case("az://container/logs", "azure", cfg!(feature = "azure"))]
fn a_bucket_needs_its_feature(url: &str, feature: &str, built: bool) {
    let environment = crate::config::Environment::of([("HOME", "/h"), ("TRADEWIND_LOGS_URL", url)]);
    let config = crate::config::Config::load(&crate::config::Flags::default(), &environment).unwrap();
    let opened = LogStore::open(&config.logs_url);
    match opened {
        Err(Error::NotBuilt { feature: needed, .. }) => assert!(!built && needed == feature),
        Ok(_) | Err(_) => assert!(built, "{opened:?}"),
    }
}
