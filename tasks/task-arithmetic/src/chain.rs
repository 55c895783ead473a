//! Chains of additions and subtractions modulo 100, and how they go wrong.

use critique_tasks::Rng;

/// One operation: add or subtract a digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// `+` or `-`.
    pub sign: char,
    /// 1 to 9.
    pub operand: u8,
}

impl Op {
    /// Any of the eighteen.
    pub fn random(rng: &mut Rng) -> Self {
        Self {
            sign: if rng.chance(0.5) { '+' } else { '-' },
            operand: 1 + rng.below(9) as u8,
        }
    }

    /// The right value after this operation, modulo 100.
    pub fn apply(self, value: u8) -> u8 {
        if self.sign == '+' {
            (value + self.operand) % 100
        } else {
            (value + 100 - self.operand) % 100
        }
    }

    /// Takes this operation back: the value that it makes `value` of, modulo 100.
    pub fn undo(self, value: u8) -> u8 {
        self.inverse().apply(value)
    }

    /// The operation that takes this one back.
    pub fn inverse(self) -> Self {
        Self {
            sign: if self.sign == '+' { '-' } else { '+' },
            ..self
        }
    }

    /// The line of a solution: `94+3=97`.
    pub fn line(self, before: u8, value: u8) -> String {
        format!("{before:02}{}{}={value:02}", self.sign, self.operand)
    }

    /// Whether a large operand carries or borrows: where slips happen.
    pub fn is_hard(self, value: u8, hard_operand: u8) -> bool {
        let units = value % 10;
        let crosses = if self.sign == '+' {
            units + self.operand >= 10
        } else {
            units < self.operand
        };
        self.operand >= hard_operand && crosses
    }

    /// The typical slip: one too low, as when counting on past a ten and the ten itself is counted
    /// twice. All slips go in one direction, so that two of them never cancel each other.
    pub fn slip(self, value: u8) -> u8 {
        (self.apply(value) + 99) % 100
    }
}

/// A question: a start and operations on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// 0 to 99.
    pub start: u8,
    /// In the order in which they apply.
    pub ops: Vec<Op>,
}

impl Chain {
    /// A random chain.
    pub fn random(rng: &mut Rng, operations: usize) -> Self {
        let start = rng.below(100) as u8;
        Self {
            start,
            ops: (0..operations).map(|_| Op::random(rng)).collect(),
        }
    }

    /// The question as the actor reads it, such as `94+3+4-7`.
    pub fn question(&self) -> String {
        let mut text = format!("{:02}", self.start);
        for op in &self.ops {
            text.push(op.sign);
            text.push(char::from(b'0' + op.operand));
        }
        text
    }

    /// Reads [`Chain::question`] back.
    pub fn parse(question: &str) -> Option<Self> {
        let (start, mut rest) = question.split_at_checked(2)?;
        let mut ops = Vec::new();
        while let Some(sign) = rest.chars().next() {
            let operand = rest.get(1..2)?.parse().ok()?;
            ops.push(Op {
                sign: ['+', '-'].into_iter().find(|&s| s == sign)?,
                operand,
            });
            rest = &rest[2..];
        }
        Some(Self {
            start: start.parse().ok()?,
            ops,
        })
    }

    /// The right value after each operation.
    pub fn values(&self) -> Vec<u8> {
        self.continue_from(self.start, 0, |_, value, op| op.apply(value))
    }

    /// Values of the operations from `first` on, each computed by `step` from the one before.
    pub fn continue_from(
        &self,
        value: u8,
        first: usize,
        mut step: impl FnMut(usize, u8, Op) -> u8,
    ) -> Vec<u8> {
        let mut value = value;
        self.ops[first..]
            .iter()
            .enumerate()
            .map(|(i, &op)| {
                value = step(first + i, value, op);
                value
            })
            .collect()
    }

    /// What stands before each operation, where these values stand after them.
    pub fn befores(&self, values: &[u8]) -> Vec<u8> {
        std::iter::once(self.start)
            .chain(values.iter().copied())
            .take(self.ops.len())
            .collect()
    }

    /// A solution with these values, a line each: `94+3=97`.
    pub fn response(&self, values: &[u8]) -> String {
        let befores = self.befores(values);
        let lines = self.ops.iter().zip(befores.iter().zip(values));
        lines
            .map(|(op, (&before, &value))| op.line(before, value) + "\n")
            .collect()
    }

    /// The values that a response states, where it follows the question step by step.
    pub fn stated(&self, response: &str) -> Option<Vec<u8>> {
        let value = |line: &str| line.split_once('=')?.1.parse().ok();
        let values: Vec<u8> = response.lines().map(value).collect::<Option<_>>()?;
        let same = values.len() == self.ops.len()
            && self.response(&values).trim_end() == response.trim_end();
        same.then_some(values)
    }
}

/// A value that differs in its units, and three times in ten in its tens too. Units, because they
/// differ after a slip: a model learns to compare one digit sooner than two.
pub(crate) fn other_value(rng: &mut Rng, value: u8) -> u8 {
    let other_digit = |rng: &mut Rng, digit: u8| (digit + 1 + rng.below(9) as u8) % 10;
    let units = other_digit(rng, value % 10);
    let tens = if rng.chance(0.3) {
        other_digit(rng, value / 10)
    } else {
        value / 10
    };
    10 * tens + units
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_wrap_around_and_slips_miss_by_one() {
        let chain = Chain::parse("94+3+4-7").unwrap();
        assert_eq!(chain.values(), [97, 1, 94]);
        assert_eq!(chain.response(&[97, 1, 93]), "94+3=97\n97+4=01\n01-7=93\n");
        assert_eq!(chain.ops[2].slip(1), 93);
        assert_eq!(chain.ops[1].slip(97), 0);
        assert!(chain.ops[2].is_hard(1, 7) && !chain.ops[1].is_hard(97, 7));
    }

    #[test]
    fn an_operation_is_taken_back_by_its_inverse() {
        for value in 0..100 {
            for sign in ['+', '-'] {
                let op = Op { sign, operand: 7 };
                assert_eq!(op.undo(op.apply(value)), value);
            }
        }
    }

    #[test]
    fn questions_and_responses_read_back() {
        let mut rng = Rng::new(1);
        for _ in 0..500 {
            let chain = Chain::random(&mut rng, 3);
            assert_eq!(Chain::parse(&chain.question()), Some(chain.clone()));
            assert_eq!(
                chain.stated(&chain.response(&chain.values())),
                Some(chain.values())
            );
        }
        let chain = Chain::parse("94+3").unwrap();
        for odd in [
            "",
            "94+3=9",
            "94+3=97\n97+4=01\n",
            "93+3=97\n",
            "94-3=97\n",
            "94+3=+7\n",
            "94+3=297\n",
            "94+3=97x\n",
            "+3=97\n",
        ] {
            assert_eq!(chain.stated(odd), None, "{odd:?}");
        }
        assert_eq!(chain.stated("94+3=97"), Some(vec![97]));
        assert_eq!(Chain::parse("9"), None);
        assert_eq!(Chain::parse("94*3"), None);
    }
}
