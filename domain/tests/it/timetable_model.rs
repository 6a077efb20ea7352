//! Timetables that are put together, against a model that knows only sets of moments, and the law that all timetables share.

use std::collections::BTreeSet;

use chrono::{
    DateTime, Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc,
    Weekday,
};
use chrono_tz::Tz;
use domain::{
    span::Span,
    timetable::{
        Blackout, Bounds, Calendar, Catchup, Composed, Cron, DataInterval, Dates, Every, Interval, Jitter,
        NextRun, OnBlackout, OnHoliday, Timetable, Window,
    },
};
use proptest::{prelude::*, sample::select};

type Moment = DateTime<Utc>;

/// What a timetable is put together from, for the timetable and for the model.
#[derive(Debug, Clone)]
struct Recipe {
    zone: Tz,
    crons: Vec<&'static str>,
    every: Option<u64>,
    dates: Vec<Moment>,
    weekend: Vec<Weekday>,
    holidays: BTreeSet<NaiveDate>,
    on_holiday: Option<OnHoliday>,
    windows: Vec<Window>,
    on_blackout: OnBlackout,
    jitter: Option<u64>,
    interval: Interval,
}

impl Recipe {
    fn elements(&self) -> Vec<Timetable> {
        let mut all: Vec<_> =
            self.crons.iter().map(|cron| Timetable::Cron(Cron::parse(cron, self.zone).unwrap())).collect();
        all.extend(self.every.map(|secs| Timetable::Every(Every::new(Span::from_secs(secs)).unwrap())));
        if !self.dates.is_empty() {
            all.push(Timetable::Dates(Dates::new(self.dates.clone()).unwrap()));
        }
        all
    }

    fn composed(&self) -> Timetable {
        let calendar = self.on_holiday.map(|on_holiday| {
            Calendar::new(self.zone, self.weekend.clone(), self.holidays.clone(), on_holiday).unwrap()
        });
        let blackout = (!self.windows.is_empty())
            .then(|| Blackout::new(self.zone, self.windows.clone(), self.on_blackout).unwrap());
        let jitter = self.jitter.map(|secs| Jitter::new(Span::from_secs(secs), "sales").unwrap());
        let composed = Composed::new(self.elements()).unwrap().with_calendar(calendar);
        Timetable::Composed(Box::new(
            composed.with_blackout(blackout).with_jitter(jitter).with_data_interval(self.interval),
        ))
    }

    /// Its ticks from `from` up to `to`, one by one.
    fn ticks(&self, bounds: &Bounds, from: Moment, to: Moment) -> Vec<Moment> {
        let (early, late) = (from - TimeDelta::days(20), to + TimeDelta::days(20));
        let mut all = BTreeSet::new();
        for element in self.elements() {
            // A grid is found from its own start on; its past is the same grid.
            let ahead = match (&element, bounds.start) {
                (Timetable::Every(every), start) => {
                    grid(start.unwrap_or(DateTime::UNIX_EPOCH), every.span(), early)
                }
                _ => early,
            };
            let source = element.fire_times(ahead, &Bounds::default());
            all.extend(source.take_while(|tick| *tick < late).filter(|tick| *tick >= early));
        }
        let witnesses = self.windows.iter().map(witness).collect::<Vec<_>>();
        let moved = all.into_iter().filter_map(|tick| self.on_a_business_day(tick));
        let mut light = early;
        let lit: BTreeSet<_> = moved
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter_map(|tick| self.lit(tick, late, &mut light, &witnesses))
            .collect();
        lit.range(from..to).copied().collect()
    }

    fn on_a_business_day(&self, tick: Moment) -> Option<Moment> {
        let Some(on_holiday) = self.on_holiday else { return Some(tick) };
        let reading = tick.with_timezone(&self.zone).naive_local();
        let business =
            |date: &NaiveDate| !self.weekend.contains(&date.weekday()) && !self.holidays.contains(date);
        let mut date = reading.date();
        if business(&date) {
            return Some(tick);
        }
        while !business(&date) {
            date = match on_holiday {
                OnHoliday::Skip => return None,
                OnHoliday::NextBusinessDay => date.succ_opt().unwrap(),
                OnHoliday::PreviousBusinessDay => date.pred_opt().unwrap(),
            };
        }
        Some(fires(self.zone, date.and_time(reading.time())))
    }

    /// Where a tick is moved out of the dark, minute by minute; `light` is where the dark ended for the tick before, since all
    /// up to there is dark for this one too. Nothing that is dark up to `late` is looked for any further: it may be for ever.
    fn lit(
        &self,
        tick: Moment,
        late: Moment,
        light: &mut Moment,
        witnesses: &[Option<croner::Cron>],
    ) -> Option<Moment> {
        if !self.is_dark(tick, witnesses) {
            return Some(tick);
        }
        match self.on_blackout {
            OnBlackout::Skip => None,
            OnBlackout::Delay => {
                *light = tick.max(*light);
                while *light < late && self.is_dark(*light, witnesses) {
                    *light += TimeDelta::minutes(1);
                }
                (*light < late).then_some(*light)
            }
        }
    }

    fn is_dark(&self, moment: Moment, witnesses: &[Option<croner::Cron>]) -> bool {
        let reading = moment.with_timezone(&self.zone).naive_local();
        self.windows.iter().zip(witnesses).any(|(window, witness)| match window {
            Window::Daily { from, to } if from < to => (*from..*to).contains(&reading.time()),
            Window::Daily { from, to } => reading.time() >= *from || reading.time() < *to,
            Window::Once { from, to } => *from <= moment && moment < *to,
            Window::Minutes { .. } => witness.as_ref().unwrap().is_time_matching(&reading.and_utc()).unwrap(),
        })
    }
}

/// Another library that says which minutes match.
fn witness(window: &Window) -> Option<croner::Cron> {
    match window {
        Window::Minutes { cron } => Some(cron.parse().unwrap()),
        Window::Daily { .. } | Window::Once { .. } => None,
    }
}

fn grid(anchor: Moment, span: Span, near: Moment) -> Moment {
    let steps = (near - anchor).num_seconds() / span.delta().num_seconds();
    anchor + TimeDelta::seconds(steps * span.delta().num_seconds())
}

/// The table of the documentation.
fn fires(zone: Tz, reading: NaiveDateTime) -> Moment {
    match zone.from_local_datetime(&reading) {
        MappedLocalTime::Single(moment) | MappedLocalTime::Ambiguous(_, moment) => moment.to_utc(),
        MappedLocalTime::None => {
            let before =
                zone.from_local_datetime(&(reading - TimeDelta::days(1))).earliest().unwrap().to_utc();
            before + TimeDelta::days(1)
        }
    }
}

/// Weeks around a change of the clock, of business, and of nothing.
const ZONES: [(Tz, &str); 6] = [
    (Tz::UTC, "2026-05-05T00:00:00Z"),
    (Tz::Europe__Berlin, "2026-03-29T01:00:00Z"),
    (Tz::Europe__Berlin, "2026-10-25T01:00:00Z"),
    (Tz::America__New_York, "2026-11-01T06:00:00Z"),
    (Tz::Australia__Lord_Howe, "2026-10-03T15:30:00Z"),
    (Tz::Africa__Cairo, "2026-04-23T22:00:00Z"),
];
const CRONS: [&str; 10] = [
    "30 2 * * *",
    "0 6,18 * * *",
    "*/50 1-3 * * *",
    "15 */5 * * *",
    "0 12 * * 6,7",
    "45 23 * * 1-5",
    "0 0 1,15 * *",
    "10 * * * *",
    "0 1 * * 0",
    "20 0 L * *",
];

fn time(text: &str) -> NaiveTime {
    text.parse().unwrap()
}

fn window(around: Moment) -> impl Strategy<Value = Window> {
    let daily = select(vec![
        ("22:00", "06:00"),
        ("02:15", "02:45"),
        ("00:00", "12:00"),
        ("01:30", "03:00"),
        ("12:00", "00:00"),
    ]);
    let crons = select(vec!["* * 1 * *", "* 1-2 * * *", "* * * * 0,6", "0-29 * * * *", "* * L * 5#2"]);
    prop_oneof![
        daily.prop_map(|(from, to)| Window::Daily {
            from: time(&format!("{from}:00")),
            to: time(&format!("{to}:00"))
        }),
        (0_i64..12_000, 1_i64..2_880).prop_map(move |(from, length)| {
            let from = around - TimeDelta::minutes(6_000 - from);
            Window::Once { from, to: from + TimeDelta::minutes(length) }
        }),
        crons.prop_map(|cron| Window::Minutes { cron: cron.to_owned() }),
    ]
}

prop_compose! {
    fn recipe()(place in select(ZONES.to_vec()))(
        zone in Just(place.0),
        around in Just(place.1.parse::<Moment>().unwrap()),
        crons in proptest::sample::subsequence(CRONS.to_vec(), 1..3),
        every in proptest::option::weighted(0.3, select(vec![5_400_u64, 7 * 3_600, 86_400])),
        dates in prop::collection::vec(0_i64..20_000, 0..4),
        weekend in select(vec![vec![Weekday::Sat, Weekday::Sun], vec![Weekday::Fri, Weekday::Sat], vec![], vec![Weekday::Sun]]),
        holidays in prop::collection::vec(0_i64..12, 0..4),
        on_holiday in proptest::option::weighted(0.7, select(OnHoliday::ALL.to_vec())),
        windows in prop::collection::vec(window(place.1.parse().unwrap()), 0..3),
        on_blackout in select(OnBlackout::ALL.to_vec()),
        jitter in proptest::option::weighted(0.3, 1_u64..7_200),
        interval in select(vec![Interval::Moment, Interval::SinceLast, Interval::Length(Span::from_secs(86_400))]),
    ) -> (Recipe, Moment) {
        let dates = dates.into_iter().map(|minute| around - TimeDelta::minutes(10_000 - minute)).collect();
        let holidays = holidays.into_iter().map(|day| (around - TimeDelta::days(6 - day)).date_naive()).collect();
        let recipe = Recipe {
            zone, crons, every, dates, weekend, holidays, on_holiday, windows, on_blackout, jitter, interval,
        };
        (recipe, around)
    }
}

fn delay(recipe: &Recipe) -> TimeDelta {
    recipe
        .jitter
        .map_or(TimeDelta::zero(), |secs| Jitter::new(Span::from_secs(secs), "sales").unwrap().delay())
}

const WEEK: TimeDelta = TimeDelta::days(7);

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_runs_are_those_of_the_model((recipe, around) in recipe(), given in any::<bool>()) {
        let (from, to) = (around - WEEK, around + WEEK);
        let bounds = Bounds { start: given.then_some(from + TimeDelta::minutes(77)), end: None };
        let timetable = recipe.composed();
        let expected = recipe.ticks(&bounds, bounds.start.unwrap_or(from), to);
        let mut ours: Vec<NextRun> = timetable
            .runs(bounds.start.unwrap_or(from) + delay(&recipe), &bounds)
            .take_while(|run| run.tick() < to)
            .collect();
        // The first tick after the start date, or the first there ever was, only opens the first interval.
        let horizon = from - WEEK * 13;
        let is_first = given || recipe.ticks(&Bounds::default(), horizon, from).is_empty();
        // A blackout may leave one tick a year, when the clock jumps over it: the model does not look so far back.
        prop_assume!(given || !is_first || ours.first().is_none_or(|run| run.data_interval.start >= horizon));
        let opens = recipe.interval == Interval::SinceLast && is_first;
        let opened = usize::from(opens).min(expected.len());
        let ticks: Vec<Moment> = ours.iter().map(NextRun::tick).collect();
        prop_assert_eq!(&ticks, &expected[opened..]);
        for run in &ours {
            prop_assert_eq!(run.run_after - run.tick(), delay(&recipe));
            prop_assert_eq!(run.logical_date, run.data_interval.start);
        }
        if let Interval::SinceLast = recipe.interval {
            prop_assert!(ours.windows(2).all(|pair| pair[0].tick() == pair[1].logical_date));
        }
        // Backwards, the last tick before a moment is the model's too.
        ours.reverse();
        for pair in expected.windows(2) {
            let now = pair[1] + delay(&recipe) - TimeDelta::microseconds(1);
            let late = Bounds { start: bounds.start, end: None };
            let last = timetable.next_run(None, &Bounds { start: late.start.or(Some(from)), end: None }, Catchup::Last, now);
            if late.start.is_some() && recipe.interval != Interval::SinceLast {
                prop_assert_eq!(last.map(|run| run.tick()), Some(pair[0]));
            }
        }
    }

    #[test]
    fn catching_up_one_by_one_gives_all_runs((recipe, around) in recipe(), first in 0_i64..20_000) {
        let start = around - TimeDelta::minutes(first);
        let bounds = Bounds { start: Some(start), end: Some(around + WEEK) };
        for timetable in [recipe.composed(), recipe.elements().remove(0)] {
            let mut cursor: Option<DataInterval> = None;
            let all: Vec<NextRun> = timetable.runs(start, &bounds).take(40).collect();
            for run in &all {
                let next = timetable.next_run(cursor.as_ref(), &bounds, Catchup::All, around).unwrap();
                prop_assert_eq!(&next, run);
                cursor = Some(next.data_interval);
            }
            prop_assert!(all.windows(2).all(|pair| pair[0].run_after < pair[1].run_after));
            prop_assert!(all.windows(2).all(|pair| pair[0].logical_date < pair[1].logical_date));
        }
    }

    #[test]
    fn the_next_run_lies_behind_the_cursor(
        (recipe, around) in recipe(),
        minutes in 0_i64..20_000,
        length in 0_i64..3_000,
        later in -3_000_i64..20_000,
        with_start in any::<bool>(),
    ) {
        let end = around - TimeDelta::minutes(minutes - 10_000);
        let cursor = DataInterval { start: end - TimeDelta::minutes(length), end };
        let now = end + TimeDelta::minutes(later);
        let bounds = Bounds { start: with_start.then_some(around), end: None };
        let mut all = recipe.elements();
        all.extend([recipe.composed(), Timetable::Continuous]);
        for timetable in all {
            for catchup in [Catchup::None, Catchup::Last, Catchup::All, Catchup::Window(Span::from_secs(40_000))] {
                let Some(run) = timetable.next_run(Some(&cursor), &bounds, catchup, now) else { continue };
                prop_assert!(run.logical_date > cursor.start, "{:?} {:?}", timetable, run);
                prop_assert!(run.run_after > cursor.end || timetable == Timetable::Continuous, "{:?} {:?}", timetable, run);
                // Asking later, until it is due, gives the same.
                let due = run.run_after.max(now);
                if timetable != Timetable::Continuous {
                    let again = timetable.next_run(Some(&cursor), &bounds, catchup, due);
                    prop_assert_eq!(again, Some(run));
                }
            }
        }
    }

    #[test]
    fn a_moved_run_is_on_a_business_day((recipe, around) in recipe()) {
        let recipe = Recipe { windows: Vec::new(), jitter: None, ..recipe };
        let timetable = recipe.composed();
        let Some(on_holiday) = recipe.on_holiday else { return Ok(()) };
        let calendar = Calendar::new(recipe.zone, recipe.weekend.clone(), recipe.holidays.clone(), on_holiday).unwrap();
        for time in timetable.fire_times(around - WEEK, &Bounds::default()).take(30) {
            let date = time.with_timezone(&recipe.zone).date_naive();
            prop_assert!(calendar.is_business_day(date), "{} {}", date, date.weekday());
        }
    }

    #[test]
    fn fire_times_go_on_from_anywhere((recipe, around) in recipe()) {
        let timetable = recipe.composed();
        let bounds = Bounds { start: Some(around - WEEK), end: None };
        let all: Vec<Moment> = timetable.fire_times(around - WEEK, &bounds).take(25).collect();
        for (index, time) in all.iter().enumerate() {
            prop_assert_eq!(timetable.fire_times(*time, &bounds).next(), Some(*time));
            let behind = timetable.fire_times(*time + TimeDelta::microseconds(1), &bounds).next();
            prop_assert!(index + 1 == all.len() || behind == Some(all[index + 1]));
        }
    }

    #[test]
    fn jitter_stays_below_its_bound_and_is_always_the_same(seed in ".{0,20}", secs in 1_u64..1_000_000) {
        let within = Span::from_secs(secs);
        let jitter = Jitter::new(within, &seed).unwrap();
        prop_assert!(jitter.delay() >= TimeDelta::zero() && jitter.delay() < within.delta());
        prop_assert_eq!(jitter.delay(), Jitter::new(within, &seed).unwrap().delay());
    }

    #[test]
    fn a_composed_timetable_survives_its_normal_form((recipe, _) in recipe()) {
        let timetable = recipe.composed();
        let json = serde_json::to_string(&timetable).unwrap();
        prop_assert_eq!(serde_json::from_str::<Timetable>(&json).unwrap(), timetable, "{}", json);
    }

    #[test]
    fn several_crons_are_airflows_multiple_cron(
        crons in proptest::sample::subsequence(CRONS.to_vec(), 2..5),
        cursor in proptest::option::of(0_i64..20_000),
        start in proptest::option::of(0_i64..20_000),
        catchup in any::<bool>(),
    ) {
        let now: Moment = "2026-05-20T10:03:00Z".parse().unwrap();
        let parts: Vec<_> = crons.iter().map(|cron| Timetable::Cron(Cron::parse(cron, Tz::UTC).unwrap())).collect();
        let whole = Timetable::Composed(Box::new(Composed::new(parts.clone()).unwrap()));
        let start = start.map(|minutes| now - TimeDelta::minutes(minutes));
        // The cursor is a tick of some part.
        let before = cursor.and_then(|minutes| {
            let from = now - TimeDelta::minutes(minutes);
            whole.fire_times(from, &Bounds::default()).next().filter(|tick| *tick <= now).map(DataInterval::exact)
        });
        let bounds = Bounds { start, end: None };
        let mode = if catchup { Catchup::All } else { Catchup::None };
        // The first run of a DAG that has neither is each cron's own guess there, and the whole schedule's here.
        prop_assume!(start.is_some() || before.is_some());
        let infos = parts.iter().filter_map(|part| part.next_run(before.as_ref(), &bounds, mode, now));
        let theirs = match catchup {
            true => infos.min_by_key(|run| run.run_after),
            false => infos.min_by_key(|run| match run.run_after <= now {
                true => (now - run.run_after).num_seconds(),
                false => run.run_after.timestamp(),
            }),
        };
        prop_assert_eq!(whole.next_run(before.as_ref(), &bounds, mode, now), theirs);
    }
}
