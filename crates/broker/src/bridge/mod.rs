//! Bridges to other brokers: what is published here goes there, and the other way round, also after days without the link.
//!
//! **Idea.** What is to be sent is in the log's `messages` lane already, so a bridge is a reader of it: it saves how far it has come, as
//! any other reader does, and the log frees nothing it still needs within the lane's limit for what is held. The saved state is a list of
//! stretches of the lane that are still to be sent: usually one that goes on with the lane; a second one behind it when newest
//! messages go first; a hole where messages were dropped because too much waited.
//!
//! **Invariants**
//! - A stretch grows shorter only behind messages that the other side acknowledged, or whose loss is counted and told.
//! - Within a stretch messages are sent in the order of the lane, and again in that order after the link was lost.
//! - What comes from the other side is durable here before it is acknowledged.
//! - What came from the other side over this bridge is not sent back over it; what was at a node once is not sent to it again, as far as
//!   the protocol can tell (user properties of 5.0).
//! - Commands do not cross in either direction, and no topic that begins with `$`.
//! - In memory are one batch of the lane for each of at most two stretches, the messages under way, and [`link::RECEIVE`] messages on
//!   their way into the log.
//!
//! Start reading at [`Bridge::start`], then `task` (the life of a bridge), `sending`, `receiving`.

mod link;
mod receiving;
mod rules;
mod scouting;
mod sending;
mod sieve;
mod state;
mod status;
mod task;

pub use self::rules::{Rule, is_in_front, overlap};
pub(crate) use self::sieve::Taps;
pub use self::state::{Amount, Loss, Lost};
pub use self::status::{LinkState, Notice, Report, Trouble};

use self::status::Status;
use self::task::Task;
use crate::broker::Broker;
use andon_model::BoxFuture;
use andon_model::log::SnapshotError;
use andon_wire::mqtt::{Text, Version};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Names a node to another node, in CONNECT and CONNACK: a user property with its id.
pub const NODE: &str = "andon-node";
/// The ids of the nodes that a message has left over bridges, with commas in between: a user property.
pub const PATH: &str = "andon-path";
/// When the first of these nodes received a message, after RFC 3339: a user property.
pub const TIME: &str = "andon-time";
/// How many user properties a bridge adds to a message at the most.
pub(crate) const MARKS: usize = 2;
/// The most nodes in [`PATH`].
pub const HOPS: usize = 16;

/// A byte stream to the other side.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Makes connections to the other side.
#[async_trait]
pub trait Dial: Send + Sync + 'static {
    /// A new connection, encrypted if it is to be. Given up after [`BridgeOptions::answer_within`].
    /// # Errors
    /// In plain words.
    async fn dial(&self) -> Result<Box<dyn Stream>, Trouble>;
}

/// Those who are told what happens on a bridge.
pub trait Ears: Send + Sync + 'static {
    /// Must not block.
    fn hear(&self, notice: Notice);

    /// Hears of a loss, and says once it is kept where no restart loses it; `false`: it cannot be kept now, and is to be told again.
    /// Must not block.
    fn lost(&self, lost: Lost) -> BoxFuture<'static, bool>;
}

/// What proves who we are; shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub Bytes);

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What goes when too much waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// What has waited longest.
    DropOldest,
    /// What comes now.
    DropNewest,
}

/// A bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BridgeOptions {
    /// Its name, unique in this node.
    pub name: String,
    /// This node.
    pub node: Uuid,
    /// 3.1.1 or 5.0.
    pub version: Version,
    /// Where the other side is, for whose sessions it keeps: at another address none of ours may be.
    pub endpoint: String,
    /// Who we are.
    pub client_id: Text,
    /// Who we are, for the other side's accounts.
    pub user: Option<Text>,
    /// The proof.
    pub password: Option<Password>,
    /// After half of this, or of what the server asks for if that is less, without a packet of ours or of theirs, PINGREQ. Seconds, at
    /// least 2.
    pub keep_alive_s: u16,
    /// How long the other side may take for any answer; after that the link is given up.
    pub answer_within: Duration,
    /// How long the other side keeps what is for us while there is no link. Seconds.
    pub session_expiry_s: u32,
    /// From here to there; the first rule whose filter matches a topic holds.
    pub send: Arc<[Rule]>,
    /// From there to here, likewise.
    pub receive: Arc<[Rule]>,
    /// How many messages per second are sent beyond those that come in the same time; `None`: as many as can be.
    pub catch_up_per_second: Option<u32>,
    /// After a time without the link, what comes now is sent at once and what has waited behind it.
    pub newest_first: bool,
    /// How many messages may be under way, 1 to 1,000; the other side may ask for fewer.
    pub in_flight: u16,
    /// The most bytes of topics and payloads that wait.
    pub keep_bytes: u64,
    /// The longest a message waits.
    pub keep_for: Option<Duration>,
    /// What goes when more than that waits.
    pub when_full: WhenFull,
    /// A message that the other side refuses is lost; otherwise all wait until it is taken.
    pub skip_refused: bool,
    /// When the oldest message has waited for so long, it is told.
    pub alarm_after: Duration,
    /// The wait before the first new attempt; it doubles up to `retry_most`.
    pub retry_first: Duration,
    /// The longest wait between attempts.
    pub retry_most: Duration,
}

impl BridgeOptions {
    /// Under this name the bridge publishes here; clients cannot have it.
    fn publisher(&self) -> Text {
        Text::parse(&format!("andon:bridge:{}", self.name)).unwrap_or_default()
    }
}

/// So begin the names of all bridges among the readers of the log.
pub const READERS: &str = "bridge-";

/// The bridge's name among the readers of the log; `None`: it is too long for one.
#[must_use]
pub fn reader_name(bridge: &str) -> Option<String> {
    let mut name = READERS.to_owned();
    for byte in bridge.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => name.push(char::from(byte)),
            // Neither digits nor letters follow a dot otherwise.
            other => name.push_str(&format!(".{other:02x}")),
        }
    }
    (name.len() <= 64).then_some(name)
}

/// A running bridge. It ends when this is dropped, too.
#[derive(Debug)]
pub struct Bridge {
    options: Arc<BridgeOptions>,
    status: Arc<Status>,
    stop: CancellationToken,
    ended: CancellationToken,
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Says that the task is over, however it came to that.
struct End {
    name: String,
    status: Arc<Status>,
    ended: CancellationToken,
}

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(bridge = self.name, "a bridge ended with a fault");
            self.status.failed(Trouble::new(
                "the bridge ended with a fault of Andon",
                "switch the connector off and on again, and report what the program's log says",
            ));
        }
        self.ended.cancel();
    }
}

impl Bridge {
    /// Begins where the bridge of this name ended, or here if there was none. When this returns, nothing that is acknowledged from
    /// now on is missed. Without `dial` it is switched off: it keeps what is to be sent. Within a tokio runtime.
    ///
    /// # Errors
    /// What it knows cannot be read or saved.
    pub async fn start(
        broker: Arc<Broker>,
        options: BridgeOptions,
        dial: Option<Arc<dyn Dial>>,
        ears: Arc<dyn Ears>,
    ) -> Result<Self, SnapshotError> {
        let options = Arc::new(options);
        let state = if dial.is_some() { LinkState::Connecting } else { LinkState::Off };
        let status = Arc::new(Status::new(state, broker.clock.clone()));
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let task = Task::open(broker, options.clone(), dial, ears, status.clone()).await?;
        let end = End { name: options.name.clone(), status: status.clone(), ended: ended.clone() };
        let until = stop.clone();
        // Ended by `stop`, which waits for it, or when the bridge is dropped.
        tokio::spawn(async move {
            let _end = end;
            task.run(until).await;
        });
        Ok(Self { options, status, stop, ended })
    }

    /// What it does.
    #[must_use]
    pub fn options(&self) -> &BridgeOptions {
        &self.options
    }

    /// How it is doing.
    #[must_use]
    pub fn report(&self) -> Report {
        self.status.report()
    }

    /// Whether its task has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Says goodbye to the other side and saves how far it has come. May be called again, and by several at once.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.ended.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::reader_name;

    #[test]
    fn each_bridge_has_a_reader_of_its_own() {
        assert_eq!(reader_name("to-head").as_deref(), Some("bridge-to-head"));
        assert_eq!(reader_name("To_head").as_deref(), Some("bridge-.54o.5fhead"));
        assert_ne!(reader_name("a.b"), reader_name("a_b"));
        assert_eq!(reader_name(&"x".repeat(58)), None);
    }
}
