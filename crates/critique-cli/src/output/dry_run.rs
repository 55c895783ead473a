//! `critique-rl train --dry-run`: what a run would do, as text. Nothing is written.

use std::fmt::Write as _;

use critique_tasks::Task;
use critique_trainer::{DryRun, MemoryForecast, PromptForecast};

use crate::failure::Failure;
use crate::input::run_file::RunFile;
use crate::output::out;

pub(crate) fn run(
    file: &RunFile,
    task_name: &str,
    task: &dyn Task,
    json: bool,
) -> Result<(), Failure> {
    let found = DryRun::of(&file.config, task_name, task);
    let found = found.map_err(|error| file.misfit(error))?;
    if json {
        out::say_json(&found)
    } else {
        out::say(text(&found))
    }
}

fn text(run: &DryRun) -> String {
    let mut text = format!(
        "dry run of `{}` on {}: nothing is written\n\n",
        run.out, run.device
    );
    let splits: Vec<String> = run
        .problems
        .iter()
        .map(|(split, count)| format!("{count} {split}"))
        .collect();
    let _ = writeln!(text, "task {}: {} problems\n", run.task, splits.join(", "));
    let models = run.models.iter().map(|(name, model)| {
        [
            name.clone(),
            grouped(model.parameters),
            grouped(model.trained),
            model.context.to_string(),
        ]
    });
    text += &out::columns(["model", "parameters", "trained", "context"], models);
    text += "\n\n";
    text += &servers_text(run);
    text += &prompts_text(&run.prompts);
    let stages = run.stages.iter().map(|stage| {
        [
            stage.name.clone(),
            stage.kind.to_owned(),
            stage.model.clone(),
            stage.steps.to_string(),
            stage.prompts_a_step.to_string(),
            grouped(stage.tokens_at_most),
            format!("{} MiB", grouped(stage.memory_bytes >> 20)),
        ]
    });
    text += &out::columns(
        [
            "stage",
            "kind",
            "trains",
            "steps",
            "prompts a step",
            "tokens at most",
            "memory at most",
        ],
        stages,
    );
    let _ = writeln!(
        text,
        "\n\neach evaluation: {} completions",
        grouped(run.eval_completions)
    );
    text += &memory_text(&run.memory);
    for note in &run.notes {
        let _ = write!(text, "\n\nnote: {note}");
    }
    text
}

/// Models that servers sample for, which are not asked by a dry run.
fn servers_text(run: &DryRun) -> String {
    let mut text = String::new();
    for (name, model) in &run.models {
        let what = if model.on_servers {
            "is on servers, none of it in the memory below"
        } else if model.servers.is_empty() {
            continue;
        } else {
            "is sampled by servers, its weights and training in the memory below"
        };
        let _ = writeln!(text, "{name} {what}: {}\n", model.servers.join(", "));
    }
    text
}

/// Lengths of prompts; nothing without a stage of RL.
fn prompts_text(prompts: &[PromptForecast]) -> String {
    if prompts.is_empty() {
        return String::new();
    }
    let rows = prompts.iter().map(|prompt| {
        [
            format!("{} ({})", prompt.phase, prompt.stage),
            prompt.model.clone(),
            prompt.median.to_string(),
            prompt.longest.to_string(),
            format!("{:.0} %", 100.0 * prompt.fit),
        ]
    });
    let head = [
        "prompts, in tokens",
        "model",
        "median",
        "longest",
        "fit the context",
    ];
    out::columns(head, rows) + "\n\n"
}

/// The sum and its parts.
fn memory_text(memory: &MemoryForecast) -> String {
    let mib = |bytes: usize| grouped(bytes >> 20);
    let mut text = format!("memory: about {} MiB at most", mib(memory.total()));
    let passing = if memory.sampling >= memory.saving {
        ("keys and values", memory.sampling)
    } else {
        ("copies while saving", memory.saving)
    };
    for (what, bytes) in [
        ("program", memory.program),
        ("weights", memory.weights),
        ("gradients and optimizer", memory.optimizer),
        ("activations and logits", memory.activations),
        passing,
    ] {
        if bytes > 0 {
            let _ = write!(text, ", {what} {}", mib(bytes));
        }
    }
    text.push('\n');
    text
}

/// Digits in groups of three.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn digits_stand_in_groups_of_three() {
        assert_eq!(
            [0, 999, 1000, 1234567].map(super::grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
