//! Golden cases: each folder has `in.xml` and, what we make of it, either `out.xml` (with `left_out.txt`, if anything was) or `error.txt`.

use crate::read;
use std::fmt::Write;
use std::fs;
use std::path::Path;

fn judge(folder: &Path) {
    let text = fs::read(folder.join("in.xml")).unwrap();
    let expected = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let case = folder.display();
    match read(&text) {
        Ok(read) => {
            assert_eq!(read.message.write(), expected("out.xml"), "{case}/out.xml");
            let mut left_out = String::new();
            if read.left_out.count > 0 {
                let _ = writeln!(left_out, "{}", read.left_out.count);
                read.left_out.paths.iter().for_each(|path| left_out.push_str(&format!("{path}\n")));
            }
            assert_eq!(left_out, expected("left_out.txt"), "{case}/left_out.txt");
            let again = crate::read(read.message.write().as_bytes()).unwrap();
            assert_eq!(again.message, read.message, "{case}");
            assert_eq!(expected("error.txt"), "", "{case} was expected to be refused");
        }
        Err(error) => {
            assert_eq!(format!("{error}\n"), expected("error.txt"), "{case}/error.txt");
            assert!(error.application_area.is_some(), "{case}: the head could be read");
        }
    }
}

#[test]
fn every_case_gives_what_stands_beside_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut cases: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    cases.sort();
    assert!(cases.len() >= 10, "{cases:?}");
    cases.iter().for_each(|case| judge(case));
}
