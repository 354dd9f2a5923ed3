//! From a journal to the disks that may be found after a power cut.

use super::SeededRandom;
use super::mem::{Image, Inode, MemDisk};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The disk writes whole sectors, or tears one.
const SECTOR: usize = 512;
/// With so few open questions, all answers are tried.
const ALL_SUBSETS_UP_TO: usize = 6;

/// One thing done to the disk.
#[derive(Clone, Debug)]
pub(super) enum Op {
    MakeDir(PathBuf),
    Create(PathBuf, Inode),
    Rename(PathBuf, PathBuf, Inode),
    Remove(PathBuf, Inode),
    SyncDir(PathBuf),
    Write(Inode, usize, Arc<[u8]>),
    Sync(Inode),
    Lose(Inode),
}

impl Op {
    /// The folder whose sync makes this last, for changes of names.
    fn dir(&self) -> Option<&Path> {
        match self {
            Self::MakeDir(path) | Self::Create(path, _) | Self::Rename(_, path, _) | Self::Remove(path, _) => {
                path.parent()
            }
            _ => None,
        }
    }

    fn apply(&self, image: &mut Image) {
        match self {
            Self::MakeDir(path) => drop(image.dirs.insert(path.clone())),
            Self::Create(path, inode) => drop(image.names.insert(path.clone(), *inode)),
            Self::Rename(from, to, inode) => {
                if image.names.get(from) == Some(inode) {
                    image.names.remove(from);
                }
                image.names.insert(to.clone(), *inode);
            }
            Self::Remove(path, inode) => {
                if image.names.get(path) == Some(inode) {
                    image.names.remove(path);
                }
            }
            Self::Write(inode, offset, bytes) => image.write(*inode, *offset, bytes),
            Self::SyncDir(_) | Self::Sync(_) | Self::Lose(_) => {}
        }
    }
}

/// What was done to a disk, in order.
#[derive(Clone, Debug)]
pub struct Journal {
    pub(super) base: Image,
    pub(super) ops: Vec<Op>,
}

impl Journal {
    /// Every moment at which the power may fail: before the first call, and after each.
    pub fn cuts(&self) -> impl Iterator<Item = Cut> + '_ {
        let mut cut = Cut { position: 0, durable: self.base.clone(), open: Vec::new() };
        let first = cut.clone();
        std::iter::once(first).chain(self.ops.iter().map(move |op| {
            cut.advance(op);
            cut.clone()
        }))
    }

    /// The moment after the first `position` calls.
    #[must_use]
    pub fn cut(&self, position: usize) -> Cut {
        let mut cut = Cut { position: 0, durable: self.base.clone(), open: Vec::new() };
        self.ops.iter().take(position).for_each(|op| cut.advance(op));
        cut
    }
}

/// A moment at which the power fails.
#[derive(Clone, Debug)]
pub struct Cut {
    position: usize,
    durable: Image,
    /// Changes of names, and writes of at most one sector each, that no sync has made last, in order.
    open: Vec<Op>,
}

/// What became of an open change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    Lost,
    There,
    /// Only the first so many bytes (or, `false`, all but those) of a sector.
    Torn(usize, bool),
}

impl Cut {
    /// How many calls had been done.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }

    fn advance(&mut self, op: &Op) {
        self.position += 1;
        match op {
            Op::Write(inode, offset, bytes) => self.open.extend(sectors(*inode, *offset, bytes)),
            Op::Sync(inode) => self.settle(|open| matches!(open, Op::Write(of, ..) if of == inode)),
            Op::SyncDir(dir) => self.settle(|open| open.dir() == Some(dir)),
            Op::Lose(inode) => self.open.retain(|open| !matches!(open, Op::Write(of, ..) if of == inode)),
            name => self.open.push(name.clone()),
        }
    }

    fn settle(&mut self, lasts: impl Fn(&Op) -> bool) {
        let (lasting, open) = std::mem::take(&mut self.open).into_iter().partition(lasts);
        self.open = open;
        lasting.iter().for_each(|op: &Op| op.apply(&mut self.durable));
    }

    /// Disks that may be found after the power fails now, at most `limit`: all of them when few changes are open, else
    /// none, all, each prefix, each single one present, each single one missing, torn sectors, and random subsets.
    pub fn states<'a>(&'a self, limit: usize, random: &'a SeededRandom) -> impl Iterator<Item = MemDisk> + 'a {
        let count = self.open.len();
        let systematic = if count <= ALL_SUBSETS_UP_TO { 1 << count } else { 2 + 3 * count };
        let total = limit.min(if count == 0 { 1 } else { systematic + 4 * count });
        // When not all fit, a random choice among them, but always "nothing" and "everything".
        (0..total).map(move |number| {
            let plan =
                if total >= systematic || number < 2 { number } else { 2 + random.below(systematic + 4 * count - 2) };
            self.build(&self.fates(plan, systematic, random))
        })
    }

    /// The disk on which nothing that was not synced is found.
    #[must_use]
    pub fn worst(&self) -> MemDisk {
        self.build(&vec![Fate::Lost; self.open.len()])
    }

    fn fates(&self, plan: usize, systematic: usize, random: &SeededRandom) -> Vec<Fate> {
        let count = self.open.len();
        let chosen = |there: bool| if there { Fate::There } else { Fate::Lost };
        let pick = |there: &dyn Fn(usize) -> bool| (0..count).map(|n| chosen(there(n))).collect::<Vec<_>>();
        if plan >= systematic {
            return self.random_fates(random);
        }
        if count <= ALL_SUBSETS_UP_TO {
            // Plans 0 and 1 are "nothing" and "everything"; the rest in any order.
            let mask = match plan {
                0 => 0,
                1 => (1 << count) - 1,
                n => n - 1,
            };
            return pick(&|n| mask >> n & 1 == 1);
        }
        let (family, at) = ((plan.saturating_sub(2)) / count, (plan.saturating_sub(2)) % count);
        match (plan, family) {
            (0, _) => pick(&|_| false),
            (1, _) => pick(&|_| true),
            (_, 0) => pick(&|n| n < at),
            (_, 1) => pick(&|n| n == at),
            _ => pick(&|n| n != at),
        }
    }

    /// Each change there or not by chance, and one or two sectors torn.
    fn random_fates(&self, random: &SeededRandom) -> Vec<Fate> {
        let bias = 1 + random.below(7);
        let mut fates: Vec<_> =
            self.open.iter().map(|_| if random.below(8) < bias { Fate::There } else { Fate::Lost }).collect();
        for _ in 0..=random.below(2) {
            let at = random.below(fates.len());
            if let (Some(Op::Write(_, _, bytes)), Some(fate)) = (self.open.get(at), fates.get_mut(at)) {
                *fate = Fate::Torn(random.below(bytes.len()), random.one_in(2));
            }
        }
        fates
    }

    fn build(&self, fates: &[Fate]) -> MemDisk {
        let mut image = self.durable.clone();
        for (op, fate) in self.open.iter().zip(fates) {
            match (fate, op) {
                (Fate::Lost, _) => {}
                (Fate::Torn(at, first), Op::Write(inode, offset, bytes)) => {
                    let (head, rest) = bytes.split_at((*at).min(bytes.len()));
                    let (from, part) = if *first { (*offset, head) } else { (*offset + head.len(), rest) };
                    image.write(*inode, from, part);
                }
                (Fate::There | Fate::Torn(..), op) => op.apply(&mut image),
            }
        }
        for inode in image.names.values() {
            image.contents.entry(*inode).or_default();
        }
        image.prune();
        MemDisk::of_image(image)
    }
}

/// A write as the disk does it: sector by sector.
fn sectors(inode: Inode, offset: usize, bytes: &[u8]) -> Vec<Op> {
    let mut pieces = Vec::new();
    let (mut at, mut rest) = (offset, bytes);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at((SECTOR - at % SECTOR).min(rest.len()));
        pieces.push(Op::Write(inode, at, Arc::from(piece)));
        at += piece.len();
        rest = after;
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, OpenMode, read_bounded};
    use crate::sim::RecordingDisk;
    use std::collections::BTreeSet;

    fn contents(disk: &MemDisk, path: &str) -> Option<Vec<u8>> {
        read_bounded(disk, Path::new(path), 1 << 20).ok()
    }

    #[test]
    fn what_was_synced_is_in_every_state_and_what_was_not_is_in_some() {
        let disk = RecordingDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let file = disk.open(Path::new("/d/f"), OpenMode::CreateNew).unwrap();
        file.write_at(&[1; 1024], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        let synced = disk.position();
        file.write_at(&[2; 1024], 0).unwrap();
        let random = SeededRandom::new(1);
        let mut found = BTreeSet::new();
        for cut in disk.journal().cuts().filter(|cut| cut.position() >= synced) {
            for state in cut.states(1000, &random) {
                let content = contents(&state, "/d/f").expect("the name was synced");
                assert_eq!(content.len(), 1024);
                found.insert((content[0], content[511], content[512], content[1023]));
            }
        }
        for whole in [(1, 1, 1, 1), (2, 2, 1, 1), (1, 1, 2, 2), (2, 2, 2, 2)] {
            assert!(found.contains(&whole), "{whole:?} is legal");
        }
        assert!(found.iter().any(|(a, b, ..)| a != b), "a torn sector is legal");
    }

    #[test]
    fn a_name_without_a_folder_sync_may_be_lost_and_a_rename_is_whole() {
        let disk = RecordingDisk::new();
        disk.create_dir_all(Path::new("/d")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        for (name, byte) in [("/d/a", 1), ("/d/b", 2)] {
            let file = disk.open(Path::new(name), OpenMode::CreateNew).unwrap();
            file.write_at(&[byte], 0).unwrap();
            file.sync_data().unwrap();
        }
        let created = disk.position();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.rename(Path::new("/d/b"), Path::new("/d/a")).unwrap();
        let random = SeededRandom::new(1);
        let before = disk.journal().cut(created);
        let lost = before.states(100, &random).filter(|state| contents(state, "/d/a").is_none()).count();
        assert!(lost > 0);
        let after = disk.journal().cut(created + 2);
        let found: BTreeSet<_> = after.states(100, &random).map(|state| contents(&state, "/d/a").unwrap()).collect();
        assert_eq!(found, BTreeSet::from([vec![1], vec![2]]));
    }

    #[test]
    fn a_lost_write_stays_visible_and_never_becomes_durable() {
        let disk = RecordingDisk::new();
        let file = disk.open(Path::new("/f"), OpenMode::CreateNew).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        file.write_at(&[1; 10], 0).unwrap();
        disk.lose(Path::new("/f"));
        file.sync_data().unwrap();
        assert_eq!(contents(disk.memory(), "/f"), Some(vec![1; 10]));
        let end = disk.journal().cut(disk.position());
        assert_eq!(contents(&end.worst(), "/f"), Some(vec![]));
    }
}
