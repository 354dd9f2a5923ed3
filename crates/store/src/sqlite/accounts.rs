//! People, tokens, devices, log-ins and one-time codes.

use super::outbox::enqueue;
use super::{Store, from_json, to_id, to_json};
use crate::error::{StoreError, database, is_taken};
use crate::repository::{AccountChange, AccountRepository, Accounts, Code, Device, Digest, Session, Token, User};
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use std::time::Duration;
use uuid::Uuid;

#[async_trait]
impl AccountRepository for Store {
    async fn accounts(&self) -> Result<Accounts, StoreError> {
        // From a damaged file an answer may never come.
        tokio::time::timeout(READ_WITHIN, self.read_accounts()).await.unwrap_or_else(|_| {
            let reason = format!("they could not be read within {} s", READ_WITHIN.as_secs());
            Err(StoreError::Damaged { what: "accounts", reason })
        })
    }

    async fn change_accounts(&self, changes: Vec<AccountChange>, event: Option<Event>) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                for change in changes {
                    make(tx, change).await?;
                }
                match event {
                    Some(event) => enqueue(tx, &event).await,
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
        let mut tx = self.readers().begin().await.map_err(database("read the accounts"))?;
        let accounts = Accounts {
            users: read(&mut tx, USERS, user).await?,
            tokens: read(&mut tx, "SELECT * FROM token ORDER BY id", token).await?,
            devices: read(&mut tx, "SELECT * FROM device ORDER BY id", device).await?,
            sessions: read(&mut tx, "SELECT * FROM session ORDER BY created, id_sha256", session).await?,
            codes: read(&mut tx, "SELECT * FROM code ORDER BY expires, code_sha256", code).await?,
            nobody: key_of_nobody(&mut tx).await?,
        };
        tx.rollback().await.map_err(database("read the accounts"))?;
        Ok(accounts)
    }
}

const USERS: &str = "SELECT person.*, person_name.name FROM person JOIN person_name USING (id) ORDER BY person.id";

async fn read<T>(
    tx: &mut SqliteConnection,
    sql: &'static str,
    decode: fn(&SqliteRow) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    sqlx::query(sql).fetch_all(tx).await.map_err(database("read the accounts"))?.iter().map(decode).collect()
}

/// The store has it since it was made.
async fn key_of_nobody(tx: &mut SqliteConnection) -> Result<Digest, StoreError> {
    let key: Vec<u8> = sqlx::query_scalar("SELECT key FROM nobody")
        .fetch_one(tx)
        .await
        .map_err(database("read what stands in for names that there are not"))?;
    digest(&key, "what stands in for names that there are not")
}

fn user(row: &SqliteRow) -> Result<User, StoreError> {
    Ok(User {
        id: to_id(row.get("id"), "user")?,
        name: row.get("name"),
        password_hash: row.get("password_hash"),
        enabled: row.get("enabled"),
        grants: from_json(row.get("grants"), "user's grants")?,
        created: time(row, "created"),
        last_login: optional_time(row, "last_login"),
    })
}

fn token(row: &SqliteRow) -> Result<Token, StoreError> {
    Ok(Token {
        id: to_id(row.get("id"), "token")?,
        name: row.get("name"),
        secret_sha256: digest(row.get("secret_sha256"), "token")?,
        grants: from_json(row.get("grants"), "token's grants")?,
        created: time(row, "created"),
        revoked: optional_time(row, "revoked"),
        last_used: optional_time(row, "last_used"),
    })
}

fn device(row: &SqliteRow) -> Result<Device, StoreError> {
    Ok(Device {
        id: to_id(row.get("id"), "device")?,
        user: row.get("user"),
        secret_sha256: digest(row.get("secret_sha256"), "device")?,
        scram: row.get("scram"),
        client_id: row.get("client_id"),
        certificate: row.get("certificate"),
        certificate_der: row.get("certificate_der"),
        branch: row.get("branch"),
        publish: from_json(row.get("publish"), "device's topics")?,
        subscribe: from_json(row.get("subscribe"), "device's topics")?,
        enabled: row.get("enabled"),
        created: time(row, "created"),
    })
}

fn session(row: &SqliteRow) -> Result<Session, StoreError> {
    Ok(Session {
        id_sha256: digest(row.get("id_sha256"), "session")?,
        user: to_id(row.get("person"), "session")?,
        created: time(row, "created"),
        last_seen: time(row, "last_seen"),
        expires: time(row, "expires"),
    })
}

fn code(row: &SqliteRow) -> Result<Code, StoreError> {
    let person: Option<&[u8]> = row.get("person");
    Ok(Code {
        code_sha256: digest(row.get("code_sha256"), "code")?,
        purpose: row.get("purpose"),
        user: person.map(|id| to_id(id, "code")).transpose()?,
        expires: time(row, "expires"),
        used: optional_time(row, "used"),
    })
}

fn time(row: &SqliteRow, column: &str) -> Timestamp {
    Timestamp::from_micros(row.get(column))
}

fn optional_time(row: &SqliteRow, column: &str) -> Option<Timestamp> {
    row.get::<Option<i64>, _>(column).map(Timestamp::from_micros)
}

fn digest(bytes: &[u8], what: &'static str) -> Result<Digest, StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged { what, reason: "a digest is not of 32 bytes".to_owned() })
}

async fn make(tx: &mut SqliteConnection, change: AccountChange) -> Result<(), StoreError> {
    match change {
        AccountChange::PutUser(user) => put_user(tx, user).await,
        AccountChange::RemoveUser(id) => remove(tx, "DELETE FROM person WHERE id = ?", "user", id).await,
        AccountChange::PutToken(token) => put_token(tx, token).await,
        AccountChange::RemoveToken(id) => remove(tx, "DELETE FROM token WHERE id = ?", "token", id).await,
        AccountChange::PutDevice(device) => put_device(tx, device).await,
        AccountChange::RemoveDevice(id) => remove(tx, "DELETE FROM device WHERE id = ?", "device", id).await,
        AccountChange::PutSession(session) => put_session(tx, session).await,
        AccountChange::RemoveSession(digest) => {
            delete(tx, "DELETE FROM session WHERE id_sha256 = ?", digest.to_vec()).await.map(|_| ())
        }
        AccountChange::RemoveSessionsOf(user) => {
            delete(tx, "DELETE FROM session WHERE person = ?", user.as_bytes().to_vec()).await.map(|_| ())
        }
        AccountChange::PutCode(code) => put_code(tx, code).await,
        AccountChange::UseCode { code_sha256, purpose, at } => use_code(tx, code_sha256, purpose, at).await,
        AccountChange::RemoveExpired(before) => remove_expired(tx, before).await,
    }
}

async fn delete(tx: &mut SqliteConnection, sql: &'static str, key: Vec<u8>) -> Result<u64, StoreError> {
    let done = sqlx::query(sql).bind(key).execute(tx).await.map_err(database("remove an account's row"))?;
    Ok(done.rows_affected())
}

async fn remove(tx: &mut SqliteConnection, sql: &'static str, what: &'static str, id: Uuid) -> Result<(), StoreError> {
    if delete(tx, sql, id.as_bytes().to_vec()).await? == 0 {
        return Err(StoreError::Missing { what, id });
    }
    Ok(())
}

/// A unique index that refuses the row means that the name is taken.
fn taken(what: &'static str, name: String, doing: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| if is_taken(&error) { StoreError::Taken { what, name } } else { database(doing)(error) }
}

async fn put_user(tx: &mut SqliteConnection, user: User) -> Result<(), StoreError> {
    let doing = "write a user";
    sqlx::query(
        "INSERT INTO person (id, password_hash, enabled, grants, created, last_login) VALUES (?, ?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET password_hash = excluded.password_hash, enabled = excluded.enabled, \
         grants = excluded.grants, created = excluded.created, last_login = excluded.last_login",
    )
    .bind(user.id.as_bytes().to_vec())
    .bind(user.password_hash)
    .bind(user.enabled)
    .bind(to_json(&user.grants, "user's grants")?)
    .bind(user.created.micros())
    .bind(user.last_login.map(Timestamp::micros))
    .execute(&mut *tx)
    .await
    .map_err(database(doing))?;
    sqlx::query(
        "INSERT INTO person_name (id, name, fold) VALUES (?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, fold = excluded.fold",
    )
    .bind(user.id.as_bytes().to_vec())
    .bind(user.name.clone())
    .bind(user.name.to_lowercase())
    .execute(tx)
    .await
    .map_err(taken("user", user.name, doing))?;
    Ok(())
}

async fn put_token(tx: &mut SqliteConnection, token: Token) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO token (id, name, secret_sha256, grants, created, revoked, last_used) VALUES (?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, secret_sha256 = excluded.secret_sha256, \
         grants = excluded.grants, created = excluded.created, revoked = excluded.revoked, last_used = excluded.last_used",
    )
    .bind(token.id.as_bytes().to_vec())
    .bind(token.name.clone())
    .bind(token.secret_sha256.to_vec())
    .bind(to_json(&token.grants, "token's grants")?)
    .bind(token.created.micros())
    .bind(token.revoked.map(Timestamp::micros))
    .bind(token.last_used.map(Timestamp::micros))
    .execute(tx)
    .await
    .map_err(taken("token", token.name, "write a token"))?;
    Ok(())
}

async fn put_device(tx: &mut SqliteConnection, device: Device) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO device (id, user, secret_sha256, scram, client_id, certificate, certificate_der, branch, publish, subscribe, enabled, \
         created) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (id) DO UPDATE SET user = excluded.user, secret_sha256 = excluded.secret_sha256, scram = excluded.scram, \
         client_id = excluded.client_id, certificate = excluded.certificate, certificate_der = excluded.certificate_der, \
         branch = excluded.branch, publish = excluded.publish, subscribe = excluded.subscribe, enabled = excluded.enabled, created = excluded.created",
    )
    .bind(device.id.as_bytes().to_vec())
    .bind(device.user.clone())
    .bind(device.secret_sha256.to_vec())
    .bind(device.scram)
    .bind(device.client_id)
    .bind(device.certificate)
    .bind(device.certificate_der)
    .bind(device.branch)
    .bind(to_json(&device.publish, "device's topics")?)
    .bind(to_json(&device.subscribe, "device's topics")?)
    .bind(device.enabled)
    .bind(device.created.micros())
    .execute(tx)
    .await
    .map_err(taken("device (its user, its client id or its certificate)", device.user, "write a device"))?;
    Ok(())
}

async fn put_session(tx: &mut SqliteConnection, session: Session) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO session (id_sha256, person, created, last_seen, expires) VALUES (?, ?, ?, ?, ?) \
         ON CONFLICT (id_sha256) DO UPDATE SET person = excluded.person, created = excluded.created, \
         last_seen = excluded.last_seen, expires = excluded.expires",
    )
    .bind(session.id_sha256.to_vec())
    .bind(session.user.as_bytes().to_vec())
    .bind(session.created.micros())
    .bind(session.last_seen.micros())
    .bind(session.expires.micros())
    .execute(tx)
    .await
    .map_err(no_such_user(session.user, "write a session"))?;
    Ok(())
}

async fn put_code(tx: &mut SqliteConnection, code: Code) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO code (code_sha256, purpose, person, expires, used) VALUES (?, ?, ?, ?, ?)")
        .bind(code.code_sha256.to_vec())
        .bind(code.purpose)
        .bind(code.user.map(|id| id.as_bytes().to_vec()))
        .bind(code.expires.micros())
        .bind(code.used.map(Timestamp::micros))
        .execute(tx)
        .await
        .map_err(no_such_user(code.user.unwrap_or_default(), "write a code"))?;
    Ok(())
}

/// A foreign key that refuses the row means that the person is not there.
fn no_such_user(id: Uuid, doing: &'static str) -> impl FnOnce(sqlx::Error) -> StoreError {
    move |error| {
        let refused = error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation);
        if refused { StoreError::Missing { what: "user", id } } else { database(doing)(error) }
    }
}

/// Two who use one code at the same time stand one behind the other here; the second finds it used.
async fn use_code(tx: &mut SqliteConnection, code: Digest, purpose: String, at: Timestamp) -> Result<(), StoreError> {
    let done = sqlx::query(
        "UPDATE code SET used = ?1 WHERE code_sha256 = ?2 AND purpose = ?3 AND used IS NULL AND expires > ?1",
    )
    .bind(at.micros())
    .bind(code.to_vec())
    .bind(purpose)
    .execute(tx)
    .await
    .map_err(database("use a code"))?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::BadCode) }
}

async fn remove_expired(tx: &mut SqliteConnection, before: Timestamp) -> Result<(), StoreError> {
    for sql in ["DELETE FROM session WHERE expires < ?", "DELETE FROM code WHERE expires < ?"] {
        sqlx::query(sql).bind(before.micros()).execute(&mut *tx).await.map_err(database("remove what has expired"))?;
    }
    Ok(())
}
