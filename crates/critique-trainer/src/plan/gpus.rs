//! What a step of reinforcement learning would take on GPUs: inference servers on some of them, a
//! sharded trainer on the others, one after the other.
//!
//! Estimates from the constants below, the shapes of the models and the lengths of the run file; no
//! GPU is asked. They say which part limits, and tell a plan that cannot work from one that can; a
//! factor of two in times is within what they leave out.

use serde::Serialize;

/// A kind of GPU, by its data sheet.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Gpu {
    /// Its name.
    pub name: &'static str,
    /// Memory, in GiB.
    pub memory_gib: f64,
    /// Dense products in bf16, in 10^12 operations a second.
    pub tflops: f64,
    /// Bandwidth of its memory, in 10^9 bytes a second.
    pub gb_per_s: f64,
}

/// Those that are known.
pub const GPUS: [Gpu; 8] = [
    gpu("B200", 180.0, 2250.0, 7700.0),
    gpu("H200", 141.0, 989.0, 4800.0),
    gpu("H100", 80.0, 989.0, 3350.0),
    gpu("A100", 80.0, 312.0, 2039.0),
    gpu("A100-40GB", 40.0, 312.0, 1555.0),
    gpu("L40S", 48.0, 362.0, 864.0),
    gpu("RTX4090", 24.0, 165.0, 1008.0),
    gpu("L4", 24.0, 121.0, 300.0),
];

const fn gpu(name: &'static str, memory_gib: f64, tflops: f64, gb_per_s: f64) -> Gpu {
    Gpu {
        name,
        memory_gib,
        tflops,
        gb_per_s,
    }
}

/// Share of the products that training reaches, of those that reading prompts reaches, and of the
/// bandwidth that sampling reaches.
pub const TRAINING: f64 = 0.4;
/// See [`TRAINING`].
pub const READING: f64 = 0.5;
/// See [`TRAINING`].
pub const SAMPLING: f64 = 0.6;
/// Share of memory that may be planned with.
pub const USABLE: f64 = 0.9;
/// Share of a server's memory that weights may take, so that there is room for keys and values.
pub const WEIGHTS: f64 = 0.8;
/// Tokens that a trainer takes through the model at a time, on each GPU.
pub const MICROBATCH: f64 = 8192.0;
/// Tokens whose logits it holds at a time, in f32, with their gradient.
pub const LOGITS: f64 = 1024.0;

/// What of a model's shape counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Shape {
    /// Numbers in its weights.
    pub parameters: f64,
    /// Blocks.
    pub layers: f64,
    /// Width.
    pub width: f64,
    /// Width of keys, all heads together.
    pub keys: f64,
    /// Tokens of the vocabulary.
    pub vocab: f64,
}

/// How the critic is trained.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trains {
    /// All weights, in bf16 with f32 masters and moments.
    Full,
    /// An adapter of so many numbers; the weights are frozen in bf16.
    Lora(f64),
}

/// Texts of a phase in one step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Phase {
    /// Texts that are sampled.
    pub texts: f64,
    /// Prompts that differ.
    pub prompts: f64,
    /// Tokens of a prompt.
    pub prompt_tokens: f64,
    /// Tokens of a text, in the mean, and at most.
    pub tokens: f64,
    /// See `tokens`.
    pub at_most: f64,
}

/// What is planned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ask {
    /// The GPUs.
    pub gpu: Gpu,
    /// How many.
    pub count: usize,
    /// The model that answers.
    pub actor: Shape,
    /// The model that is trained.
    pub critic: Shape,
    /// How it is trained.
    pub trains: Trains,
    /// Whether one set of servers samples for both: the critic is an adapter on the actor.
    pub shared: bool,
    /// Whether there is a reference policy.
    pub reference: bool,
    /// Responses, critiques and refinements.
    pub phases: [Phase; 3],
}

/// GPUs by what they do, and what a step takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Split {
    /// GPUs that train.
    pub train: usize,
    /// GPUs that sample for the actor; for both, where they share their servers.
    pub actor: usize,
    /// GPUs that sample for the critic; none where they share.
    pub critic: usize,
    /// GPUs over which one server spreads the actor, and the critic.
    pub tensor_parallel: [usize; 2],
    /// Bytes on each GPU that trains.
    pub train_bytes: f64,
    /// Seconds of responses, critiques, refinements, log-probs and training.
    pub seconds: [f64; 5],
}

/// Names of the parts of a step, in the order of [`Split::seconds`].
pub const PARTS: [&str; 5] = [
    "responses",
    "critiques",
    "refinements",
    "log-probs",
    "training",
];

impl Split {
    /// Seconds of a step.
    pub fn total(&self) -> f64 {
        self.seconds.iter().sum()
    }

    /// The part that takes longest.
    pub fn limit(&self) -> &'static str {
        let longest = self.seconds.iter().enumerate();
        let longest = longest.max_by(|a, b| a.1.total_cmp(b.1));
        longest.map_or(PARTS[0], |(at, _)| PARTS[at])
    }
}

impl Ask {
    /// All ways to split the GPUs that fit, the fastest first.
    ///
    /// # Errors
    ///
    /// When none fits: what does not, and what it would need.
    pub fn splits(&self) -> Result<Vec<Split>, String> {
        let servers = if self.shared { 1 } else { 2 };
        if self.count < 1 + servers {
            return Err(format!(
                "{} GPUs are too few: one trains and {servers} sample, at least",
                self.count
            ));
        }
        let mut all = Vec::new();
        for train in 1..=self.count - servers {
            let rest = self.count - train;
            let shares = if self.shared {
                rest..=rest
            } else {
                1..=rest - 1
            };
            all.extend(shares.filter_map(|actor| self.split(train, actor, rest - actor)));
        }
        all.sort_by(|a, b| a.total().total_cmp(&b.total()));
        if all.is_empty() {
            return Err(self.why_none());
        }
        Ok(all)
    }

    /// Nothing where something does not fit.
    fn split(&self, train: usize, actor: usize, critic: usize) -> Option<Split> {
        let train_bytes = self.train_bytes(train);
        if train_bytes > self.usable() {
            return None;
        }
        let answers = Servers::of(self, self.actor, actor)?;
        let criticises = if self.shared {
            Servers::of(self, self.critic, actor)?
        } else {
            Servers::of(self, self.critic, critic)?
        };
        let [responses, critiques, refinements] = self.phases;
        let trained = critiques.texts * (critiques.prompt_tokens + critiques.tokens);
        let passes = 1.0 + f64::from(u8::from(self.reference));
        let products = train as f64 * self.gpu.tflops * 1e12 * TRAINING;
        let parameters = self.critic.parameters;
        // Forward and backward, and forward again for what was not kept. Frozen weights have no
        // gradient of their own.
        let times = match self.trains {
            Trains::Full => 8.0,
            Trains::Lora(_) => 6.0,
        };
        Some(Split {
            train,
            actor,
            critic,
            tensor_parallel: [answers.spread, criticises.spread],
            train_bytes,
            seconds: [
                answers.seconds(responses),
                criticises.seconds(critiques),
                answers.seconds(refinements),
                2.0 * passes * parameters * trained / products,
                times * parameters * trained / products,
            ],
        })
    }

    fn usable(&self) -> f64 {
        self.gpu.memory_gib * f64::from(1 << 30) * USABLE
    }

    /// Bytes on each of so many GPUs that train: weights, masters, gradients and moments in shards,
    /// a reference beside them, the inputs of all blocks, one block in whole, and some logits.
    fn train_bytes(&self, gpus: usize) -> f64 {
        let Shape {
            parameters,
            layers,
            width,
            vocab,
            ..
        } = self.critic;
        let sharded = match self.trains {
            Trains::Full => {
                18.0 * parameters + 2.0 * parameters * f64::from(u8::from(self.reference))
            }
            // The reference is the model without its adapter.
            Trains::Lora(adapter) => 2.0 * parameters + 18.0 * adapter,
        };
        let inputs = 2.0 * layers * width * MICROBATCH;
        let block = 4.0 * parameters / layers + 34.0 * width * MICROBATCH;
        sharded / gpus as f64 + inputs + block + 8.0 * vocab * LOGITS
    }

    fn why_none(&self) -> String {
        let gib = |bytes: f64| bytes / f64::from(1 << 30);
        for (name, shape) in [("actor", self.actor), ("critic", self.critic)] {
            if Servers::of(self, shape, self.count - 1).is_none() {
                return format!(
                    "the {name}'s weights take {:.0} GiB, and {} GPUs of {:.0} GiB are too small to serve them",
                    gib(2.0 * shape.parameters),
                    self.count - 1,
                    self.gpu.memory_gib
                );
            }
        }
        let most = self.count - if self.shared { 1 } else { 2 };
        let fits = (1..=4096).find(|&gpus| self.train_bytes(gpus) <= self.usable());
        let wanted = fits.map_or("more memory a GPU".to_owned(), |gpus| {
            format!("{gpus} that train, or `lora`")
        });
        format!(
            "training takes {:.0} GiB on each of {most} GPUs, and {:.0} may be planned with; expected {wanted}",
            gib(self.train_bytes(most)),
            gib(self.usable())
        )
    }
}

/// Servers of one model, each over some GPUs.
struct Servers {
    gpu: Gpu,
    shape: Shape,
    /// GPUs of a server, and servers.
    spread: usize,
    replicas: f64,
}

impl Servers {
    /// The most servers that so many GPUs hold; nothing where they hold none.
    fn of(ask: &Ask, shape: Shape, gpus: usize) -> Option<Self> {
        let weights = 2.0 * shape.parameters;
        let room = ask.usable() * WEIGHTS;
        let spread = [1, 2, 4, 8, 16]
            .into_iter()
            .find(|&n| weights / n as f64 <= room)?;
        (spread <= gpus).then(|| Self {
            gpu: ask.gpu,
            shape,
            spread,
            replicas: (gpus / spread) as f64,
        })
    }

    /// Seconds of a phase. Prompts that are the same are read once; texts are sampled as many at a
    /// time as there is room for their keys and values.
    fn seconds(&self, phase: Phase) -> f64 {
        if phase.texts == 0.0 {
            return 0.0;
        }
        let spread = self.spread as f64;
        let products = spread * self.gpu.tflops * 1e12 * READING;
        let bandwidth = spread * self.gpu.gb_per_s * 1e9 * SAMPLING;
        let weights = 2.0 * self.shape.parameters;
        let a_token = 4.0 * self.shape.layers * self.shape.keys;
        let memory = spread * self.gpu.memory_gib * f64::from(1 << 30) * USABLE;
        let longest = phase.prompt_tokens + phase.at_most;
        let at_once = ((memory - weights) / (a_token * longest)).floor().max(1.0);
        let own = (phase.texts / self.replicas).ceil();
        let rounds = (own / at_once).ceil();
        let batch = (own / rounds).ceil();
        let seen = phase.prompt_tokens + phase.tokens / 2.0;
        let step = f64::max(
            (weights + batch * a_token * seen) / bandwidth,
            weights * batch / products,
        );
        let reading = weights * phase.prompts * phase.prompt_tokens / (self.replicas * products);
        reading + rounds * phase.tokens * step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEVEN: Shape = Shape {
        parameters: 7.6e9,
        layers: 28.0,
        width: 3584.0,
        keys: 512.0,
        vocab: 152_064.0,
    };

    fn ask(count: usize, trains: Trains) -> Ask {
        let phase = |texts, prompts| Phase {
            texts,
            prompts,
            prompt_tokens: 500.0,
            tokens: 250.0,
            at_most: 500.0,
        };
        Ask {
            gpu: GPUS[2],
            count,
            actor: SEVEN,
            critic: SEVEN,
            trains,
            shared: trains != Trains::Full,
            reference: true,
            phases: [
                phase(128.0, 128.0),
                phase(512.0, 128.0),
                phase(512.0, 512.0),
            ],
        }
    }

    #[test]
    fn times_are_those_worked_out_by_hand() {
        let ask = ask(8, Trains::Lora(4e7));
        let split = ask.split(2, 6, 0).unwrap();
        assert_eq!(split.tensor_parallel, [1, 1]);
        // 6 servers, ⌈512 / 6⌉ = 86 critiques each. Keys and values: 4 · 28 · 512 = 57,344 bytes a
        // token; there is room for (77.3e9 − 15.2e9) / 57.3e6 = 1,082 texts of 1,000 tokens.
        // A token: (15.2e9 + 86 · 57,344 · 625) / (3350e9 · 0.6) = 9.096 ms, its products 2.64 ms.
        // 250 of them: 2.274 s. Prompts: 15.2e9 · 128 · 500 / (6 · 494.5e12) = 0.328 s.
        assert!(
            (split.seconds[1] - 2.602).abs() < 0.005,
            "{:?}",
            split.seconds
        );
        // 512 · 750 tokens; 6 · 7.6e9 · 384,000 / (2 · 989e12 · 0.4) = 22.13 s, and four times
        // 7.6e9 · 384,000 / 791.2e12 for log-probs of policy and reference: 14.75 s.
        assert!(
            (split.seconds[4] - 22.13).abs() < 0.05,
            "{:?}",
            split.seconds
        );
        assert!(
            (split.seconds[3] - 14.75).abs() < 0.05,
            "{:?}",
            split.seconds
        );
        // (2 · 7.6e9 + 18 · 4e7) / 2 + 2 · 28 · 3584 · 8192 + 4 · 7.6e9 / 28 + 34 · 3584 · 8192
        // + 8 · 152,064 · 1024 = 12.93e9.
        assert!(
            (split.train_bytes / 1e9 - 12.93).abs() < 0.05,
            "{}",
            split.train_bytes
        );
        assert_eq!(split.limit(), "training");
    }

    #[test]
    fn the_fastest_split_is_first_and_no_faster_one_is_left_out() {
        let ask = ask(8, Trains::Lora(4e7));
        let splits = ask.splits().unwrap();
        assert_eq!(splits.len(), 7);
        assert!(
            splits
                .windows(2)
                .all(|pair| pair[0].total() <= pair[1].total())
        );
        // More sampling than training GPUs would wait for training, which takes most.
        assert!(splits[0].train > 4, "{:?}", splits[0]);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        // 20 · 7.6e9 bytes of weights, masters, gradients, moments and reference: 142 GiB.
        let full = ask(3, Trains::Full);
        let why = full.splits().unwrap_err();
        assert!(
            why.starts_with("training takes 1") && why.contains("expected 3 that train"),
            "{why}"
        );
        assert!(ask(5, Trains::Full).splits().is_ok());
        let few = ask(1, Trains::Lora(4e7)).splits().unwrap_err();
        assert!(few.contains("too few"), "{few}");
        let large = Ask {
            actor: Shape {
                parameters: 405e9,
                ..SEVEN
            },
            ..ask(8, Trains::Lora(4e7))
        };
        let why = large.splits().unwrap_err();
        assert!(why.contains("the actor's weights take 754 GiB"), "{why}");
    }
}
