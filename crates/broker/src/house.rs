//! What happens by the clock: wills after their delay, sessions at their end, `$SYS`.

use crate::broker::Broker;
use crate::history::SYNC_EVERY;
use crate::message::Message;
use andon_model::log::{Lane, Seq};
use andon_wire::mqtt::{QoS, TopicName};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often the deadlines are looked at; times are kept to within a second.
const TICK: Duration = Duration::from_millis(200);
/// How often it is asked what those who publish are called.
const NAMES_EVERY: Duration = Duration::from_secs(60);

impl Broker {
    pub(crate) async fn keep_house(self: Arc<Self>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut next_sys = Duration::ZERO;
        let mut next_names = self.clock.monotonic().saturating_add(NAMES_EVERY);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            self.with_core(|core| core.keep_house());
            if self.catalogue().keep_house(self.clock.now()) {
                self.hooks.topics_not_listed(self.options.catalogue_topics);
            }
            let now = self.clock.monotonic();
            if now >= next_names {
                next_names = now.saturating_add(NAMES_EVERY);
                self.names.refresh(&*self.hooks);
            }
            if !self.options.sys_interval.is_zero() && now >= next_sys {
                next_sys = now.saturating_add(self.options.sys_interval);
                self.publish_sys(now);
            }
        }
    }

    /// Writes messages that are to be kept, as they come.
    pub(crate) async fn keep_messages(self: Arc<Self>) {
        /// How often it is looked for what is past its time.
        const HOUSE_EVERY: u32 = 5;
        let mut tick = interval(SYNC_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut unsynced, mut ticks) = (false, 0_u32);
        loop {
            let ticked = tokio::select! {
                () = self.history.wake.notified() => false,
                _ = tick.tick() => true,
                () = self.last.cancelled() => true,
            };
            let end = self.last.is_cancelled();
            ticks = ticks.wrapping_add(u32::from(ticked));
            let house = ticked && ticks % HOUSE_EVERY == 0;
            let sync = self.history.sync_wanted.swap(false, Ordering::AcqRel) || (unsynced && ticked) || end;
            unsynced = !sync && (unsynced || !ticked);
            if !(sync || house || !ticked) {
                continue;
            }
            let (history, log, now) = (self.history.clone(), self.pipeline.log().clone(), self.clock.now());
            let monotonic = self.clock.monotonic();
            let written = tokio::task::spawn_blocking(move || {
                history.write_line(&*log, sync, now);
                if house {
                    history.keep_house(now, monotonic);
                }
            });
            if let Err(error) = written.await {
                tracing::error!(%error, "the task that writes kept MQTT messages failed");
            }
            if end {
                return;
            }
        }
    }

    /// Takes messages that wait in the log into memory, and so into the snapshot, before the log has to free them.
    pub(crate) async fn hold_messages(self: Arc<Self>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut held = Seq(0);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            let last = self.pipeline.log().pressed(Lane::Messages);
            if last > held && self.hold_up_to(last).await {
                held = last;
            }
        }
    }

    /// True: nothing that could be read waits in the log up to there any more.
    async fn hold_up_to(&self, last: Seq) -> bool {
        for (session, seqs) in self.with_core(|core| core.waiting_up_to(last)) {
            match self.read_messages(seqs, usize::MAX).await {
                Ok((found, _)) => self.with_core(|core| core.hold(session, &found)),
                Err(error) => {
                    tracing::error!(%error, "MQTT messages that wait in the log could not be read before it frees them");
                    return false;
                }
            }
        }
        // Saved, the log may free them.
        self.save_now().await;
        true
    }

    /// A few figures under `$SYS/broker/`, for tools that look there.
    fn publish_sys(&self, monotonic: Duration) {
        let stats = self.stats();
        let uptime_s = monotonic.saturating_sub(self.started).as_secs();
        let figures = [
            ("version", concat!("andon ", env!("CARGO_PKG_VERSION")).to_owned()),
            ("uptime", format!("{uptime_s} seconds")),
            ("clients/connected", stats.connected.to_string()),
            ("clients/total", stats.sessions.to_string()),
            ("messages/received", stats.received.to_string()),
            ("messages/sent", stats.delivered.to_string()),
            ("publish/messages/dropped", stats.dropped.to_string()),
            ("retained messages/count", stats.retained.to_string()),
            ("subscriptions/count", stats.subscriptions.to_string()),
        ];
        let now = self.clock.now();
        self.with_core(|core| {
            for (name, value) in figures {
                let Ok(topic) = TopicName::parse(&format!("$SYS/broker/{name}")) else { continue };
                let message = Message::internal(topic.clone(), Bytes::from(value), QoS::AtMostOnce, true, now);
                let message = Arc::new(message);
                core.route(Seq(0), &message, crate::frames::SessionNo::NODE);
                core.sys.insert(topic, message);
            }
        });
    }
}
