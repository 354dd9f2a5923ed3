//! From PostgreSQL's spelling to what the engine plans.
//!
//! Clients write what PostgreSQL understands: `pg_catalog.` before functions, `OPERATOR(pg_catalog.~)`, `'name'::regclass`,
//! `= ANY(array)`, `COLLATE`. [`adapt`] rewrites the parsed statement, never its text. It gives nobody more rights: what
//! comes out is planned and checked as any other statement.

use crate::error::SqlError;
use crate::functions::clock::{TIMEZONE, TRUNC};
use crate::functions::json::{GET, GET_TEXT};
use crate::functions::part::EXTRACT;
use crate::guard::MAX_TEXT;
use crate::pg::catalog;
use crate::refusal;
use crate::signs;
use crate::similar;
use crate::size;
use crate::times::literal;
use andon_model::Timestamp;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    Interval, LimitClause, ObjectName, ObjectNamePart, Query, Select, SelectItem, SetExpr, TableFactor, TableWithJoins,
    Value, VisitMut, VisitorMut,
};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// Reads statements, separated by semicolons.
pub(crate) fn parse(text: &str) -> Result<Vec<Statement>, SqlError> {
    if text.len() > MAX_TEXT {
        return Err(SqlError::TooBig { what: "long", limit: format!("{} KiB", MAX_TEXT / 1024) });
    }
    let invalid = |reason: String| SqlError::Invalid(reason.trim_start_matches("sql parser error: ").to_owned());
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, text).tokenize_with_location().map_err(|error| invalid(error.to_string()))?;
    let read = signs::cut_off(tokens, &dialect);
    let tokens: Vec<Token> = read.iter().map(|token| token.token.clone()).collect();
    size::check_depth(&tokens)?;
    let parser = DFParserBuilder::new(read).with_dialect(&dialect).with_recursion_limit(100).build();
    let statements = parser.and_then(|mut parser| parser.parse_statements());
    let statements = statements.map(Vec::from).map_err(|error| match refusal::unread(&tokens) {
        Some(what) => SqlError::Refused { what },
        None => SqlError::from_engine(&error, 0),
    });
    let statements = statements?;
    statements.iter().try_for_each(size::check_relations)?;
    Ok(statements)
}

/// The answer to a statement about the session, such as `BEGIN`, which has no effect here; `None` for all others.
pub(crate) fn session_tag(statement: &Statement) -> Option<&'static str> {
    match statement {
        Statement::Statement(statement) => Some(match &**statement {
            ast::Statement::StartTransaction { statements, exception, .. }
                if statements.is_empty() && exception.is_none() =>
            {
                "BEGIN"
            }
            ast::Statement::Commit { .. } => "COMMIT",
            ast::Statement::Rollback { .. } => "ROLLBACK",
            ast::Statement::Savepoint { .. } => "SAVEPOINT",
            ast::Statement::ReleaseSavepoint { .. } => "RELEASE",
            ast::Statement::Set(set) if !is_ours(&set.to_string()) => "SET",
            ast::Statement::Reset(_) => "RESET",
            ast::Statement::Discard { .. } => "DISCARD ALL",
            ast::Statement::Deallocate { .. } => "DEALLOCATE",
            ast::Statement::UNLISTEN { .. } => "UNLISTEN",
            _ => return None,
        }),
        Statement::Reset(_) => Some("RESET"),
        _ => None,
    }
}

/// A statement about a cursor: the way of some drivers to take an answer in blocks.
pub(crate) enum CursorWord {
    /// `DECLARE name CURSOR FOR query`.
    Declare {
        /// Its name.
        name: String,
        /// It outlives the transaction.
        hold: bool,
        /// What it reads.
        query: Box<Statement>,
    },
    /// `FETCH count FROM name`.
    Fetch {
        /// Which.
        name: String,
        /// Rows, at most.
        count: usize,
    },
    /// `CLOSE name`; `None`: all of them.
    Close(Option<String>),
}

/// A name as it is compared: in small letters, unless it is quoted.
pub(crate) fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

/// What a statement says about a cursor; `None` for all others.
/// # Errors
/// It wants what a cursor here cannot do, such as going back.
pub(crate) fn cursor_word(statement: &Statement) -> Result<Option<CursorWord>, SqlError> {
    let Statement::Statement(statement) = statement else { return Ok(None) };
    let forward_only = || SqlError::Invalid("a cursor here goes forward only: FETCH n, NEXT or ALL".to_owned());
    Ok(Some(match &**statement {
        ast::Statement::Declare { stmts } => {
            let [ast::Declare { names, hold, for_query: Some(query), .. }] = &stmts[..] else { return Ok(None) };
            let [name] = &names[..] else { return Ok(None) };
            let query = Statement::Statement(Box::new(ast::Statement::Query(query.clone())));
            CursorWord::Declare { name: folded(name), hold: *hold == Some(true), query: Box::new(query) }
        }
        ast::Statement::Fetch { name, direction, into: None, .. } => {
            let count = match direction {
                ast::FetchDirection::Next => 1,
                ast::FetchDirection::All | ast::FetchDirection::ForwardAll => usize::MAX,
                ast::FetchDirection::Count { limit } | ast::FetchDirection::Forward { limit: Some(limit) } => {
                    limit.value.to_string().parse().map_err(|_| forward_only())?
                }
                ast::FetchDirection::Forward { limit: None } => 1,
                _ => return Err(forward_only()),
            };
            CursorWord::Fetch { name: folded(name), count }
        }
        ast::Statement::Close { cursor: ast::CloseCursor::All } => CursorWord::Close(None),
        ast::Statement::Close { cursor: ast::CloseCursor::Specific { name } } => CursorWord::Close(Some(folded(name))),
        _ => return Ok(None),
    }))
}

/// A setting of the engine itself, which nobody may touch.
fn is_ours(set: &str) -> bool {
    set.to_ascii_lowercase().contains("datafusion")
}

/// Makes a statement ready for the planner.
pub(crate) fn adapt(statement: Statement) -> Result<Statement, SqlError> {
    Ok(match statement {
        Statement::Statement(statement) => {
            let mut statement = show(*statement)?;
            refusal::only_reading(&statement)?;
            let mut adapter = Adapter::default();
            let _ = VisitMut::visit(&mut statement, &mut adapter);
            if let Some(wrong) = adapter.wrong {
                return Err(wrong);
            }
            if let ast::Statement::Query(query) = &mut statement {
                name_columns(&mut query.body);
            }
            Statement::Statement(Box::new(statement))
        }
        Statement::Explain(mut explain) => {
            explain.statement = Box::new(adapt(*explain.statement)?);
            Statement::Explain(explain)
        }
        other => return Err(refusal::refused(&other.to_string())),
    })
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// `SHOW …` as the query that answers it.
fn show(statement: ast::Statement) -> Result<ast::Statement, SqlError> {
    let text = match &statement {
        ast::Statement::ShowTables { .. } => {
            "SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name".to_owned()
        }
        ast::Statement::ShowSchemas { .. } => "SELECT schema_name FROM information_schema.schemata ORDER BY 1".to_owned(),
        ast::Statement::ShowDatabases { .. } => "SELECT datname FROM pg_catalog.pg_database".to_owned(),
        ast::Statement::ShowColumns { show_options, .. } => {
            let named = show_options.show_in.as_ref().and_then(|shown| shown.parent_name.as_ref());
            let name = named.and_then(|name| name.0.last()).and_then(ObjectNamePart::as_ident).map(|name| name.value.clone());
            let name = name.ok_or_else(|| SqlError::Invalid("SHOW COLUMNS FROM which view?".to_owned()))?;
            format!("SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = 'public' AND table_name = {} ORDER BY ordinal_position", quoted(&name.to_lowercase()))
        }
        ast::Statement::ShowVariable { variable } => {
            let words: Vec<_> = variable.iter().map(|word| word.value.to_lowercase()).collect();
            match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                ["all"] => "SELECT name, setting, short_desc AS description FROM pg_catalog.pg_settings ORDER BY name".to_owned(),
                ["tables"] => "SELECT table_schema, table_name, table_type FROM information_schema.tables WHERE table_schema = 'public' ORDER BY table_name".to_owned(),
                ["time", "zone"] => "SELECT 'UTC' AS \"TimeZone\"".to_owned(),
                ["transaction", "isolation", "level"] => "SELECT 'read committed' AS transaction_isolation".to_owned(),
                _ => {
                    let name = words.join(".");
                    let value = catalog::setting(&name);
                    let value = value.ok_or_else(|| SqlError::Invalid(format!("there is no setting \"{name}\"; SHOW ALL lists them")))?;
                    format!("SELECT {} AS \"{}\"", quoted(value), name.replace('"', ""))
                }
            }
        }
        _ => return Ok(statement),
    };
    match parse(&text)?.pop() {
        Some(Statement::Statement(statement)) => Ok(*statement),
        _ => Err(SqlError::Failed("a catalogue query of ours cannot be read".to_owned())),
    }
}

/// Columns that are a function's result are named after it, as in PostgreSQL, and constants `?column?`.
fn name_columns(body: &mut SetExpr) {
    let select = match body {
        SetExpr::Select(select) => select,
        SetExpr::Query(query) => return name_columns(&mut query.body),
        SetExpr::SetOperation { left, right, .. } => {
            name_columns(left);
            return name_columns(right);
        }
        _ => return,
    };
    let starred: Vec<_> = select.projection.iter().filter_map(starred).collect();
    let mut taken = HashSet::new();
    let mut constants = 0;
    for item in &mut select.projection {
        // `t.oid, t.*`, as DBeaver has it: the planner wants each column once.
        if let SelectItem::UnnamedExpr(expr @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) = item
            && starred.iter().any(|of| of.is_none() || *of == qualifier(expr))
            && let Some(name) = name_of(expr)
        {
            *item =
                SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', format!("{name}_1")) };
            continue;
        }
        if let SelectItem::UnnamedExpr(expr) = item
            && is_constant(expr)
        {
            // The planner wants each name once; PostgreSQL does not mind.
            constants += 1;
            let name = if constants == 1 { "?column?".to_owned() } else { format!("?column?_{constants}") };
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::with_quote('"', name) };
            continue;
        }
        let name = match item {
            SelectItem::UnnamedExpr(expr) => name_of(expr),
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            _ => None,
        };
        let Some(name) = name else { continue };
        let fresh = taken.insert(name.clone());
        if let SelectItem::UnnamedExpr(expr @ (Expr::Function(_) | Expr::Cast { .. })) = item
            && fresh
        {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: Ident::new(name) };
        }
    }
}

/// Whose columns an item stands for all of: `Some(None)` for `*`, `Some(Some(t))` for `t.*`.
fn starred(item: &SelectItem) -> Option<Option<String>> {
    match item {
        SelectItem::Wildcard(_) => Some(None),
        SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
            Some(Some(last_name(name)?))
        }
        _ => None,
    }
}

/// The table that a column is said to be of.
fn qualifier(expr: &Expr) -> Option<String> {
    let Expr::CompoundIdentifier(names) = expr else { return None };
    let table = names.len().checked_sub(2).and_then(|place| names.get(place))?;
    Some(folded(table))
}

fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) | Expr::TypedString(_) => true,
        Expr::Nested(expr) | Expr::Cast { expr, .. } | Expr::UnaryOp { expr, .. } => is_constant(expr),
        _ => false,
    }
}

fn name_of(expr: &Expr) -> Option<String> {
    match expr {
        // As it was written.
        Expr::Function(function) => {
            last_name(&function.name).map(|name| if name == TRUNC { "date_trunc".to_owned() } else { name })
        }
        Expr::Cast { expr, .. } => name_of(expr),
        Expr::Identifier(name) => Some(name.value.clone()),
        Expr::CompoundIdentifier(names) => names.last().map(|name| name.value.clone()),
        _ => None,
    }
}

fn last_name(name: &ObjectName) -> Option<String> {
    Some(folded(name.0.last()?.as_ident()?))
}

fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

fn text(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).into())
}

fn number(number: i64) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).into())
}

fn string_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text),
            _ => None,
        },
        Expr::Nested(inner) => string_of(inner),
        Expr::Cast { expr, .. } => string_of(expr),
        _ => None,
    }
}

fn call(name: &str, args: Vec<Expr>) -> Expr {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(ast::FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Times have six digits behind the point, as PostgreSQL's; the engine would have nine, and no year after 2262.
const fn in_micros(data_type: &mut DataType) {
    if let DataType::Timestamp(digits @ None, _) = data_type {
        *digits = Some(6);
    }
}

#[derive(Default)]
struct Adapter {
    wrong: Option<SqlError>,
}

impl Adapter {
    /// A text that is said to be a time, in the one spelling that the engine knows.
    fn time(&mut self, text: &mut String, data_type: &DataType) {
        let at = match data_type {
            DataType::Timestamp(_, ast::TimezoneInfo::WithTimeZone | ast::TimezoneInfo::Tz) => literal::moment(text),
            DataType::Timestamp(..) | DataType::Date => literal::shown(text),
            _ => return,
        };
        match at.map(|at| Timestamp::from_micros(at).to_string()) {
            None => self.wrong = Some(SqlError::BadTime(text.chars().take(100).collect())),
            Some(at) if *data_type == DataType::Date => text.replace_range(.., at.get(..10).unwrap_or_default()),
            Some(at) => *text = at,
        }
    }
}

impl VisitorMut for Adapter {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        // Subqueries over tables that are always empty here, before they are looked into.
        match expr {
            Expr::Subquery(query) if is_empty(query) => *expr = null(),
            Expr::Subquery(query) => aggregate(query),
            Expr::InSubquery { expr: left, subquery, negated } if lists_search_path(subquery) => {
                let list = vec![text(crate::engine::SCHEMA)];
                *expr = Expr::InList { expr: left.clone(), list, negated: *negated };
            }
            Expr::InList { expr: left, list, negated: false } if asks_for_views(left, list) => list.push(text("r")),
            Expr::Exists { subquery, negated } if is_empty(subquery) => {
                *expr = Expr::Value(Value::Boolean(*negated).into());
            }
            Expr::Function(function) if last_name(&function.name).as_deref() == Some("array") => {
                if let FunctionArguments::Subquery(query) = &function.args
                    && only_system(query)
                {
                    *expr = null();
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Function(function) => match parts_counted(function) {
                Some(count) => *expr = number(count),
                None => {
                    adapt_function(function);
                    if let Some(in_zone) = truncated_in_zone(function) {
                        *expr = in_zone;
                    }
                }
            },
            // By way of our own, which knows fractions of a second.
            Expr::Extract { field, expr: of, .. } => {
                *expr = call(EXTRACT, vec![text(&field.to_string()), (**of).clone()]);
            }
            Expr::Collate { expr: inner, .. } => *expr = (**inner).clone(),
            Expr::SimilarTo { negated, expr: left, pattern, escape_char } => {
                let escape = escape_char.as_ref().map(|escape| escape.clone().into_string());
                match string_of(pattern).map(|pattern| similar::regex(pattern, escape.flatten().as_deref())) {
                    Some(Ok(regex)) => {
                        let op = if *negated { BinaryOperator::PGRegexNotMatch } else { BinaryOperator::PGRegexMatch };
                        let (left, right) = (left.clone(), Box::new(text(&regex)));
                        *expr = Expr::Nested(Box::new(Expr::BinaryOp { left, op, right }));
                    }
                    Some(Err(why)) => self.wrong = Some(why),
                    None => self.wrong = Some(similar::unknown()),
                }
            }
            Expr::BinaryOp { left, op: op @ (BinaryOperator::Arrow | BinaryOperator::LongArrow), right } => {
                let name = if *op == BinaryOperator::Arrow { GET } else { GET_TEXT };
                *expr = call(name, vec![(**left).clone(), (**right).clone()]);
            }
            Expr::BinaryOp { op, .. } => {
                if let BinaryOperator::PGCustomBinaryOperator(names) = op
                    && let Some(known) = names.last().and_then(|name| operator(name))
                {
                    *op = known;
                }
            }
            Expr::Identifier(name)
                if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("current_schema") =>
            {
                *expr = call("current_schema", Vec::new());
            }
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr: inner, data_type, .. } => {
                match cast(inner, data_type) {
                    Some(other) => *expr = other,
                    None => {
                        if let Expr::Value(value) = &mut **inner
                            && let Value::SingleQuotedString(text) = &mut value.value
                        {
                            self.time(text, data_type);
                        }
                        in_micros(data_type);
                    }
                }
            }
            // The one array that clients take an item of.
            Expr::CompoundFieldAccess { root, .. } if is_search_path(root) => *expr = text("pg_catalog"),
            Expr::CompoundFieldAccess { root, access_chain } => {
                if let Some(part) = part_taken(root, access_chain) {
                    *expr = part;
                }
            }
            Expr::TypedString(typed) => {
                if let Some(known) = type_of(&typed.data_type) {
                    typed.data_type = known;
                }
                if let Value::SingleQuotedString(text) = &mut typed.value.value {
                    self.time(text, &typed.data_type);
                }
                in_micros(&mut typed.data_type);
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                *expr = call(TIMEZONE, vec![(**time_zone).clone(), (**timestamp).clone()]);
            }
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => {
                if let Some(other) = any(left, right, false) {
                    *expr = other;
                }
            }
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => {
                if let Some(other) = any(left, right, true) {
                    *expr = other;
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Some(what) = refusal::more_than_reads(query) {
            self.wrong = Some(what);
            return ControlFlow::Break(());
        }
        if is_empty(query) {
            query.order_by = None;
        }
        if let Some(LimitClause::LimitOffset { limit, offset, .. }) = &mut query.limit_clause {
            let counts = limit.iter_mut().chain(offset.iter_mut().map(|offset| &mut offset.value));
            for count in counts {
                // LIMIT '7': a parameter whose type nobody said.
                if let Some(n) = string_of(count).and_then(|text| text.trim().parse().ok()) {
                    *count = number(n);
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if is_empty_select(select) {
            without_looking(select);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, args: Some(_), .. } = factor {
            strip(name);
        }
        ControlFlow::Continue(())
    }
}

/// `pg_catalog.f` is `f`.
fn strip(name: &mut ObjectName) {
    let first = name.0.first().and_then(ObjectNamePart::as_ident);
    let system = first.is_some_and(|first| {
        first.value.eq_ignore_ascii_case("pg_catalog") || first.value.eq_ignore_ascii_case("information_schema")
    });
    if name.0.len() == 2 && system {
        name.0.remove(0);
    }
}

fn adapt_function(function: &mut Function) {
    strip(&mut function.name);
    let name = last_name(&function.name);
    if matches!(name.as_deref(), Some("time_bucket" | "date_bin"))
        && let FunctionArguments::List(list) = &mut function.args
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(width))) = list.args.first_mut()
        && let Some(text) = string_of(width).map(str::to_owned)
    {
        // '5 minutes' without the word INTERVAL, as TimescaleDB takes it.
        let value = Box::new(Expr::Value(Value::SingleQuotedString(text).into()));
        *width = Expr::Interval(Interval {
            value,
            leading_field: None,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        });
    }
}

/// `date_trunc('day', ts, 'Europe/Paris')`: the moment at which the day began there.
fn truncated_in_zone(function: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let [unit, at, zone] = &list.args[..] else { return None };
    if last_name(&function.name).as_deref() != Some("date_trunc") {
        return None;
    }
    let of = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    let (unit, at, zone) = (of(unit)?, of(at)?, of(zone)?);
    Some(call(TRUNC, vec![unit, at, zone]))
}

fn operator(name: &str) -> Option<BinaryOperator> {
    Some(match name {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "||" => BinaryOperator::StringConcat,
        _ => return None,
    })
}

/// PostgreSQL's name of a type as one that the planner knows; `None` if it knows the type itself.
fn type_of(data_type: &DataType) -> Option<DataType> {
    let DataType::Custom(name, _) = data_type else { return None };
    Some(match last_name(name)?.as_str() {
        "text" | "name" | "char" | "bpchar" | "varchar" | "regproc" | "regprocedure" | "regnamespace" | "regrole"
        | "unknown" | "citext" | "json" | "jsonb" | "uuid" => DataType::Text,
        "int2" | "int4" | "integer" | "smallint" => DataType::Integer(None),
        "int8" | "oid" | "xid" | "bigint" => DataType::BigInt(None),
        "float4" | "float8" | "numeric" => DataType::DoublePrecision,
        "bool" | "boolean" => DataType::Boolean,
        "timestamptz" => DataType::Timestamp(None, ast::TimezoneInfo::WithTimeZone),
        "timestamp" => DataType::Timestamp(None, ast::TimezoneInfo::None),
        "date" => DataType::Date,
        _ => return None,
    })
}

/// A cast to a type that only PostgreSQL has; `None` to leave it.
fn cast(inner: &Expr, data_type: &mut DataType) -> Option<Expr> {
    let name = match &*data_type {
        DataType::Regclass => "regclass".to_owned(),
        DataType::Custom(name, _) => last_name(name)?,
        DataType::JSON | DataType::JSONB | DataType::Uuid => {
            *data_type = DataType::Text;
            return None;
        }
        _ => return None,
    };
    match name.as_str() {
        "regclass" => Some(match string_of(inner) {
            Some(name) => catalog::relation_oid(name).map_or_else(null, number),
            None => call("pg_relation_name", vec![inner.clone()]),
        }),
        "regproc" | "regprocedure" if string_of(inner).is_some_and(|name| catalog::receiver_oid(name).is_some()) => {
            Some(string_of(inner).and_then(catalog::receiver_oid).map_or_else(null, number))
        }
        "regtype" => Some(match string_of(inner) {
            Some(name) => catalog::type_oid(name).map_or_else(null, number),
            None => call("format_type", vec![inner.clone(), null()]),
        }),
        "regnamespace" if string_of(inner).is_some() => {
            Some(string_of(inner).and_then(catalog::namespace_oid).map_or_else(null, number))
        }
        _ => {
            *data_type = type_of(data_type)?;
            None
        }
    }
}

/// `left = ANY(right)` as `left IN (…)`, where the right side is written out; `None` to leave it.
fn any(left: &Expr, right: &Expr, negated: bool) -> Option<Expr> {
    let items = match right {
        Expr::Subquery(query) => {
            return Some(Expr::InSubquery { expr: Box::new(left.clone()), subquery: query.clone(), negated });
        }
        Expr::Nested(inner) => return any(left, inner, negated),
        Expr::Cast { expr, .. } => return any(left, expr, negated),
        Expr::Array(array) => array.elem.clone(),
        Expr::Function(function) if last_name(&function.name).as_deref() == Some("current_schemas") => {
            vec![text("pg_catalog"), text(crate::engine::SCHEMA)]
        }
        other => {
            string_of(other).and_then(array_items)?.iter().map(|item| item.as_deref().map_or_else(null, text)).collect()
        }
    };
    if items.is_empty() {
        return Some(Expr::Value(Value::Boolean(negated).into()));
    }
    Some(Expr::InList { expr: Box::new(left.clone()), list: items, negated })
}

/// The numbers of the parameters that stand alone after `LIMIT` and `OFFSET`.
pub(crate) fn counts(statement: &Statement) -> Vec<usize> {
    let Statement::Statement(statement) = statement else { return Vec::new() };
    let ast::Statement::Query(query) = &**statement else { return Vec::new() };
    let Some(LimitClause::LimitOffset { limit, offset, .. }) = &query.limit_clause else { return Vec::new() };
    let number = |expr: &Expr| match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => name.strip_prefix('$')?.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    limit.iter().chain(offset.iter().map(|offset| &offset.value)).filter_map(number).collect()
}

/// Whether a subquery lists the schemas of the search path by splitting the setting, as Grafana does. Here it is one schema.
fn lists_search_path(query: &Query) -> bool {
    let SetExpr::Select(select) = &*query.body else { return false };
    relations(select).into_iter().any(|(factor, _)| {
        let TableFactor::Table { name, args: Some(args), .. } = factor else { return false };
        let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(inner)))) = args.args.first() else {
            return false;
        };
        last_name(name).as_deref() == Some("string_to_array")
            && last_name(&inner.name).as_deref() == Some("current_setting")
            && first_argument(inner).and_then(string_of) == Some("search_path")
    })
}

fn first_argument(function: &Function) -> Option<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    match list.args.first()? {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    }
}

/// The parts of `parse_ident('schema.name')`; `None` if it is something else.
fn ident_parts(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Nested(inner) => ident_parts(inner),
        Expr::Function(function) if last_name(&function.name).as_deref() == Some("parse_ident") => {
            let (mut parts, mut part, mut quoted) = (Vec::new(), String::new(), false);
            let mut chars = first_argument(function).and_then(string_of)?.chars().peekable();
            while let Some(c) = chars.next() {
                match c {
                    '"' if quoted && chars.peek() == Some(&'"') => part.extend(chars.next()),
                    '"' => quoted = !quoted,
                    '.' if !quoted => parts.push(std::mem::take(&mut part)),
                    other if quoted => part.push(other),
                    other => part.extend(other.to_lowercase()),
                }
            }
            parts.push(part);
            Some(parts)
        }
        _ => None,
    }
}

/// `array_length(parse_ident('a.b'), 1)` as its number.
fn parts_counted(function: &Function) -> Option<i64> {
    if last_name(&function.name).as_deref() != Some("array_length") {
        return None;
    }
    i64::try_from(ident_parts(first_argument(function)?)?.len()).ok()
}

/// `(parse_ident('a.b'))[1]` as its text.
fn part_taken(root: &Expr, chain: &[ast::AccessExpr]) -> Option<Expr> {
    let [ast::AccessExpr::Subscript(ast::Subscript::Index { index: Expr::Value(index) })] = chain else { return None };
    let place = index.value.to_string().parse::<usize>().ok()?.checked_sub(1)?;
    Some(ident_parts(root)?.get(place).map_or_else(null, |part| text(part)))
}

/// Whether psql lists views and no tables: `\dv`. The empty text at the end of its list is its own. Here all views are told as
/// tables, as which most programs find them, and people who look for views are to find them, too.
fn asks_for_views(left: &Expr, list: &[Expr]) -> bool {
    let has = |kind: &str| list.iter().any(|item| string_of(item) == Some(kind));
    let about_kind = name_of(left).as_deref() == Some("relkind");
    about_kind && has("v") && list.last().and_then(string_of) == Some("") && !has("r")
}

fn is_search_path(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_search_path(inner),
        Expr::Function(function) => last_name(&function.name).as_deref() == Some("current_schemas"),
        _ => false,
    }
}

/// The items of an array in PostgreSQL's text form, `{a,"b c",NULL}`; `None` if it is none.
pub(crate) fn array_items(literal: &str) -> Option<Vec<Option<String>>> {
    let inner = literal.trim().strip_prefix('{')?.strip_suffix('}')?;
    let (mut items, mut item, mut quoted, mut was_quoted) = (Vec::new(), String::new(), false, false);
    let mut chars = inner.chars();
    let mut finish = |item: &mut String, was_quoted: &mut bool| {
        let text = std::mem::take(item);
        let null = !*was_quoted && text.eq_ignore_ascii_case("null");
        *was_quoted = false;
        items.push((!null).then_some(text));
    };
    while let Some(c) = chars.next() {
        match c {
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            '\\' => item.push(chars.next()?),
            ',' if !quoted => finish(&mut item, &mut was_quoted),
            '{' | '}' if !quoted => return None,
            other => item.push(other),
        }
    }
    if !inner.is_empty() {
        finish(&mut item, &mut was_quoted);
    }
    (!quoted).then_some(items)
}

/// The tables of a query's own FROM, also those in parentheses, and whether there is no row without one of theirs.
fn relations(select: &Select) -> Vec<(&TableFactor, bool)> {
    fn add<'a>(from: &'a TableWithJoins, needed: bool, all: &mut Vec<(&'a TableFactor, bool)>) {
        let joined = from.joins.iter().map(|join| {
            let outer = matches!(join.join_operator, ast::JoinOperator::Left(_) | ast::JoinOperator::LeftOuter(_));
            (&join.relation, needed && !outer)
        });
        for (factor, needed) in std::iter::once((&from.relation, needed)).chain(joined) {
            match factor {
                TableFactor::NestedJoin { table_with_joins, .. } => add(table_with_joins, needed, all),
                other => all.push((other, needed)),
            }
        }
    }
    let mut all = Vec::new();
    for from in &select.from {
        add(from, true, &mut all);
    }
    all
}

fn table_name(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { name, args: None, .. } => last_name(name),
        _ => None,
    }
}

/// Whether a query can have no rows, since it reads (inner) a system table that is always empty here.
fn is_empty(query: &Query) -> bool {
    matches!(&*query.body, SetExpr::Select(select) if is_empty_select(select))
}

fn is_empty_select(select: &Select) -> bool {
    let plain = matches!(&select.group_by, ast::GroupByExpr::Expressions(by, _) if by.is_empty());
    let without_rows = |factor: &TableFactor| match factor {
        TableFactor::Derived { subquery, .. } => is_empty(subquery),
        other => table_name(other).is_some_and(|name| catalog::is_always_empty(&name)),
    };
    plain
        && !select.projection.iter().any(is_aggregate)
        && relations(select).into_iter().any(|(factor, needed)| needed && without_rows(factor))
}

/// The same columns, without looking for rows that there cannot be: what such a query computes need not be known here.
fn without_looking(select: &mut Select) {
    let names: Option<Vec<String>> = select
        .projection
        .iter()
        .enumerate()
        .map(|(place, item)| match item {
            SelectItem::UnnamedExpr(expr) => Some(name_of(expr).unwrap_or_else(|| format!("?column?{place}"))),
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            _ => None,
        })
        .collect();
    let Some(names) = names else { return };
    let column = |name| SelectItem::ExprWithAlias { expr: null(), alias: Ident::with_quote('"', name) };
    let mut seen = HashSet::new();
    let fresh = |name: String| if seen.insert(name.clone()) { name } else { format!("{name}_{}", seen.len()) };
    select.projection = names.into_iter().map(fresh).map(column).collect();
    select.from = Vec::new();
    select.distinct = None;
    select.having = None;
    select.selection = Some(Expr::Value(Value::Boolean(false).into()));
}

fn is_aggregate(item: &SelectItem) -> bool {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return false };
    matches!(expr, Expr::Function(function) if matches!(last_name(&function.name).as_deref(), Some("count" | "min" | "max" | "sum" | "avg" | "array_agg" | "string_agg" | "bool_or" | "bool_and")))
}

/// Whether a query reads the system's tables and what its functions make, and nothing else.
fn only_system(query: &Query) -> bool {
    let SetExpr::Select(select) = &*query.body else { return false };
    relations(select).into_iter().all(|(factor, _)| is_of_the_system(factor))
}

/// A table or a function of the system: by its name, or since the client says so. One without a name is not.
fn is_of_the_system(factor: &TableFactor) -> bool {
    let (TableFactor::Table { name, .. } | TableFactor::Function { name, .. }) = factor else { return false };
    last_name(name).is_some_and(|name| name.starts_with("pg_")) || (name.0.len() > 1 && is_in_catalog(name))
}

fn is_in_catalog(name: &ObjectName) -> bool {
    matches!(name.0.first(), Some(ObjectNamePart::Identifier(schema)) if folded(schema) == "pg_catalog")
}

/// A scalar subquery over the system's tables gives at most one row; said in a way that the planner accepts.
fn aggregate(query: &mut Query) {
    if !only_system(query) || query.limit_clause.is_some() {
        return;
    }
    let SetExpr::Select(select) = &mut *query.body else { return };
    if select.from.is_empty() || select.distinct.is_some() {
        return;
    }
    let [item] = &mut select.projection[..] else { return };
    if is_aggregate(item) {
        return;
    }
    if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
        *expr = call("min", vec![expr.clone()]);
        query.order_by = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapted(text: &str) -> String {
        let statement = parse(text).expect("reads").pop().expect("one");
        adapt(statement).expect("adapts").to_string()
    }

    #[test]
    fn postgres_words_become_plain_ones() {
        for (given, wanted) in [
            (
                "SELECT 1 WHERE 'a' OPERATOR(pg_catalog.~) '^a$' COLLATE pg_catalog.default",
                "SELECT 1 AS \"?column?\" WHERE 'a' ~ '^a$'",
            ),
            ("SELECT x FROM t WHERE x = ANY('{a,\"b c\"}')", "SELECT x FROM t WHERE x IN ('a', 'b c')"),
            ("SELECT x FROM t WHERE x = ANY(ARRAY['a','b'])", "SELECT x FROM t WHERE x IN ('a', 'b')"),
            ("SELECT x FROM t WHERE x = ANY('{}')", "SELECT x FROM t WHERE false"),
            ("SELECT x::pg_catalog.text FROM t", "SELECT x::TEXT AS x FROM t"),
            (
                "SELECT time_bucket('5 minutes', ts) FROM t",
                "SELECT time_bucket(INTERVAL '5 minutes', ts) AS time_bucket FROM t",
            ),
            (
                "SELECT x FROM t WHERE x>-1 AND x<=-1 AND x*-1=+2 AND x/+-3<>-4",
                "SELECT x FROM t WHERE x > -1 AND x <= -1 AND x * -1 = +2 AND x / +-3 <> -4",
            ),
            ("SELECT pg_catalog.version()", "SELECT version() AS version"),
            (
                "SELECT x FROM c WHERE c.relkind IN ('v','s','')",
                "SELECT x FROM c WHERE c.relkind IN ('v', 's', '', 'r')",
            ),
            ("SELECT x FROM c WHERE c.relkind IN ('v','m')", "SELECT x FROM c WHERE c.relkind IN ('v', 'm')"),
            ("SELECT x FROM c WHERE c.relkind IN ('m','')", "SELECT x FROM c WHERE c.relkind IN ('m', '')"),
            ("SELECT t.x, u.x, t.* FROM t, u", "SELECT t.x AS \"x_1\", u.x, t.* FROM t, u"),
            (
                "SELECT NULL, x, NULL FROM t LIMIT '7'",
                "SELECT NULL AS \"?column?\", x, NULL AS \"?column?_2\" FROM t LIMIT 7",
            ),
            (
                "SELECT x FROM t WHERE x IN (SELECT s[i] FROM generate_series(1, 2) AS i, string_to_array(current_setting('search_path'), ',') s)",
                "SELECT x FROM t WHERE x IN ('public')",
            ),
            (
                "SELECT x FROM t WHERE array_length(parse_ident('Public.\"A.b\"'), 1) = 2 AND x = (parse_ident('Public.\"A.b\"'))[2]",
                "SELECT x FROM t WHERE 2 = 2 AND x = 'A.b'",
            ),
            (
                "SELECT k FROM (pg_class c INNER JOIN pg_constraint k ON k.conrelid = c.oid) LEFT JOIN pg_class d ON true",
                "SELECT NULL AS \"k\" WHERE false",
            ),
        ] {
            assert_eq!(adapted(given), wanted, "{given}");
        }
    }

    #[test]
    fn arrays_are_read_as_postgres_writes_them() {
        assert_eq!(
            array_items("{a,NULL,\"NULL\",\"x\\\"y\"}"),
            Some(vec![Some("a".into()), None, Some("NULL".into()), Some("x\"y".into())])
        );
        assert_eq!(array_items("{}"), Some(vec![]));
        assert_eq!(array_items("a"), None);
        assert_eq!(array_items("{{a}}"), None);
    }

    #[test]
    fn what_is_too_long_or_too_deep_is_refused_before_it_is_read() {
        let long = format!("SELECT '{}'", "x".repeat(MAX_TEXT));
        assert!(matches!(parse(&long), Err(SqlError::TooBig { what: "long", .. })));
        let deep = format!("SELECT {}1", "1+".repeat(crate::guard::MAX_DEPTH + 1));
        assert!(matches!(parse(&deep), Err(SqlError::TooBig { what: "deep", .. })));
        let nested = format!("SELECT {}1{}", "(".repeat(1000), ")".repeat(1000));
        assert!(parse(&nested).is_err());
    }
}
