//! `critique-rl data critiques`: critiques to learn from, made by a model and kept where they are
//! right.
//!
//! The actor answers, a critic or a larger teacher criticises with the prompts of the task, and the
//! verifier says of which critiques the verdict and the refinement are right.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use critique_core::{FinishReason, Judgment, Problem, Sampling, Verdict};
use critique_model::LanguageModel;
use critique_rollout::{Member, RolloutGroup, Seeds, cases, critique, refine, respond};
use critique_tasks::Task;
use serde::Serialize;

use super::classes::Classes;
use crate::commands::eval::Part;
use crate::commands::tasks::build;
use crate::failure::Failure;
use crate::input::model::{FrozenArgs, count, temperature};
use crate::input::servers::{ActorServers, CriticServers};
use crate::output::out;

/// Problems that are answered together.
const TOGETHER: usize = 16;

/// Makes a file of critiques to learn from by SFT.
///
/// An actor answers the problems of a task, a critic or a larger teacher criticises the answers with
/// the task's prompts, and critiques that are right are kept, a JSON line each: `question`,
/// `response`, `critique`, and beside them `id`, `verdict` of the response, `judgment` of the
/// critique, and the `refinement` that it led to. A run file takes the file as
/// `data = [{ critiques = "FILE" }]`.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl data critiques --task gsm8k path=data/gsm8k --actor models/SmolLM2-135M-Instruct \\\n    \
       --critic models/Qwen2.5-1.5B-Instruct --balanced --out data/critiques.jsonl",
    "critique-rl data inspect data/critiques.jsonl",
))]
pub(crate) struct Args {
    /// Options of the task, such as `path=data/gsm8k`
    #[arg(value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// A name of `critique-rl tasks list`, or a task file (`my-task.toml`)
    #[arg(long, value_name = "NAME")]
    task: String,
    /// The model that answers and refines
    #[arg(long, value_name = "DIR")]
    actor: PathBuf,
    /// The model that criticises, such as a larger one than the critic that will learn
    #[arg(long, value_name = "DIR")]
    critic: PathBuf,
    /// A PEFT adapter on the critic
    #[arg(long, visible_alias = "adapter", value_name = "DIR")]
    critic_adapter: Option<PathBuf>,
    /// The file to write; it must not be there yet
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Which problems
    #[arg(long, value_enum, default_value_t = Part::Train)]
    split: Part,
    /// The first this many problems; 0 takes all
    #[arg(long, default_value_t = 0, value_name = "N")]
    problems: usize,
    /// Responses to each problem
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = count)]
    samples: usize,
    /// Which critiques are kept; none that was cut off ever is
    #[arg(long, value_enum, default_value_t = Keep::Refined)]
    keep: Keep,
    /// Keeps as many critiques of right responses as of others
    #[arg(long)]
    balanced: bool,
    /// Of responses and critiques; 0 is greedy. Refinements are greedy
    #[arg(long, default_value_t = 0.7, value_name = "T", value_parser = temperature, allow_negative_numbers = true)]
    temperature: f32,
    /// Longest response, critique and refinement, in tokens
    #[arg(long, default_value_t = 1024, value_name = "N", value_parser = count)]
    max_new_tokens: usize,
    /// Draws responses and critiques
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    actor_servers: ActorServers,
    #[command(flatten)]
    critic_servers: CriticServers,
    #[command(flatten)]
    runtime: FrozenArgs,
}

/// Which critiques are worth learning from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Keep {
    /// Verdict and refinement are right
    Refined,
    /// The verdict is right
    Judged,
    /// All
    All,
}

/// A line of the file.
#[derive(Serialize)]
struct Row {
    id: String,
    question: String,
    response: String,
    critique: String,
    verdict: Verdict,
    judgment: Judgment,
    #[serde(skip_serializing_if = "Option::is_none")]
    refinement: Option<String>,
}

/// How many of what there was.
#[derive(Debug, Default, Serialize)]
struct Counts {
    problems: usize,
    /// Texts that could not be asked for, as their prompt did not fit.
    dropped: usize,
    responses_right: usize,
    responses_wrong: usize,
    truncated: usize,
    judged_rightly: usize,
    /// Of those judged rightly, where refinements were made.
    refined_right: usize,
    left_out: usize,
    kept_of_right: usize,
    kept_of_wrong: usize,
    kept: Classes,
}

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    if args.out.exists() {
        return Err(Failure::usage(format!(
            "`{}` is there already; expected a new file",
            args.out.display()
        )));
    }
    let (name, task) = build(&args.task, &args.options)?;
    if task.is_open_ended() && (args.keep != Keep::All || args.balanced) {
        return Err(Failure::usage(format!(
            "responses to task `{name}` are neither right nor wrong; expected `--keep all` without `--balanced`"
        )));
    }
    let problems = args.split.problems(&*task, args.problems)?;
    let runtime = args.runtime.runtime(args.seed)?;
    let maker = Maker {
        args,
        actor: args.actor_servers.open(&args.actor, None, &runtime)?,
        critic: (args.critic_servers).open(
            &args.critic,
            args.critic_adapter.as_deref(),
            &runtime,
        )?,
        task: &*task,
    };
    let mut kept = Kept::create(&args.out, args.balanced)?;
    let mut counts = Counts::default();
    for part in problems.chunks(TOGETHER) {
        let groups = maker.criticised(part, &mut counts)?;
        for row in maker.rows(groups, &mut counts) {
            kept.put(row, &mut counts)?;
        }
        counts.problems += part.len();
        out::tell(format!(
            "{} of {} problems: {} critiques of right responses and {} of others kept",
            counts.problems,
            problems.len(),
            counts.kept_of_right,
            counts.kept_of_wrong
        ));
    }
    counts.left_out = kept.left_out();
    if counts.kept_of_right + counts.kept_of_wrong == 0 {
        let _ = std::fs::remove_file(&args.out);
        return Err(Failure::failed(format!(
            "no critique could be kept, so nothing is written\n{}",
            table(&counts)
        )));
    }
    tell(args, &name, &counts)
}

fn tell(args: &Args, task: &str, counts: &Counts) -> Result<(), Failure> {
    let file = args.out.display();
    if args.json {
        return out::say_json(
            &serde_json::json!({ "out": file.to_string(), "task": task, "counts": counts }),
        );
    }
    let (right, wrong) = (counts.kept_of_right, counts.kept_of_wrong);
    out::say(format!(
        "`{file}`: {} critiques of task {task}, {right} of right responses and {wrong} of others\n\n{}",
        right + wrong,
        table(counts)
    ))?;
    if let Some(warning) = counts.kept.warning() {
        out::tell(format!(
            "note: {warning}; `--balanced` keeps as many of both"
        ));
    }
    Ok(())
}

fn table(counts: &Counts) -> String {
    let responses = counts.responses_right + counts.responses_wrong;
    let rows = [
        ("problems", counts.problems),
        ("prompts that did not fit", counts.dropped),
        ("responses", responses),
        ("  right", counts.responses_right),
        ("  wrong or without an answer", counts.responses_wrong),
        ("critiques that were cut off", counts.truncated),
        ("critiques that judge rightly", counts.judged_rightly),
        ("  and lead to a right refinement", counts.refined_right),
        ("left out to balance", counts.left_out),
        ("kept", counts.kept_of_right + counts.kept_of_wrong),
    ];
    let line = |(what, count): (&str, usize)| format!("  {what:<34}{count:>8}");
    rows.map(line).join("\n")
}

/// Models and task.
struct Maker<'a> {
    args: &'a Args,
    actor: LanguageModel,
    critic: LanguageModel,
    task: &'a dyn Task,
}

impl Maker<'_> {
    fn seeds(&self) -> Seeds<'static> {
        Seeds {
            run: self.args.seed,
            stage: "data critiques",
            step: 0,
        }
    }

    fn sampling(&self, temperature: f32) -> Sampling {
        Sampling {
            temperature,
            max_new_tokens: self.args.max_new_tokens,
            ..Sampling::default()
        }
    }

    /// Responses with their critiques; of these only those that may be kept, refined where that
    /// decides.
    fn criticised(
        &self,
        problems: &[Problem],
        counts: &mut Counts,
    ) -> Result<Vec<RolloutGroup>, Failure> {
        let (task, seeds) = (self.task, self.seeds());
        let sampling = self.sampling(self.args.temperature);
        let samples = self.args.samples;
        let responses = respond(&self.actor, task, problems, samples, &sampling, &seeds)
            .map_err(Failure::failed)?;
        let cases = cases(problems, responses.attempts);
        for case in &cases {
            match case.response.verdict {
                Verdict::Correct => counts.responses_right += 1,
                _ => counts.responses_wrong += 1,
            }
        }
        let critiques =
            critique(&self.critic, task, &cases, 1, &sampling, &seeds).map_err(Failure::failed)?;
        counts.dropped += responses.dropped + critiques.dropped;
        let mut groups = critiques.groups;
        for group in &mut groups {
            group
                .members
                .retain(|member| self.may_be_kept(member, counts));
        }
        groups.retain(|group| !group.members.is_empty());
        if self.args.keep == Keep::Refined {
            let greedy = self.sampling(0.0);
            counts.dropped += refine(&self.actor, task, &mut groups, 1, &greedy, &seeds)
                .map_err(Failure::failed)?;
        }
        Ok(groups)
    }

    /// Whether a critique is one that no refinement need be made to refuse.
    fn may_be_kept(&self, member: &Member, counts: &mut Counts) -> bool {
        let rollout = &member.rollout;
        if rollout.critique.completion.finish_reason == FinishReason::Length {
            counts.truncated += 1;
            return false;
        }
        let rightly = rollout.judged_rightly();
        counts.judged_rightly += usize::from(rightly);
        rightly || self.args.keep == Keep::All
    }

    /// Lines for the file.
    fn rows(&self, groups: Vec<RolloutGroup>, counts: &mut Counts) -> Vec<Row> {
        let mut rows = Vec::new();
        for member in groups.into_iter().flat_map(|group| group.members) {
            let rollout = member.rollout;
            let refined = rollout.refinements.first();
            let right = refined.is_some_and(|it| it.verdict.is_correct());
            counts.refined_right += usize::from(right);
            if self.args.keep == Keep::Refined && !right {
                continue;
            }
            rows.push(Row {
                refinement: refined.map(|it| it.text.clone()),
                id: rollout.problem.id,
                question: rollout.problem.question,
                response: rollout.response.text,
                critique: rollout.critique.completion.text,
                verdict: rollout.response.verdict,
                judgment: rollout.critique.judgment,
            });
        }
        rows
    }
}

/// The file, written line by line.
struct Kept {
    path: PathBuf,
    file: File,
    /// Critiques of right responses, and of others, that wait for one of the other class; nothing
    /// where none need wait.
    waiting: Option<[VecDeque<Row>; 2]>,
}

impl Kept {
    fn create(path: &Path, balanced: bool) -> Result<Self, Failure> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| cannot_write(folder, &error))?;
        }
        let file = File::create_new(path).map_err(|error| cannot_write(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            waiting: balanced.then(Default::default),
        })
    }

    /// Writes a line, or the pair of lines that it completes.
    fn put(&mut self, row: Row, counts: &mut Counts) -> Result<(), Failure> {
        let Some(waiting) = &mut self.waiting else {
            return self.write(&row, counts);
        };
        let [right, wrong] = waiting;
        if row.verdict.is_correct() {
            right.push_back(row);
        } else {
            wrong.push_back(row);
        }
        if right.is_empty() || wrong.is_empty() {
            return Ok(());
        }
        let pair = [right.pop_front(), wrong.pop_front()];
        pair.iter()
            .flatten()
            .try_for_each(|row| self.write(row, counts))
    }

    fn write(&mut self, row: &Row, counts: &mut Counts) -> Result<(), Failure> {
        let line = serde_json::to_string(row).map_err(Failure::failed)?;
        writeln!(self.file, "{line}").map_err(|error| cannot_write(&self.path, &error))?;
        if row.verdict.is_correct() {
            counts.kept_of_right += 1;
        } else {
            counts.kept_of_wrong += 1;
        }
        counts.kept.count(row.judgment);
        Ok(())
    }

    /// Lines that nothing of the other class came for.
    fn left_out(&self) -> usize {
        let queues = self.waiting.iter().flatten();
        queues.map(VecDeque::len).sum()
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::failed(format!("cannot write `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use critique_tasks::CritiqueForm;

    use super::*;

    fn row(id: usize, verdict: Verdict) -> Row {
        Row {
            id: id.to_string(),
            question: "1 + 1?".into(),
            response: "2".into(),
            critique: CritiqueForm::claim(Judgment::Correct),
            verdict,
            judgment: Judgment::Correct,
            refinement: None,
        }
    }

    #[test]
    fn lines_are_balanced_at_every_moment() {
        let (right, wrong) = (Verdict::Correct, Verdict::Wrong);
        let verdicts = [wrong, wrong, wrong, right, Verdict::Unparsed, right];
        for (balanced, wanted, left_out) in [(true, "3051", 2), (false, "012345", 0)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("new/critiques.jsonl");
            let mut kept = Kept::create(&path, balanced).unwrap();
            let mut counts = Counts::default();
            for (id, verdict) in verdicts.into_iter().enumerate() {
                kept.put(row(id, verdict), &mut counts).unwrap();
                if balanced {
                    assert_eq!(counts.kept_of_right, counts.kept_of_wrong);
                }
            }
            let written: String = std::fs::read_to_string(&path)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .map(|line| line["id"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!((written.as_str(), kept.left_out()), (wanted, left_out));
            assert_eq!(counts.kept_of_right, 2);
        }
    }
}
