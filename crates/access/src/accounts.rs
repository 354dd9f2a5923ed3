//! People, sessions, tokens and devices: the resident copy that every request asks, and the changes that go through the store.
//!
//! A change is saved first, with its event, and only then takes effect; a removal takes effect at once for everybody,
//! because the gate looks up the current grants at every question.
//!
//! **Invariants**
//! - Changes are made one at a time and to the end, even when the caller goes away: what is saved is what holds.
//! - A wait after wrong tries and the life of the set-up code run on the monotonic clock, so a step of the wall clock
//!   neither locks anybody out nor keeps a code alive. Sessions outlive a restart, so they run on the wall clock.
//! - What a stranger sends takes up bounded memory.

use crate::devices::Devices;
use crate::hashing::{Busy, Hashing};
use crate::name::{self, NameError};
use crate::password;
use crate::records::{AccountRecords, AllAccounts, Change, RecordsError, SessionRecord, TokenRecord, UserRecord};
use crate::secret::{self, Digest256, NoRandomness, Secret, digest};
use crate::table;
use crate::tries::{Checked, Tries};
use andon_model::access::{Action, Denied, Gate, Grant, Principal, PrincipalKind, Role};
use andon_model::event::{Event, UserChange, What};
use andon_model::record::Recorder;
use andon_model::{Clock, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

/// When to try again after [`AccountError::Busy`]: by then the queue is worked off even on a small board.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(3);
/// How long a set-up code is valid.
pub const SETUP_CODE_LIFE: Duration = Duration::from_secs(15 * 60);
/// The most people, tokens and devices, each.
pub(crate) const MAX_ACCOUNTS: usize = 10_000;
/// The most sessions of one person; the oldest ends when one more begins.
const MAX_SESSIONS_PER_USER: usize = 16;
/// How often the last-seen time of a session is saved.
const SAVE_SEEN_EVERY: Duration = Duration::from_secs(300);

/// Settings of the accounts.
#[derive(Debug, Clone)]
pub struct AccountsOptions {
    /// Everybody may do everything, without log-in. Loopback and tests only.
    pub open: bool,
    /// MQTT clients without credentials may publish and subscribe. Loopback and tests only.
    pub anonymous_mqtt: bool,
    /// A session ends after this long without a request.
    pub session_idle: Duration,
    /// A session ends after this long in any case.
    pub session_life: Duration,
}

impl Default for AccountsOptions {
    fn default() -> Self {
        Self {
            open: false,
            anonymous_mqtt: false,
            session_idle: Duration::from_secs(60 * 60),
            session_life: Duration::from_secs(12 * 60 * 60),
        }
    }
}

/// Why something about accounts was refused.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Wrong name or password; deliberately one answer for both.
    #[error("name or password is wrong")]
    WrongLogin,
    /// Too many wrong tries.
    #[error("too many wrong tries: wait {} s", wait.as_secs().max(1))]
    Wait {
        /// For how long.
        wait: Duration,
    },
    /// Too many passwords are being checked already; nothing was checked and nothing counts as a wrong try.
    #[error("too many are logging in at the moment: try again in {} s", after.as_secs().max(1))]
    Busy {
        /// When it makes sense to try again.
        after: Duration,
    },
    /// The set-up code or log-in link is wrong, used or out of date.
    #[error("this code is wrong, used up or out of date; start Andon again for a new one")]
    WrongCode,
    /// The password breaks the rule.
    #[error(transparent)]
    Password(#[from] password::PasswordError),
    /// The name (or the client identifier of a device) is taken.
    #[error("\"{0}\" is taken")]
    NameTaken(String),
    /// The name cannot be used.
    #[error(transparent)]
    BadName(#[from] NameError),
    /// The name could be taken for another person's.
    #[error("{0:?} looks like the name of somebody who is there already: choose one that nobody takes for the other")]
    LooksAlike(String),
    /// There is no such person, token or device.
    #[error("there is no such account")]
    Unknown,
    /// The last administrator must stay.
    #[error("this is the last administrator of the whole node: make another one first")]
    LastAdministrator,
    /// Too many.
    #[error("there are already {MAX_ACCOUNTS} accounts of this kind")]
    TooMany,
    /// The set-up is done already.
    #[error("an administrator exists already: log in")]
    AlreadySetUp,
    /// Saving failed.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// No randomness.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// A logged-in person, as a request sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Who.
    pub principal: Principal,
    /// When it ends at the latest.
    pub expires: Timestamp,
}

#[derive(Default)]
pub(crate) struct State {
    users: HashMap<Uuid, UserRecord>,
    tokens: HashMap<Digest256, TokenRecord>,
    pub(crate) devices: Devices,
    sessions: HashMap<Digest256, LiveSession>,
}

/// A session with the time of its last request; the saved time lags behind it, by [`SAVE_SEEN_EVERY`] at most.
struct LiveSession {
    saved: SessionRecord,
    seen: Timestamp,
}

impl From<SessionRecord> for LiveSession {
    fn from(saved: SessionRecord) -> Self {
        Self { seen: saved.last_seen, saved }
    }
}

/// The code for the first administrator; its end is monotonic.
struct Code {
    digest: Digest256,
    expires: Duration,
}

/// All accounts of the node.
pub struct Accounts {
    state: Arc<RwLock<State>>,
    records: Arc<dyn AccountRecords>,
    recorder: Arc<dyn Recorder>,
    pub(crate) clock: Arc<dyn Clock>,
    options: AccountsOptions,
    pub(crate) new_id: fn(&dyn Clock) -> Uuid,
    hashing: Hashing,
    /// One change at a time, so that checks such as "the last administrator" hold when it is saved.
    changing: Arc<tokio::sync::Mutex<()>>,
    tries: Arc<Tries>,
    setup: Mutex<Option<Code>>,
    /// One set-up at a time, so that the code works once.
    setting_up: tokio::sync::Mutex<()>,
    links: Mutex<HashMap<Digest256, Uuid>>,
    local: Mutex<Option<Digest256>>,
    checked: Checked,
    /// Makes up what names that there are not would have: [`AllAccounts::nobody`].
    pub(crate) nobody: Digest256,
}

/// The local command line, which reads its token from a file that only the node's owner can read.
pub const LOCAL: Principal = Principal { id: Uuid::from_u128(1), kind: PrincipalKind::Token };

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What wrong tries are counted under; of a fixed size, however long the name that was sent.
fn same_name(a: &str, b: &str) -> bool {
    name::key(a) == name::key(b)
}

fn busy(_: Busy) -> AccountError {
    AccountError::Busy { after: TRY_AGAIN_AFTER }
}

/// Who shares places in the queue: an address, or an IPv6 network, of which one stranger may have every address.
fn source(from: &str) -> String {
    from.parse().map_or_else(|_| from.to_owned(), |address| andon_model::peer::source_of(address).to_string())
}

fn administers_all(user: &UserRecord) -> bool {
    user.enabled && table::authorise(&user.grants, Action::Administer, "").is_ok()
}

impl Accounts {
    /// Loads what the store has. `new_id` makes UUIDv7s.
    /// # Errors
    /// The store cannot be read.
    pub async fn load(
        records: Arc<dyn AccountRecords>,
        recorder: Arc<dyn Recorder>,
        clock: Arc<dyn Clock>,
        options: AccountsOptions,
        new_id: fn(&dyn Clock) -> Uuid,
    ) -> Result<Arc<Self>, RecordsError> {
        let AllAccounts { users, tokens, devices, sessions, nobody } = records.load().await?;
        let state = State {
            users: users.into_iter().map(|u| (u.id, u)).collect(),
            tokens: tokens.into_iter().map(|t| (t.digest, t)).collect(),
            devices: Devices::new(devices),
            sessions: sessions.into_iter().map(|s| (s.digest, s.into())).collect(),
        };
        Ok(Arc::new(Self {
            state: Arc::new(RwLock::new(state)),
            records,
            recorder,
            tries: Arc::new(Tries::new(clock.clone())),
            checked: Checked::new(clock.clone()),
            clock,
            options,
            new_id,
            hashing: Hashing::default(),
            changing: Arc::default(),
            setup: Mutex::default(),
            setting_up: tokio::sync::Mutex::default(),
            links: Mutex::default(),
            local: Mutex::default(),
            nobody,
        }))
    }

    pub(crate) fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn to change something.
    pub(crate) async fn one_at_a_time(&self) -> OwnedMutexGuard<()> {
        self.changing.clone().lock_owned().await
    }

    /// Saves `changes` with their event, then lets them take effect.
    ///
    /// In a task of its own, which ends with the save: a caller that goes away in between (a closed browser) must not
    /// leave a token revoked in the store and alive in memory.
    pub(crate) async fn commit(
        &self,
        turn: OwnedMutexGuard<()>,
        changes: Vec<Change>,
        event: Option<Event>,
        effect: impl FnOnce(&mut State) + Send + 'static,
    ) -> Result<(), AccountError> {
        let (records, state) = (self.records.clone(), self.state.clone());
        let task = tokio::spawn(async move {
            let _turn = turn;
            records.change(changes, event).await?;
            effect(&mut state.write().unwrap_or_else(PoisonError::into_inner));
            Ok(())
        });
        task.await.unwrap_or(Err(AccountError::Stopping))
    }

    /// Records that somebody was refused. The refusal is answered even if it cannot be recorded: nothing took effect.
    async fn note_refused(&self, action: &str, subject: Option<Uuid>, from: &str) {
        let event = self.event(Principal::ANONYMOUS, action, subject, Some(from), None);
        let _ = self.recorder.record(event).await;
    }

    pub(crate) fn event(
        &self,
        by: Principal,
        action: &str,
        subject: Option<Uuid>,
        from: Option<&str>,
        detail: Option<String>,
    ) -> Event {
        Event {
            id: (self.new_id)(&*self.clock),
            at: self.clock.now(),
            source_at: None,
            path: String::new(),
            by,
            what: What::User(UserChange { action: action.to_owned(), subject, from: from.map(str::to_owned), detail }),
        }
    }

    /// Whether everybody may do everything without log-in.
    #[must_use]
    pub const fn open_mode(&self) -> bool {
        self.options.open
    }

    /// Whether MQTT clients without credentials are let in.
    #[must_use]
    pub const fn anonymous_mqtt(&self) -> bool {
        self.options.anonymous_mqtt || self.options.open
    }

    // ---- set-up and log-in ----

    /// Whether there is no administrator yet.
    #[must_use]
    pub fn setup_needed(&self) -> bool {
        !self.state().users.values().any(administers_all)
    }

    /// Makes the one-time code with which the first administrator is created; replaces an earlier one.
    /// # Errors
    /// No randomness.
    pub fn new_setup_code(&self) -> Result<Secret, NoRandomness> {
        let code = secret::generate_code()?;
        let expires = self.clock.monotonic().saturating_add(SETUP_CODE_LIFE);
        *lock(&self.setup) = Some(Code { digest: digest(code.reveal()), expires });
        Ok(code)
    }

    /// Creates the first administrator and logs them in.
    /// # Errors
    /// Wrong code, or a name or password that breaks the rules (the code stays valid then).
    pub async fn set_up(&self, code: &str, name: &str, password: &str, from: &str) -> Result<Secret, AccountError> {
        let _one = self.setting_up.lock().await;
        self.tries.check_wait("", from)?;
        if !self.setup_needed() {
            return Err(AccountError::AlreadySetUp);
        }
        let given = digest(code.trim().to_uppercase().as_str());
        let now = self.clock.monotonic();
        let valid = lock(&self.setup).as_ref().is_some_and(|c| secret::same(&c.digest, &given) && now < c.expires);
        if !valid {
            self.tries.note_failure("", from);
            self.note_refused("setup_refused", None, from).await;
            return Err(AccountError::WrongCode);
        }
        let grants = vec![Grant { role: Role::Administrator, branch: String::new() }];
        let id = self.create_user(&Principal::SYSTEM, name, password, grants).await?;
        *lock(&self.setup) = None;
        self.begin_session(id, from, "logged_in").await
    }

    /// Logs a person in; the secret is the cookie.
    /// # Errors
    /// [`AccountError::WrongLogin`] or [`AccountError::Wait`].
    pub async fn log_in(&self, name: &str, password: &str, from: &str) -> Result<Secret, AccountError> {
        let user = self.check_credentials(name, password, from).await?;
        self.begin_session(user, from, "logged_in").await
    }

    /// Lets a person in for one connection, without a session: for protocols that send name and password each time. `action`
    /// names the log-in in the records, where it stands once an hour for each person and address.
    /// # Errors
    /// As [`Accounts::log_in`], with the same wait and the same records of wrong tries.
    pub async fn log_in_once(
        &self,
        name: &str,
        password: &str,
        from: &str,
        action: &str,
    ) -> Result<Principal, AccountError> {
        let user = self.check_credentials(name, password, from).await?;
        let enabled = || self.state().users.get(&user).filter(|u| u.enabled).cloned();
        let principal = Principal { id: user, kind: PrincipalKind::Person };
        if self.checked.is_to_be_recorded(user, from) {
            let turn = self.one_at_a_time().await;
            let Some(known) = enabled() else {
                self.checked.forget(user, from);
                return Err(AccountError::WrongLogin);
            };
            let record = UserRecord { last_login: Some(self.clock.now()), ..known };
            let event = self.event(principal.clone(), action, Some(user), Some(from), None);
            let changes = vec![Change::PutUser(record.clone())];
            let effect = move |state: &mut State| {
                state.users.insert(user, record);
            };
            if let Err(error) = self.commit(turn, changes, Some(event), effect).await {
                self.checked.forget(user, from);
                return Err(error);
            }
        }
        // Disabled or removed since the password was checked.
        enabled().map(|_| principal).ok_or(AccountError::WrongLogin)
    }

    /// Whose name and password these are. A wrong try is recorded.
    async fn check_credentials(&self, name: &str, password: &str, from: &str) -> Result<Uuid, AccountError> {
        let user = self.state().users.values().find(|u| same_name(&u.name, name)).cloned();
        let stored = user.as_ref().filter(|u| u.enabled).map(|u| u.password_hash.clone());
        let tried = self.try_password(name, password, stored, from).await;
        if matches!(tried, Err(AccountError::WrongLogin)) {
            self.note_refused("login_refused", user.as_ref().map(|u| u.id), from).await;
        }
        tried.and_then(|()| user.map(|u| u.id).ok_or(AccountError::WrongLogin))
    }

    /// Checks a password in its turn. The wait is asked for, and a wrong try noted, inside the turn, so that a thousand
    /// tries sent at once are not all let through before the first has failed.
    async fn try_password(
        &self,
        name: &str,
        password: &str,
        stored: Option<String>,
        from: &str,
    ) -> Result<(), AccountError> {
        self.tries.check_wait(name, from)?;
        let (tries, name, address, password) =
            (self.tries.clone(), name.to_owned(), from.to_owned(), password.to_owned());
        let source = source(from);
        let checked = self.hashing.run(&source, move |memory| {
            tries.check_wait(&name, &address)?;
            if password::verify(&password, stored.as_deref(), memory) {
                tries.forget(&name, &address);
                Ok(())
            } else {
                tries.note_failure(&name, &address);
                Err(AccountError::WrongLogin)
            }
        });
        checked.await.map_err(busy)?
    }

    /// Makes a link code that logs `user` in until the process ends. For the demo on loopback.
    /// # Errors
    /// No randomness.
    pub fn new_login_link(&self, user: Uuid) -> Result<Secret, NoRandomness> {
        let code = secret::generate("")?;
        lock(&self.links).insert(digest(code.reveal()), user);
        Ok(code)
    }

    /// Logs in with a link code.
    /// # Errors
    /// [`AccountError::WrongCode`].
    pub async fn log_in_by_link(&self, code: &str, from: &str) -> Result<Secret, AccountError> {
        self.tries.check_wait("", from)?;
        let user = lock(&self.links).get(&digest(code.trim())).copied();
        let enabled = |id: &Uuid| self.state().users.get(id).is_some_and(|u| u.enabled);
        match user.filter(enabled) {
            Some(id) => self.begin_session(id, from, "logged_in_by_link").await,
            None => {
                self.tries.note_failure("", from);
                self.note_refused("login_refused", None, from).await;
                Err(AccountError::WrongCode)
            }
        }
    }

    /// Refused when the person was removed or disabled since the password was checked.
    async fn begin_session(&self, user: Uuid, from: &str, action: &str) -> Result<Secret, AccountError> {
        let cookie = secret::generate("")?;
        let turn = self.one_at_a_time().await;
        let now = self.clock.now();
        let known = self.state().users.get(&user).filter(|u| u.enabled).cloned();
        let record = UserRecord { last_login: Some(now), ..known.ok_or(AccountError::WrongLogin)? };
        let session = SessionRecord { digest: digest(cookie.reveal()), user, created: now, last_seen: now };
        let ended = self.sessions_to_end(user);
        let mut changes = vec![Change::PutUser(record.clone()), Change::PutSession(session.clone())];
        changes.extend(ended.iter().map(|d| Change::RemoveSession(*d)));
        let by = Principal { id: user, kind: PrincipalKind::Person };
        let event = self.event(by, action, Some(user), Some(from), None);
        let effect = move |state: &mut State| {
            for gone in ended {
                state.sessions.remove(&gone);
            }
            state.sessions.insert(session.digest, session.into());
            state.users.insert(user, record);
        };
        self.commit(turn, changes, Some(event), effect).await?;
        Ok(cookie)
    }

    /// Sessions that are over, and the oldest of this person beyond the limit.
    fn sessions_to_end(&self, user: Uuid) -> Vec<Digest256> {
        let now = self.clock.now();
        let state = self.state();
        let (mut mine, over): (Vec<_>, Vec<_>) = state
            .sessions
            .values()
            .filter(|s| s.saved.user == user || self.expiry(s) <= now)
            .partition(|s| self.expiry(s) > now);
        mine.sort_by_key(|s| std::cmp::Reverse(s.seen));
        over.into_iter().chain(mine.into_iter().skip(MAX_SESSIONS_PER_USER - 1)).map(|s| s.saved.digest).collect()
    }

    fn expiry(&self, session: &LiveSession) -> Timestamp {
        session.saved.created.plus(self.options.session_life).min(session.seen.plus(self.options.session_idle))
    }

    /// Who a cookie belongs to, `None` if it is unknown, over, or its owner disabled. Notes that it was seen.
    pub async fn session(&self, cookie: &str) -> Option<SessionInfo> {
        let key = digest(cookie);
        let now = self.clock.now();
        let (info, save) = {
            let mut state = self.state_mut();
            let live = state.sessions.get(&key)?;
            if self.expiry(live) <= now || !state.users.get(&live.saved.user)?.enabled {
                return None;
            }
            let live = state.sessions.get_mut(&key)?;
            live.seen = now;
            let principal = Principal { id: live.saved.user, kind: PrincipalKind::Person };
            let save = now.since(live.saved.last_seen) >= SAVE_SEEN_EVERY;
            (SessionInfo { principal, expires: self.expiry(live) }, save)
        };
        if save {
            self.save_seen(key, now).await;
        }
        Some(info)
    }

    /// Saves when a session was last seen, unless it has ended meanwhile: then it must not come back.
    async fn save_seen(&self, key: Digest256, now: Timestamp) {
        let turn = self.one_at_a_time().await;
        let Some(saved) = self.state().sessions.get(&key).map(|live| live.saved.clone()) else { return };
        if saved.last_seen >= now {
            return; // Another request has saved it.
        }
        let saved = SessionRecord { last_seen: now, ..saved };
        let changes = vec![Change::PutSession(saved.clone())];
        let effect = move |state: &mut State| {
            if let Some(live) = state.sessions.get_mut(&key) {
                live.saved = saved;
            }
        };
        // Losing this only ends the session earlier after a restart.
        let _ = self.commit(turn, changes, None, effect).await;
    }

    /// Ends a session.
    /// # Errors
    /// Saving failed.
    pub async fn log_out(&self, cookie: &str) -> Result<(), AccountError> {
        let key = digest(cookie);
        let turn = self.one_at_a_time().await;
        let Some(user) = self.state().sessions.get(&key).map(|live| live.saved.user) else { return Ok(()) };
        let by = Principal { id: user, kind: PrincipalKind::Person };
        let event = self.event(by, "logged_out", Some(user), None, None);
        let effect = move |state: &mut State| {
            state.sessions.remove(&key);
        };
        self.commit(turn, vec![Change::RemoveSession(key)], Some(event), effect).await
    }

    async fn hash_password(&self, password: String) -> Result<String, AccountError> {
        // Whoever sets a password has been let in already, so all of them share the places of one source.
        let hashed = self.hashing.run("", move |memory| password::hash(&password, memory)).await;
        Ok(hashed.map_err(busy)??)
    }

    // ---- people ----

    /// All people, by name.
    #[must_use]
    pub fn users(&self) -> Vec<UserRecord> {
        let mut users: Vec<_> = self.state().users.values().cloned().collect();
        users.sort_by_key(|u| u.name.to_lowercase());
        users
    }

    /// The name behind an id, for screens; `None` once it is erased.
    #[must_use]
    pub fn name_of(&self, id: Uuid) -> Option<String> {
        let state = self.state();
        if id == LOCAL.id {
            return Some("command line".to_owned());
        }
        let person = state.users.get(&id).map(|u| u.name.clone());
        let token = || state.tokens.values().find(|t| t.id == id).map(|t| t.name.clone());
        let device = || state.devices.by_id(id).map(|d| d.user.clone());
        person.or_else(token).or_else(device)
    }

    /// Creates a person.
    /// # Errors
    /// Name taken or bad, password against the rule, saving failed.
    pub async fn create_user(
        &self,
        by: &Principal,
        name: &str,
        password: &str,
        grants: Vec<Grant>,
    ) -> Result<Uuid, AccountError> {
        let name = name::check_person(name)?;
        let name = name.as_str();
        password::check_new(password, name)?;
        let password_hash = self.hash_password(password.to_owned()).await?;
        let turn = self.one_at_a_time().await;
        {
            let state = self.state();
            if state.users.values().any(|u| same_name(&u.name, name)) {
                return Err(AccountError::NameTaken(name.to_owned()));
            }
            if state.users.values().any(|u| name::look_alike(&u.name, name)) {
                return Err(AccountError::LooksAlike(name.to_owned()));
            }
            if state.users.len() >= MAX_ACCOUNTS {
                return Err(AccountError::TooMany);
            }
        }
        let id = (self.new_id)(&*self.clock);
        let user = UserRecord { id, name: name.to_owned(), password_hash, enabled: true, grants, last_login: None };
        let event = self.event(by.clone(), "created", Some(id), None, Some(describe(&user.grants)));
        let effect = {
            let user = user.clone();
            move |state: &mut State| {
                state.users.insert(id, user);
            }
        };
        self.commit(turn, vec![Change::PutUser(user)], Some(event), effect).await?;
        Ok(id)
    }

    /// Changes a person: enabled, grants, password, each only if given. Disabling or a new password ends their sessions.
    /// # Errors
    /// Unknown, last administrator, password against the rule, saving failed.
    pub async fn change_user(
        &self,
        by: &Principal,
        id: Uuid,
        enabled: Option<bool>,
        grants: Option<Vec<Grant>>,
        password: Option<&str>,
    ) -> Result<(), AccountError> {
        let name = self.state().users.get(&id).map(|u| u.name.clone()).ok_or(AccountError::Unknown)?;
        let hash = match password {
            Some(password) => {
                password::check_new(password, &name)?;
                Some(self.hash_password(password.to_owned()).await?)
            }
            None => None,
        };
        let turn = self.one_at_a_time().await;
        let mut user = self.state().users.get(&id).cloned().ok_or(AccountError::Unknown)?;
        let mut said = Vec::new();
        if let Some(enabled) = enabled {
            user.enabled = enabled;
            said.push(if enabled { "enabled".to_owned() } else { "disabled".to_owned() });
        }
        if let Some(grants) = grants {
            said.push(describe(&grants));
            user.grants = grants;
        }
        let ends_sessions = hash.is_some() || !user.enabled;
        if let Some(hash) = hash {
            user.password_hash = hash;
            said.push("new password".to_owned());
        }
        self.keep_an_administrator(&user, true)?;
        let event = self.event(by.clone(), "changed", Some(id), None, Some(said.join(", ")));
        let mut changes = vec![Change::PutUser(user.clone())];
        if ends_sessions {
            changes.push(Change::RemoveSessionsOf(id));
        }
        let effect = move |state: &mut State| {
            if ends_sessions {
                state.sessions.retain(|_, live| live.saved.user != id);
            }
            state.users.insert(id, user);
        };
        self.commit(turn, changes, Some(event), effect).await
    }

    fn keep_an_administrator(&self, changed: &UserRecord, stays: bool) -> Result<(), AccountError> {
        let state = self.state();
        let was = state.users.get(&changed.id).is_some_and(administers_all);
        let others = state.users.values().any(|u| u.id != changed.id && administers_all(u));
        if was && !others && !(stays && administers_all(changed)) {
            Err(AccountError::LastAdministrator)
        } else {
            Ok(())
        }
    }

    /// Removes a person and erases the name.
    /// # Errors
    /// Unknown, last administrator, saving failed.
    pub async fn remove_user(&self, by: &Principal, id: Uuid) -> Result<(), AccountError> {
        let turn = self.one_at_a_time().await;
        let user = self.state().users.get(&id).cloned().ok_or(AccountError::Unknown)?;
        self.keep_an_administrator(&user, false)?;
        let event = self.event(by.clone(), "removed", Some(id), None, None);
        let effect = move |state: &mut State| {
            state.sessions.retain(|_, live| live.saved.user != id);
            state.users.remove(&id);
        };
        self.commit(turn, vec![Change::RemoveSessionsOf(id), Change::RemoveUser(id)], Some(event), effect).await
    }

    /// Changes one's own password; the current one is asked for again. Ends all sessions of the person.
    /// # Errors
    /// Wrong current password, rule broken, saving failed.
    pub async fn change_password(&self, id: Uuid, current: &str, new: &str, from: &str) -> Result<(), AccountError> {
        let user = self.state().users.get(&id).cloned().ok_or(AccountError::Unknown)?;
        let by = Principal { id, kind: PrincipalKind::Person };
        if let Err(error) = self.try_password(&user.name, current, Some(user.password_hash), from).await {
            if matches!(error, AccountError::WrongLogin) {
                self.note_refused("password_refused", Some(id), from).await;
            }
            return Err(error);
        }
        self.change_user(&by, id, None, None, Some(new)).await
    }

    // ---- tokens ----

    /// All API tokens, by name.
    #[must_use]
    pub fn tokens(&self) -> Vec<TokenRecord> {
        let mut tokens: Vec<_> = self.state().tokens.values().cloned().collect();
        tokens.sort_by(|a, b| a.name.cmp(&b.name));
        tokens
    }

    /// Makes an API token; the secret is shown this once.
    /// # Errors
    /// Name taken or bad, too many, saving failed.
    pub async fn create_token(
        &self,
        by: &Principal,
        name: &str,
        grants: Vec<Grant>,
    ) -> Result<(Uuid, Secret), AccountError> {
        name::check(name)?;
        let turn = self.one_at_a_time().await;
        if self.state().tokens.len() >= MAX_ACCOUNTS {
            return Err(AccountError::TooMany);
        }
        if self.state().tokens.values().any(|t| t.name == name) {
            return Err(AccountError::NameTaken(name.to_owned()));
        }
        let secret = secret::generate("andon_")?;
        let id = (self.new_id)(&*self.clock);
        let event = self.event(by.clone(), "token_created", Some(id), None, Some(describe(&grants)));
        let token = TokenRecord {
            id,
            name: name.to_owned(),
            digest: digest(secret.reveal()),
            grants,
            created: self.clock.now(),
        };
        let effect = {
            let token = token.clone();
            move |state: &mut State| {
                state.tokens.insert(token.digest, token);
            }
        };
        self.commit(turn, vec![Change::PutToken(token)], Some(event), effect).await?;
        Ok((id, secret))
    }

    /// Revokes a token at once.
    /// # Errors
    /// Unknown, saving failed.
    pub async fn remove_token(&self, by: &Principal, id: Uuid) -> Result<(), AccountError> {
        let turn = self.one_at_a_time().await;
        let key = self.state().tokens.values().find(|t| t.id == id).map(|t| t.digest).ok_or(AccountError::Unknown)?;
        let event = self.event(by.clone(), "token_revoked", Some(id), None, None);
        let effect = move |state: &mut State| {
            state.tokens.remove(&key);
        };
        self.commit(turn, vec![Change::RemoveToken(id)], Some(event), effect).await
    }

    /// Makes the token of the local command line, valid until the process ends.
    /// # Errors
    /// No randomness.
    pub fn new_local_token(&self) -> Result<Secret, NoRandomness> {
        let secret = secret::generate("andon_local_")?;
        *lock(&self.local) = Some(digest(secret.reveal()));
        Ok(secret)
    }

    /// Who an API token belongs to.
    #[must_use]
    pub fn authenticate_token(&self, secret: &str) -> Option<Principal> {
        if lock(&self.local).as_ref().is_some_and(|local| secret::same(local, &digest(secret))) {
            return Some(LOCAL);
        }
        let state = self.state();
        state.tokens.get(&digest(secret)).map(|t| Principal { id: t.id, kind: PrincipalKind::Token })
    }

    /// What somebody may do where, now.
    #[must_use]
    pub fn grants(&self, who: &Principal) -> Vec<Grant> {
        self.with_grants(who, <[Grant]>::to_vec)
    }

    /// Asks about the current grants without copying those of people and tokens: screens ask for every tag.
    fn with_grants<T>(&self, who: &Principal, ask: impl FnOnce(&[Grant]) -> T) -> T {
        const ALL: &[Grant] = &[Grant { role: Role::Administrator, branch: String::new() }];
        let state = self.state();
        match who.kind {
            _ if *who == LOCAL => ask(ALL),
            PrincipalKind::System => ask(ALL),
            PrincipalKind::Anonymous if self.options.open => ask(ALL),
            PrincipalKind::Anonymous => ask(&[]),
            PrincipalKind::Person => ask(state.users.get(&who.id).filter(|u| u.enabled).map_or(&[], |u| &u.grants)),
            PrincipalKind::Token => ask(state.tokens.values().find(|t| t.id == who.id).map_or(&[], |t| &t.grants)),
            PrincipalKind::Device => {
                let branch = state.devices.by_id(who.id).and_then(|d| d.operate.clone());
                let grant = branch.map(|branch| Grant { role: Role::Operator, branch });
                ask(grant.as_slice())
            }
        }
    }
}

impl Gate for Accounts {
    fn authorise(&self, who: &Principal, action: Action, branch: &str) -> Result<(), Denied> {
        self.with_grants(who, |grants| table::authorise(grants, action, branch))
    }
}

fn describe(grants: &[Grant]) -> String {
    let place = |branch: &str| if branch.is_empty() { "everything".to_owned() } else { branch.to_owned() };
    let words: Vec<_> = grants.iter().map(|g| format!("{:?} on {}", g.role, place(&g.branch)).to_lowercase()).collect();
    if words.is_empty() { "no rights".to_owned() } else { words.join(", ") }
}
