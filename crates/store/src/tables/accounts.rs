//! People, tokens, devices, log-ins and one-time codes.

use super::outbox::enqueue;
use super::to_json;
use crate::error::{StoreError, database};
use crate::repository::{AccountChange, AccountRepository, Accounts, Code, Device, Digest, Session, Token, User};
use crate::sql::{Link, Row, SqlError, Value, sql};
use crate::store::Store;
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use std::time::Duration;
use uuid::Uuid;

#[async_trait]
impl AccountRepository for Store {
    async fn accounts(&self) -> Result<Accounts, StoreError> {
        // From a damaged file an answer may never come.
        tokio::time::timeout(READ_WITHIN, self.read_accounts()).await.unwrap_or_else(|_| {
            let reason = format!("they could not be read within {} s", READ_WITHIN.as_secs());
            match self.is_file() {
                true => Err(StoreError::Damaged { what: "accounts", reason }),
                false => Err(StoreError::Unreachable { doing: "read the accounts", source: reason.into() }),
            }
        })
    }

    async fn change_accounts(&self, changes: Vec<AccountChange>, event: Option<Event>) -> Result<(), StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                for change in changes {
                    make(&mut tx, change).await?;
                }
                match event {
                    Some(event) => enqueue(&mut tx, &event).await,
                    None => Ok(()),
                }
            })
        })
        .await
    }
}

/// How long reading all accounts may take; a thousand of them take some milliseconds.
const READ_WITHIN: Duration = Duration::from_secs(30);

impl Store {
    async fn read_accounts(&self) -> Result<Accounts, StoreError> {
        let mut reading = self.moment("read the accounts").await?;
        let tx = &mut reading.link();
        Ok(Accounts {
            users: read(tx, USERS, user).await?,
            tokens: read(tx, "SELECT * FROM token ORDER BY id", token).await?,
            devices: read(tx, "SELECT * FROM device ORDER BY id", device).await?,
            sessions: read(tx, "SELECT * FROM session ORDER BY created, id_sha256", session).await?,
            codes: read(tx, "SELECT * FROM code ORDER BY expires, code_sha256", code).await?,
            nobody: key_of_nobody(tx).await?,
        })
    }
}

const USERS: &str = "SELECT person.*, person_name.name FROM person JOIN person_name USING (id) ORDER BY person.id";

async fn read<T>(
    tx: &mut Link<'_>,
    question: &'static str,
    decode: fn(&Row) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    sql(question).all(tx).await.map_err(database("read the accounts"))?.iter().map(decode).collect()
}

/// The store has it since it was made.
async fn key_of_nobody(tx: &mut Link<'_>) -> Result<Digest, StoreError> {
    let doing = "read what stands in for names that there are not";
    sql("SELECT key FROM nobody").one(tx).await.map_err(database(doing))?.get("key")
}

fn user(row: &Row) -> Result<User, StoreError> {
    Ok(User {
        id: row.get("id")?,
        name: row.get("name")?,
        password_hash: row.get("password_hash")?,
        enabled: row.get("enabled")?,
        grants: row.json("grants")?,
        created: row.get("created")?,
        last_login: row.get("last_login")?,
    })
}

fn token(row: &Row) -> Result<Token, StoreError> {
    Ok(Token {
        id: row.get("id")?,
        name: row.get("name")?,
        secret_sha256: row.get("secret_sha256")?,
        grants: row.json("grants")?,
        created: row.get("created")?,
        revoked: row.get("revoked")?,
        last_used: row.get("last_used")?,
    })
}

fn device(row: &Row) -> Result<Device, StoreError> {
    Ok(Device {
        id: row.get("id")?,
        user: row.get("user")?,
        secret_sha256: row.get("secret_sha256")?,
        scram: row.get("scram")?,
        client_id: row.get("client_id")?,
        certificate: row.get("certificate")?,
        certificate_der: row.get("certificate_der")?,
        branch: row.get("branch")?,
        publish: row.json("publish")?,
        subscribe: row.json("subscribe")?,
        enabled: row.get("enabled")?,
        created: row.get("created")?,
    })
}

fn session(row: &Row) -> Result<Session, StoreError> {
    Ok(Session {
        id_sha256: row.get("id_sha256")?,
        user: row.get("person")?,
        created: row.get("created")?,
        last_seen: row.get("last_seen")?,
        expires: row.get("expires")?,
    })
}

fn code(row: &Row) -> Result<Code, StoreError> {
    Ok(Code {
        code_sha256: row.get("code_sha256")?,
        purpose: row.get("purpose")?,
        user: row.get("person")?,
        expires: row.get("expires")?,
        used: row.get("used")?,
    })
}

async fn make(tx: &mut Link<'_>, change: AccountChange) -> Result<(), StoreError> {
    match change {
        AccountChange::PutUser(user) => put_user(tx, user).await,
        AccountChange::RemoveUser(id) => remove(tx, "DELETE FROM person WHERE id = $1", "user", id).await,
        AccountChange::PutToken(token) => put_token(tx, token).await,
        AccountChange::RemoveToken(id) => remove(tx, "DELETE FROM token WHERE id = $1", "token", id).await,
        AccountChange::PutDevice(device) => put_device(tx, device).await,
        AccountChange::RemoveDevice(id) => remove(tx, "DELETE FROM device WHERE id = $1", "device", id).await,
        AccountChange::PutSession(session) => put_session(tx, session).await,
        AccountChange::RemoveSession(digest) => {
            delete(tx, "DELETE FROM session WHERE id_sha256 = $1", digest).await.map(|_| ())
        }
        AccountChange::RemoveSessionsOf(user) => {
            delete(tx, "DELETE FROM session WHERE person = $1", user).await.map(|_| ())
        }
        AccountChange::PutCode(code) => put_code(tx, code).await,
        AccountChange::UseCode { code_sha256, purpose, at } => use_code(tx, code_sha256, purpose, at).await,
        AccountChange::RemoveExpired(before) => remove_expired(tx, before).await,
    }
}

async fn delete(tx: &mut Link<'_>, statement: &'static str, key: impl Into<Value>) -> Result<u64, StoreError> {
    sql(statement).bind(key).execute(tx).await.map_err(database("remove an account's row"))
}

async fn remove(tx: &mut Link<'_>, statement: &'static str, what: &'static str, id: Uuid) -> Result<(), StoreError> {
    if delete(tx, statement, id).await? == 0 {
        return Err(StoreError::Missing { what, id });
    }
    Ok(())
}

/// A unique index that refuses the row means that the name is taken.
fn taken(what: &'static str, name: String, doing: &'static str) -> impl FnOnce(SqlError) -> StoreError {
    move |error| if error.is_taken() { StoreError::Taken { what, name } } else { database(doing)(error) }
}

async fn put_user(tx: &mut Link<'_>, user: User) -> Result<(), StoreError> {
    let doing = "write a user";
    sql(
        "INSERT INTO person (id, password_hash, enabled, grants, created, last_login) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (id) DO UPDATE SET password_hash = excluded.password_hash, enabled = excluded.enabled, \
         grants = excluded.grants, created = excluded.created, last_login = excluded.last_login",
    )
    .bind(user.id)
    .bind(user.password_hash)
    .bind(user.enabled)
    .bind(to_json(&user.grants, "user's grants")?)
    .bind(user.created)
    .bind(user.last_login)
    .execute(tx)
    .await
    .map_err(database(doing))?;
    sql("INSERT INTO person_name (id, name, fold) VALUES ($1, $2, $3) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, fold = excluded.fold")
    .bind(user.id)
    .bind(user.name.clone())
    .bind(user.name.to_lowercase())
    .execute(tx)
    .await
    .map_err(taken("user", user.name, doing))?;
    Ok(())
}

async fn put_token(tx: &mut Link<'_>, token: Token) -> Result<(), StoreError> {
    sql(
        "INSERT INTO token (id, name, secret_sha256, grants, created, revoked, last_used) VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, secret_sha256 = excluded.secret_sha256, \
         grants = excluded.grants, created = excluded.created, revoked = excluded.revoked, last_used = excluded.last_used",
    )
    .bind(token.id)
    .bind(token.name.clone())
    .bind(token.secret_sha256)
    .bind(to_json(&token.grants, "token's grants")?)
    .bind(token.created)
    .bind(token.revoked)
    .bind(token.last_used)
    .execute(tx)
    .await
    .map_err(taken("token", token.name, "write a token"))?;
    Ok(())
}

async fn put_device(tx: &mut Link<'_>, device: Device) -> Result<(), StoreError> {
    sql(
        "INSERT INTO device (id, \"user\", secret_sha256, scram, client_id, certificate, certificate_der, branch, publish, subscribe, enabled, \
         created) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
         ON CONFLICT (id) DO UPDATE SET \"user\" = excluded.\"user\", secret_sha256 = excluded.secret_sha256, scram = excluded.scram, \
         client_id = excluded.client_id, certificate = excluded.certificate, certificate_der = excluded.certificate_der, \
         branch = excluded.branch, publish = excluded.publish, subscribe = excluded.subscribe, enabled = excluded.enabled, created = excluded.created",
    )
    .bind(device.id)
    .bind(device.user.clone())
    .bind(device.secret_sha256)
    .bind(device.scram)
    .bind(device.client_id)
    .bind(device.certificate)
    .bind(device.certificate_der)
    .bind(device.branch)
    .bind(to_json(&device.publish, "device's topics")?)
    .bind(to_json(&device.subscribe, "device's topics")?)
    .bind(device.enabled)
    .bind(device.created)
    .execute(tx)
    .await
    .map_err(taken("device (its user, its client id or its certificate)", device.user, "write a device"))?;
    Ok(())
}

async fn put_session(tx: &mut Link<'_>, session: Session) -> Result<(), StoreError> {
    sql("INSERT INTO session (id_sha256, person, created, last_seen, expires) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id_sha256) DO UPDATE SET person = excluded.person, created = excluded.created, \
         last_seen = excluded.last_seen, expires = excluded.expires")
    .bind(session.id_sha256)
    .bind(session.user)
    .bind(session.created)
    .bind(session.last_seen)
    .bind(session.expires)
    .execute(tx)
    .await
    .map_err(no_such_user(session.user, "write a session"))?;
    Ok(())
}

async fn put_code(tx: &mut Link<'_>, code: Code) -> Result<(), StoreError> {
    sql("INSERT INTO code (code_sha256, purpose, person, expires, used) VALUES ($1, $2, $3, $4, $5)")
        .bind(code.code_sha256)
        .bind(code.purpose)
        .bind(code.user)
        .bind(code.expires)
        .bind(code.used)
        .execute(tx)
        .await
        .map_err(no_such_user(code.user.unwrap_or_default(), "write a code"))?;
    Ok(())
}

/// A foreign key that refuses the row means that the person is not there.
fn no_such_user(id: Uuid, doing: &'static str) -> impl FnOnce(SqlError) -> StoreError {
    move |error| {
        if error.is_without_parent() { StoreError::Missing { what: "user", id } } else { database(doing)(error) }
    }
}

/// Two who use one code at the same time stand one behind the other here; the second finds it used.
async fn use_code(tx: &mut Link<'_>, code: Digest, purpose: String, at: Timestamp) -> Result<(), StoreError> {
    let done =
        sql("UPDATE code SET used = $1 WHERE code_sha256 = $2 AND purpose = $3 AND used IS NULL AND expires > $1")
            .bind(at)
            .bind(code)
            .bind(purpose)
            .execute(tx)
            .await
            .map_err(database("use a code"))?;
    if done == 1 { Ok(()) } else { Err(StoreError::BadCode) }
}

async fn remove_expired(tx: &mut Link<'_>, before: Timestamp) -> Result<(), StoreError> {
    for statement in ["DELETE FROM session WHERE expires < $1", "DELETE FROM code WHERE expires < $1"] {
        sql(statement).bind(before).execute(tx).await.map_err(database("remove what has expired"))?;
    }
    Ok(())
}
