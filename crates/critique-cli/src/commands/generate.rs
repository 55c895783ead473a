//! `critique-rl generate`: a model continues a prompt.

use std::path::PathBuf;

use critique_core::{
    Completion, FinishReason, Generate, Message, Prompt, Request, Sampling, derive_seed,
};
use critique_model::Ends;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::input::model::{FrozenArgs, count, open_engine, share, some_share, temperature};
use crate::input::servers::ModelServers;
use crate::input::stdin::piped;
use crate::output::out;

/// Lets a model continue a prompt.
///
/// The prompt is given by `--prompt`, `--chat`, `--ids` or on standard input, of which one newline
/// at the end is left out: the one that shells and editors add.
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl generate --model models/SmolLM2-135M-Instruct --prompt 'What is 2 + 2?'",
    "critique-rl generate --model models/base --raw --max-new-tokens 32 < prompt.txt",
    "critique-rl generate --model models/base --adapter runs/gsm8k/stages/stage2 --chat chat.json --n 4 --temperature 0.7 --json",
))]
pub(crate) struct Args {
    /// A folder in Hugging Face layout, or of a PEFT adapter that names its base model
    #[arg(long, value_name = "DIR")]
    model: PathBuf,
    /// A PEFT adapter on the model
    #[arg(long, value_name = "DIR")]
    adapter: Option<PathBuf>,
    /// What the user says
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["chat", "ids"])]
    prompt: Option<String>,
    /// What the system says before the prompt
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["chat", "ids", "raw"])]
    system: Option<String>,
    /// A JSON file with a list of `{"role": …, "content": …}`, alone or under `messages`
    #[arg(long, value_name = "FILE", conflicts_with = "ids")]
    chat: Option<PathBuf>,
    /// Token ids with commas between them; the model then needs no tokenizer
    #[arg(
        long,
        value_name = "IDS",
        value_delimiter = ',',
        conflicts_with = "url"
    )]
    ids: Vec<u32>,
    /// Takes the prompt as it is, without the chat template
    #[arg(long, conflicts_with = "chat")]
    raw: bool,
    /// Completions
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = count)]
    n: usize,
    #[command(flatten)]
    sampling: SamplingArgs,
    /// Draws the completions
    #[arg(long, default_value_t = 0, value_name = "N")]
    seed: u64,
    /// Prints a JSON object for each completion: text, tokens, log-probs and why it ended
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    servers: ModelServers,
    #[command(flatten)]
    runtime: FrozenArgs,
}

/// How tokens are chosen.
#[derive(Debug, clap::Args)]
struct SamplingArgs {
    /// Longest completion, in tokens
    #[arg(long, default_value_t = 256, value_name = "N", value_parser = count)]
    max_new_tokens: usize,
    /// Divides the logits; 0 takes the most likely token
    #[arg(long, default_value_t = 0.0, value_name = "T", value_parser = temperature, allow_negative_numbers = true)]
    temperature: f32,
    /// Keeps the smallest set of tokens with this much probability; 1 keeps all
    #[arg(long, default_value_t = 1.0, value_name = "P", value_parser = some_share, allow_negative_numbers = true)]
    top_p: f32,
    /// Keeps this many most likely tokens; 0 keeps all
    #[arg(long, default_value_t = 0, value_name = "K")]
    top_k: usize,
    /// Keeps tokens at least this fraction as likely as the most likely one; 0 keeps all
    #[arg(long, default_value_t = 0.0, value_name = "P", value_parser = share, allow_negative_numbers = true)]
    min_p: f32,
    /// A text that ends a completion; may be given several times
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    stop: Vec<String>,
}

impl SamplingArgs {
    fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_p: self.top_p,
            top_k: self.top_k,
            min_p: self.min_p,
            max_new_tokens: self.max_new_tokens,
            stop: self.stop.clone(),
            ..Sampling::default()
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let seeds = (0..args.n)
        .map(|sample| derive_seed(args.seed, &["generate", &sample.to_string()]))
        .collect();
    let request = |prompt| Request {
        prompt,
        seeds,
        sampling: args.sampling.sampling(),
    };
    if args.ids.is_empty() {
        by_text(args, request)
    } else {
        by_ids(args, &request(args.ids.clone()))
    }
}

fn by_text(args: &Args, request: impl FnOnce(Vec<u32>) -> Request) -> Result<(), Failure> {
    let prompt = prompt(args)?;
    let model = args.servers.open(
        &args.model,
        args.adapter.as_deref(),
        &args.runtime.runtime(args.seed)?,
    )?;
    let ids = match &prompt {
        Asked::Raw(text) => model.codec().encode_text(text)?,
        Asked::Chat(prompt) => model.encode(prompt).map_err(Failure::failed)?,
    };
    let completions = model.generate(&[request(ids)]).map_err(Failure::failed)?;
    for completion in completions.iter().flatten() {
        if args.json {
            out::say_json(&object(completion))?;
        } else {
            out::say(&completion.text)?;
        }
    }
    Ok(())
}

/// Without a tokenizer: token ids in, token ids out.
fn by_ids(args: &Args, request: &Request) -> Result<(), Failure> {
    if !args.sampling.stop.is_empty() {
        return Err(Failure::usage(
            "`--stop` needs text, and `--ids` gives none; expected `--prompt`",
        ));
    }
    let (config, engine) = open_engine(
        &args.model,
        args.adapter.as_deref(),
        &args.runtime.runtime(args.seed)?,
    )?;
    let ends = Ends {
        eos: &config.eos_token_ids,
        decode: &|_| String::new(),
    };
    let completions = engine.generate(std::slice::from_ref(request), &ends)?;
    for completion in completions.iter().flatten() {
        if args.json {
            out::say_json(&object(completion))?;
        } else {
            let ids: Vec<String> = completion.tokens.iter().map(u32::to_string).collect();
            out::say(ids.join(","))?;
        }
    }
    Ok(())
}

fn object(completion: &Completion) -> Value {
    let finish = match completion.finish_reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
    };
    json!({
        "text": completion.text,
        "tokens": completion.tokens,
        "logprobs": completion.log_probs,
        "finish_reason": finish,
    })
}

/// What the model is asked.
enum Asked {
    /// Text without a chat template.
    Raw(String),
    /// A chat.
    Chat(Prompt),
}

fn prompt(args: &Args) -> Result<Asked, Failure> {
    if let Some(path) = &args.chat {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Failure::failed(format!("cannot read `{shown}`: {e}")))?;
        let messages = messages(&text).map_err(|why| {
            Failure::failed(format!(
                "{shown}: {why}; expected a list such as [{{\"role\":\"user\",\"content\":\"…\"}}]"
            ))
        })?;
        return Ok(Asked::Chat(Prompt {
            messages,
            prefill: String::new(),
        }));
    }
    let text = match &args.prompt {
        Some(text) => text.clone(),
        None => piped("prompt", "`--prompt`, `--chat`, `--ids`")?,
    };
    if args.raw {
        return Ok(Asked::Raw(text));
    }
    let messages = args
        .system
        .iter()
        .map(Message::system)
        .chain([Message::user(text)])
        .collect();
    Ok(Asked::Chat(Prompt {
        messages,
        prefill: String::new(),
    }))
}

fn messages(text: &str) -> Result<Vec<Message>, serde_json::Error> {
    let mut value: Value = serde_json::from_str(text)?;
    let list = value.get_mut("messages").map(Value::take).unwrap_or(value);
    serde_json::from_value(list)
}
