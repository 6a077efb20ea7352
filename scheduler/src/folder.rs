//! The folder of DAG files: which files there are, and which changed since the last look.

mod archive;
pub mod list;

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use domain::{
    dagfile::{Diagnostic, MAX_BYTES, Parsed, parse},
    ignore::Syntax,
};

use python::Touched;

use self::list::{Found, is_python, is_zip, list};

/// A Python file that could not be imported is read again after this while, and ten times what its reading took: what it needs may
/// be there now. Source: Airflow's `[dag_processor] min_file_process_interval`.
const SECOND_CHANCE: Duration = Duration::from_secs(30);
/// Most files that are given a second chance at the same time.
const MOST_CHANCES: usize = 20;
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
    /// It is a Python file that could not be imported; from then on it may be tried again.
    again: Option<Instant>,
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
    /// What cannot be understood in `.airflowignore` files, when it is news.
    pub refused: Vec<String>,
}

/// What the reading of a Python file has shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The files that were read with it.
    pub touched: Vec<Touched>,
    /// It could not be imported, and it took so long to find that out.
    pub failed: Option<Duration>,
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
    syntax: Syntax,
    known: HashMap<String, Known>,
    /// What was told to be wrong with patterns.
    refused: Vec<String>,
}

impl Folder {
    /// Nothing is known of it yet. `syntax` is that of its `.airflowignore` files.
    #[must_use]
    pub fn new(root: PathBuf, syntax: Syntax) -> Self {
        Self { root, syntax, known: HashMap::new(), refused: Vec::new() }
    }

    /// The Python files count as changed at the next look.
    pub fn forget_python(&mut self) {
        self.known.retain(|file, _| !is_airflows(Path::new(file)));
    }

    /// The file counts as changed at the next look.
    pub fn forget_file(&mut self, file: &str) {
        self.known.remove(file);
    }

    /// Nothing is known any more.
    pub fn forget(&mut self) {
        self.known.clear();
    }

    /// Remembers what the reading of a Python file has shown: when a file that was read with it changes, it counts as changed.
    pub fn note(&mut self, file: &str, findings: Findings) {
        let Some(known) = self.known.get_mut(file) else { return };
        known.again = findings.failed.map(|took| Instant::now() + SECOND_CHANCE + took * 10);
        for touched in findings.touched {
            if known.stamps.iter().all(|(path, _)| *path != touched.path) {
                let modified = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(touched.modified));
                known.stamps.push((touched.path, Some(Stamp { modified, length: touched.length })));
            }
        }
    }

    /// Looks at the folder and reads what changed.
    ///
    /// # Errors
    /// When the folder itself cannot be read. A file that cannot be read is an error of that file.
    pub fn look(&mut self) -> io::Result<Changes> {
        list(&self.root, self.syntax).map(|found| self.compare(found))
    }

    fn compare(&mut self, Found { files, refused }: Found) -> Changes {
        let mut changes = Changes::default();
        if refused != self.refused {
            self.refused.clone_from(&refused);
            changes.refused = refused;
        }
        self.known.retain(|file, _| {
            let stays = files.contains_key(file);
            if !stays {
                changes.gone.push(file.clone());
            }
            stays
        });
        let again = self.second_chances(&files, changes.gone.iter().any(|file| is_airflows(Path::new(file))));
        for (file, path) in files {
            let changed = self.known.get(&file).is_none_or(Known::changed) || again.contains(&file);
            // One that vanished after the folder was listed is no file that cannot be read: the next look finds it gone.
            if changed && fs::symlink_metadata(&path).is_ok() {
                let known = if is_airflows(&path) {
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

    /// The Python files that could not be imported and may be now: all of them when a Python file came, went or changed, else those whose
    /// time has come.
    fn second_chances(&self, files: &BTreeMap<String, PathBuf>, went: bool) -> Vec<String> {
        let broken = self.known.iter().filter_map(|(file, known)| Some((known.again?, file)));
        let mut broken: Vec<(Instant, &String)> = broken.collect();
        if broken.is_empty() {
            return Vec::new();
        }
        let is_news = |file: &String| self.known.get(file).is_none_or(Known::changed);
        if !went && !files.keys().any(|file| is_airflows(Path::new(file)) && is_news(file)) {
            let now = Instant::now();
            broken.retain(|(at, _)| *at <= now);
            broken.sort();
            broken.truncate(MOST_CHANCES);
        }
        broken.into_iter().map(|(_, file)| file.clone()).collect()
    }
}

/// Whether Airflow's parser reads such a file.
fn is_airflows(path: &Path) -> bool {
    is_python(path) || is_zip(path)
}

impl Known {
    fn changed(&self) -> bool {
        self.stamps.iter().any(|(path, stamp)| stamp_of(path) != *stamp)
    }
}

/// Whether a Python file may define DAGs: it speaks of both. Source: Airflow 3.3.2 `utils/file.py`, `might_contain_dag`.
#[must_use]
pub fn may_define_dags(bytes: &[u8]) -> bool {
    let text = bytes.to_ascii_lowercase();
    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    has(b"airflow") && (has(b"dag") || has(b"asset"))
}

/// Notes a Python file for Airflow's parser. One that defines no DAG, and did not before, is only remembered.
fn look_into(file: &str, path: &Path, changes: &mut Changes) -> Known {
    let stamps = vec![(path.to_path_buf(), stamp_of(path))];
    match read_limited(path) {
        Ok(bytes) if is_zip(path) || may_define_dags(&bytes) => changes.python.push(PythonFile {
            file: file.to_owned(),
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf()),
            // What is in an archive is no text.
            source: if is_zip(path) {
                String::new()
            } else {
                String::from_utf8_lossy(&bytes).replace('\0', "")
            },
        }),
        // What it defined before is gone.
        Ok(_) => changes.gone.push(file.to_owned()),
        Err(error) => {
            let parsed = unreadable(file, &error);
            changes.read.push(FileRead { file: file.to_owned(), source: String::new(), parsed });
        }
    }
    Known { stamps, again: None }
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
    (FileRead { file: file.to_owned(), source, parsed }, Known { stamps, again: None })
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
mod tests;
