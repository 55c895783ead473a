//! Names of functions, constants, letters and units.

use crate::algebra::Fun;

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Fun(Fun),
    /// Functions that are rewritten while parsing.
    Special(Special),
    Symbol(&'static str),
    Pi,
    Infinity,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    /// Base ten unless a base is given.
    Log,
    Ln,
    Lg,
    Exp,
    Sqrt,
    Cbrt,
    Det,
    Trace,
    Transpose,
    Rank,
    Cis,
    Frac,
    Root,
}

/// The meaning of a function's name, with or without its backslash.
pub(crate) fn function(name: &str) -> Option<Name> {
    use Special::{Cbrt, Cis, Det, Exp, Frac, Lg, Ln, Log, Rank, Root, Sqrt, Trace, Transpose};
    let fun = match name {
        "sin" => Fun::Sin,
        "cos" => Fun::Cos,
        "tan" | "tg" => Fun::Tan,
        "cot" | "ctg" | "cotan" => Fun::Cot,
        "sec" => Fun::Sec,
        "csc" | "cosec" => Fun::Csc,
        "arcsin" | "asin" => Fun::Asin,
        "arccos" | "acos" => Fun::Acos,
        "arctan" | "atan" | "arctg" => Fun::Atan,
        "arccot" | "acot" | "arcctg" => Fun::Acot,
        "arcsec" | "asec" => Fun::Asec,
        "arccsc" | "acsc" => Fun::Acsc,
        "sinh" | "sh" => Fun::Sinh,
        "cosh" | "ch" => Fun::Cosh,
        "tanh" | "th" => Fun::Tanh,
        "coth" => Fun::Coth,
        "sech" => Fun::Sech,
        "csch" => Fun::Csch,
        "arcsinh" | "asinh" | "arsinh" | "arsh" => Fun::Asinh,
        "arccosh" | "acosh" | "arcosh" | "arch" => Fun::Acosh,
        "arctanh" | "atanh" | "artanh" | "arth" => Fun::Atanh,
        "arccoth" | "acoth" | "arcoth" => Fun::Acoth,
        "arcsech" | "asech" | "arsech" => Fun::Asech,
        "arccsch" | "acsch" | "arcsch" => Fun::Acsch,
        "abs" | "Abs" => Fun::Abs,
        "sgn" | "sign" | "signum" => Fun::Sign,
        "floor" => Fun::Floor,
        "ceil" | "ceiling" => Fun::Ceil,
        "factorial" => Fun::Factorial,
        "binomial" | "binom" | "comb" | "nCr" => Fun::Binomial,
        "gcd" | "GCD" => Fun::Gcd,
        "lcm" | "LCM" => Fun::Lcm,
        "max" | "Max" => Fun::Max,
        "min" | "Min" => Fun::Min,
        "Re" => Fun::Re,
        "Im" => Fun::Im,
        "arg" => Fun::Arg,
        "conjugate" | "conj" => Fun::Conj,
        "log" => return Some(Name::Special(Log)),
        "ln" => return Some(Name::Special(Ln)),
        "lg" => return Some(Name::Special(Lg)),
        "exp" => return Some(Name::Special(Exp)),
        "sqrt" => return Some(Name::Special(Sqrt)),
        "cbrt" => return Some(Name::Special(Cbrt)),
        "det" => return Some(Name::Special(Det)),
        "tr" | "trace" | "Tr" => return Some(Name::Special(Trace)),
        "transpose" => return Some(Name::Special(Transpose)),
        "rank" | "rk" => return Some(Name::Special(Rank)),
        "cis" => return Some(Name::Special(Cis)),
        "Rational" => return Some(Name::Special(Frac)),
        "root" => return Some(Name::Special(Root)),
        _ => return None,
    };
    Some(Name::Fun(fun))
}

const GREEK: [&str; 40] = [
    "alpha",
    "beta",
    "gamma",
    "delta",
    "epsilon",
    "varepsilon",
    "zeta",
    "eta",
    "theta",
    "vartheta",
    "iota",
    "kappa",
    "lambda",
    "mu",
    "nu",
    "xi",
    "omicron",
    "rho",
    "varrho",
    "sigma",
    "varsigma",
    "tau",
    "upsilon",
    "phi",
    "varphi",
    "chi",
    "psi",
    "omega",
    "Gamma",
    "Delta",
    "Theta",
    "Lambda",
    "Xi",
    "Pi",
    "Sigma",
    "Upsilon",
    "Phi",
    "Psi",
    "Omega",
    "ell",
];

/// Letters with a name, and the constants.
pub(crate) fn letter(name: &str) -> Option<Name> {
    match name {
        "pi" => return Some(Name::Pi),
        "infty" | "infinity" | "inf" | "Infinity" | "oo" | "infin" => return Some(Name::Infinity),
        _ => {}
    }
    GREEK.iter().find(|greek| **greek == name).map(|greek| {
        Name::Symbol(match *greek {
            "varepsilon" => "epsilon",
            "vartheta" => "theta",
            "varphi" => "phi",
            "varrho" => "rho",
            "varsigma" => "sigma",
            other => other,
        })
    })
}

/// Words for amounts that multiply the number before them.
pub(crate) fn multiplier(word: &str) -> Option<u32> {
    Some(match word {
        "hundred" => 2,
        "thousand" => 3,
        "million" | "millions" => 6,
        "billion" | "billions" => 9,
        "trillion" | "trillions" => 12,
        "万" => 4,
        "亿" => 8,
        _ => return None,
    })
}

/// Short unit names; longer words after a number are taken for units anyway.
const UNITS: &[&str] = &[
    "mm", "cm", "dm", "km", "nm", "in", "ft", "yd", "mi", "mg", "kg", "lb", "lbs", "oz", "ml",
    "mL", "cc", "gal", "sec", "secs", "min", "mins", "hr", "hrs", "ms", "mph", "kph", "kmh", "rad",
    "rads", "deg", "sq", "cu", "Hz", "kHz", "MHz", "GHz", "eV", "keV", "MeV", "GeV", "kJ", "kW",
    "MW", "kN", "Pa", "kPa", "MPa", "mol", "mmol", "atm", "bar", "mmHg", "kcal", "cal", "rpm",
    "AU", "ly", "pc", "USD", "EUR", "GBP", "RMB", "Rs", "pts", "pt", "cm2", "m2", "cm3", "m3",
    "km2", "am", "pm", "AM", "PM", "st", "nd", "rd", "th", "yr", "yrs", "psi", "dB", "ohm", "ohms",
    "cts", "pcs", "mA", "mV", "kV", "kWh", "nF", "pF", "mH", "ns", "us", "fs", "cms", "kms", "kgs",
];

/// Whether a character is a Chinese one.
pub(crate) fn is_han(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

/// Chinese units and measure words that stand bare behind a number.
const HAN_UNITS: &str = "元 角 分 美元 欧元 英镑 日元 个 只 人 名 位 件 本 支 枝 张 条 块 辆 \
    棵 朵 页 次 种 道 题 台 箱 袋 瓶 盒 双 对 组 排 层 间 座 头 匹 把 \
    根 颗 粒 杯 碗 步 圈 局 场 份 束 筐 桶 包 套 艘 架 户 家 篇 首 岁 \
    度 倍 米 分米 厘米 毫米 千米 公里 里 平方米 平方分米 平方厘米 平方毫米 \
    平方千米 平方公里 公顷 亩 立方米 立方分米 立方厘米 升 毫升 克 千克 公斤 斤 \
    吨 秒 秒钟 分钟 小时 时 天 日 周 星期 月 个月 年 米每秒 千米每小时";

/// Whether a run of Chinese characters is nothing but a unit.
pub(crate) fn is_han_unit(run: &str) -> bool {
    HAN_UNITS.split(' ').any(|unit| unit == run)
}

/// Names of currencies, which may stand before an amount.
pub(crate) fn is_currency(word: &str) -> bool {
    matches!(
        word,
        "US" | "USD" | "EUR" | "GBP" | "CAD" | "AUD" | "HKD" | "RMB" | "CNY" | "INR" | "JPY" | "Rs"
    )
}

/// Bases written as words, as in `1011_{\text{two}}`.
pub(crate) fn base_word(word: &str) -> Option<u32> {
    Some(match word.to_ascii_lowercase().as_str() {
        "two" | "bin" | "binary" => 2,
        "three" => 3,
        "four" => 4,
        "five" => 5,
        "six" => 6,
        "seven" => 7,
        "eight" | "oct" | "octal" => 8,
        "nine" => 9,
        "ten" | "dec" | "decimal" => 10,
        "eleven" => 11,
        "twelve" => 12,
        "sixteen" | "hex" => 16,
        _ => return None,
    })
}

/// Single letters that are units when set as text after a number.
const LETTER_UNITS: &[&str] = &[
    "m", "s", "g", "h", "L", "l", "N", "J", "W", "V", "A", "K", "C", "F", "T", "H",
];

/// The letter that abbreviates a unit's name.
pub(crate) fn unit_letter(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "meter" | "meters" | "metre" | "metres" => "m",
        "second" | "seconds" | "sec" | "secs" => "s",
        "gram" | "grams" => "g",
        "hour" | "hours" | "hr" | "hrs" => "h",
        "liter" | "liters" | "litre" | "litres" => "L",
        "newton" | "newtons" => "N",
        "joule" | "joules" => "J",
        "watt" | "watts" => "W",
        "volt" | "volts" => "V",
        "ampere" | "amperes" | "amp" | "amps" => "A",
        "kelvin" | "kelvins" => "K",
        "coulomb" | "coulombs" => "C",
        "tesla" | "teslas" => "T",
        _ => return None,
    })
}

/// Whether a plain word after a number is a unit.
pub(crate) fn is_unit(word: &str) -> bool {
    UNITS.contains(&word)
}

/// Whether a letter set in text type after a number is a unit.
pub(crate) fn is_letter_unit(word: &str) -> bool {
    LETTER_UNITS.contains(&word)
}

/// Whether a text says what a variable is, as in `n \text{ even}`.
pub(crate) fn is_property(text: &str) -> bool {
    text.to_ascii_lowercase()
        .split(|c: char| !c.is_alphabetic())
        .any(|word| {
            matches!(
                word,
                "even"
                    | "odd"
                    | "prime"
                    | "composite"
                    | "positive"
                    | "negative"
                    | "nonnegative"
                    | "integer"
                    | "integers"
                    | "integral"
                    | "rational"
                    | "irrational"
                    | "real"
                    | "constant"
                    | "arbitrary"
                    | "divisible"
                    | "square"
                    | "perfect"
                    | "distinct"
                    | "increasing"
                    | "decreasing"
            )
        })
}

/// Words that carry logic or structure, and so are never units.
pub(crate) fn is_connective(word: &str) -> bool {
    matches!(
        word.to_ascii_lowercase().as_str(),
        "and"
            | "or"
            | "if"
            | "for"
            | "when"
            | "where"
            | "with"
            | "not"
            | "no"
            | "than"
            | "then"
            | "but"
            | "mod"
            | "such"
            | "that"
            | "to"
            | "is"
            | "are"
            | "all"
            | "any"
            | "except"
            | "otherwise"
            | "none"
            | "neither"
            | "nor"
            | "more"
            | "less"
            | "most"
            | "least"
            | "only"
            | "between"
            | "from"
            | "undefined"
            | "infinite"
            | "minus"
            | "plus"
            | "times"
            | "squared"
            | "cubed"
            | "real"
            | "in"
            | "percent"
            | "pct"
            | "unless"
            | "over"
            | "hundred"
            | "thousand"
            | "million"
            | "billion"
            | "trillion"
            | "dozen"
            | "half"
            | "does"
            | "exist"
            | "solution"
            | "solutions"
            | "both"
            | "yes"
            | "false"
            | "true"
    )
}
