//! Small files with something in them that nobody else may read.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Puts a file that only its owner can read in its place as a whole: after a kill or a power cut the former one is there, or all of this.
/// # Errors
/// The disk refuses.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push("~new");
    let fresh = PathBuf::from(fresh);
    // One that is left over may be readable by others.
    remove(&fresh)?;
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    // A path without a folder is one in this folder.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Removes a file, if it is there.
/// # Errors
/// The disk refuses.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_is_its_owners_also_where_a_write_was_cut_off() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("secret");
        for content in ["one", "another"] {
            fs::write(dir.path().join("secret~new"), "hal").expect("written");
            replace(&path, content.as_bytes()).expect("replaced");
            assert_eq!(fs::read_to_string(&path).expect("read"), content);
            assert!(!dir.path().join("secret~new").exists());
            #[cfg(unix)]
            {
                let permissions = fs::metadata(&path).expect("meta").permissions();
                assert_eq!(std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o777, 0o600);
            }
        }
    }
}
