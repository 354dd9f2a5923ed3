//! Names in the one tree: sites, lines, machines, houses, rooms, lamps.

use crate::text::{self, Hidden};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest path, in bytes.
pub const LONGEST: usize = 255;

/// Why a path is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing there.
    #[error("a path must not be empty")]
    Empty,
    /// Over 255 bytes or 16 levels.
    #[error("the path is longer than 255 bytes or deeper than 16 levels")]
    TooLong,
    /// A character that cannot be seen, or that changes how others are seen.
    #[error("in the path, {0}")]
    Hidden(#[from] Hidden),
    /// A level is empty, or has a character other than letters, digits, `_`, `-` and `.`.
    #[error("{segment:?} cannot be a level of a path: use letters, digits, `_`, `-` and `.`")]
    BadSegment {
        /// The level as written.
        segment: String,
    },
    /// A tag needs at least one piece of equipment above it.
    #[error("{path:?} names no equipment: a tag path has at least two levels, such as `press-7/temperature`")]
    NoEquipment {
        /// The path as written.
        path: String,
    },
}

fn check(text: &str) -> Result<(), PathError> {
    if text.is_empty() {
        return Err(PathError::Empty);
    }
    if text.len() > LONGEST || text.split('/').count() > 16 {
        return Err(PathError::TooLong);
    }
    text::check_line(text)?;
    for segment in text.split('/') {
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if segment.is_empty() || !segment.chars().all(allowed) || segment == "." || segment == ".." {
            return Err(PathError::BadSegment { segment: segment.to_owned() });
        }
    }
    Ok(())
}

macro_rules! path_type {
    ($name:ident) => {
        impl $name {
            /// The path as text, levels separated by `/`.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
            /// The last level.
            #[must_use]
            pub fn leaf(&self) -> &str {
                self.0.rsplit('/').next().unwrap_or(&self.0)
            }
            /// True when `self` is `branch` or below it. The empty branch is the whole tree.
            #[must_use]
            pub fn is_under(&self, branch: &str) -> bool {
                is_under(&self.0, branch)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
        impl TryFrom<String> for $name {
            type Error = PathError;
            fn try_from(text: String) -> Result<Self, PathError> {
                Self::parse(&text)
            }
        }
        impl From<$name> for String {
            fn from(path: $name) -> Self {
                path.0.into()
            }
        }
    };
}

/// True when `path` is `branch` itself or lies below it; the empty branch is the whole tree.
#[must_use]
pub fn is_under(path: &str, branch: &str) -> bool {
    branch.is_empty() || path.strip_prefix(branch).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A place or a thing: `works/bottling/line1/filler`. 1–255 bytes, 1–16 levels of letters, digits, `_`, `-`, `.`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EquipmentPath(Box<str>);

impl EquipmentPath {
    /// Checks `text`.
    /// # Errors
    /// [`PathError`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        check(text)?;
        Ok(Self(text.into()))
    }
    /// The equipment above, `None` at the top.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(above, _)| Self(above.into()))
    }
}
path_type!(EquipmentPath);

/// A tag: its equipment, then its name: `works/bottling/line1/filler/pressure`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TagPath(Box<str>);

impl TagPath {
    /// Checks `text`.
    /// # Errors
    /// [`PathError`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        check(text)?;
        if !text.contains('/') {
            return Err(PathError::NoEquipment { path: text.to_owned() });
        }
        Ok(Self(text.into()))
    }
    /// The equipment that the tag belongs to.
    #[must_use]
    pub fn equipment(&self) -> EquipmentPath {
        EquipmentPath(self.0.rsplit_once('/').map_or(&*self.0, |(above, _)| above).into())
    }
}
path_type!(TagPath);

#[cfg(test)]
mod tests {
    use super::{EquipmentPath, PathError, TagPath, is_under};

    #[test]
    fn checks_paths() {
        assert_eq!(TagPath::parse("a/b/c").map(|t| t.equipment().to_string()), Ok("a/b".to_owned()));
        assert!(matches!(TagPath::parse("a"), Err(PathError::NoEquipment { .. })));
        for bad in ["", "/a", "a//b", "a/ b", "a/+", "a/#", "a/..", "a\0b"] {
            assert!(EquipmentPath::parse(bad).is_err(), "{bad:?}");
        }
        assert!(EquipmentPath::parse("Küche/Lampe-1").is_ok());
        // Letters by their category, but drawn as nothing.
        for hidden in ["a\u{3164}/b", "a/\u{115f}", "a/\u{202e}b", "a\n/b"] {
            assert!(matches!(TagPath::parse(hidden), Err(PathError::Hidden(_))), "{hidden:?}");
        }
    }

    #[test]
    fn a_branch_ends_at_a_level() {
        assert!(is_under("a/b", "a") && is_under("a", "a") && is_under("a", ""));
        assert!(!is_under("ab", "a") && !is_under("a", "a/b"));
    }
}
