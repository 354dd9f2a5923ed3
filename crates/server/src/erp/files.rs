//! Messages as files. One that goes out is written under another name, synced, renamed, and its folder is synced: whoever sees `NAME.xml`
//! sees all of it. The same is asked of those that come in: a file is taken when its name ends in `.xml`, so it is written under another
//! name in the same file system and then renamed.
//!
//! What comes in is done, answered in `done/NAME.answer.xml`, and moved to `done` or `failed`, in this order. A kill in between does it
//! again from the beginning, which changes nothing: messages and orders are known when they come again.

use super::inbound::{Inbound, Sender};
use crate::notes::Notes;
use andon_api::ports::erp::MessageProblem;
use bytes::Bytes;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the folder is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// After a failure of ours, a file is tried again then.
const AGAIN: Duration = Duration::from_secs(30);
/// So many files are taken before the folder is looked at again.
const AT_ONCE: usize = 1_000;

/// Writes a file so that it is there as a whole or not at all, and stays. Blocking.
pub fn put(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    make_folder(folder)?;
    let part = folder.join(format!("{name}.part"));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, folder.join(name))?;
    File::open(folder)?.sync_all()
}

/// Makes a folder with those above it, so that they stay. Blocking.
fn make_folder(folder: &Path) -> io::Result<()> {
    let holders = to_be_synced(folder);
    std::fs::create_dir_all(folder)?;
    holders.into_iter().try_for_each(|holder| File::open(holder)?.sync_all())
}

/// Folders that get a new one when this is made: each new folder stays once the one that holds it is synced.
fn to_be_synced(folder: &Path) -> Vec<&Path> {
    let new = folder.ancestors().take_while(|at| !at.as_os_str().is_empty() && !at.exists());
    let holders = new.filter_map(Path::parent);
    holders.map(|at| if at.as_os_str().is_empty() { Path::new(".") } else { at }).collect()
}

/// Files that are complete, by name.
fn complete(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // Not a link, which could lead anywhere, nor a folder.
        if !entry.file_type()?.is_file() {
            continue;
        }
        let name = entry.file_name().into_string().ok().filter(|name| name.ends_with(".xml") && !name.starts_with('.'));
        names.extend(name);
    }
    names.sort_unstable();
    names.truncate(AT_ONCE);
    Ok(names)
}

/// Moves a file where it is kept; where one of that name is kept already, beside it. Blocking.
fn keep(folder: &Path, name: &str, into: &str) -> io::Result<()> {
    let target = folder.join(into);
    std::fs::create_dir_all(&target)?;
    let stem = name.trim_end_matches(".xml");
    let mut free = target.join(name);
    let mut next = 2_u32;
    while free.exists() {
        free = target.join(format!("{stem}~{next}.xml"));
        next = next.checked_add(1).ok_or(io::ErrorKind::AlreadyExists)?;
    }
    std::fs::rename(folder.join(name), free)?;
    File::open(&target)?.sync_all()?;
    File::open(folder)?.sync_all()
}

/// Files of a folder, as messages.
pub struct Files {
    pub name: String,
    pub folder: PathBuf,
    pub branches: Vec<String>,
    pub inbound: Arc<Inbound>,
    pub notes: Notes,
}

impl Files {
    /// Takes files until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut told = false;
        loop {
            let outcome = tokio::select! {
                () = stop.cancelled() => return,
                outcome = self.take_all() => outcome,
            };
            let wait = match outcome {
                Ok(()) => LOOK_EVERY,
                Err(why) => {
                    if !std::mem::replace(&mut told, true) {
                        let words = format!(
                            "Files of the link {} to the ERP are not taken: {why}. It is tried again.",
                            self.name
                        );
                        self.notes.say("", "erp_files", words);
                    }
                    AGAIN
                }
            };
            told &= wait == AGAIN;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, String> {
        let folder = self.folder.clone();
        let done = tokio::task::spawn_blocking(move || work(&folder)).await.map_err(|error| error.to_string())?;
        done.map_err(|error| format!("{}: {error}", self.folder.display()))
    }

    /// All that are there, one after the other.
    async fn take_all(&self) -> Result<(), String> {
        let names = self.blocking(|folder| std::fs::create_dir_all(folder).and_then(|()| complete(folder))).await?;
        for name in names {
            self.take(name).await?;
        }
        Ok(())
    }

    async fn take(&self, name: String) -> Result<(), String> {
        let file = name.clone();
        let bytes = self.blocking(move |folder| read(&folder.join(file))).await?;
        let sender = Sender::Files { link: self.name.clone(), branches: self.branches.clone() };
        let (accepted, answer) = match self.inbound.receive(Bytes::from(bytes), sender).await {
            Ok(reply) => (reply.accepted, reply.text),
            Err(MessageProblem::Unreadable(why)) => {
                let words = format!("The file {name} of the link {} to the ERP cannot be read: {why}.", self.name);
                self.notes.say("", "erp_file_failed", words);
                (false, None)
            }
            Err(MessageProblem::Failed(why)) => return Err(why),
        };
        if !accepted && answer.is_some() {
            let words = format!(
                "Not all of the file {name} of the link {} to the ERP was accepted; its answer says why.",
                self.name
            );
            self.notes.say("", "erp_file_failed", words);
        }
        self.blocking(move |folder| {
            if let Some(answer) = answer {
                let stem = name.trim_end_matches(".xml");
                put(&folder.join("done"), &format!("{stem}.answer.xml"), answer.as_bytes())?;
            }
            keep(folder, &name, if accepted { "done" } else { "failed" })
        })
        .await
    }
}

/// A file, or as much of it as is too much.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    File::open(path)?.take(andon_b2mml::MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_folder_that_gets_a_new_one_is_synced() {
        let folder = tempfile::tempdir().expect("a folder");
        let (line, shifts) = (folder.path().join("line1"), folder.path().join("line1/shifts"));
        assert_eq!(to_be_synced(&shifts), [line.as_path(), folder.path()]);
        put(&shifts, "a.json", b"{}").expect("written");
        assert_eq!(to_be_synced(&shifts), [] as [&Path; 0]);
        assert_eq!(to_be_synced(Path::new("no-such-folder")), [Path::new(".")]);
    }

    #[test]
    fn only_whole_files_are_seen_and_none_is_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        for name in ["b.xml", "a.xml", "c.xml.part", ".d.xml", "e.txt"] {
            std::fs::write(folder.join(name), name).expect("written");
        }
        std::fs::create_dir(folder.join("f.xml")).expect("a folder");
        std::os::unix::fs::symlink("/etc/passwd", folder.join("g.xml")).expect("a link");
        assert_eq!(complete(folder).expect("read"), ["a.xml", "b.xml"]);
        keep(folder, "a.xml", "done").expect("moved");
        put(folder, "a.xml", b"second").expect("written");
        keep(folder, "a.xml", "done").expect("moved");
        let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("there");
        assert_eq!((read("done/a.xml"), read("done/a~2.xml")), ("a.xml".to_owned(), "second".to_owned()));
        assert_eq!(complete(folder).expect("read"), ["b.xml"]);
    }
}
