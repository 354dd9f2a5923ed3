//! Puts load on any MQTT broker and says what it did with it. One workload a call, one line of JSON; `tests/bench/mqtt.sh` calls it.
//!
//! `mqtt_load ADDRESS WORKLOAD [name=value ...]`, with `pid=N` of each process of the server, whose processor time is counted, and
//!
//! - `pairs`: `n` publishers to one subscriber each (`qos`, `bytes`, `window` undelivered messages each, `seconds`)
//! - `in`: `n` publishers to one subscriber
//! - `out`: one publisher to `n` subscribers
//! - `away`: `n` publishers with `window` unacknowledged messages each, to a session that is not there
//! - `acks`: one publisher of `rate` messages a second with QoS 1; how long each acknowledgement takes from its appointed time
//! - `connects`: `n` connections, `window` at a time, which then stay idle; the server's memory before and after
//! - `retained`: `n` retained messages are published; how long a subscriber to all of them waits for the last
//! - `stalled`: `n` subscribers (`qos`) that read nothing beside one that does, `rate` messages a second with QoS 1, after `fill` of them
//!   as fast as they are acknowledged, which fill the buffers of the `n`; what memory each takes and how long the one waits for a message
//!   from its appointed time
//! - `filters`: `n` subscriptions with wildcards of 100 clients, one publisher whose messages each match one of them
//!
//! Everything is MQTT 3.1.1, spoken here in bytes of its own. The generator shares the machine with the server: what counts is
//! messages per second of the server's processor time.

use std::error::Error;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::time::Instant;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const CONNECT: u8 = 0x10;
const PUBLISH: u8 = 0x30;
const PUBACK: u8 = 0x40;
const SUBSCRIBE: u8 = 0x82;
const CHUNK: usize = 64 << 10;
/// Messages written at once.
const BATCH: u32 = 64;

fn main() -> Outcome<()> {
    let mut words = std::env::args().skip(1);
    let (Some(address), Some(workload)) = (words.next(), words.next()) else {
        return Err("mqtt_load ADDRESS WORKLOAD [name=value ...]; see the top of this file".into());
    };
    let mut plan = Plan { address: address.parse()?, ..Plan::default() };
    for word in words {
        let (name, value) = word.split_once('=').ok_or("settings are name=value")?;
        match name {
            "pid" => plan.pids.push(value.parse()?),
            "n" => plan.n = value.parse()?,
            "qos" => plan.qos = value.parse()?,
            "bytes" => plan.bytes = value.parse()?,
            "window" => plan.window = value.parse()?,
            "seconds" => plan.seconds = value.parse()?,
            "rate" => plan.rate = value.parse()?,
            "fill" => plan.fill = value.parse()?,
            _ => return Err(format!("there is no setting {name}").into()),
        }
    }
    // One thread: the server is to have the rest of the machine.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let line = runtime.block_on(async {
        match workload.as_str() {
            "pairs" => plan.pairs().await,
            "in" => plan.fan_in().await,
            "out" => plan.fan_out().await,
            "away" => plan.away().await,
            "acks" => plan.acks().await,
            "connects" => plan.connects().await,
            "retained" => plan.retained().await,
            "filters" => plan.filters().await,
            "stalled" => plan.stalled().await,
            _ => Err(format!("there is no workload {workload}").into()),
        }
    })?;
    println!("{line}");
    Ok(())
}

struct Plan {
    address: SocketAddr,
    pids: Vec<u32>,
    n: usize,
    qos: u8,
    bytes: usize,
    window: usize,
    seconds: f64,
    rate: u64,
    fill: u32,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 1883)),
            pids: Vec::new(),
            n: 10,
            qos: 0,
            bytes: 100,
            window: 100,
            seconds: 5.0,
            rate: 5_000,
            fill: 0,
        }
    }
}

impl Plan {
    /// Processor time of the server so far, user and system, in seconds.
    fn cpu(&self) -> f64 {
        let of = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // Behind the name, which is in brackets and may hold anything.
            let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
            let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
            (ticks(11) + ticks(12)) / 100.0
        };
        self.pids.iter().map(of).sum()
    }

    /// Memory of the server that is resident, in KiB.
    fn memory_kib(&self) -> u64 {
        self.memory_of("VmRSS:")
    }

    fn memory_of(&self, kind: &str) -> u64 {
        let of = |pid: &u32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status.lines().find_map(|line| line.strip_prefix(kind)).unwrap_or_default();
            line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0)
        };
        self.pids.iter().map(of).sum()
    }

    async fn pairs(&self) -> Outcome<String> {
        let mut room = Vec::new();
        let count = Arc::new(AtomicU64::new(0));
        for at in 0..self.n {
            let mine = Arc::new(Semaphore::new(self.window));
            let client = Client::connect(self.address, &format!("sub-{at}"), true).await?;
            let rooms = vec![Arc::clone(&mine)];
            client.subscribe(&[format!("bench/pair/{at}")], self.qos).await?.receive(rooms, 1, Arc::clone(&count));
            room.push(mine);
        }
        let topic = |at: usize| format!("bench/pair/{at}");
        self.run(room, topic, count, 1).await
    }

    async fn fan_in(&self) -> Outcome<String> {
        let room: Vec<_> = (0..self.n).map(|_| Arc::new(Semaphore::new(self.window))).collect();
        let count = Arc::new(AtomicU64::new(0));
        let client = Client::connect(self.address, "sub", true).await?;
        client.subscribe(&["bench/in/+".to_owned()], self.qos).await?.receive(room.clone(), 1, Arc::clone(&count));
        self.run(room, |at| format!("bench/in/{at}"), count, 1).await
    }

    async fn fan_out(&self) -> Outcome<String> {
        let room = Arc::new(Semaphore::new(self.window));
        let count = Arc::new(AtomicU64::new(0));
        for at in 0..self.n {
            let client = Client::connect(self.address, &format!("sub-{at}"), true).await?;
            let rooms = vec![Arc::clone(&room)];
            let client = client.subscribe(&["bench/out".to_owned()], self.qos).await?;
            client.receive(rooms, self.n as u64, Arc::clone(&count));
        }
        self.run(vec![room], |_| "bench/out".to_owned(), count, self.n as u64).await
    }

    async fn filters(&self) -> Outcome<String> {
        const CLIENTS: usize = 100;
        let room = Arc::new(Semaphore::new(self.window));
        let count = Arc::new(AtomicU64::new(0));
        for at in 0..CLIENTS {
            let filters: Vec<String> = (at..self.n).step_by(CLIENTS).map(|n| format!("bench/+/device{n}/#")).collect();
            let mut client = Client::connect(self.address, &format!("sub-{at}"), true).await?;
            for some in filters.chunks(50) {
                client = client.subscribe(some, self.qos).await?;
            }
            client.receive(vec![Arc::clone(&room)], 1, Arc::clone(&count));
        }
        let filters = self.n;
        let topics: Vec<String> =
            (0..997).map(|n| format!("bench/line{}/device{}/value", n % 7, n * 31 % filters)).collect();
        self.run_on(vec![room], vec![topics], count, 1).await
    }

    async fn run(
        &self,
        room: Vec<Arc<Semaphore>>,
        topic: impl Fn(usize) -> String,
        count: Arc<AtomicU64>,
        each: u64,
    ) -> Outcome<String> {
        let topics = (0..room.len()).map(|at| vec![topic(at)]).collect();
        self.run_on(room, topics, count, each).await
    }

    /// A publisher for each semaphore, which has a permit for each message that may be under way. `each`: deliveries of a message.
    async fn run_on(
        &self,
        room: Vec<Arc<Semaphore>>,
        topics: Vec<Vec<String>>,
        count: Arc<AtomicU64>,
        each: u64,
    ) -> Outcome<String> {
        let over = Arc::new(AtomicBool::new(false));
        let mut tasks = Vec::new();
        for ((at, room), topics) in room.into_iter().enumerate().zip(topics) {
            let client = Client::connect(self.address, &format!("pub-{at}"), true).await?;
            let packets = topics.iter().map(|topic| publish(topic, self.qos, self.bytes, at as u32)).collect();
            tasks.push(tokio::spawn(publisher(client, packets, self.qos, room, Arc::clone(&over))));
        }
        // A second to get going.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (cpu, begin, before) = (self.cpu(), Instant::now(), count.load(Relaxed));
        tokio::time::sleep(Duration::from_secs_f64(self.seconds)).await;
        let (cpu, took, delivered) = (self.cpu() - cpu, begin.elapsed().as_secs_f64(), count.load(Relaxed) - before);
        over.store(true, Relaxed);
        tasks.iter().for_each(tokio::task::JoinHandle::abort);
        Ok(format!(
            r#"{{"delivered": {delivered}, "published": {}, "seconds": {took:.3}, "cpu_s": {cpu:.2}, "memory_kib": {}}}"#,
            delivered / each,
            self.memory_kib()
        ))
    }

    async fn away(&self) -> Outcome<String> {
        let client = Client::connect(self.address, "away", false).await?;
        drop(client.subscribe(&["bench/away/#".to_owned()], 1).await?);
        let acked = Arc::new(AtomicU64::new(0));
        let over = Arc::new(AtomicBool::new(false));
        for at in 0..self.n {
            let client = Client::connect(self.address, &format!("pub-{at}"), true).await?;
            let room = Arc::new(Semaphore::new(self.window));
            let packets = vec![publish(&format!("bench/away/{at}"), 1, self.bytes, at as u32)];
            let (read, write) = (client.read, client.write);
            let (back, acked) = (Arc::clone(&room), Arc::clone(&acked));
            tokio::spawn(async move {
                let mut reading = Reading::new(read);
                while let Ok(Some(some)) = reading.some(|_, _| ()).await {
                    acked.fetch_add(some, Relaxed);
                    back.add_permits(usize::try_from(some).unwrap_or(0));
                }
            });
            tokio::spawn(write_all(write, packets, 1, room, Arc::clone(&over)));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (cpu, begin, before) = (self.cpu(), Instant::now(), acked.load(Relaxed));
        tokio::time::sleep(Duration::from_secs_f64(self.seconds)).await;
        let (cpu, took, done) = (self.cpu() - cpu, begin.elapsed().as_secs_f64(), acked.load(Relaxed) - before);
        over.store(true, Relaxed);
        Ok(format!(
            r#"{{"acknowledged": {done}, "seconds": {took:.3}, "cpu_s": {cpu:.2}, "memory_kib": {}}}"#,
            self.memory_kib()
        ))
    }

    async fn acks(&self) -> Outcome<String> {
        let subscriber = Client::connect(self.address, "away", false).await?;
        drop(subscriber.subscribe(&["bench/acks".to_owned()], 1).await?);
        let client = Client::connect(self.address, "pub", true).await?;
        let mut packet = publish("bench/acks", 1, self.bytes, 0);
        let id_at = packet.len() - self.bytes - 2;
        let total = (self.rate as f64 * self.seconds) as u64;
        let every = Duration::from_secs_f64(1.0 / self.rate as f64);
        let begin = Instant::now();
        let cpu = self.cpu();
        let (mut write, read) = (client.write, client.read);
        let waits = tokio::spawn(async move {
            let mut reading = Reading::new(read);
            let (mut waits, mut next) = (Vec::new(), 0_u32);
            while (waits.len() as u64) < total {
                let Ok(Some(some)) = reading.some(|_, _| ()).await else { break };
                let now = begin.elapsed();
                for _ in 0..some {
                    // Acknowledgements come in the order of the messages. MQTT 3.1.1 [MQTT-4.6.0-2].
                    waits.push(now.saturating_sub(every * next));
                    next += 1;
                }
            }
            waits
        });
        let mut buffer = Vec::new();
        let mut sent = 0_u64;
        while sent < total {
            let due = ((begin.elapsed().as_secs_f64() / every.as_secs_f64()) as u64 + 1).min(total);
            buffer.clear();
            while sent < due {
                sent += 1;
                packet[id_at..id_at + 2].copy_from_slice(&id_of(sent).to_be_bytes());
                buffer.extend_from_slice(&packet);
            }
            write.write_all(&buffer).await?;
            tokio::time::sleep_until(begin + every * u32::try_from(sent)?).await;
        }
        let mut waits = waits.await?;
        waits.sort_unstable();
        let at = |share| below(&waits, share);
        Ok(format!(
            r#"{{"acknowledged": {}, "p50_ms": {:.2}, "p99_ms": {:.2}, "max_ms": {:.2}, "seconds": {:.3}, "cpu_s": {:.2}}}"#,
            waits.len(),
            at(0.5),
            at(0.99),
            at(1.0),
            begin.elapsed().as_secs_f64(),
            self.cpu() - cpu
        ))
    }

    async fn stalled(&self) -> Outcome<String> {
        const TOPIC: &str = "bench/stalled";
        /// Stands in messages that only fill.
        const FILLING: u32 = u32::MAX;
        let mut stalled = Vec::new();
        for at in 0..self.n {
            let client = Client::connect(self.address, &format!("stalled-{at}"), true).await?;
            stalled.push(client.subscribe(&[TOPIC.to_owned()], self.qos).await?);
        }
        let reader =
            Client::connect(self.address, "reader", true).await?.subscribe(&[TOPIC.to_owned()], self.qos).await?;
        let client = Client::connect(self.address, "pub", true).await?;
        let total = (self.rate as f64 * self.seconds) as u64;
        let every = Duration::from_secs_f64(1.0 / self.rate as f64);
        let memory = self.memory_kib();
        let start = Arc::new(std::sync::OnceLock::new());
        let started = Arc::clone(&start);
        let waits = tokio::spawn(async move {
            let mut reading = reader.reading();
            let mut waits: Vec<Duration> = Vec::new();
            while (waits.len() as u64) < total {
                let mut numbers = Vec::new();
                let number =
                    |payload: &[u8], _: u8| numbers.extend(payload.first_chunk().map(|n| u32::from_be_bytes(*n)));
                // The last ones may be dropped with QoS 0.
                let came = tokio::time::timeout(Duration::from_secs(5), reading.some(number)).await;
                let Ok(Ok(Some(_))) = came else { break };
                let now = started.get().map(Instant::elapsed).unwrap_or_default();
                let measured = numbers.into_iter().filter(|n| *n != FILLING);
                waits.extend(measured.map(|n| now.saturating_sub(every * n)));
            }
            waits
        });
        let (mut reading, mut write) = (Reading::new(client.read), client.write);
        let mut packet = publish(TOPIC, 1, self.bytes, 0);
        let payload_at = packet.len() - self.bytes.max(4);
        let mut buffer = Vec::new();
        packet[payload_at..payload_at + 4].copy_from_slice(&FILLING.to_be_bytes());
        for some in (0..self.fill).collect::<Vec<_>>().chunks(1000) {
            buffer.clear();
            for n in some {
                packet[payload_at - 2..payload_at].copy_from_slice(&id_of(u64::from(*n) + 1).to_be_bytes());
                buffer.extend_from_slice(&packet);
            }
            write.write_all(&buffer).await?;
            let mut acknowledged = 0;
            while acknowledged < some.len() as u64 {
                acknowledged += reading.some(|_, _| ()).await?.ok_or("the server closed the connection")?;
            }
        }
        let acks = tokio::spawn(async move { while let Ok(Some(_)) = reading.some(|_, _| ()).await {} });
        let mut sent = 0_u64;
        let (cpu, begin) = (self.cpu(), Instant::now());
        start.set(begin).map_err(|_| "begun twice")?;
        while sent < total {
            let due = ((begin.elapsed().as_secs_f64() / every.as_secs_f64()) as u64 + 1).min(total);
            buffer.clear();
            while sent < due {
                packet[payload_at..payload_at + 4].copy_from_slice(&u32::try_from(sent)?.to_be_bytes());
                sent += 1;
                packet[payload_at - 2..payload_at].copy_from_slice(&id_of(sent).to_be_bytes());
                buffer.extend_from_slice(&packet);
            }
            write.write_all(&buffer).await?;
            tokio::time::sleep_until(begin + every * u32::try_from(sent)?).await;
        }
        let mut waits = waits.await?;
        acks.abort();
        waits.sort_unstable();
        let at = |share| below(&waits, share);
        Ok(format!(
            r#"{{"delivered": {}, "p50_ms": {:.2}, "p99_ms": {:.2}, "kib_each": {:.0}, "memory_kib": {}, "cpu_s": {:.2}}}"#,
            waits.len(),
            at(0.5),
            at(0.99),
            self.memory_kib().saturating_sub(memory) as f64 / self.n.max(1) as f64,
            self.memory_kib(),
            self.cpu() - cpu
        ))
    }

    async fn connects(&self) -> Outcome<String> {
        let (before, own_before) = (self.memory_kib(), self.memory_of("RssAnon:"));
        let (cpu, begin) = (self.cpu(), Instant::now());
        // Plain sockets that block, `window` at a time: waiting for each by itself would cost more than the server does.
        let mut clients = Vec::with_capacity(self.n);
        while clients.len() < self.n {
            let first = clients.len();
            for number in first..self.n.min(first + self.window) {
                let mut stream = std::net::TcpStream::connect(self.address)?;
                stream.write_all(&connect_packet(&format!("idle-{number}"), true))?;
                clients.push(stream);
            }
            for stream in clients.get_mut(first..).unwrap_or_default() {
                let mut answer = [0; 4];
                stream.read_exact(&mut answer)?;
                if answer != [0x20, 2, 0, 0] {
                    return Err(format!("CONNECT was answered with {answer:02x?}").into());
                }
            }
        }
        let (took, cpu) = (begin.elapsed().as_secs_f64(), self.cpu() - cpu);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let each = |before: u64, now: u64| now.saturating_sub(before) as f64 * 1024.0 / clients.len().max(1) as f64;
        Ok(format!(
            r#"{{"connections": {}, "seconds": {took:.3}, "cpu_s": {cpu:.2}, "bytes_each": {:.0}, "own_bytes_each": {:.0}}}"#,
            clients.len(),
            each(before, self.memory_kib()),
            // Without the pages of files.
            each(own_before, self.memory_of("RssAnon:"))
        ))
    }

    async fn retained(&self) -> Outcome<String> {
        let client = Client::connect(self.address, "pub", true).await?;
        let room = Arc::new(Semaphore::new(self.window));
        let back = Arc::clone(&room);
        let acked = Arc::new(AtomicU64::new(0));
        let (read, mut write) = (client.read, client.write);
        let done = Arc::clone(&acked);
        tokio::spawn(async move {
            let mut reading = Reading::new(read);
            while let Ok(Some(some)) = reading.some(|_, _| ()).await {
                done.fetch_add(some, Relaxed);
                back.add_permits(usize::try_from(some).unwrap_or(0));
            }
        });
        for at in 0..self.n {
            room.acquire().await?.forget();
            let mut packet = publish(&format!("bench/retained/{}/{at}", at % 100), 1, self.bytes, 0);
            packet[0] |= 1;
            let id_at = packet.len() - self.bytes - 2;
            packet[id_at..id_at + 2].copy_from_slice(&id_of(at as u64 + 1).to_be_bytes());
            write.write_all(&packet).await?;
        }
        while acked.load(Relaxed) < self.n as u64 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let (cpu, begin) = (self.cpu(), Instant::now());
        let client = Client::connect(self.address, "sub", true).await?;
        let client = client.subscribe(&["bench/retained/#".to_owned()], 0).await?;
        let mut reading = client.reading();
        let mut came = 0;
        while came < self.n as u64 {
            let waited = tokio::time::timeout(Duration::from_secs(20), reading.some(|_, _| ())).await;
            let Ok(Ok(Some(some))) = waited else { break };
            came += some;
        }
        Ok(format!(
            r#"{{"delivered": {came}, "seconds": {:.3}, "cpu_s": {:.2}}}"#,
            begin.elapsed().as_secs_f64(),
            self.cpu() - cpu
        ))
    }
}

/// The wait, in ms, that a share of the waits, which are sorted, does not exceed.
fn below(waits: &[Duration], share: f64) -> f64 {
    let at = ((waits.len().max(1) - 1) as f64 * share) as usize;
    waits.get(at).map_or(0.0, |wait| wait.as_secs_f64() * 1e3)
}

/// An identifier that is not 0.
fn id_of(number: u64) -> u16 {
    u16::try_from((number - 1) % 65_535).unwrap_or(0) + 1
}

/// A PUBLISH; the payload begins with the publisher's number. With QoS 1 the identifier lies before the payload.
fn publish(topic: &str, qos: u8, bytes: usize, publisher: u32) -> Vec<u8> {
    let mut body = text(topic);
    if qos > 0 {
        body.extend_from_slice(&[0, 1]);
    }
    let begin = body.len();
    body.extend_from_slice(&publisher.to_be_bytes());
    body.resize(begin + bytes.max(4), b'x');
    packet(PUBLISH | qos << 1, &body)
}

fn connect_packet(id: &str, clean: bool) -> Vec<u8> {
    let mut body = text("MQTT");
    // Heard of within ten minutes: rumqttd lets in nobody without a keep alive.
    body.extend_from_slice(&[4, u8::from(clean) << 1, 2, 88]);
    body.extend_from_slice(&text(id));
    packet(CONNECT, &body)
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u16::try_from(text.len()).unwrap_or(0).to_be_bytes().to_vec();
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut left = body.len();
    loop {
        let digit = u8::try_from(left % 128).unwrap_or(0);
        left /= 128;
        packet.push(if left > 0 { digit | 0x80 } else { digit });
        if left == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

struct Client {
    read: OwnedReadHalf,
    write: OwnedWriteHalf,
    /// Came behind what was waited for.
    rest: Vec<u8>,
}

impl Client {
    async fn connect(address: SocketAddr, id: &str, clean: bool) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (read, write) = stream.into_split();
        let mut client = Self { read, write, rest: Vec::new() };
        client.write.write_all(&connect_packet(id, clean)).await?;
        let answer = client.packet().await?;
        if answer.first() != Some(&0x20) || answer.get(3) != Some(&0) {
            return Err(format!("CONNECT of {id} was answered with {answer:02x?}").into());
        }
        Ok(client)
    }

    async fn subscribe(mut self, filters: &[String], qos: u8) -> Outcome<Self> {
        let mut body = vec![0, 1];
        for filter in filters {
            body.extend_from_slice(&text(filter));
            body.push(qos);
        }
        self.write.write_all(&packet(SUBSCRIBE, &body)).await?;
        let answer = self.packet().await?;
        let granted = answer.get(answer.len().saturating_sub(filters.len())..).unwrap_or_default();
        if answer.first() != Some(&0x90) || granted.iter().any(|code| *code != qos) {
            return Err(format!("SUBSCRIBE was answered with {answer:02x?}").into());
        }
        Ok(self)
    }

    /// One whole packet.
    async fn packet(&mut self) -> Outcome<Vec<u8>> {
        loop {
            if let Some((_, whole)) = whole(&self.rest) {
                return Ok(self.rest.drain(..whole).collect());
            }
            if self.read.read_buf(&mut self.rest).await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }

    fn reading(self) -> Reading {
        Reading { read: self.read, buffer: self.rest, answer: Some(self.write), acks: Vec::new() }
    }

    /// Takes messages from now on, acknowledges them, and gives their publisher room for more after `each` of them.
    fn receive(self, rooms: Vec<Arc<Semaphore>>, each: u64, count: Arc<AtomicU64>) {
        tokio::spawn(async move {
            let mut reading = self.reading();
            let mut came = vec![0_usize; rooms.len()];
            loop {
                let alone = rooms.len() == 1;
                let note = |payload: &[u8], _: u8| {
                    let from = payload.first_chunk().map_or(0, |number| u32::from_be_bytes(*number));
                    let at = if alone { 0 } else { usize::try_from(from).unwrap_or(0) };
                    if let Some(came) = came.get_mut(at) {
                        *came += 1;
                    }
                };
                let Ok(Some(some)) = reading.some(note).await else { return };
                let before = count.fetch_add(some, Relaxed);
                if each > 1 {
                    let done = (before + some) / each - before / each;
                    rooms.iter().for_each(|room| room.add_permits(usize::try_from(done).unwrap_or(0)));
                    continue;
                }
                for (room, came) in rooms.iter().zip(&mut came) {
                    if *came > 0 {
                        room.add_permits(std::mem::take(came));
                    }
                }
            }
        });
    }
}

/// How long the packet in front is with its header, and where its body begins, if it is whole.
fn whole(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    for at in 0..4 {
        let byte = *bytes.get(1 + at)?;
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            let begin = 2 + at;
            return Some((begin, begin + length)).filter(|(_, whole)| bytes.len() >= *whole);
        }
    }
    None
}

struct Reading {
    read: OwnedReadHalf,
    buffer: Vec<u8>,
    answer: Option<OwnedWriteHalf>,
    acks: Vec<u8>,
}

impl Reading {
    fn new(read: OwnedReadHalf) -> Self {
        Self { read, buffer: Vec::new(), answer: None, acks: Vec::new() }
    }

    /// Reads what there is; how many messages or acknowledgements it was. `None`: the connection is over.
    async fn some(&mut self, mut note: impl FnMut(&[u8], u8)) -> Outcome<Option<u64>> {
        self.buffer.reserve(CHUNK);
        let mut number = 0;
        while number == 0 {
            let mut at = 0;
            while let Some((begin, end)) = whole(self.buffer.get(at..).unwrap_or_default()) {
                let packet = self.buffer.get(at..at + end).unwrap_or_default();
                let first = packet.first().copied().unwrap_or(0);
                match first & 0xF0 {
                    PUBLISH => {
                        let body = packet.get(begin..).unwrap_or_default();
                        let topic = body.first_chunk().map_or(0, |bytes| usize::from(u16::from_be_bytes(*bytes)));
                        let mut payload = body.get(2 + topic..).unwrap_or_default();
                        if first & 0x06 != 0 {
                            self.acks.extend_from_slice(&[PUBACK, 2]);
                            self.acks.extend_from_slice(payload.get(..2).unwrap_or_default());
                            payload = payload.get(2..).unwrap_or_default();
                        }
                        note(payload, first);
                        number += 1;
                    }
                    PUBACK => number += 1,
                    _ => {}
                }
                at += end;
            }
            self.buffer.drain(..at);
            if !self.acks.is_empty()
                && let Some(answer) = &mut self.answer
            {
                answer.write_all(&self.acks).await?;
            }
            self.acks.clear();
            if number == 0 && self.read.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(number))
    }
}

async fn publisher(
    client: Client,
    packets: Vec<Vec<u8>>,
    qos: u8,
    room: Arc<Semaphore>,
    over: Arc<AtomicBool>,
) -> Outcome<()> {
    let Client { read, write, .. } = client;
    // Acknowledgements are read, and the room is the subscriber's to give.
    tokio::spawn(async move {
        let mut reading = Reading::new(read);
        while let Ok(Some(_)) = reading.some(|_, _| ()).await {}
    });
    write_all(write, packets, qos, room, over).await
}

async fn write_all(
    mut write: OwnedWriteHalf,
    mut packets: Vec<Vec<u8>>,
    qos: u8,
    room: Arc<Semaphore>,
    over: Arc<AtomicBool>,
) -> Outcome<()> {
    let (mut sent, mut buffer) = (0_u64, Vec::new());
    let payload: Vec<usize> = packets.iter().map(|packet| topic_end(packet)).collect();
    while !over.load(Relaxed) {
        room.acquire().await?.forget();
        let more = u32::try_from(room.available_permits()).unwrap_or(u32::MAX).min(BATCH - 1);
        if more > 0 {
            room.acquire_many(more).await?.forget();
        }
        buffer.clear();
        for _ in 0..=more {
            let at = usize::try_from(sent).unwrap_or(0) % packets.len();
            sent += 1;
            if let (Some(packet), Some(end)) = (packets.get_mut(at), payload.get(at)) {
                if qos > 0 {
                    packet[*end..*end + 2].copy_from_slice(&id_of(sent).to_be_bytes());
                }
                buffer.extend_from_slice(packet);
            }
        }
        write.write_all(&buffer).await?;
        // One thread for all: the others want their turn.
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Where the topic of a PUBLISH ends.
fn topic_end(packet: &[u8]) -> usize {
    let (begin, _) = whole(packet).unwrap_or_default();
    let length = packet.get(begin..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u16::from_be_bytes(*bytes));
    begin + 2 + usize::from(length)
}
