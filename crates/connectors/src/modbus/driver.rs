//! One task owns one device: it connects, polls, writes, backs off, and says how it is.
//!
//! The idea: an actor. Nobody else touches the connection, so requests never interleave. Writes come through a
//! bounded queue ([`QUEUE`]) and are carried out between two reads.
//!
//! **Invariants**
//! - A link on which anything went wrong is never used again (see [`super::link`]); after it comes a back-off of
//!   [`BACK_OFF_MIN`], doubled up to [`BACK_OFF_MAX`] until a connection has held for as long as the last wait.
//! - While the device is lost, every tag has been published once as bad; nothing is repeated until it returns.
//! - A refused block costs only the tags that the device really refuses.
//! - A write is sent at most once, never after its deadline, and always answered.

use super::config::{Config, Register};
use super::link::{Answer, Data, Link, LinkError, Refused};
use super::plan::{Block, plan};
use super::value::{RawWrite, decode, encode};
use crate::health::{ConnectorState, Health};
use andon_bus::{Arrival, Bus};
use andon_model::access::Principal;
use andon_model::command::{WriteError, Written};
use andon_model::event::{ConnectionChange, Event, What};
use andon_model::record::Recorder;
use andon_model::{Clock, Sample, StatusCode, TagId, Timestamp, Value};
use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How many commands may wait for one device; more are refused aloud.
pub const QUEUE: usize = 16;
/// The first wait before connecting again.
pub const BACK_OFF_MIN: Duration = Duration::from_millis(500);
/// The longest wait before connecting again.
pub const BACK_OFF_MAX: Duration = Duration::from_secs(30);
/// A refused register is asked for again after this time, or at its own rate if that is slower.
pub const REFUSED_RETRY: Duration = Duration::from_secs(10);
/// How long the driver waits for an event to be durable before it goes on (the event is in the chain either way).
const RECORD_PATIENCE: Duration = Duration::from_secs(2);

/// One device, and which tag each of its registers is on this node.
#[derive(Debug, PartialEq)]
pub struct Device {
    /// The connector's name.
    pub name: String,
    /// Its checked settings.
    pub config: Config,
    /// In the order of `config.registers`.
    pub tags: Vec<TagId>,
}

/// What can be asked of a running driver.
#[derive(Debug)]
pub enum Ask {
    /// Write a register, once.
    Write {
        /// Index into the registers.
        register: usize,
        /// In the tag's unit.
        value: Value,
        /// Not after this.
        deadline: Timestamp,
        /// Where the outcome goes.
        reply: oneshot::Sender<Result<Written, WriteError>>,
    },
    /// Read everything once on the open connection; no reply when there is none.
    Test {
        /// Where the result goes.
        reply: oneshot::Sender<Result<Reading, LinkError>>,
    },
}

/// Everything that one pass over a device brought.
#[derive(Debug, Default, PartialEq)]
pub struct Reading {
    /// By index of the register; refused ones are null with their bad quality.
    pub values: Vec<(usize, Value, StatusCode)>,
    /// What the device refused.
    pub refused: Vec<Refused>,
}

/// What the driver knows of the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Presence {
    Unknown,
    Present,
    Lost,
}

/// Why one connection's life ended.
enum End {
    Stopped,
    Lost(LinkError),
}

impl From<LinkError> for End {
    fn from(error: LinkError) -> Self {
        Self::Lost(error)
    }
}

/// Registers of one rate, as far as the device let them be merged.
struct Rate {
    period: Duration,
    tick: Interval,
    blocks: Vec<Part>,
}

/// A block, and when it may be asked for again if it was refused.
#[derive(Clone)]
struct Part {
    block: Block,
    retry_at: Option<Duration>,
}

/// The task of one device.
pub struct Driver {
    device: Arc<Device>,
    bus: Arc<Bus>,
    recorder: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
    asks: mpsc::Receiver<Ask>,
    presence: Presence,
    /// Registers that are refused now and with which exception, so that each is told once.
    refused: HashMap<usize, u8>,
    /// When the present connection first answered, by the monotonic clock.
    answering_since: Option<Duration>,
    turn: usize,
}

impl Driver {
    /// A driver and the queue to ask it by. It does nothing until [`Driver::run`].
    pub fn new(
        device: Arc<Device>,
        bus: Arc<Bus>,
        recorder: Arc<dyn Recorder>,
        clock: Arc<dyn Clock>,
        health: Arc<Health>,
    ) -> (Self, mpsc::Sender<Ask>) {
        let (sender, asks) = mpsc::channel(QUEUE);
        let presence = Presence::Unknown;
        let driver = Self {
            device,
            bus,
            recorder,
            clock,
            health,
            asks,
            presence,
            refused: HashMap::new(),
            answering_since: None,
            turn: 0,
        };
        (driver, sender)
    }

    /// Runs until `stop`. A request under way is given up, a write under way is finished first.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut wait = BACK_OFF_MIN;
        loop {
            self.answering_since = None;
            let End::Lost(error) = self.life(&stop).await else { break };
            let held = self.answering_since.map(|since| self.clock.monotonic().saturating_sub(since));
            if held.is_some_and(|held| held >= wait) {
                wait = BACK_OFF_MIN;
            }
            self.lost(&error).await;
            if !self.wait(wait, &stop).await {
                break;
            }
            wait = wait.saturating_mul(2).min(BACK_OFF_MAX);
        }
        self.asks.close();
        while let Ok(ask) = self.asks.try_recv() {
            offline(ask, "the connector is stopping");
        }
    }

    /// One connection, from connect to its end.
    async fn life(&mut self, stop: &CancellationToken) -> End {
        let device = self.device.clone();
        let mut connecting = pin!(Link::connect(&device.config));
        let mut link = loop {
            tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                Some(ask) = self.asks.recv() => offline(ask, "the device is being connected"),
                connected = &mut connecting => match connected {
                    Ok(link) => break link,
                    Err(error) => return End::Lost(error),
                },
            }
        };
        let mut rates = rates(&device.config);
        loop {
            let served = tokio::select! {
                () = stop.cancelled() => return End::Stopped,
                Some(ask) = self.asks.recv() => self.serve(&mut link, ask).await.map_err(End::from),
                index = next_due(&mut rates, self.turn) => {
                    self.turn = index + 1;
                    match rates.get_mut(index) {
                        Some(rate) => self.poll(&mut link, rate, stop).await,
                        None => Ok(()),
                    }
                }
            };
            if let Err(end) = served {
                return end;
            }
        }
    }

    /// Waits out the back-off, telling everybody who asks that the device is away. False when stopped.
    async fn wait(&mut self, span: Duration, stop: &CancellationToken) -> bool {
        let reason = "the device does not answer";
        let mut over = pin!(tokio::time::sleep(span));
        loop {
            tokio::select! {
                () = stop.cancelled() => return false,
                () = &mut over => return true,
                Some(ask) = self.asks.recv() => offline(ask, reason),
            }
        }
    }

    /// Reads the blocks of one rate; commands go between them.
    async fn poll(&mut self, link: &mut Link, rate: &mut Rate, stop: &CancellationToken) -> Result<(), End> {
        let mut kept = Vec::with_capacity(rate.blocks.len());
        let mut parts = std::mem::take(&mut rate.blocks).into_iter();
        let mut outcome = Ok(());
        for part in parts.by_ref() {
            if part.retry_at.is_some_and(|at| self.clock.monotonic() < at) {
                kept.push(part);
                continue;
            }
            let read = tokio::select! {
                () = stop.cancelled() => Err(End::Stopped),
                read = self.read_apart(link, &part.block) => read.map_err(End::from),
            };
            match read {
                Ok(pieces) => kept.extend(self.take_in(part, pieces, rate.period).await),
                Err(end) => {
                    outcome = Err(end);
                    break;
                }
            }
            while let Ok(ask) = self.asks.try_recv() {
                if let Err(error) = self.serve(link, ask).await {
                    outcome = Err(error.into());
                    break;
                }
            }
            if outcome.is_err() {
                break;
            }
        }
        kept.extend(parts);
        rate.blocks = kept;
        outcome
    }

    /// Publishes what was read and says how to ask next time.
    async fn take_in(&mut self, part: Part, pieces: Vec<(Block, Answer<Data>)>, period: Duration) -> Vec<Part> {
        let retry_at = self.clock.monotonic() + REFUSED_RETRY.max(period);
        let any_good = pieces.iter().any(|(_, answer)| answer.is_ok());
        let mut next = Vec::with_capacity(pieces.len());
        let mut waits = false;
        for (block, answer) in pieces {
            let passes = match &answer {
                Ok(_) => true,
                Err(refused) => refused.passes_by_itself(),
            };
            self.publish(&block, &answer).await;
            waits |= !passes;
            next.push(Part { block, retry_at: (!passes).then_some(retry_at) });
        }
        if any_good {
            return next;
        }
        // Refused as a whole: the layout was not at fault, so it stays as it was.
        vec![Part { block: part.block, retry_at: waits.then_some(retry_at) }]
    }

    async fn publish(&mut self, block: &Block, answer: &Answer<Data>) {
        let known = self.note_refusals(block, answer);
        let now = self.clock.now();
        let values = values_of(&self.device.config, block, answer);
        let samples: Vec<Sample> = values
            .into_iter()
            // Refused again is nothing new: the tag has been bad since it was refused first.
            .filter(|(index, ..)| !known.contains(index))
            .filter_map(|(index, value, quality)| {
                Some(Sample { tag: *self.device.tags.get(index)?, value, quality, source_ts: now, received_ts: now })
            })
            .collect();
        self.health.brought(samples.len());
        let arrival = Arrival::of(&samples);
        self.bus.publish(samples).await;
        self.health.arrivals.note(arrival, self.bus.all_stored_up_to());
    }

    /// A register is logged when it begins to be refused and when it comes back, not in between. Returns those that were refused
    /// just so before.
    fn note_refusals(&mut self, block: &Block, answer: &Answer<Data>) -> Vec<usize> {
        let mut known = Vec::new();
        for index in &block.registers {
            let tag =
                self.device.config.registers.get(*index).map(|register| register.tag.as_str()).unwrap_or_default();
            match answer {
                Err(refused) if self.refused.insert(*index, refused.code) == Some(refused.code) => known.push(*index),
                Err(refused) => {
                    tracing::warn!(connector = %self.device.name, tag, "{refused}; {}", refused.remedy());
                    self.health.failed(refused.to_string(), refused.remedy());
                }
                Ok(_) if self.refused.remove(index).is_some() => {
                    tracing::info!(connector = %self.device.name, tag, "the device gives it again")
                }
                Ok(_) => {}
            }
        }
        self.health.refuses(self.refused.len());
        known
    }

    /// One read request, with the figures that go with it.
    async fn read(&mut self, link: &mut Link, block: &Block) -> Result<Answer<Data>, LinkError> {
        let begun = self.clock.monotonic();
        let answer = link.read(block.table, block.start, block.count).await;
        self.note(begun, answer.is_ok()).await;
        answer
    }

    /// Reads a block; if the device refuses it for one address, reads its parts, so that the good ones live on.
    async fn read_apart(&mut self, link: &mut Link, block: &Block) -> Result<Vec<(Block, Answer<Data>)>, LinkError> {
        let mut open = vec![block.clone()];
        let mut pieces = Vec::new();
        while let Some(block) = open.pop() {
            let answer = self.read(link, &block).await?;
            let halves = match &answer {
                Err(refused) if refused.may_concern_one_address() => block.split(&self.device.config.registers),
                _ => None,
            };
            match halves {
                Some((left, right)) => open.extend([right, left]),
                None => pieces.push((block, answer)),
            }
        }
        Ok(pieces)
    }

    async fn note(&mut self, begun: Duration, answered: bool) {
        let now = self.clock.monotonic();
        if !answered {
            self.health.unanswered();
            return;
        }
        self.health.answered(now.saturating_sub(begun));
        self.answering_since.get_or_insert(now);
        if self.presence != Presence::Present {
            self.presence = Presence::Present;
            self.health.enter(ConnectorState::Connected);
            tracing::info!(connector = %self.device.name, endpoint = %self.device.config.endpoint, "the device answers");
            self.record(true, "the device answers").await;
        }
    }

    /// Every tag once as bad, one line in the log, one event.
    async fn lost(&mut self, error: &LinkError) {
        self.health.failed(error.to_string(), error.remedy());
        self.health.enter(ConnectorState::Failed);
        self.refused.clear();
        self.health.refuses(0);
        if self.presence == Presence::Lost {
            return;
        }
        self.presence = Presence::Lost;
        tracing::warn!(connector = %self.device.name, "{error}; {}", error.remedy());
        publish_bad(&self.bus, &self.device.tags, StatusCode::BAD_NO_COMMUNICATION, self.clock.now()).await;
        self.record(false, &error.to_string()).await;
    }

    async fn record(&self, connected: bool, reason: &str) {
        let change = ConnectionChange {
            protocol: "modbus".to_owned(),
            name: self.device.name.clone(),
            connected,
            reason: reason.to_owned(),
        };
        let event = Event {
            id: andon_bus::ids::new_id(&*self.clock),
            at: self.clock.now(),
            source_at: None,
            path: common_branch(&self.device.config),
            by: Principal::SYSTEM,
            what: What::Connection(change),
        };
        match tokio::time::timeout(RECORD_PATIENCE, self.recorder.record(event)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::error!(connector = %self.device.name, "could not record that the connection changed: {error}")
            }
            Err(_) => {
                tracing::warn!(connector = %self.device.name, "the record of a changed connection is slow to become durable")
            }
        }
    }

    async fn serve(&mut self, link: &mut Link, ask: Ask) -> Result<(), LinkError> {
        match ask {
            Ask::Test { reply } => {
                let read = read_once(link, &self.device.config).await;
                let failed = read.as_ref().err().map(|_| LinkError::Dropped);
                // Whoever asked may have gone away; that changes nothing here.
                let _ = reply.send(read);
                failed.map_or(Ok(()), Err)
            }
            Ask::Write { register, value, deadline, reply } => {
                let (outcome, broken) = self.write(link, register, &value, deadline).await;
                let _ = reply.send(outcome);
                broken.map_or(Ok(()), Err)
            }
        }
    }

    /// Writes once and reads back. The second part is the failure of the link, if it failed.
    async fn write(
        &mut self,
        link: &mut Link,
        index: usize,
        value: &Value,
        deadline: Timestamp,
    ) -> (Result<Written, WriteError>, Option<LinkError>) {
        let device = self.device.clone();
        let (Some(register), Some(tag)) = (device.config.registers.get(index), device.tags.get(index)) else {
            return (Err(WriteError::NotSent("the device has no such register".to_owned())), None);
        };
        if self.clock.now() >= deadline {
            return (Err(WriteError::NotSent("its time ran out before the device was free".to_owned())), None);
        }
        let raw = match encode(register, value) {
            Ok(raw) => raw,
            Err(error) => return (Err(WriteError::NotSent(error.to_string())), None),
        };
        let begun = self.clock.monotonic();
        let answer = link.write(register.table, register.address, &raw).await;
        self.note(begun, answer.is_ok()).await;
        match answer {
            Err(error) => return (Err(WriteError::NoAnswer(error.to_string())), Some(error)),
            Ok(Err(refused)) => {
                self.health.failed(refused.to_string(), refused.remedy());
                return (Err(WriteError::Refused(super::link::exception_words(refused.code))), None);
            }
            Ok(Ok(())) => {}
        }
        self.read_back(link, register, *tag, value, &raw).await
    }

    async fn read_back(
        &mut self,
        link: &mut Link,
        register: &Register,
        tag: TagId,
        wanted: &Value,
        raw: &RawWrite,
    ) -> (Result<Written, WriteError>, Option<LinkError>) {
        let block = Block {
            table: register.table,
            start: register.address,
            count: register.kind.width(),
            registers: Vec::new(),
        };
        let data = match self.read(link, &block).await {
            Err(error) => {
                return (
                    Err(WriteError::NoAnswer(format!("written, but it could not be read back: {error}"))),
                    Some(error),
                );
            }
            // A register that takes writes but gives no reads: the device took it, more cannot be known.
            Ok(Err(_)) => return (Ok(Written::Sent), None),
            Ok(Ok(data)) => data,
        };
        let Some(part) = data.part(0, usize::from(register.kind.width())) else { return (Ok(Written::Sent), None) };
        let (mut value, quality) = decode(register, part);
        // Where the device holds exactly the words that were sent, the value is the one asked for, not its nearest float.
        if matches!((raw, &data), (RawWrite::Words(sent), Data::Words(held)) if sent == held)
            && let Some(wanted) = wanted.coerce(register.data_type)
        {
            value = wanted;
        }
        let now = self.clock.now();
        let sample = Sample { tag, value, quality, source_ts: now, received_ts: now };
        self.bus.publish(vec![sample.clone()]).await;
        (Ok(Written::ReadBack(sample)), None)
    }
}

/// Every tag as null with this quality.
pub(crate) async fn publish_bad(bus: &Bus, tags: &[TagId], quality: StatusCode, now: Timestamp) {
    let bad = |tag: &TagId| Sample { tag: *tag, value: Value::Null, quality, source_ts: now, received_ts: now };
    bus.publish(tags.iter().map(bad).collect()).await;
}

fn rates(config: &Config) -> Vec<Rate> {
    let part = |block| Part { block, retry_at: None };
    let rate = |group: super::plan::Group| {
        let mut tick = interval(group.period);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip); // A late poll is skipped, not doubled.
        Rate { period: group.period, tick, blocks: group.blocks.into_iter().map(part).collect() }
    };
    plan(config).into_iter().map(rate).collect()
}

/// The next rate that is due, beginning the search at `turn`, so that a fast rate cannot starve a slow one.
async fn next_due(rates: &mut [Rate], turn: usize) -> usize {
    std::future::poll_fn(|context| {
        let count = rates.len();
        for step in 0..count {
            let index = (turn + step) % count;
            if rates.get_mut(index).is_some_and(|rate| rate.tick.poll_tick(context).is_ready()) {
                return Poll::Ready(index);
            }
        }
        Poll::Pending
    })
    .await
}

/// Answers somebody who asks while there is no connection.
fn offline(ask: Ask, reason: &str) {
    match ask {
        // Whoever asked may have gone away; that changes nothing here.
        Ask::Write { reply, .. } => drop(reply.send(Err(WriteError::NotConnected(reason.to_owned())))),
        Ask::Test { reply } => drop(reply),
    }
}

/// What a block's answer means for its registers.
fn values_of(config: &Config, block: &Block, answer: &Answer<Data>) -> Vec<(usize, Value, StatusCode)> {
    let value = |index: &usize| {
        let register = config.registers.get(*index)?;
        let (value, quality) = match answer {
            Err(refused) => (Value::Null, quality_of(refused.code)),
            Ok(data) => {
                let offset = usize::from(register.address.saturating_sub(block.start));
                data.part(offset, usize::from(register.kind.width()))
                    .map_or((Value::Null, StatusCode::BAD_DECODING_ERROR), |part| decode(register, part))
            }
        };
        Some((*index, value, quality))
    };
    block.registers.iter().filter_map(value).collect()
}

/// What an exception says about the value.
const fn quality_of(code: u8) -> StatusCode {
    match code {
        0x01..=0x03 => StatusCode::BAD_CONFIGURATION_ERROR,
        0x0A | 0x0B => StatusCode::BAD_NO_COMMUNICATION,
        _ => StatusCode::BAD_DEVICE_FAILURE,
    }
}

/// Reads every register of the device once.
/// # Errors
/// [`LinkError`]: the connection is gone.
pub async fn read_once(link: &mut Link, config: &Config) -> Result<Reading, LinkError> {
    let mut reading = Reading::default();
    let mut open: Vec<Block> = plan(config).into_iter().flat_map(|group| group.blocks).rev().collect();
    while let Some(block) = open.pop() {
        let answer = link.read(block.table, block.start, block.count).await?;
        if let Err(refused) = &answer {
            if let Some((left, right)) =
                refused.may_concern_one_address().then(|| block.split(&config.registers)).flatten()
            {
                open.extend([right, left]);
                continue;
            }
            reading.refused.push(refused.clone());
        }
        reading.values.extend(values_of(config, &block, &answer));
    }
    reading.values.sort_by_key(|(index, ..)| *index);
    Ok(reading)
}

/// The lowest equipment that has all tags of the device below it; empty if there is none.
fn common_branch(config: &Config) -> String {
    let mut branch: Option<String> = None;
    for register in &config.registers {
        let equipment = register.tag.equipment();
        let mut common = branch.take().unwrap_or_else(|| equipment.as_str().to_owned());
        while !andon_model::path::is_under(equipment.as_str(), &common) {
            common = common.rsplit_once('/').map_or(String::new(), |(above, _)| above.to_owned());
        }
        branch = Some(common);
    }
    branch.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exception_says_whose_fault_it_is() {
        assert_eq!(quality_of(0x02), StatusCode::BAD_CONFIGURATION_ERROR);
        assert_eq!(quality_of(0x04), StatusCode::BAD_DEVICE_FAILURE);
        assert_eq!(quality_of(0x0B), StatusCode::BAD_NO_COMMUNICATION);
    }
}
