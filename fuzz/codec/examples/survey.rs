//! Everything on which the codecs disagree and that is not yet excepted, by kind: `survey PACKETS`.

use andon_codec_fuzz::*;
use std::collections::BTreeMap;

fn main() {
    std::panic::set_hook(Box::new(|_| {}));
    let packets: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let mut kinds: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let mut note = |d: Disagreement| {
        let ours = ours(d.heard, &d.bytes);
        let theirs = match d.other.read(d.heard, &d.bytes) {
            Theirs::Packet(..) => "accepts".to_owned(),
            other => format!("{other:?}"),
        };
        let ours = match &ours {
            Ok(Some(_)) => "accepts".to_owned(),
            Ok(None) => "waits".to_owned(),
            Err(error) => format!("{:?}", error.fault).split(['(', '{']).next().unwrap_or_default().trim().to_owned(),
        };
        let first = d.bytes.first().copied().unwrap_or(0) >> 4;
        let key = format!("{:?} {:?} type {first}: we {ours}, they {theirs}", d.other, d.heard);
        let entry = kinds.entry(key).or_insert_with(|| (0, d.to_string()));
        entry.0 += 1;
        if d.to_string().len() < entry.1.len() {
            entry.1 = d.to_string();
        }
    };
    let mut counts = Counts::default();
    for seed in 0..packets {
        let mut choice = choice::Choice::seeded(seed);
        let heard = choice.of(&Heard::ALL);
        let packet = generate::packet(&mut choice, heard);
        if let Err(d) = check_packet(heard, &packet, &mut counts) {
            note(*d);
        }
        let bytes = write(&packet, heard.version());
        for _ in 0..12 {
            let mut mutant = bytes.clone();
            mutate::mutate(&mut choice, &mut mutant);
            if let Err(d) = check_bytes(heard, &mutant, &mut counts) {
                note(*d);
            }
        }
    }
    for (kind, (times, example)) in kinds {
        println!("{times:>7} {kind}\n        {}", &example.chars().take(700).collect::<String>());
    }
    println!("{counts:?}");
}
