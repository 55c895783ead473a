//! How often intervals of 95 % hold the truth, by simulation with fixed seeds: near the borders
//! too, where plain resampling gives intervals of width zero.

use critique_core::{Judgment, Rng, Verdict};
use critique_eval::{Metric, Outcome, Paired, Row, compare_seeds};

/// Chances of a critic: a right verdict on right and on wrong responses, a right refinement of
/// right and of wrong responses.
#[derive(Clone, Copy)]
struct Critic {
    verdicts: [f64; 2],
    refinements: [f64; 2],
}

/// Share of right responses.
const RIGHT: f64 = 0.6;

impl Critic {
    fn balanced(self) -> f64 {
        f64::midpoint(self.verdicts[0], self.verdicts[1])
    }

    fn delta(self) -> f64 {
        (1.0 - RIGHT) * self.refinements[1] - RIGHT * (1.0 - self.refinements[0])
    }

    fn refined(self) -> f64 {
        RIGHT + self.delta()
    }

    fn outcome(self, rng: &mut Rng, problem: usize, right: bool) -> Outcome {
        let mut chance = |p: f64| rng.uniform_f64() < p;
        let class = usize::from(!right);
        let hit = chance(self.verdicts[class]);
        Outcome {
            problem: format!("p/{problem:04}"),
            verdict: if right {
                Verdict::Correct
            } else {
                Verdict::Wrong
            },
            initial: f32::from(u8::from(right)),
            judgment: Some(if hit == right {
                Judgment::Correct
            } else {
                Judgment::Wrong
            }),
            refined: Some(f32::from(u8::from(chance(self.refinements[class])))),
            ..Outcome::default()
        }
    }
}

/// Outcomes of critics on the same responses.
fn draw<const N: usize>(rng: &mut Rng, problems: usize, critics: [Critic; N]) -> [Vec<Outcome>; N] {
    let mut drawn = std::array::from_fn(|_| Vec::new());
    for problem in 0..problems {
        let right = rng.uniform_f64() < RIGHT;
        for (critic, drawn) in critics.iter().zip(&mut drawn) {
            drawn.push(critic.outcome(rng, problem, right));
        }
    }
    drawn
}

fn holds([low, high]: [f64; 2], truth: f64) -> bool {
    low <= truth && truth <= high
}

const PERFECT: Critic = Critic {
    verdicts: [1.0, 1.0],
    refinements: [1.0, 1.0],
};
const NEARLY: Critic = Critic {
    verdicts: [0.99, 0.99],
    refinements: [1.0, 0.98],
};
const GOOD: Critic = Critic {
    verdicts: [0.98, 0.9],
    refinements: [0.98, 0.9],
};
const POOR: Critic = Critic {
    verdicts: [0.85, 0.4],
    refinements: [0.9, 0.2],
};
const IDLE: Critic = Critic {
    verdicts: [1.0, 0.0],
    refinements: [1.0, 0.0],
};

const SIMULATIONS: u64 = 200;

/// How often each of several intervals holds its truth, over simulations.
fn coverage<const N: usize>(mut one: impl FnMut(&mut Rng) -> [bool; N]) -> [f64; N] {
    let mut held = [0.0; N];
    for seed in 0..SIMULATIONS {
        for (held, holds) in held.iter_mut().zip(one(&mut Rng::new(1000 + seed))) {
            *held += f64::from(u8::from(holds)) / SIMULATIONS as f64;
        }
    }
    held
}

#[test]
fn intervals_of_a_row_hold_the_truth_as_often_as_they_say() {
    for (name, critic) in [
        ("perfect", PERFECT),
        ("nearly", NEARLY),
        ("good", GOOD),
        ("poor", POOR),
        ("idle", IDLE),
    ] {
        let [balanced, delta] = coverage(|rng| {
            let [outcomes] = draw(rng, 100, [critic]);
            let ci95 = Row::of("x", &outcomes).ci95;
            [
                holds(ci95["acc_dis_balanced"], critic.balanced()),
                holds(ci95["delta"], critic.delta()),
            ]
        });
        assert!(balanced >= 0.92, "{name}, balanced: {balanced}");
        assert!(delta >= 0.92, "{name}, delta: {delta}");
    }
}

#[test]
fn intervals_of_a_paired_difference_hold_the_truth_as_often_as_they_say() {
    for (name, a, b) in [
        ("perfect, perfect", PERFECT, PERFECT),
        ("perfect, nearly", PERFECT, NEARLY),
        ("nearly, nearly", NEARLY, NEARLY),
        ("good, nearly", GOOD, NEARLY),
        ("good, poor", GOOD, POOR),
        ("perfect, idle", PERFECT, IDLE),
    ] {
        let [balanced, refined] = coverage(|rng| {
            let drawn = draw(rng, 100, [a, b]);
            let comparison = Paired::new(&drawn[0], &drawn[1]).unwrap().compare(500);
            let ci95 = |metric| comparison.of(metric).unwrap().ci95;
            [
                holds(ci95(Metric::AccDisBalanced), a.balanced() - b.balanced()),
                holds(ci95(Metric::AccRefined), a.refined() - b.refined()),
            ]
        });
        assert!(balanced >= 0.92, "{name}, balanced: {balanced}");
        assert!(refined >= 0.92, "{name}, refined: {refined}");
    }
}

#[test]
fn intervals_over_seeds_hold_the_mean_of_all_seeds() {
    // Training seeds differ by 3 points (standard deviation), problems of one seed by 2.
    let runs = |rng: &mut Rng, seeds: usize| -> Vec<Paired> {
        let run = |_| {
            let luck = 0.03 * f64::from(rng.normal());
            let at = |mends: f64| Critic {
                refinements: [0.9, mends],
                ..GOOD
            };
            let [a, b] = draw(rng, 400, [at(0.5 + luck / (1.0 - RIGHT)), at(0.5)]);
            Paired::new(&a, &b).unwrap()
        };
        (0..seeds).map(run).collect()
    };
    for (seeds, bootstrap_at_least) in [(3, 0.85), (8, 0.92)] {
        let [bootstrap, student] = coverage(|rng| {
            let all = compare_seeds(&runs(rng, seeds), 300);
            let refined = all.of(Metric::AccRefined).unwrap();
            let student = refined.ci95_t.is_none_or(|interval| holds(interval, 0.0));
            [holds(refined.ci95, 0.0), student]
        });
        assert!(student >= 0.92, "{seeds} seeds, Student: {student}");
        assert!(
            bootstrap >= bootstrap_at_least,
            "{seeds} seeds, bootstrap: {bootstrap}"
        );
    }
}
