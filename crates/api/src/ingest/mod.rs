//! Readings in the forms that people have, on their way to the durable log.
//!
//! A body is read row by row ([`lines`], [`json`], [`csv`]) into a [`batch::Batch`], which asks for the right, finds the tag
//! ([`names`]) and brings the value to its type. What is good goes to the log as one frame; the answer waits for the disk.
//! [`keys`] answers a repeated request as the first one was.
//!
//! **Invariants**
//! - A path that the caller may not write is refused before anybody looks whether there is such a tag.
//! - A row is taken whole or not at all.
//! - For a known tag nothing is formatted or allocated but its sample and, for text, the text.
//!
//! Start reading at [`read`].

pub(crate) mod batch;
pub(crate) mod csv;
pub mod imports;
pub(crate) mod json;
pub mod keys;
pub(crate) mod lines;
pub(crate) mod names;

use crate::auth::Caller;
use crate::problem::Problem;
use crate::{App, MAX_BODY};
use andon_bus::{Arrival, Way};
use andon_model::log::AppendError;
use andon_wire::line_protocol::Precision;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, header};
use batch::{Batch, Refused, Rights};
use flate2::read::MultiGzDecoder;
use imports::Imports;
use keys::Keys;
use names::Names;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most readings of one request.
pub(crate) const MAX_READINGS: usize = 1_000_000;
/// In so many months a request has readings at most: each may become a file. A century.
pub(crate) const MAX_MONTHS: usize = 1_200;
/// A body above this is read beside the tasks that serve others, in bytes.
const LONG_BODY: usize = 256 << 10;
/// So many sets of names wait for their next request; a further one that ran at the same time is let go.
const IDLE_NAMES: usize = 4;
/// Long bodies that are read at a time.
const MOST_READ: usize = 4;
/// Long bodies that wait to be read; a further one is told to come back.
const MOST_WAITING: usize = 64;

/// What ingest remembers between requests, for all listeners of a node.
#[derive(Debug, Default)]
pub struct Memory {
    names: Mutex<Vec<Names>>,
    /// Answers to requests with a key.
    pub keys: Keys,
    /// Imports that are under way.
    pub imports: Imports,
    /// Places to read long bodies.
    places: Places,
}

/// Places to read long bodies, and to wait for that.
#[derive(Debug)]
struct Places {
    all: Arc<Semaphore>,
    reading: Arc<Semaphore>,
}

impl Default for Places {
    fn default() -> Self {
        let places = |most| Arc::new(Semaphore::new(most));
        Self { all: places(MOST_READ + MOST_WAITING), reading: places(MOST_READ) }
    }
}

impl Places {
    /// Waits for a place, which is free again when both permits are dropped.
    /// # Errors
    /// 503: too many wait already.
    async fn take(&self) -> Result<[OwnedSemaphorePermit; 2], Problem> {
        let place = self.all.clone().try_acquire_owned().map_err(|_| {
            Problem::unavailable(format!("{MOST_WAITING} requests wait to be read already"))
                .remedy("send the same request again later")
        })?;
        let reading = self.reading.clone().acquire_owned().await.map_err(Problem::internal)?;
        Ok([place, reading])
    }
}

impl Memory {
    fn names(&self) -> std::sync::MutexGuard<'_, Vec<Names>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names that were used in this form and below this branch before, or none.
    fn take(&self, form: Form, branch: &str) -> Names {
        let mut idle = self.names();
        let place = idle.iter().rposition(|names| names.form() == form && names.branch() == branch);
        place.map(|place| idle.swap_remove(place)).unwrap_or_else(|| Names::new(form, branch))
    }

    fn give_back(&self, names: Names) {
        if names.is_too_large() {
            return;
        }
        let mut idle = self.names();
        if idle.len() >= IDLE_NAMES {
            idle.remove(0);
        }
        idle.push(names);
    }
}

/// How the body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Line protocol; a measurement is a path, and its tags say nothing.
    Lines,
    /// Line protocol as InfluxDB's clients send it: tags are levels of the path.
    Influx,
    /// JSON.
    Json,
    /// CSV.
    Csv,
}

/// Whether the body is packed.
/// # Errors
/// 415: in another way than gzip.
pub(crate) fn is_packed(headers: &HeaderMap) -> Result<bool, Problem> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or_default().trim()) {
        None | Some("" | "identity") => Ok(false),
        Some("gzip" | "x-gzip") => Ok(true),
        Some(other) => {
            let other: String = other.chars().take(40).collect();
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown-encoding", "the body cannot be unpacked")
                .detail(format!("the content encoding is {other:?}"))
                .remedy("pack the body with gzip, or not at all"))
        }
    }
}

/// What comes out of a packed body, all parts of it.
fn unpack(body: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    let read = MultiGzDecoder::new(body).take(MAX_BODY as u64 + 1).read_to_end(&mut out);
    if out.len() > MAX_BODY {
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the request is too large")
            .detail(format!("a body has at most {MAX_BODY} bytes when it is unpacked"))
            .remedy("send it in several requests"));
    }
    match read {
        Ok(_) => Ok(out),
        Err(error) => Err(Problem::bad_request(format!("the body is not whole gzip: {error}"))),
    }
}

/// A body to read.
pub(crate) struct Asked {
    pub(crate) body: Bytes,
    /// In gzip.
    pub(crate) packed: bool,
    pub(crate) form: Form,
    /// The unit of times that are bare numbers.
    pub(crate) precision: Precision,
    /// Put before every path; empty: nothing.
    pub(crate) branch: String,
    /// Refuse rows without a time.
    pub(crate) timed: bool,
}

/// A body that was read and whose good rows are durable.
#[derive(Debug)]
pub(crate) struct Done {
    /// Readings that are durable.
    pub(crate) stored: usize,
    /// Rows that were refused.
    pub(crate) refused_rows: usize,
    /// The first of them.
    pub(crate) refused: Vec<Refused>,
}

/// Reads a body and makes its readings durable: all, or with `partial` those of the good rows.
/// # Errors
/// The caller may write nowhere, the body has no rows that could be told apart, too many bodies wait to be read, a row was refused and `partial` is not set, or nothing could be stored.
pub(crate) async fn read(app: &App, caller: &Caller, asked: Asked, partial: bool) -> Result<Done, Problem> {
    let rights = Rights::of(app, caller);
    rights.check_any()?;
    let (plant, received) = (app.bus.plant(), app.clock.now());
    let long = asked.packed || asked.body.len() > LONG_BODY;
    // Kept until the readings are stored, also when the caller goes away while the body is read.
    let place = if long { Some(app.ingest_memory.places.take().await?) } else { None };
    let names = app.ingest_memory.take(asked.form, &asked.branch);
    // Only imports want all rows to have a time.
    let way = if asked.timed { Way::Import } else { Way::Http };
    let work = move || {
        let body = if asked.packed { unpack(&asked.body)?.into() } else { asked.body };
        let text = std::str::from_utf8(&body).map_err(|_| Problem::bad_request("the body is not UTF-8"))?;
        let mut batch = Batch::new(&plant, rights, names, received, partial);
        if asked.timed {
            batch.want_times();
        }
        match asked.form {
            Form::Lines | Form::Influx => lines::read(text, asked.precision, asked.form == Form::Influx, &mut batch),
            Form::Json => json::read(text, asked.precision, &mut batch),
            Form::Csv => csv::read(text, asked.precision, &mut batch),
        }?;
        Ok::<_, Problem>((batch.end(), place))
    };
    let read = if long { tokio::task::spawn_blocking(work).await.map_err(Problem::internal)? } else { work() };
    let ((names, samples, refused, refused_rows), _place) = read?;
    app.ingest_memory.give_back(names);
    if !partial && let Some(first) = refused.first() {
        return Err(first.clone().into());
    }
    let (stored, arrival) = (samples.len(), Arrival::of(&samples));
    app.ingest.store(samples).await.map_err(not_stored)?;
    app.bus.arrivals(way).note_stored(arrival);
    Ok(Done { stored, refused_rows, refused })
}

pub(crate) fn too_many() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the request is too large")
        .detail(format!("a request has at most {MAX_READINGS} readings"))
        .remedy("send the readings in several requests")
}

pub(crate) fn too_many_months() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the request reaches over too much time")
        .detail(format!("a request has readings in at most {MAX_MONTHS} different months"))
        .remedy("send the readings in several requests, each with those of some years")
}

fn not_stored(error: AppendError) -> Problem {
    match error {
        AppendError::TooLarge { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the request is too large")
                .detail(error)
                .remedy("send the readings in several requests")
        }
        _ => Problem::unavailable(error).remedy("send the same request again later"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(bytes).expect("in memory");
        packed.finish().expect("in memory")
    }

    #[tokio::test]
    async fn so_many_long_bodies_are_read_so_many_wait_and_one_more_comes_back_later() {
        let places = Arc::new(Places::default());
        let mut read = Vec::new();
        for _ in 0..MOST_READ {
            read.push(places.take().await.expect("a place"));
        }
        let take = |_| {
            let places = places.clone();
            tokio::spawn(async move { places.take().await.map(drop) })
        };
        let waiting: Vec<_> = (0..MOST_WAITING).map(take).collect();
        while places.all.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = places.take().await.expect_err("all places are taken");
        assert_eq!((refused.status, refused.retry_after_s), (503, Some(5)));
        drop(read);
        for waited in waiting {
            waited.await.expect("no panic").expect("a place");
        }
        assert!(places.take().await.is_ok());
    }

    #[test]
    fn a_packed_body_is_unpacked_whole_and_within_bounds() {
        let parts = [pack(b"one\n"), pack(b"two\n")].concat();
        assert_eq!(unpack(&parts).map_err(|problem| problem.status), Ok(b"one\ntwo\n".to_vec()), "every part of it");
        let status = |bytes: &[u8]| unpack(bytes).map(|out| out.len()).map_err(|problem| problem.status);
        assert_eq!(status(&pack(&vec![b'x'; MAX_BODY])), Ok(MAX_BODY));
        assert_eq!(status(&pack(&vec![b'x'; MAX_BODY + 1])), Err(413));
        for broken in
            [parts.get(..parts.len() - 1), Some(&b"plain"[..]), Some(&[parts.clone(), vec![1, 2, 3]].concat())]
        {
            assert_eq!(status(broken.expect("bytes")), Err(400));
        }
    }
}
