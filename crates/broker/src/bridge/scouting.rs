//! What waits: counted as it comes, held within its bounds, found lost where the log has freed it.

use super::WhenFull;
use super::sending::Online;
use super::sieve::{Batch, Item};
use super::state::{Amount, Loss, Recount, Stretch};
use super::task::Task;
use andon_model::Timestamp;
use andon_model::log::Lane;
use andon_wire::mqtt::TopicName;
use std::collections::VecDeque;
use tokio::time::Instant;

/// How much of the lane is read at a time.
const READ_BYTES: usize = 256 << 10;
/// How many times that in one go while nothing else is done, once to count what came and once to keep the bounds.
const READS: usize = 64;

/// A stretch at work: read so far, and under way.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// The next frame to read.
    pub(super) cursor: u64,
    /// Read, and not sent yet.
    pub(super) ready: VecDeque<Item>,
    /// Sent in this order, and not done yet.
    pub(super) window: VecDeque<Flight>,
}

/// A message under way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) seq: u64,
    /// The topic of a retained message of before, whose number is 0.
    pub(super) retained: Option<TopicName>,
    pub(super) packet_id: u16,
    pub(super) done: bool,
    /// It is done because it was lost, which is counted already, also in what waits. One may stand for several in a row, with the
    /// number of the last.
    pub(super) lost: bool,
    /// What it counts for in what waits.
    pub(super) amount: Amount,
    /// What it counts for if it is lost.
    pub(super) weight: Amount,
    pub(super) received: Timestamp,
    pub(super) sent_at: Instant,
}

impl Flight {
    /// One that is over before it was sent, and counted.
    fn lost(seq: u64, received: Timestamp) -> Self {
        let (amount, weight) = (Amount::default(), Amount::default());
        Self {
            seq,
            retained: None,
            packet_id: 0,
            done: true,
            lost: true,
            amount,
            weight,
            received,
            sent_at: Instant::now(),
        }
    }
}

impl Run {
    pub(super) fn of(stretch: &Stretch) -> Self {
        Self { cursor: stretch.from, ..Self::default() }
    }
}

impl Task {
    fn end_of_lane(&self) -> u64 {
        self.log.durable_seq(Lane::Messages).0
    }

    /// Reads the lane away from this task's thread. A log that cannot be read is said, and read again later.
    pub(super) async fn read(&self, from: u64, below: Option<u64>) -> Option<Batch> {
        let (log, sieve) = (self.log.clone(), self.sieve.clone());
        let reading = tokio::task::spawn_blocking(move || sieve.read(&*log, from, below, READ_BYTES)).await;
        match reading {
            Ok(Ok(batch)) => Some(batch),
            Ok(Err(error)) => {
                tracing::error!(%error, bridge = self.options.name, "messages for a bridge could not be read from the log");
                None
            }
            Err(error) => {
                tracing::error!(%error, bridge = self.options.name, "reading messages for a bridge failed");
                None
            }
        }
    }

    /// Looks at what has come into the lane and was not looked at.
    pub(super) async fn scout(&mut self, mut online: Option<&mut Online>) {
        for _ in 0..READS {
            let from = self.state.scouted + 1;
            if from > self.end_of_lane() {
                break;
            }
            let Some(batch) = self.read(from, None).await else { break };
            self.lane_lost(&batch, from);
            self.count(&batch, online.as_deref_mut());
        }
        self.finish_recount();
    }

    /// Counts what of the batch was not counted yet.
    fn count(&mut self, batch: &Batch, online: Option<&mut Online>) {
        let before = self.state.scouted;
        let mut come = 0;
        for item in batch.items.iter().filter(|item| item.seq > before) {
            self.take_in(item);
            come += 1;
        }
        if let Some(online) = online.filter(|_| !self.options.newest_first) {
            online.tokens += f64::from(come);
        }
        self.state.scouted = before.max(batch.next.saturating_sub(1));
        self.dirty |= self.state.scouted > before;
        self.relax();
    }

    fn take_in(&mut self, item: &Item) {
        let amount = item.amount();
        let full = self.state.waiting.bytes.saturating_add(amount.bytes) > self.options.keep_bytes;
        if self.options.when_full == WhenFull::DropNewest && full && !self.state.refusing && self.state.wants(item.seq)
        {
            self.state.refuse_from(item.seq);
        }
        if self.state.wants(item.seq) {
            self.state.waiting.add(amount);
        } else if self.state.refusing && item.seq > self.state.known_to {
            let topic = || item.message.topic.as_str().to_owned();
            self.state.lose(Loss::Full, amount, item.message.received, topic);
        }
    }

    /// What comes is taken again once a tenth of the bound is free.
    fn relax(&mut self) {
        let free = self.options.keep_bytes - self.options.keep_bytes / 10;
        // Before all was counted again nobody knows how much waits.
        let known = self.state.scouted >= self.state.known_to;
        if known && self.state.waiting.bytes <= free && self.state.take_again() {
            self.runs.extend(self.state.stretches.last().map(Run::of));
            self.dirty = true;
        }
    }

    /// Part of what was asked for from `from` on is gone: what waits is counted again behind it.
    fn lane_lost(&mut self, batch: &Batch, from: u64) {
        let Some(gone_to) = batch.gone_to.filter(|to| *to >= from) else { return };
        // What is being counted anew for new filters was looked at for the old ones only.
        let looked = self.state.recount.map_or(self.state.scouted, |recount| recount.upto.max(self.state.scouted));
        let unseen = gone_to.saturating_sub(looked);
        if unseen > 0 {
            // So fast that nobody had looked at them: how many were to be sent is not known, and all are counted.
            let amount = Amount { messages: unseen, bytes: 0 };
            let detail = || format!("of {unseen} it is not known whether they were to go over");
            self.state.lose(Loss::Freed, amount, self.clock.now(), detail);
        }
        let needed = self.state.needed_from();
        if gone_to < needed || self.state.recount.is_some_and(|recount| recount.upto <= gone_to) {
            return;
        }
        let now = self.clock.now();
        let (before, from) = (self.state.waiting, self.oldest.unwrap_or(now));
        let recount = Recount { upto: self.state.scouted.max(gone_to), before, from };
        self.state.recount.get_or_insert(recount);
        for stretch in &mut self.state.stretches {
            stretch.from = stretch.from.max(gone_to + 1);
        }
        self.state.stretches.retain(|stretch| stretch.to.is_none_or(|to| to > stretch.from));
        self.runs = self.state.stretches.iter().map(Run::of).collect();
        self.state.count_anew(gone_to);
        self.dirty = true;
    }

    fn finish_recount(&mut self) {
        let Some(recount) = self.state.recount.filter(|recount| self.state.scouted >= recount.upto) else { return };
        self.state.recount = None;
        let mut lost = recount.before;
        lost.take(self.state.waiting);
        if lost.messages > 0 {
            let to = self.oldest.unwrap_or_else(|| self.clock.now());
            self.state.lose(Loss::Freed, lost, recount.from, String::new);
            self.state.lose(Loss::Freed, Amount::default(), to, String::new);
        }
    }

    /// Reads more of a stretch; false: there is no more now.
    pub(super) async fn read_more(&mut self, index: usize, online: Option<&mut Online>) -> bool {
        let (Some(run), Some(stretch)) = (self.runs.get(index), self.state.stretches.get(index)) else { return false };
        let (cursor, below) = (run.cursor, stretch.to);
        if below.is_some_and(|below| cursor >= below) || cursor > self.end_of_lane() {
            return false;
        }
        let Some(batch) = self.read(cursor, below).await else { return false };
        if batch.next <= cursor {
            return false;
        }
        if batch.gone_to.is_some() {
            self.lane_lost(&batch, cursor);
            // Its place may have changed.
            return false;
        }
        if cursor <= self.state.scouted + 1 {
            self.count(&batch, online);
        }
        // Counting may have closed the stretch because too much waits.
        let (Some(run), Some(stretch)) = (self.runs.get_mut(index), self.state.stretches.get(index)) else {
            return false;
        };
        run.cursor = batch.next.min(stretch.to.unwrap_or(u64::MAX)).max(cursor);
        let state = &self.state;
        let within = |item: &Item| stretch.has(item.seq) && !state.is_hole(item.seq);
        run.ready.extend(batch.items.into_iter().filter(within));
        true
    }

    /// Finds out what waits longest, and drops what may not wait any more.
    pub(super) async fn keep_bounds(&mut self) {
        // So many reads in one go, whatever they are for: then the link is looked after, and the rest follows with the next tick.
        let mut reads = READS;
        loop {
            self.oldest = self.find_oldest(&mut reads).await;
            let too_old = self.options.keep_for.zip(self.oldest);
            let too_old = too_old.is_some_and(|(most, oldest)| self.clock.now().since(oldest) > most);
            let too_much =
                self.options.when_full == WhenFull::DropOldest && self.state.waiting.bytes > self.options.keep_bytes;
            if !(too_old || too_much) || self.state.recount.is_some() || !self.drop_oldest(too_old, &mut reads).await {
                return;
            }
        }
    }

    /// Where everything was looked at, and nothing is left in any stretch, nothing waits, whatever was counted.
    pub(super) fn nothing_waits(&mut self) {
        let end = self.state.scouted;
        let is_over = |(run, stretch): (&Run, &Stretch)| {
            run.window.is_empty()
                && run.ready.is_empty()
                && stretch.to.map_or(stretch.from > end, |to| stretch.from >= to)
        };
        let over = self.runs.iter().zip(&self.state.stretches).all(is_over) && end >= self.end_of_lane();
        if over && self.state.recount.is_none() && self.state.waiting != Amount::default() {
            tracing::warn!(bridge = self.options.name, waiting = ?self.state.waiting, "more was counted than waits");
            self.state.waiting = Amount::default();
            self.dirty = true;
            self.relax();
        }
    }

    async fn find_oldest(&mut self, reads: &mut usize) -> Option<Timestamp> {
        loop {
            let run = self.runs.first()?;
            if let Some(flight) = run.window.iter().find(|flight| !flight.done) {
                return Some(flight.received);
            }
            if let Some(item) = run.ready.front() {
                return Some(item.message.received);
            }
            if self.state.waiting.messages == 0 {
                return None;
            }
            if *reads == 0 {
                // Not found yet: as before.
                return self.oldest;
            }
            *reads -= 1;
            if !self.read_more(0, None).await {
                let before = self.runs.len();
                self.settle(0);
                if self.runs.len() >= before {
                    return None;
                }
            }
        }
    }

    /// Drops messages that are not under way until the bounds are kept or nothing more is read; false: there are none.
    async fn drop_oldest(&mut self, too_old: bool, reads: &mut usize) -> bool {
        let now = self.clock.now();
        let mut any = false;
        loop {
            let Some(item) = self.runs.first().and_then(|run| run.ready.front()) else {
                let may_read = !any && *reads > 0;
                *reads -= usize::from(may_read);
                if !may_read || !self.read_more(0, None).await {
                    self.settle(0);
                    return any;
                }
                continue;
            };
            let old = self.options.keep_for.is_some_and(|most| now.since(item.message.received) > most);
            if !(too_old && old) && self.state.waiting.bytes <= self.options.keep_bytes {
                self.settle(0);
                return any;
            }
            let (seq, amount, received) = (item.seq, item.amount(), item.message.received);
            let topic = item.message.topic.clone();
            self.state.lose(Loss::Full, amount, received, || topic.as_str().to_owned());
            if let Some(run) = self.runs.first_mut() {
                run.ready.pop_front();
            }
            self.write_off(0, seq, amount, received);
            any = true;
        }
    }

    /// Takes a message that is lost, and told as such, out of what waits, behind what its stretch has under way.
    fn write_off(&mut self, index: usize, seq: u64, amount: Amount, received: Timestamp) {
        self.under_way.remove(&seq);
        self.suspect.take_if(|suspect| suspect.is(seq, None));
        self.state.waiting.take(amount);
        self.dirty = true;
        let Some(run) = self.runs.get_mut(index) else { return };
        let before = run.window.back().filter(|flight| flight.lost).map(|flight| flight.seq);
        if before.is_some() || run.window.iter().any(|flight| !flight.done) {
            self.state.make_hole(before, seq);
        }
        match run.window.back_mut().filter(|flight| flight.lost) {
            Some(flight) => flight.seq = seq,
            None => run.window.push_back(Flight::lost(seq, received)),
        }
    }

    /// Writes off the first item of a stretch that could not be sent; for others nothing waits.
    pub(super) fn pass_over(&mut self, index: usize, flight: &Flight) {
        self.write_off(index, flight.seq, flight.amount, flight.received);
    }

    /// A message in the middle of what is under way was lost.
    pub(super) fn lose_flight(&mut self, index: usize, packet_id: u16) {
        let Some(run) = self.runs.get_mut(index) else { return };
        let Some(at) = run.window.iter().position(|flight| flight.packet_id == packet_id && !flight.done) else {
            return;
        };
        let before = at.checked_sub(1).and_then(|before| run.window.get(before));
        let before = before.filter(|flight| flight.lost).map(|flight| flight.seq);
        if let Some(flight) = run.window.get_mut(at) {
            (flight.done, flight.lost) = (true, true);
            self.state.waiting.take(std::mem::take(&mut flight.amount));
            self.state.make_hole(before, flight.seq);
            self.dirty = true;
        }
    }

    /// Moves the begin of a stretch behind what is done; a stretch with nothing left goes.
    pub(super) fn settle(&mut self, index: usize) {
        let (Some(run), Some(stretch)) = (self.runs.get_mut(index), self.state.stretches.get_mut(index)) else {
            return;
        };
        let before = stretch.from;
        while let Some(flight) = run.window.pop_front_if(|flight| flight.done) {
            stretch.from = flight.seq + 1;
            self.state.waiting.take(flight.amount);
        }
        if run.window.is_empty() {
            stretch.from = run.ready.front().map_or(run.cursor, |item| item.seq).max(stretch.from);
        }
        let moved = stretch.from != before;
        let over = stretch.to.is_some_and(|to| stretch.from >= to) && run.window.is_empty() && run.ready.is_empty();
        if over {
            self.state.stretches.remove(index);
            self.runs.remove(index);
            self.relax();
        }
        if moved {
            self.dirty = true;
            self.state.close_holes();
        }
    }
}
