//! Each target on mutations of its seeds. `CRITIQUE_RL_MUTATIONS=N` takes N of each instead of 3,000.

use critique_core::Rng;
use fuzz_targets::TARGETS;

/// What is put into inputs, besides bytes at random.
const PIECES: [&[u8]; 24] = [
    b"\0",
    b"\xff",
    b"\n",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b"(",
    b")",
    b",",
    b":",
    b"\\",
    b"^",
    b"-1",
    b"1e999",
    b"NaN",
    b"18446744073709551616",
    b"\\frac",
    b"{{",
    b"%}",
    "\u{202e}".as_bytes(),
    "½".as_bytes(),
    b"null",
];

/// Some changes, one after another: a piece put in, bytes taken out, a bit turned, a part doubled or moved.
fn mutated(seed: &[u8], draw: &mut Rng) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=draw.below(6) {
        let at = draw.below(bytes.len() + 1);
        let len = draw.below(17).min(bytes.len() - at);
        match draw.below(6) {
            0 => bytes
                .splice(at..at, PIECES[draw.below(PIECES.len())].iter().copied())
                .for_each(drop),
            1 => bytes.drain(at..at + len).for_each(drop),
            2 if at < bytes.len() => bytes[at] ^= 1 << draw.below(8),
            3 if at < bytes.len() => bytes[at] = draw.below(256) as u8,
            4 => {
                let part = bytes[at..at + len].repeat(1 + draw.below(40));
                bytes.splice(at..at, part).for_each(drop);
            }
            _ => {
                let part: Vec<u8> = bytes.drain(at..at + len).collect();
                let to = draw.below(bytes.len() + 1);
                bytes.splice(to..to, part).for_each(drop);
            }
        }
    }
    bytes
}

#[test]
fn nothing_that_strangers_hand_over_stops_a_reader() {
    let count = std::env::var("CRITIQUE_RL_MUTATIONS").map_or(3_000, |n| n.parse().unwrap());
    for target in &TARGETS {
        let mut draw = Rng::new(7);
        assert!(
            (target.run)(target.seeds[0]),
            "`{}` takes its seed",
            target.name
        );
        for n in 0..count {
            let bytes = mutated(target.seeds[n % target.seeds.len()], &mut draw);
            let begin = std::time::Instant::now();
            let run = std::panic::catch_unwind(|| (target.run)(&bytes));
            let (name, text) = (target.name, String::from_utf8_lossy(&bytes).into_owned());
            assert!(run.is_ok(), "`{name}` panics at mutation {n}: {text:?}");
            assert!(
                begin.elapsed().as_secs() < 20,
                "`{name}` takes long at mutation {n}: {text:?}"
            );
        }
    }
}

#[test]
fn every_target_has_its_file_for_libfuzzer() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("libfuzzer/fuzz_targets");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let mut names: Vec<String> = TARGETS.iter().map(|it| format!("{}.rs", it.name)).collect();
    names.sort();
    assert_eq!(files, names);
}
