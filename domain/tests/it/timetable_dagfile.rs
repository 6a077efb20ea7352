//! Schedules in DAG files: every form, and what is said of the wrong ones.

use chrono::{DateTime, Utc};
use domain::{
    dagfile::json_schema,
    timetable::{Bounds, Overlap, Timetable},
};
use serde_json::{Value, json};
use test_case::test_case;

use crate::dagfile::{dag, load};

fn file(header: &str) -> String {
    format!("timezone: Europe/Berlin\n{header}\ntasks: {{t: {{empty: {{}}}}}}\n")
}

fn berlin(cron: &str) -> Value {
    json!({"cron": cron, "timezone": "Europe/Berlin"})
}

#[test_case(r#"["0 6 * * *", "0 18 * * 1-5"]"#, json!({"any": [berlin("0 6 * * *"), berlin("0 18 * * 1-5")]}))]
#[test_case(r#"["0 6 * * *"]"#, berlin("0 6 * * *"); "a list of one is that one")]
#[test_case(r#"["@daily", {every: 7h}, {at: [2026-12-24T18:00]}]"#, json!({"any": [berlin("0 0 * * *"), {"every": "7h"}, {"at": ["2026-12-24T17:00:00Z"]}]}))]
#[test_case(r#""@continuous""#, json!("@continuous"))]
#[test_case("{at: [2026-12-24T18:00, 2026-03-01, 2026-12-24T18:00Z]}", json!({"at": ["2026-02-28T23:00:00Z", "2026-12-24T17:00:00Z", "2026-12-24T18:00:00Z"]}))]
#[test_case("{at: [2026-12-24T18:00], timezone: America/New_York}", json!({"at": ["2026-12-24T23:00:00Z"]}); "dates in a zone of their own")]
#[test_case("{cron: 0 6 * * *, data_interval: true}", json!({"cron": "0 6 * * *", "timezone": "Europe/Berlin", "data_interval": true}))]
#[test_case("{cron: 0 6 * * *, data_interval: 1d}", json!({"any": [berlin("0 6 * * *")], "data_interval": "1d"}))]
#[test_case("{any: [0 6 * * *, {every: 7h}], data_interval: true}", json!({"any": [berlin("0 6 * * *"), {"every": "7h"}], "data_interval": true}))]
#[test_case("{any: [0 6 * * *], timezone: Asia/Tokyo}", json!({"cron": "0 6 * * *", "timezone": "Asia/Tokyo"}))]
#[test_case("{cron: 0 6 * * *, calendar: {}}", json!({"any": [berlin("0 6 * * *")], "calendar": {"timezone": "Europe/Berlin", "weekend": ["Sat", "Sun"], "on_holiday": "skip"}}))]
#[test_case("{cron: 0 6 * * *, calendar: {weekend: [sunday, fri], holidays: [2026-12-25]}, on_holiday: next_business_day}", json!({"any": [berlin("0 6 * * *")], "calendar": {"timezone": "Europe/Berlin", "weekend": ["Fri", "Sun"], "holidays": ["2026-12-25"], "on_holiday": "next_business_day"}}))]
#[test_case("{every: 7h, timezone: UTC, blackout: {from: 22:00, to: 06:30:15}}", json!({"any": [{"every": "7h"}], "blackout": {"timezone": "UTC", "windows": [{"from": "22:00:00", "to": "06:30:15"}], "on_blackout": "skip"}}))]
#[test_case("{every: 7h, blackout: [{from: 2026-12-24, to: 2027-01-02T06:00}, {cron: '* * 1 * *'}, {from: '12:00', to: '24:00'}], on_blackout: delay}", json!({"any": [{"every": "7h"}], "blackout": {"timezone": "Europe/Berlin", "windows": [{"from": "2026-12-23T23:00:00Z", "to": "2027-01-02T05:00:00Z"}, {"cron": "* * 1 * *"}, {"from": "12:00:00", "to": "00:00:00"}], "on_blackout": "delay"}}))]
#[test_case("{cron: 0 6 * * *, jitter: 5m}", json!({"any": [berlin("0 6 * * *")], "jitter": {"within": "5m", "seed": "flights"}}); "jitter follows from the DAG's id")]
#[test_case("[{cron: 0 6 * * *, calendar: {}}, 0 12 24 12 *]", json!({"any": [{"any": [berlin("0 6 * * *")], "calendar": {"timezone": "Europe/Berlin", "weekend": ["Sat", "Sun"], "on_holiday": "skip"}}, berlin("0 12 24 12 *")]}))]
fn schedules_in_all_their_forms(written: &str, normal: Value) {
    let dag = dag(&file(&format!("schedule: {written}")));
    let json = serde_json::to_value(&dag.schedule).unwrap();
    assert_eq!(json, normal, "{json}");
    assert_eq!(serde_json::from_value::<Timetable>(json).unwrap(), dag.schedule);
    assert!(
        dag.schedule
            .fire_times("2026-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap(), &Bounds::default())
            .next()
            .is_some()
    );
}

#[test]
fn the_published_schema_accepts_them() {
    let validator = jsonschema::draft7::options().build(&json_schema()).unwrap();
    for schedule in [
        json!(["0 6 * * *", {"every": "7h"}, {"at": ["2026-12-24T18:00"]}]),
        json!("@continuous"),
        json!({"any": ["0 6 * * *", {"cron": "@daily", "calendar": {}}], "jitter": "5m", "data_interval": "1d"}),
        json!({"cron": "0 6 * * *", "calendar": {"weekend": ["sat"], "holidays": ["2026-12-25"]}, "on_holiday": "skip"}),
        json!({"every": "7h", "blackout": {"cron": "* * 1 * *"}, "on_blackout": "delay"}),
        json!({"every": "7h", "blackout": [{"from": "22:00", "to": "06:00"}]}),
    ] {
        let document = json!({"schedule": schedule, "overlap": "skip", "tasks": {"t": {"empty": {}}}});
        let told: Vec<_> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
        assert_eq!(told, Vec::<String>::new(), "{document}");
        assert!(load(&document.to_string()).errors.is_empty(), "{document}");
    }
    for schedule in [
        json!([]),
        json!({"any": []}),
        json!({"every": "7h", "cron": "@daily"}),
        json!({"every": "7h", "on_blackout": "wait", "blackout": {"cron": "* * 1 * *"}}),
        json!({"every": "7h", "blackout": {"from": "22:00"}}),
        json!({"every": "7h", "calendar": {"holiday": []}}),
        json!([["@daily"]]),
    ] {
        let document = json!({"schedule": schedule, "tasks": {"t": {"empty": {}}}});
        assert!(!validator.is_valid(&document), "the schema accepts {document}");
        assert!(!load(&document.to_string()).errors.is_empty(), "the reader accepts {document}");
    }
}

// What is said, with line and column, before the lines of the file.
#[test_case("schedule: []", "2:11: `schedule` of the DAG: there must be from 1 to 50 schedules, these are 0")]
#[test_case("schedule: [@daily, [@hourly]]", "2:12: a plain text cannot start with `@` (put the whole value in quotes)"; "the sign of presets")]
#[test_case(
    "schedule: ['@daily', ['@hourly']]",
    "2:22: element 2 of `schedule` of the DAG: this is a list in a list (write all into one list)"
)]
#[test_case(
    "schedule: ['@daily', '@once']",
    "2:22: element 2 of `schedule` of the DAG: `@once` cannot be part of another schedule: it has no ticks"
)]
#[test_case(
    "schedule: ['@daily', '@dayly']",
    "2:22: element 2 of `schedule` of the DAG: `@dayly` is not a schedule, did you mean `@daily`?"
)]
#[test_case(
    "schedule: ['@daily', null]",
    "2:22: element 2 of `schedule` of the DAG: nothing is not a schedule (write a cron expression"
)]
#[test_case(
    "schedule: ['@daily', {every: 7h, jitter: 5m}]",
    "2:22: element 2 of `schedule` of the DAG: `every 7h (jitter 5m)` cannot be part of another schedule: `jitter` is said once, for the whole"
)]
#[test_case(
    "schedule: ['@daily', {every: 7h, data_interval: true}]",
    "2:22: element 2 of `schedule` of the DAG: `every 7h` cannot be part of another schedule: `data_interval` is said once"
)]
#[test_case("schedule: ['@daily', {any: ['@daily', '@hourly']}]", "2:23: `any` of element 2 of `schedule` of the DAG: a list in a list (write all into one list)"; "a list in a mapping in a list")]
#[test_case(
    "schedule: {any: '@daily'}",
    "2:17: `any` of `schedule` of the DAG must be a list, this is the text `@daily`"
)]
#[test_case("schedule: {any: []}", "2:17: `any` of `schedule` of the DAG is empty")]
#[test_case(
    "schedule: {evry: 15m}",
    "2:12: unknown key `evry` in `schedule` of the DAG (did you mean `every`?)"
)]
#[test_case("schedule: {timezone: UTC}", "2:1: `schedule` of the DAG needs `cron`, `every`, `at` or `any`")]
#[test_case(
    "schedule: {every: 15m, at: [2026-01-01]}",
    "2:24: `schedule` of the DAG has both `every` and `at` (keep one; several schedules are a list)"
)]
#[test_case("schedule: {every: 15m, timezone: UTC}", "2:24: `schedule` of the DAG: `timezone` needs `cron`")]
#[test_case(
    "schedule: {at: []}",
    "2:16: `at` of `schedule` of the DAG: there must be from 1 to 1000 dates, these are 0"
)]
#[test_case("schedule: {at: [tomorrow]}", "2:17: `at` of `schedule` of the DAG: `tomorrow` is not a date")]
#[test_case("schedule: {at: [2026-03-29T02:30]}", "2026-03-29 02:30 does not exist in Europe/Berlin"; "a date that the clocks skip")]
#[test_case(
    "schedule: {cron: 0 6 * * *, data_interval: daily}",
    "2:44: `data_interval` of `schedule` of the DAG: this must be true, false or a length such as 1d, not the text `daily`"
)]
#[test_case("schedule: {cron: 0 6 * * *, data_interval: yes}", "write true, without quotes"; "a yes")]
#[test_case(
    "schedule: {cron: 0 6 * * *, jitter: 10ms}",
    "2:37: `jitter` of `schedule` of the DAG: a jitter of 10ms is too short"
)]
#[test_case(
    "schedule: {cron: 0 6 * * *, on_holiday: skip}",
    "2:29: `schedule` of the DAG: `on_holiday` needs a `calendar`"
)]
#[test_case(
    "schedule: {cron: 0 6 * * *, calendar: {}, on_holiday: next_busines_day}",
    "2:55: `on_holiday` of `schedule` of the DAG: `next_busines_day` is not a rule for holidays (did you mean `next_business_day`?)"
)]
#[test_case(
    "schedule: {cron: 0 6 * * *, calendar: {weekends: [sat]}}",
    "2:40: unknown key `weekends` in `calendar` of `schedule` of the DAG (did you mean `weekend`?)"
)]
#[test_case(
    "schedule: {cron: 0 6 * * *, calendar: {weekend: [sat, sin]}}",
    "2:55: `weekend` of `calendar` of `schedule` of the DAG: `sin` is not a weekday (did you mean `sun`?)"
)]
#[test_case("schedule: {cron: 0 6 * * *, calendar: {weekend: [mon, tue, wed, thu, fri, sat, sun]}}", "`weekend` leaves no business day"; "no business at all")]
#[test_case(
    "schedule: {cron: 0 6 * * *, calendar: {holidays: [25 Dec]}}",
    "2:51: `holidays` of `calendar` of `schedule` of the DAG: `25 Dec` is not a day (a holiday is a whole day: write 2026-12-25)"
)]
#[test_case(
    "schedule: {cron: 0 6 * * *, on_blackout: skip}",
    "2:29: `schedule` of the DAG: `on_blackout` needs a `blackout`"
)]
#[test_case("schedule: {cron: 0 6 * * *, blackout: []}", "there must be from 1 to 100 blackout windows, these are 0"; "no windows")]
#[test_case(
    "schedule: {cron: 0 6 * * *, blackout: [{from: 22:00}]}",
    "2:40: element 1 of `blackout` of `schedule` of the DAG needs `from` and `to`, or `cron`"
)]
#[test_case("schedule: {cron: 0 6 * * *, blackout: [{from: 22:00, to: 2026-12-24}]}", "`from` and `to` must both be times of the day or both be dates"; "a time and a date")]
#[test_case(
    "schedule: {cron: 0 6 * * *, blackout: [{from: 25:00, to: 06:00}]}",
    "2:47: `from` of element 1 of `blackout` of `schedule` of the DAG: `25:00` is not a time of the day"
)]
#[test_case(
    "schedule: {cron: 0 6 * * *, blackout: [{from: 22:00, to: 22:00}]}",
    "2:40: element 1 of `blackout` of `schedule` of the DAG: `from` and `to` are the same time of the day"
)]
#[test_case("schedule: {cron: 0 6 * * *, blackout: [{from: 2026-12-24, to: 2026-12-24}]}", "`to` is not after `from`"; "an empty window")]
#[test_case("schedule: {cron: 0 6 * * *, blackout: [{cron: '0 61 * * *'}]}", "hour 61 is not in 0-23"; "a bad cron")]
#[test_case("schedule: {cron: 0 6 * * *, blackout: [{cron: '* * * * * *'}]}", "a blackout is for whole minutes"; "seconds")]
#[test_case(
    "schedule: {cron: 0 6 * * *, blackout: [{frm: 22:00, to: 06:00}]}",
    "2:41: unknown key `frm` in element 1 of `blackout` of `schedule` of the DAG (did you mean `from`?)"
)]
#[test_case(
    "schedule: '@continuos'",
    "2:11: `schedule` of the DAG: `@continuos` is not a schedule, did you mean `@continuous`?"
)]
#[test_case(
    "schedule: '@continuous'\nmax_active_runs: 4",
    "3:18: `max_active_runs` of the DAG must be 1 when `schedule` is @continuous (remove it"
)]
#[test_case(
    "overlap: cancel",
    "2:10: `overlap` of the DAG: `cancel` is not a rule for overlapping runs (use `allow`, `queue`, `skip` or `cancel_running`)"
)]
#[test_case("overlap: queu", "did you mean `queue`?"; "a misspelt rule")]
fn a_bad_schedule_is_told_where_it_is(header: &str, expected: &str) {
    let parsed = load(&file(header));
    let told: Vec<_> = parsed.errors.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|said| said.contains(expected)), "{told:#?}");
    assert_eq!(told.len(), 1, "{told:#?}");
    assert!(parsed.dags.is_empty());
}

#[test]
fn continuous_runs_one_at_a_time() {
    let continuous = |more: &str| dag(&file(&format!("schedule: '@continuous'\n{more}"))).max_active_runs;
    assert_eq!((continuous(""), continuous("max_active_runs: 1")), (1, 1));
    assert_eq!(dag(&file("schedule: '@daily'")).max_active_runs, 16);
}

#[test]
fn overlap_is_left_out_of_the_normal_form_unless_it_is_said() {
    let plain = dag(&file("schedule: '@daily'"));
    assert_eq!(plain.overlap, Overlap::Allow);
    assert_eq!(plain, dag(&file("schedule: '@daily'\noverlap: allow")));
    assert!(!serde_json::to_string(&plain).unwrap().contains("overlap"));
    for overlap in Overlap::ALL {
        let dag = dag(&file(&format!("overlap: {}", overlap.as_str())));
        assert_eq!(dag.overlap, overlap);
        assert_eq!(serde_json::to_value(overlap).unwrap(), json!(overlap.as_str()));
    }
}
