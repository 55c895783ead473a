//! News summaries, judged by a score instead of a verifier (appendix E of the paper,
//! CNN/DailyMail).
//!
//! There is no gold answer: a [`Scorer`](critique_tasks::Scorer) gives a summary 1 to 10, the
//! critic ends its comments with a line `Score: N`, and how near the two are is the reward of
//! its judgment. The scorer is [`Rouge`] against the article's highlights, or a reward model
//! behind HTTP (feature `http`):
//!
//! ```toml
//! [task]
//! name = "summarization"
//! path = "data/cnn_dailymail"
//! article_words = 400          # the articles are cut here; whole where absent
//! pass_mark = 5.5              # from this score on a summary counts as good
//!
//! [task.scorer]                # without this table: ROUGE
//! url = "http://127.0.0.1:8000/get_reward"
//! protocol = "openrlhf"        # or "vllm"
//! scale = { min = -20.0, max = 40.0 }   # raw values that become 1 and 10
//! timeout_secs = 60.0
//! ```

#[cfg(feature = "http")]
mod http;
mod rouge;
mod task;

#[cfg(feature = "http")]
pub use http::{HttpScorer, Protocol};
pub use rouge::{Rouge, RougeScores, rouge};
pub use task::{CNN_DAILYMAIL, Summarization};
