//! Tokens in, tokens and log-probs out: decoder language models on burn.

mod adapter;
mod burn_engine;
mod config;
mod cpu;
mod device;
mod engine;
mod error;
mod files;
mod language_model;
mod sample;
pub mod testing;
mod weights;

pub use adapter::{Adapter, adapter_tensors, load_adapter, save_adapter};
pub use burn_engine::{BurnEngine, BurnLimits};
pub use config::{Architecture, Linear, Llama3Scaling, ModelConfig, Rope};
pub use cpu::CpuEngine;
pub use cpu::memory::{CpuMemory, KeptMemory, Sampled, SamplingMemory, WorkMemory};
/// Words that every engine is told with, and the tokenizer, of crates below this one.
pub use critique_core::{AdamW, Dtype, LayerLora, LoraConfig};
pub use critique_text::TextCodec;
pub use device::{DeviceInfo, DeviceSpec, available};
pub use engine::{
    Ends, Engine, Group, Held, HostTensor, NamedTensors, PerToken, TokenLoss, TokenRun, Training,
};
pub use error::ModelError;
pub use files::copy_model_files;
pub use language_model::{LanguageModel, Runtime, open_engine, read_model};
pub use weights::{
    SaveDtype, WeightFiles, Weights, load_tensors, load_weights, save_tensors, save_weights,
};
