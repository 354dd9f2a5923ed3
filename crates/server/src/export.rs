//! `andon history export`: points of many tags into one file, as they come from the running node.
//!
//! Tag after tag, by path; within a tag by time. Memory is bounded by a batch of rows. The file has its name only once it is whole.

use crate::client::Client;
use crate::progress::Line;
use crate::say::say;
use andon_model::text::counted;
use andon_model::{Timestamp, path};
use andon_wire::csv::put_text;
use anyhow::{Context as _, Result, bail};
use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use hyper::Method;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::Value as Json;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Rows of a batch and of a row group of Parquet.
const BATCH_ROWS: usize = 8192;
const GROUP_ROWS: usize = 131_072;

/// The form of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// path,ts,value,quality, with a header line.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Columns path, ts, value, int_value, bool_value, text_value, quality.
    Parquet,
}

impl Form {
    /// The form that a file's name ends in.
    fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// What to export.
#[derive(Debug, clap::Args)]
pub struct Wanted {
    /// Which tags: paths, branches, or patterns in which * stands for anything; may be given several times.
    #[arg(long, required = true)]
    tags: Vec<String>,
    /// From when on, in RFC 3339; from the beginning if missing.
    #[arg(long)]
    from: Option<String>,
    /// Until when, which is not part of it; to the end if missing.
    #[arg(long)]
    to: Option<String>,
    /// The form of the file; by its ending if missing.
    #[arg(long, value_enum)]
    format: Option<Form>,
    /// The file, which must not be there yet.
    out: PathBuf,
}

/// A point as the node tells it.
#[derive(serde::Deserialize)]
struct Point<'t> {
    #[serde(borrow)]
    path: Cow<'t, str>,
    ts: &'t str,
    value: Json,
    quality: u32,
}

/// Exports.
/// # Errors
/// The file is there already or cannot be written, no tag is meant, or the node could not tell all of it.
pub async fn export(client: &Client, wanted: &Wanted) -> Result<ExitCode> {
    let form = wanted.format.or_else(|| Form::of(&wanted.out));
    let form = form.context("the form of the file is not known by its name\n  try: --format csv, jsonl or parquet")?;
    if wanted.out.exists() {
        bail!("{} is there already\n  try: another name, or remove it", wanted.out.display());
    }
    let range = [("from_ms", &wanted.from), ("to_ms", &wanted.to)]
        .into_iter()
        .filter_map(|(key, text)| Some((key, text.as_ref()?)));
    let mut query = String::new();
    for (key, text) in range {
        let time = Timestamp::parse_rfc3339(text)
            .with_context(|| format!("{text:?} is no time\n  try: RFC 3339, such as 2026-11-25T06:00:00Z"))?;
        write!(query, "&{key}={}", time.millis())?;
    }
    let plant = client.send(Method::GET, "/api/plant", None).await?.success()?.json();
    let known = plant["tags"].as_array().into_iter().flatten().filter_map(|tag| tag["path"].as_str());
    let mut tags: Vec<&str> = known.filter(|path| wanted.tags.iter().any(|pattern| is_meant(pattern, path))).collect();
    tags.sort_unstable();
    if tags.is_empty() {
        bail!("no tag is meant by {}\n  try: andon sql \"SELECT path FROM tags\"", wanted.tags.join(", "));
    }
    let part = PathBuf::from(format!("{}.part", wanted.out.display()));
    let file = File::create(&part).with_context(|| format!("could not write {}", part.display()))?;
    let outcome = write(client, &tags, &query, Out::new(form, file)?).await;
    let points = match outcome {
        Ok(points) => points,
        Err(error) => {
            let _ = std::fs::remove_file(&part);
            return Err(error.context(format!("{} was not written", wanted.out.display())));
        }
    };
    std::fs::rename(&part, &wanted.out).with_context(|| format!("could not write {}", wanted.out.display()))?;
    let (points, tags) = (counted(points, "point", "points"), counted(tags.len() as u64, "tag", "tags"));
    say!("{points} of {tags} written to {}", wanted.out.display());
    Ok(ExitCode::SUCCESS)
}

/// A path or branch itself, or a pattern in which `*` stands for anything, `/` included.
fn is_meant(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let parts: Vec<&str> = parts.collect();
    let Some((last, between)) = parts.split_last() else { return path::is_under(path, pattern) && !pattern.is_empty() };
    let Some(mut rest) = path.strip_prefix(first) else { return false };
    for part in between {
        match rest.split_once(part) {
            Some((_, behind)) => rest = behind,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// Every byte but letters, digits and `-._~/` as `%XX`.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

async fn write(client: &Client, tags: &[&str], query: &str, mut out: Out) -> Result<u64> {
    let mut progress = Line::new();
    let mut points = 0;
    for (done, tag) in tags.iter().enumerate() {
        let path = format!("/api/history/export?tag={}{query}", encode(tag));
        let mut answer = client.get(&path).await?.success().await?;
        let mut rest = Vec::new();
        while let Some(piece) = answer.next().await? {
            rest.extend_from_slice(&piece);
            let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
            let whole = std::str::from_utf8(rest.get(..=end).unwrap_or_default())?;
            for line in whole.lines() {
                if line.starts_with("{\"error\"") {
                    let error: Json = serde_json::from_str(line)?;
                    bail!("{tag}: {}", error["error"]["message"].as_str().unwrap_or(line));
                }
                out.put(line)?;
                points += 1;
            }
            rest.drain(..=end);
            progress.tell_share(done as f64 / tags.len() as f64, || {
                format!("{points} points, {done} of {} tags", tags.len())
            });
        }
        if !rest.is_empty() {
            bail!("{tag}: the answer ends in the middle of a line");
        }
    }
    drop(progress);
    out.end()?;
    Ok(points)
}

/// A file being written.
enum Out {
    Csv(BufWriter<File>, String),
    Jsonl(BufWriter<File>),
    Parquet(Box<Columns>),
}

impl Out {
    fn new(form: Form, file: File) -> Result<Self> {
        Ok(match form {
            Form::Csv => {
                let mut file = BufWriter::new(file);
                file.write_all(b"path,ts,value,quality\n")?;
                Self::Csv(file, String::new())
            }
            Form::Jsonl => Self::Jsonl(BufWriter::new(file)),
            Form::Parquet => Self::Parquet(Box::new(Columns::new(file)?)),
        })
    }

    fn put(&mut self, line: &str) -> Result<()> {
        match self {
            Self::Jsonl(file) => {
                file.write_all(line.as_bytes())?;
                file.write_all(b"\n")?;
            }
            Self::Csv(file, row) => {
                let point: Point<'_> = serde_json::from_str(line)?;
                row.clear();
                put_text(row, &point.path);
                write!(row, ",{},", point.ts)?;
                match &point.value {
                    Json::Null => {}
                    Json::String(text) => put_text(row, text),
                    other => write!(row, "{other}")?,
                }
                writeln!(row, ",{}", point.quality)?;
                file.write_all(row.as_bytes())?;
            }
            Self::Parquet(columns) => columns.put(&serde_json::from_str(line)?)?,
        }
        Ok(())
    }

    fn end(self) -> Result<()> {
        let file = match self {
            Self::Csv(file, _) | Self::Jsonl(file) => file.into_inner()?,
            Self::Parquet(columns) => columns.end()?,
        };
        Ok(file.sync_all()?)
    }
}

/// The columns of a Parquet file.
struct Columns {
    writer: ArrowWriter<File>,
    schema: Arc<Schema>,
    rows: usize,
    path: StringBuilder,
    ts: TimestampMicrosecondBuilder,
    value: Float64Builder,
    int: Int64Builder,
    bool: BooleanBuilder,
    text: StringBuilder,
    quality: Int64Builder,
}

impl Columns {
    fn new(file: File) -> Result<Self> {
        let schema = Arc::new(Schema::new(vec![
            Field::new("path", DataType::Utf8, false),
            Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
            Field::new("value", DataType::Float64, true),
            Field::new("int_value", DataType::Int64, true),
            Field::new("bool_value", DataType::Boolean, true),
            Field::new("text_value", DataType::Utf8, true),
            Field::new("quality", DataType::Int64, false),
        ]));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        Ok(Self {
            writer: ArrowWriter::try_new(file, schema.clone(), Some(properties))?,
            schema,
            rows: 0,
            path: StringBuilder::new(),
            ts: TimestampMicrosecondBuilder::new().with_timezone("UTC"),
            value: Float64Builder::new(),
            int: Int64Builder::new(),
            bool: BooleanBuilder::new(),
            text: StringBuilder::new(),
            quality: Int64Builder::new(),
        })
    }

    fn put(&mut self, point: &Point<'_>) -> Result<()> {
        let ts = Timestamp::parse_rfc3339(point.ts).with_context(|| format!("{:?} is no time", point.ts))?;
        self.path.append_value(&point.path);
        self.ts.append_value(ts.micros());
        let flag = point.value.as_bool();
        self.value.append_option(point.value.as_f64().or_else(|| flag.map(|flag| f64::from(u8::from(flag)))));
        self.int.append_option(point.value.as_i64());
        self.bool.append_option(flag);
        self.text.append_option(point.value.as_str());
        self.quality.append_value(i64::from(point.quality));
        self.rows += 1;
        if self.rows == BATCH_ROWS { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<()> {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.path.finish()),
            Arc::new(self.ts.finish()),
            Arc::new(self.value.finish()),
            Arc::new(self.int.finish()),
            Arc::new(self.bool.finish()),
            Arc::new(self.text.finish()),
            Arc::new(self.quality.finish()),
        ];
        Ok(self.writer.write(&RecordBatch::try_new(self.schema.clone(), columns)?)?)
    }

    fn end(mut self) -> Result<File> {
        self.write()?;
        Ok(self.writer.into_inner()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_meant_by_path_branch_and_pattern() {
        for (pattern, path, meant) in [
            ("line1", "line1/a", true),
            ("line1", "line10/a", false),
            ("line1/a", "line1/a", true),
            ("line1/*", "line1/a/b", true),
            ("line1/*", "line1", false),
            ("*/speed", "line1/motor/speed", true),
            ("line*/*/speed", "line1/motor/speed", true),
            ("line*/x/speed", "line1/motor/speed", false),
            ("*", "anything/at", true),
            ("a*a", "a", false),
            ("", "a/b", false),
        ] {
            assert_eq!(is_meant(pattern, path), meant, "{pattern} {path}");
        }
        assert_eq!(encode("Küche/L 1"), "K%C3%BCche/L%201");
    }
}
