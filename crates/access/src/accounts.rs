//! People, sessions, tokens and devices: the resident copy that every request asks, and the changes that go through the store.
//!
//! A change is saved first, with its event, and only then takes effect; a removal takes effect at once for everybody,
//! because the gate looks up the current grants at every question.

use crate::password;
use crate::records::{AccountRecords, AllAccounts, Change, DeviceRecord, RecordsError, SessionRecord, TokenRecord, UserRecord};
use crate::secret::{self, Digest256, NoRandomness, Secret, digest};
use crate::table;
use andon_model::access::{Action, Denied, Gate, Grant, Principal, PrincipalKind, Role};
use andon_model::event::{Event, UserChange, What};
use andon_model::record::Recorder;
use andon_model::{Clock, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::Semaphore;
use uuid::Uuid;

/// How long a set-up code is valid.
pub const SETUP_CODE_LIFE: Duration = Duration::from_secs(15 * 60);
/// How many wrong log-ins of one name from one address are answered without delay.
const FREE_FAILURES: u32 = 4;
/// How many (name, address) pairs with failures are remembered.
const MAX_FAILURE_ENTRIES: usize = 10_000;
/// The most people, tokens and devices, each.
const MAX_ACCOUNTS: usize = 10_000;
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
    /// The set-up code or log-in link is wrong, used or out of date.
    #[error("this code is wrong, used up or out of date; start Andon again for a new one")]
    WrongCode,
    /// The password breaks the rule.
    #[error(transparent)]
    Password(#[from] password::PasswordError),
    /// The name is taken.
    #[error("the name \"{0}\" is taken")]
    NameTaken(String),
    /// The name cannot be used.
    #[error("a name has 1 to 64 characters without control characters")]
    BadName,
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
struct State {
    users: HashMap<Uuid, UserRecord>,
    tokens: HashMap<Digest256, TokenRecord>,
    devices: HashMap<String, DeviceRecord>,
    sessions: HashMap<Digest256, SessionRecord>,
}

struct Failures {
    count: u32,
    blocked_until: Timestamp,
}

/// A code that lets somebody in once or for a while.
struct Code {
    digest: Digest256,
    expires: Timestamp,
}

/// All accounts of the node.
pub struct Accounts {
    state: RwLock<State>,
    records: Arc<dyn AccountRecords>,
    recorder: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
    options: AccountsOptions,
    new_id: fn(&dyn Clock) -> Uuid,
    hashing: Semaphore,
    /// One change at a time, so that checks such as "the last administrator" hold when it is saved.
    changing: tokio::sync::Mutex<()>,
    failures: Mutex<HashMap<(String, String), Failures>>,
    setup: Mutex<Option<Code>>,
    links: Mutex<HashMap<Digest256, Uuid>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn same_name(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

fn check_name(name: &str) -> Result<(), AccountError> {
    let chars = name.chars().count();
    let fine = (1..=64).contains(&chars) && !name.chars().any(char::is_control) && name.trim() == name;
    if fine { Ok(()) } else { Err(AccountError::BadName) }
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
        let AllAccounts { users, tokens, devices, sessions } = records.load().await?;
        let state = State {
            users: users.into_iter().map(|u| (u.id, u)).collect(),
            tokens: tokens.into_iter().map(|t| (t.digest, t)).collect(),
            devices: devices.into_iter().map(|d| (d.user.clone(), d)).collect(),
            sessions: sessions.into_iter().map(|s| (s.digest, s)).collect(),
        };
        Ok(Arc::new(Self {
            state: RwLock::new(state),
            records,
            recorder,
            clock,
            options,
            new_id,
            hashing: Semaphore::new(2),
            changing: tokio::sync::Mutex::new(()),
            failures: Mutex::default(),
            setup: Mutex::default(),
            links: Mutex::default(),
        }))
    }

    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, by: Principal, action: &str, subject: Option<Uuid>, from: Option<&str>, detail: Option<String>) -> Event {
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
        let expires = self.clock.now().plus(SETUP_CODE_LIFE);
        *lock(&self.setup) = Some(Code { digest: digest(code.reveal()), expires });
        Ok(code)
    }

    /// Creates the first administrator and logs them in.
    /// # Errors
    /// Wrong code, or a name or password that breaks the rules (the code stays valid then).
    pub async fn set_up(&self, code: &str, name: &str, password: &str, from: &str) -> Result<Secret, AccountError> {
        self.check_wait("", from)?;
        if !self.setup_needed() {
            return Err(AccountError::AlreadySetUp);
        }
        let given = digest(code.trim().to_uppercase().as_str());
        let valid = lock(&self.setup).as_ref().is_some_and(|c| secret::same(&c.digest, &given) && self.clock.now() < c.expires);
        if !valid {
            self.note_failure("", from);
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
        self.check_wait(name, from)?;
        let user = self.state().users.values().find(|u| same_name(&u.name, name)).cloned();
        let stored = user.as_ref().filter(|u| u.enabled).map(|u| u.password_hash.clone());
        let right = self.verify_password(password.to_owned(), stored).await?;
        match user {
            Some(user) if right => {
                lock(&self.failures).remove(&(name.to_lowercase(), from.to_owned()));
                self.begin_session(user.id, from, "logged_in").await
            }
            user => {
                self.note_failure(name, from);
                let event = self.event(Principal::ANONYMOUS, "login_refused", user.map(|u| u.id), Some(from), None);
                // A refusal is answered even if it cannot be recorded: nothing took effect.
                let _ = self.recorder.record(event).await;
                Err(AccountError::WrongLogin)
            }
        }
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
        self.check_wait("", from)?;
        let user = lock(&self.links).get(&digest(code.trim())).copied();
        let enabled = |id: &Uuid| self.state().users.get(id).is_some_and(|u| u.enabled);
        match user.filter(enabled) {
            Some(id) => self.begin_session(id, from, "logged_in_by_link").await,
            None => {
                self.note_failure("", from);
                Err(AccountError::WrongCode)
            }
        }
    }

    async fn begin_session(&self, user: Uuid, from: &str, action: &str) -> Result<Secret, AccountError> {
        let cookie = secret::generate("")?;
        let now = self.clock.now();
        let session = SessionRecord { digest: digest(cookie.reveal()), user, created: now, last_seen: now };
        let mut changes = vec![Change::PutSession(session.clone())];
        let ended = self.sessions_to_end(user);
        changes.extend(ended.iter().map(|d| Change::RemoveSession(*d)));
        if let Some(mut record) = self.state().users.get(&user).cloned() {
            record.last_login = Some(now);
            changes.push(Change::PutUser(record));
        }
        let by = Principal { id: user, kind: PrincipalKind::Person };
        let event = self.event(by, action, Some(user), Some(from), None);
        self.records.change(changes, Some(event)).await?;
        let mut state = self.state_mut();
        for gone in ended {
            state.sessions.remove(&gone);
        }
        state.sessions.insert(session.digest, session);
        if let Some(record) = state.users.get_mut(&user) {
            record.last_login = Some(now);
        }
        Ok(cookie)
    }

    /// Sessions that are over, and the oldest of this person beyond the limit.
    fn sessions_to_end(&self, user: Uuid) -> Vec<Digest256> {
        let now = self.clock.now();
        let state = self.state();
        let (mut mine, over): (Vec<_>, Vec<_>) = state
            .sessions
            .values()
            .filter(|s| s.user == user || self.expiry(s) <= now)
            .partition(|s| self.expiry(s) > now);
        mine.sort_by_key(|s| std::cmp::Reverse(s.last_seen));
        over.into_iter().chain(mine.into_iter().skip(MAX_SESSIONS_PER_USER - 1)).map(|s| s.digest).collect()
    }

    fn expiry(&self, session: &SessionRecord) -> Timestamp {
        session.created.plus(self.options.session_life).min(session.last_seen.plus(self.options.session_idle))
    }

    /// Who a cookie belongs to, `None` if it is unknown, over, or its owner disabled. Notes that it was seen.
    pub async fn session(&self, cookie: &str) -> Option<SessionInfo> {
        let key = digest(cookie);
        let now = self.clock.now();
        let (info, save) = {
            let mut state = self.state_mut();
            let session = state.sessions.get(&key)?.clone();
            if self.expiry(&session) <= now || !state.users.get(&session.user)?.enabled {
                return None;
            }
            let save = now.since(session.last_seen) >= SAVE_SEEN_EVERY;
            let seen = SessionRecord { last_seen: now, ..session };
            let principal = Principal { id: seen.user, kind: PrincipalKind::Person };
            let info = SessionInfo { principal, expires: self.expiry(&seen) };
            // Between two saves the time in memory stays the saved one, so that the next save comes when due.
            if save {
                state.sessions.insert(key, seen.clone());
            }
            (info, save.then_some(seen))
        };
        if let Some(session) = save {
            // Losing this only ends the session earlier after a restart.
            let _ = self.records.change(vec![Change::PutSession(session)], None).await;
        }
        Some(info)
    }

    /// Ends a session.
    /// # Errors
    /// Saving failed.
    pub async fn log_out(&self, cookie: &str) -> Result<(), AccountError> {
        let key = digest(cookie);
        let Some(session) = self.state().sessions.get(&key).cloned() else { return Ok(()) };
        let by = Principal { id: session.user, kind: PrincipalKind::Person };
        let event = self.event(by, "logged_out", Some(session.user), None, None);
        self.records.change(vec![Change::RemoveSession(key)], Some(event)).await?;
        self.state_mut().sessions.remove(&key);
        Ok(())
    }

    async fn verify_password(&self, password: String, stored: Option<String>) -> Result<bool, AccountError> {
        let _turn = self.hashing.acquire().await.map_err(|_| AccountError::Stopping)?;
        let checked = tokio::task::spawn_blocking(move || password::verify(&password, stored.as_deref()));
        checked.await.map_err(|_| AccountError::Stopping)
    }

    async fn hash_password(&self, password: String) -> Result<String, AccountError> {
        let _turn = self.hashing.acquire().await.map_err(|_| AccountError::Stopping)?;
        let hashed = tokio::task::spawn_blocking(move || password::hash(&password));
        Ok(hashed.await.map_err(|_| AccountError::Stopping)??)
    }

    fn check_wait(&self, name: &str, from: &str) -> Result<(), AccountError> {
        let now = self.clock.now();
        match lock(&self.failures).get(&(name.to_lowercase(), from.to_owned())) {
            Some(f) if f.blocked_until > now => Err(AccountError::Wait { wait: f.blocked_until.since(now) }),
            _ => Ok(()),
        }
    }

    /// From the fifth wrong try on, the wait doubles: 1 s, 2 s, 4 s … 15 min. Per name and address, so that nobody can
    /// lock somebody else out.
    fn note_failure(&self, name: &str, from: &str) {
        let now = self.clock.now();
        let mut failures = lock(&self.failures);
        if failures.len() >= MAX_FAILURE_ENTRIES {
            failures.retain(|_, f| f.blocked_until > now);
            if failures.len() >= MAX_FAILURE_ENTRIES {
                failures.clear();
            }
        }
        let entry = failures
            .entry((name.to_lowercase(), from.to_owned()))
            .or_insert(Failures { count: 0, blocked_until: Timestamp::MIN });
        entry.count = entry.count.saturating_add(1);
        if entry.count > FREE_FAILURES {
            let seconds = 1_u64 << (entry.count - FREE_FAILURES - 1).min(10);
            entry.blocked_until = now.plus(Duration::from_secs(seconds.min(900)));
        }
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
        let person = state.users.get(&id).map(|u| u.name.clone());
        let token = || state.tokens.values().find(|t| t.id == id).map(|t| t.name.clone());
        let device = || state.devices.values().find(|d| d.id == id).map(|d| d.user.clone());
        person.or_else(token).or_else(device)
    }

    /// Creates a person.
    /// # Errors
    /// Name taken or bad, password against the rule, saving failed.
    pub async fn create_user(&self, by: &Principal, name: &str, password: &str, grants: Vec<Grant>) -> Result<Uuid, AccountError> {
        check_name(name)?;
        password::check_new(password, name)?;
        let password_hash = self.hash_password(password.to_owned()).await?;
        let _one = self.changing.lock().await;
        {
            let state = self.state();
            if state.users.values().any(|u| same_name(&u.name, name)) {
                return Err(AccountError::NameTaken(name.to_owned()));
            }
            if state.users.len() >= MAX_ACCOUNTS {
                return Err(AccountError::TooMany);
            }
        }
        let id = (self.new_id)(&*self.clock);
        let user = UserRecord { id, name: name.to_owned(), password_hash, enabled: true, grants, last_login: None };
        let event = self.event(by.clone(), "created", Some(id), None, Some(describe(&user.grants)));
        self.records.change(vec![Change::PutUser(user.clone())], Some(event)).await?;
        self.state_mut().users.insert(id, user);
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
        let _one = self.changing.lock().await;
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
        self.records.change(changes, Some(event)).await?;
        let mut state = self.state_mut();
        if ends_sessions {
            state.sessions.retain(|_, s| s.user != id);
        }
        state.users.insert(id, user);
        Ok(())
    }

    fn keep_an_administrator(&self, changed: &UserRecord, stays: bool) -> Result<(), AccountError> {
        let state = self.state();
        let was = state.users.get(&changed.id).is_some_and(administers_all);
        let others = state.users.values().any(|u| u.id != changed.id && administers_all(u));
        if was && !others && !(stays && administers_all(changed)) { Err(AccountError::LastAdministrator) } else { Ok(()) }
    }

    /// Removes a person and erases the name.
    /// # Errors
    /// Unknown, last administrator, saving failed.
    pub async fn remove_user(&self, by: &Principal, id: Uuid) -> Result<(), AccountError> {
        let _one = self.changing.lock().await;
        let user = self.state().users.get(&id).cloned().ok_or(AccountError::Unknown)?;
        self.keep_an_administrator(&user, false)?;
        let event = self.event(by.clone(), "removed", Some(id), None, None);
        self.records.change(vec![Change::RemoveSessionsOf(id), Change::RemoveUser(id)], Some(event)).await?;
        let mut state = self.state_mut();
        state.sessions.retain(|_, s| s.user != id);
        state.users.remove(&id);
        Ok(())
    }

    /// Changes one's own password; the current one is asked for again. Ends all sessions of the person.
    /// # Errors
    /// Wrong current password, rule broken, saving failed.
    pub async fn change_password(&self, id: Uuid, current: &str, new: &str, from: &str) -> Result<(), AccountError> {
        let user = self.state().users.get(&id).cloned().ok_or(AccountError::Unknown)?;
        self.check_wait(&user.name, from)?;
        if !self.verify_password(current.to_owned(), Some(user.password_hash)).await? {
            self.note_failure(&user.name, from);
            return Err(AccountError::WrongLogin);
        }
        let by = Principal { id, kind: PrincipalKind::Person };
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
    /// Bad name, too many, saving failed.
    pub async fn create_token(&self, by: &Principal, name: &str, grants: Vec<Grant>) -> Result<(Uuid, Secret), AccountError> {
        check_name(name)?;
        if self.state().tokens.len() >= MAX_ACCOUNTS {
            return Err(AccountError::TooMany);
        }
        let secret = secret::generate("andon_")?;
        let id = (self.new_id)(&*self.clock);
        let event = self.event(by.clone(), "token_created", Some(id), None, Some(describe(&grants)));
        let token = TokenRecord { id, name: name.to_owned(), digest: digest(secret.reveal()), grants, created: self.clock.now() };
        self.records.change(vec![Change::PutToken(token.clone())], Some(event)).await?;
        self.state_mut().tokens.insert(token.digest, token);
        Ok((id, secret))
    }

    /// Revokes a token at once.
    /// # Errors
    /// Unknown, saving failed.
    pub async fn remove_token(&self, by: &Principal, id: Uuid) -> Result<(), AccountError> {
        let key = self.state().tokens.values().find(|t| t.id == id).map(|t| t.digest).ok_or(AccountError::Unknown)?;
        let event = self.event(by.clone(), "token_revoked", Some(id), None, None);
        self.records.change(vec![Change::RemoveToken(id)], Some(event)).await?;
        self.state_mut().tokens.remove(&key);
        Ok(())
    }

    /// Who an API token belongs to.
    #[must_use]
    pub fn authenticate_token(&self, secret: &str) -> Option<Principal> {
        let state = self.state();
        state.tokens.get(&digest(secret)).map(|t| Principal { id: t.id, kind: PrincipalKind::Token })
    }

    // ---- devices ----

    /// All MQTT devices, by user name.
    #[must_use]
    pub fn devices(&self) -> Vec<DeviceRecord> {
        let mut devices: Vec<_> = self.state().devices.values().cloned().collect();
        devices.sort_by(|a, b| a.user.cmp(&b.user));
        devices
    }

    /// The device with this id.
    #[must_use]
    pub fn device(&self, id: Uuid) -> Option<DeviceRecord> {
        self.state().devices.values().find(|d| d.id == id).cloned()
    }

    /// Makes the MQTT credential of a device, or renews the password of one with the same user name; shown this once.
    /// # Errors
    /// Bad name, too many, saving failed.
    pub async fn create_device(
        &self,
        by: &Principal,
        user: &str,
        client_id: Option<String>,
        publish: Vec<String>,
        subscribe: Vec<String>,
        operate: Option<String>,
    ) -> Result<(Uuid, Secret), AccountError> {
        check_name(user)?;
        let _one = self.changing.lock().await;
        let known = self.state().devices.get(user).map(|d| d.id);
        if known.is_none() && self.state().devices.len() >= MAX_ACCOUNTS {
            return Err(AccountError::TooMany);
        }
        let secret = secret::generate("")?;
        let id = known.unwrap_or_else(|| (self.new_id)(&*self.clock));
        let action = if known.is_some() { "device_renewed" } else { "device_created" };
        let event = self.event(by.clone(), action, Some(id), None, None);
        let device = DeviceRecord {
            id,
            user: user.to_owned(),
            digest: digest(secret.reveal()),
            client_id,
            publish,
            subscribe,
            operate,
            created: self.clock.now(),
        };
        self.records.change(vec![Change::PutDevice(device.clone())], Some(event)).await?;
        self.state_mut().devices.insert(device.user.clone(), device);
        Ok((id, secret))
    }

    /// Removes a device's credential at once.
    /// # Errors
    /// Unknown, saving failed.
    pub async fn remove_device(&self, by: &Principal, id: Uuid) -> Result<(), AccountError> {
        let _one = self.changing.lock().await;
        let user = self.device(id).map(|d| d.user).ok_or(AccountError::Unknown)?;
        let event = self.event(by.clone(), "device_removed", Some(id), None, None);
        self.records.change(vec![Change::RemoveDevice(id)], Some(event)).await?;
        self.state_mut().devices.remove(&user);
        Ok(())
    }

    /// Who an MQTT client is. A client identifier that is bound to one device is refused to every other.
    #[must_use]
    pub fn authenticate_device(&self, user: Option<&str>, password: Option<&str>, client_id: &str) -> Option<Principal> {
        let state = self.state();
        let bound = state.devices.values().find(|d| d.client_id.as_deref() == Some(client_id));
        let Some(user) = user else {
            return (self.anonymous_mqtt() && bound.is_none()).then_some(Principal::ANONYMOUS);
        };
        let device = state.devices.get(user);
        let right = device.filter(|d| secret::same(&d.digest, &digest(password.unwrap_or_default())))?;
        let own_name = right.client_id.as_deref().is_none_or(|own| own == client_id);
        let not_anothers = bound.is_none_or(|b| b.id == right.id);
        (own_name && not_anothers).then_some(Principal { id: right.id, kind: PrincipalKind::Device })
    }

    /// What somebody may do where, now.
    #[must_use]
    pub fn grants(&self, who: &Principal) -> Vec<Grant> {
        let all = || vec![Grant { role: Role::Administrator, branch: String::new() }];
        let state = self.state();
        match who.kind {
            PrincipalKind::System => all(),
            PrincipalKind::Anonymous if self.options.open => all(),
            PrincipalKind::Anonymous => Vec::new(),
            PrincipalKind::Person => state.users.get(&who.id).filter(|u| u.enabled).map(|u| u.grants.clone()).unwrap_or_default(),
            PrincipalKind::Token => {
                state.tokens.values().find(|t| t.id == who.id).map(|t| t.grants.clone()).unwrap_or_default()
            }
            PrincipalKind::Device => {
                let branch = state.devices.values().find(|d| d.id == who.id).and_then(|d| d.operate.clone());
                branch.map(|branch| vec![Grant { role: Role::Operator, branch }]).unwrap_or_default()
            }
        }
    }
}

impl Gate for Accounts {
    fn authorise(&self, who: &Principal, action: Action, branch: &str) -> Result<(), Denied> {
        table::authorise(&self.grants(who), action, branch)
    }
}

fn describe(grants: &[Grant]) -> String {
    let place = |branch: &str| if branch.is_empty() { "everything".to_owned() } else { branch.to_owned() };
    let words: Vec<_> = grants.iter().map(|g| format!("{:?} on {}", g.role, place(&g.branch)).to_lowercase()).collect();
    if words.is_empty() { "no rights".to_owned() } else { words.join(", ") }
}
