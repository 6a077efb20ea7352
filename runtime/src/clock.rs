//! The wall clock, as a value that is handed around.
//!
//! Everything else takes `now` as an argument or asks a [`Clock`], so that tests decide what time it is.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::watch;

/// The longest single sleep of [`Clock::sleep_until`]. The monotonic timer underneath does not notice when the
/// wall clock is set or the machine was suspended, so the wait looks at the wall clock at least this often.
const LONGEST_NAP: Duration = Duration::from_secs(1);

/// Tells the time. Cheap to clone; every clone tells the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<watch::Sender<DateTime<Utc>>>),
}

/// Moves a clock made by [`Clock::manual`].
#[derive(Clone, Debug)]
pub struct Hands(Arc<watch::Sender<DateTime<Utc>>>);

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Clock {
        Clock(Source::System)
    }

    /// A clock that always shows `at`.
    pub fn fixed(at: DateTime<Utc>) -> Clock {
        Clock::manual(at).0
    }

    /// A clock that shows `start` until its [`Hands`] are moved.
    pub fn manual(start: DateTime<Utc>) -> (Clock, Hands) {
        let time = Arc::new(watch::Sender::new(start));
        (Clock(Source::Manual(Arc::clone(&time))), Hands(time))
    }

    /// The time now, in UTC.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            // Microseconds, because that is what the records keep: a moment reads back as it was written.
            Source::System => wall_time().trunc_subsecs(6),
            Source::Manual(time) => *time.borrow(),
        }
    }

    /// Waits until this clock shows `deadline` or later; returns at once when it already does.
    ///
    /// On the system clock the wait follows changes of the wall clock (set by hand, by NTP, after a suspend)
    /// within a second. On a manual clock it waits for the hands to be moved far enough.
    pub async fn sleep_until(&self, deadline: DateTime<Utc>) {
        match &self.0 {
            Source::System => {
                while let Ok(left) = (deadline - wall_time()).to_std() {
                    if left.is_zero() {
                        return;
                    }
                    tokio::time::sleep(left.min(LONGEST_NAP)).await;
                }
            }
            // The sender is held by this clock, so the channel cannot close while we wait.
            Source::Manual(time) => {
                let _ = time.subscribe().wait_for(|now| *now >= deadline).await;
            }
        }
    }
}

impl Hands {
    /// Moves the clock to `at`, forwards or backwards, and wakes those who wait for it.
    pub fn set(&self, at: DateTime<Utc>) {
        self.0.send_replace(at);
    }

    /// Moves the clock forwards by `by` and returns the new time.
    pub fn advance(&self, by: TimeDelta) -> DateTime<Utc> {
        self.0.send_modify(|now| *now += by);
        *self.0.borrow()
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn wall_time() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    #[test]
    fn a_fixed_clock_stands_still() {
        let clock = Clock::fixed(at(1_000));
        assert_eq!(clock.now(), at(1_000));
        assert_eq!(clock.clone().now(), at(1_000));
    }

    #[test]
    fn the_system_clock_does_not_go_backwards_between_two_looks() {
        let clock = Clock::system();
        let first = clock.now();
        assert!(clock.now() >= first);
        assert!(first > at(1_700_000_000));
    }

    #[tokio::test]
    async fn moving_the_hands_wakes_those_who_are_due() {
        let (clock, hands) = Clock::manual(at(0));
        let early = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(at(60)).await }
        });
        let late = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(at(120)).await }
        });

        hands.set(at(59));
        assert_eq!(hands.advance(TimeDelta::seconds(1)), at(60));
        early.await.unwrap();
        assert!(!late.is_finished());
        hands.set(at(500));
        late.await.unwrap();
    }

    #[tokio::test]
    async fn a_deadline_in_the_past_does_not_wait() {
        let clock = Clock::system();
        clock.sleep_until(clock.now() - TimeDelta::days(1)).await;
        let deadline = clock.now() + TimeDelta::milliseconds(30);
        clock.sleep_until(deadline).await;
        assert!(clock.now() >= deadline);
    }
}
