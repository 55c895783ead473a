//! Text to tokens: LaTeX and plain maths together, layout dropped.

use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;

use super::names;
use super::unicode;

/// A number as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Literal {
    /// Its digits and point, without separators.
    pub(crate) digits: String,
    /// Digits of the part that repeats for ever, if one is marked.
    pub(crate) repeating: usize,
    /// A power of ten that follows as `e5`.
    pub(crate) exponent: i64,
    /// Written as groups with plain commas, so it might have been a list.
    pub(crate) commas: bool,
}

impl Literal {
    pub(crate) fn decimals(&self) -> Option<usize> {
        self.digits.find('.').map(|dot| self.digits.len() - dot - 1)
    }

    /// The exact value; `None` for an exponent out of reach.
    pub(crate) fn value(&self) -> Option<RBig> {
        let decimals = self.decimals().unwrap_or(0);
        let plain: String = self.digits.chars().filter(char::is_ascii_digit).collect();
        let read = |digits: &str| -> Option<IBig> {
            if digits.is_empty() {
                Some(IBig::ZERO)
            } else {
                digits.parse::<UBig>().ok().map(IBig::from)
            }
        };
        let whole = read(&plain)?;
        let mut value = if self.repeating > 0 {
            // 0.1666.. = (16 - 1) / 90, with the mark over the 6.
            let fixed = read(&plain[..plain.len() - self.repeating])?;
            let nines = ten_to(self.repeating) - UBig::ONE;
            RBig::from_parts(whole - fixed, nines * ten_to(decimals - self.repeating))
        } else {
            RBig::from_parts(whole, ten_to(decimals))
        };
        if self.exponent != 0 {
            if self.exponent.unsigned_abs() > 5_000 {
                return None;
            }
            let power = RBig::from(ten_to(self.exponent.unsigned_abs() as usize));
            value = if self.exponent > 0 {
                value * power
            } else {
                value / power
            };
        }
        Some(value)
    }

    pub(crate) fn is_integer_text(&self) -> bool {
        self.exponent == 0 && self.repeating == 0 && self.digits.bytes().all(|c| c.is_ascii_digit())
    }
}

fn ten_to(power: usize) -> UBig {
    UBig::from(10u8).pow(power)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tok {
    Number(Literal),
    /// One letter.
    Letter(char),
    /// A run of plain letters that names nothing known.
    Word(String),
    /// Words set in text type.
    Text(String),
    Name(names::Name),
    /// A command without its backslash.
    Command(String),
    /// `\begin` or `\end` of an environment.
    Begin(String),
    End(String),
    /// Any other sign.
    Sign(char),
    /// `\{` and `\}`.
    SetOpen,
    SetClose,
    /// `\\`, a new row.
    Row,
}

/// A token and whether blanks came before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) tok: Tok,
    pub(crate) spaced: bool,
}

/// Reads `text`; never fails, since odd signs are tokens too.
pub(crate) fn lex(text: &str) -> Vec<Token> {
    lex_as(text, true)
}

/// Like [`lex`]; unless `grouped`, plain commas always part numbers.
pub(crate) fn lex_as(text: &str, grouped: bool) -> Vec<Token> {
    let text = unicode::to_latex(text);
    let text = undouble(&text);
    let mut lexer = Lexer {
        bytes: text.as_bytes(),
        text: &text,
        at: 0,
        spaced: false,
        out: Vec::new(),
        depth: 0,
        grouped,
        plain_until: 0,
    };
    lexer.run();
    lexer.out
}

/// `C(5,2)` and `5C2` as binomials; `None` where there is no such count.
pub(crate) fn counts(tokens: &[Token]) -> Option<Vec<Token>> {
    let is_c = |tok: &Tok| match tok {
        Tok::Letter(letter) => *letter == 'C',
        Tok::Text(text) => text == "C",
        _ => false,
    };
    let number = |at: usize| matches!(tokens.get(at).map(|token| &token.tok), Some(Tok::Number(_)));
    let plain = |tok| Token { tok, spaced: false };
    let binomial = || plain(Tok::Name(names::Name::Fun(crate::algebra::Fun::Binomial)));
    let mut out = Vec::with_capacity(tokens.len() + 4);
    let mut at = 0;
    let mut found = false;
    while let Some(token) = tokens.get(at) {
        let next = tokens.get(at + 1).map(|token| &token.tok);
        if is_c(&token.tok) && next == Some(&Tok::Sign('(')) {
            out.push(binomial());
            found = true;
        } else if number(at) && next.is_some_and(is_c) && number(at + 2) {
            out.extend([
                binomial(),
                plain(Tok::Sign('(')),
                token.clone(),
                plain(Tok::Sign(',')),
                tokens[at + 2].clone(),
                plain(Tok::Sign(')')),
            ]);
            at += 2;
            found = true;
        } else {
            out.push(token.clone());
        }
        at += 1;
    }
    found.then_some(out)
}

/// `\\frac` as written by double escaping, unless rows are meant.
fn undouble(text: &str) -> String {
    if !text.contains("\\\\") {
        return text.to_owned();
    }
    if text.contains("\\\\begin") {
        return text.replace("\\\\", "\\");
    }
    if text.contains("\\begin") {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\\\\") {
        let after = &rest[at + 2..];
        out.push_str(&rest[..at]);
        let letter = after
            .starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '{' | '}' | '%' | '$'));
        out.push_str(if letter { "\\" } else { " " });
        rest = after;
    }
    out.push_str(rest);
    out
}

pub(super) struct Lexer<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) spaced: bool,
    pub(super) out: Vec<Token>,
    pub(super) depth: u32,
    /// Whether `1,200` may be one number.
    pub(super) grouped: bool,
    /// Up to here commas part numbers.
    pub(super) plain_until: usize,
}

impl Lexer<'_> {
    pub(super) fn run(&mut self) {
        while self.at < self.bytes.len() {
            let before = self.at;
            self.next();
            // Every turn takes at least one sign.
            if self.at == before {
                let sign = self.text[self.at..].chars().next();
                self.at += sign.map_or(1, char::len_utf8);
            }
        }
    }

    fn next(&mut self) {
        let c = self.bytes[self.at];
        match c {
            b' ' | b'\t' | b'\n' | b'~' => {
                self.at += 1;
                self.spaced = true;
            }
            b'$' | b'`' | b'"' => self.at += 1,
            b'\\' => self.command(),
            b'0' if self.hexadecimal() => {}
            b'0'..=b'9' => self.number(),
            b'.' => self.dot(),
            b'a'..=b'z' | b'A'..=b'Z' => self.letters(),
            b'*' if self.peek(1) == Some(b'*') => {
                self.at += 2;
                self.push(Tok::Sign('^'));
            }
            b'<' | b'>' | b'!' | b'=' | b':'
                if self.peek(1) == Some(b'=') && !self.is_factorial() =>
            {
                self.at += 2;
                let name = match c {
                    b'<' => "le",
                    b'>' => "ge",
                    b'!' => "ne",
                    _ => "=",
                };
                self.push(if name == "=" {
                    Tok::Sign('=')
                } else {
                    Tok::Command(name.to_owned())
                });
            }
            b'+' if self.text[self.at..].starts_with("+/-") => {
                self.at += 3;
                self.push(Tok::Command("pm".to_owned()));
            }
            b'+' if self.peek(1) == Some(b'-') && !self.after_operand() => {
                self.at += 2;
                self.push(Tok::Command("pm".to_owned()));
            }
            b'-' if self.peek(1) == Some(b'>') => {
                self.at += 2;
                self.push(Tok::Command("to".to_owned()));
            }
            _ if c < 0x80 => {
                self.at += 1;
                self.push(Tok::Sign(c as char));
            }
            _ => {
                let next = self.text[self.at..].chars().next().unwrap_or(' ');
                if names::is_han(next) {
                    return self.han();
                }
                self.at += next.len_utf8();
                if next.is_alphabetic() {
                    self.push(Tok::Word(next.to_string()));
                } else {
                    self.push(Tok::Sign(next));
                }
            }
        }
    }

    /// `3!=6` is a factorial and its value, `x!=3` a programmer's unequal.
    fn is_factorial(&self) -> bool {
        self.peek(0) == Some(b'!') && self.text[..self.at].ends_with(|c: char| c.is_ascii_digit())
    }

    /// A run of Chinese characters, with the words for ten thousand and more set apart.
    fn han(&mut self) {
        let rest = &self.text[self.at..];
        let run = &rest[..rest.find(|c| !names::is_han(c)).unwrap_or(rest.len())];
        let magnitude = run
            .chars()
            .next()
            .filter(|c| matches!(c, '\u{4e07}' | '\u{4ebf}'));
        let length = magnitude.map_or(run.len(), char::len_utf8);
        self.at += length;
        self.push(Tok::Word(run[..length].to_owned()));
    }

    /// `0x1F` names a number, and is no product with zero.
    fn hexadecimal(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let Some(digits) = rest.strip_prefix("0x") else {
            return false;
        };
        let length = digits.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if length == 0 || !digits[..length].bytes().all(|c| c.is_ascii_hexdigit()) {
            return false;
        }
        self.at += 2 + length;
        self.push(Tok::Text(format!("0x{}", digits[..length].to_lowercase())));
        true
    }

    /// Whether something a sign could follow was read last.
    fn after_operand(&self) -> bool {
        !matches!(
            self.out.last().map(|token| &token.tok),
            None | Some(Tok::Sign('=' | '(' | '[' | '{' | ',') | Tok::SetOpen)
        )
    }

    pub(super) fn peek(&self, ahead: usize) -> Option<u8> {
        self.bytes.get(self.at + ahead).copied()
    }

    pub(super) fn push(&mut self, tok: Tok) {
        let spaced = std::mem::take(&mut self.spaced);
        self.out.push(Token { tok, spaced });
    }

    /// A point starts a decimal, ends a sentence or is one of an ellipsis.
    pub(super) fn dot(&mut self) {
        if self.text[self.at..].starts_with("...") {
            self.at += 3;
            while self.peek(0) == Some(b'.') {
                self.at += 1;
            }
            self.push(Tok::Command("ldots".to_owned()));
        } else if !self.spaced
            && matches!(
                self.out.last().map(|token| &token.tok),
                Some(Tok::Number(_))
            )
            && self.peek(1).is_some_and(|c| c.is_ascii_digit())
        {
            // `1.000.000` is no product of decimals.
            self.at += 1;
            self.push(Tok::Sign('.'));
        } else if self.peek(1).is_some_and(|c| c.is_ascii_digit()) || repeats(&self.text[self.at..])
        {
            self.number();
        } else if self
            .peek(1)
            .is_none_or(|c| c.is_ascii_whitespace() || matches!(c, b'$' | b'}' | b',' | b';'))
        {
            self.at += 1;
            self.spaced = true;
        } else {
            self.at += 1;
            self.push(Tok::Sign('.'));
        }
    }

    pub(super) fn digits(&mut self, into: &mut String) {
        while let Some(c @ b'0'..=b'9') = self.peek(0) {
            into.push(c as char);
            self.at += 1;
        }
    }

    pub(super) fn letters(&mut self) {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let run = &rest[..length];
        self.at += length;
        let after = self.text[self.at..].trim_start_matches([' ', '~']);
        let times = run == "x"
            && self.spaced
            && after.starts_with("10^")
            && matches!(
                self.out.last().map(|token| &token.tok),
                Some(Tok::Number(_))
            );
        let figure = matches!(run, "angle" | "triangle")
            && after.starts_with(|c: char| c.is_ascii_uppercase());
        if times {
            self.push(Tok::Command("times".to_owned()));
        } else if figure {
            self.push(Tok::Command(run.to_owned()));
        } else if !(self.out.is_empty() && names::is_currency(run) && before_amount(after)) {
            self.run_of_letters(run);
        }
    }

    pub(super) fn run_of_letters(&mut self, run: &str) {
        if let [letter] = run.as_bytes() {
            self.push(Tok::Letter(*letter as char));
            return;
        }
        // `sh` and the like are too short to trust outside a command.
        let known = if run.len() == 2
            && !matches!(
                run,
                "ln" | "lg" | "tg" | "pi" | "oo" | "mu" | "nu" | "xi" | "Re" | "Im"
            ) {
            None
        } else {
            names::function(run).or_else(|| names::letter(run))
        };
        if let Some(name) = known {
            self.push(Tok::Name(name));
            return;
        }
        for cut in (1..run.len()).rev() {
            let (head, tail) = run.split_at(cut);
            // `sinx`, `lnx`; `xsin`, `npi`.
            if tail.len() <= 2
                && (head.len() >= 3 || matches!(head, "ln" | "pi"))
                && prefix_function(head)
            {
                self.run_of_letters(head);
                self.run_of_letters(tail);
                return;
            }
            let at_call = matches!(self.peek(0), Some(b'(' | b'{' | b'^'));
            if head.len() <= 2 && ((prefix_function(tail) && at_call) || tail == "pi") {
                self.run_of_letters(head);
                self.run_of_letters(tail);
                return;
            }
        }
        self.push(Tok::Word(run.to_owned()));
    }

    pub(super) fn command(&mut self) {
        let rest = &self.text[self.at + 1..];
        let length = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        if length == 0 {
            self.escaped(rest.bytes().next());
            return;
        }
        let name = &rest[..length];
        self.at += 1 + length;
        match name {
            "left" | "right" | "mleft" | "mright" | "middle" => self.delimiter(),
            _ if is_layout(name) => {}
            "quad" | "qquad" | "thinspace" | "enspace" | "space" | "newline" | "hfill"
            | "nobreakspace" | "par" | "medspace" | "thickspace" | "negthinspace" | "linebreak" => {
                self.spaced = true;
            }
            "hspace" | "vspace" | "phantom" | "hphantom" | "vphantom" | "label" | "tag"
            | "kern" | "color" | "textcolor" | "mspace" => {
                self.group();
                self.spaced = true;
            }
            "boxed" | "fbox" | "mbox" | "text" | "textbf" | "textit" | "textrm" | "textsf"
            | "texttt" | "textnormal" | "textup" | "mathrm" | "mathbf" | "mathit" | "mathsf"
            | "mathtt" | "mathnormal" | "operatorname" | "emph" | "underline" | "hbox"
            | "textsc" | "bold" | "textmd" | "ensuremath" | "unit" | "si" => {
                if name == "operatorname" && self.peek(0) == Some(b'*') {
                    self.at += 1;
                }
                self.text_command(name);
            }
            "begin" => {
                let name = self.group().unwrap_or_default();
                self.push(Tok::Begin(name.trim().to_owned()));
            }
            "end" => {
                let name = self.group().unwrap_or_default();
                self.push(Tok::End(name.trim().to_owned()));
            }
            // Plain TeX: `\pmatrix{a & b \cr c & d}`.
            "pmatrix" | "matrix" | "bmatrix" | "vmatrix" | "cases" => {
                if let Some(content) = self.group() {
                    self.push(Tok::Begin(name.to_owned()));
                    self.splice(&content);
                    self.push(Tok::End(name.to_owned()));
                }
            }
            "dfrac" | "tfrac" | "cfrac" | "frac" | "nicefrac" | "sfrac" | "flatfrac" | "xfrac" => {
                self.push(Tok::Command("frac".to_owned()));
            }
            _ => self.sign_command(name),
        }
    }

    /// A command that stands for a sign or a letter; a name otherwise.
    fn sign_command(&mut self, name: &str) {
        match name {
            "lbrace" => self.push(Tok::SetOpen),
            "rbrace" => self.push(Tok::SetClose),
            "lbrack" => self.push(Tok::Sign('[')),
            "rbrack" => self.push(Tok::Sign(']')),
            "lparen" => self.push(Tok::Sign('(')),
            "rparen" => self.push(Tok::Sign(')')),
            "vert" | "lvert" | "rvert" => self.push(Tok::Sign('|')),
            "colon" => self.push(Tok::Sign(':')),
            "prime" => self.push(Tok::Sign('\'')),
            "degree" | "degrees" => {
                self.push(Tok::Sign('^'));
                self.push(Tok::Command("circ".to_owned()));
            }
            "percent" => self.push(Tok::Sign('%')),
            "lt" | "ngeq" => self.push(Tok::Sign('<')),
            "gt" | "nleq" => self.push(Tok::Sign('>')),
            "cr" => self.push(Tok::Row),
            "i" | "imath" => self.push(Tok::Letter('i')),
            "j" | "jmath" => self.push(Tok::Letter('j')),
            "surd" => self.push(Tok::Name(names::Name::Special(names::Special::Sqrt))),
            "textsuperscript" => {
                self.push(Tok::Sign('^'));
                self.text_command(name);
            }
            _ => self.named_command(name),
        }
    }

    pub(super) fn named_command(&mut self, name: &str) {
        let shared = match name {
            "leq" | "leqslant" | "leqq" | "ngtr" => "le",
            "geq" | "geqslant" | "geqq" | "nless" => "ge",
            "neq" => "ne",
            "rightarrow" | "longrightarrow" | "mapsto" | "gets" => "to",
            "varnothing" | "O" => "emptyset",
            "Bbb" => "mathbb",
            "supseteq" => "supset",
            "smallsetminus" | "backslash" => "setminus",
            "bigcup" => "cup",
            "bigcap" => "cap",
            "wedge" => "land",
            "vee" => "lor",
            "sim" | "simeq" | "cong" | "thickapprox" => "approx",
            "dbinom" | "tbinom" => "binom",
            "asterisk" | "ast" => "cdot",
            "dots" | "cdots" | "dotsc" | "dotsb" | "vdots" | "ddots" => "ldots",
            "Longrightarrow" | "implies" => "Rightarrow",
            "lVert" | "rVert" | "Vert" => "|",
            "overrightarrow" => "vec",
            "widehat" => "hat",
            "llcorner" => "lfloor",
            "lrcorner" => "rfloor",
            "ulcorner" => "lceil",
            "urcorner" => "rceil",
            "Reals" | "reals" => "R",
            "pmod" | "pod" => "pmod",
            other => other,
        };
        if shared != "binom"
            && let Some(known) = names::function(name).or_else(|| names::letter(name))
        {
            self.push(Tok::Name(known));
        } else {
            self.push(Tok::Command(shared.to_owned()));
        }
    }

    pub(super) fn escaped(&mut self, next: Option<u8>) {
        let width = self.text[self.at + 1..]
            .chars()
            .next()
            .map_or(0, char::len_utf8);
        self.at += 1 + width;
        match next {
            Some(b'{') => self.push(Tok::SetOpen),
            Some(b'}') => self.push(Tok::SetClose),
            Some(b'%') => self.push(Tok::Sign('%')),
            Some(b'|') => self.push(Tok::Command("|".to_owned())),
            Some(b'\\') => {
                // `\\[2pt]`
                if self.peek(0) == Some(b'[') {
                    let length = self.text[self.at..].find(']').unwrap_or(0);
                    let inner = &self.text[self.at..self.at + length];
                    if inner.ends_with("pt")
                        || inner.ends_with("ex")
                        || inner.ends_with("em")
                        || inner.ends_with("mm")
                    {
                        self.at += length + 1;
                    }
                }
                self.push(Tok::Row);
            }
            // `\!` joins, `\,` and the rest part.
            Some(b'_' | b'#' | b'&' | b'!') => {}
            _ => self.spaced = true,
        }
    }

    /// After `\left`: a point is no delimiter, and `\left\{` comes as itself.
    pub(super) fn delimiter(&mut self) {
        while self.peek(0) == Some(b' ') {
            self.at += 1;
        }
        if self.peek(0) == Some(b'.') {
            self.at += 1;
        }
    }

    /// The raw content of the braces that follow.
    pub(super) fn group(&mut self) -> Option<String> {
        let rest = self.text[self.at..].trim_start();
        if !rest.starts_with('{') {
            return None;
        }
        let start = self.text.len() - rest.len();
        let length = balanced(rest)?;
        self.at = start + length;
        Some(rest[1..length - 1].to_owned())
    }
}

/// Commands that change the look alone.
fn is_layout(name: &str) -> bool {
    matches!(
        name,
        "big"
            | "Big"
            | "bigg"
            | "Bigg"
            | "bigl"
            | "bigr"
            | "Bigl"
            | "Bigr"
            | "biggl"
            | "biggr"
            | "Biggl"
            | "Biggr"
            | "bigm"
            | "Bigm"
            | "displaystyle"
            | "textstyle"
            | "scriptstyle"
            | "limits"
            | "nolimits"
            | "mathstrut"
            | "strut"
            | "allowbreak"
            | "nobreak"
            | "mathop"
            | "mathrel"
            | "mathbin"
            | "mathopen"
            | "mathclose"
            | "boldsymbol"
            | "mathcal"
            | "mathscr"
            | "mathfrak"
            | "bm"
            | "pmb"
            | "em"
            | "bf"
            | "rm"
            | "it"
            | "large"
            | "Large"
            | "small"
            | "normalsize"
            | "huge"
            | "protect"
            | "mathord"
            | "hline"
            | "pounds"
            | "euro"
            | "yen"
            | "dollar"
    )
}

/// `.\overline{3}`: a decimal that begins with what repeats.
fn repeats(text: &str) -> bool {
    let digits = text
        .strip_prefix(".\\overline{")
        .or_else(|| text.strip_prefix(".\\bar{"))
        .unwrap_or("");
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    length > 0 && digits[length..].starts_with('}')
}

/// `$12` or `. 12` after the name of a currency.
pub(super) fn before_amount(text: &str) -> bool {
    text.trim_start_matches(['.', ' ', '~', '\\', '$'])
        .starts_with(|c: char| c.is_ascii_digit())
}

fn prefix_function(name: &str) -> bool {
    !matches!(
        name,
        "max" | "min" | "det" | "abs" | "arg" | "trace" | "floor" | "ceil" | "root"
    ) && (names::function(name).is_some() || name == "pi")
}

/// The length of the balanced group that `text` starts with, braces included.
pub(crate) fn balanced(text: &str) -> Option<usize> {
    if !text.starts_with('{') {
        return None;
    }
    let mut depth = 0_usize;
    let mut escaped = false;
    for (at, c) in text.bytes().enumerate() {
        if escaped {
            escaped = false;
            continue;
        }
        match c {
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}
