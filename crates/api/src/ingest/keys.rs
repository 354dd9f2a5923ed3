//! Requests with an `Idempotency-Key`: the same key with the same body is answered as the first time, and stored once.
//!
//! Kept in memory: the last [`MOST_KEYS`] keys, each for [`KEPT_FOR`]; the oldest goes first. A restart forgets them. Then a
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

/// A key belongs to whoever uses it.
type KeyOf = (Principal, Box<str>);

#[derive(Debug)]
struct Entry {
    fingerprint: Fingerprint,
    answer: OnceCell<Answer>,
}

/// The keys that were used.
#[derive(Debug, Default)]
pub struct Keys(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    entries: HashMap<KeyOf, Arc<Entry>>,
    /// In the order in which they came.
    order: VecDeque<(Timestamp, KeyOf)>,
}

impl Keys {
    /// The entry of this key, made if it is new.
    /// # Errors
    /// 422: the key was used for another request.
    fn entry(&self, key: KeyOf, fingerprint: Fingerprint, now: Timestamp) -> Result<Arc<Entry>, Problem> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while known.order.front().is_some_and(|(at, _)| known.order.len() >= MOST_KEYS || now.since(*at) > KEPT_FOR) {
            if let Some((_, old)) = known.order.pop_front() {
                known.entries.remove(&old);
            }
        }
        if let Some(entry) = known.entries.get(&key) {
            if entry.fingerprint == fingerprint {
                return Ok(entry.clone());
            }
            return Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "key-used",
                "this key stands for another request",
            )
            .detail("a request with this Idempotency-Key had another body or other parameters")
            .remedy("use a new key for each new request"));
        }
        let entry = Arc::new(Entry { fingerprint, answer: OnceCell::new() });
        known.entries.insert(key.clone(), entry.clone());
        known.order.push_back((now, key));
        Ok(entry)
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
    let entry = app.ingest_memory.keys.entry((who, key.into()), fingerprint, app.clock.now())?;
    // Ends with the work, which ends with the disk's answer.
    let task = tokio::spawn(async move {
        let mut first = None;
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

    fn key(n: usize) -> KeyOf {
        (Principal::ANONYMOUS, n.to_string().into())
    }

    #[test]
    fn keys_are_bounded_in_number_and_time() {
        let (keys, now) = (Keys::default(), Timestamp::from_millis(1_000_000));
        let first = keys.entry(key(0), [0; 32], now).expect("new");
        assert!(Arc::ptr_eq(&first, &keys.entry(key(0), [0; 32], now).expect("known")));
        assert_eq!(keys.entry(key(0), [1; 32], now).expect_err("another body").status, 422);
        let stranger = (Principal::SYSTEM, "0".into());
        assert!(keys.entry(stranger, [1; 32], now).is_ok(), "somebody else's key is another key");
        for n in 1..MOST_KEYS + 1 {
            keys.entry(key(n), [0; 32], now).expect("new");
        }
        assert_eq!(keys.0.lock().expect("lock").entries.len(), MOST_KEYS);
        assert!(keys.entry(key(0), [1; 32], now).is_ok(), "the oldest is forgotten");
        let later = now.plus(KEPT_FOR + Duration::from_millis(1));
        assert!(keys.entry(key(3000), [1; 32], later).is_ok(), "and so is what is too old");
        assert_eq!(keys.0.lock().expect("lock").entries.len(), 1);
    }
}
