//! DAG files that cannot be used: each is an import error with its place, and hides no other file.

use serde_json::Value;

use crate::{platform::Platform, raw::plain};

/// A broken file: its name, its text, the line and column of its error, and what is said about it.
struct Broken {
    file: &'static str,
    text: &'static str,
    place: (u32, u32),
    says: &'static [&'static str],
}

const BROKEN: [Broken; 10] = [
    Broken {
        file: "cycle.yaml",
        text: "tasks:\n  a: {bash: x, depends_on: b}\n  b: {bash: x, depends_on: a}\n",
        place: (2, 28),
        says: &["in a circle: a -> b -> a", "remove one of these dependencies"],
    },
    Broken {
        file: "key.yaml",
        text: "dag_id: key\nshedule: '@daily'\ntasks: {a: {bash: x}}\n",
        place: (2, 1),
        says: &["unknown key `shedule` in the DAG", "did you mean `schedule`?"],
    },
    Broken {
        file: "type.yaml",
        text: "tasks:\n  a: {bash: x, retries: soon}\n",
        place: (2, 25),
        says: &["`retries` of task `a`: this must be a whole number, not the text `soon`"],
    },
    Broken {
        file: "cron.yaml",
        text: "schedule: 99 * * * *\ntasks: {a: {bash: x}}\n",
        place: (1, 11),
        says: &["minute 99 is not in 0-59 (field 1 of `99 * * * *`)"],
    },
    Broken {
        file: "preset.yaml",
        text: "schedule: '@dialy'\ntasks: {a: {bash: x}}\n",
        place: (1, 11),
        says: &["`@dialy` is not a schedule, did you mean `@daily`?"],
    },
    Broken {
        file: "task_twice.yaml",
        text: "tasks:\n  a: {bash: x}\n  a: {bash: y}\n",
        place: (3, 3),
        says: &["the key `a` appears twice", "first on line 2"],
    },
    Broken {
        file: "dag_twice.yaml",
        text: "dag_id: twin\ntasks: {a: {bash: x}}\n---\ndag_id: twin\ntasks: {a: {bash: x}}\n",
        place: (4, 9),
        says: &["the DAG `twin` is defined twice in this file", "first on line 1"],
    },
    Broken {
        file: "later.yaml",
        text: "description: a second owner\ndag_id: owned\ntasks: {a: {bash: x}}\n",
        place: (2, 9),
        says: &["the DAG `owned` is already defined in earlier.yaml", "give one of the two another `dag_id`"],
    },
    Broken {
        file: "binary.yaml",
        text: "\u{7f}ELF\0\u{1}",
        place: (1, 5),
        says: &["this is not a text file: it contains a NUL byte"],
    },
    Broken {
        file: "big.yaml",
        text: "",
        place: (1, 1),
        says: &["the file has 10485760 bytes, a DAG file has at most 1048576"],
    },
];

/// Puts them into the DAGs folder, with a good one that comes first.
pub fn write(platform: &Platform) {
    let folder = platform.dags();
    for broken in &BROKEN {
        std::fs::write(folder.join(broken.file), broken.text).unwrap();
    }
    std::fs::write(folder.join("big.yaml"), vec![b'#'; 10 << 20]).unwrap();
    std::fs::write(folder.join("earlier.yaml"), "dag_id: owned\ntasks: {a: {bash: x}}\n").unwrap();
}

/// The API and the page tell of each, the scheduler's log has a line, and the good ones are there.
pub async fn are_explained(platform: &Platform) {
    let all = |answer: &Value| answer["total_entries"].as_u64() == Some(BROKEN.len() as u64);
    let answer = platform.until("all errors are known", "/importErrors", all).await;
    let headers = [("Authorization", &*platform.authorization()), ("Accept", "text/html")];
    let page = platform.send_raw("GET /import-errors", &headers, b"").await;
    let log = platform.said("scheduler");
    for Broken { file, place: (line, column), says, .. } in &BROKEN {
        let errors = answer["import_errors"].as_array().unwrap();
        let error = errors.iter().find(|error| error["filename"] == *file).unwrap();
        let text = error["stack_trace"].as_str().unwrap();
        assert!(text.starts_with(&format!("{file}:{line}:{column}: ")), "{text}");
        for words in *says {
            assert!(text.contains(words), "no {words:?} in {text}");
            let prose = page.prose();
            assert!(prose.contains(&plain(words)), "no {words:?} on the page: {prose}");
        }
        let about = |line: &&str| line.contains(&format!("\"{file}\"")) && line.contains("\"WARN\"");
        assert_eq!(log.lines().filter(about).count(), 1, "one line about {file}: {log}");
    }
    for dag_id in ["owned", "twin"] {
        platform.until_known(dag_id).await;
    }
}
