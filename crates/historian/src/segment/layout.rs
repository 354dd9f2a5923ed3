//! Format 3: the columns of a history file.
//!
//! | column | Parquet type | content |
//! | --- | --- | --- |
//! | `tag` | INT64 | the tag's number in this node |
//! | `ts_ms` | INT64 | source time, ms since 1970-01-01 UTC, rounded down |
//! | `ts_us` | INT32 (16 bit) | the microseconds beyond `ts_ms`, 0 to 999 |
//! | `v_int` | INT64, optional | a whole number, or a decimal one times `scale` |
//! | `scale` | DOUBLE, optional | a power of ten; the value is exactly `v_int / scale`. Null: `v_int` is a whole number |
//! | `v_float` | FLOAT, optional | a number that a single precision float holds exactly |
//! | `v_double` | DOUBLE, optional | any other number |
//! | `v_bool` | BOOLEAN, optional | |
//! | `v_text` | STRING, optional | |
//! | `quality` | INT64 | the OPC UA StatusCode |
//! | `received_ms` | INT64, optional | received minus source time, ms; of what came within an hour of its time |
//! | `received_at_ms` | INT64, optional | when it was received, ms since 1970-01-01 UTC; of all others |
//!
//! Format 2 has no `received_at_ms`, and `received_ms` in every row.
//!
//! At most one of the value columns is set; none for null. Decimals are smaller as whole numbers than as doubles, and times in
//! ms than in µs. What cannot be scaled to the last bit is not. A reading that comes at once is received a little after its time, so the
//! difference is small; history that is loaded later comes in batches, whose rows have the time of receiving in common.
//! Row groups hold at most 128 Ki rows; the page index says the times of each page, and the [directory](super::directory)
//! in the file's metadata where each tag's rows are.

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};
use std::sync::Arc;

/// Rows per row group.
pub(super) const GROUP_ROWS: usize = 128 * 1024;
/// Rows per page: small enough that one tag's hour costs a page or two.
pub(super) const PAGE_ROWS: usize = 8 * 1024;
/// The key in the file's own metadata, and the version of the layout above.
pub(super) const FORMAT_KEY: &str = "andon.historian.format";
pub(super) const FORMAT: &str = "3";
/// The one before, which is read as well.
pub(super) const FORMAT_2: &str = "2";
/// The key of the [directory](super::directory).
pub(super) const DIRECTORY_KEY: &str = "andon.historian.tags";

pub(super) const TS_MS: usize = 1;
pub(super) const TS_US: usize = 2;
pub(super) const V_INT: usize = 3;
pub(super) const SCALE: usize = 4;
pub(super) const V_FLOAT: usize = 5;
pub(super) const V_DOUBLE: usize = 6;
pub(super) const V_BOOL: usize = 7;
pub(super) const V_TEXT: usize = 8;
pub(super) const QUALITY: usize = 9;
pub(super) const RECEIVED_MS: usize = 10;
pub(super) const RECEIVED_AT_MS: usize = 11;

/// What comes so much later than its time, or earlier, has its time of receiving in `received_at_ms`, ms.
const LATER_MS: u64 = 3_600_000;
/// Distinct times of receiving of a row group, bytes: beyond, their differences are smaller.
const RECEIVED_AT_DICTIONARY: usize = 128 * 1024;

const MESSAGE: &str = "message history {
    required int64 tag;
    required int64 ts_ms;
    required int32 ts_us (INTEGER(16, true));
    optional int64 v_int;
    optional double scale;
    optional float v_float;
    optional double v_double;
    optional boolean v_bool;
    optional binary v_text (STRING);
    required int64 quality;
    optional int64 received_ms;
    optional int64 received_at_ms;
}";

/// The columns as Parquet has them.
pub(super) fn schema() -> Result<TypePtr, ParquetError> {
    parse_message_type(MESSAGE).map(Arc::new)
}

/// How the columns are encoded. Why these: times and scaled values have small differences, and those of status codes are mostly
/// none; the bytes of real floats, and of the few different scales, compress by position; text repeats, so it goes through a dictionary.
/// Numbers that are mostly one could go there too, at the price of looking each up.
pub(super) fn properties() -> Result<WriterProperties, ParquetError> {
    let column = |name: &str| ColumnPath::from(name);
    let ascending = |at| SortingColumn { column_idx: at, descending: false, nulls_first: false };
    let mut builder = WriterProperties::builder()
        .set_created_by("andon-historian".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(128 * 1024)
        .set_write_batch_size(1024)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some(vec![ascending(0), ascending(1), ascending(2)]))
        .set_key_value_metadata(Some(vec![KeyValue::new(FORMAT_KEY.to_owned(), FORMAT.to_owned())]));
    for name in ["tag", "ts_ms"] {
        builder = builder.set_column_statistics_enabled(column(name), EnabledStatistics::Page);
    }
    for name in ["tag", "ts_ms", "ts_us", "v_int", "quality", "received_ms"] {
        builder = builder
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    let received_at = column("received_at_ms");
    builder = builder
        .set_column_dictionary_enabled(received_at.clone(), true)
        .set_column_dictionary_page_size_limit(received_at.clone(), RECEIVED_AT_DICTIONARY)
        .set_column_encoding(received_at, Encoding::DELTA_BINARY_PACKED);
    for name in ["scale", "v_float", "v_double"] {
        builder = builder
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::BYTE_STREAM_SPLIT);
    }
    Ok(builder.build())
}

/// Whether a row has `received_at_ms` in place of its `received_ms`.
pub(super) const fn is_later(received_ms: i64) -> bool {
    received_ms.unsigned_abs() >= LATER_MS
}

/// A source time in µs as `ts_ms` and `ts_us`.
pub(super) const fn split_ts(ts: i64) -> (i64, i32) {
    let us = ts.rem_euclid(1000);
    #[expect(clippy::cast_possible_truncation, reason = "0 to 999")]
    (ts.div_euclid(1000), us as i32)
}

/// The other way.
pub(super) const fn join_ts(ms: i64, us: i32) -> i64 {
    // The product alone may pass the ends of i64, the sum does not.
    ms.wrapping_mul(1000).wrapping_add(us as i64)
}
