//! How many task instances are in which state, and what one sign should stand for all of them.

use domain::state::TaskState;

use super::parts::Count;

/// The states in the order in which a reader wants to know: what is wrong, what is under way, what is to come, what is done.
const ORDER: [TaskState; 14] = [
    TaskState::Failed,
    TaskState::UpstreamFailed,
    TaskState::UpForRetry,
    TaskState::AwaitingInput,
    TaskState::Running,
    TaskState::Restarting,
    TaskState::Queued,
    TaskState::Scheduled,
    TaskState::Deferred,
    TaskState::UpForReschedule,
    TaskState::None,
    TaskState::Success,
    TaskState::Skipped,
    TaskState::Removed,
];

/// Counts of states.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally([i64; ORDER.len()]);

impl Tally {
    /// Adds `count` instances in `state`.
    pub(crate) fn add(&mut self, state: TaskState, count: i64) {
        if let Some(place) = ORDER.iter().position(|known| *known == state) {
            self.0[place] += count;
        }
    }

    /// Adds everything in `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(own, more)| *own += more);
    }

    /// How many are in `state`.
    pub(crate) fn of(&self, state: TaskState) -> i64 {
        ORDER.iter().position(|known| *known == state).map_or(0, |place| self.0[place])
    }

    /// How many there are.
    pub(crate) fn total(&self) -> i64 {
        self.0.iter().sum()
    }

    /// The state that one sign for all of them shows: the first of the order that occurs.
    pub(crate) fn state(&self) -> Option<TaskState> {
        self.present().next().map(|(state, _)| state)
    }

    /// The states that occur, in order.
    pub(crate) fn present(&self) -> impl Iterator<Item = (TaskState, i64)> {
        ORDER.into_iter().zip(self.0).filter(|(_, count)| *count > 0)
    }

    /// The states that occur, for a page.
    pub(crate) fn counts(&self) -> Vec<Count> {
        self.present().map(|(state, count)| Count { state: state.as_str(), count }).collect()
    }

    /// `1 failed, 11 success`.
    pub(crate) fn words(&self) -> String {
        let words: Vec<String> =
            self.present().map(|(state, count)| format!("{count} {}", words(state))).collect();
        words.join(", ")
    }
}

impl FromIterator<(TaskState, i64)> for Tally {
    fn from_iter<I: IntoIterator<Item = (TaskState, i64)>>(counts: I) -> Self {
        let mut tally = Self::default();
        counts.into_iter().for_each(|(state, count)| tally.add(state, count));
        tally
    }
}

/// A state's name for people.
pub(crate) fn words(state: TaskState) -> String {
    if state == TaskState::None { "not started".to_owned() } else { state.as_str().replace('_', " ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_place() {
        assert!(TaskState::ALL.iter().all(|state| ORDER.contains(state)));
    }

    #[test]
    fn one_failure_is_the_sign_of_all() {
        let tally: Tally = [(TaskState::Success, 11), (TaskState::Failed, 1)].into_iter().collect();
        assert_eq!(tally.state(), Some(TaskState::Failed));
        assert_eq!((tally.words().as_str(), tally.total()), ("1 failed, 11 success", 12));
        assert_eq!(Tally::default().state(), None);
    }

    #[test]
    fn tallies_add_up() {
        let mut all: Tally = [(TaskState::Running, 2)].into_iter().collect();
        all.merge(&[(TaskState::Running, 1), (TaskState::None, 4)].into_iter().collect());
        assert_eq!((all.of(TaskState::Running), all.total()), (3, 7));
    }
}
