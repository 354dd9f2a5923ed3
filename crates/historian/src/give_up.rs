//! A damaged file of history that cannot be put back: somebody says that its readings are lost, and the rest goes on.
//!
//! The file stays where it is and keeps its place among the others until its time is over. What of it can be read is read, what cannot
//! is a gap, as before. But nobody is told of it any more; SQL answers without its rows and lists it among the gaps; outside readers do
//! not see it. When it is put back after all, [`Historian::compact`] finds it whole and takes it back.

use crate::damage::is_lasting;
use crate::delta::may_collide;
use crate::flush::FlushError;
use crate::historian::{Historian, Segment};
use crate::manifest::FileInfo;
use crate::point::HistoryGap;
use crate::scan::Unread;
use crate::segment::{SegmentError, verify};
use andon_model::error::causes;
use andon_model::{TagId, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

/// A file for which nobody waits any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Where it lies, or lay.
    pub file: PathBuf,
    /// The time of its first reading.
    pub from: Timestamp,
    /// The time of its last one.
    pub to: Timestamp,
    /// How many readings of all tags it was written with.
    pub readings: u64,
}

/// Why a file was not given up. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum GiveUpError {
    /// No such file is part of history.
    #[error("{} is no file of readings that history consists of now; name one as `andon doctor` does", .0.display())]
    Unknown(PathBuf),
    /// It was given up before.
    #[error("{} was given up already", .0.display())]
    Already(PathBuf),
    /// There is nothing to give up.
    #[error("{} is whole: every byte fits its checksum", .0.display())]
    Whole(PathBuf),
    /// The disk would not read it, but may the next time.
    #[error("{} could not be read this time, which says nothing of its content: {why}", .file.display())]
    NotNow {
        /// Which file.
        file: PathBuf,
        /// What the disk said.
        why: String,
    },
    /// The manifest could not be saved.
    #[error(transparent)]
    Flush(#[from] FlushError),
}

impl Historian {
    /// From now on nobody waits for a damaged file of readings, which is named by its whole path or by the end of it, from the folder of
    /// its day on. When this returns it is durable.
    /// # Errors
    /// See [`GiveUpError`].
    pub async fn give_up(self: &Arc<Self>, file: &Path) -> Result<GivenUp, GiveUpError> {
        let (this, file) = (Arc::clone(self), file.to_owned());
        tokio::task::spawn_blocking(move || this.give_up_blocking(&file)).await.map_err(|_| FlushError::Stopped)?
    }

    fn give_up_blocking(&self, file: &Path) -> Result<GivenUp, GiveUpError> {
        let segment = self.state().segments.files().find(|other| file.ends_with(other.info.table_path())).cloned();
        let segment = segment.filter(|segment| is_there(file, &segment.path));
        let segment = segment.ok_or_else(|| GiveUpError::Unknown(file.to_owned()))?;
        if segment.info.given_up {
            return Err(GiveUpError::Already(segment.path.clone()));
        }
        match verify(&segment.path, &segment.info) {
            Ok(()) => {
                segment.damage.forget();
                return Err(GiveUpError::Whole(segment.path.clone()));
            }
            Err(SegmentError::Io { path, source }) if !is_lasting(&source) => {
                return Err(GiveUpError::NotNow { file: path, why: source.to_string() });
            }
            Err(error) => {
                tracing::warn!(file = %segment.path.display(), error = %causes(&error), "a damaged history file is given up");
            }
        }
        // A merge under way that has it in hand finds it gone, and is dropped.
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.state().segments.position(std::slice::from_ref(&segment)).is_none() {
            return Err(GiveUpError::Unknown(file.to_owned()));
        }
        let lost = FileInfo { given_up: true, ..segment.info.clone() };
        self.exchange(&[(Arc::clone(&segment), lost)])?;
        Ok(told(&segment))
    }

    /// A file that was given up is whole again. What came meanwhile may have rows of the same tag and time, which outside readers must
    /// not see beside its own: it is held back until both are merged.
    pub(crate) fn take_back(&self, segment: &Arc<Segment>) -> Result<(), FlushError> {
        tracing::info!(file = %segment.path.display(), "a history file that was given up is whole again and is part of history");
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let back = FileInfo { given_up: false, ..segment.info.clone() };
        let files = self.state().segments.files_of(back.day).to_vec();
        let newer = files.iter().skip_while(|other| !Arc::ptr_eq(other, segment)).skip(1);
        let colliding = newer.filter(|other| may_collide(&other.info, &back)).map(|other| {
            let collides = Some(other.info.collides.map_or(back.from, |seq| seq.min(back.from)));
            (Arc::clone(other), FileInfo { collides, ..other.info.clone() })
        });
        let changes: Vec<_> = colliding.chain([(Arc::clone(segment), back.clone())]).collect();
        self.exchange(&changes)
    }

    /// What is known of these files changes, and not the files. `writing` is held.
    fn exchange(&self, changes: &[(Arc<Segment>, FileInfo)]) -> Result<(), FlushError> {
        let mut manifest = self.saved_manifest();
        for (segment, info) in changes {
            let place = manifest.files.iter_mut().find(|known| **known == segment.info);
            place.into_iter().for_each(|known| known.clone_from(info));
        }
        self.save_manifest(&manifest)?;
        let mut state = self.state();
        for (segment, info) in changes {
            let new = Segment::new(info.clone(), &self.dir, &self.disk);
            if info.given_up == segment.info.given_up {
                new.damage.take_over(&segment.damage);
                new.rollup_damage.take_over(&segment.rollup_damage);
            }
            state.segments.replace(std::slice::from_ref(segment), Some(new));
        }
        drop(state);
        self.publish_table();
        Ok(())
    }

    /// Damaged files for which nobody waits any more, in order of time.
    #[must_use]
    pub fn given_up(&self) -> Vec<GivenUp> {
        self.state().segments.files().filter(|segment| segment.info.given_up).map(told).collect()
    }

    /// The times from the first to the last reading of each of them, of all tags, and why.
    #[must_use]
    pub fn given_up_gaps(&self) -> Vec<HistoryGap> {
        let state = self.state();
        let lost = state.segments.files().filter(|segment| segment.info.given_up);
        lost.map(|segment| gap(segment, segment.info.ts)).collect()
    }

    /// Stretches of a tag that stood in files that were given up, or may have: what of them can be read is among its points all the same.
    /// Looks at what is left of these files. Blocking.
    #[must_use]
    pub fn given_up_of(&self, tag: TagId) -> Vec<Unread> {
        let mut files: Vec<Arc<Segment>> = self.state().segments.files().cloned().collect();
        files.retain(|segment| segment.info.given_up && (segment.info.tags.0..=segment.info.tags.1).contains(&tag.0));
        let unread = |segment: &Arc<Segment>| {
            let (span, in_doubt) = self.span_in(segment, tag.0)?;
            Some(Unread { gap: gap(segment, span), in_doubt, given_up: true })
        };
        files.iter().filter_map(unread).collect()
    }
}

/// Whether a path names the file that lies there. It may be relative, and whoever wrote it may stand elsewhere than the node.
fn is_there(file: &Path, there: &Path) -> bool {
    let folder = |path: &Path| std::fs::canonicalize(path.parent()?).ok();
    file.is_relative()
        || std::path::absolute(there).is_ok_and(|there| there == file)
        || folder(file).is_some_and(|given| folder(there) == Some(given))
}

fn told(segment: &Arc<Segment>) -> GivenUp {
    let [from, to] = [segment.info.ts.0, segment.info.ts.1].map(Timestamp::from_micros);
    GivenUp { file: segment.path.clone(), from, to, readings: segment.info.rows }
}

/// `from` and `to` both inclusive.
fn gap(segment: &Segment, (from, to): (i64, i64)) -> HistoryGap {
    HistoryGap {
        from: Timestamp::from_micros(from),
        to: Timestamp::from_micros(to.saturating_add(1)),
        reason: format!("the history file {} was damaged and given up", segment.path.display()),
    }
}
