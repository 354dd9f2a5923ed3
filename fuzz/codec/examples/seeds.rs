//! Writes packets of every kind and the corpus into a folder, for the guided fuzzer to start from: `seeds FOLDER`.

use andon_codec_fuzz::{Heard, choice::Choice, corpus, generate, write};
use std::path::Path;

/// How many packets of each situation.
const EACH: u64 = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("use: seeds FOLDER")?;
    let folder = Path::new(&folder);
    let save = |name: String, heard: Heard, bytes: &[u8]| {
        let at = Heard::ALL.iter().position(|other| *other == heard).unwrap_or(0);
        let first = u8::try_from(at).unwrap_or(0);
        std::fs::write(folder.join(name), [&[first], bytes].concat())
    };
    for seed in 0..EACH * Heard::ALL.len() as u64 {
        let heard = Heard::ALL[usize::try_from(seed % Heard::ALL.len() as u64)?];
        let bytes = write(&generate::packet(&mut Choice::seeded(seed), heard), heard.version());
        if bytes.len() < 1024 {
            save(format!("packet-{seed}"), heard, &bytes)?;
        }
    }
    let kept = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/mqtt.txt"))?;
    for (at, (heard, bytes)) in corpus::parse(&kept)?.into_iter().enumerate() {
        save(format!("kept-{at}"), heard, &bytes)?;
    }
    Ok(())
}
