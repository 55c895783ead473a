//! The task: articles, their highlights, and a scorer.

use critique_tasks::data::{Layout, Loader, Row};
use critique_tasks::dataset::{Options, Spec};
use critique_tasks::{
    CritiqueForm, Judged, Problem, PromptStyle, Scale, Scorer, Split, Task, TaskError, Verdict,
};
use serde::Deserialize;

use crate::rouge::Rouge;

critique_tasks::submit_dataset! {
    &CNN_DAILYMAIL,
    build: |options| Ok(Box::new(Summarization::from_options(options)?)),
}

/// News articles with highlights (Hermann et al. 2015, See et al. 2017).
pub static CNN_DAILYMAIL: Spec = Spec {
    name: "summarization",
    summary: "news summaries, scored from 1 to 10 instead of verified",
    licence: "Apache-2.0; article texts by CNN and Daily Mail",
    hub: Some("abisee/cnn_dailymail"),
    layout: Layout {
        folders: &["cnn_dailymail", "cnn_dailymail_3.0.0"],
        shards: &["3.0.0"],
        train: &["train", "train_sample"],
        validation: &["validation", "dev"],
        test: &["test"],
    },
    row: |record| {
        Ok(Row::new(record.text(&["article"])?, record.text(&["highlights"])?).id(record, &["id"]))
    },
    mend: None,
    sample: include_str!("sample.jsonl"),
};

/// Options beside those of every data set.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Own {
    /// The score, from 1 to 10, from which a summary counts as good where a verdict is asked
    /// for.
    pass_mark: f32,
    /// Words of an article that are kept; all where absent.
    article_words: Option<usize>,
    /// What gives the scores.
    scorer: ScorerOptions,
}

impl Default for Own {
    fn default() -> Self {
        Self {
            pass_mark: 5.5,
            article_words: None,
            scorer: ScorerOptions::default(),
        }
    }
}

const OWN_KEYS: [&str; 3] = ["pass_mark", "article_words", "scorer"];

/// Where scores come from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ScorerOptions {
    /// The address of a reward model; ROUGE where absent.
    url: Option<String>,
    /// What the server speaks: `openrlhf` or `vllm`.
    protocol: Option<String>,
    /// The model to ask for, with `vllm`.
    model: Option<String>,
    /// Raw values that become 1 and 10; needed with `url`, 0 and 1 for ROUGE.
    scale: Option<Scale>,
    /// How long a request may take, in seconds; 60 where absent.
    timeout_secs: Option<f32>,
}

/// Summaries and their scorer.
pub struct Summarization {
    loader: Loader,
    prompts: PromptStyle,
    scorer: Box<dyn Scorer>,
    pass_mark: f32,
    article_words: Option<usize>,
}

impl std::fmt::Debug for Summarization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Summarization")
            .field("loader", &self.loader)
            .field("pass_mark", &self.pass_mark)
            .finish_non_exhaustive()
    }
}

impl Summarization {
    /// The task from its options.
    ///
    /// # Errors
    ///
    /// When a key is unknown or a value does not fit, or the options ask for a scorer that this
    /// build lacks.
    pub fn from_options(mut options: toml::Table) -> Result<Self, TaskError> {
        let own: toml::Table = OWN_KEYS
            .iter()
            .filter_map(|key| options.remove_entry(*key))
            .collect();
        let own = Own::deserialize(own)?;
        let options = Options::deserialize(options).map_err(|error| with_own_keys(&error))?;
        if options.compat || !options.verify.is_empty() {
            return Err(misfit(
                "`verify` and `compat`: this task has a scorer and no verifier",
            ));
        }
        Ok(Self {
            prompts: prompts().with(&options.prompts)?,
            loader: Loader::from_spec(&CNN_DAILYMAIL, options)?,
            scorer: scorer(&own.scorer)?,
            pass_mark: own.pass_mark,
            article_words: own.article_words,
        })
    }

    /// The same task with another scorer, such as one in process.
    pub fn with_scorer(mut self, scorer: Box<dyn Scorer>) -> Self {
        self.scorer = scorer;
        self
    }

    /// `Correct` from the pass mark on; `Unparsed` for silence, whatever its score.
    fn judged(&self, text: &str, score: f32) -> Result<Judged, TaskError> {
        if score.is_nan() {
            return Ok(Judged::unscored());
        }
        if score.is_infinite() {
            return Err(misscored(format!("the score {score} is no number")));
        }
        let mut judged = Judged::by_score(score, self.pass_mark);
        if text.trim().is_empty() {
            judged.verdict = Verdict::Unparsed;
        }
        Ok(judged)
    }

    fn cut(&self, problem: Problem) -> Problem {
        match self.article_words {
            Some(words) => Problem {
                question: first_words(&problem.question, words),
                ..problem
            },
            None => problem,
        }
    }
}

impl Task for Summarization {
    fn problems(&self, split: Split) -> Result<Vec<Problem>, TaskError> {
        let problems = self.loader.problems(split)?;
        Ok(problems.into_iter().map(|one| self.cut(one)).collect())
    }

    fn judge_one(&self, problem: &Problem, text: &str) -> Result<Judged, TaskError> {
        let judged = self.judge(&[(problem, text)])?.pop();
        judged.ok_or_else(|| miscounted(0, 1))
    }

    /// One call to the scorer for all texts.
    fn judge(&self, items: &[(&Problem, &str)]) -> Result<Vec<Judged>, TaskError> {
        let scores = self.scorer.scores(items)?;
        if scores.len() != items.len() {
            return Err(miscounted(scores.len(), items.len()));
        }
        let texts = items.iter().map(|(_, text)| text);
        texts
            .zip(scores)
            .map(|(text, score)| self.judged(text, score))
            .collect()
    }

    fn gold_response(&self, problem: &Problem) -> String {
        problem.answer.clone()
    }

    fn is_open_ended(&self) -> bool {
        true
    }

    fn prompts(&self) -> PromptStyle {
        self.prompts.clone()
    }

    fn notes(&self) -> Result<Vec<String>, TaskError> {
        self.loader.notes()
    }
}

fn prompts() -> PromptStyle {
    PromptStyle {
        response: "Summarise the following article in three or four sentences. Keep to what it \
                   says, and name who did what, where and when.\n\nArticle:\n{question}"
            .into(),
        response_prefill: String::new(),
        response_end: String::new(),
        critique: format!(
            "Below are an article and a summary of it. Judge the summary.\n\n\
             Use exactly this form:\n\
             Faithfulness: <does it say what the article says, and nothing else?>\n\
             Coverage: <does it hold the main points?>\n\
             Concision: <is it short, without repetition?>\n\
             Fluency: <does it read well?>\n\
             {}\n\
             Suggestions: <what to change, point by point>\n\n\
             Article:\n{{question}}\n\nSummary:\n{{response}}",
            CritiqueForm::Score.asked()
        ),
        refinement: "Here is a critique of your summary:\n\n{critique}\n\nFollow its suggestions \
                     and write a new summary of the article in three or four sentences. Write \
                     the summary alone."
            .into(),
        refinement_prefill: String::new(),
    }
}

fn scorer(options: &ScorerOptions) -> Result<Box<dyn Scorer>, TaskError> {
    if let Some(scale) = options.scale
        && !scale.is_valid()
    {
        return Err(misfit(&format!(
            "`scorer.scale`: found min {} and max {}; min must be the smaller",
            scale.min, scale.max
        )));
    }
    match &options.url {
        Some(url) => http_scorer(url, options),
        None if options.protocol.is_some() || options.model.is_some() => Err(misfit(
            "`scorer` has no `url`, which `protocol` and `model` are for",
        )),
        None => {
            let rouge = Rouge::default();
            let scale = options.scale.unwrap_or(rouge.scale);
            Ok(Box::new(Rouge { scale }))
        }
    }
}

#[cfg(feature = "http")]
fn http_scorer(url: &str, options: &ScorerOptions) -> Result<Box<dyn Scorer>, TaskError> {
    use crate::http::{HttpScorer, Protocol};
    let scale = options.scale.ok_or_else(|| {
        misfit("`scorer.scale` is missing: which raw values of the reward model become 1 and 10?")
    })?;
    let protocol = match options.protocol.as_deref() {
        None | Some("openrlhf") => Protocol::OpenRlhf,
        Some("vllm") => Protocol::Vllm {
            model: options
                .model
                .clone()
                .ok_or_else(|| misfit("`scorer.model` is missing, which `vllm` needs"))?,
        },
        Some(other) => {
            return Err(misfit(&format!(
                "`scorer.protocol`: found `{other}`, expected `openrlhf` or `vllm`"
            )));
        }
    };
    let timeout = options.timeout_secs.unwrap_or(60.0);
    if !(timeout > 0.0 && timeout <= 86_400.0) {
        return Err(misfit(&format!(
            "`scorer.timeout_secs`: found {timeout}, expected seconds from 0 to 86400"
        )));
    }
    let timeout = std::time::Duration::from_secs_f32(timeout);
    Ok(Box::new(HttpScorer::new(url, protocol, scale, timeout)))
}

#[cfg(not(feature = "http"))]
fn http_scorer(_url: &str, _options: &ScorerOptions) -> Result<Box<dyn Scorer>, TaskError> {
    Err(misfit(
        "`scorer.url`: this build speaks no HTTP; build with the feature `http`, or leave `url` \
         out for ROUGE",
    ))
}

fn miscounted(scores: usize, texts: usize) -> TaskError {
    misscored(format!("{scores} scores for {texts} texts"))
}

/// What a scorer of one's own may do wrong.
fn misscored(message: String) -> TaskError {
    TaskError::Scorer {
        scorer: format!("of task {}", CNN_DAILYMAIL.name),
        message,
    }
}

fn misfit(message: &str) -> TaskError {
    TaskError::Options {
        task: CNN_DAILYMAIL.name,
        message: message.to_owned(),
    }
}

fn with_own_keys(error: &toml::de::Error) -> TaskError {
    let own = OWN_KEYS.map(|key| format!("`{key}`")).join(", ");
    misfit(&format!("{}; or {own}", error.message()))
}

/// The beginning of a text up to a number of words, its layout kept.
fn first_words(text: &str, count: usize) -> String {
    let mut in_word = false;
    let mut words = 0;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() {
            if in_word && words == count {
                return text[..at].to_owned();
            }
            in_word = false;
        } else if !in_word {
            in_word = true;
            words += 1;
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(options: &str) -> Result<Summarization, TaskError> {
        Summarization::from_options(toml::from_str(options).unwrap())
    }

    #[test]
    fn a_better_summary_scores_higher() {
        let task = task("sample = true").unwrap();
        let problem = &task.problems(Split::Test).unwrap()[0];
        let half: String = first_words(&problem.answer, 8);
        let items =
            [problem.answer.as_str(), half.as_str(), "No idea."].map(|text| (problem, text));
        let judged = task.judge(&items).unwrap();
        let scores: Vec<f32> = judged.iter().map(|judged| judged.score).collect();
        assert_eq!(scores[0], 10.0);
        assert!(scores[0] > scores[1] && scores[1] > scores[2], "{scores:?}");
        assert!(scores[2] < 1.5, "{scores:?}");
    }

    /// Gives the same scores whatever it is asked.
    struct Fixed(Vec<f32>);

    impl Scorer for Fixed {
        fn scores(&self, _: &[(&Problem, &str)]) -> Result<Vec<f32>, TaskError> {
            Ok(self.0.clone())
        }
    }

    #[test]
    fn silence_has_a_score_and_no_verdict_and_the_pass_mark_divides_the_rest() {
        let task = task("sample = true").unwrap();
        let task = task.with_scorer(Box::new(Fixed(vec![5.5, 5.4, 9.0])));
        let problem = &task.problems(Split::Test).unwrap()[0];
        let items = ["a", "b", " \n"].map(|text| (problem, text));
        let judged = task.judge(&items).unwrap();
        let found = judged.iter().map(|one| (one.verdict, one.score));
        let (correct, wrong, unparsed) = (Verdict::Correct, Verdict::Wrong, Verdict::Unparsed);
        let wanted = [(correct, 5.5), (wrong, 5.4), (unparsed, 9.0)];
        assert!(found.eq(wanted), "{judged:?}");
    }

    #[test]
    fn a_scorer_without_a_score_is_an_error_and_no_score() {
        for (scores, wanted) in [
            (vec![f32::INFINITY], "the score inf is no number"),
            (vec![], "0 scores for 1 texts"),
        ] {
            let task = task("sample = true").unwrap();
            let task = task.with_scorer(Box::new(Fixed(scores)));
            let problem = &task.problems(Split::Test).unwrap()[0];
            let alone = task.judge_one(problem, "x").unwrap_err().to_string();
            let together = task.judge(&[(problem, "x")]).unwrap_err().to_string();
            assert!(alone.ends_with(wanted), "{alone}");
            assert_eq!(alone, together);
        }
    }

    #[test]
    fn the_critic_is_asked_for_one_score_line() {
        let prompts = task("sample = true").unwrap().prompts();
        assert!(prompts.critique.contains(
            "\nFluency: <does it read well?>\n\
             Score: <one number from 1, useless, to 10, perfect>\n\
             Suggestions: <what to change, point by point>\n\nArticle:\n{question}\n"
        ));
        assert_eq!(prompts.critique.matches("\nScore:").count(), 1);
    }

    #[test]
    fn articles_are_cut_between_words() {
        assert_eq!(first_words("a  b\nc d", 3), "a  b\nc");
        assert_eq!(first_words("a b", 3), "a b");
        let task = task("sample = true\narticle_words = 5").unwrap();
        for problem in task.problems(Split::Train).unwrap() {
            assert_eq!(problem.question.split_whitespace().count(), 5);
        }
    }

    #[test]
    fn options_that_do_not_fit_are_named() {
        let message = |options: &str| task(options).unwrap_err().to_string();
        let unknown = message("pasmark = 3.0");
        assert!(
            unknown.contains("`pasmark`") && unknown.contains("`pass_mark`"),
            "{unknown}"
        );
        assert!(message("verify = { max_steps = 1 }").contains("no verifier"));
        assert!(
            message("[scorer]\nscale = { min = 2.0, max = 1.0 }")
                .contains("min must be the smaller")
        );
        assert!(message("[scorer]\nprotocol = \"vllm\"").contains("no `url`"));
    }
}
