//! What was heard from an ERP: which messages, with what answer, and how new they were.

use crate::error::StoreError;
use andon_model::Timestamp;
use async_trait::async_trait;
use std::collections::HashMap;
use std::time::Duration;

/// So many messages are remembered.
pub const MOST_MESSAGES: u32 = 10_000;
/// So many bytes of answers.
pub const MOST_BYTES: u64 = 256 << 20;
/// For so long.
pub const MESSAGES_FOR: Duration = Duration::from_secs(90 * 86_400);
/// For so long it is remembered how new the last message about a thing was.
pub const LATEST_FOR: Duration = Duration::from_secs(400 * 86_400);
/// The longest answer that is remembered, in bytes.
pub const MOST_ANSWER: usize = 1 << 20;

/// A message that was dealt with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeardMessage {
    /// The digest of who sent it and of its id.
    pub key: [u8; 32],
    /// The digest of what it said.
    pub content: [u8; 32],
    /// What was answered; empty: nothing.
    pub answer: String,
}

/// What was heard from an ERP.
#[async_trait]
pub trait ErpRepository: Send + Sync + 'static {
    /// A message that was dealt with before.
    async fn erp_message(&self, key: [u8; 32]) -> Result<Option<HeardMessage>, StoreError>;
    /// When the last accepted message about each of these things was made; what is not known is left out.
    async fn erp_latest(&self, subjects: Vec<String>) -> Result<HashMap<String, Timestamp>, StoreError>;
    /// Remembers a message and how new it is, both or neither, and forgets what is beyond the bounds of this module. What is remembered
    /// of a thing never becomes older. An answer beyond [`MOST_ANSWER`] is not remembered.
    async fn erp_remember(
        &self,
        message: Option<HeardMessage>,
        latest: Vec<(String, Timestamp)>,
        now: Timestamp,
    ) -> Result<(), StoreError>;
}
