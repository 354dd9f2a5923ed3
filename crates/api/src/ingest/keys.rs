//! Requests with an `Idempotency-Key`: the same key with the same body is answered as the first time, and stored once.
//!
//! Kept in memory: the last [`MOST_KEYS`] keys, of one principal the last [`MOST_OF_ONE`], each for [`KEPT_FOR`]. Where there
//! are too many, the principal with the most keys loses its oldest; a key whose work is running stays. A restart forgets them. Then a
//! repeated request is stored again, which changes nothing in history where its readings carry their times: the later of two
//! readings of one tag and time replaces the earlier, and they are the same.
//!
//! Only answers after which something is stored are kept. A request that was refused as a whole may be sent again with the same key
//! once its reason is gone.

use crate::problem::Problem;
use andon_model::Timestamp;
use andon_model::access::Principal;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// How many keys are kept.
const MOST_KEYS: usize = 4096;
/// Of them those of one principal.
const MOST_OF_ONE: usize = 1024;
/// How long one is kept.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// The longest key, in bytes.
const MAX_KEY: usize = 255;
/// The longest body of an answer that is kept whole, in bytes.
const MAX_BODY: usize = 8 << 10;

/// An answer that can be given again.
#[derive(Debug, Clone)]
pub struct Answer {
    pub(crate) status: StatusCode,
    /// Its body, in JSON; empty: none.
    pub(crate) json: Bytes,
    /// The body for whoever asks again, where it is long.
    pub(crate) short: Bytes,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, json: impl Into<Bytes>) -> Self {
        Self { status, json: json.into(), short: Bytes::new() }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        if self.json.is_empty() {
            return self.status.into_response();
        }
        (self.status, [(header::CONTENT_TYPE, "application/json")], self.json).into_response()
    }
}

/// What a request asks for, as far as two requests must agree in it.
type Fingerprint = [u8; 32];

#[derive(Debug)]
struct Entry {
    fingerprint: Fingerprint,
    /// Not there yet: the work is running.
    answer: OnceCell<Answer>,
}

/// The keys that were used.
#[derive(Debug, Default)]
pub struct Keys(Arc<Mutex<Known>>);

/// A key belongs to whoever uses it.
type Known = HashMap<Principal, Owned>;

/// The keys of one principal.
#[derive(Debug, Default)]
struct Owned {
    entries: HashMap<Box<str>, Arc<Entry>>,
    /// In the order in which they came.
    order: VecDeque<(Timestamp, Box<str>)>,
}

impl Owned {
    /// Forgets the oldest key of these times that has its answer. False: there is none.
    fn forget_oldest(&mut self, of: impl Fn(Timestamp) -> bool) -> bool {
        let has_answer = |key: &str| self.entries.get(key).is_none_or(|entry| entry.answer.initialized());
        let oldest = self.order.iter().take_while(|(at, _)| of(*at)).position(|(_, key)| has_answer(key));
        let Some((_, key)) = oldest.and_then(|place| self.order.remove(place)) else { return false };
        self.entries.remove(&key);
        true
    }

    /// Forgets keys that are kept long enough.
    fn forget_old(&mut self, now: Timestamp) {
        while self.forget_oldest(|at| now.since(at) > KEPT_FOR) {}
    }

    fn forget(&mut self, key: &str) {
        self.entries.remove(key);
        self.order.retain(|(_, other)| **other != *key);
    }
}

/// A key in use: while there is one, its entry stays. The last one takes an entry without an answer away.
#[derive(Debug)]
struct Used {
    known: Arc<Mutex<Known>>,
    who: Principal,
    key: Box<str>,
    /// `None` only while it is dropped.
    entry: Option<Arc<Entry>>,
}

impl Drop for Used {
    fn drop(&mut self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Entries are shared and let go of only under this lock, so the count holds: the map's and this one.
        let Some(entry) = self.entry.take() else { return };
        if !entry.answer.initialized()
            && Arc::strong_count(&entry) <= 2
            && let Some(owned) = known.get_mut(&self.who)
        {
            owned.forget(&self.key);
        }
        drop(entry);
        drop(known);
    }
}

impl Keys {
    /// The entry of this key, made if it is new.
    /// # Errors
    /// 422: the key was used for another request. 503: too many requests with keys are running.
    fn entry(&self, who: Principal, key: Box<str>, fingerprint: Fingerprint, now: Timestamp) -> Result<Used, Problem> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, owned| {
            owned.forget_old(now);
            !owned.entries.is_empty()
        });
        if let Some(entry) = known.get(&who).and_then(|owned| owned.entries.get(&key)) {
            if entry.fingerprint == fingerprint {
                let entry = Some(entry.clone());
                return Ok(Used { known: self.0.clone(), who, key, entry });
            }
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-used",
                "this key stands for another request",
            )
            .detail("a request with this Idempotency-Key had another body or other parameters")
            .remedy("use a new key for each new request"));
        }
        let all: usize = known.values().map(|owned| owned.entries.len()).sum();
        let full = if known.get(&who).is_some_and(|owned| owned.entries.len() >= MOST_OF_ONE) {
            known.get_mut(&who)
        } else if all >= MOST_KEYS {
            known.values_mut().max_by_key(|owned| owned.entries.len())
        } else {
            None
        };
        if full.is_some_and(|full| !full.forget_oldest(|_| true)) {
            return Err(Problem::unavailable("too many requests with an Idempotency-Key are running")
                .remedy("send the same request again later"));
        }
        let entry = Arc::new(Entry { fingerprint, answer: OnceCell::new() });
        let owned = known.entry(who.clone()).or_default();
        owned.entries.insert(key.clone(), entry.clone());
        owned.order.push_back((now, key.clone()));
        Ok(Used { known: self.0.clone(), who, key, entry: Some(entry) })
    }
}

/// The key of a request, if it has one.
/// # Errors
/// 400: it is empty, too long, or not plain text.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=MAX_KEY).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad_request(format!("an Idempotency-Key has 1 to {MAX_KEY} visible ASCII characters"))),
    }
}

/// What two requests with one key must agree in.
pub(crate) fn fingerprint(target: &str, headers: &HeaderMap, body: &[u8]) -> Fingerprint {
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.as_bytes()).unwrap_or_default();
    let mut hash = Sha256::new();
    for part in [target.as_bytes(), kind, body] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Does the work of a request once: whoever comes with the same key meanwhile or later gets the same answer. The work
/// runs to its end also when its caller goes away. An `Err` is not kept, and the next one tries again.
pub(crate) async fn once(
    app: &crate::App,
    who: Principal,
    key: String,
    fingerprint: Fingerprint,
    work: impl Future<Output = Result<Answer, Problem>> + Send + 'static,
) -> Result<Answer, Problem> {
    let entry = app.ingest_memory.keys.entry(who, key.into(), fingerprint, app.clock.now())?;
    run(entry, work).await
}

async fn run(
    used: Used,
    work: impl Future<Output = Result<Answer, Problem>> + Send + 'static,
) -> Result<Answer, Problem> {
    // Ends with the work, which ends with the disk's answer.
    let task = tokio::spawn(async move {
        let mut first = None;
        let entry = used.entry.as_ref().ok_or_else(|| Problem::internal("a key has no entry"))?;
        let kept = entry.answer.get_or_try_init(|| async {
            let mut answer = work.await?;
            first = Some(answer.clone());
            if answer.json.len() > MAX_BODY {
                answer.json = std::mem::take(&mut answer.short);
            }
            Ok::<_, Problem>(answer)
        });
        let kept = kept.await.cloned()?;
        Ok(first.unwrap_or(kept))
    });
    task.await.map_err(Problem::internal)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(n: u128) -> Principal {
        Principal { id: uuid::Uuid::from_u128(n), ..Principal::ANONYMOUS }
    }

    fn use_key(keys: &Keys, owner: u128, key: usize, print: u8, now: Timestamp) -> Result<Used, Problem> {
        keys.entry(who(owner), key.to_string().into(), [print; 32], now)
    }

    /// Uses a key and stores something.
    fn answered(keys: &Keys, owner: u128, key: usize, now: Timestamp) {
        let used = use_key(keys, owner, key, 0, now).expect("new");
        let entry = used.entry.as_ref().expect("an entry");
        entry.answer.set(Answer::new(StatusCode::NO_CONTENT, Bytes::new())).expect("the first answer");
    }

    fn kept(keys: &Keys, owner: u128) -> usize {
        keys.0.lock().expect("lock").get(&who(owner)).map_or(0, |owned| owned.entries.len())
    }

    /// Another body is refused only while the key is known.
    fn is_known(keys: &Keys, owner: u128, key: usize, now: Timestamp) -> bool {
        use_key(keys, owner, key, 1, now).is_err_and(|problem| problem.status == 422)
    }

    #[test]
    fn keys_are_bounded_in_number_and_time_and_for_each_principal() {
        let (keys, now) = (Keys::default(), Timestamp::from_millis(1_000_000));
        answered(&keys, 7, 0, now);
        assert!(is_known(&keys, 7, 0, now) && !is_known(&keys, 8, 0, now), "somebody else's key is another key");
        for key in 0..=MOST_OF_ONE {
            answered(&keys, 1, key, now);
        }
        assert_eq!(kept(&keys, 1), MOST_OF_ONE);
        assert!(is_known(&keys, 1, 1, now) && !is_known(&keys, 1, 0, now), "the oldest of its own is forgotten");
        for owner in 2..9 {
            for key in 1..MOST_OF_ONE {
                answered(&keys, owner, key, now);
            }
        }
        let all = |keys: &Keys| keys.0.lock().expect("lock").values().map(|owned| owned.entries.len()).sum::<usize>();
        assert_eq!(all(&keys), MOST_KEYS);
        answered(&keys, 99, 0, now);
        for key in 0..MOST_KEYS {
            answered(&keys, 3, MOST_KEYS + key, now);
        }
        assert!(is_known(&keys, 99, 0, now), "who has few keys keeps them");
        assert_eq!(all(&keys), MOST_KEYS);
        let later = now.plus(KEPT_FOR + Duration::from_millis(1));
        answered(&keys, 1, 3000, later);
        assert_eq!(all(&keys), 1, "what is too old is forgotten");
    }

    #[test]
    fn a_key_whose_work_is_running_stays_and_one_that_stored_nothing_goes() {
        let (keys, now) = (Keys::default(), Timestamp::from_millis(1_000_000));
        let running = use_key(&keys, 1, 0, 0, now).expect("new");
        for key in 1..=2 * MOST_OF_ONE {
            answered(&keys, 1, key, now);
        }
        let later = now.plus(KEPT_FOR + Duration::from_millis(1));
        assert!(is_known(&keys, 1, 0, now) && is_known(&keys, 1, 0, later), "running");
        let second = use_key(&keys, 1, 0, 0, later).expect("the same request");
        drop(running);
        assert!(is_known(&keys, 1, 0, later), "the second tries itself");
        drop(second);
        assert!(!is_known(&keys, 1, 0, later) && kept(&keys, 1) == 0, "nothing was stored");

        let all: Vec<_> = (0..MOST_OF_ONE).map(|key| use_key(&keys, 1, key, 0, now).expect("new")).collect();
        assert_eq!(use_key(&keys, 1, MOST_OF_ONE, 0, now).expect_err("all are running").status, 503);
        assert!(use_key(&keys, 2, 0, 0, now).is_ok(), "others are not held up");
        drop(all);
        assert_eq!(kept(&keys, 1), 0);
    }

    #[tokio::test]
    async fn a_request_that_fails_leaves_no_key() {
        let (keys, now) = (Keys::default(), Timestamp::from_millis(1_000_000));
        let used = |print| use_key(&keys, 1, 0, print, now).expect("new");
        assert_eq!(run(used(0), async { Err(Problem::bad_request("no")) }).await.expect_err("refused").status, 400);
        assert_eq!(kept(&keys, 1), 0);
        let answer = || Answer::new(StatusCode::NO_CONTENT, Bytes::new());
        assert!(run(used(1), async move { Ok(answer()) }).await.is_ok());
        assert_eq!(kept(&keys, 1), 1);
        assert!(run(used(1), async { Err(Problem::bad_request("never run")) }).await.is_ok());
    }
}
