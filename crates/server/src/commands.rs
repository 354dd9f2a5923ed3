//! The tools of the command line: `apply`, `diff`, `export`, `audit verify`, `doctor`.

use crate::backup::Last;
use crate::certificate::End;
use crate::client::Client;
use crate::data_dir::DataDir;
use crate::node::open_log_offline;
use crate::records;
use crate::say::{self, complain, say};
use crate::secrets::Secrets;
use crate::settings::{AccessMode, Listen, Settings};
use andon_access::audit::{AuditReport, verify};
use andon_model::error::causes;
use andon_model::text::counted;
use andon_model::{Clock, SystemClock, Timestamp};
use anyhow::{Context, Result, bail};
use hyper::Method;
use serde_json::{Value, json};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Exit code when something was found wrong, as opposed to a failure of the tool itself.
pub const FOUND: u8 = 2;

/// The node that runs on the data directory, if one does.
/// # Errors
/// It runs, but its token cannot be read.
pub fn client(settings: &Settings) -> Result<Option<Client>> {
    let certificate = settings.certificate.as_ref().map(|(certificate, _)| certificate.as_path());
    Client::find(&settings.data_dir, certificate, &settings.names)
}

pub fn running(settings: &Settings) -> Result<Client> {
    client(settings)?.with_context(|| {
        format!("no Andon runs on {}; start it with `andon serve`, then try again", settings.data_dir.display())
    })
}

fn documents(files: &[PathBuf]) -> Result<Vec<Value>> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
        Ok(json!({ "name": path.display().to_string(), "text": text }))
    };
    files.iter().map(read).collect()
}

/// Prints what would change; false when the documents have errors.
fn print_plan(plan: &Value) -> bool {
    let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let errors = plan["errors"].as_array().cloned().unwrap_or_default();
    for error in &errors {
        let place = format!("{}:{}:{}", text(error, "document"), error["line"], error["column"]);
        complain!("{place}: {}\n  try: {}", text(error, "message"), text(error, "remedy"));
    }
    let changes = plan["changes"].as_array().cloned().unwrap_or_default();
    for change in &changes {
        let detail = text(change, "detail");
        let detail = if detail.is_empty() { detail } else { format!(": {detail}") };
        say!("{} {} {}{detail}", text(change, "op"), text(change, "kind"), text(change, "name"));
    }
    if errors.is_empty() && changes.is_empty() {
        say!("nothing changes; the plant model is at version {}", plan["version"]);
    }
    errors.is_empty()
}

/// How `andon sql` prints.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum SqlOutput {
    /// For people.
    Table,
    /// With a header line.
    Csv,
    /// As the API answers.
    Json,
}

/// Asks the running node in SQL.
/// # Errors
/// No node runs, or the statement has no answer.
pub async fn sql(settings: &Settings, statement: &str, format: SqlOutput) -> Result<ExitCode> {
    let wanted = if format == SqlOutput::Csv { "csv" } else { "json" };
    let body = json!({ "query": statement, "format": wanted });
    let answer = running(settings)?.send(Method::POST, "/api/sql", Some(&body)).await?.success()?;
    if format == SqlOutput::Csv {
        say::all(&answer.text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let json = answer.json();
    if let Some(message) = json["error"]["message"].as_str() {
        bail!("{message}");
    }
    if format == SqlOutput::Json {
        say::all(&(answer.text + "\n"))?;
    } else {
        say::all(&table(&json))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Gives the node a secret that comes on the standard input, where no list of processes and no shell history shows it. One that does not run
/// finds it at its start, which may need it.
/// # Errors
/// It is not taken.
pub async fn set_secret(settings: &Settings, name: &str) -> Result<ExitCode> {
    if !crate::secrets::is_name(name) {
        bail!("{}", crate::secrets::Refused::Name);
    }
    let client = client(settings)?;
    if std::io::stdin().is_terminal() {
        complain!(
            "type the secret, then Enter and Ctrl-D; it is shown as you type. Better: andon secret set {name} < FILE"
        );
    }
    let mut value = String::new();
    let most = u64::try_from(crate::secrets::VALUE_BYTES).unwrap_or(u64::MAX) + 2;
    std::io::stdin().take(most).read_to_string(&mut value).context("the standard input is no text")?;
    if let Some(line) = value.strip_suffix('\n') {
        value = line.strip_suffix('\r').unwrap_or(line).to_owned();
    }
    match client {
        Some(client) => {
            let body = json!({ "value": value });
            client.send(Method::PUT, &format!("/api/secrets/{name}"), Some(&body)).await?.success()?;
        }
        None => {
            let _held = DataDir::take(&settings.data_dir)?;
            Secrets::open(&settings.data_dir)?.set(name, &value)?;
        }
    }
    say!("the secret {name} is set");
    Ok(ExitCode::SUCCESS)
}

/// Lists the names of secrets.
/// # Errors
/// No node runs.
pub async fn list_secrets(settings: &Settings) -> Result<ExitCode> {
    let answer = running(settings)?.send(Method::GET, "/api/secrets", None).await?.success()?.json();
    for secret in answer["secrets"].as_array().map(Vec::as_slice).unwrap_or_default() {
        let name = secret["name"].as_str().unwrap_or_default();
        match secret["used_by"].as_str() {
            Some(user) => say!("{name} (used by {user})"),
            None => say!("{name}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Forgets a secret.
/// # Errors
/// No node runs, or something names it.
pub async fn remove_secret(settings: &Settings, name: &str) -> Result<ExitCode> {
    if !crate::secrets::is_name(name) {
        bail!("{}", crate::secrets::Refused::Name);
    }
    running(settings)?.send(Method::DELETE, &format!("/api/secrets/{name}"), None).await?.success()?;
    say!("the secret {name} is removed");
    Ok(ExitCode::SUCCESS)
}

/// Has the running node make one file of each day of history.
/// # Errors
/// No node runs, it does so already, or a file cannot be written. A damaged file is a finding.
pub async fn compact(settings: &Settings) -> Result<ExitCode> {
    let answer = running(settings)?.send(Method::POST, "/api/history/compact", None).await?.success()?.json();
    let number = |name: &str| answer[name].as_u64().unwrap_or_default();
    let (points, bytes) = (number("points"), number("file_bytes") + number("rollup_bytes"));
    let (points, files) = (counted(points, "point", "points"), counted(number("files"), "file", "files"));
    say!("history is compacted: {points} in {files}, {} MiB", bytes >> 20);
    let damage = answer["damage"].as_array().map(Vec::as_slice).unwrap_or_default();
    for one in damage {
        say!("DAMAGED {}", one["what"].as_str().unwrap_or_default());
    }
    if damage.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "{}; everything else is done. Put back from a backup what is damaged, or give up files of readings of which there is none \
         (`andon history give-up`), and compact again",
        match damage.len() {
            1 => "1 damaged file stays as it was, and its day with it".to_owned(),
            files => format!("{files} damaged files stay as they were, and their days with them"),
        }
    );
    Ok(ExitCode::from(FOUND))
}

/// Tells the running node that a damaged file of history will not be put back.
/// # Errors
/// No node runs, or there is no such file, or it is whole.
pub async fn give_up(settings: &Settings, file: &Path, reason: &str) -> Result<ExitCode> {
    let file = file.to_str().context("the name of the file is not UTF-8")?;
    let body = json!({ "file": file, "reason": reason });
    let answer = running(settings)?.send(Method::POST, "/api/history/give-up", Some(&body)).await?.success()?.json();
    let text = |name: &str| answer[name].as_str().unwrap_or_default();
    let at = |name: &str| answer[name].as_i64().map(Timestamp::from_millis).unwrap_or(Timestamp::from_micros(0));
    say!(
        "{} is given up. It was written with {} from {} to {}; those that cannot be read are a gap in every answer from now on. If it \
         is found after all, put it back and run `andon history compact`",
        text("file"),
        counted(answer["readings"].as_u64().unwrap_or_default(), "reading", "readings"),
        at("from_ms"),
        at("to_ms")
    );
    Ok(ExitCode::SUCCESS)
}

/// The answer in columns, numbers to the right.
fn table(answer: &Value) -> String {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let cell = |value: &Value| match value {
        Value::Null => String::new(),
        Value::String(text) => text.replace(['\n', '\r'], " "),
        other => other.to_string(),
    };
    let head: Vec<String> = list(&answer["columns"]).iter().map(|column| cell(&column["name"])).collect();
    let rows: Vec<Vec<Value>> = list(&answer["rows"]).iter().map(list).collect();
    let width = |place: usize| {
        let cells = rows.iter().filter_map(|row| row.get(place)).map(|value| cell(value).chars().count());
        cells.chain(head.get(place).map(|name| name.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<(String, bool)>| {
        let padded = cells
            .into_iter()
            .zip(&widths)
            .map(|((text, right), width)| if right { format!("{text:>width$}") } else { format!("{text:<width$}") });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut out = line(head.iter().map(|name| (name.clone(), false)).collect()) + "\n";
    out += &(widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>().join("  ") + "\n");
    for row in &rows {
        out += &(line(row.iter().map(|value| (cell(value), value.is_number())).collect()) + "\n");
    }
    out + &format!("({} {})\n", rows.len(), if rows.len() == 1 { "row" } else { "rows" })
}

/// Shows what the documents would change, and what is wrong with them.
/// # Errors
/// No node runs, or a file cannot be read.
pub async fn diff(settings: &Settings, files: &[PathBuf], prune: bool) -> Result<ExitCode> {
    let body = json!({ "documents": documents(files)?, "prune": prune });
    let plan = running(settings)?.send(Method::POST, "/api/plant/plan", Some(&body)).await?.success()?.json();
    Ok(if print_plan(&plan) { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// Applies documents after showing what changes.
/// # Errors
/// No node runs, a file cannot be read, somebody else was faster, or saving failed.
pub async fn apply(settings: &Settings, files: &[PathBuf], prune: bool, reason: Option<String>) -> Result<ExitCode> {
    let client = running(settings)?;
    let documents = documents(files)?;
    let body = json!({ "documents": documents, "prune": prune });
    let plan = client.send(Method::POST, "/api/plant/plan", Some(&body)).await?.success()?.json();
    if !print_plan(&plan) {
        complain!("nothing was applied");
        return Ok(ExitCode::from(FOUND));
    }
    if plan["changes"].as_array().is_none_or(Vec::is_empty) {
        return Ok(ExitCode::SUCCESS);
    }
    let body = json!({ "documents": documents, "prune": prune, "expected_version": plan["version"], "reason": reason });
    let done = client.send(Method::POST, "/api/plant/apply", Some(&body)).await?.success()?.json();
    say!("applied: the plant model is at version {}", done["version"]);
    Ok(ExitCode::SUCCESS)
}

/// Prints the whole model as one document.
/// # Errors
/// No node runs.
pub async fn export(settings: &Settings) -> Result<ExitCode> {
    let answer = running(settings)?.send(Method::GET, "/api/plant/export", None).await?.success()?;
    say::all(&answer.text)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints what a connector has found by itself: what becomes of each value, its tag, where it is and why; or the document.
/// # Errors
/// The node does not run, or has no such connector; there is no document where the connector has no `place`.
pub async fn found(settings: &Settings, connector: &str, document: bool) -> Result<ExitCode> {
    let mut name = String::new();
    for byte in connector.bytes() {
        match byte {
            b if b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'.' => name.push(char::from(b)),
            b => name.push_str(&format!("%{b:02X}")),
        }
    }
    let path = format!("/api/connectors/found?name={name}");
    let found = running(settings)?.send(Method::GET, &path, None).await?.success()?.json();
    if document {
        let Some(text) = found["document"].as_str() else {
            bail!(
                "there is no document: give the connector \"{connector}\" a `place`, the equipment below which tags are proposed"
            );
        };
        say::all(text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut lines = String::new();
    for value in found["values"].as_array().into_iter().flatten() {
        let word = |key: &str| value[key].as_str().filter(|word| !word.is_empty()).unwrap_or("-");
        lines.push_str(&format!("{:14}  {}  {}  {}\n", word("state"), word("tag"), word("place"), word("why")));
    }
    if let Some(more) = found["more"].as_u64().filter(|more| *more > 0) {
        lines.push_str(&format!("and {more} more\n"));
    }
    say::all(&lines)?;
    Ok(ExitCode::SUCCESS)
}

/// Checks the audit trail's hash chain, through the node if it runs, else in its files.
/// # Errors
/// The trail cannot be read.
pub async fn audit_verify(settings: &Settings, against: Option<&str>) -> Result<ExitCode> {
    if against.is_some_and(|hash| hash.len() != 64 || !hash.bytes().all(|b| b.is_ascii_hexdigit())) {
        bail!("--against takes a hash of 64 hex digits, as printed by an earlier `andon audit verify`");
    }
    let report: Value = match client(settings)? {
        Some(client) => {
            let path =
                against.map_or("/api/audit/verify".to_owned(), |hash| format!("/api/audit/verify?against={hash}"));
            client.send(Method::GET, &path, None).await?.success()?.json()
        }
        None => {
            let held = DataDir::take(&settings.data_dir)?;
            let (_, log) = open_log_offline(&held)?;
            let report: AuditReport = verify(&*log, against)?;
            log.close();
            serde_json::to_value(report)?
        }
    };
    say!("{}", report["detail"].as_str().unwrap_or_default());
    say!("head: {}", report["head"].as_str().unwrap_or_default());
    Ok(if report["ok"] == true { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// A backup that is older is a finding.
const BACKUP_DAYS: i64 = 8;

/// One finding of the doctor.
struct Finding {
    fine: bool,
    text: String,
}

/// Looks at the settings and the machine, and says what is weak and what to do.
/// # Errors
/// None of its own; an unusable data directory is a finding.
pub async fn doctor(settings: &Settings) -> Result<ExitCode> {
    let mut findings = Vec::new();
    let mut add = |fine: bool, text: String| findings.push(Finding { fine, text });
    add(
        settings.access == AccessMode::Login,
        match settings.access {
            AccessMode::Login => "people log in".to_owned(),
            AccessMode::Open => {
                "open mode: everybody on this machine may do everything; set [access] mode = \"login\"".to_owned()
            }
        },
    );
    add(
        !settings.allow_anonymous,
        if settings.allow_anonymous {
            "MQTT clients without credentials are let in; set [mqtt] allow_anonymous = false".to_owned()
        } else {
            "MQTT clients need credentials".to_owned()
        },
    );
    for (name, plain) in [("[http] listen", settings.http), ("[mqtt] listen", settings.mqtt)] {
        if let Listen::At(address) = plain {
            add(address.ip().is_loopback(), format!("{name} is plain, on loopback only: {address}"));
        }
    }
    if let Some((certificate, _)) = &settings.certificate {
        add_certificate(certificate, &mut add);
    }
    match client(settings)? {
        Some(client) => {
            let ready = client.send(Method::GET, "/readyz", None).await;
            let text = ready.as_ref().map_or_else(ToString::to_string, |a| a.text.trim().to_owned());
            add(ready.is_ok_and(|a| a.status.is_success()), format!("the node runs: {text}"));
        }
        None => {
            add(true, "no node runs on this data directory".to_owned());
            match records::examine(settings).await {
                Ok(text) => add(true, text),
                Err(error) => add(false, error.to_string()),
            }
        }
    }
    let history = settings.data_dir.join("history");
    for finding in tokio::task::spawn_blocking(move || examine_history(&history)).await? {
        add(finding.fine, finding.text);
    }
    let last = Last::load(&settings.data_dir);
    add(
        last.as_ref().is_some_and(|last| last.days_ago() <= BACKUP_DAYS),
        match last {
            None => "no backup was made yet: `andon backup FOLDER`, and `andon backup verify FOLDER`".to_owned(),
            Some(last) => format!("the last backup, {}, was made {} days ago", last.name, last.days_ago()),
        },
    );
    match sync_times(&settings.data_dir) {
        Ok((median_ms, worst_ms)) => {
            let advice = if median_ms > 20.0 { "; slow: durable acknowledgements wait this long" } else { "" };
            add(
                median_ms <= 20.0,
                format!("a synced write of 4 KiB takes {median_ms:.2} ms (worst of 50: {worst_ms:.1} ms){advice}"),
            );
            if median_ms < 0.02 {
                add(
                    false,
                    "syncs return faster than any disk: this file system may not keep what it was told to sync"
                        .to_owned(),
                );
            }
        }
        Err(error) => add(
            false,
            format!("{} cannot be written: {error}; check its owner and the disk", settings.data_dir.display()),
        ),
    }
    for finding in &findings {
        say!("{} {}", if finding.fine { "ok  " } else { "WEAK" }, finding.text);
    }
    Ok(if findings.iter().all(|f| f.fine) { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

/// The certificate that the settings name.
fn add_certificate(file: &Path, add: &mut impl FnMut(bool, String)) {
    match andon_access::tls::ends(file) {
        Ok(at) => match End::of(file, true).and_then(|end| end.warning(SystemClock.now())) {
            Some(warning) => add(false, warning),
            None => add(true, format!("the node's certificate ends at {at}")),
        },
        Err(error) => add(false, causes(&error)),
    }
}

/// Compares the manifest, every history file and every roll-up file with their checksums. Long where history is large.
fn examine_history(dir: &Path) -> Vec<Finding> {
    let weak = |text: String| Finding { fine: false, text };
    match andon_historian::copy::check(dir) {
        Ok(None) => vec![Finding { fine: true, text: "there is no history yet".to_owned() }],
        Ok(Some(report)) => {
            let mut findings = given_up(dir, &report.given_up);
            if report.findings.is_empty() {
                let (files, readings) =
                    (counted(report.files as u64, "file", "files"), counted(report.rows, "reading", "readings"));
                findings.push(Finding { fine: true, text: format!("history is whole: {files} with {readings}") });
            }
            let text = |finding: andon_historian::copy::Finding| {
                let is_rollup = finding.file.extension().is_some_and(|ending| ending == "rollup");
                let remedy =
                    if is_rollup { "`andon history compact` makes it anew" } else { "put it back from a backup" };
                format!("{} is damaged: {}; {remedy}", dir.join(finding.file).display(), finding.what)
            };
            findings.extend(report.findings.into_iter().map(|finding| weak(text(finding))));
            findings
        }
        Err(error) => vec![weak(causes(&error))],
    }
}

/// The files of history for which nobody waits any more: no weakness, unless one is there again.
fn given_up(dir: &Path, files: &[(PathBuf, bool)]) -> Vec<Finding> {
    let finding = |(file, is_whole): &(PathBuf, bool)| {
        let file = dir.join(file);
        let text = if *is_whole {
            format!("{} was given up and is whole again: `andon history compact` takes it back", file.display())
        } else {
            format!("{} was given up: what of it cannot be read is a gap in every answer", file.display())
        };
        Finding { fine: !is_whole, text }
    };
    files.iter().map(finding).collect()
}

/// Median and worst time of 50 synced appends, in ms.
fn sync_times(data_dir: &Path) -> std::io::Result<(f64, f64)> {
    std::fs::create_dir_all(data_dir)?;
    let path = data_dir.join("doctor~probe");
    let mut file = std::fs::File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..50 {
        let start = SystemClock.monotonic();
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        times.push((SystemClock.monotonic() - start).as_secs_f64() * 1000.0);
    }
    drop(file);
    std::fs::remove_file(&path)?;
    times.sort_by(f64::total_cmp);
    let at = |index: usize| times.get(index).copied().unwrap_or_default();
    Ok((at(25), at(49)))
}
