//! Instances that wait for the same thing, in fair order.
//!
//! Each account has a clock that shows how much it was given, divided by its share; the account whose clock is furthest behind
//! goes next (start-time fair queueing). An account that comes from elsewhere sets its clock to the crowd's, so that
//! idleness earns nothing, but it is *fresh*: until it was served once, its clock counts as some rounds earlier, the more so the less it
//! wants. That is how a single task of a DAG that asks for little passes a backlog, at a price that is bounded: whatever comes
//! later than those rounds goes behind whoever is waiting.
//!
//! One round is the time in which every waiting account is served once for each unit of its share. Clocks of newcomers are rounded
//! down to whole rounds: within a round, priority decides between accounts.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use super::{candidate::Account, policy::Policy};
use crate::id::TiKey;

/// One round, on an account's clock.
const ROUND: i128 = 1 << 32;

/// By how many rounds a fresh account goes before others, less what it asks for.
const LEAD: i128 = 8;

/// An account that asks for this much or more is given no more credit for asking for little.
const LITTLE: usize = 4;

/// One time in so many, whoever has waited longer than anybody's patience goes first.
const TURNS: u64 = 4;

/// A place in the order of one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    pub key: [i64; 4],
    pub ti: TiKey,
    pub priority: i32,
    /// When it became ready, in microseconds since 1970.
    pub ready: i64,
}

/// A place in a crowd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub account: Account,
    pub share: u32,
    pub policy: Policy,
    pub seat: Seat,
}

type Rank = (i128, Reverse<i32>, i64, TiKey, Account);

#[derive(Debug, Clone)]
struct Row {
    share: u32,
    clock: i128,
    fresh: bool,
    waiting: usize,
    seats: BTreeMap<Policy, BTreeSet<Seat>>,
    rank: Option<Rank>,
}

/// See the module's documentation.
#[derive(Debug, Clone, Default)]
pub struct Crowd {
    rows: HashMap<Account, Row>,
    order: BTreeSet<Rank>,
    oldest: BTreeMap<(i64, TiKey), Place>,
    clock: i128,
    /// The sum of the shares of the accounts that wait.
    shares: u64,
    turns: u64,
}

impl Crowd {
    /// How many wait.
    pub fn len(&self) -> usize {
        self.oldest.len()
    }

    /// Nobody waits.
    pub fn is_empty(&self) -> bool {
        self.oldest.is_empty()
    }

    pub fn insert(&mut self, place: &Place) {
        if self.oldest.insert((place.seat.ready, place.seat.ti), place.clone()).is_some() {
            return;
        }
        let clock = self.clock;
        let round = clock - clock.rem_euclid(ROUND);
        let row = self.rows.entry(place.account.clone()).or_insert_with(|| Row::new(place.share, round));
        if row.waiting == 0 {
            row.share = place.share;
            self.shares += u64::from(row.share);
            row.fresh = row.clock <= clock;
            row.clock = row.clock.max(round);
        }
        row.waiting += 1;
        row.seats.entry(place.policy).or_default().insert(place.seat);
        self.rank(&place.account);
    }

    pub fn remove(&mut self, place: &Place) {
        self.lift(place);
        self.rank(&place.account);
        self.forget();
    }

    /// Who goes next. `late` is the moment, in microseconds since 1970, before which whoever became ready has waited too long.
    pub fn best(&self, late: i64) -> Option<&Place> {
        let oldest = self.oldest.first_key_value();
        if let Some((_, place)) =
            oldest.filter(|((ready, _), _)| *ready <= late && self.turns.is_multiple_of(TURNS))
        {
            return Some(place);
        }
        let (.., account) = self.order.first()?;
        let seat = self.rows.get(account)?.head()?;
        self.oldest.get(&(seat.ready, seat.ti))
    }

    /// One was let through: its account pays, and it waits no more.
    pub fn serve(&mut self, place: &Place) {
        self.pay(&place.account, 1);
        self.lift(place);
        self.rank(&place.account);
        self.forget();
    }

    /// An account was given room for `weight` by one that waits elsewhere.
    pub fn charge(&mut self, account: &Account, weight: u32) {
        self.pay(account, weight);
        self.rank(account);
    }

    fn lift(&mut self, place: &Place) {
        if self.oldest.remove(&(place.seat.ready, place.seat.ti)).is_none() {
            return;
        }
        let Some(row) = self.rows.get_mut(&place.account) else {
            return;
        };
        row.waiting -= 1;
        if let Some(seats) = row.seats.get_mut(&place.policy) {
            seats.remove(&place.seat);
        }
        if row.waiting == 0 {
            self.shares -= u64::from(row.share);
        }
    }

    fn pay(&mut self, account: &Account, weight: u32) {
        self.turns += 1;
        let Some(row) = self.rows.get_mut(account) else {
            return;
        };
        let given = ROUND * i128::from(weight);
        row.clock += given / i128::from(row.share);
        row.fresh = false;
        self.clock += given / i128::from(self.shares.max(1));
    }

    /// How many go before an instance, itself included, if nobody else comes and nobody is held up.
    pub fn position(&self, ti: TiKey, late: i64) -> Option<usize> {
        let mut crowd = self.clone();
        let mut position = 0;
        while let Some(place) = crowd.best(late).cloned() {
            position += 1;
            if place.seat.ti == ti {
                return Some(position);
            }
            crowd.serve(&place);
        }
        None
    }

    fn rank(&mut self, account: &Account) {
        let Some(row) = self.rows.get_mut(account) else {
            return;
        };
        let new = row
            .head()
            .map(|seat| (row.standing(), Reverse(seat.priority), seat.ready, seat.ti, account.clone()));
        if row.rank != new {
            if let Some(old) = std::mem::replace(&mut row.rank, new.clone()) {
                self.order.remove(&old);
            }
            self.order.extend(new);
        }
    }

    // Accounts that do not wait are remembered only while they are ahead of their share.
    fn forget(&mut self) {
        if self.oldest.is_empty() {
            *self = Self { turns: self.turns, ..Self::default() };
        } else if self.rows.len() > 2 * self.order.len() + 64 {
            let clock = self.clock;
            self.rows.retain(|_, row| row.waiting > 0 || row.clock > clock);
        }
    }
}

impl Row {
    const fn new(share: u32, clock: i128) -> Self {
        Self { share, clock, fresh: true, waiting: 0, seats: BTreeMap::new(), rank: None }
    }

    // Pools of different policies cannot be compared: whoever became ready first among their heads is next.
    fn head(&self) -> Option<Seat> {
        let heads = self.seats.values().filter_map(|seats| seats.first().copied());
        heads.min_by_key(|seat| (seat.ready, seat.ti))
    }

    fn standing(&self) -> i128 {
        if !self.fresh {
            return self.clock;
        }
        let wanted = i128::try_from(self.waiting.min(LITTLE)).unwrap_or(0);
        self.clock + ROUND * wanted / i128::from(self.share) - LEAD * ROUND
    }
}
