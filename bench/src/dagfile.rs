//! The DAG files of the workloads.

use std::fmt::Write;

/// How many idle DAGs there are.
pub const IDLE: usize = 100;

/// Whatever a workload wants to run at once may run at once: workers and pools set the limit, not the DAG.
const UNLIMITED: usize = 50_000;

/// A DAG file.
pub struct DagFile {
    /// Also the name of the file, without the ending.
    pub dag_id: String,
    /// Its content.
    pub text: String,
}

/// A DAG like those that fill a real installation: five tasks, and a time at which it is not due while we measure.
pub fn idle(number: usize) -> DagFile {
    let schedule = format!("\"{} {} 29 2 *\"", number % 60, number % 24);
    DagFile::new(format!("idle_{number:03}"), &schedule, chain_of(5, "bash: \"true\""))
}

/// One root, `width` parallel tasks that run `true` in a shell, one join.
pub fn fan(dag_id: &str, width: usize) -> DagFile {
    let mut tasks = vec!["root: {bash: \"true\"}".to_owned()];
    tasks.extend((0..width).map(|number| format!("fan_{number:04}: {{bash: sh -c true, depends_on: root}}")));
    let all: Vec<String> = (0..width).map(|number| format!("fan_{number:04}")).collect();
    tasks.push(format!("join: {{bash: \"true\", depends_on: [{}]}}", all.join(", ")));
    DagFile::new(dag_id.to_owned(), "null", tasks)
}

/// `length` tasks one after the other, each running `true` in a shell.
pub fn chain(dag_id: &str, length: usize) -> DagFile {
    DagFile::new(dag_id.to_owned(), "null", chain_of(length, "bash: \"true\""))
}

/// `count` tasks that run nothing and do not wait for one another.
pub fn empty(dag_id: &str, count: usize) -> DagFile {
    let tasks = (0..count).map(|number| format!("e_{number:05}: {{empty: {{}}}}")).collect();
    DagFile::new(dag_id.to_owned(), "null", tasks)
}

/// `count` tasks that do not wait for one another, each running `script` in a shell.
pub fn wide(dag_id: &str, count: usize, script: &str) -> DagFile {
    let tasks = (0..count).map(|number| format!("w_{number:04}: {{bash: {script}}}")).collect();
    DagFile::new(dag_id.to_owned(), "null", tasks)
}

/// How the tasks of a large DAG depend on one another.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Not at all.
    Loose,
    /// One root, one join, all others in between.
    Wide,
    /// One after the other.
    Deep,
    /// A square: each waits for the one above it and that one's neighbour.
    Grid,
}

impl Shape {
    /// Its name in the report.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Loose => "loose",
            Shape::Wide => "wide",
            Shape::Deep => "deep",
            Shape::Grid => "grid",
        }
    }

    /// A DAG of `count` tasks that run nothing. Its lines are short: 50,000 of them fit into a DAG file.
    pub fn file(self, dag_id: &str, count: usize) -> DagFile {
        let side = count.isqrt();
        let upstreams = |number: usize| match self {
            Shape::Loose => Vec::new(),
            Shape::Wide if number == 0 => Vec::new(),
            Shape::Wide if number + 1 == count => (1..number).collect(),
            Shape::Wide => vec![0],
            Shape::Deep => number.checked_sub(1).into_iter().collect(),
            Shape::Grid if number < side => Vec::new(),
            Shape::Grid if number % side + 1 == side => vec![number - side],
            Shape::Grid => vec![number - side, number - side + 1],
        };
        let task = |number: usize| match names(&upstreams(number)) {
            None => format!("e{number}: {{empty: {{}}}}"),
            Some(names) => format!("e{number}: {{empty: {{}}, depends_on: [{names}]}}"),
        };
        DagFile::new(dag_id.to_owned(), "null", (0..count).map(task).collect())
    }
}

fn names(numbers: &[usize]) -> Option<String> {
    let names: Vec<String> = numbers.iter().map(|number| format!("e{number}")).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// One task every second, whose result is the time its process reads from the clock.
pub fn every_second(dag_id: &str) -> DagFile {
    let tasks = vec!["tick: {bash: date +%s.%N}".to_owned()];
    DagFile::new(dag_id.to_owned(), "\"* * * * * *\"", tasks)
}

impl DagFile {
    fn new(dag_id: String, schedule: &str, tasks: Vec<String>) -> DagFile {
        let mut text = format!(
            "dag_id: {dag_id}\nschedule: {schedule}\nis_paused_upon_creation: false\nmax_active_tasks: {UNLIMITED}\ntasks:\n"
        );
        for task in &tasks {
            // Writing to a String cannot fail.
            let _ = writeln!(text, " {task}");
        }
        DagFile { dag_id, text }
    }
}

fn chain_of(length: usize, operator: &str) -> Vec<String> {
    let task = |number: usize| match number.checked_sub(1) {
        None => format!("t_{number:03}: {{{operator}}}"),
        Some(before) => format!("t_{number:03}: {{{operator}, depends_on: t_{before:03}}}"),
    };
    (0..length).map(task).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_a_chain() {
        let file = chain("short", 3);
        let tasks = file.text.split_once("tasks:\n").unwrap().1;
        let wanted = " t_000: {bash: \"true\"}\n t_001: {bash: \"true\", depends_on: t_000}\n t_002: {bash: \"true\", depends_on: t_001}\n";
        assert_eq!(tasks, wanted);
    }

    #[test]
    fn a_fan_has_a_root_and_a_join() {
        let file = fan("fan", 2);
        assert!(file.text.contains(" fan_0001: {bash: sh -c true, depends_on: root}\n"));
        assert!(file.text.contains(" join: {bash: \"true\", depends_on: [fan_0000, fan_0001]}\n"));
    }

    #[test]
    fn shapes_are_what_they_are_called() {
        let tasks = |shape: Shape, count| {
            shape.file("shape", count).text.split_once("tasks:\n").unwrap().1.replace("{empty: {}", "")
        };
        assert_eq!(tasks(Shape::Loose, 2), " e0: }\n e1: }\n");
        let wide =
            " e0: }\n e1: , depends_on: [e0]}\n e2: , depends_on: [e0]}\n e3: , depends_on: [e1, e2]}\n";
        assert_eq!(tasks(Shape::Wide, 4), wide);
        assert_eq!(tasks(Shape::Deep, 2), " e0: }\n e1: , depends_on: [e0]}\n");
        let grid = " e0: }\n e1: }\n e2: , depends_on: [e0, e1]}\n e3: , depends_on: [e1]}\n";
        assert_eq!(tasks(Shape::Grid, 4), grid);
    }

    #[test]
    fn the_largest_dag_fits_into_a_dag_file() {
        assert!(Shape::Loose.file("shape", 50_000).text.len() <= 1 << 20);
    }
}
