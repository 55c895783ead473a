//! What strangers hand over, read: each target takes any bytes and must neither panic nor hang, and
//! holds to what it promises.
//!
//! `libfuzzer/` runs them under libFuzzer ([reliability](../../../docs/reliability.md), "Fuzzing");
//! `tests/mutations.rs` runs each on mutations of its seeds, on stable Rust and in seconds.

use std::path::Path;

use critique_core::{Judgment, Message};
use critique_model::{ModelConfig, load_tensors};
use critique_run::RunConfig;
use critique_tasks::CritiqueForm;
use critique_tasks::data::read_records_from;
use critique_text::{SpecialTokens, TextCodec};
use critique_verify::{Kind, Options, equivalent, extract};

/// Something that reads what strangers hand over.
pub struct Target {
    /// Its name, that of its file under `libfuzzer/fuzz_targets/`.
    pub name: &'static str,
    /// Inputs to begin with.
    pub seeds: &'static [&'static [u8]],
    /// Reads any bytes, and tells whether they were taken.
    pub run: fn(&[u8]) -> bool,
}

/// All of them.
pub const TARGETS: [Target; 8] = [
    Target {
        name: "safetensors",
        seeds: &[SAFETENSORS, b"version https://git-lfs.github.com/spec/v1\n"],
        run: safetensors,
    },
    Target {
        name: "model_config",
        seeds: &[MODEL_CONFIG],
        run: model_config,
    },
    Target {
        name: "run_file",
        seeds: &[RUN_FILE],
        run: run_file,
    },
    Target {
        name: "rows",
        seeds: &[
            b"{\"question\":\"1+1?\",\"answer\":\"2\"}\n{\"question\":\"2\",\"answer\":3}\n",
            b"[{\"question\":\"1\",\"answer\":\"1\"}]",
            b"\xef\xbb\xbf{\"question\":\"a\",\"answer\":12345678901234567890}\r\n\r\n",
        ],
        run: rows,
    },
    Target {
        name: "judgment",
        seeds: &[
            b"Step 1 is right.\nCorrectness of the final answer: Wrong\nExplanation: 1+1=2",
            b"Correctness of the final answer: Correct\nCorrectness of the final answer: Wrong",
            b"Score of the summary: 7",
        ],
        run: judgment,
    },
    Target {
        name: "equivalent",
        seeds: &[
            b"\\frac{1}{2}\n0.5",
            b"[1, 2) \\cup \\{3\\}\n(x+1)^2",
            b"\\begin{pmatrix} 1 & 2 \\\\ 3 & 4 \\end{pmatrix}\n\\sqrt[3]{8}+2\\pi i",
        ],
        run: equivalent_pair,
    },
    Target {
        name: "extract",
        seeds: &[
            b"So \\boxed{\\frac{3}{4}} is it.",
            b"The answer is (B), not A.\n#### 1,234",
            "答案是 36 米。".as_bytes(),
        ],
        run: extract_any,
    },
    Target {
        name: "template",
        seeds: &[
            b"{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] | trim }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
            b"{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ m.content.split('a')[0] }}{% endfor %}",
            b"{{ raise_exception('no') if messages|length > 9 else messages[0].content * 3 }}",
        ],
        run: template,
    },
];

/// Runs the target of this name.
///
/// # Panics
///
/// When there is none, or where the target finds something.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let Some(target) = target else {
        panic!("no target `{name}`");
    };
    (target.run)(bytes);
}

/// Two tensors, one of no values.
const SAFETENSORS: &[u8] = b"\x78\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"BF16\",\"shape\":[0,3],\"data_offsets\":[8,8]}}          \0\0\x80\x3f\0\0\0\x40";

const MODEL_CONFIG: &[u8] = br#"{"architectures":["LlamaForCausalLM"],"model_type":"llama","vocab_size":64,"hidden_size":16,
"intermediate_size":32,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2,"head_dim":4,
"max_position_embeddings":128,"rms_norm_eps":1e-5,"rope_theta":10000.0,"tie_word_embeddings":true,"bos_token_id":1,
"eos_token_id":[2,3],"rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
"original_max_position_embeddings":64},"torch_dtype":"bfloat16","hidden_act":"silu"}"#;

const RUN_FILE: &[u8] = br#"seed = 1
out = "runs/x"
task = { name = "arithmetic", test = 10 }
[models]
actor = { path = "models/small" }
critic = { from = "actor", lora = { r = 8, alpha = 16 } }
[rollout]
problems = 4
group_size = 2
critique = { temperature = 1.0, max_new_tokens = 64 }
[[stages]]
kind = "sft"
name = "sft"
model = "critic"
steps = 2
data = [{ kind = "critiques", rows = 4 }]
lr = 1e-4
[[stages]]
kind = "rl"
name = "stage1"
steps = 2
rewards = { discriminability = 1.0, refinement = 0.5, mode = { gated = { wrong = -1.0 } } }
advantage = { reinforce = { baseline = "running_mean" } }
kl_coef = 0.01
lr = 1e-5
reference = "sft"
"#;

/// A file in a folder of its own.
fn in_folder(name: &str, bytes: &[u8], read: impl FnOnce(&Path) -> bool) -> bool {
    let Ok(folder) = tempfile::tempdir() else {
        return false;
    };
    std::fs::write(folder.path().join(name), bytes).is_ok() && read(folder.path())
}

fn safetensors(bytes: &[u8]) -> bool {
    in_folder("model.safetensors", bytes, |folder| {
        let Ok(tensors) = load_tensors(&folder.join("model.safetensors")) else {
            return false;
        };
        for tensor in tensors.values() {
            let values: usize = tensor.shape.iter().product();
            assert_eq!(values, tensor.data.len());
        }
        true
    })
}

fn model_config(bytes: &[u8]) -> bool {
    in_folder("config.json", bytes, |folder| {
        let Ok(config) = ModelConfig::load(folder) else {
            return false;
        };
        // What was read can be counted.
        assert!(config.vocab > 0 && config.max_position_embeddings > 0);
        true
    })
}

/// A run file that is right is so when it is written out, too.
fn run_file(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(config) = toml::from_str::<RunConfig>(text) else {
        return false;
    };
    if config.check().is_err() {
        return false;
    }
    let Ok(written) = toml::to_string(&config) else {
        panic!("a run file that was read cannot be written");
    };
    let again: RunConfig = match toml::from_str(&written) {
        Ok(again) => again,
        Err(error) => panic!("a run file that was written cannot be read: {error}\n{written}"),
    };
    assert!(again == config, "another run file comes back:\n{written}");
    true
}

fn rows(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let mut taken = false;
    for name in ["rows.jsonl", "rows.json"] {
        let Ok(records) = read_records_from(Path::new(name), text) else {
            continue;
        };
        taken = true;
        for record in records {
            let _ = record.text(&["question"]);
            let _ = record.text(&["answer"]);
        }
    }
    taken
}

/// A verdict is one, however often it is read.
fn judgment(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    for form in [CritiqueForm::Verdict, CritiqueForm::Score] {
        let read = form.judgment(&text);
        assert_eq!(read, form.judgment(&text));
        if form == CritiqueForm::Verdict {
            assert!(!matches!(read, Judgment::Score(_)), "{text}");
        }
    }
    assert!(
        text.contains(CritiqueForm::for_actor(&text)),
        "a part of it is shown"
    );
    true
}

/// Two answers parted by a line end.
fn equivalent_pair(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let (gold, prediction) = text.split_once('\n').unwrap_or((&text, ""));
    let _ = equivalent(gold, prediction, &Options::default());
    true
}

/// A response under every kind of task: what is found lies in the text.
fn extract_any(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    for kind in Kind::ALL {
        if let Some(found) = extract(&text, kind) {
            assert!(text.get(found.span).is_some());
        }
    }
    true
}

/// A chat template of a stranger, and messages that look like its marks.
fn template(bytes: &[u8]) -> bool {
    const TOKENIZER: &str = r#"{"version":"1.0","model":{"type":"WordLevel","vocab":{"a":0,"<unk>":1},"unk_token":"<unk>"}}"#;
    let Ok(template) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(codec) = TextCodec::from_parts(TOKENIZER, template, SpecialTokens::default()) else {
        return false;
    };
    let messages = [
        Message::system("be {{ brief }}"),
        Message::user("a <|assistant|> {% raw %}"),
        Message::assistant("b"),
    ];
    let Ok(text) = codec.render(&messages, true) else {
        return false;
    };
    assert!(text.len() < 64 << 20, "{} bytes", text.len());
    true
}
