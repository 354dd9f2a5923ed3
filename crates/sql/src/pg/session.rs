//! One connection: log-in, then simple and extended queries.
//!
//! The client's messages are read by a task of their own, so that a client who goes away or asks to cancel is noticed
//! while a query runs. Statements about the session (`BEGIN`, `SET`, …) are answered without effect: there is nothing that a
//! transaction could change.

use super::{Ticket, values, wire};
use crate::dialect::{self, CursorWord};
use crate::engine::{Answer, Engine};
use crate::error::SqlError;
use crate::guard::MAX_TEXT;
use crate::pg::catalog::SERVER_VERSION;
use andon_model::access::Principal;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, Expr, Value, VisitMut, VisitorMut};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use wire::{Field, Front};

/// Bytes gathered before they are sent.
const SEND_AT: usize = 64 * 1024;
/// A client that takes nothing for so long is left.
const TAKES_WITHIN: Duration = Duration::from_secs(60);
/// How often it is looked whether a client that does not read may still have what waits for it.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Prepared statements and portals of one connection.
const MAX_NAMES: usize = 500;
/// Bytes of their texts, each: what a text is parsed to takes up to two hundred times as much, so it is parsed when it is needed.
const MAX_PREPARED: usize = 1 << 20;
/// Bytes of the texts of a connection's portals, which are parsed.
const MAX_BOUND: usize = MAX_TEXT;
/// Cursors of one connection; each is a query on its way.
const MAX_CURSORS: usize = 16;

/// Bytes both ways.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}
/// A stream, encrypted or not.
pub(super) type Stream = Box<dyn Duplex>;

/// The connection is of no more use.
struct Gone;

/// What went wrong, and whether the connection can go on.
enum Fault {
    Gone,
    Said(String, String),
}

impl From<Gone> for Fault {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<SqlError> for Fault {
    fn from(error: SqlError) -> Self {
        Self::Said(error.code().to_owned(), error.to_string())
    }
}

fn said(code: &str, words: impl Into<String>) -> Fault {
    Fault::Said(code.to_owned(), words.into())
}

/// A prepared statement.
#[derive(Clone)]
struct Prepared {
    text: Arc<str>,
    /// The types of its parameters, 0 where the client did not say.
    types: Vec<u32>,
}

impl Prepared {
    /// `None`: the text is empty.
    fn statement(&self) -> Result<Option<Statement>, SqlError> {
        Ok(dialect::parse(&self.text)?.pop())
    }
}

/// A statement with its parameters, perhaps half answered.
struct Portal {
    statement: Option<Statement>,
    /// Bytes of its text.
    bytes: usize,
    formats: Vec<i16>,
    running: Option<Running>,
    /// Rows sent so far.
    sent: usize,
    done: bool,
}

struct Running {
    answer: Answer,
    /// Rows that were received and not sent.
    rest: Option<RecordBatch>,
}

/// An answer that is taken in blocks.
struct Cursor {
    running: Running,
    /// It outlives the transaction.
    hold: bool,
    done: bool,
}

/// A logged-in connection.
pub(super) struct Session {
    engine: Arc<Engine>,
    who: Principal,
    messages: mpsc::Receiver<Front>,
    gone: CancellationToken,
    _reader: JoinSet<()>,
    writer: WriteHalf<Stream>,
    out: BytesMut,
    /// What could be seen when the queries began whose rows are in `out`.
    seen: Vec<Arc<[String]>>,
    ticket: Ticket,
    statements: HashMap<String, Prepared>,
    portals: HashMap<String, Portal>,
    cursors: HashMap<String, Cursor>,
    /// `I` idle, `T` in a transaction, `E` in one that failed.
    status: u8,
}

/// Comes back when something of these branches cannot be looked at, at once or later.
async fn right_gone(engine: &Engine, who: &Principal, branches: &[Arc<[String]>]) {
    let gate = &engine.ports().gate;
    loop {
        let now = gate.branches(who);
        if !branches.iter().flat_map(|of_one| of_one.iter()).all(|branch| crate::ports::sees(&now, branch)) {
            return;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Hands complete messages on until the client is gone.
async fn read(
    mut reader: ReadHalf<Stream>,
    mut buffer: BytesMut,
    messages: mpsc::Sender<Front>,
    gone: CancellationToken,
) {
    let _gone = gone.drop_guard();
    loop {
        match next(&mut buffer) {
            Ok(Some(Front::Terminate)) | Err(wire::Malformed) => return,
            Ok(Some(message)) => {
                if messages.send(message).await.is_err() {
                    return;
                }
            }
            Ok(None) => {
                buffer.reserve(8192);
                match reader.read_buf(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        }
    }
}

/// The next complete message of the buffer.
fn next(buffer: &mut BytesMut) -> Result<Option<Front>, wire::Malformed> {
    let [kind, a, b, c, d, ..] = buffer[..] else { return Ok(None) };
    let len = usize::try_from(i32::from_be_bytes([a, b, c, d])).map_err(|_| wire::Malformed)?;
    if !(4..=wire::MAX_MESSAGE).contains(&len) {
        return Err(wire::Malformed);
    }
    if buffer.len() < len + 1 {
        return Ok(None);
    }
    buffer.advance(5);
    let body: Bytes = buffer.split_to(len - 4).freeze();
    wire::front(kind, &body).map(Some)
}

impl Session {
    /// Logs in. `None`: refused, and said so.
    pub(super) async fn begin(
        mut stream: Stream,
        peer: SocketAddr,
        engine: Arc<Engine>,
        ticket: Ticket,
        minor: u16,
        parameters: Vec<(String, String)>,
    ) -> Option<Self> {
        let given = |name: &str| parameters.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let mut out = BytesMut::new();
        if minor > 0 {
            // We speak 3.0; options of later versions are named as not understood.
            let unknown: Vec<_> = parameters.iter().filter(|(key, _)| key.starts_with("_pq_.")).collect();
            wire::message_with(&mut out, b'v', |out| {
                out.put_i32(0);
                out.put_i32(i32::try_from(unknown.len()).unwrap_or(0));
                for (key, _) in unknown {
                    wire::text_into(out, key);
                }
            });
        }
        let user = given("user").unwrap_or_default();
        let (who, rest) = match engine.ports().gate.open() {
            Some(anybody) => (anybody, BytesMut::new()),
            None => {
                wire::message_with(&mut out, b'R', |out| out.put_i32(3));
                stream.write_all(&out).await.ok()?;
                out.clear();
                let (password, rest) = password(&mut stream).await?;
                match engine.ports().gate.log_in(&user, &password, &peer.ip().to_canonical().to_string()).await {
                    Ok(who) => (who, rest),
                    Err(refused) => {
                        super::refuse(&mut stream, "28P01", &refused.to_string()).await;
                        return None;
                    }
                }
            }
        };
        wire::message_with(&mut out, b'R', |out| out.put_i32(0));
        let application = given("application_name").unwrap_or_default();
        for (name, value) in [
            ("server_version", SERVER_VERSION),
            ("server_encoding", "UTF8"),
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("IntervalStyle", "postgres"),
            ("TimeZone", "UTC"),
            ("integer_datetimes", "on"),
            ("standard_conforming_strings", "on"),
            ("default_transaction_read_only", "on"),
            ("in_hot_standby", "off"),
            ("is_superuser", "off"),
            ("session_authorization", &user),
            ("application_name", &application),
        ] {
            wire::parameter(&mut out, name, value);
        }
        wire::message_with(&mut out, b'K', |out| {
            out.put_i32(ticket.pid);
            out.put_i32(ticket.secret);
        });
        wire::ready(&mut out, b'I');
        stream.write_all(&out).await.ok()?;
        stream.flush().await.ok()?;
        out.clear();
        let (reader, writer) = tokio::io::split(stream);
        // With the longest messages a connection holds 5 MiB.
        let (sender, messages) = mpsc::channel(4);
        let gone = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(read(reader, rest, sender, gone.clone()));
        Some(Self {
            engine,
            who,
            messages,
            gone,
            _reader: task,
            writer,
            out,
            seen: Vec::new(),
            ticket,
            statements: HashMap::new(),
            portals: HashMap::new(),
            cursors: HashMap::new(),
            status: b'I',
        })
    }

    /// Answers messages until the client is gone.
    pub(super) async fn run(mut self) {
        // After an error in the extended protocol, everything up to the next Sync is left out.
        let mut skipping = false;
        while let Some(message) = self.messages.recv().await {
            let outcome = match message {
                Front::Query(text) => {
                    skipping = false;
                    self.simple(&text).await
                }
                Front::Sync => {
                    skipping = false;
                    self.sync().await
                }
                Front::Terminate => return,
                _ if skipping => Ok(()),
                message => match self.extended(message).await {
                    Err(Fault::Said(code, words)) => {
                        skipping = true;
                        self.fail(&code, &words);
                        Ok(())
                    }
                    Err(Fault::Gone) => Err(Gone),
                    Ok(()) => Ok(()),
                },
            };
            if outcome.is_err() {
                return;
            }
        }
    }

    fn fail(&mut self, code: &str, words: &str) {
        if self.status == b'T' {
            self.status = b'E';
        }
        wire::error(&mut self.out, "ERROR", code, words);
    }

    /// Sends what is gathered. Rows wait here for their client, also before the first byte: nothing of a query is sent once it may not be
    /// seen, however long ago it ran.
    async fn send(&mut self) -> Result<(), Gone> {
        let seen = std::mem::take(&mut self.seen);
        let sending = async {
            self.writer.write_all(&self.out).await?;
            self.writer.flush().await
        };
        let sent = tokio::select! {
            biased;
            () = right_gone(&self.engine, &self.who, &seen) => {
                tracing::info!(by = %self.who.id, "an SQL connection was ended: rows waited for its client when a right was taken away");
                return Err(Gone);
            }
            sent = tokio::time::timeout(TAKES_WITHIN, sending) => sent,
        };
        self.out.clear();
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Gone),
            Err(_) => {
                let seconds = TAKES_WITHIN.as_secs();
                tracing::warn!(by = %self.who.id, "an SQL client was cut off: it asked for something and has taken none of it for {seconds} s");
                Err(Gone)
            }
        }
    }

    // ---- simple queries ----

    async fn simple(&mut self, text: &str) -> Result<(), Gone> {
        // The unnamed ones end with a simple query.
        self.portals.remove("");
        match self.all(text).await {
            Ok(()) => {}
            Err(Fault::Said(code, words)) => self.fail(&code, &words),
            Err(Fault::Gone) => return Err(Gone),
        }
        wire::ready(&mut self.out, self.status);
        self.send().await
    }

    async fn all(&mut self, text: &str) -> Result<(), Fault> {
        let statements = dialect::parse(text)?;
        if statements.is_empty() {
            wire::empty(&mut self.out, b'I');
        }
        for statement in statements {
            if self.about_the_session(&statement)? {
                continue;
            }
            if let Some(word) = dialect::cursor_word(&statement)? {
                self.cursor(word, None, usize::MAX).await?;
                continue;
            }
            let mut running = Running { answer: self.engine.run_statement(&self.who, statement).await?, rest: None };
            let schema = running.answer.schema.clone();
            let formats = vec![0; schema.fields().len()];
            wire::row_description(&mut self.out, &fields(&schema, &formats));
            let rows = self.rows(&mut running, &formats, usize::MAX).await?.0;
            wire::complete(&mut self.out, &format!("SELECT {rows}"));
        }
        Ok(())
    }

    /// Answers `BEGIN`, `SET` and the like; true if it was one.
    fn about_the_session(&mut self, statement: &Statement) -> Result<bool, Fault> {
        let tag = dialect::session_tag(statement);
        if self.status == b'E' && !matches!(tag, Some("ROLLBACK" | "COMMIT")) {
            return Err(said("25P02", "the transaction failed; end it with ROLLBACK"));
        }
        let Some(tag) = tag else { return Ok(false) };
        let tag = match tag {
            "BEGIN" => {
                self.status = b'T';
                tag
            }
            "COMMIT" | "ROLLBACK" => {
                let failed = self.status == b'E';
                self.status = b'I';
                self.cursors.retain(|_, cursor| cursor.hold);
                if failed { "ROLLBACK" } else { tag }
            }
            "DISCARD ALL" | "DEALLOCATE" => {
                self.forget(statement);
                tag
            }
            other => other,
        };
        wire::complete(&mut self.out, tag);
        Ok(true)
    }

    fn forget(&mut self, statement: &Statement) {
        if let Statement::Statement(statement) = statement
            && let ast::Statement::Deallocate { name, .. } = &**statement
            && !name.value.eq_ignore_ascii_case("all")
        {
            self.statements.remove(&name.value);
            return;
        }
        self.statements.clear();
        self.portals.clear();
        self.cursors.clear();
    }

    /// Does what a statement says about a cursor. `formats`: as the client wants the columns of a portal; `None` for a simple
    /// query, which describes its rows itself. At most `limit` rows.
    async fn cursor(&mut self, word: CursorWord, formats: Option<&[i16]>, limit: usize) -> Result<(), Fault> {
        match word {
            CursorWord::Declare { name, hold, query } => self.declare(name, hold, *query).await,
            CursorWord::Fetch { name, count } => self.fetch(name, formats, count.min(limit)).await,
            CursorWord::Close(None) => {
                self.cursors.clear();
                wire::complete(&mut self.out, "CLOSE CURSOR ALL");
                Ok(())
            }
            CursorWord::Close(Some(name)) => {
                self.cursors.remove(&name).ok_or_else(|| no_cursor(&name))?;
                wire::complete(&mut self.out, "CLOSE CURSOR");
                Ok(())
            }
        }
    }

    async fn declare(&mut self, name: String, hold: bool, query: Statement) -> Result<(), Fault> {
        if !hold && self.status != b'T' {
            return Err(said("25P01", "a cursor lives in a transaction: BEGIN first, or declare it WITH HOLD"));
        }
        if self.cursors.contains_key(&name) {
            return Err(said("42P03", format!("there is a cursor \"{name}\" already; CLOSE it first")));
        }
        if self.cursors.len() >= MAX_CURSORS {
            let words = format!("this connection has {MAX_CURSORS} cursors, as many as are allowed; CLOSE one");
            return Err(said("54000", words));
        }
        let running = Running { answer: self.engine.run_statement(&self.who, query).await?, rest: None };
        self.cursors.insert(name, Cursor { running, hold, done: false });
        wire::complete(&mut self.out, "DECLARE CURSOR");
        Ok(())
    }

    async fn fetch(&mut self, name: String, formats: Option<&[i16]>, count: usize) -> Result<(), Fault> {
        // A cursor that fails is gone.
        let mut cursor = self.cursors.remove(&name).ok_or_else(|| no_cursor(&name))?;
        let schema = cursor.running.answer.schema.clone();
        let columns = values::formats(formats.unwrap_or_default(), schema.fields().len());
        if formats.is_none() {
            wire::row_description(&mut self.out, &fields(&schema, &columns));
        }
        let mut rows = 0;
        if !cursor.done && count > 0 {
            (rows, cursor.done) = self.rows(&mut cursor.running, &columns, count).await?;
        }
        wire::complete(&mut self.out, &format!("FETCH {rows}"));
        self.cursors.insert(name, cursor);
        Ok(())
    }

    /// Why rows end. Those that have not been sent go when they may not be seen, so that the client is told.
    fn ended(&mut self, (bytes, seen): (usize, usize), error: SqlError) -> Fault {
        if matches!(error, SqlError::NotAllowed(_)) {
            self.out.truncate(bytes);
            self.seen.truncate(seen);
        }
        error.into()
    }

    /// Sends rows, at most `limit`; returns how many, and whether that was all.
    async fn rows(&mut self, running: &mut Running, formats: &[i16], limit: usize) -> Result<(usize, bool), Fault> {
        let mut bell = self.ticket.bell.clone();
        bell.mark_unchanged();
        let gone = self.gone.clone();
        let mut sent = 0;
        let mut before = (self.out.len(), self.seen.len());
        loop {
            let batch = match running.rest.take() {
                Some(batch) => batch,
                None => {
                    let received = tokio::select! {
                        received = running.answer.next() => received,
                        _ = bell.changed() => return Err(SqlError::Cancelled.into()),
                        () = gone.cancelled() => return Err(Fault::Gone),
                    };
                    match received {
                        None => return Ok((sent, true)),
                        Some(batch) => batch.map_err(|error| self.ended(before, error))?,
                    }
                }
            };
            let take = batch.num_rows().min(limit - sent);
            let mut at = 0;
            while at < take {
                running.answer.still().map_err(|error| self.ended(before, error))?;
                let branches = running.answer.branches();
                if !self.seen.last().is_some_and(|last| Arc::ptr_eq(last, branches)) {
                    self.seen.push(branches.clone());
                }
                let some = (take - at).min(512);
                values::rows(&mut self.out, &batch.slice(at, some), formats)
                    .map_err(|error| said("58030", format!("a value cannot be shown: {error}")))?;
                at += some;
                if self.out.len() >= SEND_AT {
                    self.send().await?;
                    before = (0, 0);
                    if bell.has_changed().unwrap_or(true) {
                        return Err(SqlError::Cancelled.into());
                    }
                }
            }
            sent += take;
            if take < batch.num_rows() {
                running.rest = Some(batch.slice(take, batch.num_rows() - take));
                return Ok((sent, false));
            }
            if sent == limit {
                return Ok((sent, false));
            }
        }
    }

    // ---- extended queries ----

    async fn sync(&mut self) -> Result<(), Gone> {
        if self.status == b'I' {
            // Portals end with their transaction.
            self.portals.clear();
        }
        wire::ready(&mut self.out, self.status);
        self.send().await
    }

    async fn extended(&mut self, message: Front) -> Result<(), Fault> {
        match message {
            Front::Parse { name, query, types } => {
                let mut statements = dialect::parse(&query)?;
                if statements.len() > 1 {
                    return Err(said("42601", "one statement at a time, please"));
                }
                let statement = statements.pop();
                let count = statement.as_ref().map_or(Ok(0), parameters)?;
                let mut types = types;
                types.resize(count.max(types.len()), 0);
                let others = self.statements.iter().filter(|(other, _)| **other != name);
                let (count, bytes) = others.fold((0, query.len()), |(n, all), (_, one)| (n + 1, all + one.text.len()));
                if count >= MAX_NAMES || bytes > MAX_PREPARED {
                    let words = "this connection has as many prepared statements as are allowed; DEALLOCATE some";
                    return Err(said("54000", words));
                }
                self.statements.insert(name, Prepared { text: query.into(), types });
                wire::empty(&mut self.out, b'1');
            }
            Front::Bind { portal, statement, parameter_formats, parameters, result_formats } => {
                let prepared = self.prepared(&statement)?;
                let bound = bind(&prepared, &parameter_formats, &parameters)?;
                let others = self.portals.iter().filter(|(other, _)| **other != portal);
                let bytes = prepared.text.len();
                let (count, all) = others.fold((0, bytes), |(n, all), (_, one)| (n + 1, all + one.bytes));
                if count >= MAX_NAMES || all > MAX_BOUND {
                    return Err(said("54000", "this connection has as many portals as are allowed; close some"));
                }
                let formats = result_formats;
                let new = Portal { statement: bound, bytes, formats, running: None, sent: 0, done: false };
                self.portals.insert(portal, new);
                wire::empty(&mut self.out, b'2');
            }
            Front::Describe(b'S', name) => self.describe_statement(&name).await?,
            Front::Describe(_, name) => self.describe_portal(&name).await?,
            Front::Execute(name, limit) => self.execute(&name, limit).await?,
            Front::Close(kind, name) => {
                if kind == b'S' {
                    self.statements.remove(&name);
                } else {
                    self.portals.remove(&name);
                }
                wire::empty(&mut self.out, b'3');
            }
            Front::Flush => self.send().await?,
            Front::Other(b'd' | b'c' | b'f') => {}
            Front::Other(kind) => return Err(said("08P01", format!("a message of kind {kind} has no use here"))),
            _ => {}
        }
        Ok(())
    }

    fn prepared(&self, name: &str) -> Result<Prepared, Fault> {
        self.statements
            .get(name)
            .cloned()
            .ok_or_else(|| said("26000", format!("there is no prepared statement \"{name}\"")))
    }

    async fn describe_statement(&mut self, name: &str) -> Result<(), Fault> {
        let prepared = self.prepared(name)?;
        let mut types = prepared.types.clone();
        let runs = prepared.statement()?.filter(|statement| dialect::session_tag(statement).is_none());
        let word = runs.as_ref().map(dialect::cursor_word).transpose()?.flatten();
        let schema = match (runs, word) {
            (Some(statement), None) => Some(self.columns(&statement, &mut types).await?),
            (_, Some(CursorWord::Fetch { name, .. })) => Some(self.cursor_columns(&name)?),
            _ => None,
        };
        // What the client is told it will send: in the binary form, its bytes say nothing of their type.
        if let Some(prepared) = self.statements.get_mut(name) {
            prepared.types.clone_from(&types);
        }
        wire::message_with(&mut self.out, b't', |out| {
            out.put_i16(i16::try_from(types.len()).unwrap_or(i16::MAX));
            for oid in &types {
                out.put_u32(if *oid == 0 { 25 } else { *oid });
            }
        });
        match schema {
            None => wire::empty(&mut self.out, b'n'),
            Some(schema) => {
                let formats = vec![0; schema.fields().len()];
                wire::row_description(&mut self.out, &fields(&schema, &formats));
            }
        }
        Ok(())
    }

    fn cursor_columns(&self, name: &str) -> Result<SchemaRef, Fault> {
        let cursor = self.cursors.get(name).ok_or_else(|| no_cursor(name))?;
        Ok(cursor.running.answer.schema.clone())
    }

    /// The columns of a statement whose parameters are not known yet. Types that the client left open are filled in where the
    /// planner finds them out.
    async fn columns(&self, statement: &Statement, types: &mut [u32]) -> Result<SchemaRef, Fault> {
        if types.contains(&0)
            && let Ok(plan) = self.engine.describe(&self.who, statement.clone()).await
            && let Ok(found) = plan.get_parameter_types()
        {
            for (place, oid) in (1..).zip(types.iter_mut()).filter(|(_, oid)| **oid == 0) {
                if let Some(Some(data_type)) = found.get(&format!("${place}")) {
                    *oid = values::oid_of(data_type);
                }
            }
        }
        for place in dialect::counts(statement) {
            if let Some(oid) = place.checked_sub(1).and_then(|place| types.get_mut(place)).filter(|oid| **oid == 0) {
                *oid = 20;
            }
        }
        let nulls: Vec<Expr> = types.iter().map(|oid| values::null_of(*oid)).collect();
        let plan = self.engine.describe(&self.who, substitute(statement.clone(), &nulls)).await?;
        Ok(Arc::new(plan.schema().as_arrow().clone()))
    }

    async fn describe_portal(&mut self, name: &str) -> Result<(), Fault> {
        // A cursor is a portal too.
        if let Some(cursor) = self.cursors.get(name) {
            let schema = cursor.running.answer.schema.clone();
            wire::row_description(&mut self.out, &fields(&schema, &vec![0; schema.fields().len()]));
            return Ok(());
        }
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        let word = portal.statement.as_ref().map(dialect::cursor_word).transpose()?.flatten();
        if let Some(CursorWord::Fetch { name, .. }) = &word {
            let schema = self.cursor_columns(name)?;
            let formats = values::formats(&portal.formats, schema.fields().len());
            wire::row_description(&mut self.out, &fields(&schema, &formats));
        } else if word.is_some()
            || portal.statement.as_ref().is_none_or(|statement| dialect::session_tag(statement).is_some())
        {
            wire::empty(&mut self.out, b'n');
        } else {
            let running = self.start(&mut portal).await?;
            let schema = running.answer.schema.clone();
            let formats = values::formats(&portal.formats, schema.fields().len());
            wire::row_description(&mut self.out, &fields(&schema, &formats));
        }
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    /// The portal's query; begun when it is first asked for.
    async fn start<'a>(&self, portal: &'a mut Portal) -> Result<&'a mut Running, Fault> {
        if self.status == b'E' {
            return Err(said("25P02", "the transaction failed; end it with ROLLBACK"));
        }
        if portal.running.is_none() {
            let statement = portal.statement.clone().ok_or_else(|| said("26000", "there is no statement"))?;
            let answer = self.engine.run_statement(&self.who, statement).await?;
            portal.running = Some(Running { answer, rest: None });
        }
        portal.running.as_mut().ok_or_else(|| said("58030", "the query did not begin"))
    }

    async fn execute(&mut self, name: &str, limit: usize) -> Result<(), Fault> {
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        match &portal.statement {
            None => wire::empty(&mut self.out, b'I'),
            Some(statement) => {
                let statement = statement.clone();
                if self.about_the_session(&statement)? {
                    // Said and done.
                } else if let Some(word) = dialect::cursor_word(&statement)? {
                    let limit = if limit == 0 { usize::MAX } else { limit };
                    self.cursor(word, Some(&portal.formats), limit).await?;
                } else {
                    self.execute_query(&mut portal, limit).await?;
                }
            }
        }
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    async fn execute_query(&mut self, portal: &mut Portal, limit: usize) -> Result<(), Fault> {
        let mut all = portal.done;
        if !all {
            self.start(portal).await?;
            let Some(mut running) = portal.running.take() else { return Err(said("58030", "the query did not begin")) };
            let formats = values::formats(&portal.formats, running.answer.schema.fields().len());
            let limit = if limit == 0 { usize::MAX } else { limit };
            let (sent, finished) = self.rows(&mut running, &formats, limit).await?;
            portal.sent = sent;
            portal.running = Some(running);
            all = finished;
        }
        if all {
            portal.done = true;
            wire::complete(&mut self.out, &format!("SELECT {}", portal.sent));
            portal.sent = 0;
        } else {
            wire::empty(&mut self.out, b's');
        }
        Ok(())
    }
}

fn no_cursor(name: &str) -> Fault {
    said("34000", format!("there is no cursor \"{name}\"; it may have ended with its transaction"))
}

fn no_portal(name: &str) -> Fault {
    said("34000", format!("there is no portal \"{name}\""))
}

/// Reads the password message; what came after it is the beginning of the next messages.
async fn password(stream: &mut Stream) -> Option<(String, BytesMut)> {
    let mut buffer = BytesMut::with_capacity(256);
    loop {
        match next(&mut buffer).ok()? {
            Some(Front::Password(password)) => return Some((password, buffer)),
            Some(_) => return None,
            None if buffer.len() > wire::MAX_STARTUP => return None,
            None => {
                if stream.read_buf(&mut buffer).await.ok()? == 0 {
                    return None;
                }
            }
        }
    }
}

fn fields(schema: &SchemaRef, formats: &[i16]) -> Vec<Field> {
    let field = |(field, format): (&arrow::datatypes::FieldRef, &i16)| Field {
        name: field.name().clone(),
        oid: values::oid_of(field.data_type()),
        format: *format,
    };
    schema.fields().iter().zip(formats).map(field).collect()
}

// ---- parameters ----

struct Placeholders<'a> {
    with: Option<&'a [Expr]>,
    highest: usize,
    wrong: bool,
}

impl VisitorMut for Placeholders<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Value(value) = &*expr else { return ControlFlow::Continue(()) };
        let Value::Placeholder(name) = &value.value else { return ControlFlow::Continue(()) };
        match name
            .strip_prefix('$')
            .and_then(|number| number.parse::<usize>().ok())
            .filter(|number| (1..=65_535).contains(number))
        {
            None => self.wrong = true,
            Some(number) => {
                self.highest = self.highest.max(number);
                if let Some(value) = self.with.and_then(|with| with.get(number - 1)) {
                    *expr = value.clone();
                }
            }
        }
        ControlFlow::Continue(())
    }
}

fn visit(statement: &mut Statement, visitor: &mut Placeholders<'_>) {
    match statement {
        Statement::Statement(statement) => {
            let _ = VisitMut::visit(&mut **statement, visitor);
        }
        Statement::Explain(explain) => visit(&mut explain.statement, visitor),
        _ => {}
    }
}

/// How many parameters a statement has.
fn parameters(statement: &Statement) -> Result<usize, Fault> {
    let mut visitor = Placeholders { with: None, highest: 0, wrong: false };
    visit(&mut statement.clone(), &mut visitor);
    if visitor.wrong {
        return Err(said("42601", "parameters are written $1, $2, …"));
    }
    Ok(visitor.highest)
}

fn substitute(mut statement: Statement, with: &[Expr]) -> Statement {
    visit(&mut statement, &mut Placeholders { with: Some(with), highest: 0, wrong: false });
    statement
}

fn bind(prepared: &Prepared, formats: &[i16], given: &[Option<Bytes>]) -> Result<Option<Statement>, Fault> {
    let Some(statement) = prepared.statement()? else { return Ok(None) };
    if given.len() != prepared.types.len() {
        let words = format!("{} parameters were given where the statement has {}", given.len(), prepared.types.len());
        return Err(said("08P01", words));
    }
    let formats = values::formats(formats, given.len());
    let mut literals = Vec::with_capacity(given.len());
    for ((bytes, oid), format) in given.iter().zip(&prepared.types).zip(formats) {
        literals.push(values::parameter(*oid, format == 1, bytes.as_deref()).map_err(|words| said("22P03", words))?);
    }
    Ok(Some(substitute(statement, &literals)))
}
