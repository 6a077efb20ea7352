//! The DAG files of the workloads.

use std::fmt::Write;

/// How many idle DAGs there are.
pub const IDLE: usize = 100;

/// Whatever a workload wants to run at once may run at once: workers and pools set the limit, not the DAG.
const UNLIMITED: usize = 20_000;

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
            let _ = writeln!(text, "  {task}");
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
        let wanted = "  t_000: {bash: \"true\"}\n  t_001: {bash: \"true\", depends_on: t_000}\n  t_002: {bash: \"true\", depends_on: t_001}\n";
        assert_eq!(tasks, wanted);
    }

    #[test]
    fn a_fan_has_a_root_and_a_join() {
        let file = fan("fan", 2);
        assert!(file.text.contains("  fan_0001: {bash: sh -c true, depends_on: root}\n"));
        assert!(file.text.contains("  join: {bash: \"true\", depends_on: [fan_0000, fan_0001]}\n"));
    }
}
