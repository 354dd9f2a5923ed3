//! How much processor time readings in line protocol cost the server, all the way to Parquet, and how long a sender waits.
//!
//! `cargo build --workspace --bin andon --examples && cargo run -p andon-server --example bench_ingest -- [million points] [connections] [fields a line]
//! [machines] [points a second]`; a machine has a tag for each field of its line. 100,000 tags once a second for five minutes: `30 2 20 5000 100000`.
//!
//! Starts the binary that lies beside this one, in a temporary folder, and sends it batches of 5,000 lines to `/api/v2/write` over loopback
//! from a process of its own: first as fast as it takes them, then at half that rate (or only at the rate that is given), each batch at its appointed time. A wait is counted from
//! the appointed time to the 204, which comes after the disk's answer. Processor time is that of the server, user and system, from
//! the first batch until history has followed the last one; files that were due by then are written, merges included.

use andon_model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const LINES: usize = 5_000;
const START_NS: u64 = 1_764_000_000_000_000_000;

fn main() -> Outcome<()> {
    let given: Vec<usize> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let setting = |at: usize, default: usize| given.get(at).copied().unwrap_or(default);
    let (millions, connections, fields) = (setting(0, 10), setting(1, 4).max(1), setting(2, 1).max(1));
    let folder = tempfile::tempdir()?;
    let server = Server::start(folder.path())?;
    let (machines, rate) = (setting(3, 1_000).max(1), setting(4, 0));
    server.apply(machines, fields)?;
    let batches = millions * 1_000_000 / (LINES * fields);
    let plan = Plan { connections, fields, machines, begin: 0, batches, every: None };
    if rate > 0 {
        let every = Duration::from_secs_f64((LINES * fields) as f64 / rate as f64);
        server.measure(&format!("at {rate} points a second"), &Plan { every: Some(every), ..plan })?;
        return Ok(());
    }
    let rate = server.measure("as fast as it takes them", &plan)?;
    let every = Duration::from_secs_f64(2.0 / rate * (LINES * fields) as f64);
    let plan = Plan { begin: batches, batches: (batches / 4).max(connections), every: Some(every), ..plan };
    server.measure("at half that rate", &plan)?;
    Ok(())
}

/// What is sent.
struct Plan {
    connections: usize,
    fields: usize,
    machines: usize,
    /// The number of the first batch, so that no reading is sent twice.
    begin: usize,
    batches: usize,
    /// Over all connections; `None`: the next one as soon as the one before is answered.
    every: Option<Duration>,
}

impl Plan {
    /// Sends everything; how long each sender waited.
    fn send(&self, address: &str) -> Outcome<Vec<Duration>> {
        let began = SystemClock.monotonic();
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..self.connections)
                .map(|number| scope.spawn(move || self.connection(address, number, began)))
                .collect();
            let mut waits = Vec::new();
            for sender in senders {
                waits.extend(sender.join().map_err(|_| "a sender failed")??);
            }
            Ok(waits)
        })
    }

    fn connection(&self, address: &str, number: usize, began: Duration) -> Outcome<Vec<Duration>> {
        let mut link = Link::open(address)?;
        let (mut body, mut waits) = (String::new(), Vec::new());
        for batch in (number..self.batches).step_by(self.connections) {
            body.clear();
            self.write(self.begin + batch, &mut body)?;
            let mut due = SystemClock.monotonic();
            if let Some(every) = self.every {
                let appointed = began + every.mul_f64(batch as f64);
                wait_until(appointed);
                due = appointed;
            }
            let (status, answer) = link.ask("POST", "/api/v2/write?bucket=works&precision=ns", "text/plain", &body)?;
            waits.push(SystemClock.monotonic().saturating_sub(due));
            if status != 204 {
                return Err(format!("refused with {status}: {answer}").into());
            }
        }
        Ok(waits)
    }

    /// A line for each tag and second, and every field of it: a random walk with two decimals.
    fn write(&self, batch: usize, body: &mut String) -> Outcome<()> {
        for line in batch * LINES..(batch + 1) * LINES {
            let (second, tag) = (line / self.machines, line % self.machines);
            write!(body, "machines,line=l{},unit=m{:03} ", tag % 4, tag)?;
            for field in 0..self.fields {
                let noise = (line as u64 * 31 + field as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 54;
                let value = 2_000 + (second / 60 % 1_000) as u64 + noise % 50;
                let comma = if field == 0 { "" } else { "," };
                write!(body, "{comma}v{field}={}.{:02}", value / 100, value % 100)?;
            }
            writeln!(body, " {}", START_NS + second as u64 * 1_000_000_000)?;
        }
        Ok(())
    }
}

/// A connection that stays open.
struct Link(BufReader<TcpStream>);

impl Link {
    fn open(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self(BufReader::new(stream)))
    }

    fn ask(&mut self, method: &str, path: &str, kind: &str, body: &str) -> Outcome<(u16, String)> {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-andon: 1\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.0.get_mut().write_all(head.as_bytes())?;
        self.0.get_mut().write_all(body.as_bytes())?;
        let (mut status, mut length) = (0, 0);
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line)?;
            let line = line.trim_end().to_lowercase();
            if let Some(rest) = line.strip_prefix("http/1.1 ") {
                status = rest.get(..3).unwrap_or_default().parse()?;
            } else if let Some(rest) = line.strip_prefix("content-length: ") {
                length = rest.parse()?;
            } else if line.is_empty() {
                break;
            }
        }
        let mut answer = vec![0; length];
        self.0.read_exact(&mut answer)?;
        Ok((status, String::from_utf8_lossy(&answer).into_owned()))
    }
}

/// The binary, serving.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path) -> Outcome<Self> {
        let binary: PathBuf =
            std::env::current_exe()?.parent().and_then(Path::parent).ok_or("no folder")?.join("andon");
        let config = folder.join("andon.toml");
        let settings = "data_dir = \"data\"\n[http]\nlisten = \"127.0.0.1:0\"\n[mqtt]\nlisten = \"off\"\n[sql]\nlisten = \"off\"\n[access]\nmode = \"open\"\n";
        std::fs::write(&config, settings)?;
        let mut command = Command::new(&binary);
        command.args(["serve", "--config"]).arg(&config).stdout(Stdio::piped());
        let mut process = command.spawn().map_err(|error| format!("{}: {error}; build it first", binary.display()))?;
        let mut lines = BufReader::new(process.stdout.take().ok_or("no output")?).lines();
        let address = loop {
            let line = lines.next().ok_or("the server ended")??;
            if let Some(address) = line.strip_prefix("listening: http ") {
                break address.to_owned();
            }
        };
        Ok(Self { process, address })
    }

    fn apply(&self, machines: usize, fields: usize) -> Outcome<()> {
        let mut text = "[[equipment]]\npath = \"works\"\nlevel = \"site\"\n[[equipment]]\npath = \"works/machines\"\nlevel = \"area\"\n".to_owned();
        for line in 0..4 {
            writeln!(text, "[[equipment]]\npath = \"works/machines/l{line}\"\nlevel = \"work_center\"")?;
        }
        for tag in 0..machines {
            let unit = format!("works/machines/l{}/m{tag:03}", tag % 4);
            writeln!(text, "[[equipment]]\npath = \"{unit}\"\nlevel = \"work_unit\"")?;
            for field in 0..fields {
                writeln!(text, "[[tag]]\npath = \"{unit}/v{field}\"\ntype = \"double\"")?;
            }
        }
        let body = json!({ "documents": [{ "name": "bench.toml", "text": text }], "expected_version": 0 });
        let (status, answer) =
            Link::open(&self.address)?.ask("POST", "/api/plant/apply", "application/json", &body.to_string())?;
        if status == 200 { Ok(()) } else { Err(format!("the plant was refused: {status} {answer}").into()) }
    }

    fn storage(&self) -> Outcome<Value> {
        Ok(serde_json::from_str(&Link::open(&self.address)?.ask("GET", "/api/storage", "", "")?.1)?)
    }

    /// Points a second.
    fn measure(&self, name: &str, plan: &Plan) -> Outcome<f64> {
        let points = (plan.batches * LINES * plan.fields) as f64;
        let (before, began) = (self.cpu()?, SystemClock.monotonic());
        let mut waits = plan.send(&self.address)?;
        let took = SystemClock.monotonic() - began;
        let storage = loop {
            let storage = self.storage()?;
            if storage["frames_behind"] == 0 {
                break storage;
            }
            wait_until(SystemClock.monotonic() + Duration::from_millis(5));
        };
        let used = self.cpu()? - before;
        waits.sort_unstable();
        let at = |share: f64| {
            let place = ((waits.len() - 1) as f64 * share) as usize;
            waits.get(place).copied().unwrap_or_default().as_secs_f64() * 1e3
        };
        println!("-- {name}: {points} points, {} a line, {} connections", plan.fields, plan.connections);
        println!(
            "{:.2} M points per CPU-second of the server; {:.2} M/s of wall time; {} in files, {} waiting",
            points / used.as_secs_f64() / 1e6,
            points / took.as_secs_f64() / 1e6,
            storage["points"],
            storage["buffered_points"],
        );
        println!("{} MiB resident at most, the start and the plant included", self.peak_mib()?);
        println!("204 after p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms", at(0.5), at(0.99), at(1.0));
        Ok(points / took.as_secs_f64())
    }

    fn peak_mib(&self) -> Outcome<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no peak in its status")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? / 1024)
    }

    /// Processor time of the server: fields 14 and 15 of its stat, in hundredths of a second.
    fn cpu(&self) -> Outcome<Duration> {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| -> Outcome<u64> { Ok(fields.get(at).ok_or("short stat")?.parse()?) };
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Until an appointed time, which no condition announces.
fn wait_until(time: Duration) {
    std::thread::park_timeout(time.saturating_sub(SystemClock.monotonic()));
}
