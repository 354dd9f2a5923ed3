//! What is made of something that changes: made by one at a time, kept, and made again only when somebody needs it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// The last one that was made, and of which version.
pub(super) struct Latest<V, T> {
    kept: Mutex<Option<(V, Arc<T>)>>,
    /// Who makes one; others wait for it and take it, too.
    making: Mutex<()>,
    /// When it was last looked whether there is a newer one.
    looked: Mutex<Option<Duration>>,
}

impl<V, T> Default for Latest<V, T> {
    fn default() -> Self {
        Self { kept: Mutex::new(None), making: Mutex::new(()), looked: Mutex::new(None) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<V: PartialEq, T> Latest<V, T> {
    /// The last one, of whatever version; at once.
    pub(super) fn last(&self) -> Option<Arc<T>> {
        lock(&self.kept).as_ref().map(|(_, made)| made.clone())
    }

    fn of(&self, version: &V) -> Option<Arc<T>> {
        lock(&self.kept).as_ref().filter(|(of, _)| of == version).map(|(_, made)| made.clone())
    }

    /// The one of this version, made if there is none. May take as long as that: not for where others wait.
    pub(super) fn get(&self, version: impl Fn() -> V, make: impl FnOnce() -> T) -> Arc<T> {
        let _turn = lock(&self.making);
        // Read before it is made, so that what changes meanwhile makes it old.
        let version = version();
        if let Some(made) = self.of(&version) {
            return made;
        }
        let made = Arc::new(make());
        *lock(&self.kept) = Some((version, made.clone()));
        made
    }

    /// Whether somebody who only looks should have a new one made: there is none of this version, nobody makes one, and nobody asked within `every`.
    pub(super) fn is_due(&self, version: &V, now: Duration, every: Duration) -> bool {
        // That one was once not made to the end is no reason to make no other.
        let is_made = matches!(self.making.try_lock(), Err(TryLockError::WouldBlock));
        if self.of(version).is_some() || is_made {
            return false;
        }
        let mut looked = lock(&self.looked);
        let due = looked.is_none_or(|at| now.saturating_sub(at) >= every);
        if due {
            *looked = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    #[test]
    fn many_who_ask_at_once_get_one_that_is_made_once() {
        let (latest, made) = (Latest::<u32, usize>::default(), AtomicUsize::new(0));
        let (begun, begins) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let begun = begun.clone();
                let (latest, made) = (&latest, &made);
                scope.spawn(move || {
                    let _ = begun.send(());
                    assert_eq!(*latest.get(|| 1, || made.fetch_add(1, Ordering::SeqCst)), 0);
                });
            }
            assert_eq!((0..8).filter(|_| begins.recv().is_ok()).count(), 8);
        });
        assert_eq!(made.load(Ordering::SeqCst), 1);
        assert_eq!(*latest.get(|| 2, || made.fetch_add(1, Ordering::SeqCst)), 1, "of another version it is made anew");
    }

    #[test]
    fn who_only_looks_has_it_made_rarely_and_never_by_two() {
        let (latest, every) = (Latest::<u32, u32>::default(), Duration::from_secs(5));
        let at = Duration::from_secs;
        assert!(latest.last().is_none() && latest.is_due(&1, at(0), every));
        assert!(!latest.is_due(&1, at(4), every));
        assert!(latest.is_due(&1, at(5), every));
        let made = latest.get(
            || 1,
            || {
                assert!(!latest.is_due(&2, at(60), every), "somebody makes one");
                7
            },
        );
        assert_eq!((*made, latest.last().as_deref()), (7, Some(&7)));
        assert!(!latest.is_due(&1, at(99), every) && latest.is_due(&2, at(99), every));
        assert_eq!(latest.last().as_deref(), Some(&7), "what is there is shown until there is a newer one");
    }

    #[test]
    fn after_one_that_was_not_made_to_the_end_others_are_made() {
        let (latest, every) = (Latest::<u32, u32>::default(), Duration::from_secs(5));
        latest.get(|| 1, || 7);
        let failed = std::thread::scope(|scope| scope.spawn(|| latest.get(|| 2, || panic!("on purpose"))).join());
        assert!(failed.is_err() && latest.last().as_deref() == Some(&7));
        assert!(latest.is_due(&2, Duration::from_secs(60), every));
        assert_eq!(*latest.get(|| 2, || 8), 8);
    }
}
