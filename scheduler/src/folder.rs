//! The folder of DAG files: which files there are, and which changed since the last look.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use domain::dagfile::{Diagnostic, MAX_BYTES, Parsed, parse};

/// How deep folders are followed.
const MAX_DEPTH: usize = 32;
/// How many DAG files are read at most; more are reported.
const MAX_FILES: usize = 100_000;
/// Of a file that is too long anyway, so much is read that the error can say so.
const READ_LIMIT: u64 = 16 * (MAX_BYTES as u64);

/// What a file looked like at the last look. A change within the clock's granularity that keeps the length is found by the
/// file system's own event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
}

/// A DAG file that is known, with the files that it refers to.
#[derive(Debug, Default)]
struct Known {
    stamps: Vec<(PathBuf, Option<Stamp>)>,
}

/// What one look found.
#[derive(Debug, Default)]
pub struct Changes {
    /// New and changed files, by their path relative to the folder.
    pub read: Vec<FileRead>,
    /// New and changed Python files, which Airflow's parser has to read.
    pub python: Vec<PythonFile>,
    /// Files that are gone.
    pub gone: Vec<String>,
}

/// A Python file that may define DAGs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonFile {
    /// Its path relative to the folder, with `/` between the parts.
    pub file: String,
    /// Its absolute path.
    pub path: PathBuf,
    /// Its text, as far as it is one.
    pub source: String,
}

/// A DAG file and what came of it.
#[derive(Debug)]
pub struct FileRead {
    /// Its path relative to the folder, with `/` between the parts.
    pub file: String,
    /// Its text, as far as it is one; kept with the DAG version.
    pub source: String,
    /// The DAGs and errors in it.
    pub parsed: Parsed,
}

/// The folder of DAG files.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    known: HashMap<String, Known>,
}

impl Folder {
    /// Nothing is known of it yet.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        Self { root, known: HashMap::new() }
    }

    /// The Python files count as changed at the next look.
    pub fn forget_python(&mut self) {
        self.known.retain(|file, _| !is_python(Path::new(file)));
    }

    /// Looks at the folder and reads what changed.
    ///
    /// # Errors
    /// When the folder itself cannot be read. A file that cannot be read is an error of that file.
    pub fn look(&mut self) -> io::Result<Changes> {
        list(&self.root).map(|files| self.compare(files))
    }

    fn compare(&mut self, files: BTreeMap<String, PathBuf>) -> Changes {
        let mut changes = Changes::default();
        self.known.retain(|file, _| {
            let stays = files.contains_key(file);
            if !stays {
                changes.gone.push(file.clone());
            }
            stays
        });
        for (file, path) in files {
            let changed = self.known.get(&file).is_none_or(Known::changed);
            // One that vanished after the folder was listed is no file that cannot be read: the next look finds it gone.
            if changed && fs::symlink_metadata(&path).is_ok() {
                let known = if is_python(&path) {
                    look_into(&file, &path, &mut changes)
                } else {
                    let (read, known) = read(&file, &path);
                    changes.read.push(read);
                    known
                };
                self.known.insert(file, known);
            }
        }
        changes.gone.sort();
        changes
    }
}

impl Known {
    fn changed(&self) -> bool {
        self.stamps.iter().any(|(path, stamp)| stamp_of(path) != *stamp)
    }
}

fn list(root: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    let mut open = vec![(root.to_path_buf(), 0)];
    fs::read_dir(root)?;
    while let Some((folder, depth)) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
            if is_hidden(&path) {
                continue;
            }
            if path.is_dir() {
                if depth < MAX_DEPTH {
                    open.push((path, depth + 1));
                }
            } else if is_dag_file(&path)
                && let Some(name) = relative(root, &path)
                && files.len() < MAX_FILES
            {
                files.insert(name, path);
            }
        }
    }
    Ok(files)
}

fn is_hidden(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
    name.starts_with('.') || matches!(name, "__pycache__" | "node_modules")
}

fn is_dag_file(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| matches!(ending, "yaml" | "yml" | "py"))
}

fn is_python(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "py")
}

/// Whether a Python file may define DAGs: it speaks of both. Source: Airflow 3.3.2 `utils/file.py`, `might_contain_dag`.
fn may_define_dags(bytes: &[u8]) -> bool {
    let text = bytes.to_ascii_lowercase();
    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    has(b"dag") && has(b"airflow")
}

/// Notes a Python file for Airflow's parser. One that defines no DAG, and did not before, is only remembered.
fn look_into(file: &str, path: &Path, changes: &mut Changes) -> Known {
    let stamps = vec![(path.to_path_buf(), stamp_of(path))];
    match read_limited(path) {
        Ok(bytes) if may_define_dags(&bytes) => changes.python.push(PythonFile {
            file: file.to_owned(),
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()),
            source: String::from_utf8_lossy(&bytes).replace('\0', ""),
        }),
        // What it defined before is gone.
        Ok(_) => changes.gone.push(file.to_owned()),
        Err(error) => {
            let parsed = unreadable(file, &error);
            changes.read.push(FileRead { file: file.to_owned(), source: String::new(), parsed });
        }
    }
    Known { stamps }
}

fn relative(root: &Path, path: &Path) -> Option<String> {
    let parts = path.strip_prefix(root).ok()?.components().map(|part| match part {
        Component::Normal(name) => name.to_str(),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    });
    parts.collect::<Option<Vec<_>>>().map(|parts| parts.join("/"))
}

fn read(file: &str, path: &Path) -> (FileRead, Known) {
    // Stamps are taken before reading: a change while we read is a change for the next look.
    let mut stamps = vec![(path.to_path_buf(), stamp_of(path))];
    let folder = path.parent().unwrap_or(Path::new("."));
    let parsed = match read_limited(path) {
        Ok(bytes) => parse_bytes(file, &bytes, folder),
        Err(error) => (String::new(), unreadable(file, &error)),
    };
    let (source, parsed) = parsed;
    stamps.extend(
        parsed.files.iter().map(|name| folder.join(name)).map(|path| (path.clone(), stamp_of(&path))),
    );
    (FileRead { file: file.to_owned(), source, parsed }, Known { stamps })
}

fn parse_bytes(file: &str, bytes: &[u8], folder: &Path) -> (String, Parsed) {
    let beside =
        |name: &str| read_limited(&folder.join(name)).map_err(|error| error.to_string()).and_then(to_text);
    (String::from_utf8_lossy(bytes).replace('\0', ""), parse(bytes, file, &beside))
}

fn to_text(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!("it has more than {MAX_BYTES} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not a text file in UTF-8".to_owned())
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(fs::File::open(path)?, READ_LIMIT), &mut bytes)?;
    Ok(bytes)
}

fn unreadable(file: &str, error: &io::Error) -> Parsed {
    let error = Diagnostic {
        file: file.to_owned(),
        line: 1,
        column: 1,
        message: format!("the file cannot be read: {error}"),
        hint: Some("the scheduler's user needs the right to read it".to_owned()),
        snippet: Vec::new(),
    };
    Parsed { dags: Vec::new(), errors: vec![error], files: Vec::new() }
}

fn stamp_of(path: &Path) -> Option<Stamp> {
    let about = fs::metadata(path).ok()?;
    Some(Stamp { modified: about.modified().ok(), length: about.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "dag_id: good\ntasks: {a: {bash: 'true'}}\n";

    fn names(changes: &Changes) -> Vec<&str> {
        changes.read.iter().map(|read| read.file.as_str()).collect()
    }

    #[test]
    fn finds_new_changed_and_vanished_files_below_the_folder() {
        let home = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(home.path().to_path_buf());
        fs::create_dir(home.path().join("team")).unwrap();
        fs::create_dir(home.path().join(".git")).unwrap();
        fs::write(home.path().join("team/good.yaml"), GOOD).unwrap();
        fs::write(home.path().join(".git/not.yaml"), GOOD).unwrap();
        fs::write(home.path().join("notes.txt"), "no").unwrap();
        let first = folder.look().unwrap();
        assert_eq!(names(&first), ["team/good.yaml"]);
        assert_eq!(first.read[0].parsed.dags.len(), 1, "{:?}", first.read[0].parsed.errors);
        assert!(folder.look().unwrap().read.is_empty());

        fs::write(home.path().join("team/good.yaml"), format!("{GOOD}# longer\n")).unwrap();
        assert_eq!(names(&folder.look().unwrap()), ["team/good.yaml"]);

        fs::remove_file(home.path().join("team/good.yaml")).unwrap();
        assert_eq!(folder.look().unwrap().gone, ["team/good.yaml"]);
    }

    #[test]
    fn a_file_that_vanishes_while_we_look_is_no_error() {
        let home = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(home.path().to_path_buf());
        fs::write(home.path().join("good.yaml"), GOOD).unwrap();
        fs::write(home.path().join("new.yaml"), GOOD).unwrap();
        let listed = list(home.path()).unwrap();
        fs::remove_file(home.path().join("new.yaml")).unwrap();
        assert_eq!(names(&folder.compare(listed.clone())), ["good.yaml"]);
        fs::remove_file(home.path().join("good.yaml")).unwrap();
        let changes = folder.compare(listed);
        assert!(changes.read.is_empty() && changes.gone.is_empty(), "{changes:?}");
        assert_eq!(folder.look().unwrap().gone, ["good.yaml"]);
        std::os::unix::fs::symlink("nowhere", home.path().join("link.yaml")).unwrap();
        assert_eq!(folder.look().unwrap().read[0].parsed.errors.len(), 1, "a link to nowhere is one");
    }

    #[test]
    fn a_file_that_is_referred_to_counts_as_part_of_the_dag_file() {
        let home = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(home.path().to_path_buf());
        let dag = "tasks: {a: {sql: {conn_id: w, file: a.sql}}}\n";
        fs::write(home.path().join("a.sql"), "SELECT 1").unwrap();
        fs::write(home.path().join("d.yaml"), dag).unwrap();
        assert_eq!(names(&folder.look().unwrap()), ["d.yaml"]);
        fs::write(home.path().join("a.sql"), "SELECT 1, 2").unwrap();
        assert_eq!(names(&folder.look().unwrap()), ["d.yaml"]);
        assert!(folder.look().unwrap().read.is_empty());
    }

    #[test]
    fn a_binary_file_is_an_error_and_hides_nothing() {
        let home = tempfile::tempdir().unwrap();
        let mut folder = Folder::new(home.path().to_path_buf());
        fs::write(home.path().join("bad.yaml"), [0xff, 0, 1]).unwrap();
        fs::write(home.path().join("good.yaml"), GOOD).unwrap();
        let changes = folder.look().unwrap();
        assert_eq!(names(&changes), ["bad.yaml", "good.yaml"]);
        assert_eq!((changes.read[0].parsed.errors.len(), changes.read[1].parsed.dags.len()), (1, 1));
    }

    #[test]
    fn a_missing_folder_is_an_error_of_its_own() {
        assert!(Folder::new("/nonexistent/dags".into()).look().is_err());
    }
}
