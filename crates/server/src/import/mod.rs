//! `andon import`: CSV and Parquet files into the history of the running node.
//!
//! A file is read in chunks of [`CHUNK_ROWS`] rows, and the next one begins when the node has said that the one before is on disk. How far it has come
//! stands in a small file beside (`FILE.andon-import`), so that a second run goes on there; rows that the node refuses
//! go to `FILE.refused.csv` with their line and the reason. Memory is bounded by a chunk.
//!
//! Start reading at [`import`].

mod csv;
mod parquet;

use crate::client::Client;
use crate::progress::Line;
use crate::say::{complain, say};
use andon_model::text::counted;
use andon_wire::csv::put_text;
use anyhow::{Context as _, Result, bail};
use hyper::body::Bytes;
use hyper::header::{self, HeaderName};
use hyper::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

/// Rows of a chunk.
const CHUNK_ROWS: usize = 5_000;
/// Readings of a chunk, where a row has many, about.
const CHUNK_READINGS: usize = 100_000;
/// Bytes of a chunk, about.
const CHUNK_BYTES: usize = 4 << 20;
/// A node that is busy is asked again so often, a second apart.
const TRIES: usize = 60;

/// What to import.
#[derive(Debug, clap::Args)]
pub struct Wanted {
    /// Which column holds what, where its name does not say so: TARGET=COLUMN, with path, ts, value, quality or a tag's path as the target.
    #[arg(long)]
    map: Vec<String>,
    /// A column that is left out. May be given several times.
    #[arg(long, value_name = "COLUMN")]
    skip: Vec<String>,
    /// The unit of times that are bare numbers: ns, us, ms or s.
    #[arg(long, default_value = "ms")]
    precision: String,
    /// Begin anew, whatever an earlier run has done.
    #[arg(long)]
    restart: bool,
    /// CSV or Parquet files, told apart by their ending .parquet.
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

/// How far a file has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    /// Rows that are done: the first line of CSV is one.
    row: u64,
    /// Bytes that are done, in CSV.
    offset: u64,
}

/// Rows on their way to the node.
struct Chunk {
    body: Bytes,
    kind: &'static str,
    /// Which row of the file each row that the node counts from 1 is.
    rows: Rows,
    /// Where the file stands behind it.
    then: Position,
}

enum Rows {
    /// The node counts lines: this one is the first of the body.
    From(u64),
    /// The node counts readings.
    Of(Vec<u64>),
}

impl Rows {
    fn row(&self, counted: u64) -> u64 {
        let place = counted.saturating_sub(1);
        match self {
            Self::From(first) => first.saturating_add(place),
            Self::Of(rows) => {
                usize::try_from(place).ok().and_then(|place| rows.get(place)).copied().unwrap_or_default()
            }
        }
    }
}

/// Which column stands for which target; one that is left out for none, an empty name.
struct Map(Vec<(String, String)>);

impl Map {
    fn parse(words: &[String], skip: &[String]) -> Result<Self> {
        let pair = |word: &String| {
            let (target, column) =
                word.split_once('=').filter(|(target, column)| !target.is_empty() && !column.is_empty())?;
            Some((target.to_owned(), column.to_owned()))
        };
        let parse = |word: &String| {
            pair(word).with_context(|| {
                format!("--map {word:?} is not understood\n  try: --map ts=Time, or --map works/oven/heat=T1")
            })
        };
        let skipped = skip.iter().map(|column| Ok((String::new(), column.clone())));
        Ok(Self(words.iter().map(parse).chain(skipped).collect::<Result<_>>()?))
    }

    /// What the columns stand for.
    /// # Errors
    /// A column of the map is not in the file, two stand for the same, or times or values are missing.
    fn targets(&self, columns: &[String]) -> Result<Vec<String>> {
        if let Some((_, missing)) = self.0.iter().find(|(_, column)| !columns.contains(column)) {
            bail!("there is no column {missing:?}\n  try: one of {}", columns.join(", "));
        }
        let mut targets: Vec<String> = Vec::with_capacity(columns.len());
        for column in columns {
            let mut mapped = self.0.iter().filter(|(_, from)| from == column).map(|(target, _)| target);
            let target = mapped.next().unwrap_or(column);
            if mapped.next().is_some() {
                bail!("column {column:?} is named twice\n  try: --map or --skip it, once");
            }
            if let Some(place) = targets.iter().position(|known| known == target && !target.is_empty()) {
                let other = columns.get(place).map_or("", String::as_str);
                bail!("columns {other:?} and {column:?} both stand for {target}\n  try: leave one out with --skip");
            }
            targets.push(target.clone());
        }
        if !targets.iter().any(|target| target == "ts") {
            let names: Vec<String> = columns.iter().map(|name| format!("{name:?}")).collect();
            bail!("there is no column \"ts\"; the first line names {}\n  try: --map ts=COLUMN", names.join(", "));
        }
        if !targets.iter().any(|target| !matches!(target.as_str(), "" | "ts" | "path" | "quality")) {
            bail!("no column is left that holds values\n  try: fewer --skip; there are {}", columns.join(", "));
        }
        Ok(targets)
    }
}

/// What stands beside a file while it is imported.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// The file as it was: another one begins anew.
    bytes: u64,
    modified_ms: u128,
    /// Map, what is left out, and precision.
    how: Vec<String>,
    done: Position,
    stored: u64,
    refused_rows: u64,
}

impl State {
    fn of(file: &Path, wanted: &Wanted) -> Result<Self> {
        let meta = std::fs::metadata(file).with_context(|| format!("could not read {}", file.display()))?;
        let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let skipped = wanted.skip.iter().map(|column| format!("without {column}"));
        let how = wanted.map.iter().cloned().chain(skipped).chain([wanted.precision.clone()]).collect();
        Ok(Self {
            bytes: meta.len(),
            modified_ms: modified.map_or(0, |time| time.as_millis()),
            how,
            done: Position::default(),
            stored: 0,
            refused_rows: 0,
        })
    }

    /// Goes on where an earlier run was interrupted, if that is meant and this is the same file.
    fn resume(self, path: &Path, restart: bool) -> Result<Self> {
        let Ok(text) = std::fs::read_to_string(path) else { return Ok(self) };
        if restart {
            return Ok(self);
        }
        let remedy = "go on with the same file and options, or begin anew with --restart";
        let earlier: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is damaged\n  try: --restart", path.display()))?;
        if (earlier.bytes, earlier.modified_ms) != (self.bytes, self.modified_ms) {
            bail!("the file has changed since its import was interrupted\n  try: {remedy}");
        }
        if earlier.how != self.how {
            bail!("its import was interrupted, and had other options ({})\n  try: {remedy}", earlier.how.join(", "));
        }
        Ok(earlier)
    }

    fn save(&self, path: &Path) -> Result<()> {
        let fresh = beside(path, "~");
        let write = || std::fs::write(&fresh, serde_json::to_vec(self)?).and_then(|()| std::fs::rename(&fresh, path));
        write().with_context(|| format!("could not write {}", path.display()))
    }
}

/// The file's name with this behind it.
fn beside(file: &Path, end: &str) -> PathBuf {
    PathBuf::from(format!("{}{end}", file.display()))
}

enum Source {
    Csv(csv::Source),
    Parquet(Box<parquet::Source>),
}

impl Source {
    fn open(file: &Path, map: &Map, done: Position) -> Result<Self> {
        let is_parquet = file.extension().is_some_and(|end| end.eq_ignore_ascii_case("parquet"));
        Ok(if is_parquet {
            Self::Parquet(Box::new(parquet::Source::open(file, map, done)?))
        } else {
            Self::Csv(csv::Source::open(file, map, done)?)
        })
    }

    fn next(&mut self) -> Result<Option<Chunk>> {
        match self {
            Self::Csv(source) => source.next(),
            Self::Parquet(source) => source.next(),
        }
    }

    /// How much of the file lies before this position, of 0 to 1.
    fn share(&self, at: Position, bytes: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let of = |done: u64, all: u64| done as f64 / all.max(1) as f64;
        match self {
            Self::Csv(_) => of(at.offset, bytes),
            Self::Parquet(source) => of(at.row, source.rows()),
        }
    }
}

/// Imports each file.
/// # Errors
/// A file cannot be read, or the node cannot take it.
pub async fn import(client: &Client, wanted: &Wanted) -> Result<ExitCode> {
    let map = Map::parse(&wanted.map, &wanted.skip)?;
    let mut refused = 0;
    for file in &wanted.files {
        refused += one(client, wanted, &map, file)
            .await
            .with_context(|| format!("{} is not wholly imported", file.display()))?;
    }
    Ok(if refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(crate::commands::FOUND) })
}

async fn one(client: &Client, wanted: &Wanted, map: &Map, file: &Path) -> Result<u64> {
    let at = beside(file, ".andon-import");
    let mut state = State::of(file, wanted)?.resume(&at, wanted.restart)?;
    let mut source = Source::open(file, map, state.done)?;
    let mut report = Report::new(beside(file, ".refused.csv"), state.done != Position::default())?;
    if state.done != Position::default() {
        complain!("{}: goes on behind row {}", file.display(), state.done.row);
    }
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let begun = client.send(Method::POST, "/api/imports", Some(&json!({ "name": name }))).await?.success()?.json();
    let id = begun["id"].as_str().context("the node began no import")?.to_owned();
    let mut progress = Line::new();
    let outcome = async {
        while let Some(chunk) = source.next()? {
            let (stored, refused) = send(client, wanted, &id, &chunk, &mut report).await?;
            state.stored += stored;
            state.refused_rows += refused;
            state.done = chunk.then;
            state.save(&at)?;
            progress.tell_share(source.share(state.done, state.bytes), || {
                format!("{name}: {}", stored_and_refused(state.stored, state.refused_rows))
            });
        }
        Ok::<_, anyhow::Error>(())
    }
    .await;
    drop(progress);
    // What was stored is told also when the rest could not be read.
    client.send(Method::POST, &format!("/api/imports/{id}/end"), None).await?.success()?;
    let (stored, refused) = (state.stored, state.refused_rows);
    if state.done == Position::default() {
        outcome?;
    } else {
        outcome.with_context(|| {
            format!("of the rows up to {}: {}", state.done.row, stored_and_refused(stored, refused))
        })?;
    }
    match std::fs::remove_file(&at) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("could not remove {}", at.display()));
        }
        _ => {}
    }
    say!("{}: {}", file.display(), stored_and_refused(stored, refused));
    if refused > 0 {
        say!("  see {}", report.path.display());
        if report.unknown {
            say!(
                "  try: add the tags that are not known, or leave a column out with --skip COLUMN; then again with --restart"
            );
        }
    }
    Ok(refused)
}

/// Sends a chunk until the node has taken it; points stored and rows refused.
async fn send(client: &Client, wanted: &Wanted, id: &str, chunk: &Chunk, report: &mut Report) -> Result<(u64, u64)> {
    let path = format!("/api/ingest?partial=true&import={id}&precision={}", wanted.precision);
    // A repetition of a chunk whose answer was lost stores nothing twice.
    let key = format!("{id}-{}-{}", chunk.then.row, chunk.then.offset);
    let headers = [(header::CONTENT_TYPE, chunk.kind), (HeaderName::from_static("idempotency-key"), key.as_str())];
    let mut tries = 0;
    let answer = loop {
        let answer = client.post(&path, &headers, chunk.body.clone()).await?;
        tries += 1;
        if answer.status != StatusCode::SERVICE_UNAVAILABLE || tries == TRIES {
            break answer.success()?.json();
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    for row in answer["refused"].as_array().into_iter().flatten() {
        let counted = row["row"].as_u64().unwrap_or_default();
        report.add(chunk.rows.row(counted), row["reason"].as_str().unwrap_or_default())?;
    }
    let told = answer["refused"].as_array().map_or(0, Vec::len) as u64;
    let untold = answer["refused_rows"].as_u64().unwrap_or_default().saturating_sub(told);
    if untold > 0 {
        report.add(
            chunk.then.row,
            &format!(
                "before this one also refused: {}, whose reasons are too long to tell",
                counted(untold, "row", "rows")
            ),
        )?;
    }
    report.flush()?;
    Ok((answer["stored"].as_u64().unwrap_or_default(), answer["refused_rows"].as_u64().unwrap_or_default()))
}

/// The file of refused rows; made with the first one.
struct Report {
    path: PathBuf,
    file: Option<File>,
    lines: String,
    /// Whether a row named a tag that there is not.
    unknown: bool,
}

impl Report {
    /// `on`: behind what an earlier run wrote.
    fn new(path: PathBuf, on: bool) -> Result<Self> {
        if !on && path.exists() {
            std::fs::remove_file(&path).with_context(|| format!("could not remove {}", path.display()))?;
        }
        Ok(Self { path, file: None, lines: String::new(), unknown: false })
    }

    fn add(&mut self, row: u64, reason: &str) -> Result<()> {
        self.unknown |= reason.contains(" is not known here; ");
        if self.file.is_none() {
            let open = File::options().create(true).append(true).open(&self.path);
            let file = open.with_context(|| format!("could not write {}", self.path.display()))?;
            if file.metadata()?.len() == 0 {
                self.lines.push_str("row,reason\n");
            }
            self.file = Some(file);
        }
        self.lines.push_str(&row.to_string());
        self.lines.push(',');
        put_text(&mut self.lines, reason);
        self.lines.push('\n');
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(self.lines.as_bytes())
                .with_context(|| format!("could not write {}", self.path.display()))?;
            self.lines.clear();
        }
        Ok(())
    }
}

fn stored_and_refused(stored: u64, refused: u64) -> String {
    format!("{} stored, {} refused", counted(stored, "point", "points"), counted(refused, "row", "rows"))
}
