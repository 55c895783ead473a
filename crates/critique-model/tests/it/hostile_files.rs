//! Model folders that were made to do harm: each is refused by an error that names the file, in
//! seconds and in little memory. The table makes its files itself.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use critique_model::{CpuEngine, ModelError, load_adapter, load_tensors, read_model, save_tensors};
use serde_json::{Map, Value, json};

use crate::support::{golden, told};

/// Memory that the process may take while it reads them all, in KB.
const MEMORY: u64 = 1_500_000;
/// Time that each may take, on a machine that does other things too.
const TIME: Duration = Duration::from_secs(10);
/// Set in the process with bounded memory.
const LIMITED: &str = "CRITIQUE_RL_TEST_LIMITED";

/// What makes the folder hostile, and what the error says beside the file's name.
struct Case {
    name: String,
    file: &'static str,
    says: &'static str,
    spoil: Box<dyn Fn(&Path)>,
}

const CONFIG: &str = "config.json";
const WEIGHTS: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
const ADAPTER: &str = "adapter_config.json";
const DEEP: usize = 1_000_000;

#[test]
fn hostile_files_are_refused_in_little_time_and_memory() {
    if cfg!(unix) && std::env::var_os(LIMITED).is_none() {
        return in_limited_memory(
            "hostile_files::hostile_files_are_refused_in_little_time_and_memory",
        );
    }
    let cases = all_cases();
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let dir = tempfile::tempdir().unwrap();
        good_folder(dir.path());
        (case.spoil)(dir.path());
        let start = Instant::now();
        let found = load(dir.path()).map_err(|error| told(&error));
        let took = start.elapsed();
        match found {
            Ok(()) => wrong.push(format!("{}: loaded", case.name)),
            Err(error) if !names(&error, case) => wrong.push(format!("{}: {error}", case.name)),
            Err(_) if took > TIME => wrong.push(format!("{}: took {took:?}", case.name)),
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// That the unspoilt folder is fine, so that what is refused is what a case did.
#[test]
fn the_folder_that_hostile_files_are_put_into_loads() {
    let dir = tempfile::tempdir().unwrap();
    good_folder(dir.path());
    load(dir.path()).unwrap();
}

/// Runs one test in a process of its own that gets no more memory than it should need.
fn in_limited_memory(test: &str) {
    let script = format!("ulimit -v {MEMORY} && exec \"$0\" --exact {test} --nocapture");
    let program = std::env::current_exe().unwrap();
    let run = Command::new("sh")
        .args(["-c", &script])
        .arg(program)
        .env(LIMITED, "1")
        .env("RAYON_NUM_THREADS", "2")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{:?}\n{told}", run.status);
    assert!(told.contains("1 passed"), "{told}");
}

fn names(error: &str, case: &Case) -> bool {
    let short = error.len() < 5000;
    let harmless = !error.chars().any(|it| it.is_control() && it != '\n');
    error.contains(case.file) && error.contains(case.says) && short && harmless
}

fn good_folder(dir: &Path) {
    let from = golden("models/llama-untied");
    for name in [CONFIG, "generation_config.json", WEIGHTS] {
        fs::copy(from.join(name), dir.join(name)).unwrap();
    }
    fs::create_dir(dir.join("adapter")).unwrap();
    for name in [ADAPTER, "adapter_model.safetensors"] {
        let to = dir.join("adapter").join(name);
        fs::copy(from.join("adapter").join(name), to).unwrap();
    }
}

fn load(dir: &Path) -> Result<(), ModelError> {
    let (config, weights) = read_model(dir)?;
    CpuEngine::new(&config, weights, 2)?;
    load_adapter(&dir.join("adapter"), &config)?;
    Ok(())
}

fn all_cases() -> Vec<Case> {
    let mut cases = header_cases();
    cases.extend(whole_file_cases());
    cases.extend(spare_tensor_cases());
    cases.extend(index_cases());
    cases.extend(config_cases());
    cases.extend(json_cases());
    cases.extend(adapter_cases());
    if cfg!(unix) {
        cases.extend(place_cases());
    }
    cases
}

fn case(
    name: impl Into<String>,
    file: &'static str,
    says: &'static str,
    spoil: impl Fn(&Path) + 'static,
) -> Case {
    Case {
        name: name.into(),
        file,
        says,
        spoil: Box::new(spoil),
    }
}

/// Writes a safetensors file with this header in front of so many bytes.
fn write_tensors(path: &Path, header: &[u8], bytes: u64) {
    let mut content = (header.len() as u64).to_le_bytes().to_vec();
    content.extend(header);
    fs::write(path, &content).unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(content.len() as u64 + bytes).unwrap();
}

fn tensor(dtype: &str, shape: &Value, offsets: &Value) -> Value {
    json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets })
}

/// Headers that say what cannot be, each of tensors that take 64 bytes.
#[expect(clippy::too_many_lines, reason = "a table")]
fn header_cases() -> Vec<Case> {
    let far = u64::MAX;
    let one = |dtype, shape: Value, offsets: Value| json!({ "a": tensor(dtype, &shape, &offsets) });
    let two = |a: Value, b: Value| {
        let of = |offsets| tensor("F32", &json!([8]), offsets);
        json!({ "a": of(&a), "b": of(&b) })
    };
    let headers = [
        ("overlapping", "b", two(json!([0, 32]), json!([16, 48]))),
        (
            "on one place",
            "invalid offset",
            two(json!([0, 32]), json!([0, 32])),
        ),
        ("a hole between", "b", two(json!([0, 32]), json!([40, 72]))),
        (
            "a hole before",
            "a",
            one("F32", json!([8]), json!([32, 64])),
        ),
        (
            "end before start",
            "a",
            one("F32", json!([8]), json!([32, 0])),
        ),
        (
            "offsets that overflow",
            "header",
            one("F32", json!([8]), json!([far, 31])),
        ),
        (
            "an end that overflows",
            "header",
            one("U8", json!([far]), json!([0, far])),
        ),
        (
            "out of bounds",
            "truncated",
            one("F32", json!([1u64 << 40]), json!([0, 1u64 << 42])),
        ),
        (
            "sizes that overflow",
            "header",
            one("F32", json!([far, far]), json!([0, 64])),
        ),
        (
            "sizes that wrap to what is there",
            "header",
            one("F32", json!([1u64 << 62, 4]), json!([0, 0])),
        ),
        (
            "more values than bytes",
            "header",
            one("F32", json!([17]), json!([0, 64])),
        ),
        (
            "fewer values than bytes",
            "header",
            one("F32", json!([15]), json!([0, 64])),
        ),
        (
            "an unknown type",
            "F33",
            one("F33", json!([16]), json!([0, 64])),
        ),
        (
            "a type of another size",
            "header",
            one("F64", json!([16]), json!([0, 64])),
        ),
        (
            "offsets below 0",
            "header",
            one("F32", json!([16]), json!([-64, 0])),
        ),
        (
            "offsets with a point",
            "header",
            one("F32", json!([16]), json!([0.5, 64.5])),
        ),
        (
            "offsets as texts",
            "header",
            one("F32", json!([16]), json!(["0", "64"])),
        ),
        (
            "three offsets",
            "header",
            one("F32", json!([16]), json!([0, 32, 64])),
        ),
        (
            "a size below 0",
            "header",
            one("F32", json!([-16]), json!([0, 64])),
        ),
        (
            "sizes as an object",
            "header",
            one("F32", json!({}), json!([0, 64])),
        ),
        (
            "no type",
            "header",
            json!({ "a": { "shape": [16], "data_offsets": [0, 64] } }),
        ),
        ("no tensors", "missing tensors", json!({})),
        ("an array", "header", json!([])),
        ("a number", "header", json!(7)),
        (
            "metadata that is no object",
            "header",
            json!({ "__metadata__": 3 }),
        ),
        (
            "metadata of numbers",
            "header",
            json!({ "__metadata__": { "format": 3 } }),
        ),
        (
            "a name that steers terminals",
            "missing",
            json!({ "\u{1b}]0;x\u{7}\u{1b}[31m": tensor("F32", &json!([16]), &json!([0, 64])) }),
        ),
        (
            "a name of a million letters",
            "missing",
            json!({ "x".repeat(DEEP): tensor("F32", &json!([16]), &json!([0, 64])) }),
        ),
    ];
    let headers = headers.into_iter().map(|(name, says, header)| {
        let bytes = if ["truncated", "missing tensors"].contains(&says) {
            0
        } else {
            64
        };
        case(format!("header: {name}"), WEIGHTS, says, move |dir| {
            write_tensors(&dir.join(WEIGHTS), header.to_string().as_bytes(), bytes);
        })
    });
    headers.collect()
}

/// Headers and files that are no JSON, too long, too short, or say one thing twice.
#[expect(clippy::too_many_lines, reason = "a table")]
fn whole_file_cases() -> Vec<Case> {
    let raw = |name: &str, says, header: Vec<u8>, bytes| {
        case(format!("file: {name}"), WEIGHTS, says, move |dir| {
            write_tensors(&dir.join(WEIGHTS), &header, bytes);
        })
    };
    let content = |name: &str, says, content: Vec<u8>| {
        case(format!("file: {name}"), WEIGHTS, says, move |dir| {
            fs::write(dir.join(WEIGHTS), &content).unwrap();
        })
    };
    let length = |length: u64| length.to_le_bytes().to_vec();
    let many: Map<_, _> = (0..200_000)
        .map(|i| (format!("t{i}"), tensor("F32", &json!([0]), &json!([0, 0]))))
        .collect();
    let twice = |second: &str| {
        let first = r#"{"dtype":"F32","shape":[16],"data_offsets":[0,64]}"#;
        format!(r#"{{"a":{first},"a":{second}}}"#).into_bytes()
    };
    vec![
        content("empty", "truncated", Vec::new()),
        content("shorter than its length", "truncated", vec![1; 7]),
        content(
            "a length that overflows",
            "no safetensors file",
            length(u64::MAX),
        ),
        content(
            "a length beyond the format",
            "no safetensors file",
            length(100_000_001),
        ),
        content("a length beyond the file", "truncated", length(99_000_000)),
        content(
            "a page",
            "no safetensors file",
            b"<!DOCTYPE html><html>".to_vec(),
        ),
        content(
            "a pickle",
            "no safetensors file",
            b"\x80\x02}q\x00X\x05\x00\x00\x00model".to_vec(),
        ),
        raw("an empty header", "header", Vec::new(), 0),
        raw("a header of zeros", "header", vec![0; 4096], 0),
        raw(
            "a header that is no UTF-8",
            "header",
            vec![b'"', 0xff, 0xfe, b'"'],
            0,
        ),
        raw("a header a million deep", "header", vec![b'['; DEEP], 0),
        raw(
            "a tensor a million deep",
            "header",
            [&b"{\"a\":"[..], &vec![b'['; DEEP]].concat(),
            0,
        ),
        raw(
            "metadata a million deep",
            "header",
            [b"{\"__metadata__\":".to_vec(), b"{\"a\":".repeat(DEEP)].concat(),
            0,
        ),
        raw("40 MB of blanks", "header", vec![b' '; 40 << 20], 0),
        raw(
            "two hundred thousand tensors",
            "more",
            Value::Object(many).to_string().into_bytes(),
            0,
        ),
        raw(
            "a name twice",
            "`a` is there twice",
            twice(r#"{"dtype":"F32","shape":[4,4],"data_offsets":[0,64]}"#),
            64,
        ),
        raw(
            "a name twice in one place",
            "`a` is there twice",
            twice(r#"{"dtype":"F32","shape":[16],"data_offsets":[0,64]}"#),
            64,
        ),
        raw(
            "a name twice with other bytes",
            "a",
            twice(r#"{"dtype":"F32","shape":[8],"data_offsets":[64,96]}"#),
            96,
        ),
        case(
            "file: a hole of a terabyte behind it",
            WEIGHTS,
            "longer than it should be",
            |dir| {
                let file = File::options().write(true).open(dir.join(WEIGHTS)).unwrap();
                file.set_len(1 << 40).unwrap();
            },
        ),
        case(
            "file: weights of whole numbers",
            WEIGHTS,
            "type I32",
            |dir| {
                let bytes = fs::read(dir.join(WEIGHTS)).unwrap();
                let text = bytes.windows(5).position(|it| it == b"\"F32\"").unwrap();
                let all = [&bytes[..text], b"\"I32\"", &bytes[text + 5..]].concat();
                fs::write(dir.join(WEIGHTS), all).unwrap();
            },
        ),
    ]
}

/// Adds a tensor to the weights and sets fields of the configuration.
fn with_tensor(dir: &Path, name: &str, shape: &[usize], value: f32, fields: &Value) {
    let path = dir.join(WEIGHTS);
    let mut tensors = load_tensors(&path).unwrap();
    let data = vec![value; shape.iter().product()];
    let shape = shape.to_vec();
    tensors.insert(name.to_owned(), critique_model::HostTensor { shape, data });
    save_tensors(&path, &tensors).unwrap();
    set(&dir.join(CONFIG), fields);
}

/// Tensors that would be passed over though the model is another one without them.
fn spare_tensor_cases() -> Vec<Case> {
    let attention = "model.layers.0.self_attn";
    let spare = |name: String, says, shape: &'static [usize], value, fields: Value| {
        case(format!("spare: {name}"), WEIGHTS, says, move |dir| {
            with_tensor(dir, &name, shape, value, &fields);
        })
    };
    vec![
        case(
            "spare: a head of its own in a tied model",
            WEIGHTS,
            "lm_head.weight differs",
            |dir| {
                set(&dir.join(CONFIG), &json!({ "tie_word_embeddings": true }));
            },
        ),
        spare(
            format!("{attention}.rotary_emb.inv_freq"),
            "other frequencies",
            &[4],
            0.5,
            json!({}),
        ),
        spare(
            format!("{attention}.q_proj.bias"),
            "not 0",
            &[32],
            0.1,
            json!({}),
        ),
        spare(
            format!("{attention}.q_proj.bias"),
            "not 0",
            &[32],
            f32::NAN,
            json!({}),
        ),
        spare("lm_head.bias".into(), "not 0", &[64], 1.0, json!({})),
        spare("model.norm.bias".into(), "not 0", &[32], 1.0, json!({})),
        spare(
            format!("{attention}.q_norm.weight"),
            "unused tensors",
            &[8],
            1.0,
            json!({}),
        ),
        spare(
            "model.layers.2.input_layernorm.weight".into(),
            "unused tensors",
            &[32],
            1.0,
            json!({}),
        ),
    ]
}

/// An index in the place of the one file, with this `weight_map`.
fn write_index(dir: &Path, map: &Value) {
    fs::remove_file(dir.join(WEIGHTS)).unwrap();
    fs::write(dir.join(INDEX), json!({ "weight_map": map }).to_string()).unwrap();
}

fn index_cases() -> Vec<Case> {
    let plain = "a plain file name is wanted";
    let mut cases = Vec::new();
    for (name, says) in [
        ("../model.safetensors", plain),
        ("/etc/passwd", plain),
        ("a/../../model.safetensors", plain),
        ("adapter/adapter_model.safetensors", plain),
        ("./model.safetensors", plain),
        ("..", plain),
        (".", plain),
        ("", plain),
    ] {
        cases.push(case(format!("index: `{name}`"), INDEX, says, move |dir| {
            write_index(dir, &json!({ "model.norm.weight": name }));
        }));
    }
    for (name, says, map) in [
        (
            "a number for a file",
            plain,
            json!({ "model.norm.weight": 3 }),
        ),
        ("no files", "missing or empty", json!({})),
        ("a list", "missing or empty", json!(["model.safetensors"])),
        ("itself", "", json!({ "model.norm.weight": INDEX })),
    ] {
        cases.push(case(format!("index: {name}"), INDEX, says, move |dir| {
            write_index(dir, &map);
        }));
    }
    cases.push(case(
        "index: a shard that is not there",
        "gone.safetensors",
        "cannot read",
        |dir| {
            let map: Map<_, _> = (0..100_000)
                .map(|i| (format!("t{i}"), json!("gone.safetensors")))
                .collect();
            write_index(dir, &Value::Object(map));
        },
    ));
    cases.push(case(
        "index: a folder as shard",
        "adapter",
        "is no file",
        |dir| {
            write_index(dir, &json!({ "model.norm.weight": "adapter" }));
        },
    ));
    cases
}

/// Sets fields of a JSON file.
fn set(path: &Path, fields: &Value) {
    let mut all: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for (field, value) in fields.as_object().unwrap() {
        all[field] = value.clone();
    }
    fs::write(path, all.to_string()).unwrap();
}

fn config_cases() -> Vec<Case> {
    let many = "is supported";
    let fields = [
        ("num_hidden_layers", json!(1_000_000_000), many),
        ("num_hidden_layers", json!(10_001), many),
        ("num_hidden_layers", json!(10_000), "missing tensors"),
        ("hidden_size", json!(1u64 << 40), many),
        ("hidden_size", json!(1u64 << 31), many),
        ("hidden_size", json!(1u64 << 20), "misshapen tensors"),
        ("intermediate_size", json!(u32::MAX), many),
        ("vocab_size", json!(u32::MAX), many),
        ("vocab_size", json!(1 << 24), "misshapen tensors"),
        ("num_attention_heads", json!(u32::MAX), many),
        ("head_dim", json!(1u64 << 32), many),
        ("head_dim", json!(65_536), "misshapen tensors"),
        ("max_position_embeddings", json!(4_294_967_295u32), many),
        ("max_position_embeddings", json!(1e300), many),
        ("num_hidden_layers", json!(-1), "a whole number is wanted"),
        ("num_hidden_layers", json!(1.5), "a whole number is wanted"),
        ("hidden_size", json!("32"), "a whole number is wanted"),
        (
            "rope_scaling",
            json!({ "rope_type": "ya\u{1b}[31mrn" }),
            "`rope_type`",
        ),
        ("model_type", json!("x".repeat(20 << 20)), "supported are"),
        ("model_type", json!("ll\u{1b}[31mama"), "supported are"),
        ("hidden_act", json!("relu\u{7}"), "only `silu`"),
        ("is_causal", json!(false), "`is_causal`"),
        (
            "eos_token_id",
            json!(vec![3_000_000_000u32; 100_000]),
            "is wanted",
        ),
    ];
    let fields = fields.into_iter().map(|(field, value, says)| {
        let name = format!("config: {field}");
        // What the weights contradict is an error of the weights.
        let file = if says.ends_with("tensors") {
            WEIGHTS
        } else {
            CONFIG
        };
        case(name, file, says, move |dir| {
            set(&dir.join(CONFIG), &json!({ field: value }));
        })
    });
    let tables = case(
        "config: a long context of wide heads",
        CONFIG,
        "tables of rotary",
        |dir| {
            let wide = json!({ "head_dim": 128, "max_position_embeddings": 1 << 24 });
            set(&dir.join(CONFIG), &wide);
        },
    );
    fields.chain([tables]).collect()
}

/// JSON that is none, in every file of it.
fn json_cases() -> Vec<Case> {
    let contents: [(&str, &str, Vec<u8>); 8] = [
        (
            "a million arrays deep",
            "not a JSON object",
            vec![b'['; DEEP],
        ),
        (
            "a million objects deep",
            "not a JSON object",
            b"{\"a\":".repeat(DEEP),
        ),
        (
            "an object a million deep inside",
            "not a JSON object",
            [&b"{\"a\":"[..], &vec![b'['; DEEP], &vec![b']'; DEEP], b"}"].concat(),
        ),
        ("empty", "not a JSON object", Vec::new()),
        ("a list", "not a JSON object", b"[]".to_vec()),
        (
            "no UTF-8",
            "not a JSON object",
            b"{\"a\":\"\xff\xfe\"}".to_vec(),
        ),
        (
            "a number that overflows",
            "not a JSON object",
            b"{\"num_hidden_layers\":1e999}".to_vec(),
        ),
        ("33 MB", "the most that is read", vec![b' '; 33 << 20]),
    ];
    let files = [
        (CONFIG, CONFIG),
        ("generation_config.json", "generation_config.json"),
        (ADAPTER, "adapter/adapter_config.json"),
    ];
    let mut cases = Vec::new();
    for (file, path) in files {
        for (name, says, content) in contents.clone() {
            cases.push(case(format!("{file}: {name}"), file, says, move |dir| {
                fs::write(dir.join(path), &content).unwrap();
            }));
        }
    }
    cases
}

fn adapter_cases() -> Vec<Case> {
    let field = "`target_modules`";
    let fields = [
        (
            "target_modules",
            json!("(?:a|aa|.)*(?=b)(?:.|..)*\\1"),
            field,
        ),
        (
            "target_modules",
            json!("(.*)*(?:(.*)*)*\\1\\1x(?!y)"),
            field,
        ),
        ("target_modules", json!("(?:(?:.*)*)*(?<!x)y"), field),
        ("target_modules", json!("(".repeat(1000)), "cannot be read"),
        ("target_modules", json!("a{1000}{1000}{1000}"), field),
        (
            "target_modules",
            json!("a".repeat(100_000)),
            "cannot be read",
        ),
        ("target_modules", json!("\u{1b}[31m("), "cannot be read"),
        (
            "target_modules",
            json!(["\u{1b}[31m"]),
            "no layer of the model",
        ),
        ("target_modules", json!(7), "is wanted"),
        ("target_modules", json!([7]), "holds no names"),
        ("exclude_modules", json!("("), "cannot be read"),
        ("layers_to_transform", json!("1"), "`layers_to_transform`"),
        (
            "layers_to_transform",
            json!([1 << 30]),
            "no layer of the model",
        ),
        ("layers_pattern", json!(3), "`layers_pattern`"),
        ("rank_pattern", json!([3]), "an object is wanted"),
        (
            "rank_pattern",
            json!({ "q_proj": -3 }),
            "a whole number is wanted",
        ),
        ("rank_pattern", json!({ "(": 3 }), "cannot be read"),
        ("rank_pattern", json!({ "q_proj": 0 }), "positive"),
        (
            "rank_pattern",
            json!({ "q_proj": 1u64 << 40 }),
            "a rank of at most",
        ),
        (
            "alpha_pattern",
            json!({ "q_proj": "x" }),
            "a number is wanted",
        ),
        ("r", json!(u32::MAX), "a rank of at most"),
        ("r", json!(1u64 << 40), "is supported"),
        ("lora_alpha", json!(1e300), "finite"),
        ("peft_type", json!("\u{1b}[31m"), "only `LORA`"),
        ("use_dora", json!(true), "`use_dora`"),
        ("bias", json!("lora_only"), "only `none`"),
        ("modules_to_save", json!(["lm_head"]), "`modules_to_save`"),
    ];
    let fields = fields.into_iter().map(|(field, value, says)| {
        let name = format!("adapter: {field}");
        case(name, ADAPTER, says, move |dir| {
            set(&dir.join("adapter").join(ADAPTER), &json!({ field: value }));
        })
    });
    fields.collect()
}

/// Files that lie elsewhere, and what is no file.
#[cfg(unix)]
fn place_cases() -> Vec<Case> {
    use std::os::unix::fs::symlink;
    let mut cases = Vec::new();
    for file in [CONFIG, WEIGHTS, "generation_config.json"] {
        let says = "is a link to";
        cases.push(case(
            format!("place: {file} as a link out"),
            file,
            says,
            move |dir| {
                fs::remove_file(dir.join(file)).unwrap();
                let target = golden("models/llama-untied").join(file);
                symlink(target.canonicalize().unwrap(), dir.join(file)).unwrap();
            },
        ));
        cases.push(case(
            format!("place: {file} as a link to a device"),
            file,
            "is no file",
            move |dir| {
                fs::remove_file(dir.join(file)).unwrap();
                symlink("/dev/zero", dir.join(file)).unwrap();
            },
        ));
        cases.push(case(
            format!("place: {file} as a link to itself"),
            file,
            "cannot read",
            move |dir| {
                fs::remove_file(dir.join(file)).unwrap();
                symlink(file, dir.join(file)).unwrap();
            },
        ));
        cases.push(case(
            format!("place: {file} as a pipe"),
            file,
            "is no file",
            move |dir| {
                fs::remove_file(dir.join(file)).unwrap();
                let made = Command::new("mkfifo").arg(dir.join(file)).status().unwrap();
                assert!(made.success());
            },
        ));
        cases.push(case(
            format!("place: {file} as a folder"),
            file,
            "is no file",
            move |dir| {
                fs::remove_file(dir.join(file)).unwrap();
                fs::create_dir(dir.join(file)).unwrap();
            },
        ));
    }
    cases.push(case(
        "place: a shard as a link out",
        "shard.safetensors",
        "is a link to",
        |dir| {
            write_index(dir, &json!({ "model.norm.weight": "shard.safetensors" }));
            let target = golden("models/llama-untied/model.safetensors");
            symlink(
                target.canonicalize().unwrap(),
                dir.join("shard.safetensors"),
            )
            .unwrap();
        },
    ));
    cases.push(case(
        "place: an adapter as a link out",
        ADAPTER,
        "is a link to",
        |dir| {
            let path = dir.join("adapter").join(ADAPTER);
            fs::rename(&path, dir.join("elsewhere.json")).unwrap();
            symlink(dir.join("elsewhere.json"), path).unwrap();
        },
    ));
    cases
}

#[cfg(not(unix))]
fn place_cases() -> Vec<Case> {
    Vec::new()
}

#[test]
#[cfg(unix)]
fn links_within_a_folder_and_into_the_cache_of_hugging_face_are_followed() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    good_folder(dir.path());
    fs::rename(dir.path().join(CONFIG), dir.path().join("real.json")).unwrap();
    symlink("real.json", dir.path().join(CONFIG)).unwrap();
    load(dir.path()).unwrap();

    // models--NAME/blobs/HASH and models--NAME/snapshots/COMMIT/FILE, a link to it.
    let cache = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (
        cache.path().join("blobs"),
        cache.path().join("snapshots/c0ffee"),
    );
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    good_folder(&snapshot);
    for (i, file) in [CONFIG, WEIGHTS].into_iter().enumerate() {
        fs::rename(snapshot.join(file), blobs.join(i.to_string())).unwrap();
        symlink(format!("../../blobs/{i}"), snapshot.join(file)).unwrap();
    }
    load(&snapshot).unwrap();
    // The folder itself may be reached by a link.
    let link = dir.path().join("link");
    symlink(&snapshot, &link).unwrap();
    load(&link).unwrap();
}
