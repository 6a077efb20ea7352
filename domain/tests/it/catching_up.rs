//! Schedules that have much to make up for at once.

use chrono::TimeDelta;

use crate::stage::Stage;

const HOURLY: &str = "
schedule: '0 * * * *'
start_date: 2026-01-01T00:00:00Z
catchup: true
tasks: {t: {empty: {}}}
";

#[test]
fn a_schedule_that_moves_on_several_times_in_a_turn_is_written_once_as_it_is_at_the_end() {
    let mut stage = Stage::new(HOURLY);
    stage.now += TimeDelta::days(2);
    let decisions = stage.engine.poll(stage.now);
    let last = decisions.runs_created.last().unwrap();
    assert!(decisions.runs_created.len() > stage.dag.max_active_runs as usize, "they end in this very turn");
    assert_eq!(decisions.runs_created.len(), 20, "and the turn ends, too");
    let [cursor] = &decisions.cursors[..] else { panic!("{:#?}", decisions.cursors) };
    assert_eq!(cursor.cursor, last.data_interval);
    let next = cursor.next.unwrap();
    assert_eq!(next.logical_date, last.logical_date.unwrap() + TimeDelta::hours(1));
}

#[test]
fn a_long_catch_up_takes_many_turns_and_leaves_nothing_out() {
    let mut stage = Stage::new(HOURLY);
    stage.now += TimeDelta::days(30);
    let mut dates = Vec::new();
    while stage.engine.next_deadline().is_some_and(|at| at <= stage.now) {
        let decisions = stage.engine.poll(stage.now);
        assert!(decisions.runs_created.len() <= 20);
        dates.extend(decisions.runs_created.iter().filter_map(|run| run.logical_date));
    }
    assert_eq!(dates.len(), 30 * 24);
    assert!(dates.is_sorted());
}
