//! Imports that are under way: what the audit trail will say of each at its end is counted here, not told by the client.

use super::Done;
use crate::problem::Problem;
use andon_model::Timestamp;
use andon_model::access::Principal;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Imports at a time.
const MOST: usize = 64;
/// Of them those of one principal.
const MOST_OF_ONE: usize = 8;
/// One that sends nothing for so long makes room for another of the same principal.
const IDLE_OF_ONE: Duration = Duration::from_secs(300);
/// One that sends nothing for so long makes room for another. Its beginning stands in the audit trail.
const IDLE: Duration = Duration::from_secs(3600);

/// An import.
#[derive(Debug)]
pub(crate) struct Import {
    who: Principal,
    pub(crate) name: String,
    pub(crate) stored: u64,
    pub(crate) refused_rows: u64,
    last: Timestamp,
}

/// All that are under way.
#[derive(Debug, Default)]
pub struct Imports(Mutex<HashMap<Uuid, Import>>);

impl Imports {
    fn all(&self) -> MutexGuard<'_, HashMap<Uuid, Import>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// 503: too many are under way, of all or of this principal.
    pub(crate) fn begin(&self, id: Uuid, who: Principal, name: String, now: Timestamp) -> Result<(), Problem> {
        let mut all = self.all();
        let of_one = |all: &HashMap<Uuid, Import>| all.values().filter(|import| import.who == who).count();
        if of_one(&all) >= MOST_OF_ONE {
            all.retain(|_, import| import.who != who || now.since(import.last) <= IDLE_OF_ONE);
        }
        if of_one(&all) >= MOST_OF_ONE {
            let minutes = IDLE_OF_ONE.as_secs() / 60;
            return Err(Problem::unavailable(format!("{MOST_OF_ONE} imports of yours are under way already"))
                .remedy(&format!("let one end; one that sends nothing for {minutes} minutes makes room by itself")));
        }
        if all.len() >= MOST {
            all.retain(|_, import| now.since(import.last) <= IDLE);
        }
        if all.len() >= MOST {
            return Err(Problem::unavailable(format!("{MOST} imports are under way already")));
        }
        all.insert(id, Import { who, name, stored: 0, refused_rows: 0, last: now });
        Ok(())
    }

    /// # Errors
    /// 404: the caller has no such import.
    pub(crate) fn check(&self, who: &Principal, id: Uuid) -> Result<(), Problem> {
        if self.all().get(&id).is_some_and(|import| import.who == *who) { Ok(()) } else { Err(unknown()) }
    }

    pub(crate) fn count(&self, id: Uuid, done: &Done, now: Timestamp) {
        if let Some(import) = self.all().get_mut(&id) {
            import.stored += done.stored as u64;
            import.refused_rows += done.refused_rows as u64;
            import.last = now;
        }
    }

    /// # Errors
    /// 404: the caller has no such import.
    pub(crate) fn end(&self, who: &Principal, id: Uuid) -> Result<Import, Problem> {
        let mut all = self.all();
        match all.get(&id) {
            Some(import) if import.who == *who => all.remove(&id).ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }
}

fn unknown() -> Problem {
    Problem::not_found("this import").remedy(
        "begin it anew; a node forgets imports at its end, and after minutes of silence when many are under way",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_bounded_and_belong_to_whoever_began_them() {
        let (imports, now) = (Imports::default(), Timestamp::from_millis(0));
        let mut next = 0;
        let mut begin_by = |who: &Principal, now| {
            next += 1;
            let id = Uuid::from_u128(next);
            imports.begin(id, who.clone(), "x.csv".to_owned(), now).map(|()| id)
        };
        let other = |n| Principal { id: Uuid::from_u128(n), ..Principal::ANONYMOUS };
        let first = begin_by(&Principal::ANONYMOUS, now).expect("room");
        imports.count(first, &Done { stored: 3, refused_rows: 1, refused: Vec::new() }, now);
        assert!(imports.check(&Principal::SYSTEM, first).is_err() && imports.end(&Principal::SYSTEM, first).is_err());
        let ended = imports.end(&Principal::ANONYMOUS, first).expect("mine");
        assert_eq!((ended.stored, ended.refused_rows), (3, 1));
        assert!(imports.end(&Principal::ANONYMOUS, first).is_err(), "once");
        for n in 0..MOST {
            begin_by(&other((n / MOST_OF_ONE) as u128), now).expect("room");
        }
        assert_eq!(begin_by(&other(99), now).expect_err("full").status, 503);
        let mine = begin_by(&other(0), now).expect_err("full of mine");
        assert!(mine.detail.is_some_and(|words| words.contains("8 imports of yours")));
        let soon = now.plus(IDLE_OF_ONE + Duration::from_millis(1));
        assert_eq!(begin_by(&other(99), soon).expect_err("others are kept longer").status, 503);
        assert!(begin_by(&other(0), soon).is_ok(), "mine that are silent make room for mine");
        let late = now.plus(IDLE + Duration::from_millis(1));
        for n in 0..MOST - MOST_OF_ONE {
            begin_by(&other(100 + n as u128), late).expect("those that are silent make room");
        }
    }
}
