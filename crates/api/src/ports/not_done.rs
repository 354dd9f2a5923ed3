//! Why something of manufacturing was not answered or not done.

/// Why something was not answered or not done. Each kind has its status of HTTP, and the second text says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// There is no such thing, or not for who asks.
    #[error("{0} is not known here")]
    Unknown(String),
    /// The question cannot be understood.
    #[error("{0}")]
    Asked(String),
    /// Somebody else has to do it.
    #[error("{0}")]
    NotAllowed(String, String),
    /// It cannot be meant: what is wrong, and what to do.
    #[error("{0}")]
    Refused(String, String),
    /// It does not fit what is there, and what to do.
    #[error("{0}")]
    Conflict(String, String),
    /// A failure of ours.
    #[error("{0}")]
    Failed(String),
}

impl From<andon_store::StoreError> for NotDone {
    fn from(error: andon_store::StoreError) -> Self {
        Self::Failed(andon_model::error::causes(&error))
    }
}
