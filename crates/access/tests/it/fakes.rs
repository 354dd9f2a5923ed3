//! A store in memory, a journal of events, and a node to stand them in.

use andon_access::accounts::{Accounts, AccountsOptions};
use andon_access::records::{AccountRecords, AllAccounts, Change, RecordsError, SessionRecord, UserRecord};
use andon_access::secret::Secret;
use andon_log::sim::HandClock;
use andon_model::access::{Action, Gate, Grant, Principal, PrincipalKind, Role};
use andon_model::event::{Event, SealedEvent, UserChange, What};
use andon_model::log::{AppendError, Seq};
use andon_model::record::Recorder;
use andon_model::{BoxFuture, Clock, Timestamp};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;
use uuid::Uuid;

pub const ADMIN: &str = "Ada Maier";
pub const PASSWORD: &str = "correct horse battery";
pub const HERE: &str = "192.0.2.1";

/// A new id at each call; the clock stands still, so a counter makes them differ.
pub fn new_id(_: &dyn Clock) -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1000);
    Uuid::from_u128(u128::from(NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// Another for each set of records, as the store makes it.
fn fresh_key() -> [u8; 32] {
    let secret = andon_access::secret::generate("").unwrap();
    andon_access::secret::digest(secret.reveal())
}

/// Keeps accounts as the store does: a call is all or nothing, and its event comes with it.
#[derive(Default)]
pub struct MemoryRecords {
    kept: Mutex<AllAccounts>,
    pub events: Mutex<Vec<Event>>,
    pub fails: AtomicBool,
    /// The next call waits for a permit of `gate`.
    pub holds_next: AtomicBool,
    pub gate: Closed,
    pub held: AtomicUsize,
}

/// A semaphore that starts closed.
pub struct Closed(pub Semaphore);

impl Default for Closed {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl MemoryRecords {
    pub fn user(&self, id: Uuid) -> Option<UserRecord> {
        self.kept.lock().unwrap().users.iter().find(|u| u.id == id).cloned()
    }
    pub fn users(&self) -> usize {
        self.kept.lock().unwrap().users.len()
    }
    pub fn sessions(&self) -> Vec<SessionRecord> {
        self.kept.lock().unwrap().sessions.clone()
    }
    pub fn tokens(&self) -> usize {
        self.kept.lock().unwrap().tokens.len()
    }

    fn make(&self, change: Change) {
        let mut kept = self.kept.lock().unwrap();
        match change {
            Change::PutUser(user) => {
                kept.users.retain(|u| u.id != user.id);
                kept.users.push(user);
            }
            Change::RemoveUser(id) => {
                kept.users.retain(|u| u.id != id);
                kept.sessions.retain(|s| s.user != id);
            }
            Change::PutToken(token) => kept.tokens.push(token),
            Change::RemoveToken(id) => kept.tokens.retain(|t| t.id != id),
            Change::PutDevice(device) => {
                kept.devices.retain(|d| d.id != device.id);
                kept.devices.push(*device);
            }
            Change::RemoveDevice(id) => kept.devices.retain(|d| d.id != id),
            Change::PutSession(session) => {
                kept.sessions.retain(|s| s.digest != session.digest);
                kept.sessions.push(session);
            }
            Change::RemoveSession(digest) => kept.sessions.retain(|s| s.digest != digest),
            Change::RemoveSessionsOf(id) => kept.sessions.retain(|s| s.user != id),
        }
    }
}

impl AccountRecords for MemoryRecords {
    fn load(&self) -> BoxFuture<'_, Result<AllAccounts, RecordsError>> {
        let kept = self.kept.lock().unwrap();
        let all = AllAccounts {
            users: kept.users.clone(),
            tokens: kept.tokens.clone(),
            devices: kept.devices.clone(),
            sessions: kept.sessions.clone(),
            nobody: kept.nobody,
        };
        Box::pin(std::future::ready(Ok(all)))
    }

    fn change(&self, changes: Vec<Change>, event: Option<Event>) -> BoxFuture<'_, Result<(), RecordsError>> {
        Box::pin(async move {
            if self.holds_next.swap(false, Ordering::SeqCst) {
                self.held.fetch_add(1, Ordering::SeqCst);
                self.gate.0.acquire().await.unwrap().forget();
            }
            if self.fails.load(Ordering::SeqCst) {
                return Err(RecordsError("no space left".to_owned()));
            }
            changes.into_iter().for_each(|change| self.make(change));
            self.events.lock().unwrap().extend(event);
            Ok(())
        })
    }
}

/// A recorder that writes beside the store's events, so that a test sees all in order.
struct Journal(Arc<MemoryRecords>);

impl Recorder for Journal {
    fn record(&self, event: Event) -> BoxFuture<'static, Result<Arc<SealedEvent>, AppendError>> {
        self.0.events.lock().unwrap().push(event.clone());
        let sealed = SealedEvent { seq: Seq(1), event, prev: String::new(), hash: String::new() };
        Box::pin(std::future::ready(Ok(Arc::new(sealed))))
    }
}

pub struct Node {
    pub accounts: Arc<Accounts>,
    pub records: Arc<MemoryRecords>,
    pub clock: Arc<HandClock>,
}

impl Node {
    /// As it is after installing.
    pub async fn fresh() -> Self {
        Self::with(AccountsOptions::default()).await
    }

    pub async fn with(options: AccountsOptions) -> Self {
        let start = Timestamp::parse_rfc3339("2026-11-22T06:42:10Z").unwrap();
        let records = MemoryRecords {
            kept: Mutex::new(AllAccounts { nobody: fresh_key(), ..AllAccounts::default() }),
            ..MemoryRecords::default()
        };
        Self::start(Arc::new(records), Arc::new(HandClock::new(start)), options).await
    }

    pub async fn start(records: Arc<MemoryRecords>, clock: Arc<HandClock>, options: AccountsOptions) -> Self {
        let recorder = Arc::new(Journal(records.clone()));
        let accounts = Accounts::load(records.clone(), recorder, clock.clone(), options, new_id).await.unwrap();
        Self { accounts, records, clock }
    }

    /// The same store in a new process.
    pub async fn restart(&self) -> Self {
        Self::start(self.records.clone(), self.clock.clone(), AccountsOptions::default()).await
    }

    /// With the first administrator, logged in.
    pub async fn set_up() -> (Self, Principal, Secret) {
        let node = Self::fresh().await;
        let code = node.accounts.new_setup_code().unwrap();
        let cookie = node.accounts.set_up(code.reveal(), ADMIN, PASSWORD, HERE).await.unwrap();
        let admin = node.accounts.session(cookie.reveal()).await.unwrap().principal;
        (node, admin, cookie)
    }

    /// A person with one role on one branch.
    pub async fn person(&self, by: &Principal, name: &str, role: Role, branch: &str) -> Principal {
        let grants = vec![grant(role, branch)];
        let id = self.accounts.create_user(by, name, "a sentence of four words", grants).await.unwrap();
        Principal { id, kind: PrincipalKind::Person }
    }

    pub fn may(&self, who: &Principal, action: Action, branch: &str) -> bool {
        self.accounts.authorise(who, action, branch).is_ok()
    }

    /// What was recorded, in order.
    pub fn changes(&self) -> Vec<(Event, UserChange)> {
        let events = self.records.events.lock().unwrap().clone();
        let user = |event: Event| match event.what.clone() {
            What::User(change) => Some((event, change)),
            _ => None,
        };
        events.into_iter().filter_map(user).collect()
    }

    /// The words of what was recorded, in order.
    pub fn actions(&self) -> Vec<String> {
        self.changes().into_iter().map(|(_, change)| change.action).collect()
    }
}

pub fn grant(role: Role, branch: &str) -> Grant {
    Grant { role, branch: branch.to_owned() }
}
