//! The two ends of a connection, and its beginning.

use andon_wire::mqtt::Version;

/// In which situation bytes are heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Heard {
    /// By a server, as the first of a connection, written in this version.
    First(Version),
    /// By a server, after a CONNECT of this version.
    FromClient(Version),
    /// By a client that speaks this version.
    FromServer(Version),
}

impl Heard {
    /// Every situation there is.
    pub const ALL: [Self; 9] = [
        Self::First(Version::V31),
        Self::First(Version::V311),
        Self::First(Version::V5),
        Self::FromClient(Version::V31),
        Self::FromClient(Version::V311),
        Self::FromClient(Version::V5),
        Self::FromServer(Version::V31),
        Self::FromServer(Version::V311),
        Self::FromServer(Version::V5),
    ];

    /// The version spoken.
    #[must_use]
    pub const fn version(self) -> Version {
        match self {
            Self::First(version) | Self::FromClient(version) | Self::FromServer(version) => version,
        }
    }
}
