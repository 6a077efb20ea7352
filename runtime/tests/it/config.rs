//! Flag, else environment, else default; wrong values are told with their place.

use std::path::Path;

use runtime::config::{Config, Environment, Error, Flags, Home, Origin, QueueName};
use test_case::test_case;

fn with<const N: usize>(variables: [(&str, &str); N]) -> Result<Config, Error> {
    Config::load(&Flags::default(), &Environment::of(variables))
}

fn error(variable: &str, value: &str) -> String {
    with([("HOME", "/home/ann"), (variable, value)]).unwrap_err().to_string()
}

#[test]
fn defaults() {
    let config = with([("HOME", "/home/ann")]).unwrap();
    assert_eq!(config.home.path(), Path::new("/home/ann/.tradewind"));
    assert_eq!(*config.dags_folder, Path::new("/home/ann/.tradewind/dags"));
    assert_eq!(config.logs_url.to_string(), "file:///home/ann/.tradewind/logs");
    assert_eq!((config.host.as_str(), config.port.get()), ("127.0.0.1", 8080));
    assert!(config.parallelism.get() >= 8);
    assert_eq!(config.queues.names(), [QueueName::parse("default").unwrap()]);
    assert!(config.database_url.is_none() && config.redis_url.is_none() && config.admin_password.is_none());
    assert_eq!(
        (config.log.to_string(), config.log_format.to_string()),
        ("info".to_owned(), "auto".to_owned())
    );
    assert!(config.policy.is_none() && *config.fair_share && *config.airflow_compat);
    assert_eq!(*config.airflow_kept_files, 8);
    assert_eq!(config.airflow_parse_memory.bytes(), Some(2 << 30));
    assert!(config.airflow_plugins_folder.is_none());
    assert!(config.warnings.is_empty());
    assert!(config.list().iter().all(|listed| listed.origin == Origin::Default));
}

#[test]
fn reading_airflow_dag_files_has_settings() {
    for (given, bytes, shown) in [
        ("512M", Some(512 << 20), "512M"),
        ("3072m", Some(3 << 30), "3G"),
        (" 4g ", Some(4 << 30), "4G"),
        ("off", None, "off"),
    ] {
        let config = with([("HOME", "/home/ann"), ("TRADEWIND_AIRFLOW_PARSE_MEMORY", given)]).unwrap();
        assert_eq!(config.airflow_parse_memory.bytes(), bytes);
        let listed = config.list();
        let listed = listed.iter().find(|listed| listed.setting.name == "airflow_parse_memory").unwrap();
        assert_eq!((listed.value.as_str(), listed.origin), (shown, Origin::Environment));
    }
    let config = with([("HOME", "/home/ann"), ("TRADEWIND_AIRFLOW_PLUGINS_FOLDER", "~/plugins")]).unwrap();
    assert_eq!(config.airflow_plugins_folder.as_deref(), Some(Path::new("/home/ann/plugins")));
}

#[test]
fn a_flag_beats_the_environment_and_both_are_remembered() {
    let flags = Flags { port: Some("9000".to_owned()), home: Some("/srv/tw".to_owned()), ..Flags::default() };
    let environment = Environment::of([
        ("HOME", "/home/ann"),
        ("TRADEWIND_PORT", "not even a number"),
        ("TRADEWIND_HOST", "0.0.0.0"),
        ("TRADEWIND_PARALLELISM", ""),
    ]);
    let config = Config::load(&flags, &environment).unwrap();
    assert_eq!((config.port.get(), config.port.origin), (9000, Origin::Flag));
    assert_eq!((config.host.as_str(), config.host.origin), ("0.0.0.0", Origin::Environment));
    assert_eq!(config.parallelism.origin, Origin::Default, "an empty variable is not given");
    assert_eq!(*config.dags_folder, Path::new("/srv/tw/dags"), "defaults follow the home");

    let listed = config.list();
    let port = listed.iter().find(|listed| listed.setting.name == "port").unwrap();
    assert_eq!((port.value.as_str(), port.origin.to_string().as_str()), ("9000", "flag"));
}

#[test]
fn secrets_are_masked_wherever_they_are_shown() {
    let config = with([
        ("HOME", "/home/ann"),
        ("TRADEWIND_DATABASE_URL", "postgres://ann:hunter2@db:5432/tradewind?sslpassword=hunter2"),
        ("TRADEWIND_REDIS_URL", "redis://:hunter2@queue:6379/0"),
        ("TRADEWIND_SECRET_KEY", "hunter2hunter2hunter2"),
        ("TRADEWIND_ADMIN_PASSWORD", "hunter2"),
    ])
    .unwrap();
    let listed: Vec<String> = config.list().into_iter().map(|listed| listed.value).collect();
    let shown = format!("{config:?} {listed:?}");
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(
        listed.contains(&"postgres://ann:***@db:5432/tradewind?sslpassword=***".to_owned()),
        "{listed:?}"
    );
    assert!(listed.contains(&"redis://:***@queue:6379/0".to_owned()), "{listed:?}");
    assert_eq!(listed.iter().filter(|value| *value == "***").count(), 2);
    assert!(config.database_url.as_ref().unwrap().expose().contains("hunter2"));
}

#[test_case(
    "TRADEWIND_PORT",
    "80a",
    r#"TRADEWIND_PORT is "80a", but it must be a whole number from 0 to 65535"#
)]
#[test_case("TRADEWIND_PORT", "65536", "0 to 65535")]
#[test_case("TRADEWIND_PARALLELISM", "0", "1 to 4096")]
#[test_case("TRADEWIND_PARALLELISM", "4097", "1 to 4096")]
#[test_case("TRADEWIND_HOST", "256.1.1.1", "an IP address or a host name")]
#[test_case("TRADEWIND_HOST", "local host", "an IP address or a host name")]
#[test_case("TRADEWIND_QUEUES", "a,,b", "separated by commas")]
#[test_case("TRADEWIND_QUEUES", "a/b", "separated by commas")]
#[test_case("TRADEWIND_POLICY", "Shortest Job", "small letters")]
#[test_case("TRADEWIND_FAIR_SHARE", "yes", "true or false")]
#[test_case("TRADEWIND_BASE_URL", "example.org", "https://")]
#[test_case("TRADEWIND_BASE_URL", "ftp://example.org", "https://"; "no web server")]
#[test_case("TRADEWIND_BASE_URL", "https://me:secret@example.org", "without name"; "a password")]
#[test_case("TRADEWIND_BASE_URL", "https://example.org?a=1", "query"; "a query")]
#[test_case("TRADEWIND_LOG", "inof", "did you mean info?")]
#[test_case("TRADEWIND_LOG", "scheduler=", "scheduler=debug")]
#[test_case("TRADEWIND_LOG_FORMAT", "xml", "auto, text or json")]
#[test_case("TRADEWIND_AIRFLOW_COMPAT", "maybe", "on or off")]
#[test_case("TRADEWIND_AIRFLOW_KEPT_FILES", "65", "a whole number from 0 to 64")]
#[test_case("TRADEWIND_AIRFLOW_PARSE_MEMORY", "511M", "at least 512M, or off")]
#[test_case("TRADEWIND_AIRFLOW_PARSE_MEMORY", "2000000000", "such as 512M or 2G"; "a size without a unit")]
#[test_case("TRADEWIND_AIRFLOW_PARSE_MEMORY", "99999999999999999999G", "such as 512M or 2G"; "a size that is no number")]
#[test_case("TRADEWIND_LOGS_URL", "ftp://host/logs", "s3://")]
#[test_case("TRADEWIND_LOGS_URL", "file://host/logs", "file:///")]
#[test_case("TRADEWIND_LOGS_URL", "s3://key:secret@bucket", "without credentials")]
#[test_case("TRADEWIND_HOME", "~", ""; "a tilde is a home")]
fn wrong_values_say_what_is_allowed(variable: &str, value: &str, expected: &str) {
    if expected.is_empty() {
        let config = with([("HOME", "/home/ann"), (variable, value)]).unwrap();
        assert_eq!(config.home.path(), Path::new("/home/ann"));
        return;
    }
    let error = error(variable, value);
    assert!(error.starts_with(variable) && error.contains(expected), "{error}");
}

#[test_case(
    "TRADEWIND_DATABASE_URL",
    "mysql://ann:hunter2@db/x",
    "postgres://user:password@host:5432/database"
)]
#[test_case("TRADEWIND_DATABASE_URL", "postgres://ann:hunter2@db:5432", "name of the database")]
#[test_case("TRADEWIND_DATABASE_URL", "host=db password=hunter2", "postgres://")]
#[test_case("TRADEWIND_REDIS_URL", "hunter2", "redis://")]
#[test_case("TRADEWIND_SECRET_KEY", "hunter2", "16 to 4096 characters")]
fn wrong_secrets_are_not_shown(variable: &str, value: &str, expected: &str) {
    let error = error(variable, value);
    assert!(error.starts_with(variable) && error.contains(expected), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn the_flag_is_named_when_the_flag_is_wrong() {
    let flags = Flags { port: Some("http".to_owned()), ..Flags::default() };
    let error = Config::load(&flags, &Environment::of([("HOME", "/home/ann")])).unwrap_err();
    assert_eq!(error.to_string(), r#"--port is "http", but it must be a whole number from 0 to 65535"#);
}

#[test]
fn without_a_home_folder_one_must_be_given() {
    assert_eq!(with([]).unwrap_err(), Error::NoHome);
    assert_eq!(with([("TRADEWIND_HOME", "/srv")]).unwrap().home.path(), Path::new("/srv"));
}

#[test]
fn misspelt_variables_are_warned_about_and_those_of_tasks_are_not() {
    let config = with([
        ("HOME", "/home/ann"),
        ("TRADEWIND_DATABSE_URL", "postgres://x"),
        ("TRADEWIND_SOMETHING_ELSE", "1"),
        ("TRADEWIND_RUN_ID", "manual__1"),
        ("TRADEWIND_PARAM_DAY", "2013-01-01"),
    ])
    .unwrap();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("did you mean TRADEWIND_DATABASE_URL?"), "{warnings:?}");
    assert!(warnings[1].contains("TRADEWIND_SOMETHING_ELSE is set but"), "{warnings:?}");
}

#[test]
fn folders_and_buckets_hold_logs() {
    let url =
        |value: &str| with([("HOME", "/home/ann"), ("TRADEWIND_LOGS_URL", value)]).unwrap().logs_url.value;
    assert_eq!(url("/var/log/50% #1?").url().to_file_path().unwrap(), Path::new("/var/log/50% #1?"));
    assert_eq!(url("~/logs").to_string(), "file:///home/ann/logs");
    assert_eq!(url("s3://bucket/tradewind").to_string(), "s3://bucket/tradewind");
}

#[test_case("https://tw.example.org", "https://tw.example.org")]
#[test_case("https://tw.example.org/", "https://tw.example.org"; "a slash at the end")]
#[test_case("http://proxy:8443/tradewind/", "http://proxy:8443/tradewind"; "behind a proxy")]
fn the_base_of_links_ends_without_a_slash(value: &str, base: &str) {
    let config = with([("HOME", "/home/ann"), ("TRADEWIND_BASE_URL", value)]).unwrap();
    assert_eq!(config.base_url.as_ref().unwrap().as_str(), base);
}

#[test]
fn an_unwritable_home_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Home::at(&file.join("home")).unwrap().create().unwrap_err().to_string();
    assert!(error.contains("file/home cannot be used") && error.contains("TRADEWIND_HOME"), "{error}");
    Home::at(&folder.path().join("a/b")).unwrap().create().unwrap();
}
