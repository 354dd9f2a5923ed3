//! The whole table in one Parquet file, so that a reader need not go through every commit: a classic checkpoint.
//!
//! A row per action, a group of columns per kind of action, all null but one. Written with Parquet's column writers. What
//! is a list or a map in the schema is empty in our tables, so every column needs only to say down to which level of
//! nesting a row is there ("definition level").

use super::Published;
use super::commit::{APP_ID, description, schema, stats};
use crate::manifest::FileInfo;
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

const MESSAGE: &str = "message checkpoint {
    optional group txn {
        optional binary appId (STRING);
        optional int64 version;
    }
    optional group add {
        optional binary path (STRING);
        optional group partitionValues (MAP) {
            repeated group key_value { required binary key (STRING); optional binary value (STRING); }
        }
        optional int64 size;
        optional int64 modificationTime;
        optional boolean dataChange;
        optional binary stats (STRING);
    }
    optional group remove {
        optional binary path (STRING);
        optional int64 deletionTimestamp;
        optional boolean dataChange;
    }
    optional group metaData {
        optional binary id (STRING);
        optional binary name (STRING);
        optional binary description (STRING);
        optional group format {
            optional binary provider (STRING);
            optional group options (MAP) {
                repeated group key_value { required binary key (STRING); optional binary value (STRING); }
            }
        }
        optional binary schemaString (STRING);
        optional group partitionColumns (LIST) {
            repeated group list { optional binary element (STRING); }
        }
        optional group configuration (MAP) {
            repeated group key_value { required binary key (STRING); optional binary value (STRING); }
        }
        optional int64 createdTime;
    }
    optional group protocol {
        optional int32 minReaderVersion;
        optional int32 minWriterVersion;
    }
}";

/// A row.
enum Action<'a> {
    Protocol,
    MetaData(&'a Published),
    Txn(u64),
    Add { path: &'a str, at_ms: i64, info: &'a FileInfo },
    Remove { path: &'a str, at_ms: i64 },
}

/// The checkpoint of the newest version. `files` are those it lists.
pub(super) fn encode(
    published: &Published,
    removed: &BTreeMap<String, i64>,
    number: u64,
    files: &BTreeMap<String, FileInfo>,
) -> Result<Vec<u8>, ParquetError> {
    let mut actions = vec![Action::Protocol, Action::MetaData(published), Action::Txn(number)];
    for (path, at_ms) in &published.files {
        let info = files.get(path).ok_or_else(|| ParquetError::General(format!("nothing is known of {path}")))?;
        actions.push(Action::Add { path, at_ms: *at_ms, info });
    }
    let tombstones = removed.iter().filter(|(path, _)| !published.files.contains_key(*path));
    actions.extend(tombstones.map(|(path, at_ms)| Action::Remove { path, at_ms: *at_ms }));
    write(&actions)
}

/// The content of `_last_checkpoint`.
pub(super) fn pointer(published: &Published, removed: usize, bytes: usize) -> Vec<u8> {
    let size = 3 + published.files.len() + removed;
    json!({"version": published.version, "size": size, "sizeInBytes": bytes, "numOfAddFiles": published.files.len()})
        .to_string()
        .into_bytes()
}

fn write(actions: &[Action<'_>]) -> Result<Vec<u8>, ParquetError> {
    let properties = WriterProperties::builder()
        .set_created_by("andon-historian".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .build();
    let mut writer =
        SerializedFileWriter::new(Vec::new(), parse_message_type(MESSAGE).map(Arc::new)?, Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    let mut columns = Columns { group: &mut group, actions };
    columns.txn()?;
    columns.add()?;
    columns.remove()?;
    columns.meta_data()?;
    columns.protocol()?;
    group.close()?;
    writer.into_inner()
}

/// Writes column after column, in the schema's order.
struct Columns<'a, 'g> {
    group: &'a mut SerializedRowGroupWriter<'g, Vec<u8>>,
    actions: &'a [Action<'a>],
}

impl<'a> Columns<'a, '_> {
    fn txn(&mut self) -> Result<(), ParquetError> {
        self.texts(2, |action| matches!(action, Action::Txn(_)).then_some(APP_ID))?;
        self.longs(|action| if let Action::Txn(number) = action { Some(long(*number)) } else { None })
    }

    fn add(&mut self) -> Result<(), ParquetError> {
        let is_add = |action: &Action<'_>| matches!(action, Action::Add { .. });
        self.texts(2, |action| if let Action::Add { path, .. } = action { Some(*path) } else { None })?;
        self.empty(2, 2, is_add)?;
        self.longs(|action| if let Action::Add { info, .. } = action { Some(long(info.bytes)) } else { None })?;
        self.longs(|action| if let Action::Add { at_ms, .. } = action { Some(*at_ms) } else { None })?;
        // As every row of a checkpoint is a state and not a change.
        self.column::<BoolType>(2, |action| is_add(action).then_some(false))?;
        self.texts(2, |action| if let Action::Add { info, .. } = action { Some(stats(info)) } else { None })
    }

    fn remove(&mut self) -> Result<(), ParquetError> {
        self.texts(2, |action| if let Action::Remove { path, .. } = action { Some(*path) } else { None })?;
        self.longs(|action| if let Action::Remove { at_ms, .. } = action { Some(*at_ms) } else { None })?;
        self.column::<BoolType>(2, |action| matches!(action, Action::Remove { .. }).then_some(false))
    }

    fn meta_data(&mut self) -> Result<(), ParquetError> {
        const fn of<'a>(action: &'a Action<'a>) -> Option<&'a Published> {
            if let Action::MetaData(published) = action { Some(published) } else { None }
        }
        let is_it = |action: &Action<'_>| matches!(action, Action::MetaData(_));
        self.texts(2, |action| of(action).map(|published| published.id.as_str()))?;
        self.texts(2, |action| is_it(action).then_some("history"))?;
        self.texts(2, |action| is_it(action).then(description))?;
        self.texts(3, |action| is_it(action).then_some("parquet"))?;
        self.empty(3, 2, is_it)?;
        self.texts(2, |action| is_it(action).then(schema))?;
        self.empty(2, 1, is_it)?;
        self.empty(2, 2, is_it)?;
        self.longs(|action| of(action).map(|published| published.created_ms))
    }

    fn protocol(&mut self) -> Result<(), ParquetError> {
        self.column::<Int32Type>(2, |action| matches!(action, Action::Protocol).then_some(1))?;
        self.column::<Int32Type>(2, |action| matches!(action, Action::Protocol).then_some(2))
    }

    fn texts<T: AsRef<str>>(
        &mut self,
        depth: i16,
        of: impl Fn(&'a Action<'a>) -> Option<T>,
    ) -> Result<(), ParquetError> {
        self.column::<ByteArrayType>(depth, |action| {
            of(action).map(|text| ByteArray::from(text.as_ref().as_bytes().to_vec()))
        })
    }

    fn longs(&mut self, of: impl Fn(&'a Action<'a>) -> Option<i64>) -> Result<(), ParquetError> {
        self.column::<Int64Type>(2, of)
    }

    /// A column whose value, where there is one, lies at `depth`.
    fn column<T: DataType>(
        &mut self,
        depth: i16,
        of: impl Fn(&'a Action<'a>) -> Option<T::T>,
    ) -> Result<(), ParquetError> {
        let values: Vec<Option<T::T>> = self.actions.iter().map(of).collect();
        let levels: Vec<i16> = values.iter().map(|value| if value.is_some() { depth } else { 0 }).collect();
        let values: Vec<T::T> = values.into_iter().flatten().collect();
        self.write::<T>(&values, &levels, None)
    }

    /// The columns of a list or map that lies at `depth` and is empty in the rows where `is_there`.
    fn empty(
        &mut self,
        depth: i16,
        columns: usize,
        is_there: impl Fn(&Action<'_>) -> bool,
    ) -> Result<(), ParquetError> {
        let levels: Vec<i16> = self.actions.iter().map(|action| if is_there(action) { depth } else { 0 }).collect();
        let repeats = vec![0; levels.len()];
        (0..columns).try_for_each(|_| self.write::<ByteArrayType>(&[], &levels, Some(&repeats)))
    }

    fn write<T: DataType>(
        &mut self,
        values: &[T::T],
        levels: &[i16],
        repeats: Option<&[i16]>,
    ) -> Result<(), ParquetError> {
        let missing = || ParquetError::General("the checkpoint's schema has fewer columns".to_owned());
        let mut column = self.group.next_column()?.ok_or_else(missing)?;
        column.typed::<T>().write_batch(values, Some(levels), repeats)?;
        column.close()
    }
}

fn long(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::Period;
    use andon_model::log::Seq;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    #[test]
    fn every_action_is_a_row_with_one_group() {
        let info = FileInfo {
            rows: 3,
            bytes: 99,
            tags: (1, 4),
            ts: (0, 5),
            ..FileInfo::empty(Period::day(0), Seq(1), Seq(2))
        };
        let files = BTreeMap::from([(info.table_path(), info.clone())]);
        let published = Published {
            id: "id".to_owned(),
            created_ms: 5,
            version: 50,
            schema: 1,
            files: BTreeMap::from([(info.table_path(), 12)]),
        };
        let removed = BTreeMap::from([("1970-01-01/1-1.parquet".to_owned(), 7)]);
        let bytes = encode(&published, &removed, 4711, &files).unwrap();
        let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
        let rows: Vec<String> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect();
        assert_eq!(rows.len(), 5);
        assert!(rows[0].contains("minReaderVersion: 1, minWriterVersion: 2"), "{}", rows[0]);
        assert!(
            rows[1].contains("provider: \"parquet\", options: {}") && rows[1].contains("partitionColumns: []"),
            "{}",
            rows[1]
        );
        assert!(rows[2].contains("version: 4711"), "{}", rows[2]);
        assert!(rows[3].contains("size: 99, modificationTime: 12, dataChange: false"), "{}", rows[3]);
        assert!(rows[4].contains("deletionTimestamp: 7"), "{}", rows[4]);
        assert!(encode(&published, &removed, 1, &BTreeMap::new()).is_err(), "a file nothing is known of");
    }
}
