//! `critique-rl verify`: the verifiers' comparison of answers, for people and other programs.

use std::io;

use critique_verify::{Kind, Options, check, check_text, equivalent, explain, jsonl};
use serde_json::json;

use crate::failure::Failure;
use crate::output::out;

/// Says whether two answers are equal.
///
/// Says whether a prediction equals a gold answer, and by which rule.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl verify '\\frac12' 0.5",
    "critique-rl verify 12 'so he has #### 12 eggs' --kind gsm8k",
    "critique-rl verify --jsonl < requests.jsonl",
))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
pub(crate) struct Args {
    /// The gold answer, such as `\frac12`
    #[arg(required_unless_present = "jsonl", allow_hyphen_values = true)]
    gold: Option<String>,
    /// The answer, or with `--text` or `--kind` the response that holds it
    #[arg(required_unless_present = "jsonl", allow_hyphen_values = true)]
    prediction: Option<String>,
    /// Answers requests on standard input, one JSON object a line
    #[arg(long, conflicts_with_all = ["gold", "prediction", "explain", "json", "exit_code", "text", "kind"])]
    jsonl: bool,
    /// Shows how both answers are read
    #[arg(long)]
    explain: bool,
    /// The prediction is a whole response of no known kind
    #[arg(long, conflicts_with = "kind")]
    text: bool,
    /// The prediction is a whole response to a task of this kind: `math`, `gsm8k`, `aqua`,
    /// `theoremqa`, `multiple_choice` or `yes_no`
    #[arg(long)]
    kind: Option<Kind>,
    /// Prints one JSON object
    #[arg(long, conflicts_with = "explain")]
    json: bool,
    /// Ends with exit code 3 when the answers are not equal
    #[arg(long)]
    exit_code: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let (Some(gold), Some(prediction)) = (&args.gold, &args.prediction) else {
        return Ok(jsonl::serve(io::stdin().lock(), io::stdout().lock())?);
    };
    let options = args.kind.map_or_else(Options::default, Options::for_kind);
    let checked = match args.kind {
        Some(kind) => Some(check(gold, prediction, kind, &options)),
        None if args.text => Some(check_text(gold, prediction, &options)),
        None => None,
    };
    let answer = match &checked {
        Some(checked) => checked.answer.as_ref().map(|found| found.answer.clone()),
        None => Some(prediction.clone()),
    };
    let outcome = checked.map_or_else(
        || equivalent(gold, prediction, &options),
        |checked| checked.outcome,
    );
    if args.json {
        out::say_json(&json!({
            "equal": outcome.equal,
            "rule": outcome.rule,
            "undecided": outcome.undecided,
            "answer": answer,
        }))?;
    } else if args.explain {
        out::say(explain(
            gold,
            answer.as_deref().unwrap_or_default(),
            &options,
        ))?;
    } else {
        let equal = if outcome.equal { "equal" } else { "not equal" };
        let undecided = if outcome.undecided { ", undecided" } else { "" };
        out::say(format!("{equal}, by rule `{}`{undecided}", outcome.rule))?;
    }
    if args.exit_code && !outcome.equal {
        return Err(Failure::gate("the answers are not equal"));
    }
    Ok(())
}
