use super::*;

const GOOD: &str = "dag_id: good\ntasks: {a: {bash: 'true'}}\n";

fn names(changes: &Changes) -> Vec<&str> {
    changes.read.iter().map(|read| read.file.as_str()).collect()
}

#[test]
fn finds_new_changed_and_vanished_files_below_the_folder() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::new(home.path().to_path_buf(), Syntax::Glob);
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
    let mut folder = Folder::new(home.path().to_path_buf(), Syntax::Glob);
    fs::write(home.path().join("good.yaml"), GOOD).unwrap();
    fs::write(home.path().join("new.yaml"), GOOD).unwrap();
    let listed = list(home.path(), Syntax::Glob).unwrap();
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
    let mut folder = Folder::new(home.path().to_path_buf(), Syntax::Glob);
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
    let mut folder = Folder::new(home.path().to_path_buf(), Syntax::Glob);
    fs::write(home.path().join("bad.yaml"), [0xff, 0, 1]).unwrap();
    fs::write(home.path().join("good.yaml"), GOOD).unwrap();
    let changes = folder.look().unwrap();
    assert_eq!(names(&changes), ["bad.yaml", "good.yaml"]);
    assert_eq!((changes.read[0].parsed.errors.len(), changes.read[1].parsed.dags.len()), (1, 1));
}

#[test]
fn a_missing_folder_is_an_error_of_its_own() {
    assert!(Folder::new("/nonexistent/dags".into(), Syntax::Glob).look().is_err());
}

fn python(changes: &Changes) -> Vec<&str> {
    changes.python.iter().map(|file| file.file.as_str()).collect()
}

fn touched(path: &Path) -> Touched {
    let about = fs::metadata(path).unwrap();
    let since = about.modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Touched {
        path: path.to_path_buf(),
        modified: u64::try_from(since.as_nanos()).unwrap(),
        length: about.len(),
    }
}

const PYTHON: &str = "from airflow.sdk import DAG\n";

#[test]
fn what_airflowignore_files_say_is_left_alone() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    for file in ["a.py", "lib/b.py", "team/c.py", "team/test_c.py", "team/keep/test_d.py"] {
        write(file, PYTHON);
    }
    write("lib/x.yaml", GOOD);
    write(".airflowignore", "# helpers\nlib/\ntest_*.py\n");
    write("team/keep/.airflowignore", "!test_d.py\n");
    let mut folder = Folder::new(home.path().to_path_buf(), Syntax::Glob);
    let first = folder.look().unwrap();
    assert_eq!(python(&first), ["a.py", "team/c.py", "team/keep/test_d.py"]);
    assert!(first.read.is_empty());

    write(".airflowignore", "a.py\n");
    let second = folder.look().unwrap();
    assert_eq!((python(&second), names(&second)), (vec!["lib/b.py", "team/test_c.py"], vec!["lib/x.yaml"]));
    assert_eq!(second.gone, ["a.py"]);

    write(".airflowignore", "team/[^/]*.py$\n");
    let mut folder = Folder::new(home.path().to_path_buf(), Syntax::Regexp);
    assert_eq!(python(&folder.look().unwrap()), ["a.py", "lib/b.py", "team/keep/test_d.py"]);
    write(".airflowignore", "(\n");
    assert_eq!(folder.look().unwrap().refused.len(), 1);
    assert!(folder.look().unwrap().refused.is_empty(), "it is told once");
}

/// An archive with empty files of these names.
fn archive(names: &[&str], comment: &str) -> Vec<u8> {
    let short = |length: usize| u16::try_from(length).unwrap().to_le_bytes();
    let long = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
    let mut packed = Vec::new();
    for name in names {
        packed.extend(
            [b"PK\x03\x04".as_slice(), &[0; 22], &short(name.len()), &[0; 2], name.as_bytes()].concat(),
        );
    }
    if names.is_empty() {
        packed.extend(b"PK\x03\x04");
    }
    let start = packed.len();
    for name in names {
        let extra = b"12345";
        packed.extend(
            [b"PK\x01\x02".as_slice(), &[0; 24], &short(name.len()), &short(extra.len()), &[0; 14]].concat(),
        );
        packed.extend([name.as_bytes(), extra].concat());
    }
    let size = packed.len() - start;
    packed.extend(
        [b"PK\x05\x06".as_slice(), &[0; 8], &long(size), &long(start), &short(comment.len())].concat(),
    );
    packed.extend(comment.as_bytes());
    packed
}

#[test]
fn an_archive_is_read_like_a_python_file() {
    let home = tempfile::tempdir().unwrap();
    let names = ["module/__init__.py", "a_long_name_with_a_dot.pyc", "dag.py"];
    for (name, packed) in [
        ("packed.zip", archive(&names, "")),
        ("with_comment.zip", archive(&names, "comment")),
        ("cut_off.zip", archive(&names, "")[..60].to_vec()),
        ("data.zip", archive(&names[..2], "")),
        ("empty.zip", archive(&[], "")),
        ("not.zip", b"something else".to_vec()),
        ("short.zip", b"P".to_vec()),
    ] {
        fs::write(home.path().join(name), packed).unwrap();
    }
    let mut folder = Folder::new(home.path().to_path_buf(), Syntax::Glob);
    let found = folder.look().unwrap();
    assert_eq!(
        python(&found),
        ["cut_off.zip", "packed.zip", "with_comment.zip"],
        "one that cannot be read may be one"
    );
    assert_eq!(found.python[0].source, "");
}

#[test]
fn a_python_file_is_read_again_when_what_it_imports_changes() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::new(home.path().to_path_buf(), Syntax::Glob);
    let helper = home.path().join("helper.txt");
    fs::write(home.path().join("dag.py"), PYTHON).unwrap();
    fs::write(home.path().join("other.py"), PYTHON).unwrap();
    fs::write(&helper, "1").unwrap();
    assert_eq!(python(&folder.look().unwrap()), ["dag.py", "other.py"]);
    let findings = |paths: &[&Path]| Findings {
        touched: paths.iter().map(|path| touched(path)).collect(),
        failed: None,
    };
    folder.note("dag.py", findings(&[&helper, &home.path().join("dag.py")]));
    assert!(folder.look().unwrap().python.is_empty());
    fs::write(&helper, "22").unwrap();
    assert_eq!(python(&folder.look().unwrap()), ["dag.py"]);
    assert!(
        folder.look().unwrap().python.is_empty(),
        "until its parser says so again, it depends on nothing"
    );
    folder.note("dag.py", findings(&[&helper]));
    fs::remove_file(&helper).unwrap();
    assert_eq!(python(&folder.look().unwrap()), ["dag.py"]);
}

#[test]
fn a_broken_python_file_has_another_chance_when_any_python_file_changes() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::new(home.path().to_path_buf(), Syntax::Glob);
    fs::write(home.path().join("dag.py"), PYTHON).unwrap();
    folder.look().unwrap();
    folder.note("dag.py", Findings { failed: Some(Duration::ZERO), ..Findings::default() });
    assert!(folder.look().unwrap().python.is_empty());
    fs::write(home.path().join("helper.py"), "NAME = 1\n").unwrap();
    assert_eq!(python(&folder.look().unwrap()), ["dag.py"], "the module that it missed may be this one");
    folder.note("dag.py", Findings { failed: Some(Duration::ZERO), ..Findings::default() });
    fs::remove_file(home.path().join("helper.py")).unwrap();
    assert_eq!(python(&folder.look().unwrap()), ["dag.py"]);
    folder.note("dag.py", Findings::default());
    fs::write(home.path().join("helper.py"), "NAME = 2\n").unwrap();
    assert!(folder.look().unwrap().python.is_empty());
}

#[test]
fn a_file_that_is_forgotten_is_read_again() {
    let home = tempfile::tempdir().unwrap();
    let mut folder = Folder::new(home.path().to_path_buf(), Syntax::Glob);
    for file in ["asked.py", "other.py"] {
        fs::write(home.path().join(file), PYTHON).unwrap();
    }
    assert_eq!(python(&folder.look().unwrap()), ["asked.py", "other.py"]);
    folder.forget_file("asked.py");
    folder.forget_file("gone.py");
    assert_eq!(python(&folder.look().unwrap()), ["asked.py"]);
    assert!(folder.look().unwrap().python.is_empty());
}
