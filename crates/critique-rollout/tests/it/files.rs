//! Fixed responses in, records out and in again.

use std::error::Error;
use std::fs;

use critique_core::{Problem, Verdict};
use critique_rollout::record::{self, RolloutRecord};
use critique_rollout::{
    FixedResponses, RolloutError, Scored, Seeds, cases, critique, refine, respond,
};

use crate::scripted::{Scripted, Sums, greedy, sum};

#[test]
fn responses_come_from_either_kind_of_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("responses.jsonl");
    let lines = [
        r#"{"id": "sums/1", "responses": [{"text": "it is 2"}, {"text": "it is 3", "correct": true}]}"#,
        "",
        r#"{"idx": 4, "dataset_type": "sums", "question": "2 + 2? ", "answer": "4", "actor_model": "m", "origin_response": "it is 4", "correctness-origin": false}"#,
        r#"{"question": "2 + 2?", "origin_response": "it is 5"}"#,
    ];
    fs::write(&path, lines.join("\n")).unwrap();
    let fixed = FixedResponses::read(&path).unwrap();
    let attempts = fixed.attempts(&Sums, &[sum(2), sum(1)]).unwrap();
    let verdicts: Vec<Vec<Verdict>> = attempts
        .iter()
        .map(|list| list.iter().map(|attempt| attempt.verdict).collect())
        .collect();
    // What the file says about correctness is not believed.
    assert_eq!(verdicts, vec![vec![Verdict::Correct, Verdict::Wrong]; 2]);
    assert!(attempts[0][0].completion.is_none());
    assert!(!fixed.has(&sum(3)));
    let missing = fixed.attempts(&Sums, &[sum(3)]).unwrap_err();
    assert!(
        missing
            .to_string()
            .ends_with("responses.jsonl` has no response to problem `sums/3`")
    );
}

#[test]
fn so_many_responses_are_drawn_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("responses.jsonl");
    let texts: Vec<String> = (0..10)
        .map(|n| format!("{{\"text\": \"it is {n}\"}}"))
        .collect();
    let line = |id: u32, count: usize| {
        let texts = texts[..count].join(", ");
        format!("{{\"id\": \"sums/{id}\", \"responses\": [{texts}]}}\n")
    };
    fs::write(&path, line(1, 10) + &line(2, 3)).unwrap();
    let fixed = FixedResponses::read(&path).unwrap();
    assert_eq!((fixed.stride(), fixed.count(&sum(2))), (10, 3));
    let drawn = |step: u64, problems: &[critique_core::Problem], count: usize| -> Vec<usize> {
        let seeds = Seeds { step, ..SEEDS };
        let cases = fixed.cases(&Sums, problems, count, &seeds).unwrap();
        for case in &cases {
            // The sample names the line of the file, whichever time it is.
            let text = format!("it is {}", case.sample % 10);
            assert_eq!(case.response.text, text);
        }
        cases.iter().map(|case| case.sample).collect()
    };
    let four = drawn(0, &[sum(1)], 4);
    assert_eq!(four.len(), 4);
    assert!(four.is_sorted_by(|a, b| a < b), "{four:?}");
    assert_eq!(drawn(0, &[sum(1)], 4), four);
    let steps: std::collections::BTreeSet<Vec<usize>> =
        (0..20).map(|step| drawn(step, &[sum(1)], 4)).collect();
    assert!(steps.len() > 10, "every step draws anew");
    // As many as there are, in the order of the file.
    assert_eq!(drawn(0, &[sum(2)], 4), [0, 1, 2]);
    assert_eq!(drawn(0, &[sum(1)], 10), (0..10).collect::<Vec<_>>());
    // A problem that stands there again has samples of its own.
    let again = drawn(0, &[sum(1), sum(2), sum(1)], 4);
    assert_eq!(again[..4], four);
    assert_eq!(again[4..7], [0, 1, 2]);
    assert!(again[7..].iter().all(|&sample| sample >= 10), "{again:?}");
}

#[test]
fn bad_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("responses.jsonl");
    let refusal = |text: &str| {
        fs::write(&path, text).unwrap();
        FixedResponses::read(&path).unwrap_err().to_string()
    };
    let good = r#"{"id": "a", "responses": []}"#;
    assert!(refusal(&format!("{good}\n{{\"id\"")).contains("responses.jsonl:2: not JSON: "));
    assert!(
        refusal(&format!("{good}\n\n{{\"id\": 3}}"))
            .contains(":3: expected `id` and `responses: [{text}]`")
    );
    let absent = FixedResponses::read(&folder.path().join("none.jsonl")).unwrap_err();
    assert!(matches!(absent, RolloutError::Rows(_)));
    assert!(absent.source().is_some());
}

#[test]
fn marks_line_ends_and_gzip_change_no_response() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let lines = "{\"id\": \"a\", \"responses\": [{\"text\": \"it is 2\"}]}\n";
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(lines.as_bytes()).unwrap();
    let mut packed = packed.finish().unwrap();
    packed.extend([0; 512]);
    let problem = Problem::new("a", "", "");
    for (name, bytes) in [
        ("plain.jsonl", lines.as_bytes().to_vec()),
        ("mark.jsonl", format!("\u{feff}{lines}").into_bytes()),
        ("crlf.jsonl", lines.replace('\n', "\r\n\r\n").into_bytes()),
        ("packed.jsonl.gz", packed),
        (
            "list.json",
            format!("\u{feff}[{}]", lines.trim()).into_bytes(),
        ),
        ("other.txt", lines.as_bytes().to_vec()),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let fixed = FixedResponses::read(&path).unwrap();
        assert_eq!(fixed.count(&problem), 1, "{name}");
    }
}

const SEEDS: Seeds<'static> = Seeds {
    run: 17,
    stage: "sft",
    step: 10,
};

fn records() -> Vec<RolloutRecord> {
    let actor = Scripted::new(|_, _| "it is 2".to_owned());
    let critic = Scripted::new(|_, _| "Correctness of the final answer: Wrong".to_owned());
    let problems = [sum(1), sum(2)];
    let responses = respond(&actor, &Sums, &problems, 1, &greedy(), &SEEDS).unwrap();
    let cases = cases(&problems, responses.attempts);
    let mut groups = critique(&critic, &Sums, &cases, 1, &greedy(), &SEEDS)
        .unwrap()
        .groups;
    refine(&actor, &Sums, &mut groups, 1, &greedy(), &SEEDS).unwrap();
    let scored = Scored {
        reward: 1.2,
        rewards: vec![("refinement".into(), 1.0), ("discriminability".into(), 0.2)],
        advantage: -0.4,
    };
    groups
        .iter()
        .flat_map(|group| group.members.iter().map(move |member| (group, member)))
        .map(|(group, member)| RolloutRecord::new(&SEEDS, group, member, scored.clone()))
        .collect()
}

#[test]
fn a_record_can_be_read_by_people() {
    let text = serde_json::to_string_pretty(&records()[0]).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn records_survive_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let records = records();
    record::write_step(folder.path(), "sft", 10, &records).unwrap();
    let path = record::step_path(folder.path(), "sft", 10);
    assert!(path.ends_with("rollouts/stage-sft/step-000010.jsonl"));
    assert_eq!(record::read(&path).unwrap(), records);
    // A second run of the step takes the place of the first, and leaves nothing beside it.
    record::write_step(folder.path(), "sft", 10, &records[..1]).unwrap();
    assert_eq!(record::read(&path).unwrap().len(), 1);
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn a_damaged_record_is_named_by_line() {
    let folder = tempfile::tempdir().unwrap();
    record::write_step(folder.path(), "sft", 1, records()).unwrap();
    let path = record::step_path(folder.path(), "sft", 1);
    let text = fs::read_to_string(&path).unwrap();
    let refusal = |text: String| {
        fs::write(&path, text).unwrap();
        record::read(&path).unwrap_err().to_string()
    };
    let cut = refusal(text[..text.len() - 20].to_owned());
    assert!(
        cut.contains("step-000001.jsonl:2: EOF while parsing"),
        "{cut}"
    );
    let renamed = refusal(text.replace("\"gold\"", "\"golden\""));
    assert!(renamed.contains(":1: missing field `gold`"), "{renamed}");
    let newer = refusal(text.replace("\"version\":1", "\"version\":2"));
    assert!(
        newer.ends_with(":1: version 2 of rollouts; this build reads version 1"),
        "{newer}"
    );
}
