//! Tokens in, tokens and log-probs out: decoder language models on burn.

mod adapter;
mod burn_engine;
mod config;
mod cpu;
mod device;
mod dtype;
mod engine;
mod error;
mod files;
mod language_model;
mod sample;
mod text;
mod weights;

pub use adapter::{Adapter, adapter_tensors, load_adapter, save_adapter};
pub use burn_engine::{BurnEngine, BurnLimits};
pub use config::{Architecture, Linear, Llama3Scaling, ModelConfig, Rope};
pub use cpu::CpuEngine;
pub use cpu::memory::{CpuMemory, KeptMemory, Sampled, SamplingMemory, WorkMemory};
pub use device::{DeviceInfo, DeviceSpec, available};
pub use dtype::Dtype;
pub use engine::{
    AdamW, Ends, Engine, Group, HostTensor, LoraConfig, NamedTensors, PerToken, TokenLoss, TokenRun,
};
pub use error::ModelError;
pub use files::copy_model_files;
pub use language_model::{LanguageModel, Runtime, Training, open_engine, read_model};
pub use text::{SpecialTokens, TextCodec, TextStream, phrase_tokenizer};
pub use weights::{
    SaveDtype, WeightFiles, Weights, load_tensors, load_weights, save_tensors, save_weights,
};
