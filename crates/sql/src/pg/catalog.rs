//! PostgreSQL's catalogue as far as clients ask for it: small tables in memory, the same for everybody.
//!
//! They tell of the views and their columns, of types and settings. What a client asks about and Andon does not have (indexes,
//! constraints, triggers) is a table without rows.

use super::functions;
use crate::engine::{Caller, DATABASE, SCHEMA};
use crate::pg::values::oid_of;
use crate::views::{VIEWS, columns};
use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, SchemaProvider, TableProvider};
use datafusion::error::Result;
use std::sync::Arc;

/// The version that clients are told: they choose their catalogue queries by it.
pub const SERVER_VERSION: &str = "16.6";
/// The first id of a view.
const FIRST_VIEW: i64 = 16_384;
/// `pg_catalog`.
const SYSTEM: i64 = 11;
/// `public`.
const PUBLIC: i64 = 2200;
/// `information_schema`.
const INFORMATION: i64 = 13_000;
/// The one role.
const OWNER: i64 = 10;

/// What `SHOW` and `current_setting` answer.
pub const SETTINGS: [(&str, &str); 24] = [
    ("application_name", ""),
    ("bytea_output", "hex"),
    ("client_encoding", "UTF8"),
    ("datestyle", "ISO, MDY"),
    ("default_transaction_isolation", "read committed"),
    ("default_transaction_read_only", "on"),
    ("extra_float_digits", "1"),
    ("in_hot_standby", "off"),
    ("integer_datetimes", "on"),
    ("intervalstyle", "postgres"),
    ("is_superuser", "off"),
    ("lc_collate", "C"),
    ("lc_ctype", "C.UTF-8"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("search_path", "public"),
    ("server_encoding", "UTF8"),
    ("server_version", SERVER_VERSION),
    ("server_version_num", "160006"),
    ("standard_conforming_strings", "on"),
    ("statement_timeout", "0"),
    ("timezone", "UTC"),
    ("transaction_isolation", "read committed"),
    ("transaction_read_only", "on"),
];

/// The value of a setting.
pub fn setting(name: &str) -> Option<&'static str> {
    SETTINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
}

/// PostgreSQL's types that appear here: id, name, length, category, array's id, words in `information_schema`.
const TYPES: [(i64, &str, i64, &str, i64, &str); 21] = [
    (16, "bool", 1, "B", 1000, "boolean"),
    (17, "bytea", -1, "U", 1001, "bytea"),
    (18, "char", 1, "Z", 1002, "\"char\""),
    (19, "name", 64, "S", 1003, "name"),
    (20, "int8", 8, "N", 1016, "bigint"),
    (21, "int2", 2, "N", 1005, "smallint"),
    (23, "int4", 4, "N", 1007, "integer"),
    (25, "text", -1, "S", 1009, "text"),
    (26, "oid", 4, "N", 1028, "oid"),
    (114, "json", -1, "U", 199, "json"),
    (700, "float4", 4, "N", 1021, "real"),
    (701, "float8", 8, "N", 1022, "double precision"),
    (705, "unknown", -2, "X", 0, "unknown"),
    (1042, "bpchar", -1, "S", 1014, "character"),
    (1043, "varchar", -1, "S", 1015, "character varying"),
    (1082, "date", 4, "D", 1182, "date"),
    (1083, "time", 8, "D", 1183, "time without time zone"),
    (1114, "timestamp", 8, "D", 1115, "timestamp without time zone"),
    (1184, "timestamptz", 8, "D", 1185, "timestamp with time zone"),
    (1186, "interval", 16, "T", 1187, "interval"),
    (1700, "numeric", -1, "N", 1231, "numeric"),
];

/// The functions that read a type's binary form: id, name, what they give. Npgsql tells arrays by them.
const RECEIVERS: [(i64, &str, i64); 22] = [
    (2400, "array_recv", 0),
    (2436, "boolrecv", 16),
    (2412, "bytearecv", 17),
    (2434, "charrecv", 18),
    (2422, "namerecv", 19),
    (2408, "int8recv", 20),
    (2404, "int2recv", 21),
    (2406, "int4recv", 23),
    (2414, "textrecv", 25),
    (2418, "oidrecv", 26),
    (323, "json_recv", 114),
    (2424, "float4recv", 700),
    (2426, "float8recv", 701),
    (2416, "unknownrecv", 705),
    (2430, "bpcharrecv", 1042),
    (2432, "varcharrecv", 1043),
    (2468, "date_recv", 1082),
    (2470, "time_recv", 1083),
    (2474, "timestamp_recv", 1114),
    (2476, "timestamptz_recv", 1184),
    (2478, "interval_recv", 1186),
    (2460, "numeric_recv", 1700),
];

/// The id of a function that reads a type's binary form, by name.
pub fn receiver_oid(name: &str) -> Option<i64> {
    let name = name.trim_start_matches("pg_catalog.");
    RECEIVERS.iter().find(|known| known.1 == name).map(|known| known.0)
}

/// The words for a type, as `format_type` says them.
pub fn type_words(oid: i64) -> Option<String> {
    let plain = TYPES.iter().find(|known| known.0 == oid).map(|known| known.5.to_owned());
    plain.or_else(|| TYPES.iter().find(|known| known.4 == oid && oid != 0).map(|known| format!("{}[]", known.5)))
}

/// The id of a type by name.
pub fn type_oid(name: &str) -> Option<i64> {
    let name = name.trim_start_matches("pg_catalog.").to_ascii_lowercase();
    TYPES.iter().find(|known| known.1 == name || known.5 == name).map(|known| known.0)
}

/// The id of a schema by name.
pub fn namespace_oid(name: &str) -> Option<i64> {
    match name {
        "pg_catalog" => Some(SYSTEM),
        SCHEMA => Some(PUBLIC),
        "information_schema" => Some(INFORMATION),
        _ => None,
    }
}

/// The id of a view or system table by name, with or without its schema.
pub fn relation_oid(name: &str) -> Option<i64> {
    let plain = name.rsplit('.').next().unwrap_or(name).trim_matches('"');
    let view = (FIRST_VIEW..).zip(VIEWS).find(|(_, (view, _))| *view == plain).map(|(oid, _)| oid);
    view.or(match plain {
        "pg_type" => Some(1247),
        "pg_attribute" => Some(1249),
        "pg_proc" => Some(1255),
        "pg_class" => Some(1259),
        "pg_database" => Some(1262),
        "pg_namespace" => Some(2615),
        "pg_description" => Some(2609),
        _ => None,
    })
}

/// Where a view of this id stands in the list, if there is one.
fn place(oid: i64) -> Option<usize> {
    usize::try_from(oid.checked_sub(FIRST_VIEW)?).ok()
}

/// The name of a view or system table.
pub fn relation_name(oid: i64) -> Option<&'static str> {
    let view = place(oid).and_then(|place| VIEWS.get(place)).map(|(name, _)| *name);
    view.or_else(|| {
        ["pg_type", "pg_attribute", "pg_proc", "pg_class", "pg_database", "pg_namespace", "pg_description"]
            .into_iter()
            .find(|name| relation_oid(name) == Some(oid))
    })
}

/// What a view holds, as its comment.
pub fn comment(oid: i64) -> Option<&'static str> {
    let view = place(oid).and_then(|place| VIEWS.get(place)).map(|(_, words)| *words);
    view.or_else(|| functions::of(oid).map(|function| function.about))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bool,
    Int,
    Text,
}

#[derive(Clone)]
enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

/// A table under way.
struct Table {
    columns: Vec<(&'static str, Kind)>,
    rows: Vec<Vec<Cell>>,
}

macro_rules! row {
    ($($cell:expr),* $(,)?) => { vec![$(Cell::from($cell)),*] };
}

impl Table {
    /// Columns as `name`, `name#` (a number) or `name?` (true or false), separated by blanks.
    fn new(columns: &'static str) -> Self {
        let columns = columns.split_whitespace().map(|column| match column.strip_suffix('#') {
            Some(name) => (name, Kind::Int),
            None => column.strip_suffix('?').map_or((column, Kind::Text), |name| (name, Kind::Bool)),
        });
        Self { columns: columns.collect(), rows: Vec::new() }
    }

    fn schema(&self) -> SchemaRef {
        let field = |(name, kind): &(&'static str, Kind)| {
            let data_type = match kind {
                Kind::Bool => DataType::Boolean,
                Kind::Int => DataType::Int64,
                Kind::Text => DataType::Utf8View,
            };
            Field::new(*name, data_type, true)
        };
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    fn provider(self) -> Result<Arc<dyn TableProvider>> {
        let arrays = self.columns.iter().enumerate().map(|(place, (_, kind))| -> ArrayRef {
            let cells = self.rows.iter().map(|row| row.get(place).cloned().unwrap_or(Cell::Null));
            match kind {
                Kind::Bool => Arc::new(
                    cells.map(|cell| if let Cell::Bool(b) = cell { Some(b) } else { None }).collect::<BooleanArray>(),
                ),
                Kind::Int => Arc::new(
                    cells.map(|cell| if let Cell::Int(i) = cell { Some(i) } else { None }).collect::<Int64Array>(),
                ),
                Kind::Text => Arc::new(
                    cells
                        .map(|cell| if let Cell::Text(t) = cell { Some(t) } else { None })
                        .collect::<StringViewArray>(),
                ),
            }
        });
        let arrays: Vec<ArrayRef> = arrays.collect();
        let schema = self.schema();
        let batch = RecordBatch::try_new(schema.clone(), arrays)?;
        Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
    }
}

/// Tables that never have a row here.
const EMPTY: [(&str, &str); 33] = [
    ("pg_attrdef", "oid# adrelid# adnum# adbin"),
    (
        "pg_collation",
        "oid# collname collnamespace# collowner# collprovider collisdeterministic? collencoding# collcollate collctype colliculocale",
    ),
    (
        "pg_constraint",
        "oid# conname connamespace# contype condeferrable? condeferred? convalidated? conrelid# contypid# conindid# conparentid# confrelid# confupdtype confdeltype confmatchtype conislocal? coninhcount# connoinherit? conkey confkey conpfeqop conppeqop conffeqop conexclop conbin",
    ),
    (
        "pg_index",
        "indexrelid# indrelid# indnatts# indnkeyatts# indisunique? indisprimary? indisexclusion? indimmediate? indisclustered? indisvalid? indcheckxmin? indisready? indislive? indisreplident? indkey indcollation indclass indoption indexprs indpred indnullsnotdistinct?",
    ),
    ("pg_inherits", "inhrelid# inhparent# inhseqno# inhdetachpending?"),
    ("pg_policy", "oid# polname polrelid# polcmd polpermissive? polroles polqual polwithcheck"),
    (
        "pg_publication",
        "oid# pubname pubowner# puballtables? pubinsert? pubupdate? pubdelete? pubtruncate? pubviaroot?",
    ),
    ("pg_publication_rel", "oid# prpubid# prrelid# prqual prattrs"),
    ("pg_publication_namespace", "oid# pnpubid# pnnspid#"),
    ("pg_statistic_ext", "oid# stxrelid# stxname stxnamespace# stxowner# stxstattarget# stxkeys stxkind stxexprs"),
    (
        "pg_trigger",
        "oid# tgrelid# tgparentid# tgname tgfoid# tgtype# tgenabled tgisinternal? tgconstrrelid# tgconstrindid# tgconstraint# tgdeferrable? tginitdeferred? tgnargs# tgattr tgargs tgqual tgoldtable tgnewtable",
    ),
    ("pg_rewrite", "oid# rulename ev_class# ev_type ev_enabled is_instead? ev_qual ev_action"),
    ("pg_foreign_table", "ftrelid# ftserver# ftoptions"),
    ("pg_foreign_server", "oid# srvname srvowner# srvfdw# srvtype srvversion srvacl srvoptions"),
    ("pg_partitioned_table", "partrelid# partstrat partnatts# partdefid# partattrs partclass partcollation partexprs"),
    ("pg_sequence", "seqrelid# seqtypid# seqstart# seqincrement# seqmax# seqmin# seqcache# seqcycle?"),
    ("pg_depend", "classid# objid# objsubid# refclassid# refobjid# refobjsubid# deptype"),
    ("pg_enum", "oid# enumtypid# enumsortorder# enumlabel"),
    ("pg_range", "rngtypid# rngsubtype# rngmultitypid# rngcollation# rngsubopc# rngcanonical rngsubdiff"),
    ("pg_cast", "oid# castsource# casttarget# castfunc# castcontext castmethod"),
    ("pg_aggregate", "aggfnoid# aggkind aggnumdirectargs#"),
    ("pg_operator", "oid# oprname oprnamespace# oprowner# oprkind oprleft# oprright# oprresult#"),
    ("pg_opclass", "oid# opcmethod# opcname opcnamespace# opcowner# opcfamily# opcintype#"),
    ("pg_extension", "oid# extname extowner# extnamespace# extrelocatable? extversion"),
    ("pg_language", "oid# lanname lanowner# lanispl? lanpltrusted?"),
    ("pg_event_trigger", "oid# evtname evtevent evtowner# evtfoid# evtenabled"),
    ("pg_shdescription", "objoid# classoid# description"),
    ("pg_seclabel", "objoid# classoid# objsubid# provider label"),
    ("pg_stat_activity", "datid# datname pid# usename application_name client_addr state query"),
    ("pg_indexes", "schemaname tablename indexname tablespace indexdef"),
    ("pg_matviews", "schemaname matviewname matviewowner tablespace hasindexes? ispopulated? definition"),
    ("pg_default_acl", "oid# defaclrole# defaclnamespace# defaclobjtype defaclacl"),
    ("pg_auth_members", "oid# roleid# member# grantor# admin_option?"),
];

/// Whether a system table never has a row here.
pub fn is_always_empty(name: &str) -> bool {
    EMPTY.iter().any(|(known, _)| *known == name)
}

fn relations() -> Table {
    let mut table = Table::new(
        "oid# relname relnamespace# reltype# reloftype# relowner# relam# relfilenode# reltablespace# relpages# reltuples# relallvisible# reltoastrelid# relhasindex? relisshared? relpersistence relkind relnatts# relchecks# relhasrules? relhastriggers? relhassubclass? relrowsecurity? relforcerowsecurity? relispopulated? relreplident relispartition? relrewrite# relfrozenxid# relminmxid# relacl reloptions relpartbound",
    );
    for (oid, (name, _)) in (FIRST_VIEW..).zip(VIEWS) {
        let width = columns(name).map_or(0, |schema| schema.fields().len());
        table.rows.push(row![
            oid,
            name,
            PUBLIC,
            0,
            0,
            OWNER,
            0,
            0,
            0,
            0,
            -1,
            0,
            0,
            false,
            false,
            "p",
            "r",
            i64::try_from(width).unwrap_or(0),
            0,
            false,
            false,
            false,
            false,
            false,
            true,
            "n",
            false,
            0,
            0,
            0
        ]);
    }
    table
}

fn attributes() -> Table {
    let mut table = Table::new(
        "attrelid# attname atttypid# attlen# attnum# attndims# atttypmod# attnotnull? atthasdef? atthasmissing? attidentity attgenerated attisdropped? attislocal? attinhcount# attcollation# attstorage attcompression attstattarget# attbyval? attalign attacl attoptions attfdwoptions",
    );
    for (oid, (view, _)) in (FIRST_VIEW..).zip(VIEWS) {
        let Some(schema) = columns(view) else { continue };
        for (number, field) in (1_i64..).zip(schema.fields()) {
            let kind = i64::from(oid_of(field.data_type()));
            let len = TYPES.iter().find(|known| known.0 == kind).map_or(-1, |known| known.2);
            table.rows.push(row![
                oid,
                field.name().as_str(),
                kind,
                len,
                number,
                0,
                -1,
                !field.is_nullable(),
                false,
                false,
                "",
                "",
                false,
                true,
                0,
                0,
                "p",
                "",
                -1,
                len > 0,
                "d"
            ]);
        }
    }
    table
}

fn types() -> Table {
    let mut table = Table::new(
        "oid# typname typnamespace# typowner# typlen# typbyval? typtype typcategory typispreferred? typisdefined? typdelim typrelid# typelem# typarray# typinput typoutput typreceive# typsend typmodin typmodout typalign typstorage typnotnull? typbasetype# typtypmod# typndims# typcollation# typdefault typsubscript typacl",
    );
    for (oid, name, len, category, array, _) in TYPES {
        let io = |end: &str| format!("{name}{end}");
        let (input, output, send) = (io("in"), io("out"), io("send"));
        let receive = RECEIVERS.iter().find(|known| known.2 == oid).map_or(0, |known| known.0);
        table.rows.push(row![
            oid,
            name,
            SYSTEM,
            OWNER,
            len,
            len > 0 && len <= 8,
            "b",
            category,
            false,
            true,
            ",",
            0,
            0,
            array,
            input.as_str(),
            output.as_str(),
            receive,
            send.as_str(),
            "-",
            "-",
            "i",
            "p",
            false,
            0,
            -1,
            0,
            0
        ]);
        if array != 0 {
            let many = format!("_{name}");
            table.rows.push(row![
                array,
                many.as_str(),
                SYSTEM,
                OWNER,
                -1,
                false,
                "b",
                "A",
                false,
                true,
                ",",
                0,
                oid,
                0,
                "array_in",
                "array_out",
                RECEIVERS[0].0,
                "array_send",
                "-",
                "-",
                "i",
                "x",
                false,
                0,
                -1,
                0,
                0
            ]);
        }
    }
    table
}

fn procedures() -> Table {
    let mut table = Table::new(
        "oid# proname pronamespace# proowner# prolang# procost# prorows# provariadic# prosupport prokind prosecdef? proleakproof? proisstrict? proretset? provolatile proparallel pronargs# pronargdefaults# prorettype# proargtypes proallargtypes proargmodes proargnames prosrc proacl",
    );
    for (oid, name, gives) in RECEIVERS {
        // An array's result is a pseudo-type; its argument, as all of them have it, is one too.
        let gives = if gives == 0 { 2277 } else { gives };
        table.rows.push(row![
            oid,
            name,
            SYSTEM,
            OWNER,
            12,
            1,
            0,
            0,
            "-",
            "f",
            false,
            false,
            true,
            false,
            "i",
            "s",
            1,
            0,
            gives,
            "2281",
            Cell::Null,
            Cell::Null,
            Cell::Null,
            name
        ]);
    }
    for (oid, function) in functions::listed() {
        // 2249 is a row, which may have any columns.
        let gives = if function.rows { 2249 } else { type_oid(function.result).unwrap_or(25) };
        let types: Vec<String> = function.types().map(|of| argument_oid(of).to_string()).collect();
        let count = i64::try_from(types.len()).unwrap_or(0);
        let types = types.join(" ");
        table.rows.push(row![
            oid,
            function.name,
            PUBLIC,
            OWNER,
            12,
            1,
            0,
            0,
            "-",
            function.kind,
            false,
            false,
            false,
            function.rows,
            "s",
            "s",
            count,
            0,
            gives,
            types.as_str(),
            Cell::Null,
            Cell::Null,
            Cell::Null,
            function.name
        ]);
    }
    table
}

/// The id of an argument's type, also of a list of one.
fn argument_oid(words: &str) -> i64 {
    let array = |of: &str| TYPES.iter().find(|known| known.5 == of).map(|known| known.4);
    let oid = words.strip_suffix("[]").map_or_else(|| type_oid(words), array);
    oid.unwrap_or(25)
}

/// A table of `pg_catalog`.
fn table(name: &str, user: &str) -> Option<Table> {
    if let Some((_, columns)) = EMPTY.iter().find(|(known, _)| *known == name) {
        return Some(Table::new(columns));
    }
    Some(match name {
        "pg_class" => relations(),
        "pg_attribute" => attributes(),
        "pg_type" => types(),
        "pg_proc" => procedures(),
        "pg_namespace" => {
            let mut table = Table::new("oid# nspname nspowner# nspacl");
            for (oid, name) in [(SYSTEM, "pg_catalog"), (PUBLIC, SCHEMA), (INFORMATION, "information_schema")] {
                table.rows.push(row![oid, name, OWNER]);
            }
            table
        }
        "pg_database" => {
            let mut table = Table::new(
                "oid# datname datdba# encoding# datlocprovider datistemplate? datallowconn? datconnlimit# datfrozenxid# datminmxid# dattablespace# datcollate datctype daticulocale datcollversion datacl",
            );
            table.rows.push(row![5, DATABASE, OWNER, 6, "c", false, true, -1, 0, 0, 1663, "C", "C.UTF-8"]);
            table
        }
        "pg_description" => {
            let mut table = Table::new("objoid# classoid# objsubid# description");
            for (oid, (_, words)) in (FIRST_VIEW..).zip(VIEWS) {
                table.rows.push(row![oid, 1259, 0, words]);
            }
            for (oid, function) in functions::listed() {
                table.rows.push(row![oid, 1255, 0, function.about]);
            }
            table
        }
        "pg_settings" => {
            let mut table = Table::new(
                "name setting unit category short_desc extra_desc context vartype source min_val max_val enumvals boot_val reset_val pending_restart?",
            );
            for (name, value) in SETTINGS {
                table.rows.push(row![
                    name,
                    value,
                    Cell::Null,
                    "Preset",
                    "",
                    Cell::Null,
                    "internal",
                    "string",
                    "default",
                    Cell::Null,
                    Cell::Null,
                    Cell::Null,
                    value,
                    value,
                    false
                ]);
            }
            table
        }
        "pg_roles" | "pg_authid" => {
            let mut table = Table::new(
                "oid# rolname rolsuper? rolinherit? rolcreaterole? rolcreatedb? rolcanlogin? rolreplication? rolconnlimit# rolpassword rolvaliduntil rolbypassrls? rolconfig",
            );
            table.rows.push(row![OWNER, user, false, true, false, false, true, false, -1]);
            table
        }
        "pg_user" => {
            let mut table =
                Table::new("usename usesysid# usecreatedb? usesuper? userepl? usebypassrls? passwd valuntil useconfig");
            table.rows.push(row![user, OWNER, false, false, false, false]);
            table
        }
        "pg_am" => {
            let mut table = Table::new("oid# amname amhandler amtype");
            table.rows.push(row![2, "heap", "heap_tableam_handler", "t"]);
            table
        }
        "pg_tablespace" => {
            let mut table = Table::new("oid# spcname spcowner# spcacl spcoptions");
            table.rows.push(row![1663, "pg_default", OWNER]);
            table
        }
        "pg_tables" | "pg_views" => {
            let mut table = Table::new(if name == "pg_tables" {
                "schemaname tablename tableowner tablespace hasindexes? hasrules? hastriggers? rowsecurity?"
            } else {
                "schemaname viewname viewowner definition"
            });
            if name == "pg_tables" {
                for (view, _) in VIEWS {
                    table.rows.push(row![SCHEMA, view, DATABASE, Cell::Null, false, false, false, false]);
                }
            }
            table
        }
        _ => return None,
    })
}

const SYSTEM_TABLES: [&str; 15] = [
    "pg_proc",
    "pg_class",
    "pg_attribute",
    "pg_type",
    "pg_namespace",
    "pg_database",
    "pg_description",
    "pg_settings",
    "pg_roles",
    "pg_authid",
    "pg_user",
    "pg_am",
    "pg_tablespace",
    "pg_tables",
    "pg_views",
];

const INFORMATION_TABLES: [(&str, &str); 12] = [
    (
        "tables",
        "table_catalog table_schema table_name table_type self_referencing_column_name reference_generation user_defined_type_catalog user_defined_type_schema user_defined_type_name is_insertable_into is_typed commit_action",
    ),
    (
        "columns",
        "table_catalog table_schema table_name column_name ordinal_position# column_default is_nullable data_type character_maximum_length# character_octet_length# numeric_precision# numeric_precision_radix# numeric_scale# datetime_precision# interval_type interval_precision# collation_name domain_name udt_catalog udt_schema udt_name is_identity is_generated is_updatable",
    ),
    (
        "schemata",
        "catalog_name schema_name schema_owner default_character_set_catalog default_character_set_schema default_character_set_name sql_path",
    ),
    ("views", "table_catalog table_schema table_name view_definition check_option is_updatable is_insertable_into"),
    (
        "table_constraints",
        "constraint_catalog constraint_schema constraint_name table_catalog table_schema table_name constraint_type is_deferrable initially_deferred enforced",
    ),
    (
        "key_column_usage",
        "constraint_catalog constraint_schema constraint_name table_catalog table_schema table_name column_name ordinal_position# position_in_unique_constraint#",
    ),
    (
        "referential_constraints",
        "constraint_catalog constraint_schema constraint_name unique_constraint_catalog unique_constraint_schema unique_constraint_name match_option update_rule delete_rule",
    ),
    (
        "constraint_column_usage",
        "table_catalog table_schema table_name column_name constraint_catalog constraint_schema constraint_name",
    ),
    (
        "routines",
        "specific_catalog specific_schema specific_name routine_catalog routine_schema routine_name routine_type data_type",
    ),
    (
        "parameters",
        "specific_catalog specific_schema specific_name ordinal_position# parameter_mode parameter_name data_type",
    ),
    ("element_types", "object_catalog object_schema object_name object_type collection_type_identifier data_type"),
    (
        "character_sets",
        "character_set_catalog character_set_schema character_set_name character_repertoire form_of_use default_collate_catalog default_collate_schema default_collate_name",
    ),
];

fn information_table(name: &str) -> Option<Table> {
    let mut table = Table::new(INFORMATION_TABLES.iter().find(|(known, _)| *known == name)?.1);
    match name {
        "tables" => {
            for (view, _) in VIEWS {
                table.rows.push(row![
                    DATABASE,
                    SCHEMA,
                    view,
                    "BASE TABLE",
                    Cell::Null,
                    Cell::Null,
                    Cell::Null,
                    Cell::Null,
                    Cell::Null,
                    "NO",
                    "NO"
                ]);
            }
        }
        "columns" => {
            for (view, _) in VIEWS {
                let Some(schema) = columns(view) else { continue };
                for (number, field) in (1_i64..).zip(schema.fields()) {
                    let oid = i64::from(oid_of(field.data_type()));
                    let known = TYPES.iter().find(|known| known.0 == oid);
                    let (udt, words) = known.map_or(("text", "text"), |known| (known.1, known.5));
                    let nullable = if field.is_nullable() { "YES" } else { "NO" };
                    let precision = match oid {
                        701 => Cell::Int(53),
                        20 => Cell::Int(64),
                        23 => Cell::Int(32),
                        _ => Cell::Null,
                    };
                    let fraction = if oid == 1184 { Cell::Int(6) } else { Cell::Null };
                    table.rows.push(row![
                        DATABASE,
                        SCHEMA,
                        view,
                        field.name().as_str(),
                        number,
                        Cell::Null,
                        nullable,
                        words,
                        Cell::Null,
                        Cell::Null,
                        precision,
                        Cell::Null,
                        Cell::Null,
                        fraction,
                        Cell::Null,
                        Cell::Null,
                        Cell::Null,
                        Cell::Null,
                        DATABASE,
                        "pg_catalog",
                        udt,
                        "NO",
                        "NEVER",
                        "NO"
                    ]);
                }
            }
        }
        "schemata" => {
            for schema in ["pg_catalog", SCHEMA, "information_schema"] {
                table.rows.push(row![DATABASE, schema, DATABASE]);
            }
        }
        "routines" => {
            for (oid, function) in functions::listed() {
                let specific = format!("{}_{oid}", function.name);
                let kind = if function.kind == "a" { Cell::Null } else { "FUNCTION".into() };
                let gives = if function.rows { "record" } else { function.result };
                table.rows.push(row![
                    DATABASE,
                    SCHEMA,
                    specific.as_str(),
                    DATABASE,
                    SCHEMA,
                    function.name,
                    kind,
                    gives
                ]);
            }
        }
        "character_sets" => {
            table.rows.push(row![Cell::Null, Cell::Null, "UTF8", "UCS", "UTF8", DATABASE, "pg_catalog", "C"])
        }
        _ => {}
    }
    Some(table)
}

/// `pg_catalog`.
pub(crate) fn schema(caller: &Caller) -> Arc<dyn SchemaProvider> {
    Arc::new(System { user: caller.name(), information: false })
}

/// `information_schema`.
pub(crate) fn information_schema() -> Arc<dyn SchemaProvider> {
    Arc::new(System { user: String::new(), information: true })
}

#[derive(Debug)]
struct System {
    user: String,
    information: bool,
}

#[async_trait]
impl SchemaProvider for System {
    fn table_names(&self) -> Vec<String> {
        if self.information {
            return INFORMATION_TABLES.iter().map(|(name, _)| (*name).to_owned()).collect();
        }
        EMPTY.iter().map(|(name, _)| *name).chain(SYSTEM_TABLES).map(str::to_owned).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = if self.information { information_table(name) } else { table(name, &self.user) };
        table.map(Table::provider).transpose()
    }

    fn table_exist(&self, name: &str) -> bool {
        self.table_names().iter().any(|known| known == name)
    }
}
