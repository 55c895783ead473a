//! The names of what decided: a rule of comparison, and a clue to an answer in a text.

use std::fmt;

use serde::{Serialize, Serializer};

/// An enum whose variants have a name each, by which they are printed and written.
macro_rules! named {
    ($(#[$about:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $enum {
            $($(#[$doc])* $variant,)*
        }

        impl $enum {
            /// Every variant, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in reports and in the line protocol.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl fmt::Display for $enum {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.name())
            }
        }

        impl Serialize for $enum {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}

named! {
    /// The rule that decided whether two answers are equal.
    ///
    /// The first group looks at texts, the second at shapes, the third at scalars, and the last
    /// says why there was nothing to decide. Within the first group the order is the order of
    /// trial.
    Rule {
        /// One side holds nothing.
        Empty = "empty",
        /// Too long to be parsed, and not the same text.
        TooLong = "too long",
        /// Yes, no, true, false.
        TruthValue = "truth value",
        /// Option letters.
        Choice = "choice",
        /// Times of day.
        Time = "time",
        /// Points in an order: `ABC` is not `ACB`.
        Label = "label",
        /// Words.
        Text = "text",
        /// The same tokens.
        Same = "same",

        /// Values of two shapes that have nothing in common.
        Shape = "shape",
        /// Numerals with a base.
        Base = "base",
        /// Ratios.
        Ratio = "ratio",
        /// Matrices, entry by entry.
        Matrix = "matrix",
        /// Vectors, entry by entry.
        Vector = "vector",
        /// Tuples and points, in order.
        Tuple = "tuple",
        /// Lists and sets, member by member.
        List = "list",
        /// Sets written out, in which a member may stand twice.
        RepeatedMembers = "repeated members",
        /// A set of sets against one of numbers.
        SetOfSets = "set of sets",
        /// Brackets that make an interval of one side only.
        Brackets = "brackets",
        /// Intervals, end by end.
        Interval = "interval",
        /// "And" against "or" between names.
        Connective = "connective",
        /// Names and the values they are given.
        Assignments = "assignments",
        /// The names of two conditions differ.
        Variable = "variable",
        /// Equations up to a factor.
        Equation = "equation",
        /// Inequalities up to a positive factor.
        Inequality = "inequality",
        /// Relations side by side.
        Relation = "relation",
        /// Residues modulo one number.
        Congruence = "congruence",
        /// Sets of reals, piece by piece.
        RealSet = "set of reals",
        /// A condition tried at many points against a set.
        SampledSet = "sampled set",
        /// Integers, rationals, reals: sets by their letter.
        NumberSet = "number set",
        /// The empty set.
        EmptySet = "empty set",
        /// A set against what is none, or sets that no method compares.
        NoSet = "no such set",

        /// Rationals.
        Exact = "exact",
        /// Equal after collecting terms.
        Structure = "structure",
        /// Values at random points modulo primes.
        RationalFunction = "rational function",
        /// Values at random points to many digits.
        IdentityTest = "identity test",
        /// Equal up to a constant of integration.
        Antiderivative = "antiderivative",
        /// A decimal that the other side rounds to.
        Rounding = "rounding",
        /// Within the relative tolerance of the options.
        Tolerance = "tolerance",
        /// A limit that grows without bound.
        Limit = "limit",
        /// Infinity against anything else.
        Infinity = "infinity",

        /// A side without a value, such as `0/0`.
        Undefined = "undefined",
        /// A side that cannot be read as mathematics.
        NotAFormula = "not a formula",
        /// A budget ran out.
        Budget = "budget",
        /// No method reached a verdict.
        Undecided = "undecided",
        /// The text holds no answer.
        NoAnswer = "no answer",
    }
}

named! {
    /// The clue by which an answer was found in a text.
    Clue {
        /// `<answer>` tags.
        AnswerTag = "answer tag",
        /// `\boxed`, `\fbox`.
        Box = "box",
        /// "The answer is" and its kin.
        Stated = "stated",
        /// `####`.
        HashMark = "hash mark",
        /// A text that is nothing but a formula.
        WholeText = "whole text",
        /// The first formula of a sentence or text.
        Formula = "formula",
        /// The only number of a sentence.
        Number = "number",
        /// The last formula.
        LastFormula = "last formula",
        /// The last expression in plain prose.
        LastExpression = "last expression",
        /// The last number.
        LastNumber = "last number",
        /// The last numbers, joined by "and" or "or".
        LastNumbers = "last numbers",
        /// Yes, no, true, false.
        TruthWord = "truth word",
        /// An option letter on a line of its own.
        OwnLine = "own line",
        /// `(C)`, `**C**`, "option C".
        MarkedLetter = "marked letter",
        /// The last capital that stands alone.
        LastLetter = "last letter",
    }
}
