//! The metrics of docs/method.md, "Figures", each a function of sums over outcomes.

use critique_core::Judgment;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// Sums over outcomes, of which every metric is made. `o` and `n` are the oracle's scores
/// of response and refinement.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Tally {
    /// Outcomes.
    pub n: f64,
    /// Σ o.
    pub initial: f64,
    /// Outcomes with a refinement.
    pub refined_n: f64,
    /// Σ n.
    pub refined: f64,
    /// Σ o over outcomes with a refinement.
    pub initial_of_refined: f64,
    /// Outcomes with a refinement whose response is right.
    pub was_correct: f64,
    /// Σ (1 − n) over these.
    pub c2i: f64,
    /// Outcomes with a refinement whose response is not right.
    pub was_wrong: f64,
    /// Σ n over these.
    pub i2c: f64,
    /// Critiques of right responses.
    pub judged_correct: f64,
    /// Those of them that say so.
    pub hits_correct: f64,
    /// Critiques of responses that are not right.
    pub judged_wrong: f64,
    /// Those of them that say so.
    pub hits_wrong: f64,
    /// Critiques with a claim.
    pub parsed: f64,
    /// Critiques that say the response is right.
    pub said_correct: f64,
    /// Right verdicts with a refinement.
    pub hits_refined: f64,
    /// Σ n over these.
    pub hits_and_right: f64,
    /// Critiques that give a score.
    pub scored: f64,
    /// Σ (score − o)² over these.
    pub squared_error: f64,
    /// Σ |score − o| over these.
    pub absolute_error: f64,
    /// Σ tokens of responses.
    pub response_tokens: f64,
    /// Σ tokens of critiques.
    pub critique_tokens: f64,
    /// Σ tokens of refinements.
    pub refinement_tokens: f64,
}

impl Tally {
    /// The sums over outcomes.
    pub fn of<'a>(outcomes: impl IntoIterator<Item = &'a Outcome>) -> Self {
        let mut tally = Self::default();
        for outcome in outcomes {
            tally.add_outcome(outcome);
        }
        tally
    }

    /// Counts an outcome.
    pub fn add_outcome(&mut self, outcome: &Outcome) {
        let initial = f64::from(outcome.initial);
        self.n += 1.0;
        self.initial += initial;
        self.response_tokens += outcome.tokens.response as f64;
        self.critique_tokens += outcome.tokens.critique as f64;
        self.refinement_tokens += outcome.tokens.refinement as f64;
        if let Some(refined) = outcome.refined.map(f64::from) {
            self.refined_n += 1.0;
            self.refined += refined;
            self.initial_of_refined += initial;
            if outcome.verdict.is_correct() {
                self.was_correct += 1.0;
                self.c2i += 1.0 - refined;
            } else {
                self.was_wrong += 1.0;
                self.i2c += refined;
            }
        }
        if let Some(judgment) = outcome.judgment {
            self.add_judgment(outcome, judgment);
        }
    }

    fn add_judgment(&mut self, outcome: &Outcome, judgment: Judgment) {
        let hit = judgment.agrees_with(outcome.verdict);
        let hits = f64::from(u8::from(hit));
        if outcome.verdict.is_correct() {
            self.judged_correct += 1.0;
            self.hits_correct += hits;
        } else {
            self.judged_wrong += 1.0;
            self.hits_wrong += hits;
        }
        self.parsed += f64::from(u8::from(judgment.is_parsed()));
        self.said_correct += f64::from(u8::from(judgment == Judgment::Correct));
        if let (true, Some(refined)) = (hit, outcome.refined) {
            self.hits_refined += 1.0;
            self.hits_and_right += f64::from(refined);
        }
        if let Judgment::Score(score) = judgment {
            let error = f64::from(score) - f64::from(outcome.initial);
            self.scored += 1.0;
            self.squared_error += error * error;
            self.absolute_error += error.abs();
        }
    }

    /// Counts all that another tally counted.
    pub fn add(&mut self, other: &Self) {
        self.add_times(other, 1.0);
    }

    /// Counts all that another tally counted, this many times.
    pub fn add_times(&mut self, other: &Self, times: f64) {
        self.n += times * other.n;
        self.initial += times * other.initial;
        self.refined_n += times * other.refined_n;
        self.refined += times * other.refined;
        self.initial_of_refined += times * other.initial_of_refined;
        self.was_correct += times * other.was_correct;
        self.c2i += times * other.c2i;
        self.was_wrong += times * other.was_wrong;
        self.i2c += times * other.i2c;
        self.judged_correct += times * other.judged_correct;
        self.hits_correct += times * other.hits_correct;
        self.judged_wrong += times * other.judged_wrong;
        self.hits_wrong += times * other.hits_wrong;
        self.parsed += times * other.parsed;
        self.said_correct += times * other.said_correct;
        self.hits_refined += times * other.hits_refined;
        self.hits_and_right += times * other.hits_and_right;
        self.scored += times * other.scored;
        self.squared_error += times * other.squared_error;
        self.absolute_error += times * other.absolute_error;
        self.response_tokens += times * other.response_tokens;
        self.critique_tokens += times * other.critique_tokens;
        self.refinement_tokens += times * other.refinement_tokens;
    }

    /// The same without lengths of texts.
    pub(crate) fn without_lengths(self) -> Self {
        Self {
            response_tokens: 0.0,
            critique_tokens: 0.0,
            refinement_tokens: 0.0,
            ..self
        }
    }

    /// Whether responses are right or wrong, and have no scores (docs/method.md), which begin at
    /// 1, where shares end.
    pub(crate) fn is_of_verdicts(&self) -> bool {
        self.scored == 0.0 && self.initial <= self.n && self.refined <= self.refined_n
    }

    /// Critiques.
    pub(crate) fn judged(&self) -> f64 {
        self.judged_correct + self.judged_wrong
    }

    fn hits(&self) -> f64 {
        self.hits_correct + self.hits_wrong
    }
}

/// A figure of an evaluation. Verdict metrics are undefined without critiques, and for
/// critiques that give scores; refinement metrics are undefined without refinements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// Accuracy of the responses: Σ o / N.
    AccInitial,
    /// Acc@Refine: Σ n / N. Without a critic, that of the responses (docs/method.md, "Figures").
    AccRefined,
    /// Δ = Acc@Refine − Acc(responses) = Δ^{i→c} − Δ^{c→i}.
    Delta,
    /// Δ^{c→i}: share of all whose response was right and whose refinement is not.
    DeltaC2i,
    /// Δ^{i→c}: share of all whose response was wrong and whose refinement is right.
    DeltaI2c,
    /// Δ^{c→i} as a share of the right responses.
    C2iOfCorrect,
    /// Δ^{i→c} as a share of the wrong responses.
    I2cOfIncorrect,
    /// Acc@Dis: share of critiques whose verdict is right; one without a verdict is wrong
    /// (docs/method.md, "Figures").
    AccDis,
    /// Acc@Dis over critiques with a verdict: the released code's denominator.
    AccDisParsed,
    /// Acc@Dis over right responses.
    AccDisCorrect,
    /// Acc@Dis over responses that are not right.
    AccDisIncorrect,
    /// The mean of the two.
    AccDisBalanced,
    /// Share of critiques with a claim.
    ParseRate,
    /// Matthews correlation of verdicts with the truth, from −1 to 1; a critique without a
    /// verdict is an error of its class.
    Mcc,
    /// Share of right verdicts whose refinement is right too.
    Relevance,
    /// Acc@Dis of the better constant critic: max(acc, 1 − acc) (docs/method.md, "Figures").
    ConstantFloor,
    /// Share of critiques that call the response right.
    SaidCorrect,
    /// MSE@Dis: mean squared error of the critiques' scores, in squared units of the scorer.
    MseDis,
    /// MAE@Dis: mean absolute error of the critiques' scores, in units of the scorer.
    MaeDis,
}

impl Metric {
    /// Columns of tables of evaluations, in their order.
    pub const COLUMNS: [Self; 12] = [
        Self::AccInitial,
        Self::AccRefined,
        Self::Delta,
        Self::DeltaC2i,
        Self::DeltaI2c,
        Self::AccDis,
        Self::ConstantFloor,
        Self::AccDisBalanced,
        Self::AccDisCorrect,
        Self::AccDisIncorrect,
        Self::AccDisParsed,
        Self::ParseRate,
    ];

    /// Every metric.
    pub const ALL: [Self; 19] = [
        Self::AccInitial,
        Self::AccRefined,
        Self::Delta,
        Self::DeltaC2i,
        Self::DeltaI2c,
        Self::C2iOfCorrect,
        Self::I2cOfIncorrect,
        Self::AccDis,
        Self::AccDisParsed,
        Self::AccDisCorrect,
        Self::AccDisIncorrect,
        Self::AccDisBalanced,
        Self::ParseRate,
        Self::Mcc,
        Self::Relevance,
        Self::ConstantFloor,
        Self::SaidCorrect,
        Self::MseDis,
        Self::MaeDis,
    ];

    /// Whether it is a mean of scores where responses have scores, and a share elsewhere.
    pub fn is_mean_score(self) -> bool {
        matches!(
            self,
            Self::AccInitial | Self::AccRefined | Self::Delta | Self::DeltaC2i | Self::DeltaI2c
        )
    }

    /// Its heading in tables.
    pub fn heading(self) -> &'static str {
        match self {
            Self::AccInitial => "Acc",
            Self::AccRefined => "Acc@Refine",
            Self::Delta => "Δ",
            Self::DeltaC2i => "Δ c→i",
            Self::DeltaI2c => "Δ i→c",
            Self::C2iOfCorrect => "c→i of right",
            Self::I2cOfIncorrect => "i→c of wrong",
            Self::AccDis => "Acc@Dis",
            Self::AccDisParsed => "of parsed",
            Self::AccDisCorrect => "on right",
            Self::AccDisIncorrect => "on wrong",
            Self::AccDisBalanced => "balanced",
            Self::ParseRate => "parsed",
            Self::Mcc => "MCC",
            Self::Relevance => "relevance",
            Self::ConstantFloor => "floor",
            Self::SaidCorrect => "said correct",
            Self::MseDis => "MSE@Dis",
            Self::MaeDis => "MAE@Dis",
        }
    }

    /// Whether it is a share, or a difference of shares, where responses are right or wrong;
    /// others are in units of their own.
    pub fn is_share(self) -> bool {
        !matches!(self, Self::Mcc | Self::MseDis | Self::MaeDis)
    }

    /// The field of `eval/summary.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccInitial => "acc_initial",
            Self::AccRefined => "acc_refined",
            Self::Delta => "delta",
            Self::DeltaC2i => "delta_c2i",
            Self::DeltaI2c => "delta_i2c",
            Self::C2iOfCorrect => "c2i_of_correct",
            Self::I2cOfIncorrect => "i2c_of_incorrect",
            Self::AccDis => "acc_dis",
            Self::AccDisParsed => "acc_dis_parsed",
            Self::AccDisCorrect => "acc_dis_correct",
            Self::AccDisIncorrect => "acc_dis_incorrect",
            Self::AccDisBalanced => "acc_dis_balanced",
            Self::ParseRate => "parse_rate",
            Self::Mcc => "mcc",
            Self::Relevance => "relevance",
            Self::ConstantFloor => "constant_floor",
            Self::SaidCorrect => "said_correct",
            Self::MseDis => "mse_dis",
            Self::MaeDis => "mae_dis",
        }
    }

    /// The metric's value; `None` where it is not defined.
    pub fn value(self, t: &Tally) -> Option<f64> {
        if t.scored > 0.0 && self.needs_verdicts() {
            return None;
        }
        if let Some((hits, of)) = self.proportion(t) {
            return ratio(hits, of);
        }
        match self {
            Self::Delta => ratio(t.refined - t.initial_of_refined, t.refined_n),
            Self::AccDisBalanced => {
                let correct = ratio(t.hits_correct, t.judged_correct)?;
                let wrong = ratio(t.hits_wrong, t.judged_wrong)?;
                Some(f64::midpoint(correct, wrong))
            }
            Self::Mcc => matthews(t),
            Self::ConstantFloor => {
                let correct = ratio(t.judged_correct, t.judged())?;
                Some(correct.max(1.0 - correct))
            }
            Self::MseDis => ratio(t.squared_error, t.scored),
            Self::MaeDis => ratio(t.absolute_error, t.scored),
            _ => None,
        }
    }

    /// Successes and trials, for metrics that are shares.
    pub fn proportion(self, t: &Tally) -> Option<(f64, f64)> {
        match self {
            Self::AccInitial => Some((t.initial, t.n)),
            Self::AccRefined if t.refined_n == 0.0 && t.judged() == 0.0 => Some((t.initial, t.n)),
            Self::AccRefined => Some((t.refined, t.refined_n)),
            Self::DeltaC2i => Some((t.c2i, t.refined_n)),
            Self::DeltaI2c => Some((t.i2c, t.refined_n)),
            Self::C2iOfCorrect => Some((t.c2i, t.was_correct)),
            Self::I2cOfIncorrect => Some((t.i2c, t.was_wrong)),
            Self::AccDis => Some((t.hits(), t.judged())),
            Self::AccDisParsed => Some((t.hits(), t.parsed)),
            Self::AccDisCorrect => Some((t.hits_correct, t.judged_correct)),
            Self::AccDisIncorrect => Some((t.hits_wrong, t.judged_wrong)),
            Self::ParseRate => Some((t.parsed, t.judged())),
            Self::Relevance => Some((t.hits_and_right, t.hits_refined)),
            Self::SaidCorrect => Some((t.said_correct, t.judged())),
            _ => None,
        }
    }

    /// Whether the metric means nothing for critiques that give scores.
    fn needs_verdicts(self) -> bool {
        !matches!(
            self,
            Self::AccInitial
                | Self::AccRefined
                | Self::Delta
                | Self::ParseRate
                | Self::MseDis
                | Self::MaeDis
        )
    }
}

fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator > 0.0).then(|| numerator / denominator)
}

/// (TP·TN − FP·FN) / √((TP+FP)(TP+FN)(TN+FP)(TN+FN)), with "right" as the positive class;
/// 0 where a critic says one thing only, as is usual; undefined without both classes.
fn matthews(t: &Tally) -> Option<f64> {
    if t.judged_correct == 0.0 || t.judged_wrong == 0.0 {
        return None;
    }
    let (tp, tn) = (t.hits_correct, t.hits_wrong);
    let (missed, false_alarms) = (t.judged_correct - tp, t.judged_wrong - tn);
    let spread = (tp + false_alarms) * t.judged_correct * t.judged_wrong * (tn + missed);
    if spread == 0.0 {
        return Some(0.0);
    }
    Some((tp * tn - false_alarms * missed) / spread.sqrt())
}
