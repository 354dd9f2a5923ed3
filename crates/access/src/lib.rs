//! Who may do what where, and the proof of what was done.
//!
//! - [`table`]: the one role × action × branch table.
//! - [`accounts::Accounts`]: people, sessions, API tokens and device credentials; it is the [`andon_model::access::Gate`]
//!   that every interface asks, so a revocation holds from the next question on.
//! - [`audit`]: the hash chain over the records lane, its writer and its verifier.
//! - [`password`], [`secret`]: argon2id for what people remember, SHA-256 for what we generate.
//! - [`scram`]: the proof of a device that does not send its password.
//! - [`hashing`]: the memory and the threads for argon2id, bounded and fair.
//! - [`certificate`]: which device a client certificate belongs to.
//! - [`entered`]: such a certificate as somebody enters it.
//! - [`tls`]: the node's certificate, given or made.
//! - [`signing`]: the key that signs birth certificates.
//! - [`private_file`]: small files that nobody else may read, replaced as a whole.
//!
//! **Invariants**
//! - There is no default password and no account until the set-up code has been used.
//! - A log-in answers the same, and takes as long, whether the name or the password is wrong.
//! - Checking passwords takes two threads and 38 MiB, however many log in.
//! - A generated secret is shown once and kept only as its SHA-256 and, of a device, as what SCRAM checks it by.
//! - An event is shown to nobody before it is durable, and events are shown in the order of the chain.
//! - Passwords and secrets never appear in `Debug`, logs, events or exports.

pub mod accounts;
pub mod audit;
pub mod certificate;
mod devices;
pub mod entered;
pub mod hashing;
pub mod name;
pub mod password;
pub mod private_file;
pub mod records;
pub mod scram;
pub mod secret;
pub mod signing;
pub mod table;
pub mod tls;
mod tries;

pub use accounts::{Accounts, AccountsOptions};
pub use audit::AuditRecorder;
pub use devices::{DeviceCertificate, DeviceChange, NewDevice};
