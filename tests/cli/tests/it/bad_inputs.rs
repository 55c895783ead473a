//! Bad inputs, each with its message and exit code: `docs/bad-inputs.md` is their table.
//! `CRITIQUE_RL_UPDATE_DOCS=1` writes it anew.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::support::{finished, run_in, shell, workspace};

const RUN: &str = r#"seed = 3
out = "out"
task = { name = "arithmetic", operations = 1, train = 40, validation = 10, test = 10 }

[models]
actor = { new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 96 } }
critic = { from = "actor" }

[rollout]
problems = 2
group_size = 2
response = { temperature = 1.0, max_new_tokens = 8 }
critique = { temperature = 1.0, max_new_tokens = 16 }
refinement = { temperature = 0.0, max_new_tokens = 8 }

[eval]
max_new_tokens = 16

[save]
every = 1

[[stages]]
kind = "sft"
name = "sft"
model = "critic"
steps = 2
data = [{ kind = "critiques", rows = 4 }]
lr = 1e-3
eval_as = "sft"

[[stages]]
kind = "rl"
name = "stage1"
steps = 2
rewards = { discriminability = 1.0 }
kl_coef = 0.01
lr = 1e-3
eval_as = "stage1"
"#;

/// A task file and its rows.
const TASK: &str = "name = \"mine\"\nverifier = \"gsm8k\"\npath = \"rows.jsonl\"\n";
const ROWS: &str =
    "{\"question\":\"1+1?\",\"answer\":\"2\"}\n{\"question\":\"2+2?\",\"answer\":\"4\"}\n";

/// What is done to the folder first.
enum Change {
    /// Nothing.
    Whole,
    /// A part of a file is replaced.
    Edit(&'static str, &'static str, &'static str),
    /// A file is written.
    Write(&'static str, &'static [u8]),
    /// A file is cut to this many bytes.
    Cut(&'static str, usize),
    /// A file or folder goes.
    Remove(&'static str),
}

use Change::{Cut, Edit, Remove, Whole, Write};

/// A title, or an input: what is wrong with it, what is done, and the command.
enum Line {
    Title(&'static str),
    Case(&'static str, Change, &'static str),
}

use Line::{Case, Title};

const TRAIN: &str = "train run.toml --dry-run";
const MODEL: &str = "generate --model model --prompt 1+1";
const ACTOR: &str =
    "actor = { new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 96 } }";

fn table() -> Vec<Line> {
    let mut lines = arguments();
    lines.extend(run_files());
    lines.extend(models());
    lines.extend(data());
    lines.extend(run_folders());
    lines
}

fn arguments() -> Vec<Line> {
    vec![
        Title("Arguments"),
        Case("an unknown command", Whole, "trian run.toml"),
        Case("an unknown flag", Whole, "train run.toml --dry"),
        Case("no run file", Whole, "train"),
        Case("a run file that is not there", Whole, "train nowhere.toml"),
        Case("a folder as a run file", Whole, "train run"),
        Case("a setting without a value", Whole, "train run.toml seed"),
        Case(
            "a setting of the wrong type",
            Whole,
            "train run.toml seed=x",
        ),
        Case(
            "a setting of no stage",
            Whole,
            "train run.toml stages.stage9.lr=1",
        ),
        Case(
            "a misspelt setting",
            Whole,
            "train run.toml evel.problems=1",
        ),
        Case(
            "a device that no build has",
            Whole,
            "train run.toml device=gpu",
        ),
        Case(
            "a device that this build lacks",
            Whole,
            "train run.toml device=cuda",
        ),
        Case("too many threads", Whole, "train run.toml threads=100000"),
        Case(
            "a checkpoint that is not there",
            Whole,
            "train run.toml --resume run/checkpoint-99",
        ),
        Case("a negative seed", Whole, "quickstart --seed=-1"),
        Case(
            "a seed beyond 64 bits",
            Whole,
            "quickstart --seed 99999999999999999999",
        ),
        Case("a run that is not there", Whole, "eval nowhere"),
        Case("an unknown row", Whole, "compare --a run:nope --b run:sft"),
        Case(
            "a comparison without a row",
            Whole,
            "compare --a run --b run:sft",
        ),
        Case("no id of a rollout", Whole, "replay run xyz"),
        Case(
            "a rollout of a step that there is not",
            Whole,
            "replay run stage1/99/p/0.0",
        ),
        Case(
            "a minibatch that there is not",
            Whole,
            "replay run not-finite/step-1",
        ),
        Case(
            "a stage that the run has not",
            Whole,
            "critique --run run --stage nope 1+1 1+1=2",
        ),
        Case(
            "a critic without a task",
            Whole,
            "critique --critic model 1+1 1+1=2",
        ),
        Case("an unknown metric", Whole, "plot run -m rewrad -o x.svg"),
        Case(
            "a figure of no known form",
            Whole,
            "plot run -m reward -o x.gif",
        ),
        Case("a report of no run", Whole, "report nowhere -o r.html"),
        Case("a report in place of a folder", Whole, "report run -o run"),
        Case("a board of no folder", Whole, "board nowhere"),
        Case("watching no run", Whole, "watch nowhere --once"),
        Case("checking no run", Whole, "check nowhere"),
        Case("tracking to no one", Whole, "track run"),
        Case(
            "exporting over a folder that is there",
            Whole,
            "export model --out run",
        ),
        Case(
            "a kind of answer that there is not",
            Whole,
            "verify --kind maths 1 2",
        ),
        Case("an unknown task", Whole, "tasks show gsm9k"),
        Case("a name that is no crate's", Whole, "tasks new \"My Task\""),
        Case(
            "a benchmark of no model",
            Whole,
            "bench decode --model nowhere",
        ),
    ]
}

fn run_files() -> Vec<Line> {
    let of = |what, from, to| Case(what, Edit("run.toml", from, to), TRAIN);
    vec![
        Title("Run files"),
        of("a fault of TOML", "d_model = 16,", "d_model = ,"),
        of(
            "an unknown key",
            "lr = 1e-3\neval_as = \"sft\"",
            "lrr = 1e-3\neval_as = \"sft\"",
        ),
        of("a missing key", "steps = 2\ndata", "data"),
        of(
            "a value of the wrong type",
            "steps = 2\ndata",
            "steps = \"two\"\ndata",
        ),
        of(
            "an unknown kind of stage",
            "kind = \"sft\"",
            "kind = \"stf\"",
        ),
        of(
            "no stages",
            "[[stages]]\nkind = \"sft\"",
            "[[stage]]\nkind = \"sft\"",
        ),
        of("an unknown task", "\"arithmetic\"", "\"arithmetics\""),
        of("an unknown option of the task", "operations", "operation"),
        of(
            "a model that there is not",
            "model = \"critic\"",
            "model = \"critc\"",
        ),
        of(
            "a model that comes from itself",
            "from = \"actor\"",
            "from = \"critic\"",
        ),
        of(
            "a model of two sources",
            "from = \"actor\"",
            "from = \"actor\", path = \"model\"",
        ),
        of("a model without a width", "d_model = 16", "d_model = 0"),
        of(
            "heads that do not divide the width",
            "heads = 2",
            "heads = 3",
        ),
        of(
            "a context that no prompt fits",
            "context = 96",
            "context = 8",
        ),
        of(
            "LoRA on a model that the run makes",
            "from = \"actor\"",
            "from = \"actor\", lora = { r = 4, alpha = 8 }",
        ),
        of(
            "weights in bf16 that a stage trains",
            "from = \"actor\"",
            "path = \"model\", dtype = \"bf16\"",
        ),
        of(
            "no actor",
            ACTOR,
            "other = { new = { d_model = 16, layers = 1, heads = 2, d_ff = 32, context = 96 } }",
        ),
        of(
            "an engine without an address",
            "from = \"actor\"",
            "path = \"model\", engine = \"vllm\", model = \"m\"",
        ),
        of(
            "an unknown engine",
            "from = \"actor\"",
            "path = \"model\", engine = \"vlm\", urls = [\"http://127.0.0.1:9\"], model = \"m\"",
        ),
        of(
            "two stages of one name",
            "name = \"stage1\"",
            "name = \"sft\"",
        ),
        of(
            "a name that folders cannot have",
            "name = \"stage1\"",
            "name = \"stage/1\"",
        ),
        of("no steps", "steps = 2\nrewards", "steps = 0\nrewards"),
        of(
            "a rate that is no number",
            "lr = 1e-3\neval_as = \"sft\"",
            "lr = nan\neval_as = \"sft\"",
        ),
        of(
            "a rate of 2000",
            "lr = 1e-3\neval_as = \"sft\"",
            "lr = 2000\neval_as = \"sft\"",
        ),
        of("a negative KL", "kl_coef = 0.01", "kl_coef = -1"),
        of(
            "a reward that there is not",
            "discriminability = 1.0",
            "discrimination = 1.0",
        ),
        of(
            "a reward that nobody registered",
            "discriminability = 1.0",
            "others = { mine = { weight = 1.0 } }",
        ),
        of(
            "an estimator that there is not",
            "kl_coef = 0.01",
            "kl_coef = 0.01\nadvantage = \"rlo\"",
        ),
        of("RLOO of one critique", "group_size = 2", "group_size = 1"),
        of(
            "critiques without chance",
            "critique = { temperature = 1.0",
            "critique = { temperature = 0.0",
        ),
        of(
            "nothing to be written",
            "max_new_tokens = 8 }\ncritique",
            "max_new_tokens = 0 }\ncritique",
        ),
        of(
            "a reference that there is not",
            "kl_coef = 0.01",
            "kl_coef = 0.01\nreference = \"stage0\"",
        ),
        of(
            "a start that there is not",
            "kl_coef = 0.01",
            "kl_coef = 0.01\nstart = \"sft-best\"",
        ),
        of(
            "a KL without a reference",
            "kl_coef = 0.01",
            "kl_coef = 0.01\nreference = \"none\"",
        ),
        of(
            "two rows of one name",
            "eval_as = \"stage1\"",
            "eval_as = \"sft\"",
        ),
        of(
            "a row that is a control's",
            "eval_as = \"stage1\"",
            "eval_as = \"perfect\"",
        ),
        of(
            "gates that are measured and not there",
            "eval_as = \"sft\"",
            "eval_as = \"sft\"\ngates_every = 1",
        ),
        of(
            "a measure that there is not",
            "eval_as = \"sft\"",
            "eval_as = \"sft\"\ngates = [{ measure = \"acc\", at_least = 0.5 }]",
        ),
        of(
            "examples of a kind that there is not",
            "kind = \"critiques\"",
            "kind = \"critics\"",
        ),
        of(
            "examples of two sources",
            "kind = \"critiques\"",
            "kind = \"critiques\", messages = \"m.jsonl\"",
        ),
        of(
            "examples of a file that is not there",
            "kind = \"critiques\"",
            "critiques = \"nowhere.jsonl\"",
        ),
        of("no checkpoint kept", "every = 1", "every = 1\nkeep = 0"),
        of(
            "no step may be wrong, not even none",
            "[save]",
            "[save]\n[track]\n",
        )
        .into_top("seed = 3\nnot_finite_steps = 0\n"),
        of(
            "a negative temperature",
            "[eval]",
            "[eval]\ntemperatures = [-1.0]",
        ),
        of("an evaluation of no problems", "test = 10", "test = 0"),
        of(
            "an output that is a file",
            "out = \"out\"",
            "out = \"rows.jsonl\"",
        ),
        of(
            "an output below a file",
            "out = \"out\"",
            "out = \"rows.jsonl/out\"",
        ),
    ]
}

impl Line {
    /// The same with a line at the top of the run file instead.
    fn into_top(self, line: &'static str) -> Self {
        match self {
            Case(what, _, command) => Case(what, Edit("run.toml", "seed = 3\n", line), command),
            Title(title) => Title(title),
        }
    }
}

fn models() -> Vec<Line> {
    let config = "model/config.json";
    let weights = "model/model.safetensors";
    vec![
        Title("Model folders"),
        Case("no folder", Remove("model"), MODEL),
        Case("no configuration", Remove(config), MODEL),
        Case(
            "a configuration that is no JSON",
            Write(config, b"{"),
            MODEL,
        ),
        Case(
            "a family that is not known",
            Edit(
                config,
                "\"model_type\": \"llama\"",
                "\"model_type\": \"gpt5\"",
            ),
            MODEL,
        ),
        Case(
            "a number of layers that the weights have not",
            Edit(
                config,
                "\"num_hidden_layers\": 1",
                "\"num_hidden_layers\": 2",
            ),
            MODEL,
        ),
        Case(
            "a width that the weights have not",
            Edit(config, "\"hidden_size\": 16", "\"hidden_size\": 32"),
            MODEL,
        ),
        Case("no tokenizer", Remove("model/tokenizer.json"), MODEL),
        Case(
            "a tokenizer that is no JSON",
            Write("model/tokenizer.json", b"[1"),
            MODEL,
        ),
        Case("no weights", Remove(weights), MODEL),
        Case("weights that are cut", Cut(weights, 5000), MODEL),
        Case(
            "weights without a header",
            Write(weights, b"\xff\xff\xff\xff\xff\xff\xff\x7f{}"),
            MODEL,
        ),
        Case(
            "weights of a whole other file",
            Write(weights, b"version https://git-lfs.github.com/spec/v1\n"),
            MODEL,
        ),
        Case(
            "a prompt beyond the context",
            Whole,
            "generate --model model --ids 1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
        ),
        Case(
            "a token beyond the vocabulary",
            Whole,
            "generate --model model --ids 99999",
        ),
        Case(
            "a chat that is no JSON",
            Write("chat.json", b"hello"),
            "generate --model model --chat chat.json",
        ),
    ]
}

fn data() -> Vec<Line> {
    let of = |what, bytes| Case(what, Write("rows.jsonl", bytes), "tasks check mine.toml");
    vec![
        Title("Data"),
        Case("a task file that is not there", Whole, "tasks check nowhere.toml"),
        Case("a kind of answer that there is not", Edit("mine.toml", "gsm8k", "gsm9k"), "tasks check mine.toml"),
        Case("a data set without its path", Whole, "tasks check gsm8k"),
        Case("a path without the data", Whole, "tasks check gsm8k path=model"),
        Case("rows that are not there", Remove("rows.jsonl"), "tasks check mine.toml"),
        of("no rows", b""),
        of("a row that is no JSON", b"{\"question\":\"1+1?\",\"answer\":\"2\"}\n{\"question\":\n"),
        of("a row without its answer", b"{\"question\":\"1+1?\"}\n"),
        of("a question that is a list", b"{\"question\":[7],\"answer\":\"2\"}\n"),
        of("bytes that are no text", b"{\"question\":\"\xff\xfe\",\"answer\":\"2\"}\n"),
        of("the same id twice", b"{\"id\":\"a\",\"question\":\"1\",\"answer\":\"1\"}\n{\"id\":\"a\",\"question\":\"2\",\"answer\":\"2\"}\n"),
        of("an answer that cannot be read", b"{\"question\":\"1+1?\",\"answer\":\"\"}\n"),
        Case("a file of critiques without critiques", Whole, "data inspect mine.toml --against run.toml"),
    ]
}

fn run_folders() -> Vec<Line> {
    vec![
        Title("Run folders"),
        Case("another seed", Whole, "train run.toml out=run seed=4"),
        Case(
            "a run that must not be there",
            Whole,
            "train run.toml out=run --resume never",
        ),
        Case(
            "settings that were changed",
            Edit("run/config.resolved.toml", "seed = 3", "seed = 4"),
            "check run",
        ),
        Case(
            "a checkpoint of a later version",
            Edit(
                "run/stages/sft/trainer_state.json",
                "\"version\": 2",
                "\"version\": 9",
            ),
            "train run.toml out=run",
        ),
        Case(
            "a model whose bits were changed",
            Edit(
                "run/stages/stage1/config.json",
                "\"hidden_size\": 16",
                "\"hidden_size\": 17",
            ),
            "critique --run run 1+1 1+1=2",
        ),
        Case(
            "rollouts whose bits were changed",
            Edit(
                "run/rollouts/stage-stage1/step-000000.jsonl",
                "\"step\":0",
                "\"step\":1",
            ),
            "check run",
        ),
        Case(
            "a line of metrics that is none",
            Write("run/metrics.jsonl", b"{\"step\":1,\n{\"step\":2}\n"),
            "check run",
        ),
        Case(
            "a summary that is none",
            Write("run/eval/summary.json", b"[]"),
            "eval run",
        ),
        Case(
            "a stage whose model is gone",
            Remove("run/stages/sft"),
            "critique --run run --stage sft 1+1 1+1=2",
        ),
        Case(
            "a folder that holds no run",
            Remove("run/config.resolved.toml"),
            "check run",
        ),
    ]
}

/// The folder that all cases begin with.
fn made(folder: &Path) {
    for (name, text) in [("run.toml", RUN), ("mine.toml", TASK), ("rows.jsonl", ROWS)] {
        fs::write(folder.join(name), text).unwrap();
    }
    run_in(folder, &["train", "run.toml", "out=run"]).ok();
    copy(&folder.join("run/stages/stage1"), &folder.join("model"));
    // Models of other people have no checksums.
    fs::remove_file(folder.join("model/manifest.json")).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

fn apply(change: &Change, folder: &Path) {
    match change {
        Whole => {}
        Edit(file, from, to) => {
            let text = fs::read_to_string(folder.join(file)).unwrap();
            assert!(text.contains(from), "{file} has no {from:?}");
            fs::write(folder.join(file), text.replacen(from, to, 1)).unwrap();
        }
        Write(file, bytes) => fs::write(folder.join(file), bytes).unwrap(),
        Cut(file, bytes) => {
            let whole = fs::read(folder.join(file)).unwrap();
            fs::write(folder.join(file), &whole[..*bytes]).unwrap();
        }
        Remove(file) => {
            let path = folder.join(file);
            let removed = if path.is_dir() {
                fs::remove_dir_all(path)
            } else {
                fs::remove_file(path)
            };
            removed.unwrap();
        }
    }
}

/// What a person reads, on one line of a table: of the excerpt of a file, its place alone.
fn in_a_cell(stderr: &str) -> String {
    let lines = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let of_excerpt = |line: &str| line.contains(" │") || line.starts_with(['·', '╰']);
    let told = lines.filter(|line| !of_excerpt(line)).map(|line| {
        let line = line.trim_start_matches("╭─[").trim_end_matches(']');
        format!("`{}`", line.replace('`', "'").replace('|', "\\|"))
    });
    told.collect::<Vec<_>>().join("<br>")
}

#[test]
fn bad_inputs_are_told_as_the_table_says() {
    let whole = tempfile::tempdir().unwrap();
    made(whole.path());
    let root = tempfile::tempdir().unwrap();
    let mut text = String::from(HEAD);
    let (mut count, mut wrong) = (0, Vec::new());
    for line in table() {
        let (what, change, command) = match line {
            Title(title) => {
                let head = "| input | command | message | exit code |\n| --- | --- | --- | --- |";
                let _ = write!(text, "\n## {title}\n\n{head}\n");
                continue;
            }
            Case(what, change, command) => (what, change, command),
        };
        let folder = root.path().join(format!("case-{count}"));
        copy(whole.path(), &folder);
        apply(&change, &folder);
        let binary = crate::support::binary().display().to_string();
        let ran = finished(shell(&folder, &format!("'{binary}' {command}")));
        let told = ran.stderr.contains("error") && !ran.stderr.contains("panicked");
        if !told || !matches!(ran.code, 1 | 2) {
            wrong.push(format!("{what}: exit code {}: {}", ran.code, ran.stderr));
        }
        // What is wrong with a run or with rows is the answer of a check.
        let answer = command.contains("check ").then_some(&*ran.stdout);
        let said = answer.unwrap_or_default().to_owned() + &ran.stderr;
        let said = said.replace(&folder.display().to_string(), "…");
        let command = command.replace('|', "\\|");
        let short = if command.len() > 70 {
            format!("{}…", &command[..70])
        } else {
            command
        };
        let _ = writeln!(
            text,
            "| {what} | `{short}` | {} | {} |",
            in_a_cell(&said),
            ran.code
        );
        count += 1;
        fs::remove_dir_all(&folder).unwrap();
    }
    assert!(count >= 80, "{count} inputs");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let path = workspace().join("docs/bad-inputs.md");
    if std::env::var_os("CRITIQUE_RL_UPDATE_DOCS").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differ = kept.lines().zip(text.lines()).find(|(kept, is)| kept != is);
    assert!(
        kept == text,
        "docs/bad-inputs.md is not what is said; CRITIQUE_RL_UPDATE_DOCS=1 writes it: {differ:?}"
    );
}

const HEAD: &str = "# Bad inputs

What the program says of inputs that will not do, and its exit code ([what they mean](index.md#exit-codes)). \
A test makes each of them and compares this table with what is said: `tests/cli/tests/it/bad_inputs.rs`. Lines of \
a message stand below each other; of an excerpt of a file only its place stands here.
";
