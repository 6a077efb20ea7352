//! Finding PostgreSQL's programs on this machine.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::account::clean_command;
use super::{Error, OLDEST_MAJOR};

/// The usual places, for people.
pub(super) const USUAL_PLACES: &str = "/usr/lib/postgresql, /usr/pgsql-*, Homebrew, Postgres.app";

/// Folders of which some children, by the beginning of their name, hold a server in the given folder below.
const PLACES: [(&str, &str, &str); 7] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql", "bin"),
    ("/usr/local/opt", "postgresql", "bin"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// The most folders looked at, so that a strange machine cannot keep us busy.
const MOST_FOLDERS: usize = 256;

/// One installation of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    folder: PathBuf,
    /// The major version, for example 17.
    pub(super) major: u32,
}

impl Binaries {
    /// The installation to use: the first on PATH and in the usual places that has the major version `data` of
    /// existing data, or for new data the first that is new enough.
    pub(super) fn find(data: Option<(u32, &Path)>) -> Result<Binaries, Error> {
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = env::split_paths(&path).chain(usual_folders()).filter(|f| holds_server(f));
        choose(folders.filter_map(Binaries::ask).take(MOST_FOLDERS), data)
    }

    /// The server.
    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }

    /// The program that makes a data folder.
    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    /// The program that makes a database: beside the server, else wherever PATH has it (some distributions keep
    /// client programs apart).
    pub(super) fn createdb(&self) -> PathBuf {
        let beside = self.folder.join("createdb");
        if is_program(&beside) { beside } else { PathBuf::from("createdb") }
    }

    fn ask(folder: PathBuf) -> Option<Binaries> {
        let output = clean_command(&folder.join("postgres")).arg("--version").output().ok()?;
        let major = parse_version(&String::from_utf8_lossy(&output.stdout))?;
        // A link to the server elsewhere: the programs that go with it are there too.
        let real = folder.join("postgres").canonicalize().ok();
        let real =
            real.and_then(|program| program.parent().filter(|real| holds_server(real)).map(Path::to_owned));
        let folder = real.unwrap_or(folder);
        Some(Binaries { folder, major })
    }
}

/// What to type to install PostgreSQL on this kind of machine.
pub(super) fn how_to_install(major: Option<u32>) -> String {
    let version = major.map(|major| format!("-{major}")).unwrap_or_default();
    if cfg!(target_os = "macos") {
        let version = major.unwrap_or(17);
        format!("Install it with `brew install postgresql@{version}`.")
    } else {
        format!("Install it with `apt-get install postgresql{version}` (or your distribution's like).")
    }
}

fn choose(found: impl Iterator<Item = Binaries>, data: Option<(u32, &Path)>) -> Result<Binaries, Error> {
    let mut unfit = Vec::new();
    for binaries in found {
        let fits = match data {
            Some((major, _)) => binaries.major == major,
            None => binaries.major >= OLDEST_MAJOR,
        };
        if fits {
            return Ok(binaries);
        }
        unfit.push(binaries);
    }
    let Some(newest) = unfit.iter().max_by_key(|binaries| binaries.major) else {
        return Err(Error::NotInstalled { wanted: data.map(|(major, _)| major) });
    };
    match data {
        None => Err(Error::TooOld { found: newest.major, folder: newest.folder.clone() }),
        Some((major, folder)) => {
            let mut installed: Vec<u32> = unfit.iter().map(|binaries| binaries.major).collect();
            installed.sort_unstable();
            installed.dedup();
            Err(Error::OtherMajor { folder: folder.to_owned(), data: major, installed })
        }
    }
}

/// The usual places on this machine, newest version first within each.
fn usual_folders() -> Vec<PathBuf> {
    PLACES.iter().flat_map(|(root, start, below)| versions_in(Path::new(root), start, below)).collect()
}

fn versions_in(root: &Path, start: &str, below: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with(start)).take(MOST_FOLDERS).collect();
    names.sort_by_key(|name| std::cmp::Reverse(first_number(name).unwrap_or(0)));
    names.into_iter().map(|name| root.join(name).join(below)).collect()
}

fn holds_server(folder: &Path) -> bool {
    folder.is_absolute() && ["postgres", "initdb"].iter().all(|name| is_program(&folder.join(name)))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The major version in what `postgres --version` prints: `postgres (PostgreSQL) 15.14 (Debian 15.14-1)`.
fn parse_version(text: &str) -> Option<u32> {
    first_number(text.strip_prefix("postgres (PostgreSQL) ")?)
}

fn first_number(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use test_case::test_case;

    use super::*;

    fn installed(majors: &[u32]) -> impl Iterator<Item = Binaries> {
        majors.iter().map(|&major| Binaries { folder: PathBuf::from(format!("/pg/{major}")), major })
    }

    #[test_case("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)\n", Some(15))]
    #[test_case("postgres (PostgreSQL) 18beta1\n", Some(18))]
    #[test_case("mysqld 8.0", None)]
    #[test_case("", None)]
    fn version(text: &str, major: Option<u32>) {
        assert_eq!(parse_version(text), major);
    }

    #[test]
    fn new_data_takes_the_first_that_is_new_enough() {
        assert_eq!(choose(installed(&[12, 15, 17]), None).unwrap().major, 15);
    }

    #[test]
    fn existing_data_takes_its_own_version() {
        let data = Path::new("/data");
        assert_eq!(choose(installed(&[17, 15]), Some((15, data))).unwrap().major, 15);
        let error = choose(installed(&[17, 16, 17]), Some((15, data))).unwrap_err().to_string();
        assert!(error.contains("/data was written by PostgreSQL 15"), "{error}");
        assert!(error.contains("only has PostgreSQL 16, 17"), "{error}");
        assert!(error.contains("postgresql-15") || error.contains("postgresql@15"), "{error}");
    }

    #[test]
    fn nothing_usable_says_how_to_install() {
        let error = choose(installed(&[]), None).unwrap_err().to_string();
        assert!(error.contains("apt-get install postgresql") || error.contains("brew install"), "{error}");
        assert!(error.contains("--database-url"), "{error}");
        let error = choose(installed(&[9, 13]), None).unwrap_err().to_string();
        assert!(error.contains("PostgreSQL 13 in /pg/13 is too old"), "{error}");
    }

    #[test]
    fn the_newest_version_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for name in ["postgresql@9", "postgresql@17", "postgresql", "redis", "postgresql@16"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        let found = versions_in(root.path(), "postgresql", "bin");
        let names: Vec<_> = found.iter().map(|f| f.strip_prefix(root.path()).unwrap().to_owned()).collect();
        assert_eq!(names[0], Path::new("postgresql@17/bin"));
        assert_eq!(names[1], Path::new("postgresql@16/bin"));
        assert_eq!(names.len(), 4);
    }
}
