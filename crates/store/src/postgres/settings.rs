//! Where the database is, and how to get in.

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;
use uuid::Uuid;

/// A node that lost its power holds on to the database for 25 s.
const LOCK_WITHIN: Duration = Duration::from_secs(30);

/// A PostgreSQL database, checked. `Debug` shows no password.
#[derive(Clone)]
pub struct PostgresSettings {
    place: String,
    options: PgConnectOptions,
    lock_within: Duration,
    node: Option<Uuid>,
    as_it_is: bool,
}

/// What is wrong with the address of a database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It is not one.
    #[error(
        "it is no address of a database ({reason}); write postgres://USER@HOST:PORT/DATABASE, or for a socket postgres://USER@%2Fvar%2Frun%2Fpostgresql/DATABASE"
    )]
    Address {
        /// Why.
        reason: String,
    },
    /// It holds a password.
    #[error(
        "the password stands in the address, where everybody reads it who reads the settings; take it out, and name a secret"
    )]
    Password,
    /// Beyond this machine the server must show who it is.
    #[error(
        "{host} is another machine, and what goes there could be read on the way or go to somebody else: leave `sslmode` out, or write sslmode=verify-full, and name the certificate of who issued the server's if that is no public authority"
    )]
    Plain {
        /// The server.
        host: String,
    },
}

impl PostgresSettings {
    /// Checks an address: `postgres://USER@HOST:PORT/DATABASE`, with `sslmode` and `sslrootcert` as libpq has them. Beyond this machine
    /// the connection is encrypted, and the server's certificate checked.
    /// # Errors
    /// [`SettingsError`].
    pub fn parse(url: &str, password: Option<&str>) -> Result<Self, SettingsError> {
        let address = |reason: &dyn std::fmt::Display| SettingsError::Address { reason: reason.to_string() };
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(address(&"it does not begin with postgres://"));
        }
        let authority = url.split_once("://").map_or("", |(_, rest)| rest).split(['/', '?']).next().unwrap_or("");
        if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) || url.contains("password=") {
            return Err(SettingsError::Password);
        }
        let mut options = PgConnectOptions::from_str(url).map_err(|error| address(&error))?;
        let Some(database) = options.get_database().map(str::to_owned) else {
            return Err(address(&"it names no database"));
        };
        let host = options.get_host().to_owned();
        let place = match options.get_socket() {
            Some(socket) => format!("{}, database {database}", socket.display()),
            None => format!("{host}:{}, database {database}", options.get_port()),
        };
        if options.get_socket().is_none() && !is_here(&host) {
            if !url.contains("sslmode=") && !url.contains("ssl-mode=") {
                options = options.ssl_mode(PgSslMode::VerifyFull);
            }
            // With `verify-ca` anybody's certificate of a public authority would do, for `sslrootcert` adds to those and the name is not
            // looked at.
            if !matches!(options.get_ssl_mode(), PgSslMode::VerifyFull) {
                return Err(SettingsError::Plain { host });
            }
        }
        if let Some(password) = password {
            options = options.password(password);
        }
        Ok(Self { place, options, lock_within: LOCK_WITHIN, node: None, as_it_is: false })
    }

    /// How long a node that has just died is waited for, whose hold on the database ends by itself; 30 s unless it is said here.
    #[must_use]
    pub const fn waiting(mut self, within: Duration) -> Self {
        self.lock_within = within;
        self
    }

    /// Trusts those of a PEM file who issue certificates, beside the public authorities.
    #[must_use]
    pub fn trusting(mut self, authorities: &Path) -> Self {
        self.options = self.options.ssl_root_cert(authorities);
        self
    }

    /// Takes a database only that is new or holds the records of this node, and makes it that.
    #[must_use]
    pub const fn of_node(mut self, node: Uuid) -> Self {
        self.node = Some(node);
        self
    }

    /// Leaves its schema as it is: one of an older version is refused.
    #[must_use]
    pub const fn as_it_is(mut self) -> Self {
        self.as_it_is = true;
        self
    }

    pub(super) const fn node(&self) -> Option<Uuid> {
        self.node
    }

    pub(super) const fn is_left(&self) -> bool {
        self.as_it_is
    }

    pub(super) const fn lock_within(&self) -> Duration {
        self.lock_within
    }

    /// The server and its database, for people.
    #[must_use]
    pub fn place(&self) -> String {
        self.place.clone()
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }
}

impl std::fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSettings").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Whether a host is this machine.
fn is_here(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    // Left out, it may have come to be the folder of a socket.
    host.starts_with('/') || host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{PostgresSettings, SettingsError};

    fn check(url: &str) -> Result<String, SettingsError> {
        PostgresSettings::parse(url, Some("secret")).map(|settings| {
            let shown = format!("{settings:?}");
            assert!(!shown.contains("secret"), "{shown}");
            format!("{} {:?}", settings.place, settings.options.get_ssl_mode())
        })
    }

    #[test]
    fn an_address_beyond_this_machine_is_encrypted_and_checked() {
        assert_eq!(check("postgres://andon@db.works/andon").unwrap(), "db.works:5432, database andon VerifyFull");
        for mode in ["disable", "allow", "prefer", "require", "verify-ca"] {
            let refused = check(&format!("postgres://andon@10.0.0.5/andon?sslmode={mode}")).unwrap_err();
            assert_eq!(refused, SettingsError::Plain { host: "10.0.0.5".to_owned() });
        }
    }

    #[test]
    fn this_machine_needs_no_encryption() {
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            check(&format!("postgres://andon@{host}/andon?sslmode=disable")).unwrap();
        }
        let socket = check("postgres://andon@%2Frun%2Fpostgresql/andon").unwrap();
        assert!(socket.starts_with("/run/postgresql, database andon"), "{socket}");
    }

    #[test]
    fn what_is_no_address_and_what_holds_a_password_is_refused() {
        for url in
            ["", "mysql://a@b/c", "postgres://a@b", "postgres://a@b:nonsense/c", "postgres://a@b/c?sslmode=maybe"]
        {
            assert!(matches!(check(url), Err(SettingsError::Address { .. })), "{url}");
        }
        for url in ["postgres://a:b@c/d", "postgres://a@c/d?password=b"] {
            assert_eq!(check(url), Err(SettingsError::Password), "{url}");
        }
    }
}
