//! The binary `andon`: reads settings, wires the parts, starts and stops them in order.
//!
//! Start reading at [`node::Node::start`]. `demo` runs a made-up plant and house; `serve` runs the service; the other
//! commands talk to a running node or look at its files.

#![warn(clippy::print_stdout, clippy::print_stderr, reason = "see `say`")]

mod adapters;
mod backup;
mod bridge;
mod calc;
mod certificate;
mod client;
mod commands;
mod data_dir;
mod demo;
mod discovery;
mod ended;
mod energy;
mod erp;
mod export;
mod import;
#[cfg(test)]
mod ingest_tests;
mod looking;
mod maintenance;
mod mes;
mod mqtt;
mod node;
#[cfg(test)]
mod node_tests;
mod notes;
mod plant_admin;
mod presence;
mod progress;
mod records;
mod report;
mod say;
mod secrets;
mod settings;
mod shift;
mod sparkplug;
mod sql;
mod state;
mod tools;
#[cfg(test)]
mod topics_tests;
mod trace;
mod trust;
mod verify;

use crate::say::{complain, say};
use andon_model::{Clock as _, SystemClock};
use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

/// Gives memory back that is not used any more, which the system's allocator does late where many threads share the work.
#[global_allocator]
static MEMORY: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Joins machines to each other and to people, in a factory and at home.
#[derive(Parser)]
#[command(name = "andon", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Write the program's log as JSON lines.
    #[arg(long, global = true)]
    log_json: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Run a made-up bottling line and a house, over real protocols, on real data.
    Demo {
        /// Where the demo keeps its data between starts.
        #[arg(long)]
        data_dir: Option<PathBuf>,
        /// Where the user interface listens; a free port is taken if this one is busy.
        #[arg(long, default_value = "127.0.0.1:8080")]
        http: SocketAddr,
        /// Where MQTT listens; a free port is taken if this one is busy.
        #[arg(long, default_value = "127.0.0.1:1883")]
        mqtt: SocketAddr,
    },
    /// Run the service.
    Serve(Config),
    /// Bring documents into the plant model.
    Apply {
        #[command(flatten)]
        config: Config,
        /// Documents: TOML, or YAML by the ending .yaml.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Show what would change, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Also remove what the documents do not name.
        #[arg(long)]
        prune: bool,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Show what documents would change in the plant model.
    Diff {
        #[command(flatten)]
        config: Config,
        /// Documents: TOML, or YAML by the ending .yaml.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// As if what the documents do not name were removed.
        #[arg(long)]
        prune: bool,
    },
    /// Print the plant model as one document; secrets stay references.
    Export(Config),
    /// List what a connector has found by itself, or print the document that makes tags of it.
    Found {
        #[command(flatten)]
        config: Config,
        /// The connector's name.
        connector: String,
        /// Print the document, for `andon apply`.
        #[arg(long)]
        document: bool,
    },
    /// Ask the running node in SQL: history, last values, tags, equipment, events.
    Sql {
        #[command(flatten)]
        config: Config,
        /// One statement, such as "SELECT * FROM last_values".
        statement: String,
        /// How the answer is printed.
        #[arg(long, value_enum, default_value_t = commands::SqlOutput::Table)]
        format: commands::SqlOutput,
    },
    /// Bring readings from CSV or Parquet files into the history of the running node.
    Import {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        wanted: import::Wanted,
    },
    /// History.
    History {
        #[command(subcommand)]
        command: History,
    },
    /// The audit trail.
    Audit {
        #[command(subcommand)]
        command: Audit,
    },
    /// Back the node up, while it runs or not; look after the backups.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Backup {
        #[command(subcommand)]
        command: Option<Backup>,
        #[command(flatten)]
        config: Config,
        /// The folder of backups. What an earlier one in it has is not copied again.
        #[arg(required = true)]
        dir: Option<PathBuf>,
        /// At most so many MiB per second, read and written together.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        max_rate: Option<u64>,
        /// Also the key of the certificate that the node made: whoever reads the backup can then pass for the node.
        #[arg(long)]
        with_tls_key: bool,
    },
    /// Bring a backup back, into a data directory that is empty or not there yet.
    Restore {
        /// The folder of backups.
        dir: PathBuf,
        /// The data directory to be made.
        #[arg(long)]
        into: PathBuf,
        /// Which backup, by its name or a beginning of it; the newest if missing.
        #[arg(long)]
        backup: Option<String>,
        /// Only this file or folder of it, such as records.sqlite.
        #[arg(long)]
        only: Option<String>,
        /// At most so many MiB per second.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        max_rate: Option<u64>,
    },
    /// Look for weak settings and a weak disk.
    Doctor(Config),
    /// Compute the cases of a file with the formulas that the service uses, and say where others were expected.
    Calc {
        /// The cases: JSON, { "cases": [{ "id", "input", "expected"? }] }.
        file: PathBuf,
        /// What is computed.
        #[arg(long, value_enum)]
        kind: calc::Kind,
    },
    /// Judge a document that left the house, without asking anybody.
    Verify {
        #[command(subcommand)]
        command: Verify,
    },
    /// The records: plant model, accounts, orders, traceability.
    Records {
        #[command(subcommand)]
        command: Records,
    },
    /// Secrets that documents name: passwords and keys to log in elsewhere.
    Secret {
        #[command(subcommand)]
        command: SecretCommand,
    },
}

#[derive(Subcommand)]
enum Verify {
    /// Say whether a birth certificate is whole and signed under a key that you trust; exit code 2 if it is not.
    Certificate {
        /// The certificate: JSON, as it came with the unit.
        file: PathBuf,
        /// A public key that you trust, from its owner: a file (PEM, DER or 32 bytes) or 64 hexadecimal digits. May be repeated.
        #[arg(long = "key", value_name = "FILE|HEX")]
        keys: Vec<String>,
    },
    /// Say whether a report is whole and signed under a key that you trust; exit code 2 if it is not.
    Report {
        /// The report: JSON, as the node gave it out.
        file: PathBuf,
        /// A public key that you trust, from the node's owner: a file (PEM, DER or 32 bytes) or 64 hexadecimal digits. May be repeated.
        #[arg(long = "key", value_name = "FILE|HEX")]
        keys: Vec<String>,
    },
}

#[derive(Subcommand)]
enum Records {
    /// Bring the records of a file into the PostgreSQL database of `[records] url`, which must be empty, while no node runs.
    Copy {
        #[command(flatten)]
        config: Config,
        /// The file; records.sqlite of the data directory if missing, which is set aside then.
        #[arg(long)]
        from: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum SecretCommand {
    /// Keep what comes on the standard input (without the line feed at its end) as a secret of the node, which may run or not.
    Set {
        #[command(flatten)]
        config: Config,
        /// By this name documents refer to it: { secret = "NAME" }.
        name: String,
    },
    /// List the names.
    List(Config),
    /// Forget a secret that no connector names.
    Remove {
        #[command(flatten)]
        config: Config,
        /// Its name.
        name: String,
    },
}

#[derive(Subcommand)]
enum History {
    /// Write points of tags into a file.
    Export {
        #[command(flatten)]
        config: Config,
        #[command(flatten)]
        wanted: export::Wanted,
    },
    /// Write what is in memory and make one file of each day: the smallest and quickest history, for one more writing of every byte.
    Compact(Config),
    /// Accept that a damaged file of history will not be put back: SQL answers again without what of it cannot be read, and nothing
    /// else names it as damaged any more.
    GiveUp {
        #[command(flatten)]
        config: Config,
        /// The file, as `andon doctor` names it.
        file: PathBuf,
        /// Why, for the audit trail.
        #[arg(long)]
        reason: String,
    },
}

#[derive(Subcommand)]
enum Backup {
    /// Read every file of all backups again, and look into one: log, audit trail, history, records.
    Verify {
        /// The folder of backups.
        dir: PathBuf,
        /// Which backup to look into, by its name or a beginning of it; the newest if missing.
        #[arg(long)]
        backup: Option<String>,
        /// At most so many MiB per second.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        max_rate: Option<u64>,
    },
    /// List the backups.
    List {
        /// The folder of backups.
        dir: PathBuf,
    },
    /// Remove all but the newest backups, and the files that only they had.
    Prune {
        /// The folder of backups.
        dir: PathBuf,
        /// How many to keep.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
        keep: u64,
    },
}

#[derive(Subcommand)]
enum Audit {
    /// Check the hash chain of all events.
    Verify {
        #[command(flatten)]
        config: Config,
        /// A head hash noted earlier: finds out whether events were cut off since.
        #[arg(long)]
        against: Option<String>,
    },
}

#[derive(Args)]
struct Config {
    /// The settings file.
    #[arg(long, default_value = "andon.toml")]
    config: PathBuf,
}

/// When a line was written, to the millisecond.
struct WholeMs;

impl FormatTime for WholeMs {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        let now = SystemClock.now();
        let (year, month, day, hour, minute, second, micros) = now.civil();
        write!(line, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", micros / 1000)
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,andon=info"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    let log = log.log_internal_errors(false).with_timer(WholeMs);
    if cli.log_json {
        log.json().init()
    } else {
        log.with_target(false).init()
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = runtime.map_err(anyhow::Error::from).and_then(|runtime| runtime.block_on(run(cli.command)));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            complain!("andon: {error}");
            for cause in error.chain().skip(1) {
                complain!("  because: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode> {
    let read = |config: &Config| settings::read(&config.config);
    match command {
        Command::Demo { data_dir, http, mqtt } => {
            let data_dir = data_dir.unwrap_or_else(demo::default_data_dir);
            run_demo(demo::DemoOptions { data_dir, http, mqtt }).await
        }
        Command::Serve(config) => serve(read(&config)?).await,
        Command::Apply { config, files, dry_run: true, prune, .. } => {
            commands::diff(&read(&config)?, &files, prune).await
        }
        Command::Apply { config, files, prune, reason, .. } => {
            commands::apply(&read(&config)?, &files, prune, reason).await
        }
        Command::Diff { config, files, prune } => commands::diff(&read(&config)?, &files, prune).await,
        Command::Export(config) => commands::export(&read(&config)?).await,
        Command::Found { config, connector, document } => commands::found(&read(&config)?, &connector, document).await,
        Command::Sql { config, statement, format } => commands::sql(&read(&config)?, &statement, format).await,
        Command::Import { config, wanted } => import::import(&commands::running(&read(&config)?)?, &wanted).await,
        Command::History { command: History::Export { config, wanted } } => {
            export::export(&commands::running(&read(&config)?)?, &wanted).await
        }
        Command::Calc { file, kind } => calc::calc(&file, kind),
        Command::Verify { command: Verify::Certificate { file, keys } } => verify::certificate(&file, &keys),
        Command::Verify { command: Verify::Report { file, keys } } => verify::report(&file, &keys),
        Command::History { command: History::Compact(config) } => commands::compact(&read(&config)?).await,
        Command::History { command: History::GiveUp { config, file, reason } } => {
            commands::give_up(&read(&config)?, &file, &reason).await
        }
        Command::Audit { command: Audit::Verify { config, against } } => {
            commands::audit_verify(&read(&config)?, against.as_deref()).await
        }
        Command::Backup { command: Some(command), .. } => match command {
            Backup::Verify { dir, backup: name, max_rate } => backup::tool::verify(&dir, name, max_rate).await,
            Backup::List { dir } => backup::tool::list(&dir).await,
            Backup::Prune { dir, keep } => backup::tool::prune(&dir, usize::try_from(keep).unwrap_or(usize::MAX)).await,
        },
        Command::Backup { command: None, config, dir, max_rate, with_tls_key } => {
            let dir = dir.unwrap_or_default(); // Required by the parser.
            let wish = backup::tool::Wish { dir, settings_file: config.config.clone(), max_rate, keys: with_tls_key };
            backup::tool::make(&read(&config)?, wish).await
        }
        Command::Restore { dir, into, backup: name, only, max_rate } => {
            backup::tool::restore(backup::tool::RestoreWish { dir, into, name, only, max_rate }).await
        }
        Command::Records { command: Records::Copy { config, from } } => records::copy(&read(&config)?, from).await,
        Command::Doctor(config) => commands::doctor(&read(&config)?).await,
        Command::Secret { command } => match command {
            SecretCommand::Set { config, name } => commands::set_secret(&read(&config)?, &name).await,
            SecretCommand::List(config) => commands::list_secrets(&read(&config)?).await,
            SecretCommand::Remove { config, name } => commands::remove_secret(&read(&config)?, &name).await,
        },
    }
}

async fn run_demo(options: demo::DemoOptions) -> Result<ExitCode> {
    let data_dir = options.data_dir.display().to_string();
    let stop = stop_signal()?;
    let demo = demo::Demo::start(options).await?;
    say!("{}", demo::TEXT);
    say!("data:  {data_dir} (kept between starts)");
    if let Some(mqtt) = demo.mqtt() {
        say!("mqtt:  {mqtt}");
    }
    if let Some(sql) = demo.sql() {
        say!("sql:   {sql} (psql, with a user made under Users & audit, or an API token as password)");
    }
    say!("open:  {}", demo.url);
    stop.await;
    say!("stopping");
    demo.stop().await;
    Ok(ExitCode::SUCCESS)
}

async fn serve(settings: settings::Settings) -> Result<ExitCode> {
    let stop = stop_signal()?;
    let warnings = settings.warnings();
    let open = settings.access == settings::AccessMode::Open;
    let node = node::Node::start(settings, None).await?;
    let listeners = [
        ("http", node.addresses.http),
        ("https", node.addresses.https),
        ("mqtt", node.addresses.mqtt),
        ("mqtts", node.addresses.mqtts),
        ("sql", node.addresses.sql),
    ];
    for (name, address) in listeners {
        if let Some(address) = address {
            say!("listening: {name} {address}");
        }
    }
    for warning in warnings {
        say!("warning: {warning}");
    }
    if node.accounts.setup_needed() && !open {
        say!("set-up code: {} (valid for 15 minutes, once)", node.accounts.new_setup_code()?.reveal());
    }
    stop.await;
    say!("stopping");
    node.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Resolves at the first SIGINT or SIGTERM; listens from now on.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
