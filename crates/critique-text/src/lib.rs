//! Text to token ids and back, as the folder of a Hugging Face model says: tokenizer, chat
//! template and special tokens. No weights, no engine.
//!
//! ```
//! use critique_core::{Message, Prompt};
//! use critique_text::{SpecialTokens, TextCodec, phrase_tokenizer};
//!
//! let tokenizer = phrase_tokenizer(&["Question: ", "1+1", "\n", "2"], &["<|end|>"]);
//! let template = "{% for m in messages %}Question: {{ m.content }}\n{% endfor %}";
//! let special = SpecialTokens { eos: Some("<|end|>".into()), ..Default::default() };
//! let codec = TextCodec::from_parts(&tokenizer, template, special)?;
//! let prompt = Prompt { messages: vec![Message::user("1+1")], prefill: String::new() };
//! assert_eq!(codec.encode_prompt(&prompt)?, [1, 2, 3]);
//! assert_eq!(codec.decode(&[4], true), "2");
//! # Ok::<(), critique_text::TextError>(())
//! ```

mod codec;
mod end;
mod error;
mod phrases;
mod settings;
mod stream;
mod template;

pub use codec::{SpecialTokens, TextCodec};
pub use end::end_of_text_ids;
pub use error::TextError;
pub use phrases::phrase_tokenizer;
pub use stream::TextStream;
