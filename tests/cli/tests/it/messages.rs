//! Wrong input: one clear error, with the place, and the right exit code.

use crate::support::{run, run_file, run_in};

const RUN: &str = r#"seed = 3
out = "out"
task = { name = "arithmetic", train = 20, validation = 10, test = 10 }

[models]
base = { new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 128 } }

[[stages]]
kind = "sft"
name = "solutions"
model = "base"
steps = 2
data = [{ kind = "solutions", rows = 4 }]
lr = 1e-3
"#;

/// Standard error of `train run.toml SETTINGS` on a changed run file, which must end with 2.
fn refused(change: (&str, &str), settings: &[&str]) -> String {
    assert!(RUN.contains(change.0), "{change:?} changes nothing");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("run.toml"),
        RUN.replacen(change.0, change.1, 1),
    )
    .unwrap();
    let args: Vec<&str> = ["train", "run.toml", "--dry-run"]
        .iter()
        .chain(settings)
        .copied()
        .collect();
    run_in(folder.path(), &args).fails(2)
}

#[test]
fn an_unknown_key_is_shown_in_its_line_with_what_was_meant() {
    insta::assert_snapshot!(refused(("lr = 1e-3", "lrr = 1e-3"), &[]));
}

#[test]
fn an_unknown_key_at_the_top_is_shown() {
    insta::assert_snapshot!(refused(("seed = 3", "sede = 3"), &[]));
}

#[test]
fn a_value_of_the_wrong_type_is_shown() {
    insta::assert_snapshot!(refused(("steps = 2", "steps = \"two\""), &[]));
}

#[test]
fn a_missing_key_is_named_with_its_stage() {
    insta::assert_snapshot!(refused(("lr = 1e-3\n", ""), &[]));
}

#[test]
fn a_fault_of_toml_itself_is_shown() {
    insta::assert_snapshot!(refused(("d_model = 16,", "d_model = ,"), &[]));
}

#[test]
fn a_name_that_is_no_model_is_shown() {
    insta::assert_snapshot!(refused(("model = \"base\"", "model = \"bass\""), &[]));
}

#[test]
fn an_unknown_task_is_shown_with_what_was_meant() {
    let stderr = refused(("\"arithmetic\"", "\"arithmetics\""), &[]);
    assert!(
        stderr.contains("unknown task `arithmetics`; known tasks: "),
        "{stderr}"
    );
    assert!(
        stderr.contains("did you mean `arithmetic`?") && stderr.contains("run.toml:3:"),
        "{stderr}"
    );
}

#[test]
fn an_unknown_option_of_a_task_is_shown() {
    insta::assert_snapshot!(refused(("train = 20", "trian = 20"), &[]));
}

#[test]
fn a_wrong_setting_of_the_command_line_is_named() {
    let same = ("seed = 3", "seed = 3");
    insta::assert_snapshot!(
        [
            refused(same, &["seed"]),
            refused(same, &["seed=x"]),
            refused(same, &["stages.solution.lr=1"]),
            refused(same, &["stages.solutions.lrr=1"]),
            refused(same, &["seed.x=1"]),
            refused(same, &["evel.problems=1"]),
            refused(same, &["device=gpu"]),
        ]
        .concat()
    );
}

#[test]
fn numbers_that_make_no_sense_are_named() {
    let same = ("seed = 3", "seed = 3");
    for (setting, part) in [
        (
            "rollout.critique.temperature=-1",
            "`rollout.critique.temperature` is -1; expected 0 (greedy) or more",
        ),
        ("rollout.response.top_p=0", "expected above 0, at most 1"),
        ("rollout.refinement.max_new_tokens=0", "expected at least 1"),
        ("eval.temperatures=[-0.5]", "`eval.temperatures` has -0.5"),
        ("stages.solutions.lr=nan", "`lr` is NaN"),
        ("out=", "`out` is empty"),
    ] {
        let stderr = refused(same, &[setting]);
        assert!(stderr.contains(part), "{stderr}");
        assert!(stderr.contains(setting), "{stderr}");
    }
}

/// A stage of RL, which the run file above lacks.
const RL: &str = r#"
[[stages]]
kind = "rl"
name = "stage1"
steps = 2
rewards = { discriminability = 1.0 }
kl_coef = 0.01
lr = 1e-3
eval_as = "stage1"
"#;

#[test]
fn what_cannot_be_in_a_late_stage_is_told_at_once() {
    let models = "actor = { from = \"base\" }\ncritic = { from = \"base\" }\n\n[[stages]]";
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{}{RL}", RUN.replacen("[[stages]]", models, 1));
    std::fs::write(folder.path().join("run.toml"), text).unwrap();
    for (setting, part) in [
        (
            "stages.stage1.clip_low=2",
            "`clip_low` is 2; it must be at least 0 and below 1",
        ),
        ("stages.stage1.rewards.delta=nan", "`rewards.delta` is NaN"),
        (
            "stages.stage1.optimizer.beta1=2",
            "`optimizer.beta1` is 2; expected at least 0 and below 1",
        ),
        (
            "stages.stage1.schedule.floor=7",
            "`schedule.floor` is 7; expected between 0 and 1",
        ),
        (
            "stages.stage1.gates_every=2",
            "`gates_every` is 2 without `gates`",
        ),
        (
            "stages.stage1.gates=[{ measure = \"accuracy\", at_least = 50 }]",
            "`gates.0.at_least` is 50; expected between 0 and 1",
        ),
        (
            "stages.stage1.eval_as=../x",
            "`eval_as` is `../x`; expected letters",
        ),
        (
            "stages.stage1.eval_as=random",
            "`eval_as` is `random`, which is another row's name",
        ),
        (
            "stages.solutions.data.0.kind=solution",
            "`data.0.kind` is `solution`; demonstrations",
        ),
        (
            "stages.solutions.data.0.weight=-1",
            "`data.0.weight` is -1; expected above 0",
        ),
        (
            "rollout.balanced=true",
            "expected `rollout.responses` of at least 2",
        ),
        (
            "models.base.new.layers=0",
            "`models.base.new.layers` is 0; expected at least 1",
        ),
        ("save.keep=0", "`save.keep` is 0; expected at least 1"),
        (
            "threads=100000",
            "`threads` is 100000; expected at most 1024",
        ),
        ("stages=[]", "`stages` is empty; expected at least one"),
        ("task.train=0", "no problem to train on"),
        ("task.test=0", "`eval.split` has no problems in this task"),
        (
            "task.operations=0",
            "`operations` is 0; expected 1 to 8; `task.operations=0` on the command line sets it",
        ),
        (
            "rollout.problems=-1",
            "found `-1`; expected a whole number, 0 or more",
        ),
    ] {
        for dry in [&["--dry-run"][..], &[]] {
            let args = [&["train", "run.toml", setting], dry].concat();
            let stderr = run_in(folder.path(), &args).fails(2);
            assert!(stderr.contains(part), "{setting}: {stderr}");
        }
    }
    let missing = ["train", "run.toml", "rollout.responses_file=none.jsonl"];
    let stderr = run_in(folder.path(), &missing).fails(1);
    assert!(
        stderr.starts_with("error: cannot read `none.jsonl`"),
        "{stderr}"
    );
    assert!(!folder.path().join("out").exists(), "nothing is written");
}

#[test]
fn a_line_of_examples_that_will_not_do_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (key, rows, wanted) in [
        (
            "critiques",
            r#"{"question": "1+1", "response": "2"}"#,
            "rows.jsonl:2: field `critique` is missing",
        ),
        (
            "critiques",
            r#"{"question": 7, "response": "2", "critique": "x"}"#,
            "rows.jsonl:2: field `question` is `7`; expected a text",
        ),
        (
            "messages",
            r#"{"messages": [{"role": "user", "content": "1+1"}]}"#,
            "rows.jsonl:2: field `messages`: the last turn is not the assistant's",
        ),
        ("messages", "{", "rows.jsonl:2: not JSON: "),
    ] {
        std::fs::write(folder.path().join("rows.jsonl"), format!("\n{rows}\n")).unwrap();
        let change = format!("{{ {key} = \"rows.jsonl\"");
        let text = RUN.replacen("{ kind = \"solutions\"", &change, 1);
        std::fs::write(folder.path().join("run.toml"), text).unwrap();
        let stderr = run_in(folder.path(), &["train", "run.toml"]).fails(1);
        assert!(stderr.starts_with(&format!("error: {wanted}")), "{stderr}");
    }
}

#[test]
fn numbers_of_flags_that_make_no_sense_are_refused() {
    for (args, part) in [
        (
            &["bench", "decode", "--batch", "0"][..],
            "whole number above 0",
        ),
        (
            &["bench", "decode", "--prompt-tokens", "0"],
            "whole number above 0",
        ),
        (&["bench", "train", "--tokens", "1"], "at least 2"),
        (&["bench", "rloo-step", "--group", "1"], "at least 2"),
        (
            &["bench", "logprobs", "--steps", "0"],
            "whole number above 0",
        ),
        (
            &["bench", "train", "--dtype", "bf16", "--model", "x"],
            "`--dtype bf16` is for weights that are not trained; expected `f32`, or `train --lora`",
        ),
        (
            &["bench", "rloo-step", "--dtype", "bf16", "--model", "x"],
            "expected `f32`",
        ),
        (&["generate", "--dtype", "f16"], "expected `f32` or `bf16`"),
        (&["generate", "--n", "0"], "whole number above 0"),
        (
            &["generate", "--max-new-tokens", "0"],
            "whole number above 0",
        ),
        (&["generate", "--top-p", "0"], "above 0, at most 1"),
        (&["generate", "--min-p", "-1"], "from 0 to 1"),
        (
            &["generate", "--temperature", "-1"],
            "0 (greedy) or a number above 0",
        ),
        (&["generate", "--threads", "100000"], "from 0 to 1024"),
        (&["score", "--temperature", "0"], "a number above 0"),
        (
            &["quickstart", "--seed", "18446744073709551615"],
            "not in 0..=",
        ),
        (&["eval", "x", "--problems", "3"], "--actor"),
        (
            &["eval", "x", "--fail-under", "acc_refined=nan"],
            "`nan` is no number",
        ),
    ] {
        let stderr = run(args).fails(2);
        assert!(stderr.contains(part), "{args:?}: {stderr}");
    }
}

#[test]
fn help_says_what_stands_at_the_arguments() {
    for (command, part) in [
        ("train", "CRITIQUE_RL_DEVICE"),
        ("eval", "eval runs/x"),
        ("score", "one fewer than there are ids"),
        ("replay", "Exit code 1"),
    ] {
        let long = run(&[command, "--help"]).ok();
        assert!(long.contains(part), "{part} in {long}");
        let short = run(&[command, "-h"]).ok();
        assert!(!short.contains(part), "{part} in {short}");
    }
}

#[test]
fn a_missing_run_file_is_named() {
    insta::assert_snapshot!(run(&["train", "no such.toml"]).fails(2));
}

#[test]
fn what_is_no_checkpoint_is_named() {
    let (folder, _) = run_file(RUN);
    for wrong in ["atuo", "."] {
        let stderr = run_in(folder.path(), &["train", "run.toml", "--resume", wrong]).fails(2);
        let part = format!("`--resume {wrong}`: no checkpoint; expected `auto`, `never`");
        assert!(stderr.contains(&part), "{stderr}");
    }
    assert!(!folder.path().join("out").exists(), "nothing is written");
}

#[test]
fn a_missing_model_stops_the_run_with_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let new = "new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 128 }";
    std::fs::write(
        folder.path().join("run.toml"),
        RUN.replace(new, "path = \"no such\""),
    )
    .unwrap();
    let stderr = run_in(folder.path(), &["train", "run.toml"]).fails(1);
    assert!(stderr.contains("no such"), "{stderr}");
}

#[test]
fn a_device_that_is_not_there_is_named() {
    for device in ["gpu", "cuda:99"] {
        let stderr = run(&["score", "--model", ".", "--device", device]).fails(2);
        assert!(
            stderr.starts_with(&format!("error: device `{device}`: ")),
            "{stderr}"
        );
    }
}

#[test]
fn an_unknown_task_is_named_with_the_known_ones() {
    let stderr = run(&["tasks", "show", "gsm8"]).fails(2);
    assert!(
        stderr.starts_with("error: unknown task `gsm8`; known tasks: "),
        "{stderr}"
    );
    assert!(stderr.contains("did you mean `gsm8k`?"), "{stderr}");
}

#[test]
fn a_figure_that_is_not_reached_fails_with_three() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("eval")).unwrap();
    let summary = r#"{"version":1,"rows":[{"stage":"sft","n":2,"acc_initial":0.5,"acc_refined":0.5,"delta":0.0,
        "delta_c2i":0.0,"delta_i2c":0.0,"acc_dis":0.5,"acc_dis_balanced":0.5,"acc_dis_correct":1.0,
        "acc_dis_incorrect":0.0,"parse_rate":1.0,"ci95":{}}]}"#;
    std::fs::write(folder.path().join("eval/summary.json"), summary).unwrap();
    let eval = |floor: &str| run_in(folder.path(), &["eval", ".", "--fail-under", floor]);
    eval("acc_refined=0.5").ok();
    eval("sft.acc_refined=0.5").ok();
    let stderr = eval("acc_refined=0.6").fails(3);
    assert_eq!(
        stderr.trim(),
        "error: `acc_refined` of `sft` is 0.5000; at least 0.6 was asked"
    );
    assert!(
        eval("acc_refine=0.6")
            .fails(2)
            .contains("did you mean `acc_refined`?")
    );
    eval("stage1.acc_refined=0.6").fails(2);
}

#[test]
fn tables_fit_eighty_columns() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        "no_critic",
        "sft",
        "stage1",
        "stage1-best",
        "stage2",
        "always_correct",
    ];
    let row = |name: &str| {
        format!(
            r#"{{"stage":"{name}","n":1000,"acc_initial":0.5,"acc_refined":0.935,"delta":0.1,"delta_c2i":0.1,
            "delta_i2c":0.2,"acc_dis":0.5,"acc_dis_balanced":0.5,"acc_dis_correct":1.0,"acc_dis_incorrect":0.0,
            "parse_rate":1.0,"ci95":{{"acc_refined":[0.915,0.946],"delta":[-0.105,0.115]}}}}"#
        )
    };
    let rows: Vec<String> = rows.into_iter().map(row).collect();
    let summary = format!("{{\"version\":1,\"rows\":[{}]}}", rows.join(","));
    std::fs::write(folder.path().join("summary.json"), summary).unwrap();
    let stdout = run_in(folder.path(), &["eval", "."]).ok();
    let widest = stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{widest:?} columns:\n{stdout}");
}

#[test]
fn a_folder_without_a_run_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let stderr = run_in(folder.path(), &["eval", "."]).fails(1);
    assert_eq!(
        stderr.trim(),
        "error: `.` holds no evaluation; expected a run folder with `eval/summary.json`"
    );
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("run.toml"), RUN).unwrap();
    let stdout = run_in(folder.path(), &["train", "run.toml", "--dry-run"]).ok();
    // What the program itself takes differs from machine to machine.
    let (plan, memory) = stdout.split_once("memory: about ").unwrap();
    let plan: String = plan
        .lines()
        .map(|line| match line.strip_suffix(" MiB") {
            Some(line) => format!(
                "{} N MiB\n",
                line.trim_end_matches(|c: char| c.is_ascii_digit())
                    .trim_end()
            ),
            None => format!("{line}\n"),
        })
        .collect();
    insta::assert_snapshot!(plan);
    assert!(memory.contains(" MiB at most, program "), "{memory}");
    assert!(!folder.path().join("out").exists());
}
