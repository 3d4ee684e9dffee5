//! Who is connected to a socket, and who gives way when all places are taken.

use super::progress::Progress;
use crate::clock::SharedClock;
use crate::config::SocketConfig;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// The places of one socket.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_of_one: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    /// By order of arrival.
    seats: BTreeMap<u64, Occupied>,
    of_user: HashMap<u32, usize>,
}

#[derive(Debug)]
struct Occupied {
    uid: u32,
    progress: Arc<Progress>,
    leave: CancellationToken,
}

/// Why there is no place: each one has a request under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// Of the whole socket.
    Socket,
    /// Of those that one user may have.
    User,
}

/// One place; given back when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    pub(super) progress: Arc<Progress>,
    leave: CancellationToken,
    places: Arc<Places>,
}

impl Places {
    pub(super) fn new(settings: &SocketConfig) -> Arc<Self> {
        let most = settings.max_connections as usize;
        let most_of_one = most.min(settings.max_connections_per_user as usize);
        Arc::new(Self { most, most_of_one, taken: Mutex::default() })
    }

    /// A place for a connection of this user. If there is none left, the connection that has been without a request for
    /// the longest leaves: of the same user, if it is the user who has too many.
    pub(super) fn take(self: &Arc<Self>, uid: u32, clock: &SharedClock) -> Result<Seat, Full> {
        let mut taken = self.lock();
        let is_full = taken.seats.len() >= self.most;
        if taken.of_user.get(&uid).is_some_and(|count| *count >= self.most_of_one) {
            let full = if is_full { Full::Socket } else { Full::User };
            taken.displace(|seat| seat.uid == uid).ok_or(full)?;
        } else if is_full {
            taken.displace(|_| true).ok_or(Full::Socket)?;
        }
        let number = taken.next;
        taken.next += 1;
        let progress = Arc::new(Progress::new(Arc::clone(clock)));
        let leave = CancellationToken::new();
        taken.seats.insert(number, Occupied { uid, progress: Arc::clone(&progress), leave: leave.clone() });
        *taken.of_user.entry(uid).or_default() += 1;
        Ok(Seat { number, progress, leave, places: Arc::clone(self) })
    }

    /// How many are taken.
    pub(super) fn count(&self) -> usize {
        self.lock().seats.len()
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn displace(&mut self, may: impl Fn(&Occupied) -> bool) -> Option<()> {
        let unused = self.seats.iter().filter(|(_, seat)| may(seat));
        let longest = unused.filter_map(|(number, seat)| Some((seat.progress.unused_since()?, *number))).min();
        let (_, number) = longest?;
        self.give_back(number).map(|seat| seat.leave.cancel())
    }

    fn give_back(&mut self, number: u64) -> Option<Occupied> {
        let seat = self.seats.remove(&number)?;
        if let Some(count) = self.of_user.get_mut(&seat.uid) {
            *count -= 1;
            if *count == 0 {
                self.of_user.remove(&seat.uid);
            }
        }
        Some(seat)
    }
}

impl Seat {
    /// Ends when the place was given to another connection.
    pub(super) async fn given_away(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Nothing to do if it was given away.
        self.places.lock().give_back(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::time::Duration;

    fn places(most: usize, most_of_one: usize) -> (Arc<Places>, ManualClock, SharedClock) {
        let clock = ManualClock::new(0);
        let shared = clock.shared();
        (Arc::new(Places { most, most_of_one, taken: Mutex::default() }), clock, shared)
    }

    #[test]
    fn a_place_is_given_back_with_its_connection() {
        let (places, _, clock) = places(1, 1);
        for _ in 0..3 {
            let seat = places.take(1, &clock).unwrap();
            seat.progress.begin();
            assert_eq!(places.take(1, &clock).unwrap_err(), Full::Socket);
            assert_eq!(places.take(2, &clock).unwrap_err(), Full::Socket);
        }
        assert_eq!(places.count(), 0);
        assert!(places.lock().of_user.is_empty());
    }

    #[test]
    fn the_connection_that_is_unused_for_longest_gives_way() {
        let (places, manual, clock) = places(3, 3);
        let seats: Vec<Seat> = (0..3)
            .map(|uid| {
                manual.advance(Duration::from_secs(1));
                places.take(uid, &clock).unwrap()
            })
            .collect();
        // The oldest is at work, and the second has just been: the third has waited the longest.
        seats[0].progress.begin();
        manual.advance(Duration::from_secs(1));
        seats[1].progress.begin();
        seats[1].progress.end();

        let newest = places.take(9, &clock).unwrap();

        let left: Vec<bool> = seats.iter().map(|seat| seat.leave.is_cancelled()).collect();
        assert_eq!((left, places.count()), (vec![false, false, true], 3));
        drop(seats);
        assert_eq!(places.count(), 1, "who gave way gives nothing back twice");
        drop(newest);
    }

    #[test]
    fn a_user_with_too_many_connections_displaces_only_its_own() {
        let (places, _, clock) = places(4, 2);
        let other = places.take(1, &clock).unwrap();
        let own = [places.take(2, &clock).unwrap(), places.take(2, &clock).unwrap()];
        own[0].progress.begin();

        let third = places.take(2, &clock).unwrap();
        third.progress.begin();

        assert!(!other.leave.is_cancelled() && !own[0].leave.is_cancelled() && own[1].leave.is_cancelled());
        assert_eq!(places.take(2, &clock).unwrap_err(), Full::User);
        assert!(!other.leave.is_cancelled());
    }
}
